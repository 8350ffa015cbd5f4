//! Carrying out a study: requests per seed, loads into rates, all runs in parallel, results in a fixed order.

use rayon::prelude::*;

use crate::cluster::Violation;
use crate::diagnostic::{InputError, InputErrors, Sources};
use crate::metrics::slo::Limit;
use crate::policy::order::Order;
use crate::policy::router::RouterConfig;
use crate::results::{CapacityTable, PointInfo, RunResult, Sensitivity};
use crate::units::SimDuration;
use crate::workload::{Prepared, RequestRate, Trace};

use super::load::{self, Capacity, NoCapacity};
use super::plan::{Axis, StudyPlan, SystemPlan};
use super::runs::{RunStore, RunsOf, Shard};
use super::sensitivity::sensitivity;

/// How a study is carried out; none of it changes a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// One event per step.
    pub stepwise: bool,
    /// Check the invariants at every event.
    pub audit: bool,
    /// Keep the record of every request.
    pub keep_requests: bool,
}

/// Hears how far a study is.
pub trait Progress: Sync {
    /// A phase of `steps` steps begins.
    fn phase(&self, name: &str, steps: usize);
    /// One step of the phase is done.
    fn step(&self);
}

/// Nobody listens.
impl Progress for () {
    fn phase(&self, _name: &str, _steps: usize) {}
    fn step(&self) {}
}

/// Why a study has no result.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The input is wrong.
    Input(InputErrors),
    /// We are wrong: which run, and what was found.
    Violation {
        /// System, point and seed.
        run: String,
        /// What was found.
        violation: Violation,
    },
}

impl From<InputErrors> for Failure {
    fn from(errors: InputErrors) -> Self {
        Failure::Input(errors)
    }
}

/// A study that was carried out.
#[derive(Clone, Debug)]
pub struct Executed {
    /// Points, in the order of the axis.
    pub points: Vec<PointInfo>,
    /// Runs, in the order of [`StudyPlan::runs`].
    pub runs: Vec<RunResult>,
    /// The requests of each seed, before any rate was set.
    pub prepared: Vec<Prepared>,
    /// The capacity that loads refer to.
    pub capacity: Option<Capacity>,
    /// How the capacity of the reference depends on constants, when the scenario asks for it.
    pub sensitivity: Option<Sensitivity>,
    /// What `[capacity]` asked for.
    pub capacities: Option<CapacityTable>,
}

impl Executed {
    /// Capacities that were searched without any run of the study itself.
    pub fn of_capacities(prepared: Vec<Prepared>, table: CapacityTable) -> Executed {
        Executed {
            points: Vec::new(),
            runs: Vec::new(),
            prepared,
            capacity: None,
            sensitivity: None,
            capacities: Some(table),
        }
    }

    /// What the loads mean in requests per second; none without loads.
    pub fn capacity_text(&self, plan: &StudyPlan) -> Option<String> {
        let capacity = self.capacity.as_ref()?;
        let per_request = Limit::PER_REQUEST.iter().any(|&l| plan.slo.get(l).is_some());
        let goal = if plan.slo.is_empty() {
            "the highest stable rate".to_owned()
        } else if !per_request {
            "the SLO is met".to_owned()
        } else {
            format!("{:.0} % of the requests meet the SLO", plan.attainment * 100.0)
        };
        let loads =
            self.points.iter().filter_map(|p| Some(format!("{} = {:.3} req/s", p.label, p.rate_per_s?)));
        let loads: Vec<String> = loads.collect();
        Some(format!(
            "capacity of `{}`: {:.3} req/s ({goal}; {} trials); {}",
            plan.systems[plan.reference].name,
            capacity.rate.as_per_second(),
            capacity.trials.len(),
            loads.join(", ")
        ))
    }
}

/// The requests of each seed, checked; one entry if all seeds have the same.
pub fn prepare(plan: &StudyPlan, progress: &dyn Progress) -> Result<Vec<Prepared>, Failure> {
    prepare_from(plan, 1, progress)
}

/// The same for seeds that begin with `first`.
fn prepare_from(plan: &StudyPlan, first: u64, progress: &dyn Progress) -> Result<Vec<Prepared>, Failure> {
    let context = plan.longest_context();
    progress.phase("requests", plan.seeds as usize);
    let workload = plan.workload.open(&plan.sources)?;
    let mut prepared = (first..first + u64::from(plan.seeds))
        .into_par_iter()
        .map(|seed| {
            let prepared = workload.prepare(seed, Some(context));
            progress.step();
            prepared.map_err(|errors| plan.workload.placed(errors, &plan.sources))
        })
        .collect::<Result<Vec<Prepared>, InputErrors>>()?;
    // What was read of files is in the requests now.
    drop(workload);
    check_trace(plan, &prepared[0].trace)?;
    // A real trace has nothing to draw: the same requests again would make intervals of zero width.
    let draws = plan.systems.iter().any(|s| s.cluster.router.draws());
    if !draws && prepared.iter().all(|p| p.trace == prepared[0].trace) {
        prepared.truncate(1);
    }
    Ok(prepared)
}

/// Carries out all runs of a study on the threads of the current rayon pool.
pub fn execute(plan: &StudyPlan, options: Options, progress: &dyn Progress) -> Result<Executed, Failure> {
    execute_with(plan, options, &(), progress)
}

/// As [`execute`]; runs that `store` has are not made again.
pub fn execute_with(
    plan: &StudyPlan,
    options: Options,
    store: &dyn RunStore,
    progress: &dyn Progress,
) -> Result<Executed, Failure> {
    let prepared = prepare(plan, progress)?;
    let (rates, capacity) = rates(plan, &prepared, progress)?;
    let all = RunsOf { plan, prepared: &prepared, first_seed: 1, rates: &rates, shard: Shard::ALL, options };
    let runs = all.make(store, progress)?;
    let sensitivity = sensitivity_of(plan, &prepared, capacity.as_ref(), progress)?;
    let natural = prepared[0].trace.mean_rate().map(RequestRate::as_per_second);
    let capacities = super::capacity::of_study(plan, &prepared, progress)?;
    Ok(Executed { points: points(plan, &rates, natural), runs, prepared, capacity, sensitivity, capacities })
}

/// What is known before the runs of a study are made again.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// The first seed; as many as the scenario says.
    pub first_seed: u64,
    /// The rate of each point, where they are not to be found anew.
    pub rates: Option<&'a [Option<RequestRate>]>,
}

/// The runs of a study and nothing else that it asks for.
pub fn runs_given(
    plan: &StudyPlan,
    given: Given<'_>,
    options: Options,
    progress: &dyn Progress,
) -> Result<Executed, Failure> {
    let prepared = prepare_from(plan, given.first_seed, progress)?;
    let (rates, capacity) = match given.rates {
        Some(rates) => (rates.to_vec(), None),
        None => rates(plan, &prepared, progress)?,
    };
    let first_seed = given.first_seed;
    let all = RunsOf { plan, prepared: &prepared, first_seed, rates: &rates, shard: Shard::ALL, options };
    let runs = all.make(&(), progress)?;
    let natural = prepared[0].trace.mean_rate().map(RequestRate::as_per_second);
    let points = points(plan, &rates, natural);
    Ok(Executed { points, runs, prepared, capacity, sensitivity: None, capacities: None })
}

/// The runs of one shard, which `store` keeps. Returns how many they are.
pub fn execute_shard(
    plan: &StudyPlan,
    shard: Shard,
    options: Options,
    store: &dyn RunStore,
    progress: &dyn Progress,
) -> Result<usize, Failure> {
    let prepared = prepare(plan, progress)?;
    let (rates, _) = rates(plan, &prepared, progress)?;
    let part = RunsOf { plan, prepared: &prepared, first_seed: 1, rates: &rates, shard, options };
    Ok(part.make(store, progress)?.len())
}

/// What `[sensitivity]` asks for, from the capacity that the loads needed anyway, else from one that is searched here.
fn sensitivity_of(
    plan: &StudyPlan,
    prepared: &[Prepared],
    capacity: Option<&Capacity>,
    progress: &dyn Progress,
) -> Result<Option<Sensitivity>, Failure> {
    let Some(asked) = &plan.sensitivity else { return Ok(None) };
    let start = match capacity {
        Some(found) => Ok(found.rate),
        None => load::capacity(plan, &plan.systems[plan.reference], prepared).map(|found| found.rate),
    };
    let found = start.and_then(|rate| sensitivity(plan, asked, prepared, rate, progress));
    found.map(Some).map_err(|e| no_capacity(plan, e))
}

/// The rate of each point; none: as the workload says.
type Rates = (Vec<Option<RequestRate>>, Option<Capacity>);

fn rates(plan: &StudyPlan, prepared: &[Prepared], progress: &dyn Progress) -> Result<Rates, Failure> {
    match &plan.axis {
        Axis::Natural => Ok((vec![None], None)),
        Axis::Rates(rates) => Ok((rates.iter().copied().map(Some).collect(), None)),
        Axis::Loads(loads) => {
            progress.phase("capacity of the reference", 1);
            let found = load::capacity(plan, &plan.systems[plan.reference], prepared)
                .map_err(|e| no_capacity(plan, e))?;
            progress.step();
            let capacity = found.rate.as_per_second();
            let rates = loads.iter().map(|load| RequestRate::per_second(load * capacity)).collect();
            Ok((rates, Some(found)))
        }
    }
}

fn no_capacity(plan: &StudyPlan, error: NoCapacity) -> Failure {
    let reference = &plan.systems[plan.reference].name;
    let place = format!("{}: [workload] load", plan.name);
    let (message, help) = match error {
        NoCapacity::Violation(violation) => {
            let run = format!("scenario `{}`, capacity of `{reference}`", plan.name);
            return Failure::Violation { run, violation };
        }
        NoCapacity::Input(errors) => return Failure::Input(errors),
        NoCapacity::NeverMet => (
            format!("reference system `{reference}` misses `[slo]` at every rate, so it has no capacity"),
            "relax `[slo]`, choose a faster deployment, or give `rate` instead of `load`",
        ),
        NoCapacity::AlwaysMet => (
            format!("reference system `{reference}` keeps up with every rate, so it has no capacity"),
            "choose a real system as `reference`, use more requests, or give `rate` instead of `load`",
        ),
    };
    Failure::Input(InputError::named(place, message, help).into())
}

/// What can only be checked once the requests are known.
fn check_trace(plan: &StudyPlan, trace: &Trace) -> Result<(), InputErrors> {
    let mut errors = InputErrors::default();
    if trace.closed.is_some() && plan.axis != Axis::Natural {
        errors.0.push(InputError::named(
            format!("{}: [workload]", plan.name),
            "a closed loop has no arrival rate, so `load` and `rate` mean nothing",
            "remove `load` or `rate`, or the closed loop",
        ));
    }
    for system in &plan.systems {
        errors.0.extend(needs(system, trace, &plan.sources));
        let admission = system.cluster.front_end.admission;
        let turns_away = admission.max_outstanding.is_some() || admission.max_queue.is_some();
        if turns_away && trace.closed.is_some_and(|closed| closed.think == SimDuration::ZERO) {
            let message = format!(
                "system `{}` turns requests away, and clients that do not think ask again in the same instant: the requests \
                 would be used up by it",
                system.name
            );
            let help = "give the clients a `think` time, or remove the admission limit";
            errors.0.push(plan.workload.error("closed", message, help, &plan.sources));
        }
        let kv = system.cluster.replica.kv;
        let Some(prefixes) = trace.prefixes.as_ref().filter(|p| kv.prefix_cache && p.tokens_per_id > 0)
        else {
            continue;
        };
        if !prefixes.tokens_per_id.is_multiple_of(kv.block) {
            errors.0.push(InputError::named(
                format!("systems.{}.kv.paged.block", system.name),
                format!(
                    "blocks of {} tokens do not divide the {} tokens of a prefix id",
                    kv.block, prefixes.tokens_per_id
                ),
                "choose a block size that divides it, such as 16",
            ));
        }
    }
    errors.or(())
}

/// What a router or an order needs of the requests, and they do not have.
fn needs(system: &SystemPlan, trace: &Trace, sources: &Sources) -> Option<InputError> {
    let no_deadline = trace.priorities.iter().all(|p| p.deadline.is_none());
    let (router, order) = system.places.clone();
    let (place, lacks, help) = match (&system.cluster.router, system.cluster.replica.order) {
        (RouterConfig::Session(_), _) if trace.sessions.is_none() => (
            router,
            "`router.session`, but the requests have no sessions",
            "use a trace with sessions, or another router",
        ),
        (RouterConfig::PrefixAffinity(_), _) if trace.prefixes.is_none() => (
            router,
            "`router.prefix-affinity`, but the requests have no prefix ids",
            "use a trace with prefix ids, or another router",
        ),
        (RouterConfig::CacheAware(_), _) if trace.prefixes.is_none() => (
            router,
            "`router.cache-aware`, but the requests have no prefix ids",
            "use a trace with prefix ids, or another router",
        ),
        (RouterConfig::Conductor(_), _) if trace.prefixes.is_none() => (
            router,
            "`router.conductor`, but the requests have no prefix ids",
            "use a trace with prefix ids, or another router",
        ),
        (_, Order::Priority) if trace.priorities.is_empty() => (
            order,
            "`order = \"priority\"`, but the requests have no priorities",
            "add `workload.priorities`",
        ),
        (_, Order::EarliestDeadline) if no_deadline => (
            order,
            "`order = \"edf\"`, but no request has a deadline",
            "add `workload.priorities` with a `deadline`",
        ),
        _ => return None,
    };
    Some(sources.error(place, format!("system `{}` has {lacks}", system.name), help))
}

/// The labels of a study's points, in the order of the axis.
pub fn point_labels(plan: &StudyPlan) -> Vec<String> {
    let none = vec![None; plan.axis.len()];
    points(plan, &none, None).into_iter().map(|point| point.label).collect()
}

fn points(plan: &StudyPlan, rates: &[Option<RequestRate>], natural: Option<f64>) -> Vec<PointInfo> {
    let rate = |i: usize| rates[i].map(RequestRate::as_per_second);
    match &plan.axis {
        Axis::Natural => {
            vec![PointInfo { label: "natural rate".to_owned(), load: None, rate_per_s: natural }]
        }
        Axis::Rates(list) => list
            .iter()
            .enumerate()
            .map(|(i, r)| PointInfo { label: format!("rate {r}"), load: None, rate_per_s: rate(i) })
            .collect(),
        Axis::Loads(loads) => loads
            .iter()
            .enumerate()
            .map(|(i, load)| PointInfo {
                label: format!("load {load}"),
                load: Some(*load),
                rate_per_s: rate(i),
            })
            .collect(),
    }
}
