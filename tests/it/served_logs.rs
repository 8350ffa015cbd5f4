//! Two logs of a real vLLM 0.19 server, replayed under `unified` with that engine's settings.
//!
//! Both are overload bursts: queueing is 98–99.5 % of TTFT, so they test the drain of a queue, not light load.

use std::path::Path;

use windtunnel::cluster::{Outcome, RunOptions, simulate};
use windtunnel::cost::{CostSpec, EngineProfile, MemoryRequest, Roofline, kv_blocks};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::hardware::Accelerator;
use windtunnel::ids::ClassId;
use windtunnel::model::Model;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{SchedulerConfig, Unified};
use windtunnel::units::{Seconds, SimDuration, SimTime};
use windtunnel::workload::{Request, Trace};

use crate::shared_data::shared;

/// One served request: arrival in seconds, tokens, and what the client measured in milliseconds.
struct Served {
    arrival_s: f64,
    prompt: u32,
    output: u32,
    ttft_ms: f64,
    tpot_ms: f64,
    e2e_ms: f64,
}

fn read(path: &Path) -> Vec<Served> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let number = |row: &csv::StringRecord, i: usize| row[i].parse::<f64>().unwrap();
    let served = |row: csv::StringRecord| Served {
        arrival_s: number(&row, 1),
        prompt: row[2].parse().unwrap(),
        output: row[3].parse().unwrap(),
        ttft_ms: number(&row, 5),
        tpot_ms: number(&row, 6),
        e2e_ms: number(&row, 7),
    };
    reader.records().map(|row| served(row.unwrap())).collect()
}

/// The parts of V1's rule that the two independent sketches of the RTX 4090 log left out.
#[derive(Clone, Copy)]
enum Rule {
    /// As in vLLM 0.19: prefix cache, full-prompt gate, stops seen one step late.
    Exact,
    /// On-demand blocks and preemption by recompute only.
    Sketch,
}

fn replay(log: &[Served], accelerator: &str, max_sequences: u32, blocks: Option<u32>, rule: Rule) -> Outcome {
    let exact = matches!(rule, Rule::Exact);
    let accelerator = Accelerator::load(accelerator, None).unwrap();
    let model = Model::load("llama-3.1-8b", None).unwrap();
    let engine = EngineProfile::load("vllm-0.19-plain", None).unwrap();
    let late_stop = exact && engine.late_stop;
    let spec = CostSpec::new(accelerator, model, engine);
    let limits = windtunnel::cost::Limits { token_budget: 2048, max_sequences };
    let request = MemoryRequest { utilization: None, limits, kv_blocks: blocks };
    let blocks = kv_blocks(&spec, &request).unwrap().blocks;
    let unified = Unified { max_sequences, reserve_full_prompt: exact, ..Unified::default() };
    let config = ClusterConfig {
        replica: ReplicaConfig {
            scheduler: SchedulerConfig::Unified(unified),
            kv: KvConfig {
                block: 16,
                blocks: blocks - 1,
                allocation: Allocation::Paged { watermark: 0 },
                preemption: Preemption::Recompute,
                prefix_cache: exact,
            },
            max_model_len: 131_072,
            late_stop,
            order: Order::Fcfs,
            host_cache: 0,
        },
        replicas: 1,
        router: RouterConfig::default(),
        front_end: FrontEnd::NONE,
    };
    let row = |s: &Served| Request {
        arrival: SimTime::ZERO + SimDuration::from_seconds(Seconds(s.arrival_s)),
        prompt: s.prompt,
        output: s.output,
        max_tokens: s.output,
        class: ClassId(0),
    };
    let trace =
        Trace { requests: log.iter().map(row).collect(), classes: vec!["all".into()], ..Trace::default() };
    let cost = Roofline::new(&spec).unwrap();
    simulate(&config, &cost, &trace, &RunOptions { audit: true, ..RunOptions::default() }, &mut ()).unwrap()
}

/// Mean and P99 (type 7).
fn mean_p99(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let at = 0.99 * (values.len() - 1) as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    (mean, values[low] * (1.0 - part) + values[(low + 1).min(values.len() - 1)] * part)
}

/// Simulated ÷ measured − 1 of mean and P99.
fn error(simulated: Vec<f64>, measured: Vec<f64>) -> (f64, f64) {
    let (s, m) = (mean_p99(simulated), mean_p99(measured));
    (s.0 / m.0 - 1.0, s.1 / m.1 - 1.0)
}

fn check(name: &str, log: &[Served], outcome: &Outcome) {
    let records = &outcome.records;
    let ms = |d: SimDuration| d.as_ms_f64();
    let ttft = error(records.iter().map(|r| ms(r.ttft())).collect(), log.iter().map(|s| s.ttft_ms).collect());
    let tpot_ms = records.iter().filter_map(|r| r.tpot()).map(|s| s * 1e3).collect();
    let tpot = error(tpot_ms, log.iter().filter(|s| s.output > 1).map(|s| s.tpot_ms).collect());
    let e2e = error(records.iter().map(|r| ms(r.e2e())).collect(), log.iter().map(|s| s.e2e_ms).collect());
    println!("{name}: preemptions {}", outcome.counters.preemptions);
    for (metric, (mean, p99), band) in [("TTFT", ttft, 0.10), ("TPOT", tpot, 0.05), ("E2E", e2e, 0.05)] {
        println!("{name}: {metric} mean {:+.1} %, P99 {:+.1} %", 100.0 * mean, 100.0 * p99);
        assert!(mean.abs() <= band, "{name}: mean {metric} is off by {mean:+.3}");
        assert!(p99.abs() <= 0.10, "{name}: P99 {metric} is off by {p99:+.3}");
    }
}

#[test]
fn rtx_4090_log_with_a_full_kv_cache() {
    let Some(path) = shared("groundtruth/endtoend_lss_vllm0.19_rtx4090_llama-3.1-8b.csv") else { return };
    let log = read(&path);
    let outcome = replay(&log, "rtx-4090", 256, Some(2588), Rule::Exact);
    check("RTX 4090", &log, &outcome);
    // The log does not record its preemptions. Two sketches of the rule counted 244; they had neither the prefix
    // cache, nor the full-prompt gate, nor late stops, which together save about a fifth of them.
    let sketch = replay(&log, "rtx-4090", 256, Some(2588), Rule::Sketch);
    check("RTX 4090, sketch", &log, &sketch);
    let preemptions = sketch.counters.preemptions as f64;
    assert!((preemptions / 244.0 - 1.0).abs() < 0.05, "{preemptions} preemptions; two sketches counted 244");
}

#[test]
fn rtx_pro_6000_log() {
    let Some(path) = shared("groundtruth/endtoend_lss_vllm0.19_rtxpro6000_llama-3.1-8b.csv") else { return };
    let log = read(&path);
    check("RTX PRO 6000", &log, &replay(&log, "rtx-pro-6000", 128, None, Rule::Exact));
}
