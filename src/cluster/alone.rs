//! How long a request takes that has the accelerator alone: prefill in one step, then decode alone, stage after stage.
//! What the bound `ideal` serves, and what slowdown is relative to.

use crate::cost::{Chunk, DecodeShape, StepCost, StepShape};
use crate::engine::config::FrontEnd;
use crate::engine::line_sum;
use crate::metrics::Records;
use crate::metrics::record::{Cause, RequestRecord};
use crate::units::SimDuration;

/// Time of one or more passes through all stages.
pub(super) struct Span {
    gpu: u64,
    host: u64,
    bubble: u64,
    /// The last pass.
    pub last: SimDuration,
}

impl Span {
    pub fn total(&self) -> SimDuration {
        SimDuration::from_ps(self.gpu + self.host + self.bubble)
    }

    pub fn charge(&self, record: &mut RequestRecord, own: Cause) {
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
pub(super) struct Stretch {
    pub steps: u64,
    /// The first step.
    pub first: Span,
    /// How much longer each further step is, in ps.
    pub slope: u64,
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
    pub fn elapsed(&self, steps: u64) -> SimDuration {
        SimDuration::from_ps(line_sum(self.first.total().as_ps(), self.slope, steps))
    }

    /// All steps, by cause.
    pub fn span(&self) -> Span {
        let gpu = line_sum(self.first.gpu, self.gpu_slope, self.steps);
        let bubble = self.first.bubble * self.steps;
        let host = self.elapsed(self.steps).as_ps() - gpu - bubble;
        let last = SimDuration::from_ps(self.first.total().as_ps() + self.slope * (self.steps - 1));
        Span { gpu, host, bubble, last }
    }
}

/// The one prefill step of a prompt alone.
pub(super) fn prefill(cost: &dyn StepCost, prompt: u32) -> Span {
    self::prompt(cost, 0, prompt)
}

/// One step over `tokens` prompt tokens after `past` others, alone.
pub(super) fn prompt(cost: &dyn StepCost, past: u32, tokens: u32) -> Span {
    let chunk = [Chunk { tokens, past }];
    pass(cost, &StepShape { chunks: &chunk, decode: DecodeShape::default() }, tokens)
}

/// The decode steps of an answer alone, stretch after stretch, each with its first context.
pub(super) fn stretches(
    cost: &dyn StepCost,
    prompt: u32,
    output: u32,
) -> impl Iterator<Item = (u64, Stretch)> {
    let (mut context, mut left) = (u64::from(prompt) + 1, u64::from(output - 1));
    std::iter::from_fn(move || {
        let stretch = (left > 0).then(|| Stretch::new(cost, context, left))?;
        let from = context;
        context += stretch.steps;
        left -= stretch.steps;
        Some((from, stretch))
    })
}

/// Time from the first step to the last token of requests that have the accelerator alone: each prompt length is asked for once, and decode steps are summed along stretches
/// that are found once.
pub(super) struct AloneTimes<'a> {
    groups: Vec<Known<'a>>,
}

/// What is known of one group of equal replicas.
struct Known<'a> {
    cost: &'a dyn StepCost,
    /// In ps, by prompt length; 0: not asked for yet.
    prefill: Vec<u64>,
    /// Each with its first context; without gaps from context 2 on, the first after a prompt of one token.
    stretches: Vec<(u64, Stretch)>,
    /// First context beyond them.
    end: u64,
}

impl<'a> AloneTimes<'a> {
    pub fn new(costs: &[&'a dyn StepCost]) -> Self {
        let known =
            |&cost: &&'a dyn StepCost| Known { cost, prefill: Vec::new(), stretches: Vec::new(), end: 2 };
        AloneTimes { groups: costs.iter().map(known).collect() }
    }

    /// The time of a request on the group on which it is done first, and what a step costs there.
    pub fn fastest(&mut self, prompt: u32, output: u32) -> (SimDuration, &'a dyn StepCost) {
        let times = self.groups.iter_mut().map(|g| (g.time(prompt, output), g.cost));
        times.min_by_key(|(time, _)| *time).expect("there is a group")
    }

    /// Fills in how long each finished request would have taken alone, on the fastest replica for it.
    pub fn fill(&mut self, records: &mut Records, front_end: &FrontEnd) {
        records.fill_alone(|prompt, output| {
            let door = front_end.per_request + front_end.per_prompt_token * u64::from(prompt);
            door + self.fastest(prompt, output).0 + front_end.per_streamed_token
        });
    }
}

impl Known<'_> {
    /// Time of one request.
    fn time(&mut self, prompt: u32, output: u32) -> SimDuration {
        let index = prompt as usize;
        if self.prefill.len() <= index {
            self.prefill.resize(index + 1, 0);
        }
        if self.prefill[index] == 0 {
            self.prefill[index] = prefill(self.cost, prompt).total().as_ps();
        }
        SimDuration::from_ps(self.prefill[index] + self.decode(u64::from(prompt) + 1, u64::from(output - 1)))
    }

    /// `steps` decode steps from `context` on, in ps.
    fn decode(&mut self, mut context: u64, steps: u64) -> u64 {
        let end = context + steps;
        while self.end < end {
            let stretch = Stretch::new(self.cost, self.end, u64::from(u32::MAX));
            let next = self.end + stretch.steps;
            self.stretches.push((self.end, stretch));
            self.end = next;
        }
        let mut at = self.stretches.partition_point(|&(from, _)| from <= context);
        let mut sum = 0;
        while context < end {
            let (from, stretch) = &self.stretches[at - 1];
            let steps = (end - context).min(from + stretch.steps - context);
            let first = stretch.first.total().as_ps() + stretch.slope * (context - from);
            sum += line_sum(first, stretch.slope, steps);
            context += steps;
            at += 1;
        }
        sum
    }
}
