//! Architectures of decoder-only models, one TOML file each under `workloads/models/`, or a `config.json` of
//! Hugging Face.

mod file;
mod import;
mod limits;
mod parts;

pub use import::{Imported, import};
pub use limits::Unmodelled;
pub use parts::{Experts, Latent, WeightFormat, Window};

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::{self, Shelf};
use crate::diagnostic::InputErrors;
use crate::units::Bytes;

/// The feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mlp {
    /// Gated: gate and up, then down (three matrices).
    Glu,
    /// Up, then down (two matrices): OPT, BLOOM, GPT-3.
    Mlp2,
}

/// A decoder-only transformer. Without `experts`, `latent` and `window` it is dense with full attention.
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
    /// Width of the dense feed-forward block (`ff`); of an expert where no layer is dense.
    pub ffn: u32,
    /// Rows of the embedding table.
    pub vocabulary: u32,
    /// Feed-forward block.
    pub mlp: Mlp,
    /// Whether input and output embeddings are one matrix.
    pub tied_embeddings: bool,
    /// Whether attention and MLP run side by side, so that a layer needs one all-reduce instead of two.
    pub parallel_attention: bool,
    /// Whether the query, key and value projections have a bias.
    pub qkv_bias: bool,
    /// Longest context the model serves, prompt and output together.
    pub max_model_len: u32,
    /// Format of the published weights; none: 16 bits.
    pub weight_format: Option<WeightFormat>,
    /// Experts in place of the feed-forward block.
    pub experts: Option<Experts>,
    /// Latent attention in place of K and V heads.
    pub latent: Option<Latent>,
    /// Sliding windows.
    pub window: Option<Window>,
}

impl Model {
    /// Reads `workloads/models/<name>.toml`, looked up beside the scenario first; a name that ends in `.json` is the
    /// path of a `config.json`, relative to the scenario's folder.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<Model, InputErrors> {
        let source = catalog::find(Shelf::Models, name, beside)?;
        if catalog::is_json(name) {
            return import(name, &source).map(|imported| imported.model);
        }
        file::read(name, &source)
    }

    /// What kind of transformer it is, in a word or two: `MHA`, `GQA`, `MLA`, with `MoE` or a window.
    pub fn kind(&self) -> String {
        let attention = match (&self.latent, self.kv_heads) {
            (Some(_), _) => "MLA",
            (None, 1) => "MQA",
            (None, kv) if kv == self.heads => "MHA",
            (None, _) => "GQA",
        };
        let experts = if self.experts.is_some() { " MoE" } else { "" };
        let window = if self.window.is_some() { " window" } else { "" };
        format!("{attention}{experts}{window}")
    }

    /// Elements of the attention matrices of one layer, biases of Q, K and V included.
    pub fn attention_parameters(&self) -> u64 {
        let [d, h, kv, hd] = [self.hidden, self.heads, self.kv_heads, self.head_size].map(u64::from);
        if let Some(latent) = &self.latent {
            return latent.parameters(d, h);
        }
        let bias = if self.qkv_bias { (h + 2 * kv) * hd } else { 0 };
        d * (h + 2 * kv) * hd + h * hd * d + bias
    }

    /// Elements of a feed-forward block of `width`.
    fn block(&self, width: u64) -> u64 {
        let matrices = match self.mlp {
            Mlp::Glu => 3,
            Mlp::Mlp2 => 2,
        };
        matrices * u64::from(self.hidden) * width
    }

    /// Elements of the weight matrices of one dense layer (norms and other biases are below 0.1 %).
    pub fn layer_parameters(&self) -> u64 {
        self.attention_parameters() + self.block(u64::from(self.ffn))
    }

    /// Elements of all layers, where each token uses `routed` experts of each layer that has them.
    fn layers_parameters(&self, routed: impl Fn(&Experts) -> u32) -> u64 {
        let layers = u64::from(self.layers);
        let Some(e) = &self.experts else { return layers * self.layer_parameters() };
        let router = u64::from(self.hidden) * u64::from(e.count);
        let width = u64::from(routed(e)) * u64::from(e.width) + e.shared_total();
        let sparse = self.attention_parameters() + self.block(width) + router;
        let dense = u64::from(e.dense_layers).min(layers);
        dense * self.layer_parameters() + (layers - dense) * sparse
    }

    /// Elements of one embedding matrix.
    pub fn embedding_parameters(&self) -> u64 {
        u64::from(self.vocabulary) * u64::from(self.hidden)
    }

    /// Elements of all weight matrices.
    pub fn parameters(&self) -> u64 {
        let embeddings = if self.tied_embeddings { 1 } else { 2 };
        self.layers_parameters(|e| e.count) + embeddings * self.embedding_parameters()
    }

    /// Elements that one token is multiplied with: its experts only, and the output projection, but not the look-up
    /// of the input embedding.
    pub fn active_parameters(&self) -> u64 {
        self.layers_parameters(|e| e.active) + self.embedding_parameters()
    }

    /// Weights of the whole model at `weight_bytes` per element (embeddings always at 2 bytes).
    pub fn weights(&self, weight_bytes: f64) -> Bytes {
        let embeddings = if self.tied_embeddings { 1 } else { 2 } * self.embedding_parameters();
        Bytes(self.layers_parameters(|e| e.count) as f64 * weight_bytes + embeddings as f64 * 2.0)
    }

    /// KV of one token over all layers at `kv_bytes` per element, before tensor parallelism and inside the window.
    pub fn kv_bytes_per_token(&self, kv_bytes: f64) -> Bytes {
        let heads = 2 * u64::from(self.kv_heads) * u64::from(self.head_size);
        let elements = self.latent.map_or(heads, |latent| latent.cached());
        Bytes((u64::from(self.layers) * elements) as f64 * kv_bytes)
    }
}
