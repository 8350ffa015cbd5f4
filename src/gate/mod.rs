//! The regression gate: a scenario run again and held against its baseline.
//!
//! A baseline (`baseline`) holds, per system and point, the numbers of every seed, the rate, and the hash of the requests. Checked with
//! the same seeds, runs are paired and exact: whatever differs was changed by somebody, so a number fails when it got worse by more
//! than its tolerance. Checked with fresh seeds, it fails when besides that Welch's test tells it from noise, by Holm's procedure over
//! all numbers of the scenario. Judged in `judge`; said in `text`, `junit`, `github` and `markdown`.

pub mod baseline;
pub mod github;
pub mod judge;
pub mod junit;
pub mod markdown;
pub mod text;

pub use baseline::{Baseline, BaselinePoint, BaselineRow};
pub use judge::{Checked, Found, Mode, Outcome, QueueChange, judge};

use serde::Serialize;

/// Version of the layout of [`json`].
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    worse: bool,
    scenarios: &'a [Found],
}

/// All findings as one JSON document.
pub fn json(all: &[Found]) -> Vec<u8> {
    crate::results::json(&Document { schema: SCHEMA, worse: all.iter().any(Found::fails), scenarios: all })
}
