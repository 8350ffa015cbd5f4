//! Runs what the claims need: capacities and single runs, each system and seed once, in parallel.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use crate::cluster::RunOptions;
use crate::diagnostic::{InputError, InputErrors};
use crate::metrics::slo::Slo;
use crate::metrics::{Summary, measure};
use crate::scenario::capacity::{NoSeedCapacity, SeedCapacity, Seeded, of_seed, run_at};
use crate::scenario::execute::{Failure, Progress};
use crate::scenario::load::NoCapacity;
use crate::scenario::single::{measure_context, simulate_run};
use crate::scenario::{Axis, StudyPlan, SystemPlan};
use crate::units::{Seconds, SimDuration};
use crate::workload::Trace;

use super::claim::ClaimResult;
use super::plan::{Mode, PaperPlan, is_capacity};
use super::schema::LowLoad;

/// What a claim needs of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Its capacity.
    Capacity,
    /// One run at the experiment's rate.
    Run,
}

/// One measurement: run, experiment, system, what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Which engines.
    pub mode: Mode,
    /// Position of the experiment.
    pub experiment: usize,
    /// Position of the system in it.
    pub system: usize,
    /// Capacity or run.
    pub need: Need,
}

/// What was measured with one seed.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// A capacity, and the limits it was searched under.
    Capacity(SeedCapacity, Box<Slo>),
    /// The numbers of one run.
    Run(Box<Summary>),
}

/// All measurements by key; the list is by seed.
pub type Measurements = BTreeMap<Key, Vec<Measured>>;

/// A paper that was run.
#[derive(Clone)]
pub struct PaperResult {
    /// What was run.
    pub plan: PaperPlan,
    /// All that was measured.
    pub measured: Measurements,
    /// Every claim, judged.
    pub claims: Vec<ClaimResult>,
}

impl PaperResult {
    /// Claims whose recorded good verdict was lost: their names with both verdicts.
    pub fn lost(&self) -> Vec<String> {
        self.claims.iter().filter_map(ClaimResult::lost).collect()
    }
}

/// Runs a paper on the threads of the current rayon pool.
///
/// # Errors
/// Wrong input that only shows with the requests, or an invariant that broke.
pub fn reproduce(plan: &PaperPlan, progress: &dyn Progress) -> Result<PaperResult, Failure> {
    let traces = traces(plan, progress)?;
    let keys = needed(plan);
    let jobs: Vec<(Key, usize)> =
        keys.iter().flat_map(|&key| (0..traces[key.experiment].len()).map(move |seed| (key, seed))).collect();
    progress.phase(&format!("{}: runs", plan.name), jobs.len());
    let results = jobs
        .par_iter()
        .map(|&(key, seed)| {
            let result =
                one(plan, key, Seeded { trace: &traces[key.experiment][seed], seed: seed as u64 + 1 });
            progress.step();
            result.map(|measured| (key, measured))
        })
        .collect::<Result<Vec<(Key, Measured)>, Failure>>()?;
    let mut measured = Measurements::new();
    for (key, result) in results {
        measured.entry(key).or_default().push(result);
    }
    known_classes(plan, &measured)?;
    let claims = super::claim::judge_all(plan, &measured);
    Ok(PaperResult { plan: plan.clone(), measured, claims })
}

/// Every class that a claim is about has requests.
fn known_classes(plan: &PaperPlan, measured: &Measurements) -> Result<(), InputErrors> {
    for (claim, experiment) in &plan.claims {
        let Some(class) = &claim.class else { continue };
        let runs = measured.iter().filter(|(k, _)| k.experiment == *experiment).flat_map(|(_, runs)| runs);
        let classes = runs.filter_map(|m| match m {
            Measured::Run(summary) => Some(&summary.classes),
            Measured::Capacity(..) => None,
        });
        if !classes.flatten().any(|c| c.class == *class) {
            let message = format!("no request is of class `{class}`");
            let help = "name a level of `workload.priorities` or another class of the requests";
            return Err(InputError::named(format!("claim.{}.class", claim.name), message, help).into());
        }
    }
    Ok(())
}

/// The requests of every experiment and seed; those of both runs are the same.
fn traces(plan: &PaperPlan, progress: &dyn Progress) -> Result<Vec<Vec<Trace>>, InputErrors> {
    progress.phase(&format!("{}: requests", plan.name), plan.experiments.len());
    let of_experiment = |study: &StudyPlan| {
        let workload = study.workload.open(&study.sources)?;
        let one = |seed: u64| workload.prepare(seed, Some(study.longest_context())).map(|p| p.trace);
        (1..=u64::from(plan.seeds)).map(one).collect::<Result<Vec<Trace>, InputErrors>>()
    };
    let one = |e: &super::plan::Experiment| {
        let traces = of_experiment(e.plan(Mode::Mechanism));
        progress.step();
        traces
    };
    plan.experiments.par_iter().map(one).collect()
}

/// Every measurement that some claim needs. The as-published run of a system is that of the mechanism where engine
/// and limits are the same.
fn needed(plan: &PaperPlan) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    for (claim, experiment) in plan.claims.iter().filter(|(c, _)| !c.test.is_about_claims()) {
        for name in claim.test.systems() {
            for mode in Mode::ALL {
                let system = plan.experiments[*experiment].system(name);
                keys.extend(
                    system.map(|system| key(plan, mode, *experiment, system, claim.metric.as_deref())),
                );
            }
        }
    }
    keys
}

/// The measurement behind a metric of a system.
pub fn key(plan: &PaperPlan, mode: Mode, experiment: usize, system: usize, metric: Option<&str>) -> Key {
    let need = if is_capacity(metric) { Need::Capacity } else { Need::Run };
    let of = |mode: Mode| plan.experiments[experiment].plan(mode);
    let (ours, theirs) = (of(Mode::Mechanism), of(Mode::AsPublished));
    let same = ours.systems[system].spec.engine.name == theirs.systems[system].spec.engine.name
        && (need == Need::Run || ours.slo == theirs.slo);
    Key { mode: if same { Mode::Mechanism } else { mode }, experiment, system, need }
}

fn one(plan: &PaperPlan, key: Key, trace: Seeded<'_>) -> Result<Measured, Failure> {
    let experiment = &plan.experiments[key.experiment];
    let study = experiment.plan(key.mode);
    let system = &study.systems[key.system];
    let run = || format!("paper `{}`, experiment `{}`, system `{}`", plan.name, experiment.name, system.name);
    let broken = |violation| Failure::Violation { run: run(), violation };
    if key.need == Need::Run {
        let rate = match &study.axis {
            Axis::Rates(rates) => rates.first().copied(),
            _ => None,
        };
        let options = RunOptions { samples: study.timeline_samples, ..RunOptions::default() };
        let outcome = simulate_run(system, trace.trace, &options, trace.seed).map_err(broken)?;
        return Ok(Measured::Run(Box::new(measure(
            &outcome,
            trace.trace,
            &measure_context(study, system, rate),
        ))));
    }
    let slo = match experiment.low_load {
        Some(low) => own_limit(study, system, trace, low).map_err(|e| no_capacity(e, &run()))?,
        None => study.slo,
    };
    match of_seed(study, system, trace, &slo, plan.rule) {
        Ok(capacity) => Ok(Measured::Capacity(capacity, Box::new(slo))),
        Err(NoSeedCapacity::Violation(violation)) => Err(broken(violation)),
        Err(NoSeedCapacity::Input(errors)) => Err(Failure::Input(errors)),
        Err(NoSeedCapacity::AlwaysMet) => Err(no_capacity(NoCapacity::AlwaysMet, &run())),
    }
}

/// The limits with one replaced by a multiple of what this system takes at a low rate.
fn own_limit(
    study: &StudyPlan,
    system: &SystemPlan,
    trace: Seeded<'_>,
    low: LowLoad,
) -> Result<Slo, NoCapacity> {
    let limit = low.limit.limit();
    let requests = trace.trace.len().min(low.requests as usize);
    let summary = run_at(study, system, trace, &study.slo, requests, low.rate)?;
    let value = limit.column().and_then(|column| summary.get(column));
    let own = value.map(|v| SimDuration::from_seconds(Seconds(v * low.times)));
    Ok(study.slo.with(limit, own))
}

fn no_capacity(error: NoCapacity, run: &str) -> Failure {
    let message = match error {
        NoCapacity::Violation(violation) => return Failure::Violation { run: run.to_owned(), violation },
        NoCapacity::Input(errors) => return Failure::Input(errors),
        NoCapacity::AlwaysMet => "keeps up with every rate, so it has no capacity",
        NoCapacity::NeverMet => "has no low-load latency",
    };
    let help = "compare real systems, with more requests";
    Failure::Input(InputError::named(run, message, help).into())
}
