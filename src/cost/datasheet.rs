//! The datasheet roofline: the `ideal` backend, and the bound that no step may beat (invariant I5).

use crate::diagnostic::InputErrors;
use crate::units::{Seconds, SimDuration};

use super::roofline::{CONTEXT_END, ps};
use super::spec::{HEAD_BYTES, Shard};
use super::{CostSpec, DecodeShape, Segment, StepCost, StepShape, StepTime};

/// `max(FLOPs / peak, (weight bytes + KV bytes) / bandwidth)` per step and stage, from the datasheet alone.
///
/// Nothing else takes time: no host, no links between GPUs, no activations, no fixed time of a kernel.
#[derive(Debug)]
pub struct Datasheet {
    stages: Vec<Stage>,
    swap_block: u64,
}

#[derive(Clone, Debug)]
struct Stage {
    shard: Shard,
    peak: f64,
    /// 16-bit peak over that of the layers' GEMMs: 1 for 16-bit weights.
    gemm_share: f64,
    bandwidth: f64,
    /// Weights of the stage on one GPU over the bandwidth, ps.
    weights: u64,
    /// Attention FLOPs per token of context over the peak, ps, at least 1.
    compute_slope: u64,
    /// KV bytes per token of context over the bandwidth, ps, at least 1.
    memory_slope: u64,
}

impl Stage {
    /// GEMM FLOPs of `m` tokens and `logits` rows of lm_head, those of narrow formats as 16-bit FLOPs of equal time.
    fn gemm_flops(&self, m: u32, logits: u32) -> f64 {
        let s = &self.shard;
        let head = if s.last { f64::from(logits) * s.vocabulary * s.hidden } else { 0.0 };
        2.0 * (f64::from(m) * s.layers * s.layer_elements() * self.gemm_share + head)
    }

    /// Causal attention FLOPs of the chunks.
    fn chunk_flops(&self, shape: &StepShape<'_>) -> f64 {
        let s = &self.shard;
        let pairs = |past: u32, tokens: u32| f64::from(tokens) * (f64::from(past) + f64::from(tokens) / 2.0);
        let causal: f64 = shape.chunks.iter().map(|c| pairs(c.past, c.tokens)).sum();
        s.layers * 4.0 * s.heads * s.head_size * causal
    }

    /// Constant and slope in Σ context of (GEMM compute, attention compute, KV of the chunks), ps.
    fn fixed(&self, shape: &StepShape<'_>) -> (u64, u64, u64) {
        let (m, logits) = tokens_and_logits(shape);
        let tokens: u64 = shape.chunks.iter().map(|c| u64::from(c.past) + u64::from(c.tokens)).sum();
        (
            ps(Seconds(self.gemm_flops(m, logits) / self.peak)),
            ps(Seconds(self.chunk_flops(shape) / self.peak)),
            self.memory_slope * tokens,
        )
    }
}

fn tokens_and_logits(shape: &StepShape<'_>) -> (u32, u32) {
    let decode = shape.decode.n + shape.decode.padding;
    let chunks = u32::try_from(shape.chunks.len()).unwrap_or(u32::MAX);
    let m = shape.chunks.iter().map(|c| c.tokens).sum::<u32>() + decode;
    (m.max(1), (chunks + decode).max(1))
}

impl Datasheet {
    /// The bound of one replica.
    pub fn new(spec: &CostSpec) -> Result<Datasheet, InputErrors> {
        spec.check()?;
        let sheet = &spec.accelerator.datasheet;
        // `check` has refused a format without a peak.
        let gemm_peak = spec.weights.arithmetic().peak(sheet).unwrap_or(sheet.bf16);
        let layers = spec.stage_layers();
        let stages = layers.iter().enumerate().map(|(i, &here)| {
            let shard = Shard::of(spec, here, i + 1 == layers.len());
            let head = if shard.last { shard.vocabulary * shard.hidden * HEAD_BYTES } else { 0.0 };
            let weights = shard.layers * shard.layer_elements() * shard.weight_bytes + head;
            let flops = shard.layers * 4.0 * shard.heads * shard.head_size;
            Stage {
                weights: ps(Seconds(weights / sheet.bandwidth.0)),
                compute_slope: ps(Seconds(flops / sheet.bf16.0)).max(1),
                memory_slope: ps(Seconds(shard.layers * shard.kv_token_bytes / sheet.bandwidth.0)).max(1),
                peak: sheet.bf16.0,
                gemm_share: sheet.bf16.0 / gemm_peak.0,
                bandwidth: sheet.bandwidth.0,
                shard,
            }
        });
        Ok(Datasheet {
            stages: stages.collect(),
            swap_block: ps(spec.block_bytes() / spec.host_bandwidth()).max(1),
        })
    }

    /// The two sides of the roofline in real seconds, before any rounding: (compute, memory).
    pub fn terms(&self, stage: u8, shape: &StepShape<'_>) -> (Seconds, Seconds) {
        let s = &self.stages[usize::from(stage)];
        let (m, logits) = tokens_and_logits(shape);
        let d = &s.shard;
        let context = shape.decode.context as f64;
        let decode = d.layers * 4.0 * d.heads * d.head_size * context;
        let flops = s.gemm_flops(m, logits) + s.chunk_flops(shape) + decode;
        let chunks: f64 = shape.chunks.iter().map(|c| f64::from(c.past) + f64::from(c.tokens)).sum();
        let head = if d.last { d.vocabulary * d.hidden * HEAD_BYTES } else { 0.0 };
        let weights = d.layers * d.layer_elements() * d.weight_bytes + head;
        let kv = d.layers * d.kv_token_bytes * (context + chunks);
        (Seconds(flops / s.peak), Seconds((weights + kv) / s.bandwidth))
    }
}

impl StepCost for Datasheet {
    fn stages(&self) -> u8 {
        u8::try_from(self.stages.len()).unwrap_or(u8::MAX)
    }

    fn step(&self, stage: u8, shape: &StepShape<'_>) -> StepTime {
        let s = &self.stages[usize::from(stage)];
        let (gemm, chunk, chunk_kv) = s.fixed(shape);
        let compute = chunk + s.compute_slope * shape.decode.context;
        let kv = chunk_kv + s.memory_slope * shape.decode.context;
        let (linear, attention) =
            if gemm + compute >= s.weights + kv { (gemm, compute) } else { (s.weights, kv) };
        StepTime {
            linear: SimDuration::from_ps(linear),
            attention: SimDuration::from_ps(attention),
            ..StepTime::default()
        }
    }

    fn decode_segment(&self, stage: u8, shape: &DecodeShape) -> Segment {
        let s = &self.stages[usize::from(stage)];
        let (gemm, _, _) = s.fixed(&StepShape { chunks: &[], decode: *shape });
        let compute = (gemm, s.compute_slope);
        let memory = (s.weights, s.memory_slope);
        let at = |line: (u64, u64)| line.0 + line.1 * shape.context;
        let (above, below) = if at(compute) >= at(memory) { (compute, memory) } else { (memory, compute) };
        // The upper line stays the upper one up to the largest S with above >= below.
        let until = match below.1.checked_sub(above.1) {
            Some(gain) if gain > 0 => (above.0 - below.0) / gain,
            _ => CONTEXT_END.max(shape.context),
        };
        Segment {
            total: above.0,
            total_slope: above.1,
            gpu: above.0,
            gpu_slope: above.1,
            linear: above.0,
            link: 0,
            until,
        }
    }

    fn swap(&self, blocks: u32) -> SimDuration {
        SimDuration::from_ps(self.swap_block) * u64::from(blocks)
    }
}
