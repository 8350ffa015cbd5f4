//! `merge` and `sweep emit` as types.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::args::{Format, POINTS_MAX, RunArgs, ScenarioArgs};

/// `merge`
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The folders that `run --shard` wrote, all of them; run it where the shards were run, since their scenario is read again
    #[arg(required = true, value_name = "DIR")]
    pub folders: Vec<PathBuf>,
    /// Folder that gets the folder of results [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Numbers only: no plots and no page
    #[arg(long)]
    pub no_page: bool,
}

impl MergeArgs {
    /// The `run` whose results these are.
    pub(super) fn as_run(&self, scenario: String) -> RunArgs {
        RunArgs {
            scenario,
            changes: ScenarioArgs { sets: Vec::new(), seeds: None },
            out: self.out.clone(),
            jobs: self.jobs,
            format: self.format,
            audit: false,
            stepwise: false,
            requests: false,
            trace_events: false,
            trace_requests: 0,
            trace_limit: 0,
            no_page: self.no_page,
            max_points: POINTS_MAX,
            dry_run: false,
            shard: None,
        }
    }
}

/// `sweep`
#[derive(Debug, Args)]
pub struct SweepArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: SweepVerb,
}

/// What can be done with a sweep.
#[derive(Debug, Subcommand)]
pub enum SweepVerb {
    /// Print what a scheduler of jobs needs to run a scenario in shards, and to merge them
    Emit(EmitArgs),
}

/// `sweep emit`
#[derive(Debug, Args)]
pub struct EmitArgs {
    /// For which scheduler
    #[arg(value_enum)]
    pub target: EmitTarget,
    /// A scenario file, or the name of an embedded one
    pub scenario: String,
    /// What to change in it
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Number of shards
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub shards: u32,
    /// Cores of each shard
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub cores: u16,
    /// With `kubernetes`: the image that has `windtunnel` and the scenario
    #[arg(long, value_name = "IMAGE", default_value = "windtunnel:latest")]
    pub image: String,
    /// With `kubernetes`: the volume claim that all shards write to
    #[arg(long, value_name = "NAME", default_value = "windtunnel-results")]
    pub claim: String,
}

/// Schedulers of jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EmitTarget {
    /// A job array.
    Slurm,
    /// An indexed Job.
    Kubernetes,
    /// One machine, or several over ssh.
    GnuParallel,
}
