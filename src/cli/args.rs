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
    /// The reference of commands, numbers and formats, in Markdown
    Reference,
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
    /// The operators of prefill and decode against the roofline, as tables and as a plot
    Roofline(ExplainRooflineArgs),
    /// Every value of a scenario and where it came from
    Scenario(ExplainScenarioArgs),
    /// What one step costs, part by part, beside the datasheet bound
    Step(ExplainStepArgs),
    /// Every choice of a preset, axis by axis, and what it leaves out
    System(ExplainSystemArgs),
}

/// `explain roofline`
#[derive(Debug, Args)]
pub struct ExplainRooflineArgs {
    /// Model (see `list models`), or the path of a `config.json`
    #[arg(long, default_value = "llama-3.1-8b")]
    pub model: String,
    /// Accelerator (see `list accelerators`)
    #[arg(long, default_value = "h100-sxm")]
    pub accelerator: String,
    /// Tensor-parallel ranks
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub tp: u32,
    /// Engine profile [default: the accelerator's]
    #[arg(long)]
    pub engine: Option<String>,
    /// Server around the accelerators (see `list hosts`) [default: the accelerator's]
    #[arg(long)]
    pub node: Option<String>,
    /// Tokens of the prefill
    #[arg(long, default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub prompt: u32,
    /// Context of each decoding sequence, its new token included
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub context: u32,
    /// Write the plot to this SVG file
    #[arg(long, short, value_name = "FILE.svg")]
    pub output: Option<PathBuf>,
}

/// `explain system`
#[derive(Debug, Args)]
pub struct ExplainSystemArgs {
    /// A preset (see `list systems`), or a variant of the scenario
    pub name: String,
    /// Scenario whose deployment is taken [default: one H100 with Llama 3.1 8B and defaults]
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: Option<String>,
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
    /// Number format of the layers' weights: bf16, fp16, fp8, fp8-block, int8, w4a16, w8a16, fp4
    #[arg(long, default_value = "bf16")]
    pub weights: String,
    /// Number format of KV: bf16, fp16, fp8
    #[arg(long, default_value = "bf16")]
    pub kv: String,
    /// Server around the accelerators (see `list hosts`) [default: the accelerator's]
    #[arg(long)]
    pub node: Option<String>,
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
