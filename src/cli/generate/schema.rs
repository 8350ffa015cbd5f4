//! The JSON schemas of the files, as one text each.

use schemars::schema_for;
use serde_json::{Map, Value};

use crate::cli::args::SchemaKind;
use crate::cost::EngineProfile;
use crate::hardware::{Accelerator, Host, Link};
use crate::model::Model;
use crate::workload::Recipe;
use crate::{papers, scenario};

/// The schema as a text; equal for equal builds, because all its tables are sorted by key.
pub(super) fn text(kind: SchemaKind) -> String {
    format!("{:#}\n", of(kind))
}

/// The schema of a kind of file.
pub(super) fn of(kind: SchemaKind) -> Value {
    let (name, mut schema) = match kind {
        SchemaKind::Scenario => ("scenario", scenario::json_schema::scenario()),
        SchemaKind::System => ("system", scenario::json_schema::system()),
        SchemaKind::Paper => ("paper", papers::json_schema()),
        SchemaKind::Accelerator => ("accelerator", Accelerator::json_schema_of_file().to_value()),
        SchemaKind::Host => ("host", Host::json_schema_of_file().to_value()),
        SchemaKind::Link => ("link", schema_for!(Link).to_value()),
        SchemaKind::Model => ("model", Model::json_schema_of_file().to_value()),
        SchemaKind::Engine => ("engine", schema_for!(EngineProfile).to_value()),
        SchemaKind::Recipe => ("recipe", schema_for!(Recipe).to_value()),
    };
    schema["title"] = Value::String(name.to_owned());
    without_null(&mut schema);
    schema
}

/// TOML has no null: a key that may be missing is simply not required.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.retain(|key, value| !(key == "default" && value.is_null()));
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|c| c.get("type").is_none_or(|t| t != "null"));
                if let [Value::Object(one)] = choices.as_slice() {
                    let one = one.clone();
                    object.remove("anyOf");
                    inherit(object, one);
                }
            }
            object.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// Adds what is not said yet.
fn inherit(object: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        object.entry(key).or_insert(value);
    }
}
