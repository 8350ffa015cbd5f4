//! How many instructions the parts of the simulator take: `cargo bench --features instructions --bench instructions`.
//!
//! The numbers are those of valgrind's model of a processor and the same on every run of one binary, so that one run before
//! and one after a change tell whether it costs anything. What is needed and how: `benches/README.md`.

#![expect(missing_docs, clippy::exit, reason = "what the macros of gungraun make")]

mod inputs;

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use windtunnel::cluster::{Outcome, RunOptions, simulate, simulate_deployment};
use windtunnel::cost::{Chunk, Roofline};
use windtunnel::engine::config::ClusterConfig;
use windtunnel::kernel::EventQueue;
use windtunnel::metrics::Records;
use windtunnel::metrics::quantile::Quantiles;
use windtunnel::metrics::record::RequestRecord;
use windtunnel::policy::router::RouterConfig;
use windtunnel::scenario::SystemPlan;
use windtunnel::workload::{ReadOptions, Rows, Trace, read_trace_bytes};

#[library_benchmark]
#[bench::pending_128(inputs::queue(128))]
#[bench::pending_32768(inputs::queue(32_768))]
fn a_thousand_events_popped_and_pushed(mut queue: EventQueue<u32>) -> EventQueue<u32> {
    inputs::hold(&mut queue);
    queue
}

/// A model that knows all that it can remember of these steps.
fn warm() -> Roofline {
    let cost = inputs::roofline();
    black_box(inputs::steps(&cost, &[]) + inputs::steps(&cost, &CHUNK) + inputs::segments(&cost));
    cost
}

const CHUNK: [Chunk; 1] = [Chunk { tokens: 512, past: 100 }];

#[library_benchmark]
#[bench::remembered(warm())]
fn a_thousand_straight_lines(cost: Roofline) -> (u64, Roofline) {
    (inputs::segments(&cost), cost)
}

#[library_benchmark]
#[bench::remembered(warm())]
fn a_thousand_mixed_steps(cost: Roofline) -> (u64, Roofline) {
    (inputs::steps(&cost, &CHUNK), cost)
}

#[library_benchmark]
#[bench::rows_2000(inputs::burstgpt(2_000).into_bytes())]
fn a_burstgpt_log_read(bytes: Vec<u8>) -> Rows {
    read_trace_bytes("log.csv", bytes, &ReadOptions::default()).expect("a good log")
}

#[library_benchmark]
#[bench::requests_4096(inputs::records(4_096))]
fn records_written(rows: Vec<RequestRecord>) -> (Records, Vec<RequestRecord>) {
    (rows.iter().copied().collect(), rows)
}

#[library_benchmark]
#[bench::requests_4096(inputs::records(4_096).into_iter().collect())]
fn one_column_summed(records: Records) -> (u64, Records) {
    (records.iter().map(|r| r.finish.as_ps()).sum(), records)
}

#[library_benchmark]
#[bench::values_100000(inputs::latencies(100_000))]
fn mean_and_four_quantiles(mut values: Vec<f64>) -> (Quantiles, Vec<f64>) {
    (Quantiles::of(&mut values), values)
}

/// A system of the bench scenario and 500 requests for it.
fn system(name: &str) -> (SystemPlan, Trace) {
    let (plan, trace) = inputs::every_scheduler(500);
    let system = plan.systems.into_iter().find(|s| s.name == name).expect("a system of the scenario");
    (system, trace)
}

#[library_benchmark]
#[bench::static_fastertransformer(system("fastertransformer"))]
#[bench::iteration_orca(system("orca"))]
#[bench::prefill_first_vllm_0_2(system("vllm-0.2"))]
#[bench::chunked_sarathi(system("sarathi-serve"))]
#[bench::unified_vllm_v1(system("vllm-v1"))]
#[bench::clairvoyant(system("clairvoyant"))]
#[bench::ideal(system("ideal"))]
fn a_run_of_500_requests((system, trace): (SystemPlan, Trace)) -> Outcome {
    let options = RunOptions::default();
    simulate_deployment(&system.deployment(1), &trace, &options, &mut ()).expect("no violation")
}

/// A replica that always has so many sequences, and 1,024 requests for it.
fn full(sequences: u32) -> (ClusterConfig, Roofline, Trace) {
    let config = inputs::deployment(1, sequences, RouterConfig::default());
    (config, warm(), inputs::saturating(1_024, sequences))
}

#[library_benchmark]
#[bench::sequences_8(full(8))]
#[bench::sequences_32(full(32))]
#[bench::sequences_128(full(128))]
#[bench::sequences_512(full(512))]
fn a_saturated_replica((config, cost, trace): (ClusterConfig, Roofline, Trace)) -> Outcome {
    simulate(&config, &cost, &trace, &RunOptions::default(), &mut ()).expect("no violation")
}

library_benchmark_group!(
    name = parts,
    benchmarks = [
        a_thousand_events_popped_and_pushed,
        a_thousand_straight_lines,
        a_thousand_mixed_steps,
        a_burstgpt_log_read,
        records_written,
        one_column_summed,
        mean_and_four_quantiles
    ]
);

library_benchmark_group!(name = runs, benchmarks = [a_run_of_500_requests, a_saturated_replica]);

main!(library_benchmark_groups = [parts, runs]);
