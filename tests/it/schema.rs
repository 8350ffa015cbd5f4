//! The JSON schemas accept every file we ship and refuse what the parser refuses for its keys and types.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

#[track_caller]
fn schema(kind: &str) -> Value {
    let output =
        Command::cargo_bin("windtunnel").unwrap().args(["generate", "schema", kind]).output().unwrap();
    assert!(output.status.success(), "{kind}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The keywords that schemars writes for our types; anything else is let through.
struct Validator<'a>(&'a Value);

impl Validator<'_> {
    fn accepts(&self, schema: &Value, value: &Value) -> bool {
        let Some(s) = schema.as_object() else { return schema.as_bool().unwrap_or(true) };
        let list = |key: &str| s.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let matching = |key: &str| list(key).iter().filter(|one| self.accepts(one, value)).count();
        let refers = s.get("$ref").and_then(Value::as_str).is_none_or(|path| {
            let target = self.0.pointer(path.trim_start_matches('#')).expect("a definition");
            self.accepts(target, value)
        });
        refers
            && s.get("type").is_none_or(|t| has_type(t, value))
            && s.get("const").is_none_or(|c| c == value)
            && (!s.contains_key("enum") || list("enum").contains(value))
            && (!s.contains_key("oneOf") || matching("oneOf") == 1)
            && (!s.contains_key("anyOf") || matching("anyOf") > 0)
            && matching("allOf") == list("allOf").len()
            && within(s, value)
            && self.items(s, value)
            && self.properties(s, value)
    }

    fn items(&self, s: &serde_json::Map<String, Value>, value: &Value) -> bool {
        let Some(items) = value.as_array() else { return true };
        let prefix = s.get("prefixItems").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let count = |key: &str| s.get(key).and_then(Value::as_u64);
        let length = items.len() as u64;
        count("minItems").is_none_or(|n| length >= n)
            && count("maxItems").is_none_or(|n| length <= n)
            && items.iter().enumerate().all(|(i, item)| match prefix.get(i).or_else(|| s.get("items")) {
                Some(schema) => self.accepts(schema, item),
                None => true,
            })
    }

    fn properties(&self, s: &serde_json::Map<String, Value>, value: &Value) -> bool {
        let Some(entries) = value.as_object() else { return true };
        let known = s.get("properties").and_then(Value::as_object);
        let required = s.get("required").and_then(Value::as_array);
        let other = s.get("additionalProperties");
        required.is_none_or(|keys| keys.iter().all(|k| entries.contains_key(k.as_str().unwrap())))
            && entries.iter().all(|(key, inner)| match known.and_then(|k| k.get(key)).or(other) {
                Some(schema) => self.accepts(schema, inner),
                None => true,
            })
    }
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let one = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("type {other}"),
    };
    match wanted {
        Value::Array(names) => names.iter().any(|n| one(n.as_str().unwrap())),
        name => one(name.as_str().unwrap()),
    }
}

fn within(s: &serde_json::Map<String, Value>, value: &Value) -> bool {
    let limit = |key: &str| s.get(key).and_then(Value::as_f64);
    value.as_f64().is_none_or(|v| {
        limit("minimum").is_none_or(|least| v >= least) && limit("maximum").is_none_or(|most| v <= most)
    })
}

fn read(path: &Path) -> Option<Value> {
    let table: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).ok()?;
    Some(serde_json::to_value(table).unwrap())
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let all = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    all.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect()
}

#[test]
fn every_file_we_ship_is_valid() {
    let shelves = [
        ("scenario", &["scenarios", "scenarios/ci", "scenarios/bench"][..]),
        ("system", &["scenarios/systems"]),
        ("engine", &["scenarios/engines"]),
        ("paper", &["scenarios/papers"]),
        ("accelerator", &["hardware/accelerators"]),
        ("host", &["hardware/hosts"]),
        ("link", &["hardware/links"]),
        ("model", &["workloads/models"]),
        ("recipe", &["workloads"]),
    ];
    for (kind, folders) in shelves {
        let schema = schema(kind);
        assert_eq!(schema, self::schema(kind), "the same twice");
        let files: Vec<PathBuf> = folders.iter().flat_map(|f| files(f)).collect();
        assert!(files.len() >= 3, "{kind}: {files:?}");
        for file in files {
            let value = read(&file).expect("TOML");
            assert!(Validator(&schema).accepts(&schema, &value), "{} is refused by `{kind}`", file.display());
        }
    }
}

#[test]
fn faults_of_keys_and_types_are_refused() {
    let schema = schema("scenario");
    let bad = [
        "admission-unknown-key",
        "backend-unknown",
        "budget-is-text",
        "load-is-text",
        "no-systems",
        "node-is-number",
        "scheduler-in-deployment",
        "two-routers",
        "unknown-section",
        "variant-not-a-table",
        "wrong-type-seeds",
    ];
    for name in bad {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui").join(format!("{name}.toml"));
        let value = read(&file).expect("TOML");
        assert!(!Validator(&schema).accepts(&schema, &value), "{name} is accepted");
    }
}

#[test]
fn the_reference_is_fresh() {
    let output = Command::cargo_bin("windtunnel").unwrap().args(["generate", "reference"]).output().unwrap();
    let fresh = String::from_utf8(output.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, &fresh).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == fresh, "docs/reference.md is stale: run with UPDATE_REFERENCE=1");
}
