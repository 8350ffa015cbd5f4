//! Was the run a steady state? A label by a written rule, with the numbers behind it.

use serde::{Deserialize, Serialize};

use super::record::{Fate, RequestRecord};
use crate::units::SimTime;

/// Whether the deployment kept up with its arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Saturation {
    /// Waiting at the last arrival ≤ max(10, 1 % of the arrivals of the second half).
    Stable,
    /// Neither stable nor overloaded.
    Backlogged,
    /// Not stable, and completions of the second half < 95 % of its arrivals.
    Overloaded,
}

impl Saturation {
    /// Name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Saturation::Stable => "stable",
            Saturation::Backlogged => "backlogged",
            Saturation::Overloaded => "overloaded",
        }
    }
}

/// The label and the counts it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steadiness {
    /// The label.
    pub label: Saturation,
    /// Requests that had arrived but not begun at the instant of the last arrival.
    pub waiting_at_last_arrival: u64,
    /// Arrivals in the second half of the arrival span.
    pub arrivals_second_half: u64,
    /// Completions in the second half of the arrival span.
    pub completions_second_half: u64,
}

/// Applies the rule of `docs/metrics.md` to all requests of a run (rejected ones are not counted).
pub fn steadiness(records: &[RequestRecord]) -> Steadiness {
    let admitted = || records.iter().filter(|r| !matches!(r.fate, Fate::Rejected(_)));
    let first = admitted().map(|r| r.arrival).min().unwrap_or(SimTime::ZERO);
    let last = admitted().map(|r| r.arrival).max().unwrap_or(SimTime::ZERO);
    let middle = SimTime::from_ps(first.as_ps() + (last.as_ps() - first.as_ps()) / 2);
    let second_half = |t: SimTime| t > middle && t <= last;
    let waiting = admitted().filter(|r| !begun_by(r, last)).count() as u64;
    let arrivals = admitted().filter(|r| second_half(r.arrival)).count() as u64;
    let completions = admitted().filter(|r| r.fate == Fate::Finished && second_half(r.finish)).count() as u64;
    // Integers: waiting ≤ 1 % of arrivals, completions < 95 % of arrivals.
    let label = if waiting <= 10 || waiting * 100 <= arrivals {
        Saturation::Stable
    } else if completions * 100 < arrivals * 95 {
        Saturation::Overloaded
    } else {
        Saturation::Backlogged
    };
    Steadiness {
        label,
        waiting_at_last_arrival: waiting,
        arrivals_second_half: arrivals,
        completions_second_half: completions,
    }
}

/// Whether a step had worked on the request by `t`; an unfinished one without such a step has no instant of it.
fn begun_by(record: &RequestRecord, t: SimTime) -> bool {
    let begun = record.scheduled >= record.arrival && record.scheduled > SimTime::ZERO;
    record.scheduled <= t && (record.fate == Fate::Finished || begun)
}
