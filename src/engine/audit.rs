//! The invariants of one replica, recomputed from its requests (docs/invariants.md).

use crate::ids::RequestId;
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
        self.waiting.len() + self.running.len() + self.swapped.len() + self.in_exchange().count()
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

    /// What the samples say of the memory; `extra` is how often blocks are held beyond once, recomputed.
    fn audit_memory(&self, extra: u64, now: SimTime, world: &World<'_>) -> Result<(), Violation> {
        let fail = |message: String| Err(self.violation("I3", now, message));
        if (extra, self.pool.audit_cached()) != (self.pool.shared(), self.pool.cached()) {
            let kept = (self.pool.shared(), self.pool.cached());
            return fail(format!("{extra} shared, {} cached, kept {kept:?}", self.pool.audit_cached()));
        }
        let mut memory = Sample::default();
        self.sample_memory(0, world, &mut memory);
        if memory.kv_live + memory.kv_fragmented > u64::from(self.pool.held()) * u64::from(self.pool.block())
        {
            return fail(format!("more slots than the blocks have: {memory:?}"));
        }
        Ok(())
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
        for lease in &self.exchange.leases {
            blocks += u64::from(lease.blocks);
            for &node in lease.keyed.iter().filter(|&&node| node != UNKEYED) {
                *shared.entry(node).or_insert(0u64) += 1;
            }
        }
        let unstarted: u32 = self.in_exchange().map(|id| world.request(id).blocks).sum();
        if unstarted != self.exchange.unstarted {
            return fail("I3", format!("{unstarted} blocks taken, kept {}", self.exchange.unstarted));
        }
        blocks += u64::from(unstarted + self.exchange.promised);
        let queued = self.waiting.iter().chain(&self.swapped).copied();
        for id in self.running.iter().copied().chain(queued).chain(self.in_exchange()) {
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
        self.audit_memory(extra, now, world)?;
        if self.pool.audit_free() != self.pool.free() {
            return fail("I3", format!("{} free, {} in the queue", self.pool.free(), self.pool.audit_free()));
        }
        if (n, context) != (self.cohort.n, self.cohort.context) {
            return fail(
                "I9",
                format!("cohort {n}/{context}, kept {}/{}", self.cohort.n, self.cohort.context),
            );
        }
        let queued = self.waiting.iter().chain(&self.swapped).chain(&self.exchange.offers);
        let asked: u64 = queued.map(|&id| u64::from(self.demand(id, world))).sum();
        let (requests, known, queued_blocks) = self.load.present();
        if (requests as usize, known, queued_blocks) != (self.population(), tokens, asked) {
            let kept = format!("{requests} requests, {known} tokens, {queued_blocks} blocks asked for");
            return fail("I1", format!("load {kept}; recomputed {}, {tokens}, {asked}", self.population()));
        }
        self.audit_order(now, world)
    }

    /// Every list stands in queue order.
    fn audit_order(&self, now: SimTime, world: &World<'_>) -> Result<(), Violation> {
        let sorted = |list: &mut dyn Iterator<Item = &RequestId>| {
            list.is_sorted_by_key(|&id| world.request(id).place())
        };
        let lists = [&self.running, &self.swapped, &self.partial, &self.exchange.loaded];
        if lists.iter().all(|list| sorted(&mut list.iter())) && sorted(&mut self.waiting.iter()) {
            return Ok(());
        }
        let message = format!("out of queue order: {lists:?} or {:?}", self.waiting);
        Err(self.violation("I1", now, message))
    }
}
