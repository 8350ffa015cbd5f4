//! How fast the parts of the simulator are, in seconds of this machine: `cargo bench --bench parts` (`benches/README.md`).

mod inputs;

use std::fs;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use windtunnel::cluster::{RunOptions, simulate, simulate_deployment};
use windtunnel::cost::{Chunk, Roofline};
use windtunnel::metrics::Records;
use windtunnel::metrics::quantile::{Quantiles, quantile};
use windtunnel::policy::router::RouterConfig;
use windtunnel::rng::stream;
use windtunnel::units::SimTime;
use windtunnel::workload::{ReadOptions, TracePass, read_trace_bytes};

use inputs::CALLS;

/// Rows of the log that is read.
const ROWS: u32 = 100_000;

/// Requests whose records are written and read.
const RECORDS: u32 = 100_000;

/// A sample whose quantiles are asked for.
const VALUES: u32 = 1_000_000;

/// Requests of a run under each scheduler.
const REQUESTS: u32 = 2_000;

/// Requests that wait for a saturated replica.
const WAITING: u32 = 8_192;

/// Arrivals that are routed.
const ARRIVALS: u32 = 10_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    kernel(&mut criterion);
    cost(&mut criterion);
    leaps(&mut criterion);
    traces(&mut criterion);
    records(&mut criterion);
    quantiles(&mut criterion);
    schedulers(&mut criterion);
    saturated(&mut criterion);
    routers(&mut criterion);
    criterion.final_summary();
}

/// Pop and push with so many events pending.
fn kernel(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event queue: pop and push");
    group.throughput(Throughput::Elements(CALLS.into()));
    for pending in [8, 128, 2_048, 32_768] {
        let mut queue = inputs::queue(pending);
        group.bench_function(format!("{pending} pending"), |b| b.iter(|| inputs::hold(&mut queue)));
    }
    group.finish();
}

/// Times of steps. Linear work is remembered up to 8,192 tokens a step.
fn cost(criterion: &mut Criterion) {
    let (spec, cost) = (inputs::spec(), inputs::roofline());
    let mut group = criterion.benchmark_group("cost");
    group.bench_function("Roofline::new", |b| b.iter(|| Roofline::new(black_box(&spec))));
    group.throughput(Throughput::Elements(CALLS.into()));
    group.bench_function("decode_segment", |b| b.iter(|| inputs::segments(black_box(&cost))));
    let chunk = |tokens| Chunk { tokens, past: 100 };
    let with = [
        ("step: decodes only", vec![]),
        ("step: decodes and a chunk of 512", vec![chunk(512)]),
        ("step: decodes and 16 chunks of 32", vec![chunk(32); 16]),
        ("step: decodes and a chunk of 16,384, too long to be remembered", vec![chunk(16_384)]),
    ];
    for (name, chunks) in with {
        group.bench_function(name, |b| b.iter(|| inputs::steps(black_box(&cost), &chunks)));
    }
    group.finish();
}

/// 64 sequences of one prompt each that decode 1,000 to 8,875 tokens: steps a second, with and without leaps.
fn leaps(criterion: &mut Criterion) {
    let cost = inputs::roofline();
    let config = inputs::deployment(1, 64, RouterConfig::default());
    let trace = inputs::trace((0..64).map(|i| (SimTime::ZERO, 16, 1_000 + 125 * i)));
    let mut group = criterion.benchmark_group("decode steps of 64 sequences");
    group.sample_size(20);
    for (name, stepwise) in [("in leaps", false), ("one by one", true)] {
        let options = RunOptions { stepwise, ..RunOptions::default() };
        let run = || simulate(&config, &cost, &trace, &options, &mut ()).expect("no violation");
        group.throughput(Throughput::Elements(run().counters.steps));
        group.bench_function(name, |b| b.iter(run));
    }
    group.finish();
}

/// Bytes a second of a log in BurstGPT's format: into rows, and into statistics without keeping rows.
fn traces(criterion: &mut Criterion) {
    let text = inputs::burstgpt(ROWS).into_bytes();
    let folder = tempfile::tempdir().expect("a folder for the log");
    let file = folder.path().join("log.csv");
    fs::write(&file, &text).expect("room for the log");
    let options = ReadOptions::default();
    let mut group = criterion.benchmark_group("trace of 100,000 rows");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("read BurstGPT CSV from memory", |b| {
        let read = |bytes| read_trace_bytes("log.csv", bytes, &options).expect("a good log");
        b.iter_batched(|| text.clone(), read, BatchSize::LargeInput);
    });
    group.bench_function("statistics of a BurstGPT CSV file", |b| {
        b.iter(|| TracePass::read(&file, &options).expect("a good log").stats());
    });
    group.finish();
}

/// Records by column. `write` takes fresh memory and gives it back, as a run does.
fn records(criterion: &mut Criterion) {
    let rows = inputs::records(RECORDS);
    let mut group = criterion.benchmark_group("records of 100,000 requests");
    group.sample_size(20);
    group.throughput(Throughput::Elements(RECORDS.into()));
    group.bench_function("write", |b| b.iter(|| rows.iter().copied().collect::<Records>()));
    let records: Records = rows.iter().copied().collect();
    group.bench_function("sum of one column", |b| {
        b.iter(|| black_box(&records).iter().map(|r| r.finish.as_ps()).sum::<u64>());
    });
    group.bench_function("sum of E2E", |b| {
        b.iter(|| black_box(&records).iter().map(|r| r.e2e().as_ps()).sum::<u64>());
    });
    group.finish();
}

/// Quantiles of a million latencies; `sort` is what they would cost if the sample were sorted first.
fn quantiles(criterion: &mut Criterion) {
    let values = inputs::latencies(VALUES);
    let mut group = criterion.benchmark_group("quantiles of 1,000,000 values");
    group.sample_size(20);
    group.throughput(Throughput::Elements(VALUES.into()));
    let copy = || values.clone();
    group.bench_function("P99", |b| {
        b.iter_batched_ref(copy, |v| quantile(v, 0.99), BatchSize::LargeInput);
    });
    group.bench_function("mean, P50, P90, P99, maximum", |b| {
        b.iter_batched_ref(copy, |v| Quantiles::of(v), BatchSize::LargeInput);
    });
    group.bench_function("sort", |b| {
        b.iter_batched_ref(copy, |v| v.sort_unstable_by(f64::total_cmp), BatchSize::LargeInput);
    });
    group.finish();
}

/// Whole runs: requests a second under each scheduler, one replica, Poisson arrivals at 2 req/s.
fn schedulers(criterion: &mut Criterion) {
    let (plan, trace) = inputs::every_scheduler(REQUESTS);
    let mut group = criterion.benchmark_group("simulate 2,000 requests");
    group.sample_size(20);
    group.throughput(Throughput::Elements(REQUESTS.into()));
    for system in &plan.systems {
        let deployment = system.deployment(1);
        let run = || simulate_deployment(&deployment, &trace, &RunOptions::default(), &mut ());
        let name = format!("{} ({})", system.name, system.cluster.replica.scheduler.key());
        group.bench_function(name, |b| b.iter(|| run().expect("no violation")));
    }
    group.finish();
}

/// Events a second of a replica that always has this many sequences. An event may cost O(log sequences), no more.
fn saturated(criterion: &mut Criterion) {
    let cost = inputs::roofline();
    let mut group = criterion.benchmark_group("completion events of a saturated replica");
    group.sample_size(20);
    for sequences in [8, 32, 128, 512, 2_048] {
        let config = inputs::deployment(1, sequences, RouterConfig::default());
        let trace = inputs::saturating(WAITING, sequences);
        let run = || simulate(&config, &cost, &trace, &RunOptions::default(), &mut ()).expect("no violation");
        group.throughput(Throughput::Elements(run().counters.events));
        group.bench_function(format!("{sequences} sequences"), |b| b.iter(run));
    }
    group.finish();
}

/// Arrivals a second over 64 replicas, with all that a short request costs besides. `round-robin` and `random` read no
/// load, `power-of-two` two, the others all.
fn routers(criterion: &mut Criterion) {
    let cost = inputs::roofline();
    let mut draws = stream(1, "benches/arrivals", 0, 0);
    let mut at = 0.0;
    let arrivals = (0..ARRIVALS).map(|_| {
        at += draws.exponential(1e9);
        (SimTime::from_ps(at as u64), 100, 20)
    });
    let trace = inputs::trace(arrivals);
    let mut group = criterion.benchmark_group("arrivals at 64 replicas");
    group.sample_size(20);
    group.throughput(Throughput::Elements(ARRIVALS.into()));
    for router in RouterConfig::all() {
        let name = router.key();
        let config = inputs::deployment(64, 256, router);
        let run = || simulate(&config, &cost, &trace, &RunOptions::default(), &mut ());
        group.bench_function(name, |b| b.iter(|| run().expect("no violation")));
    }
    group.finish();
}
