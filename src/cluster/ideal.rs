//! The bound `ideal`: every request has the accelerator alone from the moment it leaves the front end.
//!
//! No queue, no other sequence in any step, no KV limit but the served context, no admission limit and no client that
//! gives up: a lower bound on the latency of every request under any policy on the same engine without a prefix cache.
//! Of unequal replicas it takes the one on which the request is done first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::{World, line_sum};
use crate::ids::RequestId;
use crate::metrics::record::{Cause, Deadlines, Outcome, Rejection, Traffic};
use crate::metrics::work::Work;
use crate::units::SimTime;
use crate::workload::Trace;

use super::alone::{AloneTimes, prefill, stretches};
use super::api::Deployment;
use super::front_end::Workers;
use super::turns::TurnsAfterAnswers;

/// Serves every request alone.
pub(super) fn run(deployment: &Deployment<'_>, trace: &Trace, deadlines: Option<Deadlines>) -> Outcome {
    let mut world = World::new(&deployment.parts(), trace, false);
    world.deadlines = deadlines;
    world.streaming = deployment.front_end.per_streamed_token;
    let mut alone = AloneTimes::new(&world.costs);
    let mut workers = Workers::new(deployment.front_end);
    let mut arrivals = Arrivals::new(trace);
    let mut end = SimTime::ZERO;
    while let Some((arrival, id)) = arrivals.next() {
        while world.requests.come() <= id.index() {
            world.requests.open().expect("a row of the trace");
        }
        let row = trace.request(id);
        world.counters.arrivals += 1;
        world.request_mut(id).record.arrival = arrival;
        let done = if world.request(id).prompt >= world.limit {
            world.reject(id, arrival, Rejection::TooLong);
            arrival
        } else {
            let queued = workers.serve(arrival, row.prompt);
            serve(id, arrival, queued, &mut alone, &mut world)
        };
        end = end.max(done);
        arrivals.left(id, done);
    }
    let mut records = world.requests.into_records();
    alone.fill(&mut records, &deployment.front_end);
    Outcome {
        records,
        counters: world.counters,
        gaps: world.gaps.0,
        samples: Vec::new(),
        end,
        traffic: Traffic::default(),
        fleet: None,
    }
}

/// Who comes next, in order of time and then of rows.
struct Arrivals<'a> {
    trace: &'a Trace,
    /// When each client of a closed loop asks next; clients for whom there is no request do not matter.
    clients: BinaryHeap<Reverse<SimTime>>,
    /// Where turns come after answers.
    turns: Option<TurnsAfterAnswers>,
    /// Rows that come later than scheduled.
    put_off: BinaryHeap<Reverse<(SimTime, RequestId)>>,
    /// Rows looked at.
    seen: usize,
}

impl<'a> Arrivals<'a> {
    fn new(trace: &'a Trace) -> Self {
        let clients = trace.closed.map_or(0, |closed| closed.clients as usize).min(trace.len());
        Arrivals {
            trace,
            clients: vec![Reverse(SimTime::ZERO); clients].into(),
            turns: TurnsAfterAnswers::new(trace),
            put_off: BinaryHeap::new(),
            seen: 0,
        }
    }

    fn next(&mut self) -> Option<(SimTime, RequestId)> {
        loop {
            let row = self.trace.requests.get(self.seen);
            let id = RequestId(u32::try_from(self.seen).expect("fewer than 2^32 requests"));
            if self.trace.closed.is_some() {
                self.seen += 1;
                return row.map(|_| (self.clients.pop().map_or(SimTime::ZERO, |Reverse(at)| at), id));
            }
            let first = self.put_off.peek().copied();
            if let Some(Reverse(other)) = first.filter(|&Reverse(o)| row.is_none_or(|r| o < (r.arrival, id)))
            {
                self.put_off.pop();
                return Some(other);
            }
            let arrival = row?.arrival;
            self.seen += 1;
            match self.turns.as_mut().map(|turns| turns.arrival(id, arrival)) {
                Some(None) => {}
                Some(Some(at)) if at > arrival => self.put_off.push(Reverse((at, id))),
                _ => return Some((arrival, id)),
            }
        }
    }

    /// A request has left at `at`.
    fn left(&mut self, id: RequestId, at: SimTime) {
        if let Some(closed) = self.trace.closed {
            self.clients.push(Reverse(at + closed.think));
        }
        if let Some((next, at)) = self.turns.as_mut().and_then(|t| t.left(id, at, self.trace)) {
            self.put_off.push(Reverse((at, next)));
        }
    }
}

/// Prefill in one step, then decode alone, stage after stage. Returns the instant of the last token.
fn serve(
    id: RequestId,
    arrival: SimTime,
    queued: SimTime,
    alone: &mut AloneTimes<'_>,
    world: &mut World<'_>,
) -> SimTime {
    let (prompt, output) = (world.request(id).prompt, world.request(id).output);
    let (_, cost) = alone.fastest(prompt, output);
    let prefill = prefill(cost, prompt);
    let first = queued + prefill.total();
    let record = &mut world.request_mut(id).record;
    record.queued = queued;
    record.scheduled = queued;
    record.ledger.add(Cause::FrontEnd, queued - arrival);
    prefill.charge(record, Cause::PrefillExecution);
    world.first_token(id, first);
    world.count_token(id, 0, first);
    let mut now = first;
    let mut index = 1;
    for (context, stretch) in stretches(cost, prompt, output) {
        let (steps, span) = (stretch.steps, stretch.span());
        world.gaps.record_line(stretch.first.total().as_ps(), stretch.slope, steps, 1);
        if world.deadlines.is_some() {
            for (index, step) in (index..output).zip(1..=steps) {
                world.count_token(id, index, now + stretch.elapsed(step));
            }
        }
        let record = &mut world.requests[id].record;
        span.charge(record, Cause::DecodeExecution);
        record.gap_max = record.gap_max.max(span.last);
        world.counters.steps += steps;
        world.counters.events += 1;
        world.counters.decode_tokens += steps;
        let context = u128::from(line_sum(context, 1, steps));
        let work = Work { steps, tokens: steps, logits: steps, context, ..Work::default() };
        world.counters.work.add(&work);
        world.counters.step_tokens.add(1, steps);
        world.counters.step_sequences.add(1, steps);
        now += span.total();
        index += u32::try_from(steps).expect("an answer length");
    }
    world.counters.steps += 1;
    world.counters.prefill_steps += 1;
    world.counters.events += 1;
    world.counters.prefill_tokens += u64::from(prompt);
    world.counters.work.add(&Work {
        steps: 1,
        tokens: u64::from(prompt),
        logits: 1,
        context: 0,
        pairs: u128::from(prompt) * u128::from(prompt),
        chunk_context: u64::from(prompt),
    });
    world.counters.step_tokens.add(u64::from(prompt), 1);
    world.counters.step_sequences.add(1, 1);
    world.finish(id, now);
    world.requests.close(id);
    now
}
