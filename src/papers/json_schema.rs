//! JSON Schema of a paper file: a scenario with engines, experiments, claims and changes.

use serde_json::{Value, json};

use crate::scenario::capacity::TrialRule;
use crate::scenario::json_schema::Builder;
use crate::scenario::schema::Paper;

use super::schema::{Change, ClaimOptions, Engines, ExperimentOptions, SECTIONS};

/// The schema of a paper file (draft 2020-12).
pub fn paper() -> Value {
    let mut builder = Builder::new();
    let mut root = builder.scenario();
    let mut experiment = builder.open::<ExperimentOptions>();
    for section in SECTIONS {
        let mut schema = root["properties"][section].clone();
        builder.layer(&mut schema);
        experiment["properties"][section] = schema;
    }
    let keys = [
        ("paper", builder.part::<Paper>(), "Where it was published."),
        ("engines", builder.part::<Engines>(), "The engine profiles of the two runs."),
        ("trial", builder.part::<TrialRule>(), "How long a trial of a capacity is."),
        (
            "experiment",
            json!({ "type": "object", "additionalProperties": experiment }),
            "The scenario with something written over it.",
        ),
        (
            "claim",
            json!({ "type": "array", "items": builder.part::<ClaimOptions>(), "minItems": 1 }),
            "What the paper says.",
        ),
        (
            "change",
            json!({ "type": "array", "items": builder.part::<Change>() }),
            "What was changed after the first run.",
        ),
    ];
    for (key, mut schema, about) in keys {
        schema["description"] = json!(about);
        root["properties"][key] = schema;
    }
    root["required"] = json!(["paper", "engines", "claim", "workload", "systems"]);
    builder.finish(root, "paper")
}
