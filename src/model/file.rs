//! A model's TOML file: strict reading, checks, and writing one (for imported models).

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Experts, Latent, Mlp, Model, WeightFormat, Window};
use crate::catalog::Check;
use crate::diagnostic::{InputErrors, Source, from_toml};

#[derive(Deserialize, JsonSchema)]
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
    #[serde(default)]
    qkv_bias: bool,
    max_model_len: u32,
    parameters: u64,
    weight_format: Option<WeightFormat>,
    experts: Option<Experts>,
    latent: Option<Latent>,
    window: Option<Window>,
}

/// Reads a model file whose look-up name is `name`.
pub(super) fn read(name: &str, source: &Source) -> Result<Model, InputErrors> {
    let f: File = from_toml(source)?;
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
        qkv_bias: f.qkv_bias,
        max_model_len: f.max_model_len,
        weight_format: f.weight_format,
        experts: f.experts,
        latent: f.latent,
        window: f.window,
    };
    let mut check = Check::new(source);
    check.sourced("", &model.source);
    dimensions(&mut check, &model);
    let (counted, published) = (model.parameters() as f64, f.parameters as f64);
    let message = format!("says {published:.4e}, but the dimensions give {counted:.4e}");
    let close = (counted / published - 1.0).abs() <= 0.02;
    check.that(close, "", "parameters", message, "correct the dimension that is wrong; 2 % is allowed");
    check.done()?;
    Ok(model)
}

fn dimensions(check: &mut Check<'_>, model: &Model) {
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
    if let Some(experts) = &model.experts {
        experts.check(check, model.layers);
    }
    if let Some(latent) = &model.latent {
        latent.check(check);
    }
    if let Some(window) = &model.window {
        window.check(check, model.layers);
    }
}

impl Model {
    /// The schema of such a file.
    pub fn json_schema_of_file() -> schemars::Schema {
        schemars::schema_for!(File)
    }

    /// The model as a file for `workloads/models/`, or to put beside a scenario.
    pub fn to_toml(&self) -> String {
        let mlp = match self.mlp {
            Mlp::Glu => "glu",
            Mlp::Mlp2 => "mlp2",
        };
        let mut out = format!("title = {:?}\nsource = {:?}\n", self.title, self.source);
        for (key, value) in [
            ("layers", self.layers),
            ("hidden", self.hidden),
            ("heads", self.heads),
            ("kv-heads", self.kv_heads),
            ("head-size", self.head_size),
            ("ffn", self.ffn),
            ("vocabulary", self.vocabulary),
        ] {
            let _ = writeln!(out, "{key} = {value}");
        }
        let _ = writeln!(out, "mlp = \"{mlp}\"\ntied-embeddings = {}", self.tied_embeddings);
        if self.parallel_attention {
            out.push_str("parallel-attention = true\n");
        }
        if self.qkv_bias {
            out.push_str("qkv-bias = true\n");
        }
        let _ = writeln!(out, "max-model-len = {}", self.max_model_len);
        if let Some(format) = self.weight_format {
            let _ = writeln!(out, "weight-format = \"{}\"", format.name());
        }
        out.push_str("# Counted from the dimensions above.\n");
        let _ = writeln!(out, "parameters = {}", self.parameters());
        self.extras(&mut out);
        out
    }

    /// The tables after the scalar keys.
    fn extras(&self, out: &mut String) {
        let mut table = |name: &str, entries: &[(&str, Option<u32>)]| {
            let _ = writeln!(out, "\n[{name}]");
            for (key, value) in entries {
                if let Some(value) = value {
                    let _ = writeln!(out, "{key} = {value}");
                }
            }
        };
        if let Some(e) = &self.experts {
            table(
                "experts",
                &[
                    ("count", Some(e.count)),
                    ("active", Some(e.active)),
                    ("width", Some(e.width)),
                    ("shared", Some(e.shared)),
                    ("shared-width", e.shared_width),
                    ("dense-layers", Some(e.dense_layers)),
                ],
            );
        }
        if let Some(l) = &self.latent {
            table(
                "latent",
                &[
                    ("q-rank", l.q_rank),
                    ("kv-rank", Some(l.kv_rank)),
                    ("nope", Some(l.nope)),
                    ("rope", Some(l.rope)),
                    ("value", Some(l.value)),
                ],
            );
        }
        if let Some(w) = &self.window {
            table("window", &[("tokens", Some(w.tokens)), ("layers", Some(w.layers))]);
        }
    }
}
