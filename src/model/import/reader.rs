//! Fields of a `config.json`, with an error at its place for each that is missing or wrong.

use std::ops::Range;

use serde_json::{Map, Value};

use crate::diagnostic::{InputError, InputErrors, Source};

/// Where multi-modal configurations keep the part of the language model.
const NESTED: &str = "text_config";

/// Reads fields, from `text_config` first where there is one.
pub(super) struct Reader<'a> {
    source: &'a Source,
    top: &'a Map<String, Value>,
    nested: Option<&'a Map<String, Value>>,
    errors: InputErrors,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source, top: &'a Map<String, Value>) -> Self {
        let nested = top.get(NESTED).and_then(Value::as_object);
        Reader { source, top, nested, errors: InputErrors::default() }
    }

    /// The value of `key`; `null` counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        let found = self.nested.and_then(|n| n.get(key)).or_else(|| self.top.get(key));
        found.filter(|value| !value.is_null())
    }

    /// Records a problem at `key`.
    pub(super) fn refuse(&mut self, key: &str, message: String, help: &str) {
        let from = match self.nested.and_then(|n| n.get(key)) {
            Some(_) => span(&self.source.text, 0, NESTED).end,
            None => 0,
        };
        let place = span(&self.source.text, from, key);
        self.errors.0.push(InputError::at(self.source, place, format!("`{key}`: {message}"), help));
    }

    /// A count of at least 1 that must be there.
    pub(super) fn count(&mut self, key: &str) -> u32 {
        match self.optional(key) {
            Some(value) => value,
            None => {
                if self.get(key).is_none() {
                    let nested =
                        if self.nested.is_some() { " (looked for in `text_config` too)" } else { "" };
                    let message = format!("is missing{nested}");
                    self.refuse(key, message, "add it: this architecture cannot be counted without");
                }
                1
            }
        }
    }

    /// A count of at least 1, if it is there. A wrong one is recorded and read as absent.
    pub(super) fn optional(&mut self, key: &str) -> Option<u32> {
        let value = self.get(key)?;
        let count = value.as_u64().and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0);
        if count.is_none() {
            self.refuse(key, format!("{value} is not a count"), "write a whole number of at least 1");
        }
        count
    }

    /// A count that may be 0; 0 if it is not there.
    pub(super) fn count_or_zero(&mut self, key: &str) -> u32 {
        if self.get(key).and_then(Value::as_u64) == Some(0) { 0 } else { self.optional(key).unwrap_or(0) }
    }

    /// The first of `keys` that is there; the first one is named if none is.
    pub(super) fn either(&mut self, keys: &[&str]) -> u32 {
        let found = keys.iter().find(|k| self.get(k).is_some()).or(keys.first());
        found.map_or(1, |key| self.count(key))
    }

    /// `true` or `false`, `default` if it is not there.
    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        let Some(value) = self.get(key) else { return default };
        value.as_bool().unwrap_or_else(|| {
            self.refuse(key, format!("{value} is neither true nor false"), "write `true` or `false`");
            default
        })
    }

    /// A value as JSON text, for notes.
    pub(super) fn text_of(&self, key: &str) -> Option<String> {
        self.get(key).map(Value::to_string)
    }

    /// The problems found, or nothing.
    pub(super) fn done(self) -> Result<(), InputErrors> {
        self.errors.or(())
    }
}

/// Bytes of `"key"` after byte `from`, where a colon follows; the first byte of the file if it is not there.
pub(super) fn span(text: &str, from: usize, key: &str) -> Range<usize> {
    let quoted = format!("\"{key}\"");
    let rest = text.get(from..).unwrap_or("");
    rest.match_indices(&quoted)
        .find(|(at, _)| rest[at + quoted.len()..].trim_start().starts_with(':'))
        .map_or(0..1.min(text.len()), |(at, _)| from + at..from + at + quoted.len())
}
