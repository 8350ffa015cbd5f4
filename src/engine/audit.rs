//! The invariants of one replica, recomputed from its requests (docs/invariants.md).

use crate::kv::UNKEYED;
use crate::metrics::record::Sample;
use crate::units::{SimDuration, SimTime};

use super::event::Violation;
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

impl ReplicaState {
    /// Requests on this replica.
    pub fn population(&self) -> usize {
        self.waiting.len() + self.running.len() + self.swapped.len()
    }

    /// Adds this replica's state at `at` (not before the last change, before the next event) to a sample.
    pub fn sample(&self, at: SimTime, world: &World<'_>, sample: &mut Sample) {
        let waiting = self.waiting.len() + self.swapped.len();
        sample.waiting += u32::try_from(waiting).unwrap_or(u32::MAX);
        sample.running += u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let mut held = u64::from(self.pool.held());
        let mut stored = 0;
        for &id in &self.running {
            let r = world.request(id);
            let tokens = if r.phase == Phase::Decoding { self.cohort.computed(r) } else { r.computed };
            stored += u64::from(tokens);
        }
        let leap = self.flights.front().and_then(|f| f.leap.map(|l| (f.start, l)));
        if let Some((start, leap)) = leap.filter(|(start, _)| at >= *start) {
            let steps = leap.steps_within(at - start);
            sample.generated += steps * u64::from(self.cohort.emitting);
            if steps + 1 == leap.steps {
                sample.finished += self.cohort.late_stops_at(self.cohort.step + leap.steps, &world.requests);
            }
            held += self.cohort.growth_over(steps);
            // Those that are fed their prompt or stop late store a token a step too.
            stored += steps * u64::from(self.cohort.n);
        }
        sample.kv_held += held;
        sample.kv_room += held * u64::from(self.pool.block());
        sample.kv_stored += stored;
    }

    /// The step just launched is not faster than the datasheet allows (I5).
    pub fn audit_step(&self, now: SimTime, world: &World<'_>) -> Result<(), Violation> {
        let Some(flight) = self.flights.back().filter(|_| world.audit) else { return Ok(()) };
        let cost = world.costs[self.group];
        let bound: SimDuration = (0..cost.stages()).map(|stage| cost.bound(stage, &flight.shape())).sum();
        if flight.time.total() >= bound {
            return Ok(());
        }
        let message =
            format!("a step of {} beats the datasheet's {bound}: {:?}", flight.time.total(), flight.shape());
        Err(self.violation("I5", now, message))
    }

    /// Recomputes what the replica keeps incrementally.
    pub fn audit(&self, now: SimTime, world: &World<'_>) -> Result<(), Violation> {
        let fail = |invariant, message: String| Err(self.violation(invariant, now, message));
        let mut blocks = 0u64;
        let mut shared = std::collections::BTreeMap::new();
        let (mut n, mut context, mut tokens) = (0, 0u64, 0u64);
        for &id in &self.running {
            let r = world.request(id);
            let decoding = r.phase == Phase::Decoding;
            blocks += u64::from(if decoding { self.cohort.blocks(r) } else { r.blocks });
            for &node in r.keyed.iter().filter(|&&node| node != UNKEYED) {
                *shared.entry(node).or_insert(0u64) += 1;
            }
            n += u32::from(decoding);
            context += if decoding { u64::from(self.cohort.computed(r)) + 1 } else { 0 };
            if !r.is_running() {
                return fail("I1", format!("{id} is in the running set but {:?}", r.phase));
            }
        }
        for &id in self.running.iter().chain(&self.waiting).chain(&self.swapped) {
            let r = world.request(id);
            let decoding = r.phase == Phase::Decoding;
            let generated = if decoding { self.cohort.generated(r) } else { r.generated };
            tokens += u64::from(r.prompt + generated);
            if generated > r.output {
                return fail("I2", format!("{id} got {generated} of {} tokens", r.output));
            }
        }
        if self.flights.front().is_some_and(|f| f.cohort_steps && f.leap.is_none()) {
            blocks += u64::from(self.cohort.growth());
        }
        let extra: u64 = shared.values().map(|holders| holders - 1).sum();
        if blocks - extra != u64::from(self.pool.held()) {
            return fail(
                "I3",
                format!("requests hold {} blocks, the pool says {}", blocks - extra, self.pool.held()),
            );
        }
        if self.pool.audit_free() != self.pool.free() {
            return fail("I3", format!("{} free, {} in the queue", self.pool.free(), self.pool.audit_free()));
        }
        if (n, context) != (self.cohort.n, self.cohort.context) {
            return fail(
                "I9",
                format!("cohort {n}/{context}, kept {}/{}", self.cohort.n, self.cohort.context),
            );
        }
        let queued = self.waiting.iter().chain(&self.swapped);
        let asked: u64 = queued.map(|&id| u64::from(self.demand(id, world))).sum();
        let (requests, known, queued_blocks) = self.load.present();
        if (requests as usize, known, queued_blocks) != (self.population(), tokens, asked) {
            let kept = format!("{requests} requests, {known} tokens, {queued_blocks} blocks asked for");
            return fail("I1", format!("load {kept}; recomputed {}, {tokens}, {asked}", self.population()));
        }
        for list in [&self.running, &self.swapped, &self.partial] {
            if !list.is_sorted_by_key(|&id| world.request(id).place()) {
                return fail("I1", format!("out of queue order: {list:?}"));
            }
        }
        if !self.waiting.iter().is_sorted_by_key(|&id| world.request(id).place()) {
            return fail("I1", format!("out of queue order: {:?}", self.waiting));
        }
        Ok(())
    }
}
