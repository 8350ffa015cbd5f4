//! Routers: the registry, what each of them reads, and decisions that can be checked by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use windtunnel::cluster::{Deployment, Group, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{
    Admission, Allocation, FrontEnd, KvConfig, Preemption, ReplicaConfig, Role,
};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::{Fate, Rejection};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{
    Freest, Knowledge, LeastLoad, MemoryLoad, PowerOfTwo, PrefixAffinity, Random, RoundRobin, RouterConfig,
    Session,
};
use windtunnel::policy::scheduler::{SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::SimDuration;
use windtunnel::workload::{NO_SESSION, PrefixChains, Request, Trace};

use crate::eut::{TestCost, at_us};

const COST: TestCost = TestCost { stages: 1, per_context: SimDuration::ZERO };

fn replica(blocks: u32) -> ReplicaConfig {
    ReplicaConfig {
        scheduler: SchedulerConfig::Unified(Unified::default()),
        kv: KvConfig {
            block: 16,
            blocks,
            allocation: Allocation::Paged { watermark: 0 },
            preemption: Preemption::Recompute,
            prefix_cache: true,
        },
        max_model_len: 4096,
        late_stop: false,
        order: Order::Fcfs,
        host_cache: 0,
    }
}

/// Rows of (arrival in us, prompt, output).
fn rows(rows: &[(u64, u32, u32)]) -> Trace {
    let row = |&(at, prompt, output): &(u64, u32, u32)| Request {
        arrival: at_us(at),
        prompt,
        output,
        max_tokens: output,
        class: ClassId(0),
    };
    Trace { requests: rows.iter().map(row).collect(), classes: vec!["all".to_owned()], ..Trace::default() }
}

/// So many requests, 100 us apart, each for about 50 ms.
fn crowd(requests: u64) -> Trace {
    rows(&(0..requests).map(|i| (i * 100, 40, 50)).collect::<Vec<_>>())
}

struct Setup {
    replicas: u16,
    router: RouterConfig,
    admission: Admission,
    seed: u64,
}

fn three(router: RouterConfig) -> Setup {
    Setup { replicas: 3, router, admission: Admission::OPEN, seed: 1 }
}

impl Setup {
    #[track_caller]
    fn run(&self, trace: &Trace) -> Outcome {
        let replica = replica(256);
        let groups =
            vec![Group { replica: &replica, replicas: self.replicas, cost: &COST, role: Role::Whole }];
        run(
            &Deployment {
                groups,
                router: &self.router,
                joint: None,
                changes: None,
                headroom: &[],
                front_end: FrontEnd { admission: self.admission, ..FrontEnd::NONE },
                seed: self.seed,
            },
            trace,
        )
    }
}

#[track_caller]
fn run(deployment: &Deployment<'_>, trace: &Trace) -> Outcome {
    let options = RunOptions { audit: true, ..RunOptions::default() };
    simulate_deployment(deployment, trace, &options, &mut ()).expect("no violation")
}

/// The replica of each request.
fn chosen(outcome: &Outcome) -> Vec<u16> {
    outcome.records.iter().map(|r| r.replica.0).collect()
}

#[test]
fn every_line_of_the_registry_is_complete() {
    let all = RouterConfig::all();
    let keys: BTreeSet<&str> = all.iter().map(RouterConfig::key).collect();
    assert_eq!((keys.len(), all.len()), (11, 11), "keys are unique");
    for config in &all {
        let key = config.key();
        assert!(!config.summary().is_empty() && !config.summary().ends_with('.'), "{key}");
        assert_eq!(config.validate(), Ok(()), "defaults of {key}");
        let text = serde_json::to_string(config).expect("serialises");
        assert!(text.starts_with(&format!("{{\"{key}\":")), "{text}");
        assert_eq!(&serde_json::from_str::<RouterConfig>(&text).expect("reads back"), config);
        assert!(
            serde_json::from_str::<RouterConfig>(&format!("{{\"{key}\":{{\"stale\":1}}}}")).is_err(),
            "{key}"
        );
    }
}

/// Whoever reads nothing costs nothing; the others read what they compare and no more, at any staleness.
#[test]
fn a_router_reads_only_the_replicas_it_asks_for() {
    let stale = SimDuration::from_ms(7);
    let expected = [
        (RouterConfig::RoundRobin(RoundRobin {}), 0),
        (RouterConfig::Random(Random {}), 0),
        (RouterConfig::PowerOfTwo(PowerOfTwo { staleness: stale, ..PowerOfTwo::default() }), 2),
        (RouterConfig::LeastRequests(LeastLoad { staleness: stale, ..LeastLoad::default() }), 3),
        (RouterConfig::MemoryLoad(MemoryLoad::default()), 3),
        (RouterConfig::Freeness(Freest {}), 3),
    ];
    for (router, reads) in expected {
        let key = router.key();
        let outcome = three(router).run(&crowd(60));
        assert_eq!(outcome.counters.router_reads, reads * 60, "{key}");
    }
}

/// Stale signals are read when they are asked for: no event is added to the run.
#[test]
fn staleness_adds_no_event() {
    let events = |staleness| {
        let router = RouterConfig::MemoryLoad(MemoryLoad { staleness, ..MemoryLoad::default() });
        let outcome = Setup { replicas: 1, ..three(router) }.run(&crowd(60));
        (outcome.counters.events, outcome.counters.plans, outcome.end)
    };
    assert_eq!(events(SimDuration::ZERO), events(SimDuration::from_us(10)));
}

#[test]
fn random_and_power_of_two_draw_by_request() {
    let random = |seed| chosen(&Setup { seed, ..three(RouterConfig::Random(Random {})) }.run(&crowd(40)));
    let drawn: Vec<u16> = (0..40).map(|q| stream(7, "router", q, 0).below(3) as u16).collect();
    assert_eq!(random(7), drawn);
    assert_ne!(random(8), drawn);

    // Nothing ends while the requests come: the counts are those of the dispatches before.
    let two = three(RouterConfig::PowerOfTwo(PowerOfTwo::default()));
    let mut counts = [0u32; 3];
    for (q, &k) in (0u64..).zip(&chosen(&two.run(&crowd(40)))) {
        let a = stream(1, "router", q, 0).below(3) as usize;
        let b = stream(1, "router", q, 1).below(2) as usize;
        let b = if b >= a { b + 1 } else { b };
        let expected = if counts[b] < counts[a] { b } else { a };
        assert_eq!(usize::from(k), expected, "request {q}, {counts:?}");
        counts[usize::from(k)] += 1;
    }
    assert!(counts.iter().all(|&n| n > 8), "{counts:?}");
}

/// One long prompt weighs more than two short ones in memory, and less in requests.
#[test]
fn memory_load_counts_blocks_and_the_queue() {
    let trace = rows(&[(0, 1000, 50), (1, 40, 50), (2, 40, 50), (3, 40, 50)]);
    let two = |router| chosen(&Setup { replicas: 2, ..three(router) }.run(&trace));
    assert_eq!(two(RouterConfig::MemoryLoad(MemoryLoad::default())), [0, 1, 1, 1]);
    assert_eq!(two(RouterConfig::LeastRequests(LeastLoad::default())), [0, 1, 0, 1]);
    assert_eq!(two(RouterConfig::LeastTokens(LeastLoad::default())), [0, 1, 1, 1]);
    // All at one instant nothing is admitted yet: what the queue asks for decides.
    let at_once = rows(&[(0, 1000, 50), (0, 40, 50), (0, 40, 50), (0, 40, 50)]);
    let router = RouterConfig::MemoryLoad(MemoryLoad::default());
    assert_eq!(chosen(&Setup { replicas: 2, ..three(router) }.run(&at_once)), [0, 1, 1, 1]);
}

#[test]
fn a_session_stays_where_it_began() {
    let mut trace = crowd(8);
    trace.sessions = Some(vec![0, 1, NO_SESSION, 0, 0, 1, NO_SESSION, 0]);
    let chosen = chosen(&three(RouterConfig::Session(Session::default())).run(&trace));
    assert_eq!(chosen, [0, 1, 2, 0, 0, 1, 2, 0]);
}

/// Prompts of 64 tokens in two families; ids of 32 tokens.
fn families(of: &[u64]) -> Trace {
    let mut trace = rows(&(0u64..).zip(of).map(|(i, _)| (i * 100, 64, 200)).collect::<Vec<_>>());
    let ids = of.iter().flat_map(|f| [f * 10 + 1, f * 10 + 2]).collect();
    let starts = (0..=of.len() as u32).map(|i| i * 2).collect();
    trace.prefixes = Some(Arc::new(PrefixChains { tokens_per_id: 32, starts, ids }));
    trace
}

#[test]
fn a_prefix_stays_where_it_is_known_until_loads_are_far_apart() {
    let trace = families(&[1, 2, 1, 1, 2, 1, 1, 1]);
    for knowledge in [Knowledge::Dispatched, Knowledge::Reported] {
        let affinity = |imbalance_requests| {
            let p = PrefixAffinity { knowledge, imbalance_requests, ..PrefixAffinity::default() };
            let outcome = three(RouterConfig::PrefixAffinity(p)).run(&trace);
            (chosen(&outcome), outcome.counters.cached_tokens)
        };
        // Reported: at 200 us the first prompts are being computed, and so their keys are entered.
        let (chosen, cached) = affinity(32);
        assert_eq!(chosen, [0, 1, 0, 0, 1, 0, 0, 0], "{knowledge:?}");
        // Six hits of 48 tokens: a whole prompt is never hit.
        assert_eq!(cached, 6 * 48, "{knowledge:?}");
        // Three more than the idlest replica are too many: the guard sends the request there.
        assert_eq!(affinity(2).0, [0, 1, 0, 0, 2, 0, 1, 2], "{knowledge:?}");
    }
}

/// Replicas of 64 and of 256 blocks: per capacity the larger one gets the larger share.
#[test]
fn unequal_replicas_get_what_they_can_hold() {
    let (small, large) = (replica(64), replica(256));
    let slow = TestCost { per_context: SimDuration::from_ps(500_000), ..COST };
    let share = |router: &RouterConfig| {
        let groups = vec![
            Group { replica: &small, replicas: 1, cost: &slow, role: Role::Whole },
            Group { replica: &large, replicas: 1, cost: &COST, role: Role::Whole },
        ];
        let deployment = Deployment {
            groups,
            router,
            joint: None,
            changes: None,
            headroom: &[],
            front_end: FrontEnd::NONE,
            seed: 0,
        };
        let outcome = run(&deployment, &crowd(60));
        assert!(outcome.records.iter().all(|r| r.fate == Fate::Finished));
        chosen(&outcome).iter().filter(|&&k| k == 0).count()
    };
    let least =
        |per_capacity| RouterConfig::LeastRequests(LeastLoad { per_capacity, ..LeastLoad::default() });
    assert_eq!(share(&least(true)), 12, "a fifth of the blocks, a fifth of the requests");
    assert!(share(&least(false)) > 20);
    assert!(share(&RouterConfig::MemoryLoad(MemoryLoad::default())) < 16);
}

#[test]
fn admission_limits_turn_requests_away_and_say_why() {
    let limits = Admission { max_outstanding: Some(4), ..Admission::OPEN };
    let setup = Setup { admission: limits, ..three(RouterConfig::RoundRobin(RoundRobin {})) };
    let outcome = setup.run(&crowd(10));
    let fates: Vec<Fate> = outcome.records.iter().map(|r| r.fate).collect();
    assert_eq!(fates[..4], [Fate::Finished; 4]);
    assert_eq!(fates[4..], [Fate::Rejected(Rejection::Overloaded); 6]);
    // One request waits while the first step runs, so that the third and later ones are too many.
    let limits = Admission { max_queue: Some(1), ..Admission::OPEN };
    let setup = Setup { replicas: 1, admission: limits, ..three(RouterConfig::RoundRobin(RoundRobin {})) };
    let finished = setup.run(&crowd(10)).records.iter().filter(|r| r.fate == Fate::Finished).count();
    assert_eq!(finished, 2);
}
