//! All texts a scenario is made of, behind one running offset, so that a span alone says file, line and column.

use std::ops::Range;
use std::path::Path;

use super::explain::syntax;
use super::{InputError, Node, Source, Value};

/// Texts read so far; a byte range in "global" offsets belongs to exactly one of them.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// (offset of its first byte, text, how its values are called in `explain`)
    parts: Vec<(usize, Source, String)>,
    end: usize,
}

impl Sources {
    /// Adds a text and parses it as TOML; spans of the tree are global. `origin` names the layer, such as `preset`.
    pub fn parse(&mut self, source: &Source, origin: &str) -> Result<Node, InputError> {
        let base = self.end;
        self.parts.push((base, source.clone(), origin.to_owned()));
        self.end += source.text.len() + 1;
        let parsed = toml::de::DeTable::parse(&source.text).map_err(|e| syntax(source, &e))?;
        Ok(Node { span: base..base + source.text.len(), value: Value::from_table(parsed.get_ref(), base) })
    }

    /// A problem at a global span.
    pub fn error(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> InputError {
        match self.part(span.start) {
            Some((base, source, _)) => {
                let end = source.text.len();
                let local = (span.start - base).min(end)..(span.end - base).min(end);
                InputError::at(source, local, message, help)
            }
            None => InputError::named("scenario", message, help),
        }
    }

    /// Layer, file and line of a global span, such as `preset (scenarios/systems/orca.toml:8)`; or the flag.
    pub fn origin(&self, span: &Range<usize>) -> String {
        let Some((base, source, origin)) = self.part(span.start) else { return "default".to_owned() };
        let before = source.text.get(..span.start - base).unwrap_or("");
        let line = before.matches('\n').count() + 1;
        if source.name.starts_with("--") {
            return source.name.to_string();
        }
        // Of a file on disk only the name: this text goes into results, which must not depend on the folder.
        let file = Path::new(&*source.name).file_name().map(|n| n.to_string_lossy().into_owned());
        let name = match source.name.strip_prefix("<embedded>/") {
            Some(name) => name.to_owned(),
            None => file.unwrap_or_else(|| source.name.to_string()),
        };
        format!("{origin} ({name}:{line})")
    }

    /// Every text with the name of its layer, in reading order.
    pub fn all(&self) -> impl Iterator<Item = (&Source, &str)> {
        self.parts.iter().map(|(_, source, origin)| (source, origin.as_str()))
    }

    fn part(&self, at: usize) -> Option<&(usize, Source, String)> {
        let after = self.parts.partition_point(|(base, _, _)| *base <= at);
        self.parts.get(after.checked_sub(1)?)
    }
}
