//! The router `conductor`, early rejection, and prefixes that are fetched (docs/semantics.md §16).

use std::sync::Arc;

use windtunnel::cluster::{Changes, Deployment, Group, Joint, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{
    Admission, Allocation, Failure, FrontEnd, KvConfig, Preemption, ReplicaConfig, Role, Sharing,
};
use windtunnel::ids::{ClassId, ReplicaId};
use windtunnel::metrics::record::{Cause, Fate, Rejection};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{Conductor, Forecast, RouterConfig};
use windtunnel::policy::scheduler::{Chunked, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::SimDuration;
use windtunnel::workload::{PrefixChains, Request, Trace};

use crate::eut::{TestCost, at_us, islands};

struct Setup {
    replicas: u16,
    replica: ReplicaConfig,
    router: Conductor,
    fetch: bool,
    /// Bytes per second of every port.
    rate: u64,
    failures: Vec<Failure>,
    timeout: Option<SimDuration>,
}

/// Two replicas of 256 blocks of 16 tokens of 1 MB, with 512 blocks of host memory each.
fn two() -> Setup {
    let replica = ReplicaConfig {
        scheduler: SchedulerConfig::Unified(Unified { token_budget: 8192, ..Unified::default() }),
        kv: KvConfig {
            block: 16,
            blocks: 256,
            allocation: Allocation::Paged { watermark: 0 },
            preemption: Preemption::Recompute,
            prefix_cache: true,
        },
        max_model_len: 4096,
        late_stop: false,
        order: Order::Fcfs,
        host_cache: 512,
    };
    let (router, rate, failures) = (Conductor::default(), 63_000_000_000, Vec::new());
    Setup { replicas: 2, replica, router, fetch: true, rate, failures, timeout: None }
}

impl Setup {
    fn run(&self, trace: &Trace, stepwise: bool) -> Outcome {
        let cost = TestCost { stages: 1, per_context: SimDuration::from_ps(1000) };
        let latency = SimDuration::from_us(10);
        let network = islands(u32::from(self.replicas), self.rate, latency, Sharing::Fair, 1_000_000);
        let group = Group { replica: &self.replica, replicas: self.replicas, cost: &cost, role: Role::Whole };
        let joint = Joint { network: &network, hand_over: None, migration: None, prefix_fetch: self.fetch };
        let changes = Changes { scaling: None, failures: &self.failures };
        let deployment = Deployment {
            groups: vec![group],
            router: &RouterConfig::Conductor(self.router.clone()),
            joint: Some(joint),
            changes: (!self.failures.is_empty()).then_some(changes),
            headroom: &[],
            front_end: FrontEnd {
                admission: Admission { timeout: self.timeout, ..Admission::OPEN },
                ..FrontEnd::NONE
            },
            seed: 0,
        };
        let options = RunOptions { audit: true, stepwise, ..RunOptions::default() };
        simulate_deployment(&deployment, trace, &options, &mut ()).expect("no violation")
    }
}

/// Rows of (arrival in us, prompt, output, family): prompts of a family begin alike as far as both go.
fn trace(rows: &[(u64, u32, u32, u64)]) -> Trace {
    let row = |&(us, prompt, output, _): &(u64, u32, u32, u64)| Request {
        arrival: at_us(us),
        prompt,
        output,
        max_tokens: output,
        class: ClassId(0),
    };
    let (mut starts, mut ids) = (vec![0], Vec::new());
    for &(_, prompt, _, family) in rows {
        ids.extend((0..u64::from(prompt.div_ceil(32))).map(|i| family * 1_000 + i));
        starts.push(u32::try_from(ids.len()).unwrap());
    }
    let prefixes = Some(Arc::new(PrefixChains { tokens_per_id: 32, starts, ids }));
    Trace {
        requests: rows.iter().map(row).collect(),
        classes: vec!["all".to_owned()],
        prefixes,
        ..Trace::default()
    }
}

fn chosen(outcome: &Outcome) -> Vec<u16> {
    outcome.records.iter().map(|r| r.replica.0).collect()
}

/// A prompt of 1,024 tokens takes 2.024 ms, 1.016 ms after 63 known blocks, which take 1.01 ms from the other replica and
/// 6.3 ms from host memory.
const CROWD: [(u64, u32, u32, u64); 4] =
    [(0, 1024, 1, 1), (10_000, 1024, 1, 1), (10_100, 1024, 1, 1), (30_000, 1024, 1, 1)];

#[test]
fn a_replica_fetches_what_it_lacks_when_the_one_that_has_it_is_busy() {
    let outcome = two().run(&trace(&CROWD), false);
    // The third: 1.016 queued and 1.016 for itself there, against 1.010 for the way and 1.016 here.
    assert_eq!(chosen(&outcome), [0, 0, 1, 0]);
    let third = outcome.records.get(2);
    assert_eq!((third.queued, third.scheduled), (at_us(11_110), at_us(11_110)));
    assert_eq!(third.ledger.get(Cause::Router), SimDuration::from_us(1_010));
    assert_eq!(third.first_token, at_us(11_110 + 1_016 + 6_300));
    assert_eq!((outcome.traffic.fetches, outcome.traffic.transfers.transfers), (1, 1));
    assert_eq!(outcome.traffic.transfers.bytes, 63_000_000);
    assert_eq!(outcome.counters.host_cached_tokens, 1_008);
    assert_eq!(outcome.counters.cached_tokens, 3 * 1_008);
}

#[test]
fn without_fetching_it_computes_the_prompt_again() {
    let outcome = Setup { fetch: false, ..two() }.run(&trace(&CROWD), false);
    assert_eq!(chosen(&outcome), [0, 0, 1, 0]);
    let third = outcome.records.get(2);
    assert_eq!((third.queued, third.first_token), (at_us(10_100), at_us(12_124)));
    assert_eq!((outcome.traffic.fetches, outcome.counters.cached_tokens), (0, 2 * 1_008));
}

/// 31 of 63 blocks are there already: a replica with `balance = 3` computes the others.
#[test]
fn what_a_replica_has_of_a_prefix_is_weighed() {
    // The second and third take turns on both replicas so that each knows the first 500 tokens.
    let rows = [(0, 1024, 1, 1), (0, 500, 1, 1), (10_000, 1024, 1, 1), (10_100, 1024, 1, 1)];
    let run = |balance| {
        let router = Conductor { balance, ..Conductor::default() };
        Setup { router, ..two() }.run(&trace(&rows), false)
    };
    assert_eq!(chosen(&run(1.0)), [0, 1, 0, 1]);
    assert_eq!(chosen(&run(3.0)), [0, 1, 0, 1]);
    assert_eq!((run(1.0).traffic.fetches, run(3.0).traffic.fetches), (1, 0));
    // 32 blocks come; 528 tokens are computed beside 496 known ones.
    assert_eq!(run(1.0).traffic.transfers.bytes, 32_000_000);
    assert_eq!(run(3.0).records.get(3).first_token, at_us(10_100 + 1_528));
}

#[test]
fn who_would_come_too_late_is_refused() {
    let router = Conductor { reject_after: Some(SimDuration::from_us(2_500)), ..Conductor::default() };
    let setup = Setup { replicas: 1, router, ..two() };
    // 1.5 ms; 1.5 behind it are 3.0; 0.9 behind it are 2.4; what the first one left: 1.4 behind both.
    let rows = [(0, 500, 1, 1), (100, 500, 1, 2), (200, 0, 1, 3), (300, 400, 1, 4)];
    let rows = rows.map(|(us, prompt, output, family)| (us, prompt.max(1), output, family));
    let outcome = setup.run(&trace(&rows), false);
    let refused: Vec<bool> =
        outcome.records.iter().map(|r| r.fate == Fate::Rejected(Rejection::Overloaded)).collect();
    // 1.500; 3.000; 2.501, just too late; 2.900.
    assert_eq!(refused, [false, true, true, true]);
    let late = outcome.records.get(1);
    assert_eq!((late.queued, late.finish, late.ledger.total()), (at_us(100), at_us(100), SimDuration::ZERO));
}

#[test]
fn answers_are_counted_as_they_are_or_as_they_are_foreseen() {
    let run = |forecast, answer_us| {
        let router = Conductor {
            answers: Some(2),
            forecast,
            answer_time: SimDuration::from_us(answer_us),
            ..Conductor::default()
        };
        let setup = Setup { replicas: 1, router, ..two() };
        // Answers of about 100 ms each. The second request comes while the first prompt is computed.
        let rows = [(0, 100, 100, 1), (500, 100, 100, 2), (1_000, 100, 100, 3), (30_000, 100, 100, 4)];
        let outcome = setup.run(&trace(&rows), false);
        outcome.records.iter().map(|r| r.fate == Fate::Finished).collect::<Vec<_>>()
    };
    // Nobody writes yet when the third comes; three do when the fourth comes.
    assert_eq!(run(Forecast::Now, 1), [true, true, true, false]);
    // Two will when the third has its prompt done.
    assert_eq!(run(Forecast::PromptDone, 100_000), [true, true, false, false]);
    // Answers believed to be short are over by then.
    assert_eq!(run(Forecast::PromptDone, 10_000), [true, true, false, true]);
}

#[test]
fn what_a_client_gave_up_on_comes_all_the_same() {
    let setup = Setup { rate: 18_000_000_000, timeout: Some(SimDuration::from_us(3_000)), ..two() };
    let rows = [
        (0, 1024, 1, 1),
        (10_000, 3000, 1, 2),
        (10_100, 1024, 1, 1),
        (14_100, 1800, 1, 3),
        (14_200, 1024, 1, 1),
    ];
    let outcome = setup.run(&trace(&rows), false);
    // 3.51 ms on the way: it has given up by then.
    let gone = outcome.records.get(2);
    assert_eq!((gone.fate, gone.finish), (Fate::TimedOut, at_us(13_100)));
    assert_eq!(gone.ledger.get(Cause::Router), SimDuration::from_us(3_000));
    assert_eq!(outcome.traffic.fetches, 1);
    let last = outcome.records.get(4);
    assert_eq!((last.replica, last.queued), (ReplicaId(1), at_us(14_200)));
    assert_eq!(outcome.counters.host_cached_tokens, 1_008, "it finds what came");
}

/// Leaps are steps, whatever is fetched, evicted, refused or lost.
#[test]
fn leaps_are_steps() {
    let schedulers = [
        SchedulerConfig::Unified(Unified { max_sequences: 8, token_budget: 256, ..Unified::default() }),
        SchedulerConfig::Chunked(Chunked { token_budget: 128, max_sequences: 8, hybrid: true }),
        SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 512, max_sequences: 8 }),
    ];
    let (mut fetches, mut hits, mut refused, mut gave_up, mut lost) = (0, 0, 0, 0, 0);
    for (n, scheduler) in schedulers.into_iter().enumerate() {
        for seed in 0..80u64 {
            let draw = |index, below| stream(seed, "conductor-test", n as u64, index).below(below);
            let mut at = 0;
            let rows: Vec<(u64, u32, u32, u64)> = (0..90)
                .map(|i| {
                    at += draw(4 * i, 5_000);
                    let prompt = 1 + draw(4 * i + 1, 250) as u32;
                    (at, prompt, 1 + draw(4 * i + 2, 90) as u32, draw(4 * i + 3, 6))
                })
                .collect();
            let mut replica = ReplicaConfig { scheduler: scheduler.clone(), ..two().replica };
            (replica.kv.blocks, replica.host_cache) = (30, 1 + draw(1_000, 40) as u32);
            let router = Conductor {
                balance: 1.0 + draw(1_001, 3) as f64 / 2.0,
                reject_after: (seed % 4 == 0).then_some(SimDuration::from_us(4_000)),
                answers: (seed % 4 == 1).then_some(4),
                forecast: if seed % 8 == 1 { Forecast::Now } else { Forecast::PromptDone },
                answer_time: SimDuration::from_us(20_000),
            };
            let failures = (0..draw(1_002, 4) * u64::from(seed % 3 == 0)).map(|i| Failure {
                replica: ReplicaId(i as u16),
                at: at_us(40_000 * i + draw(2_000 + i, 40_000)),
                detection: SimDuration::from_us(draw(2_010 + i, 5_000)),
                repair: SimDuration::from_us(draw(2_020 + i, 60_000)),
            });
            let setup = Setup {
                replicas: 3,
                replica,
                router,
                fetch: true,
                rate: 1_000_000_000 + draw(1_003, 40) * 1_000_000_000,
                failures: failures.collect(),
                timeout: (seed % 5 == 0).then_some(SimDuration::from_ms(60)),
            };
            let trace = trace(&rows);
            let (leaps, steps) = (setup.run(&trace, false), setup.run(&trace, true));
            assert_eq!((leaps.end, &leaps.traffic), (steps.end, &steps.traffic), "{n}, seed {seed}");
            for (leap, step) in leaps.records.iter().zip(steps.records.iter()) {
                assert_eq!(leap, step, "scheduler {n}, seed {seed}");
                assert_eq!(leap.ledger.total(), leap.finish - leap.arrival, "I15: {n}, seed {seed}");
                gave_up += u64::from(leap.fate == Fate::TimedOut);
                refused += u64::from(leap.fate == Fate::Rejected(Rejection::Overloaded));
            }
            fetches += leaps.traffic.fetches;
            hits += leaps.counters.host_cached_tokens;
            lost += leaps.fleet.as_ref().map_or(0, |usage| usage.lost);
        }
    }
    let seen =
        format!("{fetches} fetched, {hits} tokens loaded, {refused} refused, {gave_up} gave up, {lost} lost");
    assert!(fetches > 2_000 && hits > 20_000 && refused > 500 && gave_up > 50 && lost > 50, "{seen}");
}
