//! A replica that fails, or goes down with nothing left on it (docs/semantics.md §15). When that happens, and where its
//! requests go, is decided by `cluster::fleet`.

use crate::ids::RequestId;
use crate::policy::scheduler::{Preempt, ReplicaEvent};
use crate::units::SimTime;

use super::replica::{Replica, ReplicaState};
use super::request::Phase;
use super::world::World;

impl Replica {
    /// A request that lost its replica waits here. Returns the new completion event of a leap that it cuts.
    pub fn wait_after_loss(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Option<(u32, SimTime)> {
        let cut = self.state.wait_after_loss(id, now, world);
        self.scheduler.on_event(ReplicaEvent::Arrived(id));
        cut
    }

    /// The KV of all requests that are here is gone: they wait, with the tokens they have. Call it with nothing under way.
    pub fn lose_kv(&mut self, now: SimTime, world: &mut World<'_>) {
        self.state.lose_kv(now, world);
        self.tell_who_left();
    }

    /// Every request leaves. Returns them in queue order. Call it after `lose_kv`, with nothing leased, promised or coming.
    pub fn lose_all(&mut self, now: SimTime, world: &mut World<'_>) -> Vec<RequestId> {
        let lost = self.state.lose_all(now, world);
        self.tell_who_left();
        lost
    }
}

impl ReplicaState {
    /// Whether nothing is on this replica, under way, or kept for another one.
    pub fn is_empty(&self) -> bool {
        self.population() == 0 && self.is_still()
    }

    /// Whether nothing is under way here, and no memory is kept for KV between replicas.
    pub fn is_still(&self) -> bool {
        self.flights.is_empty() && !self.waits_for_kv()
    }

    fn lose_kv(&mut self, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        self.load.moved(now);
        while let Some(&id) = self.exchange.loaded.first() {
            self.resume(id, now, world).expect("a loaded request can resume");
        }
        while let Some(&id) = self.running.first() {
            self.preempt(id, Preempt::Recompute, now, world);
        }
        while let Some(&id) = self.swapped.first() {
            self.drop_swapped(id, world);
        }
        self.bound.set(None, now, &mut world.counters.bound_time);
    }

    fn lose_all(&mut self, now: SimTime, world: &mut World<'_>) -> Vec<RequestId> {
        self.load_before_change(now);
        let lost: Vec<RequestId> = self.waiting.drain(..).collect();
        for &id in &lost {
            let demand = self.demand(id, world);
            self.load.asks_no_more(demand);
            let request = world.request_mut(id);
            request.phase = Phase::AtRouter;
            let tokens = u64::from(request.tokens());
            self.load.left(tokens, now);
            self.forget(id);
            world.inside -= 1;
        }
        self.forget_cache();
        lost
    }

    /// The host memory of a swapped request is gone: all of it is to be computed again.
    fn drop_swapped(&mut self, id: RequestId, world: &mut World<'_>) {
        self.swapped.remove(0);
        self.pool.host_release(self.pool.blocks_for(world.request(id).computed));
        let request = world.request_mut(id);
        let computed = std::mem::take(&mut request.computed);
        request.phase = Phase::Waiting;
        request.dropped = computed;
        request.known = request.known.max(computed);
        request.record.recomputed += computed;
        world.counters.recomputed_tokens += u64::from(computed);
        self.wait(id, world);
    }

    /// The prefix cache and its host tier are gone. Nobody holds a block.
    pub fn forget_cache(&mut self) {
        assert_eq!(self.pool.held(), 0, "a replica goes down with nothing held");
        self.pool = self.pool.emptied();
    }

    /// A request that lost its replica waits here. Returns the new completion event of a leap that this cuts.
    pub(super) fn wait_after_loss(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Option<(u32, SimTime)> {
        self.load_before_change(now);
        self.number(id, world);
        let request = world.request_mut(id);
        request.phase = Phase::Waiting;
        let tokens = u64::from(request.tokens());
        self.load.queued(tokens, now);
        world.inside += 1;
        let demand = self.demand(id, world);
        self.load.asks(demand);
        self.wait(id, world);
        self.bound_follows(now);
        self.cut_leap(now, false)
    }
}
