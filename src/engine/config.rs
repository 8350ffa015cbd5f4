//! What one deployment is made of, fully resolved: every default is visible, every unit is gone.

use crate::ids::ReplicaId;
use crate::policy::order::Order;
use crate::policy::router::RouterConfig;
use crate::policy::scheduler::SchedulerConfig;
use crate::units::{SimDuration, SimTime};

/// How much KV memory an admitted request is given at once when allocation reserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReserveRule {
    /// Prompt plus the client's `max_tokens` (Orca's paper).
    MaxTokens,
    /// The longest context the model serves (Orca (Max) of vLLM's paper; FasterTransformer).
    MaxModelLen,
    /// Prompt plus the true output rounded up to a power of two (Orca (Pow2)).
    Pow2,
    /// Prompt plus the true output (Orca (Oracle)). Marked as an oracle in reports.
    Exact,
    /// `Pow2` in one piece of a buddy allocator: the whole rounded up to a power of two, at most the longest context.
    /// The holes between pieces (external fragmentation) are not modelled.
    BuddyPow2,
    /// `Exact` in one piece of a buddy allocator.
    BuddyExact,
}

/// Where KV lives and how it is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// Blocks on demand; admission keeps `watermark` blocks free where the scheduler asks for it.
    Paged {
        /// Blocks that admission leaves free.
        watermark: u32,
    },
    /// Everything a request may ever need, at admission.
    Reserve(ReserveRule),
}

impl Allocation {
    /// The rule of a reservation; none on demand.
    pub fn rule(&self) -> Option<ReserveRule> {
        match self {
            Allocation::Paged { .. } => None,
            Allocation::Reserve(rule) => Some(*rule),
        }
    }
}

/// What happens to the KV of a preempted request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preemption {
    /// Dropped; prompt and generated tokens are computed again.
    Recompute,
    /// Moved to `host_blocks` blocks of host memory, all or nothing; dropped where they do not fit.
    Swap {
        /// Blocks of host memory.
        host_blocks: u32,
    },
}

/// The KV memory of one replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvConfig {
    /// Tokens per block, at least 1.
    pub block: u32,
    /// Blocks that requests can use, at least 1.
    pub blocks: u32,
    /// On demand or reserved.
    pub allocation: Allocation,
    /// What a victim's KV becomes.
    pub preemption: Preemption,
    /// Whether full blocks stay findable by their hash chain (`prefix-cache = "blocks"`).
    pub prefix_cache: bool,
}

/// Which phases of a request a replica computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Both, the whole life of a request.
    #[default]
    Whole,
    /// Prompts; their KV is handed over to a replica that decodes.
    Prefill,
    /// Answers to prompts that came with their KV (and what a preemption makes it compute again).
    Decode,
}

/// Where the first token of an answer is sampled when prefill and decode are apart.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FirstToken {
    /// By the step that completes the prompt (DistServe, Splitwise, Mooncake): the transfer is in the second token's gap.
    #[default]
    Prefill,
    /// By the decode replica, which computes the last prompt token again (vLLM's connectors): the transfer is in TTFT.
    Decode,
}

/// How a request gets from its prefill to its decode replica.
#[derive(Clone, Debug, PartialEq)]
pub struct HandOver {
    /// Which decode replica gets a request whose prompt is complete.
    pub router: RouterConfig,
    /// Who samples the first token.
    pub first_token: FirstToken,
    /// Only decode replicas on a server of the prefill replica are chosen from, where there is one.
    pub same_server: bool,
    /// A decode replica takes no further request while those that it has taken and that do not run yet hold this share of
    /// its blocks, in thousandths.
    pub queue_share: u32,
    /// A prompt for which its prefill replica has more than so many prompt tokens to compute (its own included) goes to a
    /// replica of the mixed pool (of role `Whole`), if one has fewer.
    pub mixed_above: u64,
    /// KV is sent layer by layer while the last chunk of a prompt is computed.
    pub overlap: Option<Overlap>,
}

/// Which KV is sent layer by layer, and how many layers that are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// That of prompts of at least so many tokens.
    pub from_tokens: u32,
    /// Layers of the model, at least 1.
    pub layers: u32,
}

/// How a running request gets to another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationKind {
    /// Its KV is copied while it goes on decoding; it stands still for the last blocks only (Llumnix).
    Live,
    /// It stands still while all of its KV is copied.
    Blocking,
    /// Its KV is dropped, and computed again there.
    Recompute,
}

/// When running requests move between replicas, and how (docs/semantics.md §14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// What a move is.
    pub kind: MigrationKind,
    /// How often replicas are paired.
    pub period: SimDuration,
    /// Requests leave replicas whose freeness is below this, in blocks per request.
    pub out_below: i64,
    /// They go to replicas whose freeness is above this, in blocks per request.
    pub in_above: i64,
    /// A live move stops its request when at most so many blocks are left to copy.
    pub last_stage_blocks: u32,
    /// A live move is given up after so many copies that left more than that.
    pub max_stages: u32,
}

/// A replica that fails (docs/semantics.md §15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which one.
    pub replica: ReplicaId,
    /// From when on it does nothing.
    pub at: SimTime,
    /// How long after that the router knows, and sends its requests elsewhere.
    pub detection: SimDuration,
    /// How long it takes until it is up again.
    pub repair: SimDuration,
}

/// How many messages a transfer takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Whatever its size.
    pub fixed: u64,
    /// For each block.
    pub per_block: u64,
}

impl Messages {
    /// Those of a transfer of `blocks` blocks.
    pub fn of(&self, blocks: u32) -> u64 {
        self.fixed + self.per_block * u64::from(blocks)
    }
}

/// How flows share a port.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// Max-min fair.
    #[default]
    Fair,
    /// One at a time, in order of their start.
    Fifo,
}

/// The links between replicas: ports with a rate, and which of them a flow goes through.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Bytes per second of each port, at least 1.
    pub ports: Vec<u64>,
    /// Name of each port, such as `server 0 out`.
    pub names: Vec<String>,
    /// Where each replica is attached, by replica.
    pub attached: Vec<Attachment>,
    /// Of one message between servers.
    pub network_latency: SimDuration,
    /// Of one message inside a server.
    pub inside_latency: SimDuration,
    /// How flows share a port.
    pub sharing: Sharing,
    /// KV of one block on all layers and shards together, in bytes.
    pub block_bytes: u64,
    /// Messages of a transfer of `b` blocks: `fixed + per_block · b`, each of which takes the link's latency in turn.
    pub messages: Messages,
}

/// The ports of one replica: indices into [`Network::ports`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Server of its first accelerator.
    pub server: u32,
    /// To other servers.
    pub network_out: u32,
    /// From other servers.
    pub network_in: u32,
    /// To replicas of its server.
    pub inside_out: u32,
    /// From replicas of its server.
    pub inside_in: u32,
}

/// The way of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Ports it goes through: one out, one in.
    pub ports: [u32; 2],
    /// Of one message.
    pub latency: SimDuration,
}

impl Network {
    /// The way from one replica to another.
    pub fn path(&self, from: ReplicaId, to: ReplicaId) -> Path {
        let (a, b) = (&self.attached[from.index()], &self.attached[to.index()]);
        if a.server == b.server {
            Path { ports: [a.inside_out, b.inside_in], latency: self.inside_latency }
        } else {
            Path { ports: [a.network_out, b.network_in], latency: self.network_latency }
        }
    }
}

/// One engine replica.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaConfig {
    /// Batch formation.
    pub scheduler: SchedulerConfig,
    /// KV memory.
    pub kv: KvConfig,
    /// Longest context (prompt + output) that a request may reach here; see `effective_limit`.
    pub max_model_len: u32,
    /// The host sees a stop one step late: a finished request fills one more step (overlapped engines, one stage).
    pub late_stop: bool,
    /// Queue order; anything but first come, first served needs a scheduler that `allows_order`.
    pub order: Order,
    /// Prefix blocks that host memory keeps when they are evicted; 0: none. Needs the prefix cache.
    pub host_cache: u32,
}

impl ReplicaConfig {
    /// Longest context that is served: the model's, or less where the KV memory cannot hold it, so that every
    /// admitted request can finish alone.
    pub fn effective_limit(&self) -> u32 {
        let usable = match self.kv.allocation {
            Allocation::Paged { watermark } => self.kv.blocks.saturating_sub(watermark),
            Allocation::Reserve(_) => self.kv.blocks,
        };
        self.max_model_len.min(usable.saturating_mul(self.kv.block))
    }
}

/// The FCFS server before the router: tokenisation, HTTP, streaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrontEnd {
    /// Service time per request.
    pub per_request: SimDuration,
    /// Service time per prompt token.
    pub per_prompt_token: SimDuration,
    /// Delay of each streamed token on its way to the client.
    pub per_streamed_token: SimDuration,
    /// Parallel workers, at least 1.
    pub workers: u16,
    /// Who is let in, and how long clients wait.
    pub admission: Admission,
}

/// What the deployment as a whole takes in. All limits absent: everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// A request is turned away where so many wait in the queues of all replicas together.
    pub max_queue: Option<u32>,
    /// A request is turned away where so many are on all replicas together, waiting or not.
    pub max_outstanding: Option<u32>,
    /// Clients give up so long after their arrival, if they do not have their last token.
    pub timeout: Option<SimDuration>,
}

impl Admission {
    /// No limit.
    pub const OPEN: Admission = Admission { max_queue: None, max_outstanding: None, timeout: None };
}

impl FrontEnd {
    /// A front end that takes no time.
    pub const NONE: FrontEnd = FrontEnd {
        per_request: SimDuration::ZERO,
        per_prompt_token: SimDuration::ZERO,
        per_streamed_token: SimDuration::ZERO,
        workers: 1,
        admission: Admission::OPEN,
    };
}

/// A deployment of equal replicas.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterConfig {
    /// Every replica.
    pub replica: ReplicaConfig,
    /// How many, at least 1.
    pub replicas: u16,
    /// Which replica gets a request.
    pub router: RouterConfig,
    /// What stands before the router.
    pub front_end: FrontEnd,
}
