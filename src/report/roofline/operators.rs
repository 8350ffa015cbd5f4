//! The rows: one operator of one step each.

use crate::cost::{Chunk, CostSpec, DecodeShape, Roofline, StepShape};
use crate::diagnostic::InputErrors;
use crate::hardware::PrefillLaw;
use crate::model::Mlp;

/// Bytes of an activation element and of an lm_head weight.
const ACTIVATION: f64 = 2.0;

/// What an operator waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Matrix units.
    Compute,
    /// Device memory.
    Memory,
    /// Fixed times: launch, synchronisation.
    Latency,
    /// Links to other accelerators.
    Link,
    /// The host.
    Host,
}

impl Bound {
    /// In tables.
    pub fn name(self) -> &'static str {
        match self {
            Bound::Compute => "compute",
            Bound::Memory => "memory",
            Bound::Latency => "latency",
            Bound::Link => "link",
            Bound::Host => "host",
        }
    }
}

/// One operator of a step, over all layers, on one accelerator.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// `qkv`, `o`, `gate/up` …
    pub name: &'static str,
    /// Floating-point operations; 0 where there are none worth counting.
    pub flops: f64,
    /// Bytes through device memory (over links for collectives).
    pub bytes: f64,
    /// Seconds by the fitted model.
    pub seconds: f64,
    /// What takes the largest part of them.
    pub bound: Bound,
}

impl Operator {
    /// FLOPs per byte; none without FLOPs.
    pub fn intensity(&self) -> Option<f64> {
        (self.flops > 0.0 && self.bytes > 0.0).then(|| self.flops / self.bytes)
    }

    /// FLOP/s reached; none without FLOPs.
    pub fn rate(&self) -> Option<f64> {
        (self.flops > 0.0 && self.seconds > 0.0).then(|| self.flops / self.seconds)
    }
}

/// A step and its operators.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// `prefill of 2048 tokens`, `decode of 64 sequences`.
    pub name: String,
    /// Decoding sequences; none for a prefill.
    pub decode: Option<u32>,
    /// In the order of the layer.
    pub operators: Vec<Operator>,
}

impl Step {
    /// Seconds of the whole step.
    pub fn seconds(&self) -> f64 {
        self.operators.iter().map(|o| o.seconds).sum()
    }

    /// FLOPs of the whole step on one accelerator.
    pub fn flops(&self) -> f64 {
        self.operators.iter().map(|o| o.flops).sum()
    }
}

/// A prefill and decodes of several batch sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// Prefill first, then decodes with rising batch.
    pub steps: Vec<Step>,
    /// Least sequences whose up-projection is bound by compute; none below 8192.
    pub ridge_batch: Option<u32>,
}

/// Operators of a prefill of `prompt` tokens and of decodes with `context` tokens of context each.
pub fn steps(spec: &CostSpec, prompt: u32, context: u32, batches: &[u32]) -> Result<Steps, InputErrors> {
    let cost = Roofline::new(spec)?;
    let layer = Layer::new(spec);
    let chunk = [Chunk { tokens: prompt, past: 0 }];
    let prefill = StepShape { chunks: &chunk, decode: DecodeShape::default() };
    let mut steps = vec![layer.step(&cost, format!("prefill of {prompt} tokens"), None, &prefill)];
    for &n in batches {
        let decode = DecodeShape { n, padding: 0, context: u64::from(n) * u64::from(context) };
        let name = format!("decode of {n} sequence{}", if n == 1 { "" } else { "s" });
        steps.push(layer.step(&cost, name, Some(n), &StepShape { chunks: &[], decode }));
    }
    let compute =
        |m: &u32| layer.gemm("", f64::from(*m), layer.gemms()[2].1, 1.0, 2.0).bound == Bound::Compute;
    Ok(Steps { steps, ridge_batch: (1..8192).find(compute) })
}

/// Dimensions and rates of one accelerator.
struct Layer<'a> {
    spec: &'a CostSpec,
    layers: f64,
    tp: f64,
    hidden: f64,
    heads: f64,
    kv_heads: f64,
    head_size: f64,
    ffn: f64,
    up: f64,
}

impl<'a> Layer<'a> {
    fn new(spec: &'a CostSpec) -> Self {
        let (m, tp) = (&spec.model, f64::from(spec.tensor_parallel));
        let up = match m.mlp {
            Mlp::Glu => 2.0,
            Mlp::Mlp2 => 1.0,
        };
        Layer {
            spec,
            layers: f64::from(m.layers),
            tp,
            hidden: f64::from(m.hidden),
            heads: f64::from(m.heads) / tp,
            kv_heads: f64::from(m.kv_heads.div_ceil(spec.tensor_parallel)),
            head_size: f64::from(m.head_size),
            ffn: f64::from(m.ffn) / tp,
            up,
        }
    }

    /// The GEMMs of a layer: name, (n, k).
    fn gemms(&self) -> [(&'static str, (f64, f64)); 4] {
        let (d, q) = (self.hidden, self.heads * self.head_size);
        let up = if self.up > 1.0 { "gate/up" } else { "up" };
        let qkv = (self.heads + 2.0 * self.kv_heads) * self.head_size;
        [("qkv", (qkv, d)), ("o", (d, q)), (up, (self.up * self.ffn, d)), ("down", (d, self.ffn))]
    }

    /// `times` GEMMs of `m` tokens.
    fn gemm(&self, name: &'static str, m: f64, (n, k): (f64, f64), times: f64, weight: f64) -> Operator {
        let (acc, fit) = (&self.spec.accelerator, &self.spec.accelerator.gemm);
        let flops = 2.0 * m * n * k;
        let bytes = ACTIVATION * (m * k + m * n) + weight * n * k;
        let compute = flops / (acc.basis.peak.0 * fit.ec);
        let memory = bytes / (acc.basis.bandwidth.0 * fit.eb);
        let roof = (compute * compute + memory * memory).sqrt();
        let bound = match (fit.t0.0 > roof, compute >= memory) {
            (true, _) => Bound::Latency,
            (false, true) => Bound::Compute,
            (false, false) => Bound::Memory,
        };
        let seconds = times * (fit.t0.0 + roof);
        Operator { name, flops: times * flops, bytes: times * bytes, seconds, bound }
    }

    /// The size that linear parts cost: the next captured graph.
    fn padded(&self, m: u32) -> f64 {
        let sizes = self.spec.engine.graphs.as_ref().map_or(&[][..], |g| &g.sizes);
        f64::from(sizes.iter().copied().find(|s| *s >= m).unwrap_or(m))
    }

    fn step(&self, cost: &Roofline, name: String, decode: Option<u32>, shape: &StepShape<'_>) -> Step {
        let exact = cost.exact(0, shape);
        let sequences = decode.unwrap_or(1);
        let tokens = shape.chunks.iter().map(|c| c.tokens).sum::<u32>() + shape.decode.n;
        let m = self.padded(tokens);
        let weight = self.spec.weights.bytes();
        let mut operators: Vec<Operator> =
            self.gemms().into_iter().map(|(name, nk)| self.gemm(name, m, nk, self.layers, weight)).collect();
        let gemms: f64 = operators.iter().map(|o| o.seconds).sum();
        operators.insert(1, self.attention(shape, exact.attention.0));
        operators.push(self.elementwise(m, (exact.linear.0 - gemms).max(0.0)));
        if self.tp > 1.0 {
            operators.push(self.all_reduce(m, exact.all_reduce.0));
        }
        let head = (f64::from(self.spec.model.vocabulary) / self.tp, self.hidden);
        let logits = if m > f64::from(tokens) { self.padded(sequences) } else { f64::from(sequences) };
        let mut head = self.gemm("lm_head", logits, head, 1.0, 2.0);
        head.seconds = exact.lm_head.0;
        operators.push(head);
        for (name, seconds, bound) in
            [("sampler", exact.sampler.0, Bound::Memory), ("host", exact.host.0, Bound::Host)]
        {
            if seconds > 0.0 {
                operators.push(Operator { name, flops: 0.0, bytes: 0.0, seconds, bound });
            }
        }
        Step { name, decode, operators }
    }

    /// Attention of chunks or of decoding sequences, whose time the cost model gives.
    fn attention(&self, shape: &StepShape<'_>, seconds: f64) -> Operator {
        let (acc, fit) = (&self.spec.accelerator, &self.spec.accelerator.attention);
        let kv = 2.0 * self.spec.kv.bytes() * self.kv_heads * self.head_size;
        let queries =
            shape.chunks.iter().map(|c| f64::from(c.tokens)).sum::<f64>() + f64::from(shape.decode.n);
        let seen = shape.chunks.iter().map(|c| f64::from(c.past) + f64::from(c.tokens)).sum::<f64>()
            + shape.decode.context as f64;
        let pairs = |c: &Chunk| f64::from(c.tokens) * (f64::from(c.past) + f64::from(c.tokens) / 2.0);
        let pairs = shape.chunks.iter().map(pairs).sum::<f64>() + shape.decode.context as f64;
        let flops = self.layers * 4.0 * self.heads * self.head_size * pairs;
        let qo = 2.0 * ACTIVATION * self.heads * self.head_size * queries;
        let bytes = self.layers * (qo + kv * seen);
        let fixed = if shape.chunks.is_empty() {
            fit.a0.0 + fit.a1.0 * f64::from(shape.decode.n) * self.heads
        } else {
            fit.p0.0
        };
        let compute = match fit.prefill {
            PrefillLaw::Flops { ep, .. } if !shape.chunks.is_empty() => flops / (acc.basis.peak.0 * ep),
            PrefillLaw::Tiles { .. } if !shape.chunks.is_empty() => seconds - self.layers * fixed,
            _ => flops / acc.basis.peak.0,
        };
        let rest = seconds - self.layers * fixed;
        let bound = match (self.layers * fixed > rest, 2.0 * compute > rest) {
            (true, _) => Bound::Latency,
            (false, true) => Bound::Compute,
            (false, false) => Bound::Memory,
        };
        Operator { name: "attention", flops, bytes, seconds, bound }
    }

    fn elementwise(&self, m: f64, seconds: f64) -> Operator {
        let heads = 2.0 * (self.heads + self.kv_heads) * self.head_size;
        let bytes = ACTIVATION * m * (7.0 * self.hidden + heads + (self.up + 1.0) * self.ffn) * self.layers;
        let fixed = self.layers * self.spec.accelerator.elementwise.ew0.0;
        let bound = if fixed > seconds - fixed { Bound::Latency } else { Bound::Memory };
        Operator { name: "element-wise", flops: 0.0, bytes, seconds, bound }
    }

    fn all_reduce(&self, m: f64, seconds: f64) -> Operator {
        let reduces = self.layers * if self.spec.model.parallel_attention { 1.0 } else { 2.0 };
        let moved = 2.0 * (self.tp - 1.0) / self.tp * ACTIVATION * m * self.hidden;
        let across = self.spec.overrides.tensor_nodes.as_ref().filter(|span| span.nodes > 1);
        let law = across.map_or_else(|| &self.spec.tensor_link().all_reduce, |span| &span.link.all_reduce);
        let bound = if moved / law.bandwidth.0 > law.base.0 { Bound::Link } else { Bound::Latency };
        Operator { name: "all-reduce", flops: 0.0, bytes: reduces * moved, seconds, bound }
    }
}
