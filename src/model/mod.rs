//! Architectures of dense decoder-only models, one TOML file each under `workloads/models/`.

use std::path::Path;

use serde::Deserialize;

use crate::catalog::Check;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputErrors, from_toml};
use crate::units::Bytes;

/// The feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mlp {
    /// Gated: gate and up, then down (three matrices).
    Glu,
    /// Up, then down (two matrices): OPT, BLOOM, GPT-3.
    Mlp2,
}

/// A dense decoder-only transformer with full attention.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Name of its file.
    pub name: String,
    /// Name as people write it.
    pub title: String,
    /// Where the dimensions come from.
    pub source: String,
    /// Transformer layers (`L`).
    pub layers: u32,
    /// Hidden size (`d`).
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Key and value heads, at most `heads`.
    pub kv_heads: u32,
    /// Elements per head (`hd`).
    pub head_size: u32,
    /// Width of the feed-forward block (`ff`).
    pub ffn: u32,
    /// Rows of the embedding table.
    pub vocabulary: u32,
    /// Feed-forward block.
    pub mlp: Mlp,
    /// Whether input and output embeddings are one matrix.
    pub tied_embeddings: bool,
    /// Whether attention and MLP run side by side, so that a layer needs one all-reduce instead of two.
    pub parallel_attention: bool,
    /// Longest context the model serves, prompt and output together.
    pub max_model_len: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    title: String,
    source: String,
    layers: u32,
    hidden: u32,
    heads: u32,
    kv_heads: u32,
    head_size: u32,
    ffn: u32,
    vocabulary: u32,
    mlp: Mlp,
    tied_embeddings: bool,
    #[serde(default)]
    parallel_attention: bool,
    max_model_len: u32,
    parameters: u64,
    // Accepted only to be refused with the reason.
    experts: Option<u32>,
    sliding_window: Option<u32>,
    kv_lora_rank: Option<u32>,
}

impl Model {
    /// Reads `workloads/models/<name>.toml`, looked up beside the scenario first.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<Model, InputErrors> {
        let source = catalog::find(Shelf::Models, name, beside)?;
        let f: File = from_toml(&source)?;
        let model = Model {
            name: name.to_owned(),
            title: f.title,
            source: f.source,
            layers: f.layers,
            hidden: f.hidden,
            heads: f.heads,
            kv_heads: f.kv_heads,
            head_size: f.head_size,
            ffn: f.ffn,
            vocabulary: f.vocabulary,
            mlp: f.mlp,
            tied_embeddings: f.tied_embeddings,
            parallel_attention: f.parallel_attention,
            max_model_len: f.max_model_len,
        };
        let mut check = Check::new(&source);
        check.sourced("", &model.source);
        for (key, value) in [
            ("layers", model.layers),
            ("hidden", model.hidden),
            ("heads", model.heads),
            ("kv-heads", model.kv_heads),
            ("head-size", model.head_size),
            ("ffn", model.ffn),
            ("vocabulary", model.vocabulary),
            ("max-model-len", model.max_model_len),
        ] {
            check.count("", key, value);
        }
        let groups = model.kv_heads <= model.heads && model.heads.is_multiple_of(model.kv_heads.max(1));
        let message = format!("of {} does not divide `heads` of {}", model.kv_heads, model.heads);
        check.that(groups, "", "kv-heads", message, "query heads share KV heads in equal groups");
        let (counted, published) = (model.parameters() as f64, f.parameters as f64);
        let message = format!("says {published:.4e}, but the dimensions give {counted:.4e}");
        let close = (counted / published - 1.0).abs() <= 0.02;
        check.that(close, "", "parameters", message, "correct the dimension that is wrong; 2 % is allowed");
        for (key, value, why) in [
            (
                "experts",
                f.experts,
                "mixture of experts needs the expected number of distinct experts per step",
            ),
            (
                "sliding-window",
                f.sliding_window,
                "a window makes attended tokens piecewise linear in context",
            ),
            ("kv-lora-rank", f.kv_lora_rank, "latent attention is compute-bound in decode"),
        ] {
            let message = format!("is not modelled yet: {why}, and a silent approximation would mislead");
            check.that(value.is_none(), "", key, message, "use a dense model with full attention");
        }
        check.done()?;
        Ok(model)
    }

    /// Elements of the weight matrices of one layer (biases and norms are below 0.1 %).
    pub fn layer_parameters(&self) -> u64 {
        let [d, h, kv, hd, ff] =
            [self.hidden, self.heads, self.kv_heads, self.head_size, self.ffn].map(u64::from);
        let matrices = match self.mlp {
            Mlp::Glu => 3,
            Mlp::Mlp2 => 2,
        };
        d * (h + 2 * kv) * hd + h * hd * d + matrices * d * ff
    }

    /// Elements of one embedding matrix.
    pub fn embedding_parameters(&self) -> u64 {
        u64::from(self.vocabulary) * u64::from(self.hidden)
    }

    /// Elements of all weight matrices.
    pub fn parameters(&self) -> u64 {
        let embeddings = if self.tied_embeddings { 1 } else { 2 };
        u64::from(self.layers) * self.layer_parameters() + embeddings * self.embedding_parameters()
    }

    /// Weights of the whole model at `weight_bytes` per element (embeddings always at 2 bytes).
    pub fn weights(&self, weight_bytes: f64) -> Bytes {
        let embeddings = if self.tied_embeddings { 1 } else { 2 } * self.embedding_parameters();
        let layers = u64::from(self.layers) * self.layer_parameters();
        Bytes(layers as f64 * weight_bytes + embeddings as f64 * 2.0)
    }

    /// KV of one token over all layers at `kv_bytes` per element, before tensor parallelism.
    pub fn kv_bytes_per_token(&self, kv_bytes: f64) -> Bytes {
        let elements = 2 * u64::from(self.layers) * u64::from(self.kv_heads) * u64::from(self.head_size);
        Bytes(elements as f64 * kv_bytes)
    }
}
