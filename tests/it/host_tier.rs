//! Evicted prefix blocks in host memory, by hand: 6 blocks of 16 tokens, prompts of 4 blocks, one after the other.

use std::sync::Arc;

use windtunnel::cluster::{Deployment, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::Cause;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{SchedulerConfig, Unified};
use windtunnel::scenario::{Flags, StudyPlan, Target};
use windtunnel::units::SimDuration;
use windtunnel::workload::{PrefixChains, Request, Trace};

use crate::eut::{TestCost, at_us};

/// Prompts of three families, 10 ms apart; the first one comes again.
fn trace() -> Trace {
    let request =
        |at| Request { arrival: at_us(at), prompt: 64, output: 1, max_tokens: 1, class: ClassId(0) };
    let ids = [1u64, 2, 3, 1].into_iter().flat_map(|family| (1..=4).map(move |i| family * 10 + i)).collect();
    let prefixes = PrefixChains { tokens_per_id: 16, starts: vec![0, 4, 8, 12, 16], ids };
    Trace {
        requests: [0, 10_000, 20_000, 30_000].map(request).into(),
        classes: vec!["all".to_owned()],
        prefixes: Some(Arc::new(prefixes)),
        ..Trace::default()
    }
}

fn run(host_cache: u32) -> Outcome {
    let replica = ReplicaConfig {
        scheduler: SchedulerConfig::Unified(Unified::default()),
        kv: KvConfig {
            block: 16,
            blocks: 6,
            allocation: Allocation::Paged { watermark: 0 },
            preemption: Preemption::Recompute,
            prefix_cache: true,
        },
        max_model_len: 4096,
        late_stop: false,
        order: Order::Fcfs,
        host_cache,
    };
    let config =
        ClusterConfig { replica, replicas: 1, router: RouterConfig::default(), front_end: FrontEnd::NONE };
    let cost = TestCost { stages: 1, per_context: SimDuration::ZERO };
    let options = RunOptions { audit: true, ..RunOptions::default() };
    simulate_deployment(&Deployment::uniform(&config, &cost), &trace(), &options, &mut ())
        .expect("no violation")
}

/// The second and the third prompt evict the first one, its end first. Its last block is never hit (a token is always
/// left to compute): 3 blocks are loaded in 100 us each, 16 tokens are computed in 1016 us.
#[test]
fn evicted_blocks_are_loaded_back() {
    let outcome = run(6);
    let last = &outcome.records.get(3);
    assert_eq!((last.cached, outcome.counters.host_cached_tokens), (48, 48));
    assert_eq!((last.scheduled, last.finish), (at_us(30_000), at_us(31_316)));
    assert_eq!(last.ledger.get(Cause::PrefillExecution), SimDuration::from_us(1_316));
    assert_eq!((outcome.counters.prefill_tokens, outcome.counters.swapped_blocks), (3 * 64 + 16, 0));
}

/// Two blocks of room keep what was evicted last, which nobody asks for; no room keeps nothing.
#[test]
fn what_host_memory_cannot_hold_is_computed_again() {
    for room in [0, 2] {
        let outcome = run(room);
        assert_eq!((outcome.records.get(3).cached, outcome.counters.host_cached_tokens), (0, 0), "{room}");
        assert_eq!(outcome.records.get(3).finish, at_us(31_064), "{room}");
    }
}

#[test]
fn host_memory_is_counted_in_blocks_per_accelerator() {
    let sets = [
        "systems.mine={ base = \"vllm-v1\", prefix-cache = \"blocks\", host-cache = \"8 GiB\" }",
        "systems.compare=[\"mine\"]",
        "systems.reference=mine",
    ];
    let flags = Flags { sets: sets.map(str::to_owned).into(), seeds: Some(1) };
    let plan = StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags).expect("a study");
    // Llama-3.1-8B: 2 · 32 layers · 8 heads · 128 · 2 bytes = 128 KiB a token, 16 tokens a block.
    assert_eq!(plan.systems[0].cluster.replica.host_cache, 8 * 1024 * 1024 / (128 * 16));
}

#[test]
fn the_host_tier_counts_as_memory_where_the_prefix_cache_is_drawn() {
    let sets = [
        "systems.plain={ base = \"vllm-v1\", prefix-cache = \"blocks\" }",
        "systems.tiered={ base = \"vllm-v1\", prefix-cache = \"blocks\", host-cache = \"8 GiB\" }",
        "systems.compare=[\"plain\", \"tiered\"]",
        "systems.reference=plain",
    ];
    let flags = Flags { sets: sets.map(str::to_owned).into(), seeds: Some(1) };
    let plan = StudyPlan::resolve(&Target::Embedded("prefix-cache".to_owned()), &flags).expect("a study");
    let [plain, tiered] = &plan.systems[..] else { panic!("two systems") };
    assert_eq!((plain.host_cache_slots(), plain.kv_slots()), (0, tiered.kv_slots()));
    let replica = &tiered.cluster.replica;
    let one = u64::from(replica.host_cache) * u64::from(replica.kv.block);
    assert!(one > 0);
    assert_eq!(tiered.host_cache_slots(), one * u64::from(tiered.replicas()));
}
