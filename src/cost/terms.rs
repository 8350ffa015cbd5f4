//! The equations of the fitted model in real seconds, for one pipeline stage (already multiplied by its layers).
//!
//! `docs/cost-model.md` lists them. Nothing here rounds; [`super::Roofline`] rounds each result once.

use crate::hardware::{Accelerator, PrefillLaw};
use crate::units::Seconds;

use super::collective::Group;
use super::spec::{ACTIVATION_BYTES, HEAD_BYTES, Shard};
use super::{Chunk, CostSpec, DecodeShape, MixedAttention, Precision};

/// Queries of one FA2 tile.
const TILE: u32 = 64;

/// Bytes of one logit that the sampler reads.
const LOGIT_BYTES: f64 = 4.0;

/// Constants of one stage, with efficiencies multiplied into the rates (FLOP/s, B/s, s).
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) shard: Shard,
    /// The layers' GEMMs, in the format of their weights.
    layer: Gemm,
    /// lm_head, always 16 bit.
    head: Gemm,
    ew0: f64,
    ew_bytes: f64,
    a0: f64,
    a1: f64,
    kv_bytes: f64,
    p0: f64,
    prefill: Prefill,
    /// Whether the accelerator's law of mixed batches applies, if it has one.
    one_kernel: bool,
    sms: f64,
    /// Last-level cache in bytes; infinite where none is given.
    l2: f64,
    group: Group,
    skew: f64,
    passes: f64,
}

/// The law of one GEMM row with rates.
#[derive(Clone, Copy, Debug)]
struct Gemm {
    flops: f64,
    bytes: f64,
    t0: f64,
    p: f64,
    /// Bytes of an element of the input.
    input: f64,
    /// Bytes of a weight, scales included.
    weight: f64,
}

impl Gemm {
    /// The 16-bit row, `p = 2`, on the basis of the accelerator's fits.
    fn half(acc: &Accelerator) -> Gemm {
        Gemm {
            flops: acc.basis.peak.0 * acc.gemm.ec,
            bytes: acc.basis.bandwidth.0 * acc.gemm.eb,
            t0: acc.gemm.t0.0,
            p: 2.0,
            input: ACTIVATION_BYTES,
            weight: HEAD_BYTES,
        }
    }

    /// The row of `precision`; the 16-bit one where that is asked for ([`CostSpec::check`] refuses a missing row).
    fn of(acc: &Accelerator, precision: Precision) -> Gemm {
        let peak = precision.arithmetic().peak(&acc.datasheet);
        let (Some(row), Some(peak)) = (precision.row(&acc.quantised), peak) else { return Gemm::half(acc) };
        Gemm {
            flops: peak.0 * row.ec,
            bytes: acc.datasheet.bandwidth.0 * row.eb,
            t0: row.t0.0,
            p: row.p,
            input: precision.input_bytes(),
            weight: precision.bytes(),
        }
    }

    /// `t0 + (compute^p + memory^p)^(1/p)`.
    fn time(&self, m: f64, (n, k): (f64, f64)) -> f64 {
        let compute = 2.0 * m * n * k / self.flops;
        let bytes = self.input * m * k + ACTIVATION_BYTES * m * n + self.weight * n * k;
        let memory = bytes / self.bytes;
        self.t0 + p_norm(compute, memory, self.p)
    }
}

/// `(a^p + b^p)^(1/p)`; 2 and 1 without powers, so that 16-bit times need no transcendental function.
fn p_norm(a: f64, b: f64, p: f64) -> f64 {
    if p == 2.0 {
        return (a * a + b * b).sqrt();
    }
    let (high, low) = (a.max(b), a.min(b));
    if p == 1.0 || high <= 0.0 {
        return high + low;
    }
    // Relative to the larger side: nothing underflows, and the result is never below it.
    high * libm::pow(1.0 + libm::pow(low / high, p), 1.0 / p).max(1.0)
}

/// [`PrefillLaw`] with rates.
#[derive(Clone, Copy, Debug)]
enum Prefill {
    Flops { flops: f64, bytes: f64 },
    Tiles { tau: f64, al: f64, pm0: f64, tau_m: f64, al_m: f64, l_m: f64 },
}

impl Terms {
    /// Terms of a stage of `layers` layers; the last one has lm_head and sampler.
    pub(crate) fn new(spec: &CostSpec, layers: u32, last: bool) -> Terms {
        let acc = &spec.accelerator;
        let (peak, bandwidth) = (acc.basis.peak.0, acc.basis.bandwidth.0);
        let prefill = match acc.attention.prefill {
            PrefillLaw::Flops { ep, epb } => Prefill::Flops { flops: peak * ep, bytes: bandwidth * epb },
            PrefillLaw::Tiles { tau, al, pm0, tau_m, al_m, l_m } => {
                Prefill::Tiles { tau: tau.0, al, pm0: pm0.0, tau_m: tau_m.0, al_m, l_m }
            }
        };
        Terms {
            shard: Shard::of(spec, layers, last),
            layer: Gemm::of(acc, spec.weights),
            head: Gemm::half(acc),
            ew0: acc.elementwise.ew0.0,
            ew_bytes: bandwidth * acc.elementwise.ee,
            a0: acc.attention.a0.0,
            a1: acc.attention.a1.0,
            kv_bytes: bandwidth * acc.attention.ea,
            p0: acc.attention.p0.0,
            prefill,
            one_kernel: spec.overrides.mixed_attention != Some(MixedAttention::Additive),
            sms: f64::from(acc.datasheet.sms),
            l2: acc.attention.l2.map_or(f64::INFINITY, |bytes| bytes.0),
            group: Group::of(spec),
            skew: spec.overrides.skew.unwrap_or(spec.engine.collectives.skew).0,
            passes: f64::from(spec.overrides.sampler_passes.unwrap_or(spec.engine.sampler.passes)),
        }
    }

    /// `L * (sum of 4 GEMM(m) + EW(m))`.
    pub(crate) fn linear(&self, m: u32) -> Seconds {
        let (s, m) = (&self.shard, f64::from(m));
        let gemms: f64 = s.gemms().into_iter().map(|shape| self.layer.time(m, shape)).sum();
        let heads = 2.0 * (s.heads + s.kv_heads) * s.head_size;
        let moved = ACTIVATION_BYTES * m * (7.0 * s.hidden + heads + s.ew_ffn * s.ffn);
        Seconds(s.layers * (gemms + self.ew0 + moved / self.ew_bytes))
    }

    /// `GEMM_lmhead(n_logits)` on the last stage, nothing on the others.
    pub(crate) fn lm_head(&self, logits: u32) -> Seconds {
        if !self.shard.last {
            return Seconds(0.0);
        }
        let shape = (self.shard.vocabulary, self.shard.hidden);
        Seconds(self.head.time(f64::from(logits.max(1)), shape))
    }

    /// `passes * n * vocabulary * 4 / (B*ee)` on the last stage.
    pub(crate) fn sampler(&self, logits: u32) -> Seconds {
        if !self.shard.last {
            return Seconds(0.0);
        }
        let vocabulary = self.shard.vocabulary * self.shard.tp;
        Seconds(self.passes * f64::from(logits) * vocabulary * LOGIT_BYTES / self.ew_bytes)
    }

    /// All-reduces of the stage: `L * 2 * AR(2*m*d)` with `TP > 1`.
    pub(crate) fn reduce(&self, m: u32) -> Seconds {
        let s = &self.shard;
        if s.tp <= 1.0 {
            return Seconds(0.0);
        }
        let bytes = ACTIVATION_BYTES * f64::from(m) * s.hidden;
        Seconds(s.layers * s.reduces * (self.group.all_reduce(bytes) + self.skew))
    }

    /// All-gather of the 16-bit logits for sampling.
    pub(crate) fn gather(&self, logits: u32) -> Seconds {
        let s = &self.shard;
        if !s.last || s.tp <= 1.0 || self.passes <= 0.0 {
            return Seconds(0.0);
        }
        let bytes = ACTIVATION_BYTES * f64::from(logits) * s.vocabulary * s.tp;
        Seconds(self.group.all_gather(bytes))
    }

    /// Decode attention without its context: `L * (a0 + a1*n*h)`.
    pub(crate) fn decode_base(&self, n: u32) -> Seconds {
        if n == 0 {
            return Seconds(0.0);
        }
        Seconds(self.shard.layers * (self.a0 + self.a1 * f64::from(n) * self.shard.heads))
    }

    /// Time to stream the KV of `tokens` tokens through all layers: `L * KVbytes/(B*ea)`.
    pub(crate) fn kv(&self, tokens: f64) -> Seconds {
        Seconds(self.shard.layers * tokens * self.shard.kv_token_bytes / self.kv_bytes)
    }

    /// Attention of chunks without decoding sequences.
    pub(crate) fn prefill(&self, chunks: &[Chunk]) -> Seconds {
        let s = &self.shard;
        let past: f64 = chunks.iter().map(|c| f64::from(c.past)).sum();
        let tokens: f64 = chunks.iter().map(|c| f64::from(c.tokens)).sum();
        let work = match self.prefill {
            Prefill::Flops { flops, bytes } => {
                let causal: f64 = chunks
                    .iter()
                    .map(|c| f64::from(c.tokens) * (f64::from(c.past) + f64::from(c.tokens) / 2.0))
                    .sum();
                let qkvo = 2.0 * s.head_size * (2.0 * s.heads + 2.0 * s.kv_heads) * tokens;
                let compute = 4.0 * s.heads * s.head_size * causal / flops;
                compute.max(past * s.kv_token_bytes / self.kv_bytes) + qkvo / bytes
            }
            Prefill::Tiles { tau, al, .. } => {
                let (tiles, seen) = tiles(chunks, al);
                let waves = (s.heads * tiles / self.sms).ceil();
                let mean = if tiles > 0.0 { seen / tiles } else { 0.0 };
                (tau * waves * mean).max((past + tokens) * s.kv_token_bytes / self.kv_bytes)
            }
        };
        Seconds(s.layers * (self.p0 + work))
    }

    /// Attention of chunks and decoding sequences in one FA2 kernel; `None` where they are simply added.
    pub(crate) fn mixed(&self, chunks: &[Chunk], decode: &DecodeShape) -> Option<Seconds> {
        let Prefill::Tiles { pm0, tau_m, al_m, l_m, .. } = self.prefill else {
            return None;
        };
        if !self.one_kernel {
            return None;
        }
        let (s, context) = (&self.shard, decode.context as f64);
        let (tiles, seen) = tiles(chunks, al_m);
        let longest = chunks
            .iter()
            .map(|c| f64::from(c.past) + f64::from(c.tokens))
            .fold(context / f64::from(decode.n.max(1)), f64::max);
        let work = tau_m * (s.heads * (seen + context) / self.sms).max(l_m * longest);
        // Not in the fit: KV has to be read, which keeps models with as many KV heads as heads above the datasheet.
        let prompts: f64 = chunks.iter().map(|c| f64::from(c.past) + f64::from(c.tokens)).sum();
        let kv = prompts + context * self.readings(f64::from(decode.n) + tiles, context);
        Some(Seconds(s.layers * (pm0 + work.max(kv * s.kv_token_bytes / self.kv_bytes))))
    }
}

impl Terms {
    /// How often a mixed FA2 batch reads the KV of its decoding sequences. Blocks run head by head: with `blocks` of a
    /// head, `sms/blocks` heads run together and share what they read; the others of the same KV head find it in the
    /// cache, or read it again where one KV head of all sequences does not fit.
    fn readings(&self, blocks: f64, context: f64) -> f64 {
        let s = &self.shard;
        if context * s.kv_token_bytes / s.kv_heads <= self.l2 {
            return 1.0;
        }
        let sharing = s.heads / s.kv_heads;
        (sharing * blocks / self.sms).clamp(1.0, sharing.max(1.0))
    }
}

/// Σ tiles and Σ tiles * (past + al * tokens).
fn tiles(chunks: &[Chunk], al: f64) -> (f64, f64) {
    chunks.iter().fold((0.0, 0.0), |(count, seen), c| {
        let tiles = f64::from(c.tokens.div_ceil(TILE));
        (count + tiles, seen + tiles * (f64::from(c.past) + al * f64::from(c.tokens)))
    })
}
