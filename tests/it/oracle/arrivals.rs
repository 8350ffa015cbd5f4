//! Arrivals (§2): through the front end to a replica's queue, and the order of that queue (§4).

use windtunnel::metrics::record::{Cause, Rejection};
use windtunnel::metrics::work::Binding;
use windtunnel::policy::order::Order;
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimDuration;

use super::door::Door;
use super::fetch::Decision;
use super::fleet;
use super::ideal;
use super::mixed;
use super::mutation::Mutation;
use super::request::Req;
use super::router::Router;
use super::sim::Sim;
use super::work::set_bound;

impl Sim<'_> {
    /// Class 3: what arrives goes through the front end; what has passed it, and who lost a replica, is routed in request
    /// order.
    pub fn arrivals(&mut self) -> usize {
        Door::admit_arrivals(self);
        let mut routed = self.door.take_served(self.now);
        for &r in &routed {
            (self.requests[r].queued, self.requests[r].through) = (self.now, Some(self.now));
        }
        routed.extend(fleet::take_back(self));
        routed.sort_unstable();
        if self.mutated(Mutation::ArrivalTiesReversed) {
            routed.reverse();
        }
        for &r in &routed {
            if matches!(self.config(0).scheduler, SchedulerConfig::Ideal(_)) {
                ideal::serve(self, r);
            } else if self.requests[r].through.is_some() && self.is_full() {
                self.refuse(r);
            } else {
                self.route(r);
            }
        }
        // Clients of a closed loop who were turned away and do not think ask again at once.
        let again = routed.iter().any(|&r| self.requests[r].rejected.is_some());
        routed.len() + if again { self.arrivals() } else { 0 }
    }

    /// Past admission: to a replica, if one is up.
    pub fn route(&mut self, r: usize) {
        if fleet::strands(self, r) {
            return;
        }
        let decision = Router::decide(self, r);
        self.requests[r].routed = true;
        match decision {
            Decision::Waits => {}
            Decision::Refused => self.refuse(r),
            Decision::Joins(k) => {
                self.meets_replica(r);
                let k = mixed::instead(self, r, k);
                self.join(r, k);
            }
        }
    }

    /// Time in front of the router and at it, of a request that has been on no replica; whether it is one.
    pub fn meets_replica(&mut self, r: usize) -> bool {
        let (now, request) = (self.now, &mut self.requests[r]);
        let Some(through) = request.through.take() else { return false };
        request.ledger.add(Cause::FrontEnd, SimDuration::from_ps(through - request.arrival));
        request.ledger.add(Cause::Router, SimDuration::from_ps(now - through));
        request.queued = now;
        true
    }

    fn refuse(&mut self, r: usize) {
        self.meets_replica(r);
        self.requests[r].rejected = Some((Rejection::Overloaded, self.now));
        self.coverage.overloaded += 1;
        Door::release(self, r, self.now);
    }

    /// §2: an admission limit is reached.
    fn is_full(&self) -> bool {
        let limits = self.deployment.front_end.admission;
        let waiting: usize = self.replicas.iter().map(|replica| replica.waiting.len()).sum();
        let mut inside = self.requests.iter().filter(|r| r.outstanding).count();
        if self.mutated(Mutation::OutstandingCountsTheQueue) {
            inside = waiting;
        }
        limits.max_queue.is_some_and(|most| waiting >= most as usize)
            || limits.max_outstanding.is_some_and(|most| inside >= most as usize)
    }

    /// §4.
    pub fn rank(&self, r: usize) -> u64 {
        let request = &self.requests[r];
        let level = self.trace.priorities.get(request.class.index()).copied().unwrap_or_default();
        let order = if self.mutated(Mutation::OrderIgnored) { Order::Fcfs } else { self.config(0).order };
        match order {
            Order::Fcfs => 0,
            Order::Priority => u64::from(level.level),
            Order::ShortestPrompt => u64::from(request.prompt),
            Order::ShortestJob => u64::from(request.prompt + request.output),
            Order::EarliestDeadline => level.deadline.map_or(u64::MAX, |d| request.arrival + d.as_ps()),
        }
    }

    /// The request joins the replica's waiting queue.
    pub fn join(&mut self, r: usize, k: usize) {
        let rank = self.rank(r);
        let open = self.replicas[k].bound == Some(Binding::Open);
        if open && self.mutated(Mutation::BoundFromArrival) {
            set_bound(self, k, Some(Binding::Memory));
        }
        let replica = &mut self.replicas[k];
        let request = &mut self.requests[r];
        request.replica = k;
        request.outstanding = true;
        (request.rank, request.number) = (rank, replica.next_number);
        replica.next_number += 1;
        insert(&mut replica.waiting, &self.requests, r);
        self.coverage.overtakings += u64::from(replica.waiting.last() != Some(&r));
        replica.touched = true;
        let (start, end) = replica.last_decode_step;
        let inside = replica.in_flight.last().is_some_and(|b| b.prefill.is_empty() && b.start < self.now);
        self.coverage.leap_cuts += u64::from(inside || (end == self.now && start < end));
    }
}

/// Inserts into a list that is kept in queue order.
pub fn insert(list: &mut Vec<usize>, requests: &[Req], r: usize) {
    list.push(r);
    list.sort_by_key(|&x| requests[x].place());
}
