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

use crate::cluster::{Outcome, RunOptions, Violation};
use crate::diagnostic::{InputError, InputErrors};
use crate::metrics::slo::Slo;
use crate::metrics::{Estimate, MeasureContext, Saturation, Summary, measure, verdict};
use crate::policy::scheduler::SchedulerConfig;
use crate::results::{CapacityCell, CapacityTable, CapacityTrial};
use crate::units::SimDuration;
use crate::workload::{Prepared, RequestRate, Trace};

pub use super::capacity_options::{CapacityPlan, TrialRule};

use super::execute::{Failure, Progress};
use super::load::{NoCapacity, SearchGrid, search_on};
use super::plan::{StudyPlan, SystemPlan};
use super::requests::at_rate;
use super::single::{measure_context, simulate_run};

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Requests per second.
    pub rate: f64,
    /// Requests of the run that judged it.
    pub requests: usize,
    /// Whether it passed.
    pub passed: bool,
    /// Whether it should have been longer than the workload is.
    pub short: bool,
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

impl From<NoCapacity> for NoSeedCapacity {
    /// `NeverMet` is no failure of a seed but a capacity of 0; as one it could only be a rate that is none.
    fn from(error: NoCapacity) -> Self {
        match error {
            NoCapacity::AlwaysMet | NoCapacity::NeverMet => NoSeedCapacity::AlwaysMet,
            NoCapacity::Violation(violation) => NoSeedCapacity::Violation(violation),
            NoCapacity::Input(errors) => NoSeedCapacity::Input(errors),
        }
    }
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
    let search = Search { plan, slo, rule, grid: SearchGrid::default(), options: RunOptions::default() };
    search.of_seed(system, trace)
}

/// How capacities are searched.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The study the systems belong to.
    pub plan: &'a StudyPlan,
    /// The limits.
    pub slo: &'a Slo,
    /// How long a trial is.
    pub rule: TrialRule,
    /// Which rates are tried.
    pub grid: SearchGrid,
    /// How a run is simulated.
    pub options: RunOptions,
}

impl Search<'_> {
    /// The capacity of `system` with the requests of one seed.
    pub fn of_seed(&self, system: &SystemPlan, trace: Seeded<'_>) -> Result<SeedCapacity, NoSeedCapacity> {
        let mut trials: Vec<Trial> = Vec::new();
        let found = search_on(self.grid, |rate| {
            let trial = self.trial(system, trace, rate)?;
            let passed = trial.passed;
            trials.push(trial);
            Ok(passed)
        });
        let rate = match found {
            Ok(_) => trials.iter().filter(|t| t.passed).map(|t| t.rate).fold(0.0, f64::max),
            Err(NoCapacity::NeverMet) => 0.0,
            Err(other) => return Err(other.into()),
        };
        let short = trials.iter().any(|t| t.short && t.passed && t.rate == rate);
        Ok(SeedCapacity { rate, trials, short })
    }

    /// One rate: longer and longer until the run is long enough or fails.
    fn trial(&self, system: &SystemPlan, trace: Seeded<'_>, rate: f64) -> Result<Trial, NoCapacity> {
        let Some(per_second) = RequestRate::per_second(rate) else { return Err(NoCapacity::NeverMet) };
        let mut requests = trace.trace.len().min(self.rule.requests as usize);
        loop {
            let (part, outcome) = self.simulate(system, trace, requests, per_second)?;
            let base = measure_context(self.plan, system, Some(per_second));
            let summary = measure(&outcome, &part, &MeasureContext { slo: *self.slo, ..base });
            let met = verdict(&[&summary], self.slo, self.plan.attainment).met;
            let passed = met && summary.saturation == Saturation::Stable;
            let needed = self.rule.spans * summary.requests.e2e_p99_s.unwrap_or(0.0) * rate;
            let enough = !passed || needed <= requests as f64;
            if enough || requests == trace.trace.len() {
                return Ok(Trial { rate, requests, passed, short: !enough, summary });
            }
            requests = longer(requests, needed).min(trace.trace.len());
        }
    }

    /// Simulates the first `requests` requests of `trace` at a rate; also gives them back.
    pub(super) fn simulate(
        &self,
        system: &SystemPlan,
        trace: Seeded<'_>,
        requests: usize,
        rate: RequestRate,
    ) -> Result<(Trace, Outcome), NoCapacity> {
        let part = at_rate(&first(trace.trace, requests), rate).map_err(NoCapacity::Input)?;
        let outcome =
            simulate_run(system, &part, &self.options, trace.seed).map_err(NoCapacity::Violation)?;
        Ok((part, outcome))
    }
}

/// The first `requests` requests of a trace.
fn first(trace: &Trace, requests: usize) -> Trace {
    Trace {
        requests: trace.requests.iter().take(requests).copied().collect(),
        classes: trace.classes.clone(),
        closed: trace.closed,
        turns: trace.turns,
        prefixes: trace.prefixes.clone(),
        sessions: trace.sessions.clone(),
        priorities: trace.priorities.clone(),
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
    let (grid, options) = (SearchGrid::default(), RunOptions::default());
    let search = Search { plan, slo, rule: TrialRule::default(), grid, options };
    let (part, outcome) = search.simulate(system, trace, requests, rate)?;
    let context = MeasureContext { slo: *slo, ..measure_context(plan, system, Some(rate)) };
    Ok(measure(&outcome, &part, &context))
}

/// Carries out `[capacity]` of a study that is run; its trials are not kept.
pub(super) fn of_study(
    plan: &StudyPlan,
    prepared: &[Prepared],
    progress: &dyn Progress,
) -> Result<Option<CapacityTable>, Failure> {
    let Some(wanted) = &plan.capacity else { return Ok(None) };
    let found = search_all(plan, wanted, prepared, RunOptions::default(), progress)?;
    Ok(Some(found.0))
}

/// The limits that capacities are searched at.
pub(super) fn slos(plan: &StudyPlan, wanted: &CapacityPlan) -> Vec<Slo> {
    match &wanted.limits {
        Some((limit, values)) => values.iter().map(|v| plan.slo.with(*limit, Some(*v))).collect(),
        None => vec![plan.slo],
    }
}

/// Whether a system has a capacity: `ideal` keeps up with everything.
pub(super) fn has_capacity(system: &SystemPlan) -> bool {
    !matches!(system.options.scheduler, SchedulerConfig::Ideal(_))
}

/// Every system that has a capacity, at every limit, with every seed: the table, and all trials in order of system,
/// limit and seed.
pub(super) fn search_all(
    plan: &StudyPlan,
    wanted: &CapacityPlan,
    prepared: &[Prepared],
    options: RunOptions,
    progress: &dyn Progress,
) -> Result<(CapacityTable, Vec<CapacityTrial>), Failure> {
    let slos = slos(plan, wanted);
    let real = |s: &usize| has_capacity(&plan.systems[*s]);
    let cells: Vec<(usize, usize)> =
        (0..plan.systems.len()).filter(real).flat_map(|s| (0..slos.len()).map(move |p| (s, p))).collect();
    progress.phase("capacities", cells.len() * prepared.len());
    let seeds: Vec<u64> = (1..=prepared.len() as u64).collect();
    let one = |&(system, point): &(usize, usize)| {
        let system_plan = &plan.systems[system];
        let (grid, slo) = (SearchGrid::default(), &slos[point]);
        let search = Search { plan, slo, rule: wanted.rule, grid, options };
        let of_seed = |(p, seed): (&Prepared, u64)| {
            let found = search.of_seed(system_plan, Seeded { trace: &p.trace, seed });
            progress.step();
            found.map_err(|e| failure(plan, system_plan, e))
        };
        let found = prepared
            .par_iter()
            .zip(seeds.clone())
            .map(of_seed)
            .collect::<Result<Vec<SeedCapacity>, Failure>>()?;
        Ok((cell(system, point, &found), rows(system, point, &found)))
    };
    type Found = (CapacityCell, Vec<CapacityTrial>);
    let found = cells.par_iter().map(one).collect::<Result<Vec<Found>, Failure>>()?;
    let (cells, trials): (Vec<CapacityCell>, Vec<Vec<CapacityTrial>>) = found.into_iter().unzip();
    let (limit, values) = wanted.limits.clone().map_or((None, Vec::new()), |(l, v)| (Some(l), v));
    let table = CapacityTable {
        limit,
        limits_s: values.into_iter().map(SimDuration::as_secs_f64).collect(),
        requests: wanted.rule.requests,
        spans: wanted.rule.spans,
        cells,
    };
    Ok((table, trials.into_iter().flatten().collect()))
}

/// The capacities of one system at one limit.
fn cell(system: usize, point: usize, found: &[SeedCapacity]) -> CapacityCell {
    let by_seed: Vec<f64> = found.iter().map(|c| c.rate).collect();
    let short = u32::try_from(found.iter().filter(|c| c.short).count()).unwrap_or(u32::MAX);
    CapacityCell { system, point, value: Estimate::of(by_seed.iter().copied()), by_seed, short }
}

/// Their trials as the results hold them, by seed.
fn rows(system: usize, point: usize, found: &[SeedCapacity]) -> Vec<CapacityTrial> {
    let row = |seed: u64, trial: &Trial| {
        let judged = (trial.passed, trial.short);
        CapacityTrial::of((system, point, seed), trial.rate, trial.requests, judged, &trial.summary)
    };
    (1..).zip(found).flat_map(|(seed, c)| c.trials.iter().map(move |t| row(seed, t))).collect()
}

/// What a search that found nothing means for the study.
pub(crate) fn failure(plan: &StudyPlan, system: &SystemPlan, error: NoSeedCapacity) -> Failure {
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
