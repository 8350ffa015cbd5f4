//! A running request that moves to another replica (docs/semantics.md §14): what the two replicas do. When a move begins and
//! what travels when is decided by `cluster::migration`.

use crate::ids::RequestId;
use crate::kv::Released;
use crate::metrics::record::Cause;
use crate::policy::freeness::Freeness;
use crate::policy::scheduler::ReplicaEvent;
use crate::units::SimTime;

use super::replica::{Replica, ReplicaState};
use super::request::{Phase, RequestState};
use super::world::World;

impl Replica {
    /// A request that dropped its KV on another replica waits here. Returns the new completion event of a leap that it cuts.
    pub fn wait_after_move(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Option<(u32, SimTime)> {
        let cut = self.state.wait_after_move(id, now, world);
        self.scheduler.on_event(ReplicaEvent::Arrived(id));
        cut
    }
}

impl ReplicaState {
    /// KV memory left for each request of the batch.
    pub fn freeness(&self, now: SimTime, world: &World<'_>) -> Freeness {
        let queued = self.swapped.first().or(self.waiting.front());
        let demand = queued.map_or(0, |&id| i64::from(self.demand(id, world)));
        let headroom: i64 = if world.headroom.is_empty() { 0 } else { self.headroom(world) };
        let requests = self.running.len() + usize::from(queued.is_some());
        let held =
            i64::from(self.pool.held()) + i64::try_from(self.growth_under_way(now)).unwrap_or(i64::MAX);
        Freeness {
            blocks: i64::from(self.pool.total()) - held - demand - headroom,
            requests: u32::try_from(requests.max(1)).expect("fewer than 2^32 requests"),
        }
    }

    /// Blocks kept free for the priorities of the requests that are here, those that wait for their KV or to resume included.
    fn headroom(&self, world: &World<'_>) -> i64 {
        let on_their_way =
            || self.exchange.offers.iter().chain(&self.exchange.coming).chain(&self.exchange.loaded);
        let here = || self.running.iter().chain(&self.waiting).chain(&self.swapped).chain(on_their_way());
        let levels = (0u32..).zip(world.headroom);
        let kept = levels.filter(|&(level, _)| here().any(|&id| world.level(id) == level));
        kept.map(|(_, &blocks)| i64::from(blocks)).sum()
    }

    /// Whether `id` runs here, decodes, and stands where a move can take it.
    pub fn can_move(&self, id: RequestId, now: SimTime, world: &World<'_>) -> bool {
        // With one stage a step that lists who decodes is like one of all: only batches of a pipeline cannot be left.
        let listed = |r: &RequestState| r.phase == Phase::Flying && self.stage_free.len() == 1;
        let sound = |r: &RequestState| {
            (r.phase == Phase::Decoding || listed(r))
                && r.record.replica == self.id
                && !r.stopping
                && !r.recovering
                && !r.fed
        };
        world.requests.get(id).is_some_and(sound) && !self.finished_inside_leap(id, now, world)
    }

    /// The request that leaves first: the least urgent, then the shortest, then the last in queue order.
    pub fn first_to_move(&self, now: SimTime, world: &World<'_>) -> Option<RequestId> {
        let movable = self.running.iter().copied().filter(|&id| self.can_move(id, now, world));
        let place = |id: RequestId| {
            let request = world.request(id);
            let member = request.phase == Phase::Decoding;
            let tokens =
                if member { request.prompt + self.cohort.generated(request) } else { request.tokens() };
            (std::cmp::Reverse(world.level(id)), tokens, std::cmp::Reverse(request.place()))
        };
        movable.min_by_key(|&id| place(id))
    }

    /// Tokens of a decoding request whose KV exists.
    pub fn computed_now(&self, id: RequestId, world: &World<'_>) -> u32 {
        self.cohort.computed(world.request(id))
    }

    /// Blocks that `id` asks a destination for, with `margin` blocks to grow into: reserving, those of its reservation.
    pub fn wanted_to_move(&self, id: RequestId, margin: u32, world: &World<'_>) -> u32 {
        if world.reserves() {
            return self.pool.blocks_for(world.reservation(id));
        }
        self.pool.blocks_for(self.computed_now(id, world) + 1) + margin
    }

    /// Promises blocks to a move, if they are free.
    pub fn promise(&mut self, blocks: u32, now: SimTime) -> bool {
        if blocks > self.pool.free() {
            return false;
        }
        self.load_before_change(now);
        self.load.moved(now);
        self.pool.take(blocks);
        self.exchange.promised += blocks;
        true
    }

    /// A move has ended: what was promised to it is free.
    pub fn break_promise(&mut self, blocks: u32, now: SimTime) {
        self.load_before_change(now);
        self.load.moved(now);
        self.exchange.promised -= blocks;
        self.pool.release(Released { blocks, keyed: &[], returns: None });
    }

    /// A decoding request stops here; its blocks become a lease.
    pub fn stop_to_move(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.leave_batch(id, now, world);
        self.lease(id, world);
    }

    /// A decoding request leaves this replica's batch and books.
    fn leave_batch(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        self.depart(id, world);
        self.forget_running(id, world);
        let piped = self.stage_free.len() > 1;
        let request = world.request_mut(id);
        request.phase = Phase::Flying;
        if piped {
            // Its time since its last batch returned; with one stage the busy clock has told it.
            request.charge(Cause::Bubble, now);
        }
        request.mark = now;
        request.moves = true;
        let tokens = u64::from(request.tokens());
        self.load.left(tokens, now);
        self.forget(id);
    }

    /// A request that stopped elsewhere is this replica's; its KV is on its way to the blocks promised to it.
    pub fn adopt(&mut self, id: RequestId, promised: u32, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        self.number(id, world);
        self.load.queued(u64::from(world.request(id).tokens()), now);
        self.exchange.promised -= promised;
        self.exchange.unstarted += promised;
        self.exchange.coming.push(id);
        let request = world.request_mut(id);
        request.phase = Phase::Coming;
        request.blocks = promised;
        request.unfindable = true;
    }

    /// A decoding request drops its KV and leaves for another replica.
    pub fn drop_to_move(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.leave_batch(id, now, world);
        let computed = world.request(id).computed;
        self.release(id, None, world);
        let request = world.request_mut(id);
        request.computed = 0;
        request.dropped = computed;
        request.known = request.known.max(computed);
        request.record.recomputed += computed;
        request.recovering = true;
        world.counters.recomputed_tokens += u64::from(computed);
    }

    /// A request that dropped its KV elsewhere waits here. Returns the new completion event of a leap that this cuts.
    fn wait_after_move(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Option<(u32, SimTime)> {
        self.load_before_change(now);
        self.load.moved(now);
        self.no_longer_coming(id);
        world.request_mut(id).phase = Phase::Waiting;
        let demand = self.demand(id, world);
        self.load.asks(demand);
        self.wait(id, world);
        self.bound_follows(now);
        // It got its number when it left: it may stand before a head that everybody else waits behind.
        self.cut_leap(now, true)
    }
}

impl RequestState {
    /// What the time is until a request has regained the KV it dropped.
    pub fn loss(&self) -> Cause {
        if self.moves { Cause::Migration } else { Cause::PreemptionLoss }
    }

    /// What the time is of a request that has stopped and not gone on: it moves, or is handed over.
    pub fn between(&self) -> Cause {
        if self.moves { Cause::Migration } else { Cause::HandOver }
    }
}
