//! The flags of `explain`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::ScenarioArgs;

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
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=65_536))]
    pub decode: u32,
    /// Context of each decoding sequence, its new token included
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub context: u32,
}
