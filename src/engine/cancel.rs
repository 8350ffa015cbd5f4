//! Clients that give up: a request leaves before its last token (docs/semantics.md §6).

use crate::ids::RequestId;
use crate::metrics::record::{Cause, Fate};
use crate::policy::scheduler::Completion;
use crate::units::SimTime;

use super::order::remove_ordered;
use super::replica::ReplicaState;
use super::request::{Phase, RequestState};
use super::world::World;

impl ReplicaState {
    /// The client of `id` gives up at `now`. Who waits or is swapped out leaves at once, who runs at the end of the step
    /// on its way. Returns the new completion event of a leap that is cut for it.
    pub fn give_up(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Option<(u32, SimTime)> {
        match world.request(id).phase {
            Phase::Waiting | Phase::Swapped => self.leave_queued(id, now, world),
            Phase::Prefilling | Phase::Decoding | Phase::Flying => {
                let stays = matches!(self.completion, Completion::HoldsSlot { .. });
                if stays || self.finished_inside_leap(id, now, world) {
                    return None;
                }
                let piped = self.stage_free.len() > 1;
                if self.flights.is_empty() || (piped && world.request(id).phase != Phase::Flying) {
                    self.leave_running(id, now, world);
                } else {
                    self.giving_up.push(id);
                }
            }
            // Between two replicas: the cluster knows both.
            Phase::Offered | Phase::Coming | Phase::Loaded => return None,
            Phase::Outside | Phase::AtRouter | Phase::Held | Phase::Left => return None,
        }
        self.cut_leap(now, true)
    }

    /// Whether a leap on its way has passed the last token of `id` (a late stop).
    pub fn finished_inside_leap(&self, id: RequestId, now: SimTime, world: &World<'_>) -> bool {
        let request = world.request(id);
        let leap = self.flights.front().and_then(|f| f.leap.map(|l| (f.start, l)));
        let Some((start, leap)) = leap.filter(|_| request.phase == Phase::Decoding) else { return false };
        let last = request.joined + u64::from(request.silent) + u64::from(request.output - request.generated);
        self.cohort.step + leap.steps_within(now - start) >= last
    }

    /// A step or batch has ended: those who gave up meanwhile and have not finished with it leave.
    pub fn leave_given_up(&mut self, now: SimTime, world: &mut World<'_>) {
        if self.giving_up.is_empty() {
            return;
        }
        for id in std::mem::take(&mut self.giving_up) {
            let unfinished = |r: &&RequestState| r.record.fate == Fate::Unfinished;
            let Some(request) = world.requests.get(id).filter(unfinished) else { continue };
            match request.phase {
                Phase::Flying => self.giving_up.push(id),
                Phase::Offered => self.leave_after_prompt(id, now, world),
                _ => self.leave_running(id, now, world),
            }
        }
    }

    fn leave_queued(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        let demand = self.demand(id, world);
        self.load.asks_no_more(demand);
        let swapped = world.request(id).phase == Phase::Swapped;
        if swapped {
            remove_ordered(&mut self.swapped, id, world);
            self.pool.host_release(self.pool.blocks_for(world.request(id).computed));
        } else {
            let at = self.place_in_queue(id, world);
            self.waiting.remove(at);
            self.pool.forget_private(id);
        }
        let request = world.request_mut(id);
        let begun = request.record.scheduled != SimTime::MAX;
        request.charge(if begun { request.loss() } else { Cause::Queue }, now);
        world.time_out(id, now);
        self.count_out(id, now, world);
    }

    fn leave_running(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        if world.request(id).phase == Phase::Decoding {
            self.depart(id, world);
            // Settled: what `remove` sees is no member any more.
            world.request_mut(id).phase = Phase::Flying;
        }
        let piped = self.stage_free.len() > 1;
        let request = world.request_mut(id);
        if request.recovering {
            request.charge(request.loss(), now);
        } else if piped {
            request.charge(Cause::Bubble, now);
        }
        world.time_out(id, now);
        self.remove(id, now, world);
    }
}

impl World<'_> {
    /// Closes the record of a request whose client has given up; it leaves the engine at `now`.
    pub fn time_out(&mut self, id: RequestId, now: SimTime) {
        let streaming = self.streaming;
        let request = self.request_mut(id);
        let generated = request.generated;
        let record = &mut request.record;
        record.fate = Fate::TimedOut;
        record.output = generated;
        if record.queued == SimTime::MAX {
            record.queued = now;
            record.ledger.add(Cause::FrontEnd, now - record.arrival);
        }
        record.scheduled = record.scheduled.min(now);
        if record.first_token == SimTime::MAX {
            (record.first_token, record.finish) = (now, now);
        } else {
            record.finish = now + streaming;
            record.ledger.add(Cause::FrontEnd, streaming);
        }
        self.tell_client(id);
    }

    /// A request whose client gives up while it waits for a replica to be up, or to be routed again.
    pub fn time_out_at_router(&mut self, id: RequestId, now: SimTime) {
        self.leave_router(id, now);
        let request = self.request_mut(id);
        let begun = request.record.scheduled != SimTime::MAX;
        request.charge(if begun { request.loss() } else { Cause::Queue }, now);
        self.time_out(id, now);
        self.requests.close(id);
    }

    /// The time that a request spent at the router before it met its first replica ends.
    pub fn leave_router(&mut self, id: RequestId, now: SimTime) {
        let request = self.request_mut(id);
        if request.phase == Phase::AtRouter && request.record.queued == SimTime::MAX {
            request.charge(Cause::Router, now);
            request.record.queued = now;
        }
    }

    /// A request whose client gives up while it is in the front end; it never reaches a replica.
    pub fn time_out_at_door(&mut self, id: RequestId, now: SimTime) {
        self.time_out(id, now);
        self.requests.close(id);
    }
}
