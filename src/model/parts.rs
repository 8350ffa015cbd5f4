//! What a model has beyond a dense transformer with full attention.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::Check;

/// A mixture of experts in place of the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Experts {
    /// Routed experts of a layer.
    pub count: u32,
    /// Routed experts that each token uses, 1 to `count`.
    pub active: u32,
    /// Feed-forward width of one routed expert.
    pub width: u32,
    /// Experts that every token uses, as one block of `shared * shared-width`.
    #[serde(default)]
    pub shared: u32,
    /// Width of one shared expert; a routed one's if it is not given.
    pub shared_width: Option<u32>,
    /// Leading layers with a dense block (of the model's `ffn`) instead of experts.
    #[serde(default)]
    pub dense_layers: u32,
}

impl Experts {
    /// Width of all shared experts together.
    pub fn shared_total(&self) -> u64 {
        u64::from(self.shared) * u64::from(self.shared_width.unwrap_or(self.width))
    }

    pub(super) fn check(&self, check: &mut Check<'_>, layers: u32) {
        check.count("experts", "count", self.count);
        check.count("experts", "width", self.width);
        let message = format!("of {} is not in 1 to `count` = {}", self.active, self.count);
        let ok = (1..=self.count).contains(&self.active);
        check.that(ok, "experts", "active", message, "write how many routed experts each token uses");
        let message = format!("of {} leaves no layer with experts", self.dense_layers);
        let ok = self.dense_layers < layers;
        check.that(ok, "experts", "dense-layers", message, "write fewer than `layers`");
        let ok = self.shared_width.is_none() || self.shared > 0;
        let help = "add `shared`, or remove it";
        check.that(ok, "experts", "shared-width", "has no effect without shared experts", help);
    }
}

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1): the KV cache of a token is one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Latent {
    /// Rank of the compressed queries; none: not compressed.
    pub q_rank: Option<u32>,
    /// Rank of the compressed keys and values.
    pub kv_rank: u32,
    /// Elements of a head's query and key without a position.
    pub nope: u32,
    /// Elements of a head's query and key with a rotated position; the key's are shared by all heads.
    pub rope: u32,
    /// Elements of a head's value.
    pub value: u32,
}

impl Latent {
    /// Elements that the cache keeps of one token in one layer.
    pub fn cached(&self) -> u64 {
        u64::from(self.kv_rank) + u64::from(self.rope)
    }

    /// Elements of the attention matrices of one layer with `heads` heads and hidden size `hidden`.
    pub(super) fn parameters(&self, hidden: u64, heads: u64) -> u64 {
        let [kv, nope, rope, value] = [self.kv_rank, self.nope, self.rope, self.value].map(u64::from);
        let query = match self.q_rank.map(u64::from) {
            Some(rank) => hidden * rank + rank * heads * (nope + rope),
            None => hidden * heads * (nope + rope),
        };
        query + hidden * (kv + rope) + kv * heads * (nope + value) + heads * value * hidden
    }

    pub(super) fn check(&self, check: &mut Check<'_>) {
        for (key, value) in [
            ("q-rank", self.q_rank.unwrap_or(1)),
            ("kv-rank", self.kv_rank),
            ("nope", self.nope),
            ("rope", self.rope),
            ("value", self.value),
        ] {
            check.count("latent", key, value);
        }
    }
}

/// Layers whose tokens attend to the last `tokens` tokens only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Window {
    /// Tokens that are attended to, the own one included.
    pub tokens: u32,
    /// How many layers have the window; the others see everything.
    pub layers: u32,
}

impl Window {
    pub(super) fn check(&self, check: &mut Check<'_>, layers: u32) {
        check.count("window", "tokens", self.tokens);
        let message = format!("of {} is not in 1 to the model's {layers}", self.layers);
        let ok = (1..=layers).contains(&self.layers);
        check.that(ok, "window", "layers", message, "write how many layers have the window");
    }
}

/// In what format the weights of a checkpoint are published, where it is not 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WeightFormat {
    /// 8-bit float, per tensor or per block.
    Fp8,
    /// 8-bit integer.
    Int8,
    /// 4-bit integer in groups with scales (GPTQ, AWQ).
    Int4,
    /// 4-bit float in groups of 32 with one scale (MXFP4).
    Mxfp4,
}

impl WeightFormat {
    /// As files and messages write it.
    pub fn name(self) -> &'static str {
        match self {
            WeightFormat::Fp8 => "fp8",
            WeightFormat::Int8 => "int8",
            WeightFormat::Int4 => "int4",
            WeightFormat::Mxfp4 => "mxfp4",
        }
    }

    /// Bytes per element, scales not counted.
    pub fn bytes(self) -> f64 {
        match self {
            WeightFormat::Fp8 | WeightFormat::Int8 => 1.0,
            WeightFormat::Int4 | WeightFormat::Mxfp4 => 0.5,
        }
    }
}
