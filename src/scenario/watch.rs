//! One request under the magnifying glass: its run is made again, in steps, while somebody watches it.
//!
//! A run is a pure function of its inputs, so that nothing has to be recorded while a study runs. Left out: what the
//! other requests of the replica were doing while it waited in the queue.

use std::collections::BTreeMap;

use crate::cluster::{RunOptions, StepEvent, StepObserver};
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::Records;
use crate::metrics::record::RequestRecord;
use crate::policy::scheduler::{Decode, SchedulerConfig};
use crate::results::{Comparison, GapCause, Study, TokenRow, TokenTimeline};
use crate::units::SimTime;
use crate::workload::{RequestRate, Trace};

use super::execute::Failure;
use super::plan::{Axis, StudyPlan, SystemPlan};
use super::requests::at_point;
use super::single::observed_run;

/// The tokens of the request with the longest gap, in the reference's first run at the headline point. None where the
/// scenario wants no timelines (`timeline-samples = 0`), or nobody has a gap.
pub fn headline(
    plan: &StudyPlan,
    study: &Study,
    comparison: &Comparison,
) -> Result<Option<TokenTimeline>, Failure> {
    let point = comparison.headline().map(|p| p.point);
    let run = point.and_then(|p| study.runs_of(p, plan.reference).into_iter().next());
    match run {
        Some(run) if plan.timeline_samples > 0 => watch(plan, study, (run.point, run.system, run.seed), None),
        _ => Ok(None),
    }
}

/// The tokens of one request of the run at (point, system, seed); `None`: of the one with the longest gap, the first
/// of equals. None if it got no token, or if it was served alone (`ideal`).
///
/// # Errors
/// What preparing the requests again, or running them, may fail with.
pub fn watch(
    plan: &StudyPlan,
    study: &Study,
    (point, system, seed): (usize, usize, u64),
    request: Option<RequestId>,
) -> Result<Option<TokenTimeline>, Failure> {
    let chosen = &plan.systems[system];
    if matches!(chosen.cluster.replica.scheduler, SchedulerConfig::Ideal(_)) {
        return Ok(None);
    }
    let trace = trace(plan, study, point, seed)?;
    let leaps = RunOptions::default();
    let records = run(plan, chosen, (&trace, seed), &leaps, &mut ())?;
    let longest = || {
        let by_gap = |r: &RequestRecord| (r.gap_max, std::cmp::Reverse(r.id));
        records.iter().max_by_key(by_gap).filter(|r| r.gap_max.as_ps() > 0).map(|r| r.id)
    };
    let Some(id) = request.or_else(longest).filter(|id| id.index() < records.len()) else {
        return Ok(None);
    };
    let record = records.get(id.index());
    let mut recorder = Recorder::new(&record);
    run(plan, chosen, (&trace, seed), &RunOptions { stepwise: true, ..leaps }, &mut recorder)?;
    let tokens = recorder.tokens;
    Ok((!tokens.is_empty()).then(|| TokenTimeline {
        system,
        point,
        seed,
        request: record.id.0,
        prompt: record.prompt,
        arrival_s: record.arrival.as_secs_f64(),
        tokens,
    }))
}

/// The requests of a point, as `execute` made them.
pub(super) fn trace(plan: &StudyPlan, study: &Study, point: usize, seed: u64) -> Result<Trace, Failure> {
    let prepared = plan.workload.open(&plan.sources)?.prepare(seed, Some(plan.longest_context()))?;
    let rate = study.points.get(point).and_then(|p| p.rate_per_s).and_then(RequestRate::per_second);
    let rate = rate.filter(|_| plan.axis != Axis::Natural);
    Ok(at_point(plan, &prepared, seed, rate)?.into_owned())
}

fn run(
    plan: &StudyPlan,
    system: &SystemPlan,
    (trace, seed): (&Trace, u64),
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Records, Failure> {
    let outcome = observed_run(system, trace, options, seed, observer);
    outcome.map(|outcome| outcome.records).map_err(|violation| {
        let run = format!("scenario `{}`, system `{}`, made again", plan.name, system.name);
        Failure::Violation { run, violation }
    })
}

/// Where the watched request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In a queue, or swapped out.
    Out,
    Prefilling,
    /// Gets its remaining prompt with the decoding ones.
    Fed,
    Decoding,
}

/// Follows one request through the steps of its replica.
struct Recorder {
    request: RequestId,
    record: RequestRecord,
    replica: Option<ReplicaId>,
    stage: Stage,
    computed: u32,
    last: SimTime,
    /// Prompt tokens of others since its last token.
    others: BTreeMap<RequestId, u32>,
    steps: u32,
    preempted: bool,
    tokens: Vec<TokenRow>,
}

impl Recorder {
    fn new(record: &RequestRecord) -> Recorder {
        Recorder {
            request: record.id,
            record: *record,
            replica: None,
            stage: Stage::Out,
            computed: 0,
            last: record.arrival,
            others: BTreeMap::new(),
            steps: 0,
            preempted: false,
            tokens: Vec::new(),
        }
    }

    /// What the plan of a step does to its place.
    fn place(&mut self, event: &StepEvent<'_>) {
        let plan = event.plan;
        if plan.preempt.iter().any(|&(victim, _)| victim == self.request) {
            self.stage = Stage::Out;
            self.preempted = true;
        }
        if plan.swap_in.contains(&self.request) {
            self.stage = Stage::Decoding;
        }
        if let Some(admission) = plan.admit.iter().find(|a| a.request == self.request) {
            // Victims of a plan without work are not seen: that it is admitted again tells.
            self.preempted |= !self.tokens.is_empty();
            self.stage = Stage::Prefilling;
            self.computed = admission.hit;
            self.replica = Some(event.replica);
        }
        if plan.feed.contains(&self.request) {
            self.stage = Stage::Fed;
        }
    }

    /// Whether the step brings its KV up to its tokens, so that one is sampled.
    fn advance(&mut self, event: &StepEvent<'_>) -> bool {
        let plan = event.plan;
        let wanted = self.record.prompt + u32::try_from(self.tokens.len()).unwrap_or(u32::MAX);
        if let Some(&(_, tokens)) = plan.prefill.iter().find(|(r, _)| *r == self.request) {
            self.computed += tokens;
        } else if matches!(self.stage, Stage::Fed | Stage::Decoding)
            && (event.members.contains(&self.request)
                || (event.members.is_empty() && plan.decode == Decode::All))
        {
            self.computed += 1;
        } else {
            return false;
        }
        self.computed == wanted
    }

    fn token(&mut self, event: &StepEvent<'_>) {
        let culprit = self.others.iter().max_by_key(|&(&r, &tokens)| (tokens, std::cmp::Reverse(r)));
        let cause = match (self.tokens.is_empty(), self.preempted, culprit) {
            (true, ..) if self.record.scheduling_delay() * 2 > event.end - self.last => GapCause::Queue,
            (true, ..) => GapCause::OwnPrompt,
            (false, true, _) => GapCause::Preemption,
            (false, false, Some(_)) => GapCause::OtherPrompt,
            (false, false, None) => GapCause::Decode,
        };
        let decode = event.shape.decode;
        self.tokens.push(TokenRow {
            at_s: event.end.as_secs_f64(),
            gap_s: (event.end - self.last).as_secs_f64(),
            cause,
            culprit: culprit.map(|(r, &tokens)| (r.0, tokens)),
            other_prompt_tokens: self.others.values().map(|&t| u64::from(t)).sum(),
            steps: self.steps,
            sequences: decode.n
                + decode.padding
                + u32::try_from(event.shape.chunks.len()).unwrap_or(u32::MAX),
        });
        self.last = event.end;
        self.others.clear();
        self.steps = 0;
        self.preempted = false;
        self.stage = Stage::Decoding;
    }
}

impl StepObserver for Recorder {
    fn step(&mut self, event: &StepEvent<'_>) {
        if self.tokens.len() >= self.record.output as usize {
            return;
        }
        self.place(event);
        if self.replica != Some(event.replica) {
            return;
        }
        self.steps += 1;
        for &(request, tokens) in event.plan.prefill.iter().filter(|(r, _)| *r != self.request) {
            *self.others.entry(request).or_insert(0) += tokens;
        }
        if self.advance(event) {
            self.token(event);
        }
    }
}
