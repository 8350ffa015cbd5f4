//! The rows of a trace file as read: absolute times, so that slices and transforms come before the origin is set.

use std::sync::Arc;

use super::clock::AbsolutePs;
use super::report::LoadReport;
use super::trace::{NO_SESSION, PrefixChains, Request, Trace};
use crate::collections::LookupMap;
use crate::diagnostic::{InputError, InputErrors};
use crate::ids::ClassId;
use crate::units::SimTime;

/// One row of a file. 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Picoseconds from the zero of the file's own clock.
    pub time: AbsolutePs,
    pub prompt: u32,
    pub output: u32,
    /// Data row in the file, from 0: the identity that draws are keyed by. In copy `c` that `rate-scale` added it is
    /// raised by `c` times the number of rows read.
    pub number: u32,
    pub class: ClassId,
}

/// Most requests of one generated workload: more would not fit in the memory of a workstation.
pub(super) const MOST_REQUESTS: usize = 100_000_000;

/// The error for more than [`MOST_REQUESTS`].
pub(super) fn too_many_requests() -> InputError {
    InputError::named(
        "workload.requests",
        format!("the workload has more than {MOST_REQUESTS} requests"),
        "ask for fewer `requests`, a shorter `duration` or a lower `rate`",
    )
}

/// How finely the clock of a format ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Clock {
    /// Coarse by definition of the format, wherever all times are multiples of this (picoseconds).
    Declared(u64),
    /// Coarse if times tie and their gaps have a common divisor of at least a second.
    #[default]
    Detect,
    /// As `Detect`; also if most times tie and most other gaps are near multiples of the median one: Mooncake's clock
    /// ticks every 3 s, give or take a few milliseconds.
    Jittered,
}

/// All rows of one file, in time order, with what happened to them so far.
#[derive(Clone, Debug)]
pub struct Rows {
    pub(super) rows: Vec<Row>,
    pub(super) classes: Vec<String>,
    /// Prefix identities, indexed by `Row::number`.
    pub(super) chains: Option<PrefixChains>,
    /// Session of a row, indexed by `Row::number`; [`NO_SESSION`]: none.
    pub(super) sessions: Option<Vec<u32>>,
    /// Whether the file has arrival times; lengths-only files have none.
    pub(super) timed: bool,
    pub(super) clock: Clock,
    /// What was read, skipped and changed.
    pub report: LoadReport,
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row is left.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// (prompt, output) of every row, in file order: an empirical length distribution.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = (u32, u32)> + '_ {
        self.rows.iter().map(|r| (r.prompt, r.output))
    }

    /// Whether the file has arrival times, or only lengths.
    pub fn has_times(&self) -> bool {
        self.timed
    }

    /// The names of the classes, in order of first appearance in the file.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The grain of a coarse clock in picoseconds, if this file has one.
    pub fn coarse_grain(&self) -> Option<u64> {
        if !self.timed || self.rows.len() < 2 {
            return None;
        }
        match self.clock {
            Clock::Declared(grain) => {
                self.rows.iter().all(|r| r.time.is_multiple_of(u128::from(grain))).then_some(grain)
            }
            Clock::Detect => self.common_grain(),
            Clock::Jittered => self.common_grain().or_else(|| self.jittered_grain()),
        }
    }

    fn gaps(&self) -> impl Iterator<Item = u128> + Clone + '_ {
        self.rows.windows(2).map(|w| w[1].time - w[0].time)
    }

    /// The common divisor of all gaps, if some times tie and it is at least a second.
    fn common_grain(&self) -> Option<u64> {
        let ties = self.gaps().any(|gap| gap == 0);
        let grain = u64::try_from(self.gaps().fold(0, gcd)).ok()?;
        (ties && u128::from(grain) >= super::clock::PS_PER_S).then_some(grain)
    }

    /// The median positive gap, if most times tie, it is at least a second, and nine tenths of the others are within a
    /// hundredth of its multiples.
    fn jittered_grain(&self) -> Option<u64> {
        let mut positive: Vec<u128> = self.gaps().filter(|&gap| gap > 0).collect();
        if positive.is_empty() || positive.len() * 2 > self.rows.len() {
            return None;
        }
        positive.sort_unstable();
        let grain = positive[positive.len() / 2];
        let near = |gap: &&u128| (**gap + grain / 100) % grain <= grain / 50;
        let regular = positive.iter().filter(near).count();
        let coarse = grain >= super::clock::PS_PER_S && regular * 10 >= positive.len() * 9;
        u64::try_from(grain).ok().filter(|_| coarse)
    }

    /// The trace: origin at the first row, unused classes dropped. Fails if no row is left or the span is too long.
    pub fn into_trace(mut self) -> Result<(Trace, LoadReport), InputErrors> {
        let place = self.report.source.clone();
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else {
            return Err(InputError::named(
                place,
                self.report.why_nothing_is_left(),
                "widen them; `windtunnel trace stats` shows the span and the classes of a file",
            )
            .into());
        };
        let origin = first.time;
        if u64::try_from(last.time - origin).is_err() {
            let days = (last.time - origin) / super::clock::PS_PER_S / 86_400;
            return Err(InputError::named(
                place,
                format!("the rows span {days} days, but simulated time holds 213"),
                "take a part with `slice = { from = …, to = … }`",
            )
            .into());
        }
        self.drop_unused_classes();
        let requests = self.rows.iter().map(|r| request(r, origin)).collect();
        let prefixes = self.chains.as_ref().map(|all| Arc::new(gather(all, &self.rows)));
        let sessions = self.sessions.as_ref().map(|all| dense(all, &self.rows));
        let trace = Trace { requests, classes: self.classes, prefixes, sessions, ..Trace::default() };
        Ok((trace, self.report))
    }

    /// Keeps only the classes that some row has, in their order.
    fn drop_unused_classes(&mut self) {
        let mut used = vec![false; self.classes.len()];
        for row in &self.rows {
            used[row.class.index()] = true;
        }
        let mut renamed = Vec::with_capacity(used.len());
        let mut next = 0u16;
        for &is_used in &used {
            renamed.push(ClassId(next));
            next += u16::from(is_used);
        }
        for row in &mut self.rows {
            row.class = renamed[row.class.index()];
        }
        let mut keep = used.into_iter();
        self.classes.retain(|_| keep.next().unwrap_or(false));
    }
}

fn request(row: &Row, origin: AbsolutePs) -> Request {
    #[expect(clippy::cast_possible_truncation, reason = "the whole span was checked to fit")]
    let arrival = SimTime::from_ps((row.time - origin) as u64);
    Request { arrival, prompt: row.prompt, output: row.output, max_tokens: row.output, class: row.class }
}

/// The chains of `rows`, in their order.
fn gather(all: &PrefixChains, rows: &[Row]) -> PrefixChains {
    let mut chains = PrefixChains { tokens_per_id: all.tokens_per_id, starts: vec![0], ids: Vec::new() };
    for row in rows {
        let of = |i: u32| all.starts[i as usize] as usize;
        chains.ids.extend_from_slice(&all.ids[of(row.number)..of(row.number + 1)]);
        chains.starts.push(u32::try_from(chains.ids.len()).unwrap_or(u32::MAX));
    }
    chains
}

/// The sessions of `rows`, numbered anew from 0 in order of first appearance.
fn dense(all: &[u32], rows: &[Row]) -> Vec<u32> {
    let mut renamed: LookupMap<u32, u32> = LookupMap::default();
    let mut rename = |row: &Row| {
        let session = all.get(row.number as usize).copied().unwrap_or(NO_SESSION);
        if session == NO_SESSION {
            return NO_SESSION;
        }
        let next = u32::try_from(renamed.len()).unwrap_or(NO_SESSION);
        *renamed.or_insert_with(session, || next)
    };
    rows.iter().map(&mut rename).collect()
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
