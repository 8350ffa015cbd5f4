//! A run is a pure function of its input (I11), and a leap is its steps (I9): down to every counter, gap and sample,
//! and down to every byte that the command line writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use windtunnel::cluster::{Outcome, RunOptions};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, Preemption};
use windtunnel::metrics::record::RunCounters;
use windtunnel::policy::router::{LeastLoad, RouterConfig};
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimDuration;
use windtunnel::workload::{Closed, Trace};

use crate::theory::{LinearCost, MS, deployment, geometric, observed, poisson, redraw};

const COST: LinearCost = LinearCost {
    fixed: 8 * MS,
    per_sequence: MS / 50,
    per_token: MS / 25,
    per_context: MS / 20_000,
    per_swapped_block: MS / 5,
};

/// Every scheduler, on memory with and without pressure, with late stops, swaps, stale reports and a front end.
fn configs() -> Vec<ClusterConfig> {
    let mut configs = Vec::new();
    for (i, scheduler) in (0u32..).zip(SchedulerConfig::all().into_iter().cycle()).take(28) {
        let mut config = deployment(scheduler);
        let kv = &mut config.replica.kv;
        kv.blocks = [70, 300, 100, 4000][i as usize / 7];
        kv.allocation = Allocation::Paged { watermark: i % 3 };
        if i % 2 == 0 {
            kv.preemption = Preemption::Swap { host_blocks: 60 };
        }
        config.replica.late_stop = i / 7 == 2;
        config.replicas = if i < 14 { 1 } else { 2 };
        let staleness = SimDuration::from_ms(u64::from(i / 14) * 90);
        config.router = RouterConfig::LeastTokens(LeastLoad { staleness, ..LeastLoad::default() });
        config.front_end = FrontEnd { per_request: SimDuration::from_us(300), ..FrontEnd::NONE };
        configs.push(config);
    }
    configs
}

fn crowd(seed: u64, closed: bool) -> Trace {
    let mut trace = poisson(14.0, 1, 700, seed);
    redraw(&mut trace, seed, geometric(70.0));
    for (i, r) in trace.requests.iter_mut().enumerate() {
        r.prompt = 1 + (i as u32 * 6_151) % 350;
        r.output = r.output.min(500);
        r.max_tokens = 500;
    }
    trace.closed = closed.then_some(Closed { clients: 17, think: SimDuration::from_ms(40) });
    trace
}

/// Counters that leaps may not change: all but those of the simulator's own work.
fn of_steps(counters: RunCounters) -> RunCounters {
    RunCounters { events: 0, plans: 0, cost_lookups: 0, heap_pushes: 0, ..counters }
}

#[track_caller]
fn assert_same(name: &str, a: &Outcome, b: &Outcome, counters: impl Fn(RunCounters) -> RunCounters) {
    for (x, y) in a.records.iter().zip(&b.records) {
        assert_eq!(x, y, "{name}");
    }
    assert_eq!(counters(a.counters), counters(b.counters), "{name}");
    assert!(a.gaps == b.gaps, "{name}: other gaps");
    for (x, y) in a.samples.iter().zip(&b.samples) {
        assert_eq!(x, y, "{name}");
    }
    assert_eq!((a.end, a.samples.len()), (b.end, b.samples.len()), "{name}");
}

#[test]
fn the_same_run_twice_is_the_same_outcome() {
    for (i, config) in (0u64..).zip(configs()) {
        let trace = crowd(i, i % 4 == 3);
        let options = RunOptions { samples: 300, ..RunOptions::default() };
        let [a, b] = [0, 1].map(|_| observed(&config, &COST, &trace, &options, &mut ()));
        assert_same(&format!("{:?}", config.replica), &a, &b, |c| c);
    }
}

#[test]
fn leaps_change_no_counter_no_gap_and_no_sample() {
    for (i, config) in (0u64..).zip(configs()) {
        let trace = crowd(i, i % 4 == 3);
        let [leaps, steps] = [false, true].map(|stepwise| {
            let options = RunOptions { stepwise, audit: stepwise, samples: 300, deadlines: None };
            observed(&config, &COST, &trace, &options, &mut ())
        });
        assert_same(&format!("{:?}", config.replica), &leaps, &steps, of_steps);
    }
}

const SCENARIO: &str = r#"
title = "Two schedulers on a log beside the scenario"
seeds = 2

[workload]
trace = "log.csv"
rate = ["3 req/s", "9 req/s"]

[deployment]
model = "llama-3.1-8b"
accelerator = "h100-sxm"
kv-blocks = 1500
max-model-len = 4096

[systems]
reference = "vllm-v1"
compare = ["vllm-v1", "sarathi-serve"]
"#;

/// A folder with the scenario and a log of 150 requests whose coarse clock is spread by the seed.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut log = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n".to_owned();
    for i in 0..150u32 {
        let (prompt, output) = (1 + i * 977 % 1900, 1 + i * 613 % 500);
        let row = format!("{},ChatGPT,{prompt},{output},{},Conversation log\n", i / 3, prompt + output);
        log.push_str(&row);
    }
    fs::write(folder.path().join("log.csv"), log).expect("writable");
    fs::write(folder.path().join("study.toml"), SCENARIO).expect("writable");
    fs::create_dir(folder.path().join("elsewhere")).expect("writable");
    folder
}

/// Every file below a folder but `timing.json`.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("timing.json") {
                let name =
                    path.strip_prefix(folder).expect("below the folder").to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

#[test]
fn folder_threads_and_stepping_change_no_byte() {
    let run = |here: &str, scenario: &str, extra: &[&str]| {
        let folder = folder();
        let mut command = Command::cargo_bin("windtunnel").expect("the binary");
        let out = folder.path().join("out");
        command.current_dir(folder.path().join(here)).env_clear().arg("run").arg(scenario);
        command.args(["--requests", "--quiet", "--out"]).arg(&out).args(extra).assert().code(0);
        files(&out)
    };
    let one = run(".", "study.toml", &["--jobs", "1"]);
    assert!(one.len() >= 4 && one.keys().any(|name| name.ends_with("manifest.json")), "{:?}", one.keys());
    for (here, scenario, extra) in [
        (".", "study.toml", &["--jobs", "2"][..]),
        (".", "study.toml", &["--jobs", "1", "--stepwise"]),
        ("elsewhere", "../study.toml", &["--jobs", "1"]),
        ("elsewhere", "../study.toml", &["--jobs", "2"]),
        ("elsewhere", "../study.toml", &["--jobs", "2", "--stepwise", "--audit"]),
    ] {
        let other = run(here, scenario, extra);
        assert!(one.keys().eq(other.keys()), "{here} {extra:?} writes other files");
        for (name, bytes) in &one {
            assert!(
                other[name] == *bytes,
                "{here} {extra:?} changes {name}:\n{}",
                difference(bytes, &other[name])
            );
        }
    }
}

/// The first lines that differ.
fn difference(a: &[u8], b: &[u8]) -> String {
    let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
    let pair = a.lines().zip(b.lines()).find(|(x, y)| x != y);
    pair.map_or_else(|| "one is longer".to_owned(), |(x, y)| format!("- {x}\n+ {y}"))
}
