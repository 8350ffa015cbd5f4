//! From a client to a replica: arrivals, the front end, admission, the router, and clients that give up.

use crate::engine::Phase;
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::{Cause, Rejection};
use crate::units::SimTime;

use super::run::{Event, Run};

impl Run<'_> {
    /// Puts the first arrivals into the queue: one row (each pulls the next), or one per client of a closed loop.
    pub(super) fn issue_first(&mut self) {
        let first = match self.trace.closed {
            None => 1,
            Some(closed) => closed.clients as usize,
        };
        for _ in 0..first.min(self.trace.len()) {
            self.issue(SimTime::ZERO);
        }
    }

    /// Issues the next row: at its own time, or at `at` in a closed loop.
    fn issue(&mut self, at: SimTime) {
        let Some(request) = self.world.requests.open() else { return };
        let at = if self.trace.closed.is_some() { at } else { self.world.request(request).record.arrival };
        self.queue.push(at, Event::Arrival { request });
    }

    /// A request has left: its client is free for the next one.
    fn client_free(&mut self, id: RequestId) {
        let now = self.now;
        if let Some(closed) = self.trace.closed {
            self.issue(now + closed.think);
        }
        if let Some((request, at)) = self.turns.as_mut().and_then(|t| t.left(id, now, self.trace)) {
            self.queue.push(at, Event::Arrival { request });
        }
    }

    /// The client of a request gives up, unless the request is done.
    pub(super) fn give_up(&mut self, id: RequestId) {
        if self.world.is_done(id) {
            return;
        }
        let request = self.world.request(id);
        let replica = request.record.replica;
        match request.phase {
            Phase::Outside => self.world.time_out_at_door(id, self.now),
            Phase::AtRouter => self.world.time_out_at_router(id, self.now),
            Phase::Offered | Phase::Coming | Phase::Loaded => self.give_up_between(id),
            _ => {
                let cut = self.replicas[replica.index()].give_up(id, self.now, &mut self.world);
                self.cut(replica, cut);
            }
        }
        self.free_clients();
    }

    /// Tells the clients whose requests have ended since the last call.
    pub(super) fn free_clients(&mut self) {
        while let Some(id) = self.world.ended.pop() {
            self.client_free(id);
        }
    }

    /// A request comes, or it is put off: then only its scheduled time has come.
    pub(super) fn arrive(&mut self, id: RequestId) {
        let now = self.now;
        if self.trace.closed.is_none() && !self.turns.as_ref().is_some_and(|t| t.was_put_off(id)) {
            self.issue(now);
            match self.turns.as_mut().map(|turns| turns.arrival(id, now)) {
                Some(None) => return,
                Some(Some(at)) if at > now => return self.queue.push(at, Event::Arrival { request: id }),
                _ => {}
            }
        }
        self.come_in(id);
    }

    fn come_in(&mut self, id: RequestId) {
        self.world.counters.arrivals += 1;
        let now = self.now;
        let limit = self.world.limit;
        let request = self.world.request_mut(id);
        request.record.arrival = now;
        let prompt = request.prompt;
        if prompt >= limit {
            self.world.reject(id, now, Rejection::TooLong);
            return self.client_free(id);
        }
        if let Some(timeout) = self.admission.timeout {
            self.patience.push_back((now + timeout, id));
        }
        let through = self.workers.serve(now, prompt);
        // Where requests that lost their replica come to the router again, all of an instant are routed in order of their ids.
        if through == now && self.fleet.is_none() {
            self.route(id);
        } else {
            self.queue.push(through, Event::Routed { request: id });
        }
    }

    pub(super) fn route(&mut self, id: RequestId) {
        let now = self.now;
        if self.world.is_done(id) {
            // Its client gave up while it was in the front end.
            return;
        }
        let request = self.world.request_mut(id);
        if request.phase == Phase::Outside {
            request.record.ledger.add(Cause::FrontEnd, now - request.record.arrival);
            if self.is_full() {
                self.world.reject(id, now, Rejection::Overloaded);
                return self.client_free(id);
            }
        }
        self.route_again(id);
    }

    /// Routes a request that admission has let in, as soon as a replica is up.
    pub(super) fn route_again(&mut self, id: RequestId) {
        if self.fleet.as_ref().is_some_and(|f| !f.has_any_up()) {
            self.wait_at_router(id);
            let fleet = self.fleet.as_mut().expect("looked at above");
            return fleet.stranded.push(id);
        }
        self.send_to_replica(id);
    }

    /// A request stays at the router for now.
    pub(super) fn wait_at_router(&mut self, id: RequestId) {
        let now = self.now;
        let request = self.world.request_mut(id);
        if request.phase == Phase::Outside {
            (request.phase, request.mark) = (Phase::AtRouter, now);
        }
    }

    /// The router chooses among the replicas that are up.
    pub(super) fn send_to_replica(&mut self, id: RequestId) {
        let now = self.now;
        let fetches = self.fetches.as_ref();
        let decision = self.router.decide(id, now, &mut self.world, &self.replicas, fetches);
        if decision.refused {
            self.world.leave_router(id, now);
            self.world.reject(id, now, Rejection::Overloaded);
            return self.client_free(id);
        }
        match decision.fetch_from {
            Some(from) => self.fetch(id, from, decision.to),
            None => {
                let chosen = self.or_mixed(decision.to, id);
                self.join(id, chosen);
            }
        }
    }

    /// A request joins the waiting queue of a replica.
    pub(super) fn join(&mut self, id: RequestId, chosen: ReplicaId) {
        let now = self.now;
        let replica = &mut self.replicas[chosen.index()];
        let request = self.world.request(id);
        let again = request.phase == Phase::AtRouter && request.record.queued != SimTime::MAX;
        let cut = if again {
            replica.wait_after_loss(id, now, &mut self.world)
        } else {
            self.world.leave_router(id, now);
            replica.enqueue(id, now, &mut self.world)
        };
        self.cut(chosen, cut);
    }

    /// Whether an admission limit is reached.
    fn is_full(&self) -> bool {
        let reached =
            |limit: Option<u32>, count: &dyn Fn() -> usize| limit.is_some_and(|l| count() >= l as usize);
        reached(self.admission.max_outstanding, &|| self.world.inside)
            || reached(self.admission.max_queue, &|| {
                self.replicas.iter().map(|r| r.state.waiting.len()).sum()
            })
    }
}
