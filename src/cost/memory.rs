//! How many KV blocks one accelerator holds, and what takes the rest of its memory.

use crate::diagnostic::{InputError, InputErrors};
use crate::model::{Mlp, Model};
use crate::units::Bytes;

use super::spec::ACTIVATION_BYTES;
use super::{CostSpec, Limits};

/// Batch limits whose activations the engine's `other` already contains (those of vLLM 0.19 on an RTX 4090).
const OTHER_HOLDS: Limits = Limits { token_budget: 2048, max_sequences: 256 };

/// What decides the KV capacity besides the [`CostSpec`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryRequest {
    /// Share of the visible memory the engine may use, in (0, 1]; default: the engine profile's.
    pub utilization: Option<f64>,
    /// Largest step.
    pub limits: Limits,
    /// Capacity given explicitly (`kv-blocks`); wins over the computed one.
    pub kv_blocks: Option<u32>,
}

/// The memory of one accelerator, for `explain`: `budget - weights - activations - other` is what KV gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KvCapacity {
    /// What the driver shows (nvidia-smi).
    pub visible: Bytes,
    /// Share of it that the engine uses.
    pub utilization: f64,
    /// Weights on one accelerator.
    pub weights: Bytes,
    /// Activations beyond those that `other` contains.
    pub activations: Bytes,
    /// Engine and communicator buffers.
    pub other: Bytes,
    /// Left for KV.
    pub kv: Bytes,
    /// One block on one accelerator.
    pub block: Bytes,
    /// Tokens of one block.
    pub block_tokens: u32,
    /// Blocks that fit by this sum; 0 where nothing is left.
    pub computed: u32,
    /// Blocks in use: the explicit number, or `computed`.
    pub blocks: u32,
}

impl KvCapacity {
    /// Tokens that the blocks in use hold.
    pub fn tokens(&self) -> u64 {
        u64::from(self.blocks) * u64::from(self.block_tokens)
    }
}

/// KV capacity of one replica: the explicit number, else `floor((util*visible - weights/(tp*pp) - activations -
/// other)/block)` (design.md §7, cost-model.md §1.6).
pub fn kv_blocks(spec: &CostSpec, request: &MemoryRequest) -> Result<KvCapacity, InputErrors> {
    spec.check()?;
    let memory = &spec.engine.memory;
    let utilization = request.utilization.unwrap_or(memory.utilization);
    if !(utilization > 0.0 && utilization <= 1.0) {
        let message = format!("must be in (0, 1], got {utilization}");
        return Err(InputError::named("memory utilization", message, "write it as a fraction of 1").into());
    }
    let gpus = f64::from(spec.tensor_parallel) * f64::from(spec.pipeline);
    let visible = spec.accelerator.datasheet.visible_memory;
    let weights = spec.model.weights(spec.weights.bytes()).0 / gpus;
    let tp = f64::from(spec.tensor_parallel);
    let held = activation_bytes(&spec.model, tp, OTHER_HOLDS);
    let activations = (activation_bytes(&spec.model, tp, request.limits) - held).max(0.0);
    let other = memory.other.0 + if gpus > 1.0 { memory.collectives.0 } else { 0.0 };
    let kv = (visible.0 * utilization - weights - activations - other).max(0.0);
    let block = spec.block_bytes();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "floor of a small positive number"
    )]
    let computed = (kv / block.0).min(f64::from(u32::MAX)) as u32;
    let capacity = KvCapacity {
        visible,
        utilization,
        weights: Bytes(weights),
        activations: Bytes(activations),
        other: Bytes(other),
        kv: Bytes(kv),
        block,
        block_tokens: spec.kv_block,
        computed,
        blocks: request.kv_blocks.unwrap_or(computed),
    };
    if capacity.blocks == 0 {
        return Err(no_room(spec, &capacity).into());
    }
    Ok(capacity)
}

fn no_room(spec: &CostSpec, c: &KvCapacity) -> InputError {
    InputError::named(
        format!("{} on {}", spec.model.name, spec.accelerator.name),
        format!(
            "no KV block fits: {:.2} of {} leave nothing after weights {}, activations {}, other {}",
            c.utilization, c.visible, c.weights, c.activations, c.other
        ),
        "raise `parallel.tp` or `parallel.pp`, choose a larger accelerator or a smaller model",
    )
}

/// Peak activations of a step: the widest point of one layer, and the logits with their 4-byte copy (derived, not
/// fitted; cost-model.md gives no formula).
fn activation_bytes(model: &Model, tp: f64, limits: Limits) -> f64 {
    let widths = match model.mlp {
        Mlp::Glu => 3.0,
        Mlp::Mlp2 => 2.0,
    };
    let token = ACTIVATION_BYTES * (2.0 * f64::from(model.hidden) + widths * f64::from(model.ffn) / tp);
    let logits = (ACTIVATION_BYTES + 4.0) * f64::from(model.vocabulary);
    token * f64::from(limits.token_budget) + logits * f64::from(limits.max_sequences)
}
