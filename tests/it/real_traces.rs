//! Every real trace through every scheduler: nothing is lost, tokens and ledgers are exact, leaps change nothing.

use std::sync::OnceLock;

use windtunnel::cluster::{Outcome, RunOptions, simulate};
use windtunnel::engine::config::{Allocation, ClusterConfig};
use windtunnel::metrics::record::Fate;
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::scenario::{Flags, StudyPlan, SystemPlan, Target};
use windtunnel::workload::{
    Failures, MaxTokens, PrepareContext, RequestRate, Trace, WorkloadSpec, apply_limits, rescale_to_rate,
};

use crate::cost::report;
use crate::shared_data::shared;

/// A preset for every scheduler, on Llama-3.1-8B on one H100 with the model's whole context.
fn systems() -> &'static [SystemPlan] {
    static SYSTEMS: OnceLock<Vec<SystemPlan>> = OnceLock::new();
    SYSTEMS.get_or_init(|| {
        let sets = vec!["deployment.max-model-len=131072".to_owned()];
        let flags = Flags { sets, seeds: None };
        let plan = StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags);
        let systems = plan.unwrap_or_else(|errors| panic!("{errors}")).systems;
        for config in SchedulerConfig::all() {
            let covered = systems.iter().any(|s| s.cluster.replica.scheduler.key() == config.key());
            assert!(covered, "no preset of the quickstart uses `{}`", config.key());
        }
        systems
    })
}

/// The first `most` rows at a mean rate, failed requests as prompts alone.
fn load(file: &str, rate: f64, most: usize) -> Option<Trace> {
    let spec = WorkloadSpec {
        trace: Some(shared(&format!("traces/{file}"))?),
        failures: Some(Failures::PrefillOnly),
        ..WorkloadSpec::default()
    };
    let context = PrepareContext { seed: 1, ..PrepareContext::default() };
    let prepared = spec.prepare(&context).expect("a trace that can be read");
    let counted = prepared.report.rows_read - prepared.report.rows_dropped;
    assert_eq!(prepared.trace.len() as u64, counted, "{file}: rows got lost");
    let mut trace = prepared.trace;
    trace.requests.truncate(most);
    let rate = RequestRate::per_second(rate).expect("a rate");
    Some(rescale_to_rate(&trace, rate).expect("a trace with a rate"))
}

/// The trace as the system serves it, and the result.
fn serve(
    config: &ClusterConfig,
    system: &SystemPlan,
    trace: &Trace,
    options: RunOptions,
) -> (Trace, Outcome) {
    let mut trace = trace.clone();
    apply_limits(&mut trace, config.replica.max_model_len, MaxTokens::ContextRest);
    let outcome = simulate(config, &*system.cost, &trace, &options, &mut ())
        .unwrap_or_else(|violation| panic!("{}: {violation}", system.name));
    (trace, outcome)
}

/// I1, I2, I4, I14, I15 on every record. Returns how many were rejected.
#[track_caller]
fn check(name: &str, config: &ClusterConfig, trace: &Trace, outcome: &Outcome) -> usize {
    let limit = config.replica.effective_limit();
    assert_eq!(outcome.records.len(), trace.len(), "{name}");
    let mut rejected = 0;
    for ((number, r), row) in (0u32..).zip(&outcome.records).zip(&trace.requests) {
        let expected = match r.fate {
            Fate::Rejected(_) => {
                rejected += 1;
                assert!(row.prompt >= limit, "{name}: rejected within the limit of {limit}: {r:?}");
                continue;
            }
            Fate::Finished => row.output.min(limit - row.prompt),
            Fate::TimedOut | Fate::Unfinished => panic!("{name}: lost: {r:?}"),
        };
        assert_eq!((r.id.0, r.prompt, r.output), (number, row.prompt, expected), "{name}");
        assert_eq!(r.arrival, row.arrival, "{name}");
        let instants = [r.arrival, r.queued, r.scheduled, r.first_token, r.finish];
        assert!(instants.is_sorted() && r.scheduled < r.first_token, "{name}: {r:?}");
        assert_eq!(r.ledger.total(), r.e2e(), "{name}: {r:?}");
        assert!(r.gap_max <= r.finish - r.first_token, "{name}: {r:?}");
        assert!(outcome.end >= r.finish, "{name}: {r:?}");
    }
    let c = &outcome.counters;
    assert_eq!(c.arrivals, trace.len() as u64, "{name}");
    let preemptions: u64 = outcome.records.iter().map(|r| u64::from(r.preemptions)).sum();
    let recomputed: u64 = outcome.records.iter().map(|r| u64::from(r.recomputed)).sum();
    assert_eq!((preemptions, recomputed), (c.preemptions, c.recomputed_tokens), "{name}");
    rejected
}

/// A memory of `tokens` tokens and a context of 8192, so that preemption, queues and rejections come about.
fn cramped(system: &SystemPlan, tokens: u32) -> ClusterConfig {
    let mut config = system.cluster.clone();
    config.replica.max_model_len = 8192;
    let kv = &mut config.replica.kv;
    // A watermark is a share of the blocks.
    if let Allocation::Paged { watermark } = &mut kv.allocation {
        *watermark = (*watermark).min(tokens / kv.block / 100);
    }
    kv.blocks = tokens / kv.block;
    config
}

/// The whole file (`rows` requests) on the preset's own memory; 500 rows audited and 1000 rows twice on a small one.
#[track_caller]
fn through_every_scheduler(file: &str, rows: usize, rate: f64) {
    let (Some(whole), Some(few), Some(some)) =
        (load(file, rate, usize::MAX), load(file, 4.0 * rate, 500), load(file, 4.0 * rate, 1000))
    else {
        return;
    };
    assert_eq!(whole.len(), rows, "{file}");
    for system in systems() {
        let name = format!("{file}, {}", system.name);
        let (trace, outcome) = serve(&system.cluster, system, &whole, RunOptions::default());
        let rejected = check(&name, &system.cluster, &trace, &outcome);
        let c = outcome.counters;
        report(format_args!(
            "{name}: {} rows, {rejected} rejected, {} preemptions, {:.2} events a request, {:.1} steps an event",
            trace.len(),
            c.preemptions,
            c.events as f64 / trace.len() as f64,
            c.steps as f64 / c.events as f64
        ));
        let small = cramped(system, 12_000);
        let audit = RunOptions { audit: true, ..RunOptions::default() };
        let (trace, outcome) = serve(&small, system, &few, audit);
        check(&name, &small, &trace, &outcome);
        let small = cramped(system, 40_000);
        let (trace, leaps) = serve(&small, system, &some, RunOptions::default());
        check(&name, &small, &trace, &leaps);
        let stepwise = RunOptions { stepwise: true, ..RunOptions::default() };
        let (_, steps) = serve(&small, system, &some, stepwise);
        assert!(leaps.records == steps.records, "{name}: leaps changed a record");
        assert_eq!((leaps.end, leaps.counters.busy), (steps.end, steps.counters.busy), "{name}");
        assert_eq!(leaps.gaps, steps.gaps, "{name}");
    }
}

#[test]
fn gpt_4_conversations_of_thirty_days() {
    through_every_scheduler("burstgpt/burstgpt1_gpt4_conversation_days00-29.csv", 27_563, 6.0);
}

#[test]
fn chatgpt_conversations_of_five_days() {
    through_every_scheduler("burstgpt/burstgpt2_chatgpt_conversation_days81-85.csv", 5_995, 8.0);
}

#[test]
fn gpt_4_api_calls_of_seven_days() {
    through_every_scheduler("burstgpt/burstgpt2_gpt4_api_days81-87.csv", 4_818, 8.0);
}

/// 379 rows, of which 15 failed with neither prompt nor answer: there is nothing to serve, so they are counted and left
/// out even where failed prompts are served.
#[test]
fn the_head_of_burstgpt_with_failures() {
    through_every_scheduler("burstgpt/burstgpt1_head_379.csv", 364, 6.0);
}

#[test]
fn azure_conversations() {
    through_every_scheduler("azure/AzureLLMInferenceTrace_conv.csv", 19_366, 8.0);
}

#[test]
fn azure_code() {
    through_every_scheduler("azure/AzureLLMInferenceTrace_code.csv", 8_819, 5.0);
}

#[test]
fn mooncake_conversations() {
    through_every_scheduler("mooncake/conversation_trace.jsonl", 12_031, 1.5);
}

/// The slices are worth something: under every policy that can, somebody was preempted, and long prompts were rejected.
#[test]
fn the_slices_preempt_and_reject() {
    let file = "azure/AzureLLMInferenceTrace_conv.csv";
    let Some(trace) = load(file, 32.0, 1000) else { return };
    for system in systems() {
        let small = cramped(system, 12_000);
        let mut cut = small.clone();
        cut.replica.max_model_len = 4096;
        let (trace, outcome) = serve(&cut, system, &trace, RunOptions::default());
        let rejected = check(&system.name, &cut, &trace, &outcome);
        assert!(rejected > 0, "{}: nobody was rejected", system.name);
        let preempts =
            matches!(system.cluster.replica.scheduler.key(), "unified" | "chunked" | "prefill-first");
        assert_eq!(outcome.counters.preemptions > 0, preempts, "{}", system.name);
    }
}
