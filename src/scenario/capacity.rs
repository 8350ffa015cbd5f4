//! Capacity of any system: the highest rate at which it meets the limits in a stable run that is long enough.
//!
//! The rule, for one seed: a trial at a rate holds at least `requests` requests (2,000) and lasts at least `spans`
//! (20) times the P99 end-to-end latency it finds; it passes if the run is *stable* and meets `[slo]`. The rate is
//! bracketed and bisected to 2 % as in `load.rs`. Each seed has its own search, so that the interval over seeds is one
//! of independent replications; two systems whose intervals overlap are a tie. A trial that would need more requests
//! than the workload has is marked as short.
//!
//! It differs from the capacity behind `load` (all seeds at once, not overloaded), which only sets an axis.

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::cluster::{RunOptions, Violation};
use crate::diagnostic::{InputError, InputErrors, from_tree};
use crate::metrics::slo::{Limit, Slo};
use crate::metrics::{Estimate, MeasureContext, Saturation, Summary, measure, verdict};
use crate::policy::scheduler::SchedulerConfig;
use crate::results::{CapacityCell, CapacityTable};
use crate::units::SimDuration;
use crate::workload::{Prepared, RequestRate, Trace};

use super::document::Document;
use super::execute::{Failure, Progress};
use super::load::{NoCapacity, search};
use super::plan::{StudyPlan, SystemPlan};
use super::requests::at_rate;
use super::single::{measure_context, simulate_run};
use super::slo::TokenLimit;

/// How long a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrialRule {
    /// Least number of requests.
    pub requests: u32,
    /// Least length of the arrivals in P99 end-to-end latencies.
    pub spans: f64,
}

impl Default for TrialRule {
    fn default() -> Self {
        TrialRule { requests: 2_000, spans: 20.0 }
    }
}

/// `[capacity]` as typed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct CapacityOptions {
    /// Least number of requests of a trial; default 2000.
    requests: Option<u32>,
    /// Least length of a trial's arrivals in P99 end-to-end latencies; default 20.
    spans: Option<f64>,
    /// Rising limits on the time to first token: the capacity at each of them.
    ttft: Option<Vec<SimDuration>>,
    /// Rising limits on the mean interval between a request's tokens.
    tpot: Option<Vec<TokenLimit>>,
    /// Rising limits on a request's longest gap between tokens.
    gap_max: Option<Vec<TokenLimit>>,
    /// Rising limits on the 99th percentile of all gaps.
    gap_p99: Option<Vec<TokenLimit>>,
    /// Rising limits on the median end-to-end latency per output token.
    normalised_p50: Option<Vec<SimDuration>>,
    /// Rising limits on the mean end-to-end latency per output token.
    normalised_mean: Option<Vec<SimDuration>>,
}

/// What `[capacity]` asks for, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct CapacityPlan {
    /// How long a trial is.
    pub rule: TrialRule,
    /// The limit that is varied and its values; none: `[slo]` as it is.
    pub limits: Option<(Limit, Vec<SimDuration>)>,
}

impl CapacityPlan {
    /// Reads `[capacity]`; multiples are of steps of `reference`.
    pub(super) fn read(doc: &Document, reference: &SystemPlan) -> Result<Option<CapacityPlan>, InputErrors> {
        let Some(node) = doc.capacity.as_ref().filter(|n| n.entries().is_some()) else { return Ok(None) };
        let o: CapacityOptions = from_tree(node, "capacity", &doc.sources)?;
        let plain = |list: Option<Vec<SimDuration>>| list;
        let token = |list: Option<Vec<TokenLimit>>| {
            list.map(|list| list.into_iter().map(|l| l.resolve(reference)).collect::<Vec<SimDuration>>())
        };
        let lists = [
            ("ttft", Limit::Ttft, plain(o.ttft)),
            ("tpot", Limit::Tpot, token(o.tpot)),
            ("gap-max", Limit::GapMax, token(o.gap_max)),
            ("gap-p99", Limit::GapP99, token(o.gap_p99)),
            ("normalised-p50", Limit::NormalisedP50, plain(o.normalised_p50)),
            ("normalised-mean", Limit::NormalisedMean, plain(o.normalised_mean)),
        ];
        let mut errors = InputErrors::default();
        if doc.workload.get("load-by").and_then(|by| by.as_str()) == Some("users") {
            let message = "`[capacity]` sets rates by time, but `workload.load-by` says users".to_owned();
            let help = "remove `[capacity]`, or set `load-by = \"time\"`";
            errors.0.push(doc.sources.error(doc.workload.value_span("load-by"), message, help));
        }
        let mut refuse = |key: &str, message: String, help: &str| {
            errors.0.push(doc.sources.error(node.value_span(key), message, help));
        };
        let mut given = lists.into_iter().filter_map(|(key, limit, list)| Some((key, limit, list?)));
        let limits = given.next();
        if let (Some((first, ..)), Some((second, ..))) = (&limits, given.next()) {
            let message = format!("`capacity.{first}` and `capacity.{second}` both vary a limit");
            refuse(second, message, "keep one list; the other limits belong to `[slo]`");
        }
        if let Some((key, _, list)) = &limits {
            if list.is_empty() || list.contains(&SimDuration::ZERO) {
                let message = format!("`capacity.{key}` needs limits above zero");
                refuse(key, message, "write for example `[\"100 ms\", \"200 ms\"]`");
            } else if !list.is_sorted_by(|a, b| a < b) {
                let message = format!("`capacity.{key}`: limits do not rise");
                refuse(key, message, "write them in rising order, each once");
            }
        }
        let rule = TrialRule::default();
        let rule =
            TrialRule { requests: o.requests.unwrap_or(rule.requests), spans: o.spans.unwrap_or(rule.spans) };
        if rule.requests == 0 {
            refuse(
                "requests",
                "`capacity.requests`: a trial has requests".to_owned(),
                "write 2000, the rule",
            );
        }
        if !(rule.spans >= 0.0 && rule.spans.is_finite()) {
            let message = format!("`capacity.spans`: {} is no length", rule.spans);
            refuse("spans", message, "write 20, the rule, or another number from 0 up");
        }
        let limits = limits.map(|(_, limit, list)| (limit, list));
        errors.or(Some(CapacityPlan { rule, limits }))
    }
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Requests per second.
    pub rate: f64,
    /// Requests of the run that judged it.
    pub requests: usize,
    /// Whether it passed.
    pub passed: bool,
    /// What was measured.
    pub summary: Summary,
}

/// The capacity of one system with the requests of one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedCapacity {
    /// Highest rate that passed, in requests per second; 0: not even the slowest did.
    pub rate: f64,
    /// All trials, in the order they were run.
    pub trials: Vec<Trial>,
    /// Whether the trial at `rate` should have been longer than the workload is.
    pub short: bool,
}

impl SeedCapacity {
    /// The trial at the capacity.
    pub fn at_capacity(&self) -> Option<&Trial> {
        self.trials.iter().rfind(|t| t.passed && t.rate == self.rate)
    }
}

/// Why there is no capacity: the system keeps up with everything, or the engine broke an invariant.
#[derive(Clone, Debug)]
pub enum NoSeedCapacity {
    /// Even the fastest rate passes.
    AlwaysMet,
    /// Our bug.
    Violation(Violation),
    /// The requests cannot be set to a rate.
    Input(InputErrors),
}

/// The requests of one seed; what a router draws has the same seed.
#[derive(Clone, Copy, Debug)]
pub struct Seeded<'a> {
    /// The requests.
    pub trace: &'a Trace,
    /// The seed.
    pub seed: u64,
}

/// Searches the capacity of `system` with one trace under `slo`.
pub fn of_seed(
    plan: &StudyPlan,
    system: &SystemPlan,
    trace: Seeded<'_>,
    slo: &Slo,
    rule: TrialRule,
) -> Result<SeedCapacity, NoSeedCapacity> {
    let mut trials: Vec<Trial> = Vec::new();
    let mut short = Vec::new();
    let found = search(|rate| {
        let (trial, too_short) = trial(plan, system, trace, slo, rule, rate)?;
        let passed = trial.passed;
        trials.push(trial);
        short.push(too_short);
        Ok(passed)
    });
    let rate = match found {
        Ok(_) => trials.iter().filter(|t| t.passed).map(|t| t.rate).fold(0.0, f64::max),
        Err(NoCapacity::NeverMet) => 0.0,
        Err(NoCapacity::AlwaysMet) => return Err(NoSeedCapacity::AlwaysMet),
        Err(NoCapacity::Violation(violation)) => return Err(NoSeedCapacity::Violation(violation)),
        Err(NoCapacity::Input(errors)) => return Err(NoSeedCapacity::Input(errors)),
    };
    let short = trials.iter().zip(&short).any(|(t, short)| *short && t.passed && t.rate == rate);
    Ok(SeedCapacity { rate, trials, short })
}

/// One rate: longer and longer until the run is long enough or fails. Also says whether it stayed too short.
fn trial(
    plan: &StudyPlan,
    system: &SystemPlan,
    trace: Seeded<'_>,
    slo: &Slo,
    rule: TrialRule,
    rate: f64,
) -> Result<(Trial, bool), NoCapacity> {
    let Some(per_second) = RequestRate::per_second(rate) else { return Err(NoCapacity::NeverMet) };
    let mut requests = trace.trace.len().min(rule.requests as usize);
    loop {
        let summary = run_at(plan, system, trace, slo, requests, per_second)?;
        let met = verdict(&[&summary], slo, plan.attainment).met;
        let passed = met && summary.saturation == Saturation::Stable;
        let needed = rule.spans * summary.requests.e2e_p99_s.unwrap_or(0.0) * rate;
        let trial = Trial { rate, requests, passed, summary };
        if !passed || needed <= requests as f64 {
            return Ok((trial, false));
        }
        if requests == trace.trace.len() {
            return Ok((trial, true));
        }
        requests = longer(requests, needed).min(trace.trace.len());
    }
}

/// A little more than needed, because a longer run finds a longer tail; at least half as many again.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of requests, far below 2^53"
)]
fn longer(requests: usize, needed: f64) -> usize {
    ((needed * 1.1).ceil() as usize).max(requests + requests / 2 + 1)
}

/// The first `requests` requests of `trace` at a rate.
pub fn run_at(
    plan: &StudyPlan,
    system: &SystemPlan,
    trace: Seeded<'_>,
    slo: &Slo,
    requests: usize,
    rate: RequestRate,
) -> Result<Summary, NoCapacity> {
    let mut part = trace.trace.clone();
    part.requests.truncate(requests);
    let part = at_rate(&part, rate).map_err(NoCapacity::Input)?;
    let outcome =
        simulate_run(system, &part, &RunOptions::default(), trace.seed).map_err(NoCapacity::Violation)?;
    let context = MeasureContext { slo: *slo, ..measure_context(plan, system, Some(rate)) };
    Ok(measure(&outcome, &part, &context))
}

/// Carries out `[capacity]`: every system (but `ideal`, which keeps up with everything) at every limit and seed.
pub(super) fn of_study(
    plan: &StudyPlan,
    prepared: &[Prepared],
    progress: &dyn Progress,
) -> Result<Option<CapacityTable>, Failure> {
    let Some(wanted) = &plan.capacity else { return Ok(None) };
    let slos: Vec<Slo> = match &wanted.limits {
        Some((limit, values)) => values.iter().map(|v| plan.slo.with(*limit, Some(*v))).collect(),
        None => vec![plan.slo],
    };
    let real = |s: &usize| !matches!(plan.systems[*s].options.scheduler, SchedulerConfig::Ideal(_));
    let cells: Vec<(usize, usize)> =
        (0..plan.systems.len()).filter(real).flat_map(|s| (0..slos.len()).map(move |p| (s, p))).collect();
    progress.phase("capacities", cells.len() * prepared.len());
    let seeds: Vec<u64> = (1..=prepared.len() as u64).collect();
    let one = |&(system, point): &(usize, usize)| {
        let system_plan = &plan.systems[system];
        let of_seed = |(p, seed): (&Prepared, u64)| {
            let trace = Seeded { trace: &p.trace, seed };
            let found = of_seed(plan, system_plan, trace, &slos[point], wanted.rule);
            progress.step();
            found.map_err(|e| failure(plan, system_plan, e))
        };
        let found = prepared
            .par_iter()
            .zip(seeds.clone())
            .map(of_seed)
            .collect::<Result<Vec<SeedCapacity>, Failure>>()?;
        let by_seed: Vec<f64> = found.iter().map(|c| c.rate).collect();
        let short = u32::try_from(found.iter().filter(|c| c.short).count()).unwrap_or(u32::MAX);
        Ok(CapacityCell { system, point, value: Estimate::of(by_seed.iter().copied()), by_seed, short })
    };
    let cells = cells.par_iter().map(one).collect::<Result<Vec<CapacityCell>, Failure>>()?;
    let (limit, values) = wanted.limits.clone().map_or((None, Vec::new()), |(l, v)| (Some(l), v));
    Ok(Some(CapacityTable {
        limit,
        limits_s: values.into_iter().map(SimDuration::as_secs_f64).collect(),
        requests: wanted.rule.requests,
        spans: wanted.rule.spans,
        cells,
    }))
}

fn failure(plan: &StudyPlan, system: &SystemPlan, error: NoSeedCapacity) -> Failure {
    match error {
        NoSeedCapacity::Violation(violation) => {
            let run = format!("scenario `{}`, capacity of `{}`", plan.name, system.name);
            Failure::Violation { run, violation }
        }
        NoSeedCapacity::Input(errors) => Failure::Input(errors),
        NoSeedCapacity::AlwaysMet => {
            let place = format!("{}: [capacity]", plan.name);
            let message =
                format!("system `{}` meets the limits at every rate, so it has no capacity", system.name);
            Failure::Input(InputError::named(place, message, "limit a latency, or use more requests").into())
        }
    }
}
