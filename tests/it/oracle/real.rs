//! The first thousand rows of a real log, squeezed in time so that they queue.

use std::io::Write as _;
use std::path::PathBuf;

use windtunnel::cluster::{Deployment, RunOptions};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::ids::ClassId;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{LeastLoad, RouterConfig};
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimTime;
use windtunnel::workload::{Request, Trace};

use super::compare::assert_equal;
use super::cost::{Host, TestCost};
use super::engine::engine_run;
use super::request::DEADLINES;
use super::sim::run;

const LOG: &str = "traces/burstgpt/burstgpt1_gpt4_conversation_days00-29.csv";

/// Where third-party logs are kept.
fn shared() -> PathBuf {
    std::env::var_os("WINDTUNNEL_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
}

/// Says in `target/skipped.txt` that a test had no data.
fn skip(what: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/skipped.txt");
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("target exists");
    writeln!(file, "{what}").expect("target is writable");
}

/// The first `count` usable rows, 200 times as fast.
fn rows(count: usize) -> Option<Trace> {
    let mut reader = csv::Reader::from_path(shared().join(LOG)).ok()?;
    let mut requests = Vec::new();
    for row in reader.records() {
        let row = row.expect("a row of the log");
        let number =
            |i: usize| row[i].split('.').next().and_then(|t| t.parse::<u64>().ok()).expect("a number");
        // Timestamp, Model, Request tokens, Response tokens, …
        let (seconds, prompt, output) = (number(0), number(2) as u32, number(3) as u32);
        if prompt == 0 || output == 0 {
            continue;
        }
        let arrival = SimTime::from_ps(seconds * (1_000_000_000_000 / 200));
        requests.push(Request { arrival, prompt, output, max_tokens: output, class: ClassId(0) });
        if requests.len() == count {
            break;
        }
    }
    let start = requests.first()?.arrival;
    for r in &mut requests {
        r.arrival = SimTime::from_ps((r.arrival - start).as_ps());
    }
    Some(Trace { requests, classes: vec!["all".to_owned()], ..Trace::default() })
}

/// A step of 8 ms and up, with a host that sometimes hides and sometimes shows.
fn cost() -> TestCost {
    let mut cost = TestCost::plain(7_000_000_000, 20_000_000, 40_000);
    cost.pair = 90;
    cost.host = Host::Overlapped { fixed: 7_200_000_000, per_sequence: 10_000_000, per_token: 5_000 };
    (cost.swap_base, cost.swap_block) = (1_000_000, 80_000_000);
    cost
}

#[test]
fn real_rows_equal_the_oracle() {
    let Some(trace) = rows(1000) else {
        skip("real_rows_equal_the_oracle: no BurstGPT log");
        return;
    };
    for scheduler in SchedulerConfig::all() {
        let swaps = matches!(scheduler, SchedulerConfig::PrefillFirst(_));
        let preemption = if swaps { Preemption::Swap { host_blocks: 150 } } else { Preemption::Recompute };
        let config = ClusterConfig {
            replica: ReplicaConfig {
                late_stop: matches!(scheduler, SchedulerConfig::Unified(_)),
                order: Order::Fcfs,
                host_cache: 0,
                scheduler,
                kv: KvConfig {
                    block: 16,
                    blocks: 600,
                    allocation: Allocation::Paged { watermark: 6 },
                    preemption,
                    prefix_cache: false,
                },
                max_model_len: 8192,
            },
            replicas: 2,
            router: RouterConfig::LeastTokens(LeastLoad::default()),
            front_end: FrontEnd::NONE,
        };
        let oracle = run(&config, &cost(), &trace);
        assert!(!oracle.stuck && oracle.all_free);
        if matches!(
            config.replica.scheduler,
            SchedulerConfig::Unified(_) | SchedulerConfig::Chunked(_) | SchedulerConfig::PrefillFirst(_)
        ) {
            assert!(oracle.counters.preemptions > 0, "the rows must press on memory");
        }
        for record in &oracle.records {
            assert_eq!(record.ledger.total(), record.e2e());
        }
        for stepwise in [false, true] {
            let options = RunOptions { stepwise, audit: true, samples: 0, deadlines: Some(DEADLINES) };
            let outcome =
                engine_run(&Deployment::uniform(&config, &cost()), &trace, &options).expect("no violation");
            assert_equal(&outcome, &oracle, &format!("{:?}", config.replica));
        }
    }
}
