//! What every registered scheduler must hold to, on random small scenarios with the audit on.

use std::sync::Arc;

use windtunnel::cluster::{Outcome, RunOptions, StepEvent, StepObserver, simulate};
use windtunnel::engine::config::{
    Admission, Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig, ReserveRule,
};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::{Fate, Rejection, RequestRecord};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{
    Chunked, Clairvoyant, Iteration, PrefillFirst, RaggedPrompts, SchedulerConfig, Static, Unified,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{PrefixChains, Request, Trace};

use crate::eut::{TestCost, at_us};

const SCENARIOS: u64 = 150;

/// A small deterministic generator (SplitMix64): a failing scenario is named by its seed.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In [low, high].
    fn range(&mut self, low: u32, high: u32) -> u32 {
        low + (self.next() % u64::from(high - low + 1)) as u32
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.range(0, items.len() as u32 - 1) as usize]
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.range(1, n) == 1
    }
}

/// The mechanism with parameters small enough to bind.
fn small(config: &SchedulerConfig, d: &mut Draws) -> SchedulerConfig {
    let (token_budget, max_sequences) = (d.pick(&[5, 16, 64]), d.pick(&[1, 3, 6, 32]));
    match config {
        SchedulerConfig::Unified(_) => SchedulerConfig::Unified(Unified {
            token_budget,
            max_sequences,
            long_prefill_threshold: d.pick(&[0, 0, 4]),
            reserve_full_prompt: !d.one_in(3),
        }),
        SchedulerConfig::Chunked(_) => {
            SchedulerConfig::Chunked(Chunked { token_budget, max_sequences, hybrid: !d.one_in(3) })
        }
        SchedulerConfig::PrefillFirst(_) => {
            SchedulerConfig::PrefillFirst(PrefillFirst { token_budget, max_sequences })
        }
        SchedulerConfig::Iteration(_) => SchedulerConfig::Iteration(Iteration { max_batch: max_sequences }),
        SchedulerConfig::Static(_) => SchedulerConfig::Static(Static {
            max_batch: max_sequences,
            micro_batch: d.pick(&[0, 0, 1, max_sequences]),
            ragged: d.pick(&[RaggedPrompts::Shortest, RaggedPrompts::Padded]),
            return_early: d.one_in(2),
        }),
        SchedulerConfig::Ideal(ideal) => SchedulerConfig::Ideal(ideal.clone()),
        SchedulerConfig::Clairvoyant(_) => {
            SchedulerConfig::Clairvoyant(Clairvoyant { token_budget, max_sequences })
        }
    }
}

struct Scenario {
    config: ClusterConfig,
    cost: TestCost,
    trace: Trace,
}

const MAX_TOKENS: u32 = 40;

impl Scenario {
    fn new(scheduler: &SchedulerConfig, seed: u64) -> Self {
        let mut d = Draws(seed);
        let block = d.pick(&[1, 4, 4, 8]);
        let rules = [
            ReserveRule::MaxTokens,
            ReserveRule::MaxModelLen,
            ReserveRule::Pow2,
            ReserveRule::Exact,
            ReserveRule::BuddyPow2,
            ReserveRule::BuddyExact,
        ];
        let allocation = if d.one_in(4) {
            Allocation::Reserve(d.pick(&rules))
        } else {
            Allocation::Paged { watermark: d.range(0, 2) }
        };
        let preemption = if d.one_in(4) {
            Preemption::Swap { host_blocks: d.pick(&[0, 4, 100]) }
        } else {
            Preemption::Recompute
        };
        let kv = KvConfig {
            block,
            blocks: d.pick(&[40, 60, 120, 400]) / block + 2,
            allocation,
            preemption,
            prefix_cache: d.one_in(3),
        };
        let scheduler = small(scheduler, &mut d);
        let stages = if d.one_in(4) { 2 } else { 1 };
        let late_stop = stages == 1 && d.one_in(4);
        let replica = ReplicaConfig {
            scheduler,
            kv,
            max_model_len: d.pick(&[50, 64, 200]),
            late_stop,
            order: Order::Fcfs,
            host_cache: 0,
        };
        let config = ClusterConfig {
            replica,
            replicas: d.range(1, 2) as u16,
            router: RouterConfig::default(),
            front_end: FrontEnd::NONE,
        };
        let cost = TestCost { stages, per_context: SimDuration::from_ps(u64::from(d.range(0, 3)) * 777) };
        let trace = Scenario::trace(&mut d, kv.prefix_cache.then_some(block));
        Scenario { config, cost, trace }
    }

    fn trace(d: &mut Draws, prefix_block: Option<u32>) -> Trace {
        let mut at = 0;
        let mut requests = Vec::new();
        let mut prefixes =
            PrefixChains { tokens_per_id: prefix_block.unwrap_or(1) * 2, ..Default::default() };
        for _ in 0..d.range(1, 24) {
            at += u64::from(d.pick(&[0u32, 0, 500, 1_000, 3_000]));
            let prompt = d.range(1, 44);
            requests.push(Request {
                arrival: at_us(at),
                prompt,
                output: d.range(1, 20),
                max_tokens: MAX_TOKENS,
                class: ClassId(0),
            });
            prefixes.starts.push(prefixes.ids.len() as u32);
            let family = u64::from(d.range(0, 2));
            let ids = prompt.div_ceil(prefixes.tokens_per_id);
            prefixes.ids.extend((0..u64::from(ids)).map(|i| family * 1_000 + i));
        }
        prefixes.starts.push(prefixes.ids.len() as u32);
        let prefixes = prefix_block.map(|_| Arc::new(prefixes));
        Trace { requests, classes: vec!["all".to_owned()], prefixes, ..Trace::default() }
    }

    #[track_caller]
    fn run(&self, stepwise: bool, observer: &mut impl StepObserver) -> Outcome {
        let options = RunOptions { stepwise, audit: true, samples: 0, deadlines: None };
        let result = simulate(&self.config, &self.cost, &self.trace, &options, observer);
        result.unwrap_or_else(|v| panic!("{v}\n{:?}\n{:?}", self.config.replica, self.trace.requests))
    }

    fn limit(&self) -> u32 {
        self.config.replica.effective_limit()
    }

    fn scheduler(&self) -> &SchedulerConfig {
        &self.config.replica.scheduler
    }
}

fn for_all(check: impl Fn(&Scenario, &str)) {
    for config in SchedulerConfig::all() {
        for seed in 0..SCENARIOS {
            let scenario = Scenario::new(&config, seed);
            check(&scenario, &format!("{} seed {seed}", config.key()));
        }
    }
}

#[test]
fn every_request_finishes_with_its_tokens_or_is_rejected() {
    for_all(|s, name| {
        let outcome = s.run(false, &mut ());
        assert_eq!(outcome.records.len(), s.trace.len(), "{name}");
        for (r, q) in outcome.records.iter().zip(&s.trace.requests) {
            if q.prompt + 1 > s.limit() {
                assert!(matches!(r.fate, Fate::Rejected(_)), "{name}: {r:?}");
                continue;
            }
            assert_eq!(r.fate, Fate::Finished, "{name}: {r:?}");
            let expected = q.output.min(q.max_tokens).min(s.limit() - q.prompt);
            assert_eq!((r.prompt, r.output), (q.prompt, expected), "{name}: {r:?}");
        }
    });
}

#[test]
fn instants_are_in_order_and_the_ledger_sums_to_the_whole() {
    for_all(|s, name| {
        let outcome = s.run(false, &mut ());
        for r in outcome.records.iter().filter(|r| r.fate == Fate::Finished) {
            let instants = [r.arrival, r.queued, r.scheduled, r.first_token, r.finish];
            assert!(instants.is_sorted(), "{name}: {r:?}");
            assert!(r.scheduled < r.first_token, "{name}: {r:?}");
            assert_eq!(r.ledger.total(), r.e2e(), "{name}: {r:?}");
        }
    });
}

#[test]
fn leaps_change_nothing() {
    for_all(|s, name| {
        let (leaps, steps) = (s.run(false, &mut ()), s.run(true, &mut ()));
        for (a, b) in leaps.records.iter().zip(&steps.records) {
            assert_eq!(a, b, "{name}");
        }
        assert_eq!(leaps.counters.steps, steps.counters.steps, "{name}");
        assert_eq!(leaps.counters.busy, steps.counters.busy, "{name}");
        assert_eq!(leaps.end, steps.end, "{name}");
    });
}

/// A scenario with three replicas, sessions and prefix ids behind this router, some of them with limits at the door.
fn routed(router: &RouterConfig, seed: u64) -> Scenario {
    let schedulers =
        [SchedulerConfig::Unified(Unified::default()), SchedulerConfig::Chunked(Chunked::default())];
    let mut s = Scenario::new(&schedulers[seed as usize % 2], seed);
    let mut d = Draws(seed + 77);
    let block = s.config.replica.kv.block;
    s.trace = Scenario::trace(&mut d, Some(block));
    s.trace.sessions = Some((0..s.trace.len()).map(|_| d.range(0, 4)).collect());
    (s.config.router, s.config.replicas) = (router.clone(), 3);
    s.config.replica.order = d.pick(&[Order::Fcfs, Order::ShortestPrompt]);
    if d.one_in(3) {
        let timeout = SimDuration::from_us(u64::from(d.pick(&[2_000u32, 9_000, 30_000])));
        let timeout = d.one_in(2).then_some(timeout);
        s.config.front_end.admission =
            Admission { max_outstanding: Some(d.range(1, 9)), max_queue: Some(d.range(1, 5)), timeout };
    }
    s
}

fn for_all_routers(check: impl Fn(&Scenario, &str)) {
    for config in RouterConfig::all() {
        for seed in 0..SCENARIOS {
            check(&routed(&config, seed), &format!("{} seed {seed}", config.key()));
        }
    }
}

#[test]
fn no_router_loses_a_request() {
    for_all_routers(|s, name| {
        let (leaps, steps) = (s.run(false, &mut ()), s.run(true, &mut ()));
        assert_eq!(leaps.records, steps.records, "{name}");
        let open = s.config.front_end.admission == Admission::OPEN;
        for (r, q) in leaps.records.iter().zip(&s.trace.requests) {
            assert!(r.replica.0 < s.config.replicas && r.fate != Fate::Unfinished, "{name}: {r:?}");
            let too_long = r.fate == Fate::Rejected(Rejection::TooLong);
            assert_eq!(too_long, q.prompt + 1 > s.limit(), "{name}: {r:?}");
            assert!(!open || too_long || r.fate == Fate::Finished, "{name}: {r:?}");
            assert_eq!(r.ledger.total(), r.e2e(), "{name}: {r:?}");
        }
    });
}

#[test]
fn no_router_knows_answers_yet_to_come() {
    for_all_routers(|s, name| {
        if rule_knows(s.config.replica.kv.allocation) {
            return;
        }
        let before = s.run(false, &mut ());
        let t = SimTime::from_ps(before.end.as_ps() / 2);
        let mut trace = s.trace.clone();
        for (q, r) in trace.requests.iter_mut().zip(&before.records).filter(|(_, r)| r.finish >= t) {
            q.output += 1 + r.id.0 % 9;
        }
        let after = Scenario { config: s.config.clone(), cost: s.cost, trace }.run(false, &mut ());
        for (a, b) in before.records.iter().zip(&after.records).filter(|(a, _)| a.queued < t) {
            assert_eq!(a.replica, b.replica, "{name} at {t}: {a:?} {b:?}");
            assert_eq!(known_at(&a, t), known_at(&b, t), "{name} at {t}: {a:?} {b:?}");
        }
    });
}

#[test]
fn the_routers_scenarios_reach_what_they_are_for() {
    for config in RouterConfig::all() {
        let (mut used, mut overloaded, mut timed_out) = ([0; 3], 0, 0);
        for seed in 0..SCENARIOS {
            for r in &routed(&config, seed).run(false, &mut ()).records {
                used[r.replica.index()] += 1;
                overloaded += u32::from(r.fate == Fate::Rejected(Rejection::Overloaded));
                timed_out += u32::from(r.fate == Fate::TimedOut);
            }
        }
        let key = config.key();
        assert!(used.iter().all(|&n| n > 100), "{key}: {used:?}");
        assert!(overloaded > 20 && timed_out > 20, "{key}: {overloaded} {timed_out}");
    }
}

/// Whether a reservation follows from the true answer.
fn rule_knows(allocation: Allocation) -> bool {
    match allocation {
        Allocation::Reserve(ReserveRule::MaxTokens | ReserveRule::MaxModelLen) => false,
        Allocation::Reserve(_) => true,
        Allocation::Paged { .. } => false,
    }
}

/// Instants of a record as they were known at `t`.
fn known_at(r: &RequestRecord, t: SimTime) -> [SimTime; 3] {
    [r.scheduled, r.first_token, r.finish].map(|instant| instant.min(t))
}

#[test]
fn the_past_does_not_depend_on_answers_yet_to_come() {
    for_all(|s, name| {
        if s.scheduler().knows_lengths() || rule_knows(s.config.replica.kv.allocation) {
            return;
        }
        let before = s.run(false, &mut ());
        let t = SimTime::from_ps(before.end.as_ps() / 2);
        // A static batch hands answers out late, so that some have ended inside by `t`: only those not begun change.
        let holds = matches!(s.scheduler(), SchedulerConfig::Static(_));
        let mut trace = s.trace.clone();
        for (i, (q, r)) in trace.requests.iter_mut().zip(&before.records).enumerate() {
            // Longer, never shorter: what was generated by `t` stays a part of the answer.
            if if holds { r.scheduled >= t } else { r.finish >= t } {
                q.output += [7, 0, 13, 1][i % 4];
            }
        }
        let changed = Scenario { config: s.config.clone(), cost: s.cost, trace };
        let after = changed.run(false, &mut ());
        for (a, b) in before.records.iter().zip(&after.records) {
            assert_eq!(known_at(&a, t), known_at(&b, t), "{name} at {t}: {a:?} {b:?}");
        }
    });
}

/// Spans of steps per replica, and the memory rule.
#[derive(Default)]
struct Spans(Vec<(u16, SimTime, SimTime)>);

impl StepObserver for Spans {
    fn step(&mut self, event: &StepEvent<'_>) {
        assert!(event.kv_held <= event.kv_total, "KV over capacity");
        assert!(event.start < event.end && event.steps >= 1, "a step takes time");
        assert!(!event.plan.is_empty(), "an empty plan is no step");
        self.0.push((event.replica.0, event.start, event.end));
    }
}

#[test]
fn no_replica_is_idle_while_a_request_is_on_it() {
    for_all(|s, name| {
        let mut spans = Spans::default();
        let outcome = s.run(true, &mut spans);
        if matches!(s.scheduler(), SchedulerConfig::Ideal(_)) || s.cost.stages > 1 {
            return;
        }
        for replica in 0..s.config.replicas {
            let mut busy_until = SimTime::ZERO;
            for &(_, start, end) in spans.0.iter().filter(|span| span.0 == replica) {
                let idle = |r: &RequestRecord| {
                    let here = r.replica.0 == replica && r.fate == Fate::Finished;
                    here && busy_until < start && r.queued < start && r.finish > busy_until
                };
                let waiting = outcome.records.iter().find(idle);
                assert!(waiting.is_none(), "{name}: idle {busy_until} to {start}, {waiting:?} is there");
                assert!(start >= busy_until, "{name}: steps overlap on one stage");
                busy_until = end;
            }
        }
    });
}

#[test]
fn the_scenarios_reach_what_they_are_for() {
    for config in SchedulerConfig::all() {
        let (mut preempted, mut cached, mut rejected, mut swapped) = (0, 0, 0, 0);
        for seed in 0..SCENARIOS {
            let outcome = Scenario::new(&config, seed).run(false, &mut ());
            preempted += outcome.counters.preemptions;
            cached += outcome.counters.cached_tokens;
            swapped += outcome.counters.swapped_blocks;
            rejected += outcome.records.iter().filter(|r| matches!(r.fate, Fate::Rejected(_))).count();
        }
        let key = config.key();
        assert!(rejected > 0, "{key}: nobody was rejected");
        let preempts = matches!(key, "unified" | "chunked" | "prefill-first" | "iteration");
        assert_eq!(preempted > 0, preempts, "{key}: {preempted} preemptions");
        let swaps = matches!(key, "chunked" | "prefill-first");
        assert_eq!(swapped > 0, swaps, "{key}: {swapped} blocks swapped");
        let hits = !matches!(key, "static" | "ideal");
        assert_eq!(cached > 0, hits, "{key}: {cached} cached tokens");
    }
}
