//! Problems in what a user wrote: every one has a place (file, line, column) and a next step.
//!
//! The library returns [`InputErrors`]; the command line prints them through miette. All problems of a file are
//! collected where that is possible, so that one run shows them all.

mod explain;
mod render;
mod sources;
mod strict;
mod tree;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use explain::{did_you_mean, from_toml, nearest};
pub use render::{Style, render};
pub use sources::Sources;
pub use strict::{from_tree, is_missing_field};
pub use tree::{Node, Value};

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

impl InputErrors {
    /// Adds the problem of a failed step and goes on without its value.
    pub fn note<T>(&mut self, result: Result<T, impl Into<InputErrors>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(errors) => {
                self.0.extend(errors.into().0);
                None
            }
        }
    }

    /// `value` if there was no problem at all.
    pub fn or<T>(self, value: T) -> Result<T, InputErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
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
