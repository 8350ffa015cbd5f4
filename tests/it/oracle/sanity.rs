//! The oracle itself against values computed by hand: steps, memory, pipeline, ledger.
//!
//! Every step takes 100 + 10·m + S ps, where m counts chunk tokens, decodes and padding, S contexts.

use std::sync::Arc;

use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::{Cause, Fate, RequestRecord};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{RoundRobin, RouterConfig};
use windtunnel::policy::scheduler::{Chunked, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{PrefixChains, Request, Trace};

use super::cost::TestCost;
use super::outcome::OracleOutcome;
use super::sim::run;

/// One replica, paged, no watermark, no front end.
pub fn deployment(scheduler: SchedulerConfig, block: u32, blocks: u32) -> ClusterConfig {
    ClusterConfig {
        replica: ReplicaConfig {
            scheduler,
            kv: KvConfig {
                block,
                blocks,
                allocation: Allocation::Paged { watermark: 0 },
                preemption: Preemption::Recompute,
                prefix_cache: false,
            },
            max_model_len: 1000,
            late_stop: false,
            order: Order::Fcfs,
            host_cache: 0,
        },
        replicas: 1,
        router: RouterConfig::RoundRobin(RoundRobin {}),
        front_end: FrontEnd::NONE,
    }
}

pub fn v1() -> SchedulerConfig {
    SchedulerConfig::Unified(Unified::default())
}

/// Rows of (arrival, prompt, output).
pub fn rows(rows: &[(u64, u32, u32)]) -> Trace {
    let row = |&(arrival, prompt, output): &(u64, u32, u32)| Request {
        arrival: SimTime::from_ps(arrival),
        prompt,
        output,
        max_tokens: output,
        class: ClassId(0),
    };
    Trace { requests: rows.iter().map(row).collect(), classes: vec!["all".to_owned()], ..Trace::default() }
}

/// 100 + 10·m + S.
pub fn cost() -> TestCost {
    TestCost::plain(100, 10, 1)
}

/// Runs, and checks what holds for every run.
#[track_caller]
pub fn oracle(config: &ClusterConfig, trace: &Trace) -> OracleOutcome {
    let outcome = run(config, &cost(), trace);
    check_sums(&outcome);
    outcome
}

#[track_caller]
fn check_sums(outcome: &OracleOutcome) {
    assert!(!outcome.stuck && outcome.all_free);
    for r in &outcome.records {
        assert_eq!(r.ledger.total(), r.e2e());
    }
}

/// (scheduled, first token, finish, longest gap).
pub fn times(r: &RequestRecord) -> (u64, u64, u64, u64) {
    (r.scheduled.as_ps(), r.first_token.as_ps(), r.finish.as_ps(), r.gap_max.as_ps())
}

/// The causes that took time.
pub fn spent(r: &RequestRecord) -> Vec<(Cause, u64)> {
    Cause::ALL.iter().map(|&c| (c, r.ledger.get(c).as_ps())).filter(|c| c.1 > 0).collect()
}

#[test]
fn one_request_alone() {
    let mut config = deployment(v1(), 4, 100);
    let out = oracle(&config, &rows(&[(0, 5, 3)]));
    // Prefill 100 + 50 = 150. Decodes attend to 6 and 7: 116 and 117.
    assert_eq!(times(&out.records[0]), (0, 150, 383, 117));
    assert_eq!(spent(&out.records[0]), [(Cause::PrefillExecution, 150), (Cause::DecodeExecution, 233)]);
    assert_eq!((out.counters.steps, out.counters.work.context, out.counters.work.logits), (3, 13, 3));

    config.front_end = FrontEnd {
        per_request: SimDuration::from_ps(20),
        per_prompt_token: SimDuration::from_ps(2),
        per_streamed_token: SimDuration::from_ps(3),
        workers: 1,
        ..FrontEnd::NONE
    };
    let out = oracle(&config, &rows(&[(0, 5, 3), (0, 1, 1)]));
    // Queued at 20 + 5·2 = 30; the second waits for the worker and passes at 30 + 22 = 52, joins at 180:
    // step 180..: decode (6) and its chunk of 1 together: 100 + 20 + 6 = 126.
    assert_eq!(times(&out.records[0]), (30, 183, 30 + 150 + 126 + 117 + 3, 126));
    assert_eq!(out.records[1].queued.as_ps(), 52);
    assert_eq!(times(&out.records[1]), (180, 309, 309, 0));
    assert_eq!(out.records[0].ledger.get(Cause::FrontEnd).as_ps(), 33);
}

#[test]
fn two_requests_in_one_batch() {
    let out = oracle(&deployment(v1(), 4, 100), &rows(&[(0, 4, 2), (0, 6, 3)]));
    // Prefill of both 100 + 100; decode of both attends to 5 + 7: 132; the second alone to 8: 118.
    assert_eq!(times(&out.records[0]), (0, 200, 332, 132));
    assert_eq!(times(&out.records[1]), (0, 200, 450, 132));
}

#[test]
fn a_prompt_of_another_stalls_a_decode() {
    let out = oracle(&deployment(v1(), 4, 100), &rows(&[(0, 5, 3), (10, 4, 1)]));
    // 0..150 prefill of q0. 150..306: decode of q0 (6) with the chunk of q1: 100 + 50 + 6 = 156, of which the
    // decode alone would have been 116. 306..423 decode of q0 (7).
    assert_eq!(times(&out.records[0]), (0, 150, 423, 156));
    assert_eq!(
        spent(&out.records[0]),
        [(Cause::PrefillExecution, 150), (Cause::DecodeExecution, 233), (Cause::DecodeStalled, 40)]
    );
    assert_eq!(spent(&out.records[1]), [(Cause::Queue, 140), (Cause::PrefillExecution, 156)]);
}

#[test]
fn preemption_by_recompute() {
    let out = oracle(&deployment(v1(), 1, 10), &rows(&[(0, 4, 4), (0, 4, 4)]));
    // 0..180 prefill of 8 tokens; 180..310 both decode (5 + 5), all ten blocks are held. At 310 q0 takes q1's
    // place: 310..426 (6), 426..543 (7). q1 needs 6 blocks: 543..703 prefill of 6 tokens, 703..820 decode (7).
    assert_eq!(times(&out.records[0]), (0, 180, 543, 130));
    assert_eq!(times(&out.records[1]), (0, 180, 820, 393));
    assert_eq!((out.records[1].preemptions, out.records[1].recomputed), (1, 5));
    let expected =
        [(Cause::PrefillExecution, 180), (Cause::DecodeExecution, 247), (Cause::PreemptionLoss, 393)];
    assert_eq!(spent(&out.records[1]), expected);
    assert_eq!((out.counters.prefill_tokens, out.counters.recomputed_tokens), (14, 5));
}

#[test]
fn preemption_by_swap() {
    let mut config = deployment(SchedulerConfig::PrefillFirst(PrefillFirst::default()), 1, 10);
    config.replica.kv.preemption = Preemption::Swap { host_blocks: 10 };
    let out = oracle(&config, &rows(&[(0, 4, 4), (0, 4, 4)]));
    // As above until 310; then q1's 5 blocks move out: 116 + 7 + 5·5 = 148 to 458; 458..575 decode of q0 (7).
    // At 575 they come back: 116 + 32 = 148 to 723; 723..840 decode (7).
    assert_eq!(times(&out.records[0]), (0, 180, 575, 148));
    assert_eq!(times(&out.records[1]), (0, 180, 840, 413));
    assert_eq!((out.records[1].preemptions, out.records[1].recomputed), (1, 0));
    let first = [(Cause::PrefillExecution, 180), (Cause::DecodeExecution, 363), (Cause::PreemptionLoss, 32)];
    let second =
        [(Cause::PrefillExecution, 180), (Cause::DecodeExecution, 247), (Cause::PreemptionLoss, 413)];
    assert_eq!(spent(&out.records[0]), first);
    assert_eq!(spent(&out.records[1]), second);
    assert_eq!(out.counters.swapped_blocks, 10);
}

#[test]
fn two_batches_in_a_pipeline_of_two() {
    let mut cost = cost();
    cost.stage = vec![1, 1];
    (cost.hop_base, cost.back) = (5, 9);
    let out = run(&deployment(v1(), 4, 100), &cost, &rows(&[(0, 5, 2), (10, 4, 1)]));
    check_sums(&out);
    // A (q0, 5 tokens): stage 0 0..150, stage 1 155..305, back at 314.
    // B (q1, 4 tokens): stage 0 150..290, stage 1 305..445 (295 is too early), back at 454.
    // At 290 two batches are in flight. C (q0 decodes, 6): 314..430, 445..561, back at 570.
    assert_eq!(times(&out.records[0]), (0, 314, 570, 256));
    assert_eq!(times(&out.records[1]), (150, 454, 454, 0));
    let first = [(Cause::PrefillExecution, 300), (Cause::DecodeExecution, 232), (Cause::Bubble, 38)];
    assert_eq!(spent(&out.records[0]), first);
    let second = [(Cause::Queue, 140), (Cause::PrefillExecution, 280), (Cause::Bubble, 24)];
    assert_eq!(spent(&out.records[1]), second);
}

#[test]
fn a_budget_splits_a_long_prompt() {
    let small = SchedulerConfig::Unified(Unified { token_budget: 8, ..Unified::default() });
    let out = oracle(&deployment(small, 4, 100), &rows(&[(0, 20, 2)]));
    // 8, 8 and 4 tokens: 180 + 180 + 140; then a decode that attends to 21: 131.
    assert_eq!(times(&out.records[0]), (0, 500, 631, 131));
    // Σ tokens·(2·past + tokens) = 64 + 8·24 + 4·36 = 400 = 20².
    assert_eq!(out.counters.work.pairs, 400);
}

#[test]
fn a_prefix_is_hit_in_the_plan_that_fills_it() {
    let mut config = deployment(v1(), 2, 100);
    config.replica.kv.prefix_cache = true;
    let mut trace = rows(&[(0, 5, 1), (0, 5, 1), (0, 4, 1), (1000, 5, 1)]);
    let ids = vec![1, 2, 3, 1, 2, 3, 1, 2, 1, 2, 3];
    let chains = PrefixChains { tokens_per_id: 2, starts: vec![0, 3, 6, 8, 11], ids };
    trace.prefixes = Some(Arc::new(chains));
    let out = oracle(&config, &trace);
    // q1 finds both full blocks of q0; q2 has to compute at least one token, so only one block: 5 + 1 + 2 tokens.
    let cached: Vec<u32> = out.records.iter().map(|r| r.cached).collect();
    assert_eq!(cached, [0, 4, 2, 4]);
    assert_eq!(out.records[2].finish.as_ps(), 180);
    // Later the blocks are free but still entered: one token, 110.
    assert_eq!(times(&out.records[3]), (1000, 1110, 1110, 0));
}

#[test]
fn a_stop_is_seen_one_step_late() {
    let mut config = deployment(v1(), 4, 100);
    config.replica.late_stop = true;
    let out = oracle(&config, &rows(&[(0, 5, 1), (160, 4, 1)]));
    // q0 has its token at 150 and fills the step 150..266 (it attends to 6); q1 waits for its end, and then
    // fills one more step itself.
    assert_eq!(times(&out.records[0]), (0, 150, 150, 0));
    assert_eq!(times(&out.records[1]), (266, 406, 406, 0));
    assert_eq!((out.counters.wasted_slots, out.counters.steps), (2, 4));
}

#[test]
fn what_never_fits_is_rejected_and_answers_are_cut() {
    // M = min(1000, 10·4) = 40: a prompt of 40 leaves no room, one of 39 leaves one token.
    let out = oracle(&deployment(v1(), 4, 10), &rows(&[(0, 40, 1), (0, 39, 5)]));
    assert!(matches!(out.records[0].fate, Fate::Rejected(_)));
    assert_eq!((out.records[1].fate, out.records[1].output), (Fate::Finished, 1));
}

#[test]
fn a_request_that_fills_the_memory_alone_starts_over() {
    // Ten blocks of 4, no watermark: M = 40, so the answer is cut to 10. At 37 tokens of KV all ten blocks are held
    // and the block rule (no free block at all) makes the request its own victim, although it needs no block. A
    // replica with nothing in flight then plans again at once, or it would never be touched again.
    let config = deployment(SchedulerConfig::Chunked(Chunked::default()), 4, 10);
    let out = oracle(&config, &rows(&[(0, 30, 30)]));
    assert_eq!((out.records[0].output, out.coverage.plans_again), (10, 2));
    assert_eq!((out.records[0].preemptions, out.records[0].recomputed), (2, 37 + 38));
}
