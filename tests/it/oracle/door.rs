//! Before the replica (§2): arrivals, limits, the front end, clients of a closed loop, turns after answers.

use windtunnel::engine::config::FrontEnd;
use windtunnel::ids::RequestId;
use windtunnel::metrics::record::Rejection;
use windtunnel::workload::{Trace, Turns};

use super::mutation::Mutation;
use super::sim::Sim;

pub struct Door {
    /// Closed loop: instants at which one more request is issued.
    issues: Vec<u64>,
    /// Rows that have come.
    come: Vec<bool>,
    /// When a row is to come, as far as is known; none of a turn whose predecessor is there, and in a closed loop.
    due: Vec<Option<u64>>,
    /// When each front-end worker becomes free.
    workers: Vec<u64>,
    /// Requests in the front end, with the end of their service.
    in_service: Vec<(u64, usize)>,
}

impl Door {
    pub fn new(front_end: &FrontEnd, trace: &Trace) -> Door {
        let clients = trace.closed.map_or(0, |c| c.clients);
        let due = |r: usize| {
            let follows = trace.turns == Turns::AfterAnswer && predecessor(trace, r).is_some();
            (trace.closed.is_none() && !follows).then(|| trace.requests[r].arrival.as_ps())
        };
        Door {
            issues: vec![0; clients as usize],
            come: vec![false; trace.len()],
            due: (0..trace.len()).map(due).collect(),
            workers: vec![0; usize::from(front_end.workers)],
            in_service: Vec::new(),
        }
    }

    /// The next row that arrives, and when: of one instant the first in the trace.
    fn next_arrival(&self, trace: &Trace) -> Option<(u64, usize)> {
        let outside = (0..trace.len()).filter(|&r| !self.come[r]);
        match trace.closed {
            None => outside.filter_map(|r| Some((self.due[r]?, r))).min(),
            Some(_) => self.issues.iter().copied().min().zip(outside.min()),
        }
    }

    pub fn next_instant(&self, trace: &Trace) -> Option<u64> {
        let served = self.in_service.iter().map(|&(end, _)| end).min();
        served.into_iter().chain(self.next_arrival(trace).map(|(at, _)| at)).min()
    }

    /// Everything that arrives now: rejected, or taken by a worker.
    pub fn admit_arrivals(sim: &mut Sim<'_>) {
        while let Some((_, r)) = sim.door.next_arrival(sim.trace).filter(|&(at, _)| at == sim.now) {
            if sim.trace.closed.is_some() {
                let now = sim.now;
                let at = sim.door.issues.iter().position(|&t| t == now).expect("just seen");
                sim.door.issues.remove(at);
            }
            sim.door.come[r] = true;
            let scheduled = sim.trace.requests[r].arrival.as_ps();
            sim.coverage.put_off += u64::from(sim.trace.closed.is_none() && sim.now > scheduled);
            sim.counters.arrivals += 1;
            sim.requests[r].arrival = sim.now;
            let slack = u32::from(sim.mutated(Mutation::LimitOffByOne));
            let limit = sim.limit;
            let request = &mut sim.requests[r];
            if request.prompt + 1 > limit + slack {
                request.rejected = Some((Rejection::TooLong, sim.now));
                sim.coverage.rejections += 1;
                Door::release(sim, r, sim.now);
                continue;
            }
            let room = (limit + slack - request.prompt).min(request.max_tokens);
            request.output = request.output.min(room);
            request.max_tokens = room;
            Door::serve(sim, r);
        }
    }

    /// FCFS: the worker that is free first, the lowest one of several.
    fn serve(sim: &mut Sim<'_>, r: usize) {
        let front = sim.deployment.front_end;
        let mut worker = 0;
        for w in 1..sim.door.workers.len() {
            if sim.door.workers[w] < sim.door.workers[worker] {
                worker = w;
            }
        }
        let start = sim.now.max(sim.door.workers[worker]);
        sim.coverage.front_end_waits += u64::from(start > sim.now);
        let prompt = u64::from(sim.requests[r].prompt);
        let end = start + front.per_request.as_ps() + prompt * front.per_prompt_token.as_ps();
        sim.door.workers[worker] = end;
        sim.door.in_service.push((end, r));
    }

    /// Requests whose service ends now.
    pub fn take_served(&mut self, now: u64) -> Vec<usize> {
        let served = self.in_service.iter().filter(|s| s.0 == now).map(|s| s.1).collect();
        self.in_service.retain(|s| s.0 != now);
        served
    }

    /// Whether a request is still being served here.
    pub fn drop(&mut self, r: usize) {
        self.in_service.retain(|s| s.1 != r);
    }

    /// Whether `r` is in the front end.
    pub fn has(&self, r: usize) -> bool {
        self.in_service.iter().any(|s| s.1 == r)
    }

    /// A request left the engine's books at `t`: its client thinks and asks again.
    pub fn release(sim: &mut Sim<'_>, r: usize, t: u64) {
        let trace = sim.trace;
        let follower = (r + 1..trace.len()).find(|&next| predecessor(trace, next) == Some(r));
        if let (Turns::AfterAnswer, Some(next)) = (trace.turns, follower) {
            let scheduled = |row: usize| trace.requests[row].arrival.as_ps();
            let pause = if sim.mutated(Mutation::PauseForgotten) {
                1
            } else {
                (scheduled(next) - scheduled(r)).max(1)
            };
            sim.door.due[next] = Some((t + pause).max(scheduled(next)));
        }
        if let Some(closed) = sim.trace.closed {
            sim.door.issues.push(t + closed.think.as_ps());
        }
    }
}

/// The row before `r` in the same session.
fn predecessor(trace: &Trace, r: usize) -> Option<usize> {
    let session = |row: usize| trace.session(RequestId(row as u32));
    let own = session(r)?;
    (0..r).rev().find(|&row| session(row) == Some(own))
}
