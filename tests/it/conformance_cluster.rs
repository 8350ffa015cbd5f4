//! What every placement, migration, scaling policy and failure has to keep, whatever else it does: nobody is lost, leaps
//! are steps, the ledger is exact, and what has happened does not depend on answers yet to come (I1, I6, I7, I15).

use std::sync::Arc;

use windtunnel::cluster::{Changes, Deployment, Group, Joint, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{
    Allocation, Failure, FirstToken, FrontEnd, HandOver, KvConfig, Migration, MigrationKind, Network,
    Overlap, Preemption, ReplicaConfig, ReserveRule, Role, Sharing,
};
use windtunnel::ids::{ClassId, ReplicaId};

use windtunnel::metrics::record::{Fate, RequestRecord};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{Conductor, LeastLoad, RouterConfig};
use windtunnel::policy::scaling::{Range, Rule, Scaling};
use windtunnel::policy::scheduler::{Chunked, Iteration, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{PrefixChains, Request, Trace};

use crate::eut::{TestCost, at_us, islands};

const SEEDS: u64 = 10;

/// A deployment of three or four replicas.
struct Case {
    name: &'static str,
    /// Replicas by role.
    groups: Vec<(Role, u16)>,
    router: RouterConfig,
    hand_over: Option<HandOver>,
    migration: Option<Migration>,
    fetches: bool,
    /// Whether memory is reserved at admission.
    reserves: bool,
    scaling: Option<Rule>,
    fails: bool,
    sharing: Sharing,
}

fn whole(name: &'static str) -> Case {
    Case {
        name,
        groups: vec![(Role::Whole, 3)],
        router: RouterConfig::LeastTokens(LeastLoad::default()),
        hand_over: None,
        migration: None,
        fetches: false,
        reserves: false,
        scaling: None,
        fails: false,
        sharing: Sharing::Fair,
    }
}

fn apart(name: &'static str, change: impl FnOnce(&mut HandOver)) -> Case {
    let mut hand_over = HandOver {
        router: RouterConfig::LeastTokens(LeastLoad::default()),
        first_token: FirstToken::Prefill,
        same_server: false,
        queue_share: 300,
        mixed_above: 100,
        overlap: None,
    };
    change(&mut hand_over);
    let groups = vec![(Role::Prefill, 2), (Role::Decode, 2)];
    Case { groups, hand_over: Some(hand_over), ..whole(name) }
}

fn moving(name: &'static str, kind: MigrationKind) -> Case {
    let period = SimDuration::from_us(700);
    let migration =
        Migration { kind, period, out_below: 2, in_above: 3, last_stage_blocks: 1, max_stages: 2 };
    Case { migration: Some(migration), ..whole(name) }
}

fn cases() -> Vec<Case> {
    let conductor = || RouterConfig::Conductor(Conductor::default());
    let mixed = apart("a mixed pool", |_| ());
    let groups = vec![(Role::Prefill, 1), (Role::Decode, 1), (Role::Whole, 1)];
    let requests = Rule::Requests(Range { out_above: 4_000, in_below: 1_500 });
    let freeness = Rule::Freeness { out_below: 3, in_above: 8 };
    let live = || moving("live moves", MigrationKind::Live);
    vec![
        apart("apart", |_| ()),
        Case { sharing: Sharing::Fifo, ..apart("apart, one at a time", |_| ()) },
        apart("apart, decode samples first", |h| h.first_token = FirstToken::Decode),
        apart("layer by layer", |h| h.overlap = Some(Overlap { from_tokens: 40, layers: 4 })),
        Case { groups, ..mixed },
        Case { router: conductor(), fetches: true, ..apart("apart, prefixes fetched", |_| ()) },
        Case { router: conductor(), fetches: true, ..whole("prefixes fetched") },
        live(),
        moving("blocking moves", MigrationKind::Blocking),
        Case { reserves: true, name: "live moves of reservations", ..live() },
        moving("recomputing moves", MigrationKind::Recompute),
        Case { scaling: Some(requests), ..whole("scaling by requests") },
        Case { scaling: Some(Rule::Memory(Range { out_above: 700, in_below: 300 })), ..whole("by memory") },
        Case { scaling: Some(freeness), name: "scaling by freeness, live moves", ..live() },
        Case { fails: true, ..whole("failures") },
        Case { fails: true, name: "failures, live moves", ..live() },
        Case { fails: true, scaling: Some(requests), router: conductor(), fetches: true, ..whole("all") },
    ]
}

fn schedulers() -> [SchedulerConfig; 4] {
    [
        SchedulerConfig::Unified(Unified { max_sequences: 8, token_budget: 256, ..Unified::default() }),
        SchedulerConfig::Chunked(Chunked { token_budget: 64, max_sequences: 8, hybrid: true }),
        SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 256, max_sequences: 8 }),
        SchedulerConfig::Iteration(Iteration { max_batch: 8 }),
    ]
}

/// One random trace with the memory and the changes that go with it.
struct Draw {
    replica: ReplicaConfig,
    scaling: Scaling,
    failures: Vec<Failure>,
    trace: Trace,
}

fn draw(case: &Case, n: usize, seed: u64) -> Draw {
    let draw = |index, below| stream(seed, case.name, n as u64, index).below(below);
    let (mut at, mut requests) = (0, Vec::new());
    let (mut starts, mut ids) = (vec![0], Vec::new());
    for i in 0..60 {
        at += draw(4 * i, 5_000);
        let (prompt, output) = (1 + draw(4 * i + 1, 150) as u32, 1 + draw(4 * i + 2, 120) as u32);
        let class = ClassId(0);
        requests.push(Request { arrival: at_us(at), prompt, output, max_tokens: 200, class });
        let family = draw(4 * i + 3, 5);
        ids.extend((0..u64::from(prompt.div_ceil(16))).map(|block| family * 100 + block));
        starts.push(ids.len() as u32);
    }
    let prefixes = Some(Arc::new(PrefixChains { tokens_per_id: 16, starts, ids }));
    let trace = Trace { requests, classes: vec!["all".to_owned()], prefixes, ..Trace::default() };
    let swaps = n > 0 && seed.is_multiple_of(2);
    let replica = ReplicaConfig {
        scheduler: schedulers()[n].clone(),
        kv: KvConfig {
            block: 16,
            blocks: if case.reserves { 60 } else { 30 },
            allocation: match case.reserves {
                true => Allocation::Reserve(ReserveRule::MaxTokens),
                false => Allocation::Paged { watermark: 0 },
            },
            preemption: if swaps { Preemption::Swap { host_blocks: 10 } } else { Preemption::Recompute },
            prefix_cache: case.fetches || seed.is_multiple_of(3),
        },
        max_model_len: 16_384,
        late_stop: n == 0 && seed % 2 == 1,
        order: Order::Fcfs,
        host_cache: if case.fetches { 20 } else { 0 },
    };
    let scaling = Scaling {
        rule: case.scaling.unwrap_or(Rule::Freeness { out_below: 0, in_above: 0 }),
        initial: 1,
        min: 1,
        period: SimDuration::from_us(1_000 + draw(1_000, 4_000)),
        cold_start: SimDuration::from_us(draw(1_001, 20_000)),
        hold: 1 + draw(1_002, 2) as u32,
        max_starting: 1,
    };
    let failure = |i: u64| Failure {
        replica: ReplicaId(draw(2_000 + 4 * i, 3) as u16),
        at: at_us(50_000 * i + draw(2_001 + 4 * i, 50_000)),
        detection: SimDuration::from_us(draw(2_002 + 4 * i, 5_000)),
        repair: SimDuration::from_us(draw(2_003 + 4 * i, 60_000)),
    };
    let failures = if case.fails { (0..3).map(failure).collect() } else { Vec::new() };
    Draw { replica, scaling, failures, trace }
}

fn run(case: &Case, draw: &Draw, trace: &Trace, stepwise: bool) -> Outcome {
    let cost = TestCost { stages: 1, per_context: SimDuration::from_ps(1000) };
    let replicas: u32 = case.groups.iter().map(|&(_, count)| u32::from(count)).sum();
    let latency = SimDuration::from_us(10);
    let network: Network = islands(replicas, 10_000_000_000, latency, case.sharing, 1_000_000);
    let group = |&(role, replicas)| Group { replica: &draw.replica, replicas, cost: &cost, role };
    let joint = Joint {
        network: &network,
        hand_over: case.hand_over.as_ref(),
        migration: case.migration.as_ref(),
        prefix_fetch: case.fetches,
    };
    let is_joint = case.fetches || case.hand_over.is_some() || case.migration.is_some();
    let scaling = case.scaling.is_some().then_some(&draw.scaling);
    let changes = Changes { scaling, failures: &draw.failures };
    let deployment = Deployment {
        groups: case.groups.iter().map(group).collect(),
        router: &case.router,
        joint: is_joint.then_some(joint),
        changes: (case.fails || scaling.is_some()).then_some(changes),
        headroom: &[],
        front_end: FrontEnd::NONE,
        seed: 0,
    };
    let options = RunOptions { audit: true, stepwise, ..RunOptions::default() };
    simulate_deployment(&deployment, trace, &options, &mut ()).expect("no violation")
}

fn for_all(check: impl Fn(&Case, &Draw, &str)) {
    for case in cases() {
        for n in 0..schedulers().len() {
            for seed in 0..SEEDS {
                let drawn = draw(&case, n, seed);
                let scheduler = drawn.replica.scheduler.key();
                check(&case, &drawn, &format!("{}, {scheduler}, seed {seed}", case.name));
            }
        }
    }
}

#[test]
fn nobody_is_lost_and_leaps_are_steps() {
    for_all(|case, drawn, name| {
        let (leaps, steps) = (run(case, drawn, &drawn.trace, false), run(case, drawn, &drawn.trace, true));
        assert_eq!((leaps.end, &leaps.traffic), (steps.end, &steps.traffic), "{name}");
        assert_eq!((&leaps.records, &leaps.fleet), (&steps.records, &steps.fleet), "{name}");
        for (r, q) in leaps.records.iter().zip(&drawn.trace.requests) {
            assert_eq!((r.fate, r.prompt, r.output), (Fate::Finished, q.prompt, q.output), "{name}: {r:?}");
            assert_eq!(r.ledger.total(), r.e2e(), "{name}: {r:?}");
        }
    });
}

/// Instants of a record as they were known at `t`.
fn known_at(r: &RequestRecord, t: SimTime) -> [SimTime; 4] {
    [r.queued, r.scheduled, r.first_token, r.finish].map(|instant| instant.min(t))
}

#[test]
fn the_past_does_not_depend_on_answers_yet_to_come() {
    for_all(|case, drawn, name| {
        let before = run(case, drawn, &drawn.trace, false);
        let t = SimTime::from_ps(before.end.as_ps() / 2);
        let mut trace = drawn.trace.clone();
        for (q, r) in trace.requests.iter_mut().zip(&before.records).filter(|(_, r)| r.finish >= t) {
            q.output += 1 + r.id.0 % 9;
        }
        let after = run(case, drawn, &trace, false);
        for (a, b) in before.records.iter().zip(&after.records) {
            assert_eq!(known_at(&a, t), known_at(&b, t), "{name} at {t}: {a:?} {b:?}");
        }
    });
}

/// Each case does what it is for.
#[test]
fn the_cases_reach_what_they_are_for() {
    for case in cases() {
        let (mut moved, mut sent, mut fetched, mut changed, mut lost) = (0, 0, 0, 0, 0);
        for n in 0..schedulers().len() {
            for seed in 0..SEEDS {
                let drawn = draw(&case, n, seed);
                let outcome = run(&case, &drawn, &drawn.trace, false);
                (moved, sent) =
                    (moved + outcome.traffic.moves.moved, sent + outcome.traffic.transfers.transfers);
                fetched += outcome.traffic.fetches;
                let usage = outcome.fleet.unwrap_or_default();
                (changed, lost) = (changed + usage.scaled_out + usage.scaled_in, lost + usage.lost);
            }
        }
        let seen = format!("{}: {moved} {sent} {fetched} {changed} {lost}", case.name);
        assert_eq!(case.migration.is_some(), moved > 50, "{seen}");
        assert_eq!(case.fetches, fetched > 50, "{seen}");
        assert_eq!(case.scaling.is_some(), changed > 50, "{seen}");
        assert_eq!(case.fails, lost > 50, "{seen}");
        assert!(case.hand_over.is_none() || sent > 1_000, "{seen}");
    }
}
