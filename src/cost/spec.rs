//! What a cost model is built from, and the one GPU's share of the model that follows from it.

use crate::diagnostic::{InputError, InputErrors};
use crate::hardware::{Accelerator, Link, PrefillLaw};
use crate::model::{Mlp, Model};
use crate::units::{Bytes, BytesPerSecond, Seconds};

use super::{EngineProfile, KvPrecision, Precision};

/// Bytes of lm_head weights per element, whatever the quantisation of the layers.
pub(crate) const HEAD_BYTES: f64 = 2.0;

/// Bytes of an activation element.
pub(crate) const ACTIVATION_BYTES: f64 = 2.0;

/// What attention costs in a step that has both prompt chunks and decoding sequences.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MixedAttention {
    /// The sum of both kernels.
    Additive,
    /// The accelerator's law of one kernel for both, which only the FA2 rows have.
    Measured,
    /// The default times this, in [1, 10] with at most two decimals. No public data exist for FA3: run it at 1.25 too.
    Factor(f64),
}

impl MixedAttention {
    /// Per cent of the default attention of mixed steps.
    pub(crate) fn percent(self) -> Option<u32> {
        let MixedAttention::Factor(factor) = self else { return Some(100) };
        let percent = factor * 100.0;
        let whole = (percent - percent.round()).abs() < 1e-6;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in [100, 1000]")]
        (whole && (1.0..=10.0).contains(&factor)).then_some(percent.round() as u32)
    }
}

/// A tensor-parallel group over several nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorNodes {
    /// How many, at least 1; must divide the group.
    pub nodes: u32,
    /// Between them, one rail per accelerator.
    pub link: Link,
}

/// What a scenario may set differently from the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Overrides {
    /// Slowest link that the tensor-parallel group spans; default: the accelerator's scale-up link.
    pub tensor_link: Option<Link>,
    /// Slowest link between two pipeline stages; default: the accelerator's scale-up link.
    pub stage_link: Option<Link>,
    /// Host memory to one accelerator, for swapping; default: the accelerator's host.
    pub host_bandwidth: Option<BytesPerSecond>,
    /// Whether the profile's captured graphs are used; false: no padding and no launch bound.
    pub graphs: bool,
    /// Passes of the sampler; default: the profile's.
    pub sampler_passes: Option<u32>,
    /// Added to each all-reduce; default: the profile's.
    pub skew: Option<Seconds>,
    /// Nodes that the tensor-parallel group spans; default: one.
    pub tensor_nodes: Option<TensorNodes>,
    /// Attention of mixed prefill and decode steps; default: `measured` where the accelerator has such a law, else
    /// `additive`.
    pub mixed_attention: Option<MixedAttention>,
}

impl Default for Overrides {
    fn default() -> Self {
        Overrides {
            tensor_link: None,
            stage_link: None,
            host_bandwidth: None,
            graphs: true,
            sampler_passes: None,
            skew: None,
            tensor_nodes: None,
            mixed_attention: None,
        }
    }
}

/// One replica as the cost model sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct CostSpec {
    /// The accelerator; all of a replica are equal.
    pub accelerator: Accelerator,
    /// The model.
    pub model: Model,
    /// The engine.
    pub engine: EngineProfile,
    /// Accelerators of one pipeline stage (`TP`), at least 1.
    pub tensor_parallel: u32,
    /// Pipeline stages, at least 1.
    pub pipeline: u8,
    /// Tokens of one KV block, at least 1.
    pub kv_block: u32,
    /// Format of the weights.
    pub weights: Precision,
    /// Format of KV.
    pub kv: KvPrecision,
    /// What the scenario sets differently.
    pub overrides: Overrides,
}

impl CostSpec {
    /// One accelerator, blocks of 16 tokens, 16-bit weights and KV.
    pub fn new(accelerator: Accelerator, model: Model, engine: EngineProfile) -> Self {
        CostSpec {
            accelerator,
            model,
            engine,
            tensor_parallel: 1,
            pipeline: 1,
            kv_block: 16,
            weights: Precision::default(),
            kv: KvPrecision::default(),
            overrides: Overrides::default(),
        }
    }

    /// The link of the tensor-parallel group.
    pub fn tensor_link(&self) -> &Link {
        self.overrides.tensor_link.as_ref().unwrap_or(&self.accelerator.scale_up)
    }

    /// The link between stages.
    pub fn stage_link(&self) -> &Link {
        self.overrides.stage_link.as_ref().unwrap_or(&self.accelerator.scale_up)
    }

    /// All that contradicts itself or is not modelled yet.
    pub fn check(&self) -> Result<(), InputErrors> {
        let mut errors = Vec::new();
        let mut refuse = |ok: bool, place: &str, message: String, help: &str| {
            if !ok {
                errors.push(InputError::named(place, message, help));
            }
        };
        if let Err((message, help)) = self.row_for_weights() {
            refuse(false, "precision.weights", message, &help);
        }
        let (m, tp) = (&self.model, self.tensor_parallel);
        if let Some(unmodelled) = m.unmodelled() {
            refuse(false, "model", unmodelled.message, &unmodelled.help);
        }
        refuse(tp >= 1, "parallel.tp", "must be at least 1".into(), "write tp = 1 for one accelerator");
        refuse(self.kv_block >= 1, "kv.block", "must be at least 1".into(), "write for example 16");
        if tp >= 1 {
            let message =
                format!("{} query heads of {} cannot be split over {tp} accelerators", m.heads, m.name);
            refuse(m.heads.is_multiple_of(tp), "parallel.tp", message, "choose a divisor of the heads");
            let message =
                format!("{} KV heads of {} cannot be split over {tp} accelerators", m.kv_heads, m.name);
            let even = m.kv_heads.is_multiple_of(tp) || tp.is_multiple_of(m.kv_heads.max(1));
            refuse(even, "parallel.tp", message, "choose a divisor or a multiple of the KV heads");
        }
        let stages = u32::from(self.pipeline);
        let message = format!("{stages} stages for {} layers", m.layers);
        let help = "write a number of stages from 1 to the layers";
        refuse(stages >= 1 && stages <= m.layers, "parallel.pp", message, help);
        if let Some(span) = &self.overrides.tensor_nodes {
            let even = span.nodes >= 1 && tp.is_multiple_of(span.nodes);
            let message = format!("{tp} accelerators cannot be split over {} nodes", span.nodes);
            refuse(even, "parallel.tp", message, "choose a multiple of the nodes");
        }
        if let Err((message, help)) = self.check_mixed() {
            refuse(false, "mixed-attention", message, help);
        }
        let bandwidth = self.host_bandwidth().0;
        let ok = bandwidth.is_finite() && bandwidth > 0.0;
        refuse(ok, "host bandwidth", format!("{bandwidth} B/s is not a rate"), "give a positive bandwidth");
        if errors.is_empty() { Ok(()) } else { Err(InputErrors(errors)) }
    }

    /// Whether the accelerator has a GEMM row and a peak for the weights; else the message and the formats it has.
    fn row_for_weights(&self) -> Result<(), (String, String)> {
        let acc = &self.accelerator;
        let has = |p: Precision| p.is_half() || p.row(&acc.quantised).is_some();
        if has(self.weights) {
            return Ok(());
        }
        let known: Vec<&str> = Precision::ALL.into_iter().filter(|p| has(*p)).map(Precision::name).collect();
        let name = self.weights.name();
        Err((
            format!("accelerator `{}` has no GEMM constants for `{name}`", acc.name),
            format!(
                "it has {}; or give `[fit.{name}]` in a copy of its file beside the scenario",
                known.join(", ")
            ),
        ))
    }

    /// Whether the rule for mixed steps has a law, and its factor a range.
    fn check_mixed(&self) -> Result<(), (String, &'static str)> {
        let Some(rule) = self.overrides.mixed_attention else { return Ok(()) };
        let one_kernel = matches!(self.accelerator.attention.prefill, PrefillLaw::Tiles { .. });
        if rule == MixedAttention::Measured && !one_kernel {
            let message = format!("no measured law of mixed batches exists for `{}`", self.accelerator.name);
            return Err((
                message,
                "write \"additive\", or { factor = 1.25 } for the pessimistic side of the band",
            ));
        }
        match (rule, rule.percent()) {
            (MixedAttention::Factor(factor), None) => Err((
                format!("the factor {factor} is not a number from 1 to 10 with at most two decimals"),
                "below 1 a step would beat the model's own parts; write for example { factor = 1.25 }",
            )),
            _ => Ok(()),
        }
    }

    /// The same replica with another rule for the attention of mixed steps: the other end of a report's band.
    #[must_use]
    pub fn with_mixed_attention(&self, rule: MixedAttention) -> CostSpec {
        let mut other = self.clone();
        other.overrides.mixed_attention = Some(rule);
        other
    }

    /// Host memory to one accelerator.
    pub fn host_bandwidth(&self) -> BytesPerSecond {
        self.overrides.host_bandwidth.unwrap_or(self.accelerator.host.gpu_link.bandwidth)
    }

    /// Layers of each stage: as even as possible, the first stages get the extra ones.
    pub fn stage_layers(&self) -> Vec<u32> {
        let stages = u32::from(self.pipeline.max(1));
        let (each, extra) = (self.model.layers / stages, self.model.layers % stages);
        (0..stages).map(|s| each + u32::from(s < extra)).collect()
    }

    /// Bytes of one KV block on one accelerator of the stage with most layers.
    pub fn block_bytes(&self) -> Bytes {
        let layers = self.stage_layers().into_iter().max().unwrap_or(1);
        let shard = Shard::of(self, layers, false);
        Bytes(shard.kv_token_bytes * f64::from(layers) * f64::from(self.kv_block))
    }
}

/// Dimensions of what one GPU of one pipeline stage computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    /// Layers of the stage.
    pub(crate) layers: f64,
    /// Whether the stage has lm_head and sampler.
    pub(crate) last: bool,
    /// `TP`.
    pub(crate) tp: f64,
    /// `d`.
    pub(crate) hidden: f64,
    /// `h`, query heads per GPU.
    pub(crate) heads: f64,
    /// `h_kv`, KV heads per GPU, at least 1.
    pub(crate) kv_heads: f64,
    /// `hd`.
    pub(crate) head_size: f64,
    /// `ff/TP`.
    pub(crate) ffn: f64,
    /// Matrices that read the hidden state in the MLP: 2 gated, 1 not.
    pub(crate) up: f64,
    /// Multiple of `ff` that element-wise operators move: 3 gated, 2 not.
    pub(crate) ew_ffn: f64,
    /// Vocabulary rows per GPU.
    pub(crate) vocabulary: f64,
    /// All-reduces of one layer.
    pub(crate) reduces: f64,
    /// Bytes of one weight element.
    pub(crate) weight_bytes: f64,
    /// Bytes of K and V of one token in one layer on one GPU.
    pub(crate) kv_token_bytes: f64,
}

impl Shard {
    /// The share of one GPU in a stage of `layers` layers.
    pub(crate) fn of(spec: &CostSpec, layers: u32, last: bool) -> Shard {
        let (m, tp) = (&spec.model, f64::from(spec.tensor_parallel));
        let kv_heads = f64::from(m.kv_heads.div_ceil(spec.tensor_parallel).max(1));
        let (up, ew_ffn) = match m.mlp {
            Mlp::Glu => (2.0, 3.0),
            Mlp::Mlp2 => (1.0, 2.0),
        };
        Shard {
            layers: f64::from(layers),
            last,
            tp,
            hidden: f64::from(m.hidden),
            heads: f64::from(m.heads) / tp,
            kv_heads,
            head_size: f64::from(m.head_size),
            ffn: f64::from(m.ffn) / tp,
            up,
            ew_ffn,
            vocabulary: f64::from(m.vocabulary) / tp,
            reduces: if m.parallel_attention { 1.0 } else { 2.0 },
            weight_bytes: spec.weights.bytes(),
            kv_token_bytes: 2.0 * spec.kv.bytes() * kv_heads * f64::from(m.head_size),
        }
    }

    /// Output and input width (n, k) of the four GEMMs of a layer: QKV, O, up (and gate), down.
    pub(crate) fn gemms(&self) -> [(f64, f64); 4] {
        let (d, q) = (self.hidden, self.heads * self.head_size);
        let qkv = (self.heads + 2.0 * self.kv_heads) * self.head_size;
        [(qkv, d), (d, q), (self.up * self.ffn, d), (d, self.ffn)]
    }

    /// Weight elements of one layer on this GPU.
    pub(crate) fn layer_elements(&self) -> f64 {
        self.gemms().iter().map(|(n, k)| n * k).sum()
    }
}
