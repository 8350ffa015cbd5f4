//! No allocation per step or event in steady state: twice the requests cost only the memory of their records.

use allocation_counter::measure;
use windtunnel::cluster::{RunOptions, simulate_deployment};

use crate::bench_schedulers::{plan_of, trace_of};
use crate::cost::report;

/// Allocations of a run of the first `requests` requests of every system, and its events.
fn allocations(file: &str, requests: u32) -> Vec<(String, u64, u64)> {
    let plan = plan_of(file, &[&format!("workload.requests={requests}")]);
    let trace = trace_of(&plan);
    let run = |system: &windtunnel::scenario::SystemPlan| {
        let deployment = system.deployment(1);
        let mut events = 0;
        let found = measure(|| {
            let outcome = simulate_deployment(&deployment, &trace, &RunOptions::default(), &mut ());
            events = outcome.expect("no violation").counters.events;
        });
        (system.name.clone(), found.count_total, events)
    };
    plan.systems.iter().map(run).collect()
}

/// A chunk of records is 1,024 rows: itself, a dozen rare columns, and what queues and histograms grow by.
#[test]
fn a_longer_run_allocates_only_for_its_records() {
    let mut worse = Vec::new();
    for file in ["schedulers.toml", "saturated.toml"] {
        let (short, long) = (allocations(file, 4_000), allocations(file, 8_000));
        for ((name, few, before), (_, many, after)) in short.into_iter().zip(long) {
            let (more, events) = (many.saturating_sub(few), after - before);
            report(format_args!("{file} {name}: {few} allocations, {more} more in {events} more events"));
            if more > 4 * 20 + 40 {
                worse.push(format!("{file} {name}: {more} allocations in {events} events"));
            }
        }
    }
    assert!(worse.is_empty(), "{}", worse.join("\n"));
}
