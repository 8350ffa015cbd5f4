//! The state of one replica at an instant between two events, read in closed form: nothing is written.

use crate::metrics::record::Sample;
use crate::metrics::work::Binding;
use crate::units::SimTime;

use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

impl ReplicaState {
    /// Adds this replica's state at `at` (not before the last change, before the next event) to a sample.
    pub fn sample(&self, at: SimTime, world: &World<'_>, sample: &mut Sample) {
        let waiting = self.waiting.len() + self.swapped.len() + self.in_exchange().count();
        sample.waiting += u32::try_from(waiting).unwrap_or(u32::MAX);
        sample.running += u32::try_from(self.running.len()).unwrap_or(u32::MAX);
        let leap = self.flights.front().and_then(|f| f.leap.map(|l| (f.start, l)));
        let mut steps = 0;
        if let Some((start, leap)) = leap.filter(|(start, _)| at >= *start) {
            steps = leap.steps_within(at - start);
            sample.generated += steps * u64::from(self.cohort.emitting);
            if steps + 1 == leap.steps {
                sample.finished += self.cohort.late_stops_at(self.cohort.step + leap.steps, &world.requests);
            }
        }
        let (work, waste) = self.work_under_way(steps);
        sample.work.add(&work);
        sample.waste.add(&waste);
        self.bound.charge(at, &mut sample.bound_time);
        self.sample_memory(steps, world, sample);
    }

    /// Tokens that the blocks have room for which the head of the queue asks for, if it waits for memory at `at`.
    pub fn blocked_demand(&self, at: SimTime, world: &World<'_>) -> Option<u64> {
        let head = *self.swapped.first().or(self.waiting.front())?;
        let blocked = self.bound.state_at(at) == Some(Binding::Memory);
        blocked.then(|| u64::from(self.demand(head, world)) * u64::from(self.pool.block()))
    }

    /// Tokens that free blocks have room for at `at`.
    pub fn free_room(&self, at: SimTime) -> u64 {
        let held = u64::from(self.pool.held()) + self.growth_under_way(at);
        u64::from(self.pool.total()).saturating_sub(held) * u64::from(self.pool.block())
    }

    /// What the KV blocks hold once the leap on its way has taken `steps` steps. O(running).
    pub fn sample_memory(&self, steps: u64, world: &World<'_>, sample: &mut Sample) {
        let block = u64::from(self.pool.block());
        let growth = self.cohort.growth_over(steps);
        let held = u64::from(self.pool.held()) + growth;
        sample.kv_held += held;
        sample.kv_room += held * block;
        sample.kv_cached += u64::from(self.pool.cached() - self.pool.cached_in_front(growth)) * block;
        let mut live = 0;
        let running = self.running.iter().map(|&id| {
            let request = world.request(id);
            match request.phase {
                Phase::Decoding => u64::from(self.cohort.computed(request)) + steps,
                _ => u64::from(request.computed),
            }
        });
        let taken = self.exchange.coming.iter().chain(&self.exchange.loaded);
        let between = taken.map(|&id| world.request(id).computed);
        let between = between.chain(self.exchange.leases.iter().map(|lease| lease.tokens));
        for tokens in running.chain(between.map(u64::from)) {
            live += tokens;
            sample.kv_fragmented += tokens.next_multiple_of(block) - tokens;
        }
        sample.kv_live += live - self.pool.shared() * block;
    }
}
