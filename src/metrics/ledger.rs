//! Mean ledgers: where the time of typical and of slow requests went.

use serde::{Deserialize, Serialize};

use super::record::{Ledger, RequestRecord};
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
    fn ranks(self, n: usize) -> std::ops::Range<usize> {
        let percent = |p: usize| (n * p / 100).min(n.saturating_sub(1));
        match self {
            LedgerGroup::All => 0..n,
            LedgerGroup::TtftP50 | LedgerGroup::E2eP50 => percent(45)..(percent(55) + 1).min(n),
            LedgerGroup::TtftP90 | LedgerGroup::E2eP90 => percent(85)..(percent(95) + 1).min(n),
            LedgerGroup::TtftP99 | LedgerGroup::E2eP99 => percent(99)..n,
        }
    }

    fn key(self, record: &RequestRecord) -> SimDuration {
        match self {
            LedgerGroup::All => SimDuration::ZERO,
            LedgerGroup::TtftP50 | LedgerGroup::TtftP90 | LedgerGroup::TtftP99 => record.ttft(),
            LedgerGroup::E2eP50 | LedgerGroup::E2eP90 | LedgerGroup::E2eP99 => record.e2e(),
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
pub fn ledgers(finished: &[&RequestRecord]) -> Vec<LedgerRow> {
    if finished.is_empty() {
        return Vec::new();
    }
    let mut by_key = finished.to_vec();
    LedgerGroup::ALL
        .iter()
        .map(|&group| {
            by_key.sort_unstable_by_key(|r| (group.key(r), r.id));
            let members = &by_key[group.ranks(by_key.len())];
            LedgerRow { group, requests: members.len() as u64, seconds: mean_seconds(members) }
        })
        .collect()
}

/// Integer sums per cause, divided once at the end.
fn mean_seconds(members: &[&RequestRecord]) -> [f64; 12] {
    let mut sums = [0_u128; 12];
    for record in members {
        let Ledger(parts) = record.ledger;
        for (sum, part) in sums.iter_mut().zip(parts) {
            *sum += u128::from(part);
        }
    }
    sums.map(|s| s as f64 / members.len() as f64 / 1e12)
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
