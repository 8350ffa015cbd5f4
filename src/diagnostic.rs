//! Problems in what a user wrote: every one has a place (file, line, column) and a next step.
//!
//! The library returns [`InputErrors`]; the command line prints them through miette. All problems of a file are
//! collected where that is possible, so that one run shows them all.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::de::DeserializeOwned;

/// A text file as the user sees it: name and content.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path or name as printed in messages.
    pub name: Arc<str>,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// A source from its printed name and its content.
    pub fn new(name: impl Into<Arc<str>>, text: impl Into<Arc<str>>) -> Self {
        Source { name: name.into(), text: text.into() }
    }
}

/// One problem in an input, with its place and a next step.
#[derive(Clone, Debug)]
pub struct InputError {
    /// The file it stands in; `None` for flags and for files too large to show.
    pub source: Option<Source>,
    /// Bytes of `source.text` to underline.
    pub span: Option<Range<usize>>,
    /// Where it is when there is no `source`: `path:line:column` or the flag.
    pub place: Option<String>,
    /// What is wrong: lower case, no full stop, values in backticks.
    pub message: String,
    /// What to do about it; an action.
    pub help: String,
}

/// All problems found in one go; never empty when returned as an error.
#[derive(Clone, Debug, Default)]
pub struct InputErrors(pub Vec<InputError>);

impl InputError {
    /// A problem at `span` of `source`.
    pub fn at(
        source: &Source,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        InputError {
            source: Some(source.clone()),
            span: Some(span),
            place: None,
            message: message.into(),
            help: help.into(),
        }
    }

    /// A problem at a place that is only named, such as a line of a large trace or a flag.
    pub fn named(place: impl Into<String>, message: impl Into<String>, help: impl Into<String>) -> Self {
        InputError {
            source: None,
            span: None,
            place: Some(place.into()),
            message: message.into(),
            help: help.into(),
        }
    }

    /// Line and column (both from 1) of the start of the span.
    pub fn line_column(&self) -> Option<(usize, usize)> {
        let (source, span) = (self.source.as_ref()?, self.span.as_ref()?);
        let before = source.text.get(..span.start)?;
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        Some((line, column))
    }
}

impl From<InputError> for InputErrors {
    fn from(error: InputError) -> Self {
        InputErrors(vec![error])
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line_column(), &self.source, &self.place) {
            (Some((line, column)), Some(source), _) => write!(f, "{}:{line}:{column}: ", source.name)?,
            (_, _, Some(place)) => write!(f, "{place}: ")?,
            _ => {}
        }
        write!(f, "{} (help: {})", self.message, self.help)
    }
}

impl fmt::Display for InputErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.0.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for InputError {}
impl std::error::Error for InputErrors {}

/// Reads a TOML text into `T`; the error points at the key and offers the nearest known name.
///
/// `T` must be strict (`deny_unknown_fields`, externally tagged enums), so that positions are exact.
pub fn from_toml<T: DeserializeOwned>(source: &Source) -> Result<T, InputError> {
    let parsed = toml::de::Deserializer::parse(&source.text).map_err(|e| toml_error(source, "", &e))?;
    serde_path_to_error::deserialize(parsed).map_err(|e| {
        let path = e.path().to_string();
        toml_error(source, &path, e.inner())
    })
}

fn toml_error(source: &Source, path: &str, error: &toml::de::Error) -> InputError {
    let span = error.span().unwrap_or(0..0);
    let message = match path {
        "" | "." => error.message().to_owned(),
        _ => format!("`{path}`: {}", error.message()),
    };
    let help = suggestion(error.message()).unwrap_or_else(|| "correct this line".to_owned());
    InputError::at(source, span, message, help)
}

/// `did you mean …` from serde's own list of expected names.
fn suggestion(message: &str) -> Option<String> {
    let (found, expected) = message.split_once(", expected ")?;
    let name = found.split('`').nth(1)?;
    let candidates: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    match nearest(name, candidates.iter().copied()) {
        Some(best) => Some(format!("did you mean `{best}`?")),
        None if candidates.is_empty() => None,
        None => Some(format!("known here: {}", candidates.join(", "))),
    }
}

/// The candidate most like `name`, if any is near enough to be a slip of the pen.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::damerau_levenshtein(name, c), c))
        .filter(|(distance, c)| *distance <= 1 + name.len().min(c.len()) / 3)
        .min()
        .map(|(_, c)| c)
}
