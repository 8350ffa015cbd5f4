//! A finished run as a line of a file, so that an interrupted study goes on and shards can be put together.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::study::RunResult;
use crate::metrics::{Curves, Extract, Summary, TimelineRow};

/// Everything of a run but the records of its requests and its positions in a study.
#[derive(Serialize, Deserialize)]
struct Line<'a> {
    fingerprint: Cow<'a, str>,
    seed: u64,
    requests_hash: Cow<'a, str>,
    summary: Cow<'a, Summary>,
    curves: Cow<'a, Curves>,
    extract: Cow<'a, Extract>,
    timeline: Cow<'a, [TimelineRow]>,
}

/// The line of a run, with its end.
pub fn run_line(fingerprint: &str, run: &RunResult) -> Vec<u8> {
    let line = Line {
        fingerprint: fingerprint.into(),
        seed: run.seed,
        requests_hash: run.requests_hash.as_str().into(),
        summary: Cow::Borrowed(&run.summary),
        curves: Cow::Borrowed(&run.curves),
        extract: Cow::Borrowed(&run.extract),
        timeline: Cow::Borrowed(&run.timeline),
    };
    let mut bytes = serde_json::to_vec(&line).expect("our own types serialise");
    bytes.push(b'\n');
    bytes
}

/// The run of a line, at position 0 of its study; none for a line that was cut off.
pub fn read_run_line(line: &str) -> Option<(String, RunResult)> {
    let line: Line<'_> = serde_json::from_str(line).ok()?;
    let run = RunResult {
        system: 0,
        point: 0,
        seed: line.seed,
        requests_hash: line.requests_hash.into_owned(),
        summary: line.summary.into_owned(),
        curves: line.curves.into_owned(),
        extract: line.extract.into_owned(),
        timeline: line.timeline.into_owned(),
        requests: None,
    };
    Some((line.fingerprint.into_owned(), run))
}
