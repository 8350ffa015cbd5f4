//! Before the replica (§2): arrivals, limits, the front end, clients of a closed loop.

use windtunnel::engine::config::FrontEnd;
use windtunnel::metrics::record::Rejection;
use windtunnel::workload::Trace;

use super::mutation::Mutation;
use super::sim::Sim;

pub struct Door {
    /// Closed loop: instants at which one more request is issued.
    issues: Vec<u64>,
    /// The next row of the trace.
    next: usize,
    /// When each front-end worker becomes free.
    workers: Vec<u64>,
    /// Requests in the front end, with the end of their service.
    in_service: Vec<(u64, usize)>,
}

impl Door {
    pub fn new(front_end: &FrontEnd, trace: &Trace) -> Door {
        let clients = trace.closed.map_or(0, |c| c.clients);
        Door {
            issues: vec![0; clients as usize],
            next: 0,
            workers: vec![0; usize::from(front_end.workers)],
            in_service: Vec::new(),
        }
    }

    /// When the next row arrives.
    fn next_arrival(&self, trace: &Trace) -> Option<u64> {
        let row = trace.requests.get(self.next)?;
        match trace.closed {
            None => Some(row.arrival.as_ps()),
            Some(_) => self.issues.iter().copied().min(),
        }
    }

    pub fn next_instant(&self, trace: &Trace) -> Option<u64> {
        let served = self.in_service.iter().map(|&(end, _)| end).min();
        served.into_iter().chain(self.next_arrival(trace)).min()
    }

    /// Everything that arrives now: rejected, or taken by a worker.
    pub fn admit_arrivals(sim: &mut Sim<'_>) {
        while sim.door.next_arrival(sim.trace) == Some(sim.now) {
            if sim.trace.closed.is_some() {
                let now = sim.now;
                let at = sim.door.issues.iter().position(|&t| t == now).expect("just seen");
                sim.door.issues.remove(at);
            }
            let r = sim.door.next;
            sim.door.next += 1;
            sim.counters.arrivals += 1;
            sim.requests[r].arrival = sim.now;
            let slack = u32::from(sim.mutated(Mutation::LimitOffByOne));
            let limit = sim.limit;
            let request = &mut sim.requests[r];
            if request.prompt + 1 > limit + slack {
                request.rejected = Some((Rejection::TooLong, sim.now));
                sim.coverage.rejections += 1;
                Door::release(sim, sim.now);
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
    pub fn release(sim: &mut Sim<'_>, t: u64) {
        if let Some(closed) = sim.trace.closed {
            sim.door.issues.push(t + closed.think.as_ps());
        }
    }
}
