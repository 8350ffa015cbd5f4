//! Unequal replicas, priorities and mixed lengths as a scenario says them.

use windtunnel::cluster::{RunOptions, simulate_deployment};
use windtunnel::metrics::record::Fate;
use windtunnel::policy::order::Order;
use windtunnel::scenario::{Flags, StudyPlan, Target};
use windtunnel::workload::PrepareContext;

/// The quickstart with these `--set` flags.
#[track_caller]
fn resolve(sets: &[&str]) -> StudyPlan {
    let flags = Flags { sets: sets.iter().map(|s| (*s).to_owned()).collect(), seeds: Some(1) };
    let plan = StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags);
    plan.unwrap_or_else(|errors| panic!("{errors}"))
}

const GROUPS: &str = "deployment.groups=[{ accelerator = \"h100-sxm\" }, { replicas = 2, accelerator = \"a100-80g-sxm\", \
                      parallel = { tp = 2, pp = 1 }, kv-blocks = 9000 }]";

#[test]
fn groups_have_their_own_hardware_memory_and_limits() {
    let plan = resolve(&[
        GROUPS,
        "deployment.router.least-requests={}",
        "systems.compare=[\"vllm-v1\"]",
        "systems.reference=vllm-v1",
    ]);
    let system = &plan.systems[0];
    let [fast, slow] = &system.groups[..] else { panic!("{} groups", system.groups.len()) };
    assert_eq!((fast.replicas, slow.replicas), (1, 2));
    assert_eq!((fast.gpus, slow.gpus, system.gpus), (1, 4, 5));
    assert_eq!(system.hardware(), "1 × h100-sxm + 4 × a100-80g-sxm");
    assert_eq!(slow.replica.kv.blocks + 1, 9000, "vLLM V1 keeps one block");
    let blocks = u64::from(fast.replica.kv.blocks) + 2 * u64::from(slow.replica.kv.blocks);
    assert_eq!((system.kv_blocks(), system.stages()), (blocks, 3));
    let setting = |path: &str| system.settings.iter().find(|s| s.path == path).map(|s| s.value.clone());
    assert_eq!(setting("groups.1.kv-blocks").as_deref(), Some("9000"));
    assert_eq!(setting("groups.0.accelerator").as_deref(), Some("\"h100-sxm\""));
    assert_eq!((setting("accelerator"), setting("groups.0.model")), (None, None));

    let context = PrepareContext { seed: 1, max_model_len: Some(8192), ..PrepareContext::default() };
    let trace = plan.workload.spec.prepare(&context).expect("a workload").trace;
    let options = RunOptions { audit: true, ..RunOptions::default() };
    let outcome =
        simulate_deployment(&system.deployment(1), &trace, &options, &mut ()).expect("no violation");
    assert!(outcome.records.iter().all(|r| r.fate == Fate::Finished));
    for replica in 0..3 {
        assert!(outcome.records.iter().any(|r| r.replica.0 == replica), "replica {replica} got nothing");
    }
    // Slowdown compares with the request alone on the fastest replica.
    assert!(outcome.records.iter().all(|r| r.e2e() >= r.alone));
}

#[test]
fn priorities_become_classes_and_order_the_queue() {
    let plan = resolve(&[
        "workload.priorities=[{ name = \"paid\", share = 1, priority = 0 }, { name = \"free\", share = 3, priority = 5, \
         deadline = \"9 s\" }]",
        "systems.urgent={ base = \"vllm-v1\", order = \"priority\" }",
        "systems.oracle={ base = \"vllm-v1\", order = \"sjf\", length-predictor = \"oracle\" }",
        "systems.compare=[\"urgent\", \"oracle\"]",
        "systems.reference=urgent",
    ]);
    let orders: Vec<Order> = plan.systems.iter().map(|s| s.cluster.replica.order).collect();
    assert_eq!(orders, [Order::Priority, Order::ShortestJob]);
    assert_eq!((plan.systems[0].oracle, plan.systems[1].oracle), (false, true), "an oracle is marked");
    let prepare = |seed| {
        let context = PrepareContext { seed, ..PrepareContext::default() };
        plan.workload.spec.prepare(&context).expect("a workload").trace
    };
    let trace = prepare(1);
    assert_eq!(trace, prepare(1));
    assert_eq!(trace.classes.len(), trace.priorities.len());
    for (class, priority) in trace.classes.iter().zip(&trace.priorities) {
        assert_eq!(class.ends_with("paid"), priority.level == 0, "{class}");
        assert_eq!(class.ends_with("free"), priority.level == 5 && priority.deadline.is_some(), "{class}");
    }
    let paid = trace.requests.iter().filter(|r| trace.priorities[r.class.index()].level == 0).count();
    let share = paid as f64 / trace.len() as f64;
    assert!((share - 0.25).abs() < 0.05, "{share}");
}

#[test]
fn components_are_classes_of_their_own() {
    let plan = resolve(&[
        "workload.recipe=",
        "workload.arrivals={ poisson = { rate = \"4 req/s\" } }",
        "workload.requests=3000",
        "workload.lengths={ components = [{ class = \"chat\", share = 99, lengths = { uniform = { prompt = [10, 900], output = \
         [1, 50] } } }, { class = \"document\", share = 1, lengths = { fixed = { prompt = 32000, output = 7 } } }] }",
    ]);
    let context = PrepareContext { seed: 3, ..PrepareContext::default() };
    let trace = plan.workload.spec.prepare(&context).expect("a workload").trace;
    assert_eq!(trace.classes, ["chat", "document"]);
    let documents = trace.requests.iter().filter(|r| r.class.index() == 1).count();
    assert!((15..=50).contains(&documents), "{documents} of 3000");
    assert!(trace.requests.iter().all(|r| (r.class.index() == 1) == (r.prompt == 32_000)));
}
