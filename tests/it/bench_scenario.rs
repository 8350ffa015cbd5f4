//! The benchmark of the simulator itself, by counters instead of seconds: they are the same on every machine.

use std::path::Path;

use windtunnel::cluster::{Outcome, RunOptions, simulate};
use windtunnel::scenario::{Flags, StudyPlan, Target};
use windtunnel::workload::PrepareContext;

use crate::cost::report;

/// What changes about the benchmark.
#[derive(Clone, Copy, Default)]
struct Change {
    requests: Option<u32>,
    /// Finished requests leave at once.
    no_late_stop: bool,
}

fn run(change: Change) -> (Outcome, f64) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bench/poisson-100k.toml");
    let sets = change.requests.map(|n| format!("workload.requests={n}")).into_iter().collect();
    let plan = StudyPlan::resolve(&Target::File(file), &Flags { sets, seeds: None });
    let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((plan.systems.len(), plan.seeds), (1, 1), "the benchmark is one run");
    let mut system = plan.systems[0].clone();
    assert!(system.cluster.replica.late_stop, "its engine learns of a stop one step late");
    system.cluster.replica.late_stop = !change.no_late_stop;
    let max_model_len = Some(system.cluster.replica.max_model_len);
    let context = PrepareContext { seed: 1, max_model_len, ..PrepareContext::default() };
    let trace = plan.workload.spec.prepare(&context).expect("a workload").trace;
    let options = RunOptions { samples: plan.timeline_samples, ..RunOptions::default() };
    let outcome = simulate(&system.cluster, &*system.cost, &trace, &options, &mut ()).expect("no violation");
    (outcome, trace.len() as f64)
}

/// Completion events a request and steps an event.
fn measured(name: &str, (outcome, requests): &(Outcome, f64)) -> (f64, f64) {
    let c = outcome.counters;
    let (events, plans, arrivals) = (c.events as f64, c.plans as f64, c.arrivals as f64);
    report(format_args!(
        "{name}: {:.3} completion events, {:.3} plans, {:.3} arrivals a request; {} steps ({} with chunks), {:.2} an \
         event; {} preemptions; {:.0} s simulated",
        events / requests,
        plans / requests,
        arrivals / requests,
        c.steps,
        c.prefill_steps + c.mixed_steps,
        c.steps as f64 / events,
        c.preemptions,
        outcome.end.as_secs_f64()
    ));
    assert_eq!((*requests, arrivals), (100_000.0, 100_000.0), "{name}");
    // Every event is planned once; the first plan has no event, the last event no plan.
    assert!((plans - events).abs() <= 1.0, "{name}: {plans} plans, {events} events");
    (events / requests, c.steps as f64 / events)
}

/// The goals were at most 3.0 completion events a request and more than 5 steps an event. NEITHER IS MET: measured were
/// 3.065 and 2.60 when this was written. The bounds below only keep that from getting worse.
///
/// The second goal cannot be met by this scenario: it has 7.97 steps a request, so it asks for at most 1.59 events a
/// request, but 1.08 steps a request have chunks (an event each), and a leap ends before and after each of them, and at
/// each finish. The first would be met without the late stop, which adds 0.65 events a request; see the next test.
#[test]
fn events_of_the_benchmark_do_not_grow() {
    let (events, steps) = measured("poisson-100k", &run(Change::default()));
    assert!(events <= 3.07, "{events:.3} completion events a request");
    assert!(steps >= 2.59, "{steps:.2} steps an event");
}

/// What the late stop costs: the same run with requests that leave at once.
#[test]
fn the_late_stop_is_what_exceeds_three_events() {
    let change = Change { no_late_stop: true, ..Change::default() };
    let (events, steps) = measured("poisson-100k without late stop", &run(change));
    assert!(events <= 2.43, "{events:.3} completion events a request");
    assert!(steps >= 3.29, "{steps:.2} steps an event");
}

/// Ten times the requests, ten times the events: nothing grows with the length of the run.
#[test]
fn events_grow_with_requests() {
    let per_request = [2_000u32, 20_000].map(|n| {
        let (outcome, requests) = run(Change { requests: Some(n), ..Change::default() });
        outcome.counters.events as f64 / requests
    });
    assert!((per_request[0] / per_request[1] - 1.0).abs() < 0.05, "{per_request:?}");
}
