//! KV memory of a replica: blocks from bytes, and the engine's view of them.

use crate::cost::{CostSpec, Limits, MemoryRequest, kv_blocks};
use crate::diagnostic::InputErrors;
use crate::engine::config::{Allocation, KvConfig, Preemption};
use crate::policy::scheduler::SchedulerConfig;
use crate::units::Bytes;

use super::schema::{KvOptions, Paged, PreemptionOptions, PrefixCache, SystemOptions};

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
