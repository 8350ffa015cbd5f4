//! Arrivals (§2): through the front end to a replica's queue, and the order of that queue (§4).

use windtunnel::metrics::record::{Cause, Rejection};
use windtunnel::metrics::work::Binding;
use windtunnel::policy::order::Order;
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimDuration;

use super::door::Door;
use super::fetch::Decision;
use super::ideal;
use super::mixed;
use super::outcome::Mutation;
use super::request::Req;
use super::router::Router;
use super::sim::Sim;
use super::work::set_bound;

impl Sim<'_> {
    /// Class 3: what arrives goes through the front end; what has passed it is routed in request order.
    pub fn arrivals(&mut self) -> usize {
        Door::admit_arrivals(self);
        let mut routed = self.door.take_served(self.now);
        routed.sort_unstable();
        if self.mutated(Mutation::ArrivalTiesReversed) {
            routed.reverse();
        }
        for &r in &routed {
            self.requests[r].queued = self.now;
            if matches!(self.config(0).scheduler, SchedulerConfig::Ideal(_)) {
                ideal::serve(self, r);
                continue;
            }
            let front = SimDuration::from_ps(self.now - self.requests[r].arrival);
            let decision = if self.is_full() { Decision::Refused } else { Router::decide(self, r) };
            match decision {
                Decision::Waits => {}
                Decision::Refused => {
                    self.requests[r].ledger.add(Cause::FrontEnd, front);
                    self.requests[r].rejected = Some((Rejection::Overloaded, self.now));
                    self.coverage.overloaded += 1;
                    Door::release(self, self.now);
                }
                Decision::Joins(k) => {
                    self.requests[r].ledger.add(Cause::FrontEnd, front);
                    let k = mixed::instead(self, r, k);
                    self.join(r, k);
                }
            }
        }
        // Clients of a closed loop who were turned away and do not think ask again at once.
        let again = routed.iter().any(|&r| self.requests[r].rejected.is_some());
        routed.len() + if again { self.arrivals() } else { 0 }
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
