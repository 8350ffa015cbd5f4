//! The flags of `trace`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `trace`
#[derive(Debug, Args)]
pub struct TraceArgs {
    /// What to do
    #[command(subcommand)]
    pub verb: TraceVerb,
}

/// What can be done with traces.
#[derive(Debug, Subcommand)]
pub enum TraceVerb {
    /// Rows, rate, lengths, gaps, burstiness, classes, sessions and prefix hits, in one pass
    Stats(StatsArgs),
    /// Write a trace in another format
    Convert(ConvertArgs),
    /// Cut a part of a trace out, line by line
    Slice(SliceArgs),
    /// Write the requests of a recipe or a scenario
    Generate(GenerateArgs),
}

/// How a trace is read.
#[derive(Clone, Debug, Args)]
pub struct ReadArgs {
    /// Format of the input (see `list formats`) [default: detected from the content]
    #[arg(long, value_name = "NAME")]
    pub input_format: Option<String>,
    /// Columns of a generic table, such as `arrival=t,unit=s,prompt=in,output=out,class=tenant,session=chat`
    #[arg(long, value_name = "KEY=COLUMN,…")]
    pub columns: Option<String>,
    /// Put rows in time order (needs memory for all rows)
    #[arg(long)]
    pub sort: bool,
    /// Leave rows out that cannot be read, and count them
    #[arg(long)]
    pub skip_bad_rows: bool,
    /// Keep failed requests as prompts with one output token
    #[arg(long)]
    pub keep_failures: bool,
}

/// `trace stats`
#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Trace files, `-` for standard input; `.gz` and `.zst` too
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Also say how far each file is from this one
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    pub json: bool,
    /// How files are read
    #[command(flatten)]
    pub read: ReadArgs,
}

/// `trace convert`
#[derive(Debug, Args)]
pub struct ConvertArgs {
    /// A trace file, `-` for standard input
    pub file: PathBuf,
    /// The file to write: packed if the name ends in `.gz`; `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Format of the output [default: generic]
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// How the file is read
    #[command(flatten)]
    pub read: ReadArgs,
}

/// `trace slice`
#[derive(Debug, Args)]
pub struct SliceArgs {
    /// A trace file, `-` for standard input
    pub file: PathBuf,
    /// From this long after the first row, such as `"9 h"`
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// To (excluding) this long after the first row
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Data rows from 0, end excluded
    #[arg(long, value_name = "A..B")]
    pub rows: Option<String>,
    /// Only this class (repeatable)
    #[arg(long, value_name = "NAME")]
    pub class: Vec<String>,
    /// The file to write: packed if the name ends in `.gz`; `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// How the file is read
    #[command(flatten)]
    pub read: ReadArgs,
}

/// `trace generate`
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A recipe (see `list workloads`), a recipe file, or a scenario
    #[arg(value_name = "RECIPE|SCENARIO")]
    pub source: String,
    /// Seed of all draws
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Exactly so many requests
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub requests: Option<u32>,
    /// Length of the arrivals, such as `"1 d"`
    #[arg(long, value_name = "TIME")]
    pub duration: Option<String>,
    /// Format of the output [default: generic]
    #[arg(long, value_name = "NAME")]
    pub format: Option<String>,
    /// The file to write: packed if the name ends in `.gz`; `-` for standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
}
