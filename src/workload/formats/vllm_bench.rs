//! The result of `vllm bench serve --save-result --save-detailed`: one JSON document with a list for each quantity.
//! Send times are there since `start_times` is written; older results are lengths only. A request with an error text,
//! or without output tokens, failed.

use super::super::clock::TimeUnit;
use super::super::input::Stream;
use super::super::rows::Clock;
use super::super::trace::NO_SESSION;
use super::bad_rows::{Problem, tokens};
use super::json::{Object, numbers};
use super::scan::{Feed, Names, Parsed, Shape, Sink};
use super::{Document, Format, Layout, ReadOptions, Scanned};
use crate::diagnostic::{InputError, InputErrors};
use crate::ids::ClassId;

pub(super) static FORMAT: Format = Format {
    about: "result of `vllm bench serve --save-detailed` (JSON); lengths, and times where it has `start_times`",
    layout: Layout::Document(Document { any: &["input_lens", "request_throughput"], scan }),
    write: None,
};

const KEYS: &[&str] = &["input_lens", "output_lens", "start_times", "errors"];

fn scan(input: &mut Stream, options: &ReadOptions, sink: &mut dyn Sink) -> Result<Scanned, InputErrors> {
    let whole = input.whole()?;
    let text = &whole.bytes;
    let place = Place { file: &whole.name, text };
    let object = Object::parse(text, KEYS).map_err(|p| {
        place.error(p.column, p.message, "is this one whole result? (`--append-result` files: split them)")
    })?;
    let lists = Lists::of(&object, &place)?;
    let shape = Shape {
        format: "vllm-bench",
        timed: lists.times.is_some(),
        sessions: false,
        tokens_per_id: None,
        header: None,
        lines: false,
        clock: Clock::Detect,
    };
    let mut feed = Feed::new(&whole.name, options, &shape, Names::new(true), sink)?;
    feed.zero_output_is_failure();
    let (mut line, mut passed) = (1, 0);
    for (i, prompt) in lists.prompts.iter().enumerate() {
        let at = place.offset(prompt);
        line += text[passed..at].iter().filter(|b| **b == b'\n').count() as u64;
        passed = at;
        match lists.row(i, &place) {
            Ok(parsed) => feed.row(line, &[], Ok(parsed))?,
            Err((line, problem)) => feed.row(line, &[], Err(problem))?,
        }
    }
    let (mut report, classes) = feed.finish()?;
    report.content_hash = Some(whole.hash.clone()).filter(|h| !h.is_empty());
    Ok(Scanned { report, classes, shape })
}

/// The lists of a result, element by element.
struct Lists<'a> {
    prompts: Vec<&'a str>,
    outputs: Vec<&'a str>,
    times: Option<Vec<&'a str>>,
    errors: Vec<String>,
}

impl<'a> Lists<'a> {
    fn of(object: &Object<'a>, place: &Place<'_>) -> Result<Self, InputError> {
        let list = |i: usize| -> Result<Option<Vec<&'a str>>, InputError> {
            let Some(value) = object.get(i) else { return Ok(None) };
            let mut all = Vec::new();
            let add = |element: &'a str| {
                all.push(element);
                true
            };
            match numbers(value, add) {
                Ok(()) => Ok(Some(all)),
                Err(_) => {
                    let message = format!("`{}` is not a list", KEYS[i]);
                    Err(place.error(
                        place.offset(value) + 1,
                        message,
                        "this is no result of a generation benchmark",
                    ))
                }
            }
        };
        let need = |i: usize| {
            list(i)?.ok_or_else(|| {
                let message = format!("the result has no `{}`", KEYS[i]);
                place.error(1, message, "run the benchmark with `--save-result --save-detailed`")
            })
        };
        let (prompts, outputs, times) = (need(0)?, need(1)?, list(2)?);
        let errors: Vec<Option<String>> =
            object.get(3).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let errors = errors.into_iter().map(Option::unwrap_or_default).collect();
        let others = [(1, outputs.len()), (2, times.as_ref().map_or(prompts.len(), Vec::len))];
        for (i, count) in others {
            if count != prompts.len() {
                let message =
                    format!("`{}` has {count} elements, but `input_lens` has {}", KEYS[i], prompts.len());
                return Err(place.error(1, message, "the result is damaged: run the benchmark again"));
            }
        }
        Ok(Lists { prompts, outputs, times, errors })
    }

    /// Row `i`, or what is wrong with it and in which line.
    fn row(&self, i: usize, place: &Place<'_>) -> Result<Parsed, (u64, Problem)> {
        let wrong = |text: &str, name: &str, what: &str| {
            let (line, column) = place.line_column(place.offset(text));
            (line as u64, Problem { column, message: format!("the {name} `{text}` {what}") })
        };
        let count = |text: &str, name: &str| tokens(text.as_bytes()).map_err(|what| wrong(text, name, what));
        let time = match &self.times {
            Some(times) => {
                let parsed = TimeUnit::S.parse(times[i].as_bytes());
                parsed.map_err(|what| wrong(times[i], "time", what))?
            }
            None => 0,
        };
        let prompt = count(self.prompts[i], "prompt length")?;
        let output = count(self.outputs[i], "output length")?;
        let failed = self.errors.get(i).is_some_and(|e| !e.is_empty());
        Ok(Parsed { time, prompt, output, class: ClassId(0), session: NO_SESSION, columns: (1, 1), failed })
    }
}

/// Positions in the document.
struct Place<'a> {
    file: &'a str,
    text: &'a [u8],
}

impl Place<'_> {
    /// Bytes before `piece`, a part of the document.
    fn offset(&self, piece: &str) -> usize {
        (piece.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize).min(self.text.len())
    }

    /// Line and column of a byte, from 1.
    fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..offset.min(self.text.len())];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        (line, before.len() - before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1) + 1)
    }

    /// A problem at byte `column` (from 1) of the document.
    fn error(&self, column: usize, message: String, help: &str) -> InputError {
        let (line, column) = self.line_column(column - 1);
        InputError::named(format!("{}:{line}:{column}", self.file), message, help)
    }
}
