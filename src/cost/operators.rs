//! The operators of one step: FLOPs, bytes and which of the two bounds each, for the textbook roofline.
//!
//! One row per operator and layer, in the order of execution, on one GPU of a tensor-parallel group; the analysis of
//! "LLM Inference Unveiled" (arXiv 2402.16363) with all efficiencies 1. Unlike its tool this counts KV heads (not query
//! heads) for K and V traffic, head size (not context) for the attention output, the causal half of a prompt's scores,
//! the width of the MLP (not the hidden size) for its activation, and both inputs of a residual addition.
//! [`super::Roofline`] does not use this table: its constants belong to fused kernels.

use crate::hardware::{Accelerator, Rates};
use crate::units::Seconds;

use super::spec::{ACTIVATION_BYTES, HEAD_BYTES, Shard};
use super::{Arithmetic, CostSpec, StepShape};

/// Operations of a softmax per score: maximum, subtraction, exponential, sum, division (LLM-Viewer's count).
const SOFTMAX_OPS: f64 = 5.0;

/// Operations of a normalisation per element (LLM-Viewer's count, that of a LayerNorm).
const NORM_OPS: f64 = 7.0;

/// Operations of the MLP's activation per element of its width.
const ACTIVATION_OPS: f64 = 2.0;

/// How the scores of attention travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Scores are written to memory and read back: three operators.
    Unfused,
    /// One kernel (FlashAttention); K and V are read once, scores stay on the chip.
    Fused,
}

/// What takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// FLOPs.
    Compute,
    /// Bytes.
    Memory,
}

/// One operator of one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    /// Its name, such as `q_proj`.
    pub name: &'static str,
    /// How often the step runs it: once per layer of the stage, lm_head once.
    pub repeats: u32,
    /// Floating-point operations, one run.
    pub flops: f64,
    /// Weight bytes read, scales included.
    pub weights: f64,
    /// Activation bytes read and written.
    pub activations: f64,
    /// KV bytes read and written.
    pub kv: f64,
    /// Units that multiply.
    pub arithmetic: Arithmetic,
}

impl Operator {
    /// All bytes of one run.
    pub fn bytes(&self) -> f64 {
        self.weights + self.activations + self.kv
    }

    /// FLOPs per byte.
    pub fn intensity(&self) -> f64 {
        self.flops / self.bytes()
    }

    /// Peak of the operator's arithmetic and bandwidth by datasheet (16-bit peak where the maker promises no other).
    pub fn rates(&self, accelerator: &Accelerator) -> Rates {
        let sheet = &accelerator.datasheet;
        Rates { peak: self.arithmetic.peak(sheet).unwrap_or(sheet.bf16), bandwidth: sheet.bandwidth }
    }

    /// Which side of the roofline it is on; compute from the turning point `peak/bandwidth` on.
    pub fn bound(&self, rates: &Rates) -> Bound {
        let compute = self.flops / rates.peak.0 >= self.bytes() / rates.bandwidth.0;
        if compute { Bound::Compute } else { Bound::Memory }
    }

    /// `max(FLOPs/peak, bytes/bandwidth)` of one run.
    pub fn time(&self, rates: &Rates) -> Seconds {
        Seconds((self.flops / rates.peak.0).max(self.bytes() / rates.bandwidth.0))
    }
}

/// The table of one step on pipeline stage `stage`; empty where the stage does not exist.
pub fn operators(spec: &CostSpec, stage: u8, shape: &StepShape<'_>, attention: Attention) -> Vec<Operator> {
    let layers = spec.stage_layers();
    let Some(&here) = layers.get(usize::from(stage)) else { return Vec::new() };
    let shard = Shard::of(spec, here, usize::from(stage) + 1 == layers.len());
    let table = Table { spec, shard, repeats: here, tokens: tokens(shape) };
    let mut rows = table.attention_block(shape, attention);
    rows.extend(table.mlp_block());
    if shard.last {
        rows.push(table.lm_head(shape));
    }
    rows
}

/// Tokens of the step.
fn tokens(shape: &StepShape<'_>) -> f64 {
    let prompt: f64 = shape.chunks.iter().map(|c| f64::from(c.tokens)).sum();
    prompt + f64::from(shape.decode.n) + f64::from(shape.decode.padding)
}

struct Table<'a> {
    spec: &'a CostSpec,
    shard: Shard,
    repeats: u32,
    tokens: f64,
}

impl Table<'_> {
    fn row(&self, name: &'static str, flops: f64, activations: f64, kv: f64) -> Operator {
        let arithmetic = Arithmetic::Half;
        Operator { name, repeats: self.repeats, flops, weights: 0.0, activations, kv, arithmetic }
    }

    /// A projection from `k` to `n` wide; the output is written as activations, or as KV.
    fn linear(&self, name: &'static str, (n, k): (f64, f64), to_kv: bool) -> Operator {
        let (m, weights) = (self.tokens, self.spec.weights);
        let output = m * n;
        let (activations, kv) =
            if to_kv { (0.0, output * self.spec.kv.bytes()) } else { (output * ACTIVATION_BYTES, 0.0) };
        Operator {
            weights: n * k * weights.bytes(),
            arithmetic: weights.arithmetic(),
            ..self.row(name, 2.0 * m * n * k, m * k * weights.input_bytes() + activations, kv)
        }
    }

    /// Normalisation and residual: one read or two, one write, of the hidden state.
    fn hidden(&self, name: &'static str, ops: f64, reads: f64) -> Operator {
        let elements = self.tokens * self.shard.hidden;
        self.row(name, ops * elements, (reads + 1.0) * elements * ACTIVATION_BYTES, 0.0)
    }

    fn attention_block(&self, shape: &StepShape<'_>, attention: Attention) -> Vec<Operator> {
        let s = &self.shard;
        let (d, q, kv) = (s.hidden, s.heads * s.head_size, s.kv_heads * s.head_size);
        let mut rows = vec![
            self.hidden("attn_norm", NORM_OPS, 1.0),
            self.linear("q_proj", (q, d), false),
            self.linear("k_proj", (kv, d), true),
            self.linear("v_proj", (kv, d), true),
        ];
        let decode = shape.decode.context as f64;
        // Causal: a token of a chunk sees half of the chunk on average.
        let causal = |past: u32, tokens: u32| f64::from(tokens) * (f64::from(past) + f64::from(tokens) / 2.0);
        let pairs = decode + shape.chunks.iter().map(|c| causal(c.past, c.tokens)).sum::<f64>();
        let seen = decode + shape.chunks.iter().map(|c| f64::from(c.past) + f64::from(c.tokens)).sum::<f64>();
        let attending = self.tokens - f64::from(shape.decode.padding);
        let side = attending * q * ACTIVATION_BYTES;
        let scores = pairs * s.heads;
        let (product, softmax) = (2.0 * scores * s.head_size, SOFTMAX_OPS * scores);
        let half_kv = seen * s.kv_token_bytes / 2.0;
        match attention {
            Attention::Fused => {
                rows.push(self.row("attention", 2.0 * product + softmax, 2.0 * side, 2.0 * half_kv));
            }
            Attention::Unfused => {
                let score_bytes = scores * ACTIVATION_BYTES;
                rows.push(self.row("qk_matmul", product, side + score_bytes, half_kv));
                rows.push(self.row("softmax", softmax, 2.0 * score_bytes, 0.0));
                rows.push(self.row("sv_matmul", product, side + score_bytes, half_kv));
            }
        }
        rows.push(self.linear("o_proj", (d, q), false));
        rows.push(self.hidden("attn_add", 1.0, 2.0));
        rows
    }

    fn mlp_block(&self) -> Vec<Operator> {
        let (d, ff, up) = (self.shard.hidden, self.shard.ffn, self.shard.up);
        let wide = self.tokens * ff;
        let mut rows = vec![self.hidden("mlp_norm", NORM_OPS, 1.0)];
        if up > 1.0 {
            rows.push(self.linear("gate_proj", (ff, d), false));
        }
        rows.push(self.linear("up_proj", (ff, d), false));
        rows.push(self.row("mlp_act", ACTIVATION_OPS * wide, (up + 1.0) * wide * ACTIVATION_BYTES, 0.0));
        rows.push(self.linear("down_proj", (d, ff), false));
        rows.push(self.hidden("mlp_add", 1.0, 2.0));
        rows
    }

    /// The output projection of one token per sequence, 16 bit whatever the layers are.
    fn lm_head(&self, shape: &StepShape<'_>) -> Operator {
        let s = &self.shard;
        let logits = (shape.chunks.len() as f64 + f64::from(shape.decode.n + shape.decode.padding)).max(1.0);
        let bytes = logits * (s.hidden + s.vocabulary) * ACTIVATION_BYTES;
        Operator {
            repeats: 1,
            weights: s.vocabulary * s.hidden * HEAD_BYTES,
            ..self.row("lm_head", 2.0 * logits * s.vocabulary * s.hidden, bytes, 0.0)
        }
    }
}
