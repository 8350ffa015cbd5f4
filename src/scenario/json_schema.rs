//! JSON Schemas of scenario and system files, from the types that read them.
//!
//! A system is made of layers (defaults, preset, `[deployment]`, variants), each of which may say a part only. So
//! their schemas are copies of those of the complete types in which nothing is required; such definitions have the
//! suffix `Layer`.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::workload::{RequestRate, WorkloadSpec};

use super::capacity_options::CapacityOptions;
use super::check_options::CheckOptions;
use super::groups::GroupOptions;
use super::plan_options::PlanOptions;
use super::schema::{DeploymentOptions, Head, Section, SloOptions, SystemOptions, SystemsOptions};
use super::sensitivity::SensitivityOptions;
use super::sweep::Options as SweepOptions;

/// Where references point to.
const DEFS: &str = "#/$defs/";

impl JsonSchema for Section {
    fn schema_name() -> Cow<'static, str> {
        "Section".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// Anything: [`Builder::scenario`] puts the schema of the section's own type in its place.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

/// The schema of a scenario file (draft 2020-12).
pub fn scenario() -> Value {
    let mut builder = Builder::new();
    let root = builder.scenario();
    builder.finish(root, "scenario")
}

/// The schema of a preset: a file of `scenarios/systems/`.
pub fn system() -> Value {
    let mut builder = Builder::new();
    let root = builder.system();
    builder.finish(root, "system")
}

/// A schema under construction: its definitions, and the parts that files are put together from.
pub(crate) struct Builder {
    generator: SchemaGenerator,
    defs: Map<String, Value>,
}

impl Builder {
    pub(crate) fn new() -> Builder {
        let generator = SchemaSettings::draft2020_12().into_generator();
        Builder { generator, defs: Map::new() }
    }

    /// A reference to the schema of `T`.
    pub(crate) fn part<T: JsonSchema>(&mut self) -> Value {
        let schema = self.generator.subschema_for::<T>().to_value();
        self.collect();
        schema
    }

    /// The schema of `T` itself, to change it.
    pub(crate) fn open<T: JsonSchema>(&mut self) -> Value {
        let schema = T::json_schema(&mut self.generator).to_value();
        self.collect();
        schema
    }

    fn collect(&mut self) {
        for (name, schema) in self.generator.definitions() {
            self.defs.entry(name.clone()).or_insert_with(|| schema.clone());
        }
    }

    /// The whole of a scenario.
    pub(crate) fn scenario(&mut self) -> Value {
        let mut root = self.open::<Head>();
        // All other keys have a value in `defaults.toml`.
        root["required"] = json!(["workload", "systems"]);
        let sections = [
            (
                "workload",
                self.workload(),
                "The requests: a trace, a recipe, or lengths with arrivals or clients.",
            ),
            ("slo", self.part::<SloOptions>(), "Limits; an absent one always holds."),
            ("deployment", self.deployment(), "What is the same for all systems."),
            ("systems", self.systems(), "The systems that are compared, and variants of them."),
            (
                "sweep",
                self.part::<SweepOptions>(),
                "One system with every combination of the values of some keys.",
            ),
            ("capacity", self.part::<CapacityOptions>(), "Also search the capacity of every system."),
            ("plan", self.part::<PlanOptions>(), "The deployments that `windtunnel plan` chooses from."),
            ("check", self.part::<CheckOptions>(), "How much worse `windtunnel check` lets a number become."),
            (
                "sensitivity",
                self.part::<SensitivityOptions>(),
                "What the capacity of the reference depends on.",
            ),
        ];
        for (key, mut schema, about) in sections {
            schema["description"] = json!(about);
            root["properties"][key] = schema;
        }
        root
    }

    /// `[workload]`, where `rate` may also be a list.
    fn workload(&mut self) -> Value {
        let mut workload = self.open::<WorkloadSpec>();
        let rate = self.part::<RequestRate>();
        workload["properties"]["rate"]["anyOf"] = json!([rate, { "type": "array", "items": rate }]);
        workload
    }

    /// A layer of a system without `base`.
    fn system(&mut self) -> Value {
        let mut system = self.open::<SystemOptions>();
        let groups = self.part::<Vec<GroupOptions>>();
        system["properties"]["groups"] = groups;
        system["properties"]["groups"]["description"] =
            json!("Unequal replicas, each group with keys of its own.");
        self.layer(&mut system);
        system
    }

    /// `[deployment]`; what its keys mean is said where a system has them.
    fn deployment(&mut self) -> Value {
        let mut deployment = self.open::<DeploymentOptions>();
        let system = self.system();
        if let Some(keys) = deployment["properties"].as_object_mut() {
            for (key, schema) in keys {
                schema["description"] = system["properties"][key]["description"].clone();
            }
        }
        self.layer(&mut deployment);
        deployment
    }

    /// `[systems]`: every key that the options do not name is a variant.
    fn systems(&mut self) -> Value {
        let mut variant = self.system();
        variant["properties"]["base"] =
            json!({ "type": "string", "description": "The preset or variant that this one changes." });
        variant["description"] = json!("A variant: what differs from its `base`.");
        self.defs.insert("Variant".to_owned(), variant);
        let mut systems = self.open::<SystemsOptions>();
        systems["additionalProperties"] = json!({ "$ref": format!("{DEFS}Variant") });
        systems
    }

    /// Makes a schema, and copies of all that it refers to, require nothing.
    pub(crate) fn layer(&mut self, schema: &mut Value) {
        if let Some(object) = schema.as_object_mut() {
            object.remove("required");
        }
        self.layer_below(schema);
    }

    fn layer_below(&mut self, schema: &mut Value) {
        match schema {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get_mut("$ref") {
                    self.layer_reference(reference);
                }
                for (key, below) in object {
                    match key.as_str() {
                        // A mechanism is told apart by the one key that it requires.
                        "oneOf" | "anyOf" => self.layer_below(below),
                        "properties" => {
                            below.as_object_mut().into_iter().flatten().for_each(|(_, s)| self.layer(s));
                        }
                        "items" | "additionalProperties" => self.layer(below),
                        _ => {}
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.layer_below(item)),
            _ => {}
        }
    }

    /// Points a reference to the copy that requires nothing.
    fn layer_reference(&mut self, reference: &mut String) {
        let Some(name) = reference.strip_prefix(DEFS).map(str::to_owned) else { return };
        let Some(whole) = self.defs.get(&name).cloned().filter(|_| !name.ends_with("Layer")) else { return };
        let layer = format!("{name}Layer");
        if !self.defs.contains_key(&layer) {
            // Stands there before its own parts are looked at: a mixture has mixtures.
            self.defs.insert(layer.clone(), whole.clone());
            let mut part = whole;
            self.layer(&mut part);
            self.defs.insert(layer.clone(), part);
        }
        *reference = format!("{DEFS}{layer}");
    }

    /// The file: its schema with all definitions that are used.
    pub(crate) fn finish(self, mut root: Value, title: &str) -> Value {
        let mut used = Map::new();
        let mut todo = references(&root);
        while let Some(name) = todo.pop() {
            if let Some(schema) = self.defs.get(&name).filter(|_| !used.contains_key(&name)) {
                todo.extend(references(schema));
                used.insert(name, schema.clone());
            }
        }
        root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        root["title"] = json!(title);
        root["$defs"] = Value::Object(used);
        root
    }
}

/// Names of the definitions that a schema refers to.
fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(object) => {
            let own = object.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix(DEFS));
            own.map(str::to_owned).into_iter().chain(object.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => Vec::new(),
    }
}
