//! Whole runs over Mooncake's conversations with and without the prefix cache.

use std::collections::BTreeMap;

use windtunnel::cluster::{Outcome, RunOptions, simulate};
use windtunnel::ids::RequestId;
use windtunnel::scenario::{Flags, StudyPlan, SystemPlan, Target};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{
    MaxTokens, PrepareContext, RequestRate, Trace, WorkloadSpec, apply_limits, rescale_to_rate,
};

use crate::cost::report;
use crate::prefix::conversations;
use crate::shared_data::shared;

/// A preset on one H200 with the model's whole context.
fn system(name: &str) -> SystemPlan {
    let sets = [
        "deployment.accelerator=\"h200-sxm\"".to_owned(),
        "deployment.max-model-len=131072".to_owned(),
        format!("systems.reference=\"{name}\""),
        format!("systems.compare=[\"{name}\"]"),
    ];
    let flags = Flags { sets: sets.into(), seeds: None };
    let plan = StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags);
    plan.unwrap_or_else(|errors| panic!("{name}: {errors}")).systems.swap_remove(0)
}

fn run(system: &SystemPlan, trace: &Trace) -> Outcome {
    simulate(&system.cluster, &*system.cost, trace, &RunOptions::default(), &mut ()).expect("no violation")
}

/// Tokens of each prompt that a cache without end would hold when the requests come one after the other: leading
/// blocks of `block` tokens that are full in an earlier prompt, and never the last token of the prompt.
fn hits_without_end(trace: &Trace, block: u32) -> Vec<u32> {
    let chains = trace.prefixes.as_ref().expect("prefix ids");
    let per_id = chains.tokens_per_id / block;
    let mut known: BTreeMap<u64, u32> = BTreeMap::new();
    let mut hits = Vec::new();
    for (number, r) in (0u32..).zip(&trace.requests) {
        let ids = chains.of(RequestId(number));
        let mut found = 0;
        for id in ids {
            let parts = known.get(id).copied().unwrap_or(0);
            found += parts;
            if parts < per_id {
                break;
            }
        }
        hits.push(found.min((r.prompt - 1) / block) * block);
        for (i, id) in (0u32..).zip(ids) {
            let parts = (r.prompt / block).saturating_sub(i * per_id).min(per_id);
            let most = known.entry(*id).or_insert(0);
            *most = parts.max(*most);
        }
    }
    hits
}

/// Arrivals spread inside the 3 s of the clock, at about a third of the natural rate, within the model's context.
fn served() -> Option<Trace> {
    let file = shared("traces/mooncake/conversation_trace.jsonl")?;
    let spec = WorkloadSpec { trace: Some(file), ..WorkloadSpec::default() };
    let context = PrepareContext { seed: 1, max_model_len: Some(131_072), ..PrepareContext::default() };
    let prepared = spec.prepare(&context).expect("a trace that can be read");
    assert!(prepared.report.dequantised_grain_ps.is_some(), "the coarse clock is spread");
    let rate = RequestRate::per_second(1.2).expect("a rate");
    Some(rescale_to_rate(&prepared.trace, rate).expect("a trace with a rate"))
}

#[test]
fn a_served_trace_hits_no_more_than_a_cache_without_end() {
    let Some(trace) = served() else { return };
    let cached = system("vllm-v1-prefix");
    let block = cached.cluster.replica.kv.block;
    let most = hits_without_end(&trace, block);
    let [with, without] = [&cached, &system("vllm-v1")].map(|s| run(s, &trace));
    for (r, most) in with.records.iter().zip(&most) {
        assert!(r.cached <= *most, "{} of at most {most} tokens: {r:?}", r.cached);
    }
    let tokens: u64 = trace.requests.iter().map(|r| u64::from(r.prompt)).sum();
    let all: u64 = most.iter().map(|&t| u64::from(t)).sum();
    let of = |part: u64| 100.0 * part as f64 / tokens as f64;
    let mean = |o: &Outcome| crate::theory::mean_s(&o.records, |r| r.ttft());
    report(format_args!(
        "vllm-v1 on H200, {} blocks of {block}: {:.1} % of the prompt tokens cached, {:.1} % without end; mean TTFT \
         {:.3} s with, {:.3} s without the cache; {} and {} preemptions",
        cached.cluster.replica.kv.blocks,
        of(with.counters.cached_tokens),
        of(all),
        mean(&with),
        mean(&without),
        with.counters.preemptions,
        without.counters.preemptions
    ));
    assert_eq!(with.records.iter().map(|r| u64::from(r.cached)).sum::<u64>(), with.counters.cached_tokens);
    assert!(with.counters.cached_tokens > 0, "nothing was found again");
    assert_eq!(without.counters.cached_tokens, 0, "the cache is off");
    assert!(without.records.iter().all(|r| r.cached == 0), "the cache is off");
    let computed = with.counters.prefill_tokens + with.counters.cached_tokens;
    assert!(computed >= tokens, "every prompt token is computed or found");
    assert!(mean(&with) < mean(&without), "what is found is not computed");
}

/// One after the other on memory without end, the engine finds exactly what can be found: the published token hits.
#[test]
fn one_after_the_other_everything_is_found() {
    let Some(mut trace) = conversations() else { return };
    apply_limits(&mut trace, 131_072, MaxTokens::ContextRest);
    let gap = SimDuration::from_secs(200);
    (0u64..).zip(&mut trace.requests).for_each(|(i, r)| r.arrival = SimTime::ZERO + gap * i);
    let mut system = system("vllm-v1-prefix");
    system.cluster.replica.kv.blocks = 1 << 26;
    let outcome = run(&system, &trace);
    let expected = hits_without_end(&trace, system.cluster.replica.kv.block);
    for (r, expected) in outcome.records.iter().zip(&expected) {
        assert_eq!(r.cached, *expected, "{r:?}");
    }
    let tokens: u64 = trace.requests.iter().map(|r| u64::from(r.prompt)).sum();
    let percent = 100.0 * outcome.counters.cached_tokens as f64 / tokens as f64;
    report(format_args!("engine, one after the other, blocks of 16: {percent:.2} % of the prompt tokens"));
    // 37.4 % counts a last id as a whole; blocks of 16 lose less than one block per request.
    let lost = 100.0 * 16.0 * trace.len() as f64 / tokens as f64;
    assert!((37.4 - 0.1 - lost..=37.5).contains(&percent), "{percent:.2} %");
}
