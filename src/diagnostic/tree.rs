//! A TOML document with the place of every key and value: layers of a scenario are merged in this form.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// A value and where it stands (global offsets of [`super::Sources`]).
#[derive(Clone, Debug)]
pub struct Node {
    /// The bytes of the value.
    pub span: Range<usize>,
    /// The value.
    pub value: Value,
}

/// What TOML can say; dates are kept as text, for nothing here takes a date.
#[derive(Clone, Debug)]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number.
    Float(f64),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    Array(Vec<Node>),
    /// Keys (with their own places) and values.
    Table(BTreeMap<String, (Range<usize>, Node)>),
}

impl Value {
    pub(super) fn from_table(table: &DeTable<'_>, base: usize) -> Value {
        let entry = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
            (key.get_ref().to_string(), (shift(key.span(), base), Node::from_toml(value, base)))
        };
        Value::Table(table.iter().map(entry).collect())
    }
}

fn shift(span: Range<usize>, base: usize) -> Range<usize> {
    span.start + base..span.end + base
}

impl Node {
    /// An empty table at `span`.
    pub fn table(span: Range<usize>) -> Node {
        Node { span, value: Value::Table(BTreeMap::new()) }
    }

    fn from_toml(spanned: &toml::Spanned<DeValue<'_>>, base: usize) -> Node {
        let value = match spanned.get_ref() {
            DeValue::String(s) => Value::String(s.to_string()),
            DeValue::Integer(i) => match i64::from_str_radix(i.as_str(), i.radix()) {
                Ok(i) => Value::Integer(i),
                Err(_) => Value::String(i.to_string()),
            },
            DeValue::Float(f) => {
                f.as_str().parse().map_or_else(|_| Value::String(f.to_string()), Value::Float)
            }
            DeValue::Boolean(b) => Value::Boolean(*b),
            DeValue::Datetime(d) => Value::String(d.to_string()),
            DeValue::Array(items) => Value::Array(items.iter().map(|v| Node::from_toml(v, base)).collect()),
            DeValue::Table(table) => Value::from_table(table, base),
        };
        Node { span: shift(spanned.span(), base), value }
    }

    /// The entries, if it is a table.
    pub fn entries(&self) -> Option<&BTreeMap<String, (Range<usize>, Node)>> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entries, if it is a table.
    pub fn entries_mut(&mut self) -> Option<&mut BTreeMap<String, (Range<usize>, Node)>> {
        match &mut self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.entries()?.get(key).map(|(_, node)| node))
    }

    /// The place of the key at a dotted path; of the nearest table above it where it was not written.
    pub fn key_span(&self, path: &str) -> Range<usize> {
        let mut node = self;
        let mut span = self.span.clone();
        for key in path.split('.') {
            match node.entries().and_then(|entries| entries.get(key)) {
                Some((key_span, next)) => (span, node) = (key_span.clone(), next),
                None => break,
            }
        }
        span
    }

    /// The place of the value at a dotted path; see [`Node::key_span`].
    pub fn value_span(&self, path: &str) -> Range<usize> {
        self.get(path).map_or_else(|| self.key_span(path), |node| node.span.clone())
    }

    /// Takes an entry out of a table.
    pub fn take(&mut self, key: &str) -> Option<(Range<usize>, Node)> {
        self.entries_mut()?.remove(key)
    }

    /// Writes `upper` over this tree: tables are merged, everything else is replaced. A table with one entry whose
    /// path is in `tagged` names a mechanism: another mechanism replaces it whole.
    pub fn overlay(&mut self, upper: &Node, path: &str, tagged: &[&str]) {
        let swaps = tagged.contains(&path) && self.only_key() != upper.only_key();
        let (Some(over), Some(mine)) = (upper.entries(), self.entries_mut()) else {
            *self = upper.clone();
            return;
        };
        if swaps {
            *self = upper.clone();
            return;
        }
        for (key, (key_span, node)) in over {
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match mine.get_mut(key) {
                Some((span, below)) => {
                    *span = key_span.clone();
                    below.overlay(node, &inner, tagged);
                }
                None => {
                    mine.insert(key.clone(), (key_span.clone(), node.clone()));
                }
            }
        }
    }

    /// The key of a table that has exactly one.
    pub fn only_key(&self) -> Option<&str> {
        let entries = self.entries()?;
        let (key, _) = entries.first_key_value()?;
        (entries.len() == 1).then_some(key)
    }

    /// Removes the innermost entry whose key or value stands exactly at `span`; returns its path.
    pub(super) fn remove_at(&mut self, span: &Range<usize>) -> Option<String> {
        match &mut self.value {
            Value::Table(entries) => {
                for (key, (_, node)) in entries.iter_mut() {
                    if let Some(rest) = node.remove_at(span) {
                        return Some(format!("{key}.{rest}"));
                    }
                }
                let found = entries.iter().find(|(_, (k, n))| k == span || n.span == *span)?.0.clone();
                entries.remove(&found);
                Some(found)
            }
            Value::Array(items) => {
                for (i, node) in items.iter_mut().enumerate() {
                    if let Some(rest) = node.remove_at(span) {
                        return Some(format!("{i}.{rest}"));
                    }
                }
                let found = items.iter().position(|n| n.span == *span)?;
                items.remove(found);
                Some(found.to_string())
            }
            _ => None,
        }
    }

    /// Every leaf with its dotted path, in key order.
    pub fn leaves(&self) -> Vec<(String, &Node)> {
        let mut out = Vec::new();
        self.collect_leaves("", &mut out);
        out
    }

    fn collect_leaves<'a>(&'a self, path: &str, out: &mut Vec<(String, &'a Node)>) {
        match self.entries() {
            Some(entries) if !entries.is_empty() || path.is_empty() => {
                for (key, (_, node)) in entries {
                    let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    node.collect_leaves(&inner, out);
                }
            }
            _ => out.push((path.to_owned(), self)),
        }
    }
}

impl std::fmt::Display for Node {
    /// As TOML would write it on one line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.value {
            Value::String(s) => write!(f, "{s:?}"),
            Value::Integer(i) => write!(f, "{i}"),
            Value::Float(x) => write!(f, "{x:?}"),
            Value::Boolean(b) => write!(f, "{b}"),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Value::Table(entries) if entries.is_empty() => write!(f, "{{}}"),
            Value::Table(entries) => {
                let entries: Vec<String> = entries.iter().map(|(k, (_, v))| format!("{k} = {v}")).collect();
                write!(f, "{{ {} }}", entries.join(", "))
            }
        }
    }
}
