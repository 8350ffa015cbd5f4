//! `windtunnel plan`: which deployment serves most within the limits, per accelerator or per dollar.
//!
//! The search is the capacity search of `src/scenario/capacity.rs`, three times with ever longer trials ([`STAGES`]):
//! short ones for all deployments, longer ones for those near the best, and trials by the whole rule for the last few,
//! among whom the ranking is made. Short trials mislead (with 300 requests a deployment that later loses 30 % looks like
//! a winner), so what is kept after them is wide. Before each round of short trials, deployments whose datasheet bound
//! (`src/planner/bound.rs`) cannot reach the best found are dropped and counted.
//!
//! Rounds have a fixed size and order, and a round only knows what the rounds before it found: so threads change nothing.
//!
//! Other planners (`plan.planners`) choose one deployment each, by rules of their own (`src/planner/distserve.rs`); what
//! they choose has long trials like the last few of the search, and is ranked among them.

mod bound;
mod conclude;
mod distserve;
mod fingerprint;
mod launch;
mod passes;
mod phases;
mod rank;

use rayon::prelude::*;

use crate::cluster::RunOptions;
use crate::metrics::slo::Slo;
use crate::results::{Finding, PlanDetail, PlanStage, Planned, Study};
use crate::scenario::capacity::{NoSeedCapacity, Search, SeedCapacity, Seeded, TrialRule};
use crate::scenario::capacity_study::{check_open, check_rates};
use crate::scenario::deployments::{Candidate, DeploymentPlan, Objective, PlannerKind};
use crate::scenario::execute::{Failure, Progress, prepare};
use crate::scenario::load::SearchGrid;
use crate::scenario::{StudyPlan, SystemPlan};
use crate::workload::{Prepared, Trace};

use distserve::Choice;
use passes::{finding, keep, planned, start};

pub use rank::{Sureness, bootstrap};

/// One pass over what is left of the deployments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Its name in the results.
    pub stage: PlanStage,
    /// Least requests of a trial; none: the rule of `[capacity]`.
    pub rule: Option<TrialRule>,
    /// Seeds; none: all.
    pub seeds: Option<usize>,
    /// Factor between rates of the bracket, and the relative width at which a search stops. The last is finer than that
    /// of a capacity, because deployments that differ little are ranked by it.
    pub search: (f64, f64),
    /// Deployments go on that reach this share of the best, and at most so many.
    pub keep: (f64, usize),
}

/// Short trials for all, long ones for the best.
pub const STAGES: [Stage; 3] = [
    Stage {
        stage: PlanStage::Short,
        rule: Some(TrialRule { requests: 300, spans: 0.0 }),
        seeds: Some(1),
        search: (1.6, 0.10),
        keep: (0.7, 48),
    },
    Stage {
        stage: PlanStage::Middle,
        rule: Some(TrialRule { requests: 1_000, spans: 5.0 }),
        seeds: Some(2),
        search: (1.2, 0.04),
        keep: (0.85, 8),
    },
    Stage { stage: PlanStage::Long, rule: None, seeds: None, search: (1.1, 0.005), keep: (0.0, usize::MAX) },
];

/// Deployments of one layout that reach the long trials: knobs that change nothing would fill all places.
const ALIKE_MAX: usize = 2;

/// Deployments of one round of short trials.
const ROUND: usize = 64;

/// Deployments are dropped whose bound stays below this share of the best found: short trials find too much.
const REACH: f64 = 0.7;

/// What was found before, and what is found now.
pub trait Store: Sync {
    /// What a stage found of a deployment, by the fingerprint of both.
    fn find(&self, fingerprint: &str) -> Option<Finding>;
    /// Keeps what a stage found as soon as it is known.
    fn keep(&self, fingerprint: &str, finding: &Finding);
}

/// Nothing is remembered.
impl Store for () {
    fn find(&self, _: &str) -> Option<Finding> {
        None
    }
    fn keep(&self, _: &str, _: &Finding) {}
}

/// A search under way.
struct Planner<'a> {
    plan: &'a DeploymentPlan,
    prepared: &'a [Prepared],
    /// Fingerprint of the requests.
    requests: String,
    options: RunOptions,
    store: &'a dyn Store,
    progress: &'a dyn Progress,
}

/// A deployment in the search.
struct Entry<'a> {
    index: usize,
    candidate: &'a Candidate,
    /// What its rate is divided by.
    units: f64,
    /// Datasheet bound, requests per second.
    bound: f64,
}

/// Searches; the result is a study of the finalists without runs, and the whole search.
pub fn search(
    plan: &DeploymentPlan,
    options: RunOptions,
    store: &dyn Store,
    progress: &dyn Progress,
) -> Result<(Study, PlanDetail), Failure> {
    check_rates(&plan.study)?;
    let prepared = prepare(&plan.study, progress)?;
    check_open(&plan.study, &prepared[0].trace)?;
    let requests = fingerprint::of_requests(&prepared);
    let planner = Planner { plan, prepared: &prepared, requests, options, store, progress };
    let others = plan.planners.iter().filter(|p| **p != PlannerKind::Search);
    let choices =
        others.map(|p| distserve::choose(&planner, *p)).collect::<Result<Vec<Choice>, Failure>>()?;
    let entries = planner.entries(&choices);
    let mut found: Vec<Planned> = entries.iter().map(|e| planned(e)).collect();
    let searched = plan.candidates.len();
    let mut left = planner.short(&entries[..searched], &mut found[..searched])?;
    left = planner.pass(&STAGES[1], &left, &entries, &mut found)?;
    let chosen: Vec<usize> = choices.iter().filter_map(|c| position(&entries, c)).collect();
    left.extend(
        chosen.into_iter().filter(|i| !left.contains(i)).collect::<std::collections::BTreeSet<usize>>(),
    );
    left = planner.pass(&STAGES[2], &left, &entries, &mut found)?;
    planner.conclude(&entries, &left, found, &choices)
}

/// The deployment that a planner chose.
fn position(entries: &[Entry<'_>], choice: &Choice) -> Option<usize> {
    let name = &choice.candidate.as_ref()?.name;
    entries.iter().position(|e| e.candidate.name == *name)
}

/// One search of a capacity.
struct Ask<'s> {
    stage: PlanStage,
    system: &'s SystemPlan,
    slo: &'s Slo,
    /// The requests by seed, and their fingerprint.
    traces: Vec<&'s Trace>,
    requests: &'s str,
    rule: TrialRule,
    grid: SearchGrid,
    /// What is taken where so few requests never fill the system; none: that is an error.
    ceiling: Option<f64>,
}

impl<'a> Planner<'a> {
    fn study(&self) -> &'a StudyPlan {
        &self.plan.study
    }

    /// All deployments with their bounds: those of the search, then those that others chose.
    fn entries<'e>(&'e self, choices: &'e [Choice]) -> Vec<Entry<'e>> {
        let (study, trace) = (self.study(), &self.prepared[0].trace);
        let entry = |(index, candidate): (usize, &'e Candidate)| {
            let usd = candidate.system.sum_over_gpus(|a| a.usd_per_hour) / 3600.0;
            let units = match self.plan.objective {
                Objective::GoodputPerGpu => f64::from(candidate.system.gpus),
                // A price of zero is no price: then GPUs are compared.
                Objective::GoodputPerDollar if usd > 0.0 => usd,
                Objective::GoodputPerDollar => f64::from(candidate.system.gpus),
            };
            let bound = bound::rate(&candidate.system, trace, &study.slo, study.attainment);
            Entry { index, candidate, units, bound }
        };
        let mut all: Vec<&Candidate> = self.plan.candidates.iter().collect();
        for candidate in choices.iter().filter_map(|c| c.candidate.as_ref()) {
            if all.iter().all(|known| known.name != candidate.name) {
                all.push(candidate);
            }
        }
        all.into_iter().enumerate().collect::<Vec<_>>().into_par_iter().map(entry).collect()
    }

    /// Short trials for all, the largest bound first, in rounds; who goes on.
    fn short(&self, entries: &[Entry<'_>], found: &mut [Planned]) -> Result<Vec<usize>, Failure> {
        let stage = &STAGES[0];
        let mut order: Vec<&Entry<'_>> = entries.iter().collect();
        order.sort_by(|a, b| (b.bound / b.units).total_cmp(&(a.bound / a.units)).then(a.index.cmp(&b.index)));
        self.progress.phase("short trials", order.len());
        let mut best = 0.0_f64;
        for round in order.chunks(ROUND) {
            let reaches = |e: &&&Entry<'_>| e.bound > 0.0 && e.bound * bound::SLACK / e.units >= best * REACH;
            let tried: Vec<&Entry<'_>> = round.iter().filter(reaches).copied().collect();
            (0..round.len() - tried.len()).for_each(|_| self.progress.step());
            for (entry, finding) in self.try_all(stage, &tried, |e| start(e, 0.3 * e.bound))? {
                best = best.max(finding.mean() / entry.units);
                found[entry.index].record(finding);
            }
        }
        Ok(keep(stage, entries, found))
    }

    /// One stage for those that are left; who goes on.
    fn pass(
        &self,
        stage: &Stage,
        left: &[usize],
        entries: &[Entry<'_>],
        found: &mut [Planned],
    ) -> Result<Vec<usize>, Failure> {
        let tried: Vec<&Entry<'_>> = left.iter().map(|&i| &entries[i]).collect();
        self.progress.phase(stage.stage.name(), tried.len());
        let before: Vec<f64> = found.iter().map(|p| p.findings.last().map_or(0.0, Finding::mean)).collect();
        for (entry, finding) in self.try_all(stage, &tried, |e| start(e, before[e.index]))? {
            found[entry.index].record(finding);
        }
        Ok(keep(stage, entries, found))
    }

    /// The capacities of some deployments in one stage, in their order.
    fn try_all<'e>(
        &self,
        stage: &Stage,
        tried: &[&'e Entry<'e>],
        start: impl Fn(&Entry<'_>) -> f64 + Sync,
    ) -> Result<Vec<(&'e Entry<'e>, Finding)>, Failure> {
        let one = |entry: &&'e Entry<'e>| {
            let grid = SearchGrid { start: start(entry), step: stage.search.0, precision: stage.search.1 };
            let finding = self.finding(stage, entry, grid)?;
            self.progress.step();
            Ok((*entry, finding))
        };
        tried.par_iter().map(one).collect()
    }

    /// What a stage finds of a deployment, now or before.
    fn finding(&self, stage: &Stage, entry: &Entry<'_>, grid: SearchGrid) -> Result<Finding, Failure> {
        let study = self.study();
        let asked = study.capacity.as_ref().map_or_else(TrialRule::default, |c| c.rule);
        let seeds = stage.seeds.unwrap_or(usize::MAX).min(self.prepared.len());
        // So few requests never fill it: the bound is all that is known.
        let ceiling = if entry.bound.is_finite() { entry.bound } else { grid.start };
        self.measured(&Ask {
            stage: stage.stage,
            system: &entry.candidate.system,
            slo: &study.slo,
            traces: self.prepared[..seeds].iter().map(|p| &p.trace).collect(),
            requests: &self.requests,
            rule: stage.rule.unwrap_or(asked),
            grid,
            ceiling: stage.rule.is_some().then_some(ceiling),
        })
    }

    /// The capacities of a system by seed, now or before.
    fn measured(&self, ask: &Ask<'_>) -> Result<Finding, Failure> {
        let (study, &Ask { system, slo, rule, grid, .. }) = (self.study(), ask);
        let key =
            fingerprint::of_trials(study, (system, slo), (ask.requests, ask.traces.len()), (rule, grid));
        if let Some(found) = self.store.find(&key) {
            return Ok(found);
        }
        let search = Search { plan: study, slo, rule, grid, options: self.options };
        let of_seed = |(seed, trace): (usize, &&Trace)| {
            let trace = Seeded { trace, seed: seed as u64 + 1 };
            match (search.of_seed(system, trace), ask.ceiling) {
                (Err(NoSeedCapacity::AlwaysMet), Some(rate)) => {
                    Ok(SeedCapacity { rate, trials: Vec::new(), short: true })
                }
                (other, _) => other.map_err(|e| crate::scenario::capacity::failure(study, system, e)),
            }
        };
        let found = ask.traces.par_iter().enumerate().map(of_seed);
        let finding = finding(ask.stage, &found.collect::<Result<Vec<SeedCapacity>, Failure>>()?);
        self.store.keep(&key, &finding);
        Ok(finding)
    }
}
