//! A Hugging Face `config.json` as a [`Model`].
//!
//! Families are told apart by `architectures` (else `model_type`); a field that is missing, of the wrong type, or
//! that changes the architecture in a way not known here is an error at its place. Fields that do not change what a
//! step computes or how much memory it takes (token ids, dropout, initialisers) are not read.

mod families;
mod quantization;
mod reader;

use serde_json::Value;

use super::{Mlp, Model};
use crate::diagnostic::{InputError, InputErrors, Source, nearest};
use families::Family;
use reader::Reader;

/// An imported model, and what its reader should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The model; its `name` is the path it was asked for by.
    pub model: Model,
    /// One sentence each: what the file says that the model does not hold.
    pub notes: Vec<String>,
}

/// Reads a `config.json`; `name` becomes the model's name.
pub fn import(name: &str, source: &Source) -> Result<Imported, InputErrors> {
    // A byte order mark is no JSON; blanks in its place keep every position.
    let text = source.text.strip_prefix('\u{feff}').map(|rest| format!("   {rest}"));
    let text = text.as_deref().unwrap_or(&source.text);
    let root: Value = serde_json::from_str(text).map_err(|e| syntax(source, &e))?;
    let Some(map) = root.as_object() else {
        let help =
            "give the `config.json` of a model: one object with `architectures`, `hidden_size` and so on";
        return Err(InputError::at(source, 0..1, "this JSON is not an object", help).into());
    };
    let (architecture, family) = family(source, map)?;
    let mut reader = Reader::new(source, map);
    let model = families::read(family, &mut reader);
    let format = quantization::read(&mut reader);
    let mut notes = Vec::new();
    if let Some(scaling) = reader.text_of("rope_scaling") {
        notes.push(format!(
            "`rope_scaling` is {scaling}: the context is `max_position_embeddings` as it stands"
        ));
    }
    if let Some(format) = format {
        notes.push(format!("the checkpoint holds {} weights (`quantization_config`)", format.name()));
    }
    reader.done()?;
    let model = Model {
        name: name.to_owned(),
        title: format!("{architecture} of {}", file_name(name)),
        source: format!("imported from config.json, architecture {architecture}"),
        weight_format: format,
        ..model
    };
    checked(source, &model)?;
    Ok(Imported { model, notes })
}

/// The last two parts of a path: enough to know it again, and the same on every machine.
fn file_name(path: &str) -> String {
    let parts: Vec<&str> = path.split(['/', '\\']).filter(|p| !p.is_empty()).collect();
    parts[parts.len().saturating_sub(2)..].join("/")
}

fn syntax(source: &Source, error: &serde_json::Error) -> InputError {
    let line_start =
        source.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
    let mut at = (line_start + error.column().saturating_sub(1)).min(source.text.len());
    while !source.text.is_char_boundary(at) {
        at -= 1;
    }
    let message = error.to_string();
    let message = message.split(" at line").next().unwrap_or(&message);
    InputError::at(source, at..at, format!("this is not JSON: {message}"), "correct the file at this place")
}

/// The architecture's name and how its file is read.
fn family(
    source: &Source,
    map: &serde_json::Map<String, Value>,
) -> Result<(String, &'static Family), InputError> {
    let listed = map.get("architectures").and_then(|a| a.get(0)).and_then(Value::as_str);
    let (key, name) = match (listed, map.get("model_type").and_then(Value::as_str)) {
        (Some(name), _) => ("architectures", name),
        (None, Some(name)) => ("model_type", name),
        (None, None) => {
            let help = "add `\"architectures\": [\"LlamaForCausalLM\"]`, or another one that fits";
            return Err(InputError::at(
                source,
                0..1,
                "neither `architectures` nor `model_type` is given",
                help,
            ));
        }
    };
    if let Some(family) = families::find(name) {
        return Ok((name.to_owned(), family));
    }
    // A multi-modal model says in its language part what that part is.
    let text = map.get("text_config").and_then(|t| t.get("model_type")).and_then(Value::as_str);
    if let Some(family) = text.and_then(families::find) {
        return Ok((name.to_owned(), family));
    }
    let span = reader::span(&source.text, 0, key);
    let known: Vec<&str> = families::names().collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(best) => format!("did you mean `{best}`? or write a model file by hand: docs/hardware.md"),
        None => format!("known: {}; or write a model file by hand: docs/hardware.md", known.join(", ")),
    };
    Err(InputError::at(source, span, format!("`{key}`: unknown architecture `{name}`"), help))
}

/// What no field alone can get wrong.
fn checked(source: &Source, model: &Model) -> Result<(), InputErrors> {
    let at = |key: &str, message: String, help: &str| {
        Err(InputError::at(source, reader::span(&source.text, 0, key), message, help).into())
    };
    if model.latent.is_none() && !model.heads.is_multiple_of(model.kv_heads) {
        let message = format!("{} KV heads do not divide {} query heads", model.kv_heads, model.heads);
        return at("num_key_value_heads", message, "query heads share KV heads in equal groups");
    }
    if let Some(e) = model.experts {
        if e.active > e.count {
            let message = format!("{} active experts of {}", e.active, e.count);
            return at("num_experts_per_tok", message, "correct the number of experts");
        }
        if e.dense_layers >= model.layers {
            let message =
                format!("{} dense layers of {} leave none with experts", e.dense_layers, model.layers);
            return at("first_k_dense_replace", message, "correct the number of layers");
        }
    }
    Ok(())
}

/// A dense model of nothing, for the families to fill.
fn empty() -> Model {
    Model {
        name: String::new(),
        title: String::new(),
        source: String::new(),
        layers: 1,
        hidden: 1,
        heads: 1,
        kv_heads: 1,
        head_size: 1,
        ffn: 1,
        vocabulary: 1,
        mlp: Mlp::Glu,
        tied_embeddings: false,
        parallel_attention: false,
        qkv_bias: false,
        max_model_len: 1,
        weight_format: None,
        experts: None,
        latent: None,
        window: None,
    }
}
