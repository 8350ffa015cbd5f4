//! The command line as types.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;

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
    /// List what is there
    List(ListArgs),
    /// Show where a number comes from
    Explain(ExplainArgs),
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
}

/// What `run` prints on stdout.
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
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What to explain
    #[command(subcommand)]
    pub what: Explained,
}

/// What can be explained.
#[derive(Debug, Subcommand)]
pub enum Explained {
    /// Every value of a scenario and where it came from
    Scenario(ExplainScenarioArgs),
    /// What one step costs, part by part, beside the datasheet bound
    Step(ExplainStepArgs),
}

/// `explain scenario`
#[derive(Debug, Args)]
pub struct ExplainScenarioArgs {
    /// A scenario file, or the name of an embedded one
    pub scenario: String,
    /// What to change in it
    #[command(flatten)]
    pub changes: ScenarioArgs,
}

/// `explain step`
#[derive(Debug, Args)]
pub struct ExplainStepArgs {
    /// Accelerator (see `list accelerators`)
    #[arg(long)]
    pub accelerator: String,
    /// Model (see `list models`)
    #[arg(long)]
    pub model: String,
    /// Tensor-parallel ranks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub tp: u32,
    /// Pipeline stages; every stage is shown
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    pub pp: u8,
    /// Engine profile [default: the accelerator's]
    #[arg(long)]
    pub engine: Option<String>,
    /// Prompt chunks: TOKENS or TOKENS+PAST, such as `512+1536`
    #[arg(long, value_name = "TOKENS[+PAST]", num_args = 1.., value_delimiter = ',')]
    pub prefill: Vec<String>,
    /// Decoding sequences
    #[arg(long, default_value_t = 0)]
    pub decode: u32,
    /// Context of each decoding sequence, its new token included
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..))]
    pub context: u32,
}
