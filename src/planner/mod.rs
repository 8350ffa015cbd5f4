//! `windtunnel plan`: which deployment serves most within the limits, per accelerator or per dollar.
//!
//! The search is the capacity search of `src/scenario/capacity.rs`, three times with ever longer trials ([`STAGES`]):
//! short ones for all deployments, longer ones for those near the best, and trials by the whole rule for the last few,
//! among whom the ranking is made. Short trials mislead (with 300 requests a deployment that later loses 30 % looks like
//! a winner), so what is kept after them is wide. Before each round of short trials, deployments whose datasheet bound
//! (`src/planner/bound.rs`) cannot reach the best found are dropped and counted.
//!
//! Rounds have a fixed size and order, and a round only knows what the rounds before it found: so threads change nothing.

mod bound;
mod fingerprint;
mod launch;
mod passes;
mod rank;

use rayon::prelude::*;

use crate::cluster::RunOptions;
use crate::metrics::Estimate;
use crate::results::{
    CapacityCell, CapacityTable, Fate, Finding, PlanDetail, PlanStage, Planned, Ranked, Study, Warning,
};
use crate::scenario::StudyPlan;
use crate::scenario::capacity::{NoSeedCapacity, Search, SeedCapacity, Seeded, TrialRule};
use crate::scenario::capacity_study::{check_open, check_rates, few_seeds};
use crate::scenario::deployments::{Candidate, DeploymentPlan, Objective};
use crate::scenario::execute::{Executed, Failure, Progress, prepare};
use crate::scenario::load::SearchGrid;
use crate::workload::Prepared;

use passes::{finding, funnel, keep, planned, start};

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
    let entries = planner.entries();
    let mut found: Vec<Planned> = entries.iter().map(|e| planned(e)).collect();
    let mut left = planner.short(&entries, &mut found)?;
    for stage in &STAGES[1..] {
        left = planner.pass(stage, &left, &entries, &mut found)?;
    }
    planner.conclude(&entries, &left, found)
}

impl<'a> Planner<'a> {
    fn study(&self) -> &'a StudyPlan {
        &self.plan.study
    }

    /// All deployments with their bounds.
    fn entries(&self) -> Vec<Entry<'a>> {
        let (study, trace) = (self.study(), &self.prepared[0].trace);
        let entry = |(index, candidate): (usize, &'a Candidate)| {
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
        let all: Vec<(usize, &'a Candidate)> = self.plan.candidates.iter().enumerate().collect();
        all.into_par_iter().map(entry).collect()
    }

    /// Short trials for all, the largest bound first, in rounds; who goes on.
    fn short(&self, entries: &[Entry<'a>], found: &mut [Planned]) -> Result<Vec<usize>, Failure> {
        let stage = &STAGES[0];
        let mut order: Vec<&Entry<'a>> = entries.iter().collect();
        order.sort_by(|a, b| (b.bound / b.units).total_cmp(&(a.bound / a.units)).then(a.index.cmp(&b.index)));
        self.progress.phase("short trials", order.len());
        let mut best = 0.0_f64;
        for round in order.chunks(ROUND) {
            let reaches = |e: &&&Entry<'a>| e.bound > 0.0 && e.bound * bound::SLACK / e.units >= best * REACH;
            let tried: Vec<&Entry<'a>> = round.iter().filter(reaches).copied().collect();
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
        entries: &[Entry<'a>],
        found: &mut [Planned],
    ) -> Result<Vec<usize>, Failure> {
        let tried: Vec<&Entry<'a>> = left.iter().map(|&i| &entries[i]).collect();
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
        tried: &[&'e Entry<'a>],
        start: impl Fn(&Entry<'a>) -> f64 + Sync,
    ) -> Result<Vec<(&'e Entry<'a>, Finding)>, Failure> {
        let one = |entry: &&'e Entry<'a>| {
            let grid = SearchGrid { start: start(entry), step: stage.search.0, precision: stage.search.1 };
            let finding = self.finding(stage, entry, grid)?;
            self.progress.step();
            Ok((*entry, finding))
        };
        tried.par_iter().map(one).collect()
    }

    /// What a stage finds of a deployment, now or before.
    fn finding(&self, stage: &Stage, entry: &Entry<'a>, grid: SearchGrid) -> Result<Finding, Failure> {
        let study = self.study();
        let asked = study.capacity.as_ref().map_or_else(TrialRule::default, |c| c.rule);
        let rule = stage.rule.unwrap_or(asked);
        let seeds = stage.seeds.unwrap_or(usize::MAX).min(self.prepared.len());
        let system = &entry.candidate.system;
        let key = fingerprint::of_trials(study, system, (&self.requests, seeds), (rule, grid));
        if let Some(found) = self.store.find(&key) {
            return Ok(found);
        }
        let search = Search { plan: study, slo: &study.slo, rule, grid, options: self.options };
        let of_seed = |(seed, prepared): (usize, &Prepared)| {
            let trace = Seeded { trace: &prepared.trace, seed: seed as u64 + 1 };
            match search.of_seed(system, trace) {
                // So few requests never fill it: the bound is all that is known.
                Err(NoSeedCapacity::AlwaysMet) if stage.rule.is_some() => Ok(SeedCapacity {
                    rate: if entry.bound.is_finite() { entry.bound } else { grid.start },
                    trials: Vec::new(),
                    short: true,
                }),
                other => other.map_err(|e| crate::scenario::capacity::failure(study, system, e)),
            }
        };
        let found = self.prepared[..seeds].par_iter().enumerate().map(|(i, p)| of_seed((i, p)));
        let finding = finding(stage.stage, &found.collect::<Result<Vec<SeedCapacity>, Failure>>()?);
        self.store.keep(&key, &finding);
        Ok(finding)
    }

    /// The ranking among those that were left to the end.
    fn conclude(
        &self,
        entries: &[Entry<'a>],
        left: &[usize],
        mut found: Vec<Planned>,
    ) -> Result<(Study, PlanDetail), Failure> {
        let last = |i: usize| found[i].findings.last().map_or(Vec::new(), |f| f.rates.clone());
        let values: Vec<Vec<f64>> =
            left.iter().map(|&i| last(i).iter().map(|rate| rate / entries[i].units).collect()).collect();
        let sure = bootstrap(&values);
        let mut ranked: Vec<Ranked> = left
            .iter()
            .zip(values.iter().zip(&sure))
            .filter_map(|(&i, (values, sure))| {
                let value = Estimate::of(values.iter().copied())?;
                Some(Ranked { deployment: i, value, best: sure.best, regret: sure.regret })
            })
            .collect();
        ranked.sort_by(|a, b| b.value.mean.total_cmp(&a.value.mean).then(a.deployment.cmp(&b.deployment)));
        ranked.iter().for_each(|r| found[r.deployment].fate = Fate::Ranked);
        let funnel = funnel(&found, self.plan.refused.len());
        let refused = self.plan.refused.iter().map(|r| (r.name.clone(), r.reason.clone())).collect();
        let winner = ranked.first().map(|r| entries[r.deployment].candidate);
        let launch = winner.map_or_else(Vec::new, |c| launch::launch(&c.system, &c.pools));
        let study = self.study_of(&ranked, &found);
        let detail = PlanDetail {
            objective: match self.plan.objective {
                Objective::GoodputPerGpu => "goodput-per-gpu".to_owned(),
                Objective::GoodputPerDollar => "goodput-per-dollar".to_owned(),
            },
            unit: match self.plan.objective {
                Objective::GoodputPerGpu => "req/s per GPU".to_owned(),
                Objective::GoodputPerDollar => "requests per $".to_owned(),
            },
            base: self.plan.base.clone(),
            gpus: self.plan.gpus,
            funnel,
            ranked,
            deployments: found,
            refused,
            launch,
        };
        Ok((study, detail))
    }

    /// The finalists as a study without runs, for what is shown of any study.
    fn study_of(&self, ranked: &[Ranked], found: &[Planned]) -> Study {
        let mut plan = self.study().clone();
        plan.systems = ranked.iter().map(|r| self.plan.candidates[r.deployment].system.clone()).collect();
        let prepared: Vec<Prepared> = self.prepared.to_vec();
        if plan.systems.is_empty() {
            // Nothing was left: the reference still says what was deployed.
            plan.systems = self.plan.candidates.iter().take(1).map(|c| c.system.clone()).collect();
        }
        let asked = plan.capacity.as_ref().map_or_else(TrialRule::default, |c| c.rule);
        let cell = |(system, r): (usize, &Ranked)| {
            let finding = found[r.deployment].findings.last();
            let by_seed = finding.map_or_else(Vec::new, |f| f.rates.clone());
            let short = finding.map_or(0, |f| f.short);
            CapacityCell { system, point: 0, value: Estimate::of(by_seed.iter().copied()), by_seed, short }
        };
        let cells: Vec<CapacityCell> = ranked.iter().enumerate().map(cell).collect();
        let short: u32 = cells.iter().map(|c| c.short).sum();
        let table =
            CapacityTable { requests: asked.requests, spans: asked.spans, cells, ..CapacityTable::default() };
        let executed = Executed::of_capacities(prepared, table);
        // What is worth saying of the winner alone: that knobs differ is the point of a search.
        let winner = StudyPlan { systems: plan.systems[..1].to_vec(), ..plan.clone() };
        let warnings = executed.clone().into_study(&winner).warnings;
        let mut study = executed.into_study(&plan);
        study.warnings = warnings;
        study.warnings.extend(few_seeds(&plan, self.prepared.len()));
        study.warnings.extend((short > 0).then(|| Warning::Note {
            message: format!(
                "{short} of the last trials are shorter than the rule asks, because the workload ends"
            ),
            advice: "use more requests (`--set workload.requests=…`)".to_owned(),
        }));
        study
    }
}
