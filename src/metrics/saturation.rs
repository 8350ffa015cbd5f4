//! Was the run a steady state? A label by a written rule, with the numbers behind it.

use serde::{Deserialize, Serialize};

use super::record::{Fate, RequestRecord};
use super::records::Records;
use crate::units::{SimDuration, SimTime};

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
    /// The same at the middle of the arrival span.
    pub waiting_at_middle: u64,
    /// Half of the arrival span.
    pub half: SimDuration,
    /// Arrivals in the second half of the arrival span.
    pub arrivals_second_half: u64,
    /// Completions in the second half of the arrival span.
    pub completions_second_half: u64,
}

/// Applies the rule of `docs/metrics.md` to all requests of a run (rejected ones are not counted).
pub fn steadiness(records: &Records) -> Steadiness {
    let admitted = || records.iter().filter(|r| !matches!(r.fate, Fate::Rejected(_)));
    let ends = admitted().map(|r| r.arrival).fold(None, |ends: Option<(SimTime, SimTime)>, at| {
        Some(ends.map_or((at, at), |(first, last)| (first.min(at), last.max(at))))
    });
    let (first, last) = ends.unwrap_or((SimTime::ZERO, SimTime::ZERO));
    let middle = SimTime::from_ps(first.as_ps() + (last.as_ps() - first.as_ps()) / 2);
    let second_half = |t: SimTime| t > middle && t <= last;
    let (mut waiting, mut before, mut arrivals, mut completions) = (0_u64, 0, 0_u64, 0_u64);
    admitted().for_each(|r| {
        waiting += u64::from(!begun_by(&r, last));
        before += u64::from(r.arrival <= middle && !begun_by(&r, middle));
        arrivals += u64::from(second_half(r.arrival));
        completions += u64::from(r.fate == Fate::Finished && second_half(r.finish));
    });
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
        waiting_at_middle: before,
        half: last - middle,
        arrivals_second_half: arrivals,
        completions_second_half: completions,
    }
}

impl Steadiness {
    /// Growth of the queue over the second half of the arrivals, in requests per second.
    pub fn backlog_slope(&self) -> Option<f64> {
        let seconds = self.half.as_secs_f64();
        let growth = self.waiting_at_last_arrival as f64 - self.waiting_at_middle as f64;
        (seconds > 0.0).then(|| growth / seconds)
    }
}

/// Whether a step had worked on the request by `t`; an unfinished one without such a step has no instant of it.
fn begun_by(record: &RequestRecord, t: SimTime) -> bool {
    let begun = record.scheduled >= record.arrival && record.scheduled > SimTime::ZERO;
    record.scheduled <= t && (record.fate == Fate::Finished || begun)
}
