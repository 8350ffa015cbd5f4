//! Step shape + hardware + model + engine → duration, as canonical integers.
//!
//! Every term of a step's time is rounded to picoseconds once per pipeline stage, after multiplying by the stage's
//! layers; all later arithmetic is integer, so that `k` steps added one by one and `k` steps in closed form agree to
//! the picosecond. Equations: `docs/cost-model.md`.

mod collective;
mod datasheet;
mod engine_profile;
mod memo;
mod memory;
mod operators;
mod power;
mod precision;
mod roofline;
mod spec;
mod table;
mod table_file;
mod terms;
mod unit_work;

pub use datasheet::Datasheet;
pub use engine_profile::{
    Collectives, EngineMemory, EngineProfile, Graphs, HostMode, Limits, LimitsByClass, Overhead, Sampler,
};
pub use memory::{KvCapacity, MemoryRequest, kv_blocks};
pub use operators::{Attention, Bound, Operator, operators};
pub use power::StepPower;
pub use precision::{Arithmetic, KvPrecision, Precision};
pub use roofline::{ExactStep, Roofline};
pub use spec::{CostSpec, MixedAttention, Overrides, TensorNodes};
pub use table::TableCost;
pub use table_file::StepTable;
pub use unit_work::UnitWork;

use crate::units::SimDuration;

/// What the decoding sequences of one step look like to the cost model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeShape {
    /// Sequences that get one token each and attend to their context.
    pub n: u32,
    /// Finished sequences that still fill a slot of a static batch: they cost linear work but no attention.
    pub padding: u32,
    /// Σ over the `n` sequences of the tokens each attends to, its own new token included.
    pub context: u64,
}

/// A run of consecutive prompt tokens of one request that is computed in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Tokens computed in this step (padding of a padded batch included), at least 1.
    pub tokens: u32,
    /// Tokens of the same request whose KV exists already.
    pub past: u32,
}

/// One step of a batch: prompt chunks and decoding sequences together.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepShape<'a> {
    /// Prompt chunks, in plan order.
    pub chunks: &'a [Chunk],
    /// The decoding part.
    pub decode: DecodeShape,
}

/// Duration of one step on one pipeline stage, split by cause. The parts sum to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepTime {
    /// GEMMs, element-wise operators, lm_head, sampler.
    pub linear: SimDuration,
    /// Attention, prefill and decode.
    pub attention: SimDuration,
    /// Collectives inside the stage.
    pub link: SimDuration,
    /// Host time not hidden behind the accelerator, and what the engine's floor adds.
    pub host: SimDuration,
}

impl StepTime {
    /// The whole duration of the step on this stage, at least 1 ps.
    pub fn total(&self) -> SimDuration {
        self.gpu() + self.host
    }

    /// Time on the accelerator and its links.
    pub fn gpu(&self) -> SimDuration {
        self.linear + self.attention + self.link
    }
}

/// Decode-only steps of a fixed batch as a straight line in Σ context, valid up to `until`.
///
/// For every context sum `s` with `from ≤ s ≤ until` (where `from` is the sum it was asked for):
/// `decode(..).total() == total + total_slope·s` and `decode(..).gpu() == gpu + gpu_slope·s`, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Whole step at context sum 0 (the line's intercept, in ps).
    pub total: u64,
    /// ps per token of context.
    pub total_slope: u64,
    /// Accelerator part at context sum 0, in ps.
    pub gpu: u64,
    /// ps per token of context of the accelerator part.
    pub gpu_slope: u64,
    /// Constant part of `gpu` that is linear work, in ps (the rest, less `link`, is attention).
    pub linear: u64,
    /// Constant part of `gpu` that is collectives, in ps.
    pub link: u64,
    /// Largest context sum for which the line holds, at least the one it was asked for. A line without an end stops
    /// at 2^36 tokens, so that `total + total_slope·until` fits an u64; ask again there.
    pub until: u64,
}

/// Duration of steps on one replica. Implementations are pure functions of their arguments.
pub trait StepCost: Send + Sync {
    /// Pipeline stages of the replica, at least 1.
    fn stages(&self) -> u8 {
        1
    }

    /// Any step. Deterministic; `total ≥ 1 ps`.
    fn step(&self, stage: u8, shape: &StepShape<'_>) -> StepTime;

    /// The straight line that holds for decode-only steps at `shape` and larger context sums.
    ///
    /// Must equal `step` with no chunks to the picosecond for every context sum in `[shape.context, until]`.
    fn decode_segment(&self, stage: u8, shape: &DecodeShape) -> Segment;

    /// Shortest time that the datasheet allows for a step (FLOPs, weights and KV bytes); zero where nothing is known.
    fn bound(&self, _stage: u8, _shape: &StepShape<'_>) -> SimDuration {
        SimDuration::ZERO
    }

    /// What its steps draw; none where nothing is known.
    fn power(&self) -> Option<StepPower> {
        None
    }

    /// Time for the activations of `tokens` tokens to reach the next stage. Zero with one stage.
    fn hop(&self, _tokens: u32) -> SimDuration {
        SimDuration::ZERO
    }

    /// Time for the sampled tokens to return from the last stage to the first. Zero with one stage.
    fn token_return(&self) -> SimDuration {
        SimDuration::ZERO
    }

    /// Time to move `blocks` KV blocks between accelerator and host memory; the engine adds it to the step.
    fn swap(&self, blocks: u32) -> SimDuration;
}
