//! What a scenario says, section by section, as strict types. Keys are kebab-case, quantities are text with a unit,
//! mechanisms are externally tagged (`scheduler.chunked = { … }`), so that every error has an exact place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cost::{KvPrecision, MixedAttention, Precision};
use crate::policy::router::RouterConfig;
use crate::policy::scheduler::SchedulerConfig;
use crate::units::{Bytes, SimDuration};
use crate::workload::MaxTokens;

pub use super::kv::{KvOptions, Paged, PreemptionOptions, Reserve};
use super::slo::TokenLimit;

use super::disaggregated::PlacementOptions;
use super::groups::GroupOptions;
use super::migration::MigrationOptions;
use super::prefix_fetch::PrefixFetchOptions;
use super::scaling::{FailureOptions, ScalingOptions};

/// Tables that hold exactly one entry, the mechanism: another mechanism in an upper layer replaces the whole entry.
pub const TAGGED: [&str; 14] = [
    "scheduler",
    "kv",
    "router",
    "placement",
    "migration",
    "prefix-fetch",
    "scaling",
    "placement.disaggregated.router",
    "placement.disaggregated.prefill.scheduler",
    "placement.disaggregated.prefill.kv",
    "placement.disaggregated.decode.scheduler",
    "placement.disaggregated.decode.kv",
    "placement.disaggregated.mixed.scheduler",
    "placement.disaggregated.mixed.kv",
];

/// Keys of `[systems]` that are not variants.
pub const RESERVED: [&str; 2] = ["reference", "compare"];

/// The scalar keys at the top of a scenario.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Head {
    /// The question the study answers.
    pub title: String,
    /// How many seeds every point is run with: 1, 2 … up to this number.
    pub seeds: u32,
    /// About how many instants of the deployment's state each run samples for `timeline/`.
    pub timeline_samples: u32,
    /// Whether the headline's ratios are compared again with ties, clock, block size and trial changed (four times the runs of
    /// its point, and more).
    pub robustness: bool,
    /// Left for the section parsers; named here so that a typo of a section gets a suggestion.
    #[serde(default, rename = "workload")]
    _workload: Section,
    #[serde(default, rename = "slo")]
    _slo: Section,
    #[serde(default, rename = "deployment")]
    _deployment: Section,
    #[serde(default, rename = "sensitivity")]
    _sensitivity: Section,
    #[serde(default, rename = "systems")]
    _systems: Section,
    #[serde(default, rename = "sweep")]
    _sweep: Section,
    #[serde(default, rename = "capacity")]
    _capacity: Section,
    #[serde(default, rename = "plan")]
    _plan: Section,
    #[serde(default, rename = "check")]
    _check: Section,
}

/// A section that another type reads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section;

impl<'de> Deserialize<'de> for Section {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(d).map(|_| Section)
    }
}

/// `[slo]`: limits; an absent one always holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SloOptions {
    /// Per request: time to first token.
    pub ttft: Option<SimDuration>,
    /// Per request: mean interval between its tokens.
    pub tpot: Option<TokenLimit>,
    /// Per request: end to end.
    pub e2e: Option<SimDuration>,
    /// Per request: its longest gap between tokens.
    pub gap_max: Option<TokenLimit>,
    /// Per run: 99th percentile of all gaps.
    pub gap_p99: Option<TokenLimit>,
    /// Per run, in every run: 99th percentile of TTFT in its worst ten minutes.
    #[serde(rename = "ttft-p99-10min")]
    pub ttft_p99_10min: Option<SimDuration>,
    /// Per run: median scheduling delay.
    pub scheduling_delay_p50: Option<SimDuration>,
    /// Per run: median of end-to-end latency per output token.
    pub normalised_p50: Option<SimDuration>,
    /// Per run: mean of end-to-end latency per output token.
    pub normalised_mean: Option<SimDuration>,
    /// Whether a request must meet all its limits at once (default), or each limit is judged apart.
    pub joint: Option<bool>,
    /// Share of requests that must meet the limits where a capacity is searched, in (0, 1]; default 0.9.
    pub attainment: Option<f64>,
}

/// `[systems]` without its variants.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SystemsOptions {
    /// The system that `load` and the ratios refer to.
    pub reference: String,
    /// The systems that are run, in the order of the tables.
    pub compare: Vec<String>,
}

/// Where a system was published.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Paper {
    /// Title.
    pub title: String,
    /// Venue and year.
    pub venue: String,
    /// Where to read it.
    pub url: String,
    /// Row of the catalogue of published systems.
    pub row: String,
}

/// Ranks of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Parallel {
    /// Tensor parallel ranks.
    #[serde(default = "one")]
    pub tp: u32,
    /// Pipeline stages.
    #[serde(default = "one")]
    pub pp: u32,
    /// Servers that a tensor-parallel group spans, whose collectives then go inside them first; absent: as few as hold
    /// it; 1: one ring over the slowest link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tp_nodes: Option<u32>,
}

pub(super) fn one() -> u32 {
    1
}

/// The server before the router; every time defaults to none.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FrontEndOptions {
    /// Service time per request.
    pub per_request: SimDuration,
    /// Service time per prompt token.
    pub per_prompt_token: SimDuration,
    /// Delay of each streamed token.
    pub per_streamed_token: SimDuration,
    /// Parallel workers.
    pub workers: u16,
}

impl Default for FrontEndOptions {
    fn default() -> Self {
        FrontEndOptions {
            per_request: SimDuration::ZERO,
            per_prompt_token: SimDuration::ZERO,
            per_streamed_token: SimDuration::ZERO,
            workers: 1,
        }
    }
}

/// What the deployment takes in; absent: everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AdmissionOptions {
    /// Most requests in the queues of all replicas together.
    pub max_queue: Option<u32>,
    /// Most requests on all replicas together.
    pub max_outstanding: Option<u32>,
    /// Clients give up so long after their arrival.
    pub timeout: Option<SimDuration>,
}

/// Order of a replica's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderOptions {
    /// First come, first served.
    #[default]
    Fcfs,
    /// By the level of `workload.priorities`.
    Priority,
    /// Shortest job first, as far as `length-predictor` knows.
    Sjf,
    /// Earliest deadline first, by the deadlines of `workload.priorities`.
    Edf,
}

/// What is known of an answer's length before it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LengthPredictor {
    /// Nothing: only the prompt is known.
    #[default]
    None,
    /// Its true length; marked in every report.
    Oracle,
}

/// Whether prompts may reuse KV of earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PrefixCache {
    /// Never.
    None,
    /// Full blocks by hash chain.
    Blocks,
}

/// What a step costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The fitted model of the accelerator and the engine.
    Roofline,
    /// The datasheet bound, no overheads: no real system is faster.
    Ideal,
    /// Measured step times: a CSV file, relative to the scenario's folder.
    Table(String),
}

/// Number formats.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrecisionOptions {
    /// Weights of the layers, and with them the arithmetic of their GEMMs.
    pub weights: Precision,
    /// Keys and values.
    pub kv: KvPrecision,
}

/// One system with all its layers merged.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SystemOptions {
    /// Where it was published.
    pub paper: Option<Paper>,
    /// What the preset leaves out, in a sentence.
    pub note: Option<String>,
    /// Architecture served.
    pub model: String,
    /// Accelerator type.
    pub accelerator: String,
    /// Engine profile.
    pub engine: String,
    /// Server around the accelerators (a host file).
    pub node: String,
    /// Equal replicas.
    pub replicas: u16,
    /// Ranks of each replica.
    pub parallel: Parallel,
    /// Which replica gets a request.
    pub router: RouterConfig,
    /// What stands before the router.
    pub front_end: FrontEndOptions,
    /// What the deployment takes in.
    #[serde(default)]
    pub admission: AdmissionOptions,
    /// Order of the queues.
    #[serde(default)]
    pub order: OrderOptions,
    /// What is known of lengths.
    #[serde(default)]
    pub length_predictor: LengthPredictor,
    /// Which replicas compute which phase of a request. Read before the rest: here it is always absent.
    pub placement: Option<PlacementOptions>,
    /// Whether running requests move between replicas. Read before the rest: here it is always absent.
    pub migration: Option<MigrationOptions>,
    /// Whether replicas fetch prefixes from each other. Read before the rest: here it is always absent.
    pub prefix_fetch: Option<PrefixFetchOptions>,
    /// KV tokens that count as used on a replica with a request of a priority level, by level (`freeness`). Read before
    /// the rest: here it is always absent.
    pub priority_headroom: Option<Vec<u32>>,
    /// When replicas are added and taken away. Read before the rest: here it is always absent.
    pub scaling: Option<ScalingOptions>,
    /// Replicas that fail. Read before the rest: here it is always absent.
    pub failures: Option<Vec<FailureOptions>>,
    /// Batch formation.
    pub scheduler: SchedulerConfig,
    /// KV memory.
    pub kv: KvOptions,
    /// Prefix reuse.
    pub prefix_cache: PrefixCache,
    /// Host memory per accelerator that keeps evicted prefix blocks; none: they are lost.
    pub host_cache: Option<Bytes>,
    /// Blocks per replica; else computed from the memory.
    pub kv_blocks: Option<u32>,
    /// Longest context served; else the model's.
    pub max_model_len: Option<u32>,
    /// Share of the visible memory the engine takes; else the engine's.
    pub gpu_memory_utilization: Option<f64>,
    /// `max_tokens` that the gateway of this system declares to the engine; else the client's.
    pub max_tokens: Option<MaxTokens>,
    /// What a step costs.
    pub backend: Backend,
    /// Number formats of weights and KV.
    pub precision: PrecisionOptions,
    /// Attention of steps that mix prefill and decode; else as the accelerator's law says.
    pub mixed_attention: Option<MixedAttention>,
}

/// `[deployment]`: read on its own so that its problems are named by its own path.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its types matter: the values are merged as a tree")]
pub struct DeploymentOptions {
    model: Option<String>,
    accelerator: Option<String>,
    engine: Option<String>,
    node: Option<String>,
    replicas: Option<u16>,
    groups: Option<Vec<GroupOptions>>,
    parallel: Option<Parallel>,
    router: Option<RouterConfig>,
    scaling: Option<ScalingOptions>,
    failures: Option<Vec<FailureOptions>>,
    admission: Option<AdmissionOptions>,
    front_end: Option<FrontEndOptions>,
    kv_blocks: Option<u32>,
    max_model_len: Option<u32>,
    gpu_memory_utilization: Option<f64>,
    max_tokens: Option<MaxTokens>,
    backend: Option<Backend>,
    precision: Option<PrecisionOptions>,
    mixed_attention: Option<MixedAttention>,
}

/// Keys of a system that `[deployment]` may set for all systems.
pub const DEPLOYMENT_KEYS: [&str; 19] = [
    "model",
    "accelerator",
    "engine",
    "node",
    "replicas",
    "groups",
    "parallel",
    "router",
    "scaling",
    "failures",
    "admission",
    "front-end",
    "kv-blocks",
    "max-model-len",
    "gpu-memory-utilization",
    "max-tokens",
    "backend",
    "precision",
    "mixed-attention",
];

/// Keys of a system that only presets and variants may set.
pub const SYSTEM_KEYS: [&str; 12] = [
    "scheduler",
    "order",
    "length-predictor",
    "kv",
    "prefix-cache",
    "host-cache",
    "placement",
    "migration",
    "prefix-fetch",
    "priority-headroom",
    "paper",
    "note",
];
