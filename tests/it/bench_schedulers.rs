//! What a request costs the simulator, by counters, for every scheduler: the regression gate of its speed. The numbers are
//! the same on every machine, so that a lost horizon shows here and not as a slower clock.

use std::path::Path;

use windtunnel::cluster::{Outcome, RunOptions, simulate_deployment};
use windtunnel::scenario::{Flags, StudyPlan, SystemPlan, Target};
use windtunnel::workload::{PrepareContext, Trace};

use crate::cost::report;

/// A benchmark scenario, with `sets` written over it.
pub fn plan_of(file: &str, sets: &[&str]) -> StudyPlan {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bench").join(file);
    let sets = sets.iter().map(|s| (*s).to_owned()).collect();
    let plan = StudyPlan::resolve(&Target::File(file), &Flags { sets, seeds: None });
    plan.unwrap_or_else(|errors| panic!("{errors}"))
}

/// Its requests.
pub fn trace_of(plan: &StudyPlan) -> Trace {
    let max_model_len = Some(plan.systems.iter().map(|s| s.cluster.replica.max_model_len).max().unwrap());
    let context = PrepareContext { seed: 1, max_model_len, ..PrepareContext::default() };
    plan.workload.spec.prepare(&context).expect("a workload").trace
}

/// The outcome of every system of a benchmark scenario, by name.
fn outcomes(file: &str, sets: &[&str]) -> Vec<(String, Outcome)> {
    let plan = plan_of(file, sets);
    let trace = trace_of(&plan);
    let run = |system: &SystemPlan| {
        let outcome = simulate_deployment(&system.deployment(1), &trace, &RunOptions::default(), &mut ());
        (system.name.clone(), outcome.expect("no violation"))
    };
    plan.systems.iter().map(run).collect()
}

/// The simulator's own work per request: completion events, plans, cost look-ups, heap pushes; and steps per event.
fn work((name, outcome): &(String, Outcome)) -> [f64; 5] {
    let c = &outcome.counters;
    let per_request = |count: u64| count as f64 / outcome.records.len() as f64;
    let numbers = [
        per_request(c.events),
        per_request(c.plans),
        per_request(c.cost_lookups),
        per_request(c.heap_pushes),
        c.steps as f64 / c.events as f64,
    ];
    let [events, plans, lookups, pushes, steps] = numbers;
    report(format_args!(
        "{name}: a request is {events:.2} events, {plans:.2} plans, {lookups:.2} cost look-ups, {pushes:.2} heap pushes; \
         {steps:.1} steps an event; {} preemptions",
        c.preemptions
    ));
    numbers
}

/// Per request events, plans, look-ups and pushes, and steps per event, as measured when they were written. A twentieth
/// worse fails.
const LIMITS: [(&str, [f64; 5]); 11] = [
    ("fastertransformer", [2.99, 2.99, 2.99, 5.65, 113.5]),
    ("orca", [1.99, 1.99, 2.98, 4.0, 46.6]),
    ("vllm-0.2", [2.92, 2.92, 2.92, 5.88, 24.8]),
    ("vllm-0.2-swap", [2.92, 2.92, 2.92, 5.88, 24.8]),
    ("sarathi-serve", [2.92, 2.92, 3.91, 5.89, 24.8]),
    ("fastgen", [3.13, 3.13, 4.32, 6.1, 23.1]),
    ("vllm-v1", [2.9, 2.9, 3.87, 5.87, 24.9]),
    ("clairvoyant", [2.9, 2.9, 3.87, 5.87, 24.9]),
    // No plan, no queue: a prefill and a stretch of decode steps.
    ("ideal", [2.0, 0.0, 0.0, 0.0, 138.2]),
    ("alternating", [3.91, 3.91, 3.91, 6.87, 18.5]),
    // A pipeline with several batches in flight takes its steps one by one: stages are a recurrence of maxima, which has
    // no closed form (docs/semantics.md).
    ("pipelined-orca", [129.6, 129.6, 259.2, 535.7, 1.0]),
];

#[test]
fn no_scheduler_costs_more_events_than_it_did() {
    let mut worse = Vec::new();
    for (outcome, (name, limits)) in outcomes("schedulers.toml", &[]).iter().zip(LIMITS) {
        assert_eq!(outcome.0, name);
        let found = work(outcome);
        let too_many = found.iter().zip(limits).take(4).any(|(found, limit)| *found > 1.05 * limit);
        if too_many || found[4] < limits[4] / 1.05 {
            worse.push(format!("(\"{name}\", {found:.2?}), was {limits:?}"));
        }
    }
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}

/// Memory full, up to 512 sequences: a step that preempts is an event, all others are leapt over as far as blocks last.
#[test]
fn a_full_memory_costs_few_events() {
    for outcome in outcomes("saturated.toml", &["workload.requests=5000"]) {
        let [events, .., steps] = work(&outcome);
        assert!(outcome.1.counters.preemptions > 100, "{} preemptions", outcome.1.counters.preemptions);
        assert!(events < 4.0 && steps > 1.0, "{events:.2} events a request, {steps:.2} steps an event");
    }
}

/// Bursts: what comes together is planned together, so that a request costs fewer events than one that comes alone.
#[test]
fn a_bursty_day_costs_three_events_a_request_at_most() {
    for outcome in outcomes("twin-61-days.toml", &["workload.requests=50000"]) {
        let [events, .., steps] = work(&outcome);
        assert!(events < 3.0 && steps > 5.0, "{events:.2} events a request, {steps:.2} steps an event");
    }
}
