//! `check` and `compare` as types.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::args::ScenarioArgs;

/// `check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Scenario files, or names of embedded ones [default: every `scenarios/ci/*.toml`]
    pub scenarios: Vec<String>,
    /// Write over a value of every scenario (repeatable), to see whether the gate would notice
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "bless")]
    pub sets: Vec<String>,
    /// Folder of the baselines
    #[arg(long, value_name = "DIR", default_value = "results/baselines")]
    pub baselines: PathBuf,
    /// Make what is found now the baseline
    #[arg(long, requires = "reason")]
    pub bless: bool,
    /// Why it should be like that; kept in the baseline
    #[arg(long, value_name = "TEXT", requires = "bless")]
    pub reason: Option<String>,
    /// With `--bless`: seeds of the baseline [default: those of the scenario]
    #[arg(long, value_name = "N", requires = "bless")]
    pub seeds: Option<u32>,
    /// Run other requests than the baseline's: this seed and the next ones. Differences are then told by Welch's test
    /// and Holm's procedure
    #[arg(long, value_name = "SEED", conflicts_with = "bless", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub fresh_seeds: Option<u64>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Check the invariants at every event (slow)
    #[arg(long)]
    pub audit: bool,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    pub format: CheckFormat,
    /// Also write JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write Markdown [default with `--format github`: appended to the file that GITHUB_STEP_SUMMARY names]
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
}

/// What `check` prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people.
    Text,
    /// Annotations of GitHub Actions.
    Github,
    /// Markdown.
    Markdown,
    /// One JSON document with a `schema`.
    Json,
}

/// `compare`
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// What was: a result folder, a scenario file or the name of an embedded one, or `commit:REV`
    #[arg(value_name = "BEFORE")]
    pub before: String,
    /// What is: the same
    #[arg(value_name = "AFTER")]
    pub after: String,
    /// The scenario that commits are run with
    #[arg(long, value_name = "SCENARIO")]
    pub scenario: Option<String>,
    /// What to change in every scenario that is run
    #[command(flatten)]
    pub changes: ScenarioArgs,
    /// What to change in AFTER only (repeatable), if it is run: what does this change do?
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_after: Vec<String>,
    /// Numbers that are compared (see `list metrics`), or `all`
    #[arg(long, value_name = "KEY,…", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Smallest relative change that counts
    #[arg(long, value_name = "SHARE", default_value_t = 0.01, allow_negative_numbers = true)]
    pub minimum: f64,
    /// Folder that gets `compare/BEFORE-AFTER/` [default: results]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: all cores]; never changes a result
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// What is printed on stdout
    #[arg(long, value_enum, default_value_t = DifferenceFormat::Table)]
    pub format: DifferenceFormat,
}

/// What `compare` prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DifferenceFormat {
    /// For people.
    Table,
    /// Markdown.
    Markdown,
    /// One JSON document with a `schema`.
    Json,
    /// One row per system, point and number.
    Csv,
}
