//! The bound `ideal`: every request has the accelerator alone from the moment it leaves the front end.
//!
//! No queue, no other sequence in any step, no KV limit but the served context, no admission limit and no client that
//! gives up: a lower bound on the latency of every request under any policy on the same engine without a prefix cache.
//! Of unequal replicas it takes the one on which the request is done first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::cost::{Chunk, DecodeShape, StepCost, StepShape};
use crate::engine::config::FrontEnd;
use crate::engine::{Phase, World, line_sum};
use crate::ids::RequestId;
use crate::metrics::record::{Cause, Deadlines, Fate, Outcome, Rejection, RequestRecord};
use crate::metrics::work::Work;
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

use super::api::Deployment;
use super::front_end::Workers;

/// Serves every request alone.
pub(super) fn run(deployment: &Deployment<'_>, trace: &Trace, deadlines: Option<Deadlines>) -> Outcome {
    let mut world = World::new(&deployment.parts(), trace, false);
    world.deadlines = deadlines;
    world.streaming = deployment.front_end.per_streamed_token;
    let mut workers = Workers::new(deployment.front_end);
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
    let mut records: Vec<RequestRecord> = world.requests.iter().map(|r| r.record).collect();
    fill_alone(&mut records, &deployment.front_end, &world.costs);
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
    let cost = fastest(&world.costs, prompt, output);
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
        let record = &mut world.requests[id.index()].record;
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

/// Decode steps of one request alone: a straight line per step.
struct Stretch {
    steps: u64,
    /// The first step.
    first: Span,
    /// How much longer each further step is, in ps.
    slope: u64,
    /// How much longer its accelerator part is, in ps.
    gpu_slope: u64,
}

impl Stretch {
    /// Up to `left` steps from `context` on, as far as one segment per stage holds.
    fn new(cost: &dyn StepCost, context: u64, left: u64) -> Stretch {
        let shape = DecodeShape { n: 1, padding: 0, context };
        let first = pass(cost, &StepShape { chunks: &[], decode: shape }, 1);
        let mut stretch = Stretch { steps: left, first, slope: 0, gpu_slope: 0 };
        for stage in 0..cost.stages() {
            let segment = cost.decode_segment(stage, &shape);
            stretch.steps = stretch.steps.min(segment.until - context + 1);
            stretch.slope += segment.total_slope;
            stretch.gpu_slope += segment.gpu_slope;
        }
        stretch
    }

    /// Time of the first `steps` steps.
    fn elapsed(&self, steps: u64) -> SimDuration {
        SimDuration::from_ps(line_sum(self.first.total().as_ps(), self.slope, steps))
    }

    /// All steps, by cause.
    fn span(&self) -> Span {
        let gpu = line_sum(self.first.gpu, self.gpu_slope, self.steps);
        let bubble = self.first.bubble * self.steps;
        let host = self.elapsed(self.steps).as_ps() - gpu - bubble;
        let last = SimDuration::from_ps(self.first.total().as_ps() + self.slope * (self.steps - 1));
        Span { gpu, host, bubble, last }
    }
}

/// The one prefill step of a prompt alone.
fn prefill(cost: &dyn StepCost, prompt: u32) -> Span {
    let chunk = [Chunk { tokens: prompt, past: 0 }];
    pass(cost, &StepShape { chunks: &chunk, decode: DecodeShape::default() }, prompt)
}

/// The decode steps of an answer alone, stretch after stretch, each with its first context.
fn stretches(cost: &dyn StepCost, prompt: u32, output: u32) -> impl Iterator<Item = (u64, Stretch)> {
    let (mut context, mut left) = (u64::from(prompt) + 1, u64::from(output - 1));
    std::iter::from_fn(move || {
        let stretch = (left > 0).then(|| Stretch::new(cost, context, left))?;
        let from = context;
        context += stretch.steps;
        left -= stretch.steps;
        Some((from, stretch))
    })
}

/// Time from the first step to the last token of a request that has the accelerator alone.
fn alone(cost: &dyn StepCost, prompt: u32, output: u32) -> SimDuration {
    let decode: SimDuration = stretches(cost, prompt, output).map(|(_, s)| s.elapsed(s.steps)).sum();
    prefill(cost, prompt).total() + decode
}

/// The group of replicas on which the request alone is done first.
fn fastest<'a>(costs: &[&'a dyn StepCost], prompt: u32, output: u32) -> &'a dyn StepCost {
    match costs {
        [only] => *only,
        _ => *costs.iter().min_by_key(|cost| alone(**cost, prompt, output)).expect("there is a group"),
    }
}

/// Fills in how long each finished request would have taken alone, on the fastest replica for it.
pub(super) fn fill_alone(records: &mut [RequestRecord], front_end: &FrontEnd, costs: &[&dyn StepCost]) {
    for record in records.iter_mut().filter(|r| r.fate == Fate::Finished) {
        let door = front_end.per_request + front_end.per_prompt_token * u64::from(record.prompt);
        let cost = fastest(costs, record.prompt, record.output);
        record.alone = door + alone(cost, record.prompt, record.output) + front_end.per_streamed_token;
    }
}
