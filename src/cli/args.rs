//! The command line as types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use super::explain_args::ExplainArgs;
use super::gate_args::{CheckArgs, CompareArgs};
pub use super::merge_args::{MergeArgs, SweepArgs};
use super::trace_args::TraceArgs;

/// A wind tunnel for LLM serving systems: replays request traces through models of published schedulers.
#[derive(Debug, Parser)]
#[command(name = "windtunnel", version, after_help = exit::HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// Colours: `auto` asks the terminal, NO_COLOR and CLICOLOR
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
    /// No progress, no warnings: errors only on stderr
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// If the output is a terminal that wants them.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a study and write its results (no argument: the embedded quickstart)
    Run(RunArgs),
    /// Run a sweep on existing clusters
    Sweep(SweepArgs),
    /// Put the shards of a study together: the results that one `run` would have written
    Merge(MergeArgs),
    /// Search the highest rate within the limits for every system of a scenario
    Capacity(CapacityArgs),
    /// Tell what changed between two result folders, scenarios or commits
    Compare(CompareArgs),
    /// Hold scenarios against their baselines; exit code 1 if one got worse
    Check(CheckArgs),
    /// Search the deployment of a model that serves most within the limits
    Plan(PlanArgs),
    /// Draw the page, plots and table of a result folder again, without simulating
    Report(ReportArgs),
    /// List what is there
    List(ListArgs),
    /// Show where a number comes from
    Explain(ExplainArgs),
    /// Run the claims of a published paper again and say which hold
    Reproduce(ReproduceArgs),
    /// Make what other programs read about this one
    Generate(GenerateArgs),
    /// Look at request traces, convert, cut and generate them
    Trace(TraceArgs),
}

/// Flags that change a scenario.
#[derive(Clone, Debug, Args)]
pub struct ScenarioArgs {
    /// Write over a value of the scenario (repeatable), such as `--set workload.requests=200`; an empty value
    /// removes the key
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Seeds 1 to N of every point
    #[arg(long, value_name = "N")]
    pub seeds: Option<u32>,
}

/// Points beyond which a study is more likely a slip than a wish.
pub(super) const POINTS_MAX: u32 = 1_000;

/// `run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A scenario file, or the name of an embedded one
    #[arg(default_value = "quickstart")]
    pub scenario: String,
    /// What to change in it
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Folder that gets the folder of results [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Check the invariants at every event (slow)
    #[arg(long)]
    pub audit: bool,
    /// One event per step instead of leaps (slow, same results)
    #[arg(long)]
    pub stepwise: bool,
    /// Also write a CSV with every request of every run
    #[arg(long)]
    pub requests: bool,
    /// Also write what happened in one run per system, for Perfetto: the first seed at the headline point
    #[arg(long)]
    pub trace_events: bool,
    /// Requests of each of those runs that are followed, from the first one on
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "trace_events")]
    pub trace_requests: u32,
    /// Events of each of those files at most; what comes later is left out
    #[arg(long, value_name = "N", default_value_t = 1_000_000, requires = "trace_events")]
    pub trace_limit: u64,
    /// Numbers only: no plots and no page, which `report DIR` can draw later (but for the timeline of one request)
    #[arg(long)]
    pub no_page: bool,
    /// Refuse a study with more points (systems × loads)
    #[arg(long, value_name = "N", default_value_t = POINTS_MAX, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_points: u32,
    /// Run nothing: list what would be run, and about how long it would take
    #[arg(long)]
    pub dry_run: bool,
    /// Make one share of the runs only, for `merge`: `2/8`, or `auto` in a Slurm job array or an indexed Kubernetes Job
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
}

/// `capacity`
#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// A scenario file, or the name of an embedded one
    pub scenario: String,
    /// What to change in it; without a word on seeds, at least five are used
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Folder that gets `SCENARIO/capacity/` [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, visible_alias = "threads", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Check the invariants at every event (slow)
    #[arg(long)]
    pub audit: bool,
}

/// `plan`
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// A scenario file with a `[plan]`, or the name of an embedded one
    pub scenario: String,
    /// What to change in it; without a word on seeds, at least five are used
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Folder that gets `SCENARIO/plan/`, where an interrupted search goes on [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, visible_alias = "threads", value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Forget what an earlier search of the same folder found
    #[arg(long)]
    pub fresh: bool,
    /// Check the invariants at every event (slow)
    #[arg(long)]
    pub audit: bool,
}

/// `report`
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A result folder that `run` wrote
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Also write each plot as PNG, twice its size in points
    #[cfg(feature = "png")]
    #[arg(long)]
    pub png: bool,
    /// Also write each table (`*.csv`) as Parquet into `parquet/`
    #[cfg(feature = "parquet")]
    #[arg(long)]
    pub parquet: bool,
}

/// `reproduce`
#[derive(Debug, Args)]
pub struct ReproduceArgs {
    /// A paper (see `list papers`), a paper file, or `all`
    pub paper: String,
    /// What to change in it; a page with changes is not judged
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// Folder that gets `papers/NAME/` [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Exit code 1 if a claim that is recorded as reproduced no longer is
    #[arg(long)]
    pub gate: bool,
}

/// What `run` and `report` print on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// One JSON document with a `schema`.
    Json,
    /// One row per point, system and metric.
    Csv,
}

/// `list`
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list
    #[arg(value_enum)]
    pub what: Listed,
    /// With `models`: print the model file that a Hugging Face `config.json` gives, instead of the list
    #[arg(long, value_name = "FILE")]
    pub import: Option<PathBuf>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Presets of published systems.
    Systems,
    /// Accelerators.
    Accelerators,
    /// Model architectures.
    Models,
    /// Engine profiles.
    Engines,
    /// Servers: what joins their accelerators.
    Hosts,
    /// Links between accelerators.
    Links,
    /// Routers.
    Routers,
    /// Workload recipes.
    Workloads,
    /// Numbers of a summary.
    Metrics,
    /// Trace formats.
    Formats,
    /// Embedded scenarios.
    Scenarios,
    /// Embedded papers.
    Papers,
}

/// `generate`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// What to make
    #[command(subcommand)]
    pub what: Generated,
}

/// What can be made.
#[derive(Debug, Subcommand)]
pub enum Generated {
    /// Completions for a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// The man page, or with `--out` one page for every verb
    Man {
        /// Folder for `windtunnel.1`, `windtunnel-run.1`, …
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// The JSON schema of a kind of file, for editors
    Schema {
        /// Which files
        #[arg(value_enum, default_value_t = SchemaKind::Scenario)]
        kind: SchemaKind,
    },
    /// The reference of commands, numbers and formats, in Markdown
    Reference,
}

/// Files that have a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// A scenario
    Scenario,
    /// A preset: `scenarios/systems/`
    System,
    /// `hardware/accelerators/`
    Accelerator,
    /// `hardware/hosts/`
    Host,
    /// `hardware/links/`
    Link,
    /// `workloads/models/`
    Model,
    /// `scenarios/engines/`
    Engine,
    /// `workloads/`
    Recipe,
    /// `scenarios/papers/`
    Paper,
}
