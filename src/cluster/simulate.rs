//! The entry points: a trace through a deployment.

use crate::cost::StepCost;
use crate::engine::config::{ClusterConfig, ReplicaConfig};
use crate::engine::{StepObserver, Violation};
use crate::ids::ReplicaId;
use crate::metrics::record::Outcome;
use crate::policy::scheduler::{Scheduler, SchedulerConfig};
use crate::workload::Trace;

use super::api::{Deployment, RunOptions};
use super::ideal;
use super::run::{Build, Run};

/// Runs a trace through a deployment of equal replicas. Pure: no I/O, no clock, and the router's draws have seed 0.
///
/// # Errors
/// A [`Violation`] where a policy broke its contract or an invariant failed: our bug, never the user's input.
pub fn simulate(
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    simulate_deployment(&Deployment::uniform(config, cost), trace, options, observer)
}

/// As [`simulate`], for replicas that need not be equal and with a seed for the router's draws.
///
/// # Errors
/// As [`simulate`].
pub fn simulate_deployment(
    deployment: &Deployment<'_>,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    if matches!(deployment.groups[0].replica.scheduler, SchedulerConfig::Ideal(_)) {
        return Ok(ideal::run(deployment, trace, options.deadlines));
    }
    let build =
        |_, config: &ReplicaConfig| config.scheduler.build().expect("only `ideal` runs without replicas");
    carry_out(&build, deployment, trace, options, observer)
}

/// As [`simulate`], but every replica is planned by the scheduler that `build` makes for it: a policy outside the crate
/// (`examples/my_scheduler.rs`). `config.replica.scheduler` is not read.
///
/// # Errors
/// A [`Violation`] where the policy broke the contract of [`Scheduler`], or an invariant failed: then our bug.
pub fn simulate_with(
    build: &dyn Fn(ReplicaId) -> Box<dyn Scheduler>,
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    let build = |id, _: &ReplicaConfig| build(id);
    carry_out(&build, &Deployment::uniform(config, cost), trace, options, observer)
}

fn carry_out(
    build: Build<'_>,
    deployment: &Deployment<'_>,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    Run::new(build, deployment, trace, *options).finish(observer)
}
