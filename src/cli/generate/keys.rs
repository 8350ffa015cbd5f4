//! The keys of a file as a table, from its JSON schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::reference::cell;

/// A row for every key: path, type, what it means.
pub(super) fn table(schema: &Value) -> String {
    let mut table = Table { root: schema, within: Vec::new(), rows: String::new() };
    table.keys("", schema);
    format!("| key | type | what |\n| --- | --- | --- |\n{}", table.rows)
}

struct Table<'a> {
    root: &'a Value,
    /// Definitions that the path goes through: one within itself is not spread out again.
    within: Vec<&'a str>,
    rows: String,
}

impl<'a> Table<'a> {
    /// What a schema or the definition it refers to says.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let name = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/"));
        name.and_then(|name| self.root["$defs"].get(name)).unwrap_or(schema)
    }

    /// Rows of all that is below a path.
    fn keys(&mut self, path: &str, schema: &'a Value) {
        let name = schema["$ref"].as_str();
        if name.is_some_and(|name| self.within.contains(&name)) {
            return;
        }
        self.within.extend(name);
        self.keys_of(path, self.resolved(schema));
        self.within.truncate(self.within.len() - usize::from(name.is_some()));
    }

    fn keys_of(&mut self, path: &str, schema: &'a Value) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            self.key(&path, below);
        }
        if schema["additionalProperties"].is_object() {
            self.key(&format!("{path}.NAME"), &schema["additionalProperties"]);
        }
        if schema["items"].is_object() {
            self.keys(&format!("{path}[]"), &schema["items"]);
        }
        for choice in choices(schema) {
            match tag(choice) {
                // The description of a mechanism stands at the choice.
                Some((tag, below)) => {
                    let path = format!("{path}.{tag}");
                    let about = description(choice).or_else(|| description(below));
                    self.row(&path, below, about.unwrap_or(""));
                    self.keys(&path, below);
                }
                None => self.keys(path, choice),
            }
        }
    }

    fn key(&mut self, path: &str, schema: &'a Value) {
        let about = description(schema).or_else(|| description(self.resolved(schema)));
        self.row(path, schema, about.unwrap_or(""));
        self.keys(path, schema);
    }

    fn row(&mut self, path: &str, schema: &'a Value, about: &str) {
        let kind = cell(&self.kind(schema));
        let _ = writeln!(self.rows, "| `{path}` | {kind} | {} |", cell(about.trim()));
    }

    /// What may be written, in a few words.
    fn kind(&self, schema: &'a Value) -> String {
        let schema = self.resolved(schema);
        if let Some(word) = schema["const"].as_str() {
            return format!("`\"{word}\"`");
        }
        if let Some(words) = schema["enum"].as_array() {
            return words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", ");
        }
        let mut kinds: Vec<String> = Vec::new();
        for choice in choices(schema) {
            let kind = match tag(choice) {
                Some((tag, _)) => format!("`{{ {tag} = … }}`"),
                None => self.kind(choice),
            };
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if !kinds.is_empty() {
            return kinds.join(", ");
        }
        match schema["type"].as_str() {
            Some("string") => match schema["examples"][0].as_str() {
                Some(example) => format!("such as `\"{example}\"`"),
                None => "text".to_owned(),
            },
            Some("array") if schema["items"].is_object() => format!("list: {}", self.kind(&schema["items"])),
            Some("array") => "list".to_owned(),
            Some("object") => "table".to_owned(),
            Some("boolean") => "`true`, `false`".to_owned(),
            Some(other) => other.to_owned(),
            None => "any".to_owned(),
        }
    }
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    ["oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten()
}

/// The key of a mechanism, and what stands below it.
fn tag(choice: &Value) -> Option<(&str, &Value)> {
    let required = choice["required"].as_array()?;
    let properties = choice["properties"].as_object()?;
    let (key, below) = properties.iter().next()?;
    (required.len() == 1 && properties.len() == 1).then_some((key.as_str(), below))
}

fn description(schema: &Value) -> Option<&str> {
    schema["description"].as_str()
}
