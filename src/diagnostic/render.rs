//! Problems as a person sees them: message, the line with its place underlined, and what to do.

use std::fmt;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

use super::{InputError, InputErrors};

/// How problems are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
}

/// All problems as text, ending in a line that counts them.
pub fn render(errors: &InputErrors, style: Style) -> String {
    let theme = if style.color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_width(style.width).with_links(false);
    let mut out = String::new();
    for error in &errors.0 {
        let report = Report::new(error);
        if handler.render_report(&mut out, &report).is_err() {
            out.push_str(&error.to_string());
        }
        out.push('\n');
    }
    let trimmed: Vec<&str> = out.lines().map(str::trim_end).collect();
    let mut text = trimmed.join("\n").trim_end().to_owned();
    text.push('\n');
    if errors.0.len() > 1 {
        text.push_str(&format!("\n{} problems in the input\n", errors.0.len()));
    }
    text
}

/// One problem in miette's terms.
#[derive(Debug)]
struct Report {
    message: String,
    help: String,
    source: Option<NamedSource<String>>,
    label: Option<LabeledSpan>,
}

impl Report {
    fn new(error: &InputError) -> Report {
        let source = error.source.as_ref().map(|s| NamedSource::new(&*s.name, s.text.to_string()));
        let label = match (&error.source, &error.span) {
            (Some(source), Some(span)) => {
                let span = visible(&source.text, span.clone());
                Some(LabeledSpan::new_with_span(Some("here".to_owned()), span))
            }
            _ => None,
        };
        let message = match (&error.place, &label) {
            (Some(place), None) => format!("{place}: {}", error.message),
            _ => error.message.clone(),
        };
        Report { message, help: error.help.clone(), source, label }
    }
}

/// The part of a span on its first line, so that a whole table is not underlined.
fn visible(text: &str, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let first_line = text.get(start..end).and_then(|t| t.find('\n')).map_or(end, |n| start + n);
    start..first_line
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Report {}

impl Diagnostic for Report {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.help))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|s| s as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.label.clone().map(|l| Box::new(std::iter::once(l)) as Box<dyn Iterator<Item = LabeledSpan>>)
    }
}
