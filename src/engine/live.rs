//! The requests that have come and not left, in a window over the ids.
//!
//! Requests come in the order of their ids and leave in nearly that order, so those that are there lie close together:
//! a run holds the state of its backlog and not of its trace. What is reported of a request is written to the columns
//! of [`Records`] when it leaves.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use crate::ids::RequestId;
use crate::metrics::Records;
use crate::metrics::record::{Fate, RequestRecord};
use crate::workload::Trace;

use super::event::Violation;
use super::request::{Phase, RequestState};

/// See the module's head.
pub(crate) struct LiveRequests<'a> {
    trace: &'a Trace,
    /// Longest context served.
    limit: u32,
    /// From the oldest that is still there to the youngest that has come; some in between have left.
    window: VecDeque<RequestState>,
    /// Id of the first of them.
    first: usize,
    records: Records,
    /// Memory of key lists, for those who come next.
    spare_keys: Vec<Vec<u32>>,
    /// The first record that is not sound.
    broken: Option<Violation>,
}

impl<'a> LiveRequests<'a> {
    pub fn new(trace: &'a Trace, limit: u32) -> Self {
        LiveRequests {
            trace,
            limit,
            window: VecDeque::new(),
            first: 0,
            records: Records::default(),
            spare_keys: Vec::new(),
            broken: None,
        }
    }

    /// The next row of the trace comes in; none are left at its end.
    pub fn open(&mut self) -> Option<RequestId> {
        let index = self.first + self.window.len();
        let row = self.trace.requests.get(index)?;
        let id = RequestId(u32::try_from(index).expect("fewer than 2^32 requests"));
        let keys = self.spare_keys.pop().unwrap_or_default();
        self.window.push_back(RequestState::new(id, row, self.limit, keys));
        Some(id)
    }

    /// The state of a request that is there; none for one that has left or not come.
    pub fn get(&self, id: RequestId) -> Option<&RequestState> {
        let state = self.window.get(id.index().checked_sub(self.first)?)?;
        (state.phase != Phase::Left).then_some(state)
    }

    /// Whether `id` is in the membership of its cohort that was its `epoch`-th change.
    pub fn is_in_epoch(&self, id: RequestId, epoch: u32) -> bool {
        self.get(id).is_some_and(|r| r.epoch == epoch)
    }

    /// A request leaves: its record is written, its state forgotten.
    pub fn close(&mut self, id: RequestId) {
        let state = &mut self[id];
        state.phase = Phase::Left;
        let mut keys = std::mem::take(&mut state.keyed);
        let (record, output) = (state.record, state.output);
        if keys.capacity() > 0 {
            keys.clear();
            self.spare_keys.push(keys);
        }
        if self.broken.is_none() {
            self.broken = violation(output, &record);
        }
        self.records.set(&record);
        while self.window.front().is_some_and(|r| r.phase == Phase::Left) {
            self.window.pop_front();
            self.first += 1;
        }
    }

    /// How many have come.
    pub fn come(&self) -> usize {
        self.first + self.window.len()
    }

    /// The first record that was not sound when its request left.
    pub fn first_violation(&self) -> Option<&Violation> {
        self.broken.as_ref()
    }

    /// The oldest request that is still there.
    pub fn oldest(&self) -> Option<&RequestState> {
        self.window.front()
    }

    /// The records of those that have left.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The records at the end of a run.
    pub fn into_records(self) -> Records {
        self.records
    }
}

/// What is wrong with the record of a request that leaves and was to get `output` tokens (docs/invariants.md).
fn violation(output: u32, record: &RequestRecord) -> Option<Violation> {
    let id = record.id;
    let instants = [record.arrival, record.queued, record.scheduled, record.first_token, record.finish];
    let (invariant, message) = if record.fate == Fate::Unfinished {
        ("I14", format!("{id} has no fate"))
    } else if record.fate == Fate::Finished && record.output != output {
        ("I2", format!("{id} got {} of {output} tokens", record.output))
    } else if !instants.is_sorted() {
        ("I4", format!("{id} goes back in time: {instants:?}"))
    } else if record.ledger.total() != record.e2e() {
        ("I15", format!("{id}: ledger {} of {}", record.ledger.total(), record.e2e()))
    } else {
        return None;
    };
    Some(Violation { invariant, at: record.finish, replica: record.replica, message })
}

impl Index<RequestId> for LiveRequests<'_> {
    type Output = RequestState;

    fn index(&self, id: RequestId) -> &RequestState {
        &self.window[id.index() - self.first]
    }
}

impl IndexMut<RequestId> for LiveRequests<'_> {
    fn index_mut(&mut self, id: RequestId) -> &mut RequestState {
        &mut self.window[id.index() - self.first]
    }
}
