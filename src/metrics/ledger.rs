//! Mean ledgers: where the time of typical and of slow requests went.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::record::{Ledger, RequestRecord};
use crate::ids::RequestId;
use crate::units::SimDuration;

/// A group of finished requests whose mean ledger is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LedgerGroup {
    /// All of them.
    All,
    /// The tenth around the median of TTFT.
    TtftP50,
    /// The tenth around the 90th percentile of TTFT.
    TtftP90,
    /// The slowest hundredth by TTFT.
    TtftP99,
    /// The tenth around the median of E2E.
    E2eP50,
    /// The tenth around the 90th percentile of E2E.
    E2eP90,
    /// The slowest hundredth by E2E.
    E2eP99,
}

impl LedgerGroup {
    /// All groups, in file order.
    pub const ALL: [LedgerGroup; 7] = [
        LedgerGroup::All,
        LedgerGroup::TtftP50,
        LedgerGroup::TtftP90,
        LedgerGroup::TtftP99,
        LedgerGroup::E2eP50,
        LedgerGroup::E2eP90,
        LedgerGroup::E2eP99,
    ];

    /// Name in files.
    pub fn name(self) -> &'static str {
        match self {
            LedgerGroup::All => "all",
            LedgerGroup::TtftP50 => "ttft-p50",
            LedgerGroup::TtftP90 => "ttft-p90",
            LedgerGroup::TtftP99 => "ttft-p99",
            LedgerGroup::E2eP50 => "e2e-p50",
            LedgerGroup::E2eP90 => "e2e-p90",
            LedgerGroup::E2eP99 => "e2e-p99",
        }
    }

    /// The ranks it takes of `n` requests sorted by its key: at least one when there is one.
    fn ranks(self, n: usize) -> Range<usize> {
        let percent = |p: usize| (n * p / 100).min(n.saturating_sub(1));
        match self {
            LedgerGroup::All => 0..n,
            LedgerGroup::TtftP50 | LedgerGroup::E2eP50 => percent(45)..(percent(55) + 1).min(n),
            LedgerGroup::TtftP90 | LedgerGroup::E2eP90 => percent(85)..(percent(95) + 1).min(n),
            LedgerGroup::TtftP99 | LedgerGroup::E2eP99 => percent(99)..n,
        }
    }
}

/// Mean time per cause over one group, in seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Which requests.
    pub group: LedgerGroup,
    /// How many.
    pub requests: u64,
    /// Mean seconds per cause, in the order of `Cause::ALL`; they sum to the mean E2E of the group.
    pub seconds: [f64; 12],
}

impl LedgerRow {
    /// Mean end-to-end latency of the group, in seconds.
    pub fn total_s(&self) -> f64 {
        self.seconds.iter().sum()
    }
}

/// The mean ledgers of all groups; empty when nothing finished. Ties in a key are broken by request id.
///
/// Selects where the ranks of each group begin and end, then sums in one pass in the order of the records.
pub fn ledgers(finished: impl Iterator<Item = RequestRecord> + Clone) -> Vec<LedgerRow> {
    let mut sums = LedgerGroup::ALL.map(|_| Sum::default());
    let ttft = bounds(finished.clone(), RequestRecord::ttft);
    let e2e = bounds(finished.clone(), RequestRecord::e2e);
    finished.for_each(|r| {
        sums[0].add(&r.ledger);
        for (at, _) in ttft.iter().enumerate().filter(|(_, range)| range.contains(&(r.ttft(), r.id))) {
            sums[1 + at].add(&r.ledger);
        }
        for (at, _) in e2e.iter().enumerate().filter(|(_, range)| range.contains(&(r.e2e(), r.id))) {
            sums[4 + at].add(&r.ledger);
        }
    });
    let row = |(&group, sum): (&LedgerGroup, &Sum)| LedgerRow {
        group,
        requests: sum.requests,
        seconds: sum.parts.map(|ps| ps as f64 / sum.requests as f64 / 1e12),
    };
    LedgerGroup::ALL.iter().zip(&sums).filter(|(_, sum)| sum.requests > 0).map(row).collect()
}

/// What orders the requests of a group.
type Key = (SimDuration, RequestId);

/// The keys between which the groups of one quantity lie: around the median, around the 90th percentile, from the 99th
/// on. Selects, from the highest rank down.
fn bounds(
    finished: impl Iterator<Item = RequestRecord>,
    of: impl Fn(&RequestRecord) -> SimDuration,
) -> [Range<Key>; 3] {
    let mut keys = Vec::new();
    finished.for_each(|r| keys.push((of(&r), r.id)));
    let ranges =
        [LedgerGroup::TtftP50, LedgerGroup::TtftP90, LedgerGroup::TtftP99].map(|g| g.ranks(keys.len()));
    let mut ranks: Vec<usize> = ranges.iter().flat_map(|r| [r.start, r.end]).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let n = keys.len();
    let mut above = n;
    for rank in ranks.into_iter().rev().filter(|&rank| rank < n) {
        keys[..above].select_nth_unstable(rank);
        above = rank;
    }
    let end = (SimDuration::from_ps(u64::MAX), RequestId(u32::MAX));
    let key = |rank: usize| keys.get(rank).copied().unwrap_or(end);
    ranges.map(|r| key(r.start)..key(r.end))
}

/// Integer sums per cause, divided once at the end.
#[derive(Default)]
struct Sum {
    requests: u64,
    parts: [u128; 12],
}

impl Sum {
    fn add(&mut self, ledger: &Ledger) {
        self.requests += 1;
        for (sum, part) in self.parts.iter_mut().zip(ledger.0) {
            *sum += u128::from(part);
        }
    }
}

/// Mean of the ledgers of the same group over several runs; absent when there is none.
pub fn mean_over_runs<'a>(rows: impl IntoIterator<Item = &'a LedgerRow>) -> Option<LedgerRow> {
    let rows: Vec<&LedgerRow> = rows.into_iter().collect();
    let first = rows.first()?;
    let mut seconds = [0.0; 12];
    for row in &rows {
        for (sum, part) in seconds.iter_mut().zip(row.seconds) {
            *sum += part / rows.len() as f64;
        }
    }
    Some(LedgerRow { group: first.group, requests: rows.iter().map(|r| r.requests).sum(), seconds })
}
