//! Tokens that meet their deadlines (fluidity), counted without work per token while the cohort steps.
//!
//! All members of a cohort get their tokens at the same instants, so the replica keeps those instants, and a member's
//! tokens are compared with its own deadlines when it leaves the cohort. Nothing is kept where nobody asks.

use crate::ids::RequestId;
use crate::metrics::record::Deadlines;
use crate::units::{SimDuration, SimTime};

use super::cohort::Cohort;
use super::flight::Flight;
use super::request::{Phase, RequestState};
use super::world::World;

/// Ends of the cohort's steps: entry `k` is that of step `base + k + 1`.
#[derive(Clone, Debug, Default)]
pub(crate) struct StepEnds {
    base: u64,
    ends: Vec<SimTime>,
    prune_at: usize,
}

/// Fewer instants than this are not worth forgetting.
const PRUNE_AT_LEAST: usize = 1 << 16;

impl StepEnds {
    /// The cohort, which has taken `step` steps, is about to take those of `flight`.
    pub fn push(&mut self, step: u64, flight: &Flight) {
        debug_assert_eq!(self.base + self.ends.len() as u64, step);
        match &flight.leap {
            Some(leap) => self.ends.extend((1..=leap.steps).map(|j| flight.start + leap.elapsed(j))),
            None => self.ends.push(flight.end),
        }
    }

    /// Forgets the instants before the oldest membership, once there are many.
    pub fn prune(&mut self, cohort: &Cohort, running: &[RequestId], world: &World<'_>) {
        if self.ends.len() < self.prune_at.max(PRUNE_AT_LEAST) {
            return;
        }
        let members = running.iter().map(|&r| world.request(r)).filter(|r| r.phase == Phase::Decoding);
        let oldest = members.map(|r| r.joined).min().unwrap_or(cohort.step);
        let known = usize::try_from(oldest.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.ends.drain(..known.min(self.ends.len()));
        self.base = oldest;
        self.prune_at = 2 * self.ends.len();
    }

    /// Counts the tokens on time that a member got with the cohort, up to cohort step `last`.
    pub fn count(&self, request: &mut RequestState, last: u64, due: &Due) {
        if due.deadlines.is_none() {
            return;
        }
        let first = request.joined + u64::from(request.silent);
        let at = |step: u64| usize::try_from(step - self.base).expect("kept steps fit in memory");
        let ends = &self.ends[at(first).min(at(last))..at(last)];
        let arrival = request.record.arrival;
        let on_time =
            (request.generated..).zip(ends).filter(|&(index, &end)| due.is_met(arrival, index, end)).count();
        request.record.on_time += u32::try_from(on_time).expect("no more than its tokens");
    }
}

/// What a count needs of the world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Due {
    deadlines: Option<Deadlines>,
    streaming: SimDuration,
}

impl Due {
    /// Whether token `index` (from 0) that the engine yields at `at` reaches the client in time.
    fn is_met(&self, arrival: SimTime, index: u32, at: SimTime) -> bool {
        self.deadlines.is_some_and(|d| at + self.streaming <= d.of(arrival, index))
    }
}

impl World<'_> {
    /// When tokens are due.
    pub fn due(&self) -> Due {
        Due { deadlines: self.deadlines, streaming: self.streaming }
    }

    /// Counts one token, number `index` (from 0), that a request gets at engine time `at`.
    pub fn count_token(&mut self, id: RequestId, index: u32, at: SimTime) {
        let due = self.due();
        let record = &mut self.request_mut(id).record;
        record.on_time += u32::from(due.is_met(record.arrival, index, at));
    }
}
