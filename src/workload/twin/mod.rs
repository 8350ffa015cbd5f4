//! Synthetic twins of published traces: envelope × modulation × cluster × lengths (generator.md §5).
//!
//! Each layer of each stream has its own keyed draws, so changing the parameters of one layer leaves the others
//! alone, and a longer twin begins with the shorter one.

mod check;
mod clients;
mod rate;
mod spec;
mod stream;

use self::stream::{Out, StreamProcess};
use super::report::LoadReport;
use super::rows::{Clock, MOST_REQUESTS, Row, Rows, too_many_requests};
use super::sessions::{SideTables, too_many_ids};
use crate::diagnostic::{InputError, InputErrors};
use crate::ids::ClassId;

pub use self::spec::{
    Background, Batch, CampaignSpec, Clients, Cluster, Envelope, FlatRate, LawScale, LinearRate, LogMixture,
    LognormalModulation, Memory, Modulation, Part, PartOfBin, Session, StartGaps, StreamSpec, Switch,
    TickClock, TwinSpec, Weekday, WeeklyRate,
};

/// Which part of a generated process is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    /// Requests before this are left out (picoseconds).
    pub from_ps: u64,
    /// Requests from here on are left out.
    pub to_ps: Option<u64>,
    /// At most this many requests; exactly this many if there is no end.
    pub requests: Option<usize>,
}

/// Generates a twin: rows in time order, numbered from 0.
pub(super) fn generate(
    spec: &TwinSpec,
    window: Window,
    rate_scale: f64,
    seed: u64,
) -> Result<Rows, InputErrors> {
    debug_assert!(spec.check().is_ok(), "a recipe is checked when it is opened");
    // Parts of one name are one class.
    let mut classes: Vec<String> = Vec::new();
    let mut streams = Vec::new();
    for (place, stream) in (0u64..).zip(&spec.stream) {
        let of_part = |part: &Part| {
            let known = classes.iter().position(|c| *c == part.class).unwrap_or_else(|| {
                classes.push(part.class.clone());
                classes.len() - 1
            });
            ClassId(u16::try_from(known).unwrap_or(u16::MAX))
        };
        let own: Vec<ClassId> = stream.part.iter().map(of_part).collect();
        streams.push(StreamProcess::new(spec, place, &own, rate_scale, seed));
    }
    let lead_in = spec.lead_in.as_ps();
    let from_ps = window.from_ps.saturating_add(lead_in);
    let end_ps = window.to_ps.map_or(u64::MAX, |to| to.saturating_add(lead_in));
    let wanted = window.requests.unwrap_or(usize::MAX);
    let block = spec.stream.iter().find_map(|s| s.prefix.map(|p| p.block));
    let sessions = spec.stream.iter().any(|s| matches!(s.cluster, Cluster::Session(_)));
    let (mut tables, mut next_session) = (SideTables::new(block, sessions), 0u32);
    let (mut ready, mut pending) = (Vec::new(), Vec::<Row>::new());
    let mut bin = 0u64;
    while ready.len() < wanted {
        let Some(bin_end) = (bin + 1).checked_mul(spec.bin.as_ps()) else { break };
        if bin_end - spec.bin.as_ps() >= end_ps {
            break;
        }
        for stream in &mut streams {
            let next_session = &mut next_session;
            stream.bin(bin, &mut Out { rows: &mut pending, tables: &mut tables, next_session });
        }
        if tables.full() {
            return Err(too_many_ids().into());
        }
        if ready.len() + pending.len() > MOST_REQUESTS {
            return Err(too_many_requests().into());
        }
        settle(&mut pending, &mut ready, bin_end);
        if bin_end <= from_ps {
            ready.clear();
        } else if from_ps > bin_end - spec.bin.as_ps() || end_ps < bin_end {
            let (from, to) = (u128::from(from_ps), u128::from(end_ps));
            ready.retain(|r| r.time >= from && r.time < to);
        }
        bin += 1;
    }
    if window.to_ps.is_none() && ready.len() < wanted {
        let message =
            format!("the recipe gives only {} requests in 213 days, {wanted} are wanted", ready.len());
        return Err(
            InputError::named("workload.requests", message, "ask for fewer, or raise `rate-scale`").into()
        );
    }
    ready.truncate(wanted);
    for row in &mut ready {
        row.time -= u128::from(lead_in);
    }
    let report = LoadReport { rows_read: ready.len() as u64, ..LoadReport::default() };
    let (chains, sessions) = tables.finish();
    Ok(Rows { rows: ready, classes, chains, sessions, timed: true, clock: Clock::Detect, report })
}

/// Moves what arrives before `end` from `pending` to `ready`, in time order (ties: in the order of generation).
fn settle(pending: &mut Vec<Row>, ready: &mut Vec<Row>, end: u64) {
    let old = ready.len();
    pending.retain(|row| {
        let due = row.time < u128::from(end);
        if due {
            ready.push(*row);
        }
        !due
    });
    ready[old..].sort_by_key(|r| r.time);
}
