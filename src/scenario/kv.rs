//! KV memory of a replica: blocks from bytes, and the engine's view of them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::cost::{CostSpec, Limits, MemoryRequest, kv_blocks};
use crate::diagnostic::InputErrors;
use crate::engine::config::{Allocation, KvConfig, Preemption, ReserveRule};
use crate::policy::scheduler::SchedulerConfig;
use crate::units::Bytes;

use super::schema::{PrefixCache, SystemOptions, one};

/// How KV memory is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KvOptions {
    /// Blocks on demand.
    Paged(Paged),
    /// Everything a request may ever need, at admission.
    Reserve(Reserve),
}

/// What becomes of a victim's KV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PreemptionOptions {
    /// Dropped and computed again.
    Recompute,
    /// Moved to host memory while `swap-space` lasts.
    Swap,
}

/// Parameters of `kv.paged`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Paged {
    /// Tokens per block.
    pub block: u32,
    /// Share of the blocks that admission leaves free, in [0, 1).
    pub watermark: f64,
    /// What becomes of a victim.
    pub preemption: PreemptionOptions,
    /// Host memory per accelerator for swapped blocks.
    pub swap_space: Bytes,
    /// Blocks of the pool that no request ever gets (vLLM V1's null block).
    pub reserved_blocks: u32,
}

impl Default for Paged {
    fn default() -> Self {
        Paged {
            block: 16,
            watermark: 0.0,
            preemption: PreemptionOptions::Recompute,
            swap_space: Bytes(4.0 * 1_073_741_824.0),
            reserved_blocks: 0,
        }
    }
}

/// Parameters of `kv.reserve`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reserve {
    /// How much is reserved.
    pub rule: ReserveRule,
    /// Tokens per block; 1: slots.
    #[serde(default = "one")]
    pub block: u32,
}

/// How many blocks there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Blocks of the pool.
    pub blocks: u32,
    /// The calculation; none where the scenario says the number.
    pub reason: Option<String>,
}

/// Blocks that fit beside weights and everything else.
pub fn computed(spec: &CostSpec, options: &SystemOptions) -> Result<Capacity, InputErrors> {
    let limits = largest_step(&options.scheduler, spec.engine.limits(spec.accelerator.batch_class));
    let request = MemoryRequest { utilization: options.gpu_memory_utilization, limits, kv_blocks: None };
    let c = kv_blocks(spec, &request)?;
    let reason = format!(
        "({:.2} of {} visible − weights {} − activations {} − other {}) / {} per block of {} tokens",
        c.utilization, c.visible, c.weights, c.activations, c.other, c.block, c.block_tokens
    );
    Ok(Capacity { blocks: c.blocks, reason: Some(reason) })
}

/// The largest step a scheduler forms, for its activations; whole-batch schedulers count as the engine's default.
fn largest_step(scheduler: &SchedulerConfig, default: Limits) -> Limits {
    match scheduler {
        SchedulerConfig::Unified(p) => {
            Limits { token_budget: p.token_budget, max_sequences: p.max_sequences }
        }
        SchedulerConfig::Chunked(p) => {
            Limits { token_budget: p.token_budget, max_sequences: p.max_sequences }
        }
        SchedulerConfig::PrefillFirst(p) => {
            Limits { token_budget: p.token_budget, max_sequences: p.max_sequences }
        }
        SchedulerConfig::Clairvoyant(p) => {
            Limits { token_budget: p.token_budget, max_sequences: p.max_sequences }
        }
        SchedulerConfig::Iteration(p) => Limits { max_sequences: p.max_batch, ..default },
        SchedulerConfig::Static(p) => Limits { max_sequences: p.max_batch, ..default },
        SchedulerConfig::Ideal(_) => default,
    }
}

/// The engine's view of a pool of `blocks`.
pub fn config(options: &SystemOptions, spec: &CostSpec, blocks: u32) -> KvConfig {
    match options.kv {
        KvOptions::Paged(paged) => {
            let usable = blocks.saturating_sub(paged.reserved_blocks);
            KvConfig {
                block: paged.block,
                blocks: usable,
                allocation: Allocation::Paged { watermark: share(blocks, paged.watermark).min(usable) },
                preemption: preemption(&paged, spec),
                prefix_cache: options.prefix_cache == PrefixCache::Blocks,
            }
        }
        KvOptions::Reserve(reserve) => KvConfig {
            block: reserve.block,
            blocks,
            allocation: Allocation::Reserve(reserve.rule),
            preemption: Preemption::Recompute,
            prefix_cache: false,
        },
    }
}

/// `⌊blocks · share⌋`, as vLLM rounds its watermark.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "share is in [0, 1)")]
fn share(blocks: u32, share: f64) -> u32 {
    (f64::from(blocks) * share).floor() as u32
}

/// Blocks that fit into host memory of this size per accelerator.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just before")]
pub fn blocks_in(memory: Bytes, spec: &CostSpec) -> u32 {
    (memory.0 / spec.block_bytes().0).floor().clamp(0.0, f64::from(u32::MAX)) as u32
}

fn preemption(paged: &Paged, spec: &CostSpec) -> Preemption {
    match paged.preemption {
        PreemptionOptions::Recompute => Preemption::Recompute,
        PreemptionOptions::Swap => Preemption::Swap { host_blocks: blocks_in(paged.swap_space, spec) },
    }
}

impl super::plan::SystemPlan {
    /// Blocks that the scenario pins, those the memory model computes instead (none where nothing would be left), and
    /// the tokens of a block; absent where nothing is pinned.
    pub fn pinned_kv(&self) -> Option<(u32, Option<u32>, u32)> {
        let pinned = self.options.kv_blocks?;
        let options = SystemOptions { kv_blocks: None, ..self.options.clone() };
        Some((pinned, computed(&self.spec, &options).ok().map(|c| c.blocks), self.cluster.replica.kv.block))
    }
}
