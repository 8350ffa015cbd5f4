//! `timeline/<run>.csv`: one run over time, written and read.

use serde::{Deserialize, Serialize};

use crate::metrics::TimelineRow;
use crate::metrics::inside::{MemoryShares, Utilisation};

/// A row as the file has it. Numbers are written in full, so that reading gives the same row.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TimelineLine {
    at_s: f64,
    waiting: u32,
    running: u32,
    replicas: u32,
    kv_occupancy: Option<f64>,
    tok_per_s: f64,
    finished: u32,
    kv_live: Option<f64>,
    kv_fragmented: Option<f64>,
    kv_reserved: Option<f64>,
    kv_cached: Option<f64>,
    kv_free: Option<f64>,
    mfu: Option<f64>,
    mfu_useful: Option<f64>,
    mbu: Option<f64>,
    mbu_useful: Option<f64>,
    bound_none: f64,
    bound_kv_memory: f64,
    bound_sequences: f64,
    bound_token_budget: f64,
    bound_end_of_the_batch: f64,
    bound_other: f64,
}

impl TimelineLine {
    fn of(row: &TimelineRow) -> TimelineLine {
        let [none, memory, sequences, budget, batch, other] = row.bound;
        TimelineLine {
            at_s: row.at_s,
            waiting: row.waiting,
            running: row.running,
            replicas: row.replicas,
            kv_occupancy: row.kv_occupancy,
            tok_per_s: row.tok_per_s,
            finished: row.finished,
            kv_live: row.memory.map(|m| m.live),
            kv_fragmented: row.memory.map(|m| m.fragmented),
            kv_reserved: row.memory.map(|m| m.reserved),
            kv_cached: row.memory.map(|m| m.cached),
            kv_free: row.memory.map(|m| m.free),
            mfu: row.raw.map(|u| u.flops),
            mfu_useful: row.useful.map(|u| u.flops),
            mbu: row.raw.map(|u| u.bytes),
            mbu_useful: row.useful.map(|u| u.bytes),
            bound_none: none,
            bound_kv_memory: memory,
            bound_sequences: sequences,
            bound_token_budget: budget,
            bound_end_of_the_batch: batch,
            bound_other: other,
        }
    }

    /// The row it was written from.
    pub(super) fn row(self) -> TimelineRow {
        let memory = || {
            Some(MemoryShares {
                live: self.kv_live?,
                fragmented: self.kv_fragmented?,
                reserved: self.kv_reserved?,
                cached: self.kv_cached?,
                free: self.kv_free?,
            })
        };
        let utilisation =
            |flops: Option<f64>, bytes: Option<f64>| Some(Utilisation { flops: flops?, bytes: bytes? });
        TimelineRow {
            at_s: self.at_s,
            waiting: self.waiting,
            running: self.running,
            replicas: self.replicas,
            kv_occupancy: self.kv_occupancy,
            tok_per_s: self.tok_per_s,
            finished: self.finished,
            memory: memory(),
            raw: utilisation(self.mfu, self.mbu),
            useful: utilisation(self.mfu_useful, self.mbu_useful),
            bound: [
                self.bound_none,
                self.bound_kv_memory,
                self.bound_sequences,
                self.bound_token_budget,
                self.bound_end_of_the_batch,
                self.bound_other,
            ],
        }
    }
}

/// The file of one run. Writing to memory cannot fail.
pub(super) fn timeline_csv(rows: &[TimelineRow]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(TimelineLine::of(row)).expect("memory accepts every row");
    }
    writer.into_inner().expect("memory needs no flush")
}
