//! The bound `ideal`: every request has the accelerator alone from the moment it leaves the front end.
//!
//! No queue, no other sequence in any step, no KV limit but the served context: a lower bound on the latency of every
//! request under any policy on the same engine without a prefix cache.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cost::{Chunk, DecodeShape, StepCost, StepShape};
use crate::engine::config::ClusterConfig;
use crate::engine::{Phase, World, line_sum};
use crate::ids::RequestId;
use crate::metrics::record::{Cause, Outcome, Rejection, RequestRecord};
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

use super::front_end::Workers;

/// Serves every request alone.
pub(super) fn run(config: &ClusterConfig, cost: &dyn StepCost, trace: &Trace) -> Outcome {
    let mut world = World::new(&config.replica, cost, trace, false);
    world.streaming = config.front_end.per_streamed_token;
    let mut workers = Workers::new(config.front_end);
    let mut clients = clients(trace);
    let mut end = SimTime::ZERO;
    for (index, row) in trace.requests.iter().enumerate() {
        let id = RequestId(u32::try_from(index).expect("fewer than 2^32 requests"));
        let arrival = match &mut clients {
            None => row.arrival,
            Some(free) => free.pop().map_or(SimTime::ZERO, |Reverse(at)| at),
        };
        world.counters.arrivals += 1;
        world.request_mut(id).record.arrival = arrival;
        let done = if world.request(id).prompt >= world.limit {
            world.reject(id, arrival, Rejection::TooLong);
            arrival
        } else {
            let queued = workers.serve(arrival, row.prompt);
            serve(id, arrival, queued, &mut world)
        };
        end = end.max(done);
        if let (Some(free), Some(closed)) = (&mut clients, trace.closed) {
            free.push(Reverse(done + closed.think));
        }
    }
    let records = world.requests.iter().map(|r| r.record).collect();
    Outcome { records, counters: world.counters, gaps: world.gaps.0, samples: Vec::new(), end }
}

/// When each client of a closed loop asks next; clients for whom there is no request do not matter.
fn clients(trace: &Trace) -> Option<BinaryHeap<Reverse<SimTime>>> {
    let clients = (trace.closed?.clients as usize).min(trace.len());
    Some(vec![Reverse(SimTime::ZERO); clients].into())
}

/// Prefill in one step, then decode alone, stage after stage. Returns the instant of the last token.
fn serve(id: RequestId, arrival: SimTime, queued: SimTime, world: &mut World<'_>) -> SimTime {
    let (prompt, output) = (world.request(id).prompt, world.request(id).output);
    let chunk = [Chunk { tokens: prompt, past: 0 }];
    let prefill = pass(world.cost, &StepShape { chunks: &chunk, decode: DecodeShape::default() }, prompt);
    let first = queued + prefill.total();
    let record = &mut world.request_mut(id).record;
    record.queued = queued;
    record.scheduled = queued;
    record.ledger.add(Cause::FrontEnd, queued - arrival);
    prefill.charge(record, Cause::PrefillExecution);
    world.first_token(id, first);
    let mut now = first;
    let mut context = u64::from(prompt) + 1;
    let mut left = u64::from(output - 1);
    while left > 0 {
        let (steps, span) = decode(world, context, left);
        let record = &mut world.requests[id.index()].record;
        span.charge(record, Cause::DecodeExecution);
        record.gap_max = record.gap_max.max(span.last);
        world.counters.steps += steps;
        world.counters.events += 1;
        world.counters.decode_tokens += steps;
        world.counters.decode_context += u128::from(line_sum(context, 1, steps));
        now += span.total();
        context += steps;
        left -= steps;
    }
    world.counters.steps += 1;
    world.counters.prefill_steps += 1;
    world.counters.events += 1;
    world.counters.prefill_tokens += u64::from(prompt);
    world.counters.prefill_pairs += u128::from(prompt) * u128::from(prompt);
    world.counters.logits += u64::from(output);
    world.finish(id, now);
    world.requests[id.index()].phase = Phase::Left;
    now
}

/// Time of one or more passes through all stages.
struct Span {
    gpu: u64,
    host: u64,
    bubble: u64,
    /// The last pass.
    last: SimDuration,
}

impl Span {
    fn total(&self) -> SimDuration {
        SimDuration::from_ps(self.gpu + self.host + self.bubble)
    }

    fn charge(&self, record: &mut RequestRecord, own: Cause) {
        record.ledger.add(own, SimDuration::from_ps(self.gpu));
        record.ledger.add(Cause::Host, SimDuration::from_ps(self.host));
        record.ledger.add(Cause::Bubble, SimDuration::from_ps(self.bubble));
    }
}

/// One pass of `shape` through all stages.
fn pass(cost: &dyn StepCost, shape: &StepShape<'_>, tokens: u32) -> Span {
    let stages = cost.stages();
    let mut span = Span { gpu: 0, host: 0, bubble: 0, last: SimDuration::ZERO };
    for stage in 0..stages {
        let time = cost.step(stage, shape);
        span.gpu += time.gpu().as_ps();
        span.host += time.host.as_ps();
    }
    if stages > 1 {
        span.bubble = (cost.hop(tokens) * u64::from(stages - 1) + cost.token_return()).as_ps();
    }
    span.last = span.total();
    span
}

/// Up to `left` decode steps from `context` on, as far as one segment per stage holds.
fn decode(world: &mut World<'_>, context: u64, left: u64) -> (u64, Span) {
    let shape = DecodeShape { n: 1, padding: 0, context };
    let segments: Vec<_> =
        (0..world.cost.stages()).map(|stage| world.cost.decode_segment(stage, &shape)).collect();
    let until = segments.iter().map(|s| s.until).min().unwrap_or(context);
    let steps = left.min(until - context + 1);
    let first = pass(world.cost, &StepShape { chunks: &[], decode: shape }, 1);
    let slope: u64 = segments.iter().map(|s| s.total_slope).sum();
    let gpu_slope: u64 = segments.iter().map(|s| s.gpu_slope).sum();
    let gpu = line_sum(first.gpu, gpu_slope, steps);
    let total = line_sum(first.total().as_ps(), slope, steps);
    let bubble = first.bubble * steps;
    let last = SimDuration::from_ps(first.total().as_ps() + slope * (steps - 1));
    world.gaps.record_line(first.total().as_ps(), slope, steps, 1);
    (steps, Span { gpu, host: total - gpu - bubble, bubble, last })
}
