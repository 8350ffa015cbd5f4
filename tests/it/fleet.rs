//! Replicas that come and go: scaling at known instants, failures, nobody lost, leaps against steps.

use windtunnel::cluster::{Changes, Deployment, Group, Joint, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{
    Admission, Allocation, Failure, FrontEnd, KvConfig, Migration, MigrationKind, Preemption, ReplicaConfig,
    Role, Sharing,
};
use windtunnel::ids::{ClassId, ReplicaId, RequestId};
use windtunnel::metrics::record::{Cause, Fate, RequestRecord};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{RoundRobin, RouterConfig};
use windtunnel::policy::scaling::{Range, Rule, Scaling};
use windtunnel::policy::scheduler::{Chunked, Iteration, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Request, Trace};

use crate::eut::{TestCost, at_us, islands};

struct Setup {
    replicas: u16,
    replica: ReplicaConfig,
    router: RouterConfig,
    migration: Option<Migration>,
    scaling: Option<Scaling>,
    failures: Vec<Failure>,
    stages: u8,
    timeout: Option<SimDuration>,
}

fn replica(scheduler: SchedulerConfig, blocks: u32, preemption: Preemption) -> ReplicaConfig {
    let allocation = Allocation::Paged { watermark: 0 };
    ReplicaConfig {
        scheduler,
        kv: KvConfig { block: 16, blocks, allocation, preemption, prefix_cache: false },
        max_model_len: 16_384,
        late_stop: false,
        order: Order::Fcfs,
        host_cache: 0,
    }
}

fn unified() -> SchedulerConfig {
    SchedulerConfig::Unified(Unified::default())
}

fn round_robin() -> RouterConfig {
    RouterConfig::RoundRobin(RoundRobin {})
}

impl Setup {
    /// `replicas` with much memory and nothing that changes.
    fn of(replicas: u16) -> Setup {
        Setup {
            replicas,
            replica: replica(unified(), 1000, Preemption::Recompute),
            router: round_robin(),
            migration: None,
            scaling: None,
            failures: Vec::new(),
            stages: 1,
            timeout: None,
        }
    }

    fn run(&self, trace: &Trace, stepwise: bool) -> Outcome {
        let cost = TestCost { stages: self.stages, per_context: SimDuration::from_ps(1000) };
        let latency = SimDuration::from_us(10);
        let network = islands(u32::from(self.replicas), 10_000_000_000, latency, Sharing::Fair, 1_000_000);
        let group = Group { replica: &self.replica, replicas: self.replicas, cost: &cost, role: Role::Whole };
        let migration = self.migration.as_ref();
        let changes = Changes { scaling: self.scaling.as_ref(), failures: &self.failures };
        let changes = (self.scaling.is_some() || !self.failures.is_empty()).then_some(changes);
        let deployment = Deployment {
            groups: vec![group],
            router: &self.router,
            joint: migration.map(|m| Joint {
                network: &network,
                hand_over: None,
                migration: Some(m),
                prefix_fetch: false,
            }),
            changes,
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

fn trace(rows: &[(u64, u32, u32)]) -> Trace {
    let rows = rows.iter().map(|&(us, prompt, output)| Request {
        arrival: at_us(us),
        prompt,
        output,
        max_tokens: output,
        class: ClassId(0),
    });
    Trace { requests: rows.collect(), classes: vec!["all".to_owned()], ..Trace::default() }
}

fn record(outcome: &Outcome, id: u32) -> RequestRecord {
    outcome.records.iter().nth(id as usize).expect("a record for each request")
}

fn fails(replica: u16, at_ms: u64, repair_ms: u64) -> Failure {
    Failure {
        replica: ReplicaId(replica),
        at: SimTime::ZERO + SimDuration::from_ms(at_ms),
        detection: SimDuration::from_ms(7),
        repair: SimDuration::from_ms(repair_ms),
    }
}

fn requests_rule(out_above: u64, in_below: u64) -> Scaling {
    Scaling {
        rule: Rule::Requests(Range { out_above, in_below }),
        initial: 1,
        min: 1,
        period: SimDuration::from_ms(10),
        cold_start: SimDuration::from_ms(25),
        hold: 2,
        max_starting: 1,
    }
}

#[test]
fn a_request_whose_replica_fails_goes_on_elsewhere_with_the_tokens_it_has() {
    let rows = [(0, 100, 200), (0, 100, 200)];
    let plain = Setup::of(2).run(&trace(&rows), false);
    let setup = Setup { failures: vec![fails(1, 50, 1_000_000)], ..Setup::of(2) };
    let outcome = setup.run(&trace(&rows), false);
    assert_eq!(outcome.fleet.as_ref().map(|f| (f.failures, f.lost)), Some((1, 1)));
    assert_eq!(record(&outcome, 0).replica, ReplicaId(0));
    let lost = record(&outcome, 1);
    assert_eq!((lost.replica, lost.fate, lost.output), (ReplicaId(0), Fate::Finished, 200));
    assert_eq!(lost.first_token, record(&plain, 1).first_token, "it had its first token before");
    // What it had is computed again, and the time from its last token there to its next one here is a loss.
    assert!(lost.recomputed > 100 && lost.preemptions == 1, "{lost:?}");
    let loss = lost.ledger.get(Cause::PreemptionLoss);
    assert!(loss >= SimDuration::from_ms(7) && loss < SimDuration::from_ms(20), "{loss}");
    assert!(lost.gap_max >= loss && lost.finish > record(&plain, 1).finish);
}

#[test]
fn without_a_replica_requests_wait_at_the_router_until_one_is_repaired() {
    let setup = Setup { failures: vec![fails(0, 10, 100)], ..Setup::of(1) };
    let outcome = setup.run(&trace(&[(0, 10, 2), (20_000, 10, 2), (30_000, 10, 2)]), false);
    for id in [1, 2] {
        let record = record(&outcome, id);
        assert_eq!(record.fate, Fate::Finished);
        assert_eq!(record.queued, at_us(110_000), "the failure took an idle replica at 10 ms");
        assert_eq!(record.ledger.get(Cause::Router), record.queued - record.arrival);
    }
}

#[test]
fn a_client_can_give_up_while_no_replica_is_up() {
    let timeout = Some(SimDuration::from_ms(40));
    let setup = Setup { failures: vec![fails(0, 10, 100)], timeout, ..Setup::of(1) };
    let outcome = setup.run(&trace(&[(0, 10, 2_000), (20_000, 10, 2)]), false);
    let (lost, stranded) = (record(&outcome, 0), record(&outcome, 1));
    assert_eq!((lost.fate, stranded.fate), (Fate::TimedOut, Fate::TimedOut));
    assert_eq!((lost.finish, stranded.finish), (at_us(40_000), at_us(60_000)));
    assert_eq!(stranded.ledger.get(Cause::Router), SimDuration::from_ms(40));
    assert!(lost.ledger.get(Cause::PreemptionLoss) > SimDuration::from_ms(25));
}

#[test]
fn replicas_start_and_drain_at_the_ticks_that_the_rule_says() {
    // Eight long requests at once: more than 2 per replica at 10 and 20 ms, so that the second starts at 20 ms and is up
    // at 45 ms. What comes at 50 ms goes there.
    let mut rows = vec![(0, 10, 300); 8];
    rows.extend([(50_000, 10, 1), (50_100, 10, 1)]);
    rows.push((900_000, 10, 1));
    let setup = Setup { scaling: Some(requests_rule(2_000, 500)), ..Setup::of(2) };
    let outcome = setup.run(&trace(&rows), false);
    let places: Vec<u16> = (8..10).map(|id| record(&outcome, id).replica.0).collect();
    assert_eq!(places, [1, 0], "round-robin over those that are up");
    let usage = outcome.fleet.clone().expect("replicas come and go");
    // Out once more is wanted, but there are two at most; at the end the idlest of equals, the last one, drains.
    assert_eq!((usage.scaled_out, usage.scaled_in), (1, 1));
    let last = (0..8).map(|id| record(&outcome, id).finish).max().expect("eight");
    // Two looks in a row below half a request per replica, after the last of the eight has finished.
    let tick = SimDuration::from_ms(10).as_ps();
    let drained = (last.as_ps() / tick + 2) * tick;
    assert_eq!(usage.provided[1], u128::from(drained - at_us(20_000).as_ps()));
    assert_eq!(usage.provided[0], u128::from(outcome.end.as_ps()));
}

#[test]
fn limits_that_are_never_reached_change_nothing() {
    let rows: Vec<(u64, u32, u32)> = (0..60).map(|i| (3_000 * i, 40, 60)).collect();
    let scaling = Scaling { initial: 3, min: 3, ..requests_rule(1_000_000, 0) };
    let with = Setup { scaling: Some(scaling), ..Setup::of(3) }.run(&trace(&rows), false);
    let without = Setup::of(3).run(&trace(&rows), false);
    assert!(with.records.iter().eq(without.records.iter()));
    assert_eq!(with.end, without.end);
}

#[test]
fn a_draining_replica_is_emptied_by_moves() {
    // One long request on each of two replicas; a third look finds less than 1.5 per replica.
    let rows = [(0, 16, 3_000), (0, 16, 3_000)];
    let scaling = Scaling { initial: 2, ..requests_rule(9_000, 1_500) };
    let moves = Migration {
        kind: MigrationKind::Live,
        period: SimDuration::from_ms(5),
        out_below: 0,
        in_above: 10,
        last_stage_blocks: 2,
        max_stages: 4,
    };
    let provided = |migration: Option<Migration>| {
        let setup = Setup { scaling: Some(scaling.clone()), migration, ..Setup::of(2) };
        let outcome = setup.run(&trace(&rows), false);
        assert!((0..2).all(|id| record(&outcome, id).fate == Fate::Finished));
        let usage = outcome.fleet.expect("replicas come and go");
        (usage.provided[1], outcome.traffic.moves.moved)
    };
    let ((stays, none), (moved, one)) = (provided(None), provided(Some(moves)));
    assert_eq!((none, one), (0, 1));
    assert!(moved < SimDuration::from_ms(60).as_ps().into(), "drained at 20 ms, empty soon after: {moved}");
    assert!(stays > SimDuration::from_ms(1_000).as_ps().into(), "the request ended there: {stays}");
}

/// One random deployment with everything that can change.
fn random(seed: u64, n: usize, scheduler: SchedulerConfig) -> (Setup, Trace) {
    let draw = |index, below| stream(seed, "fleet-test", n as u64, index).below(below);
    let mut at = 0;
    let rows: Vec<(u64, u32, u32)> = (0..80)
        .map(|i| {
            at += draw(3 * i, 4_000);
            (at, 1 + draw(3 * i + 1, 120) as u32, 1 + draw(3 * i + 2, 150) as u32)
        })
        .collect();
    let swaps = n > 0 && seed.is_multiple_of(2);
    let preemption = if swaps { Preemption::Swap { host_blocks: 10 } } else { Preemption::Recompute };
    let mut replica = replica(scheduler, 30, preemption);
    replica.late_stop = n == 0 && seed.is_multiple_of(2);
    replica.kv.prefix_cache = seed.is_multiple_of(3);
    let all = RouterConfig::all();
    let rule = match seed % 3 {
        0 => Rule::Requests(Range { out_above: 4_000, in_below: 1_500 }),
        1 => Rule::Memory(Range { out_above: 700, in_below: 300 }),
        _ => Rule::Freeness { out_below: 3, in_above: 8 },
    };
    let scaling = Scaling {
        rule,
        initial: 1 + draw(1_000, 3) as u16,
        min: 1,
        period: SimDuration::from_us(500 + draw(1_001, 5_000)),
        cold_start: SimDuration::from_us(draw(1_002, 20_000)),
        hold: 1 + draw(1_003, 3) as u32,
        max_starting: 1 + draw(1_004, 2) as u16,
    };
    let kinds = [MigrationKind::Live, MigrationKind::Blocking, MigrationKind::Recompute];
    let migration = Migration {
        kind: kinds[(seed / 3 % 3) as usize],
        period: SimDuration::from_us(1 + draw(1_005, 3_000)),
        out_below: 2,
        in_above: 3,
        last_stage_blocks: 1,
        max_stages: 2,
    };
    let mut failures: Vec<Failure> = (0..draw(1_006, 5))
        .map(|i| Failure {
            replica: ReplicaId(draw(2_000 + 4 * i, 3) as u16),
            at: at_us(draw(2_001 + 4 * i, 200_000)),
            detection: SimDuration::from_us(draw(2_002 + 4 * i, 10_000)),
            repair: SimDuration::from_us(draw(2_003 + 4 * i, 100_000)),
        })
        .collect();
    failures.sort_by_key(|f| (f.at, f.replica));
    let setup = Setup {
        replicas: 3,
        replica,
        router: all[draw(1_007, all.len() as u64) as usize].clone(),
        migration: (seed % 2 == 1).then_some(migration),
        scaling: (!seed.is_multiple_of(5)).then_some(scaling),
        failures,
        stages: if seed.is_multiple_of(7) { 2 } else { 1 },
        timeout: seed.is_multiple_of(4).then_some(SimDuration::from_ms(150)),
    };
    (setup, trace(&rows))
}

#[test]
fn leaps_are_steps_and_nobody_is_lost() {
    let schedulers = [
        SchedulerConfig::Unified(Unified { max_sequences: 8, token_budget: 256, ..Unified::default() }),
        SchedulerConfig::Chunked(Chunked { token_budget: 64, max_sequences: 8, hybrid: true }),
        SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 256, max_sequences: 8 }),
        SchedulerConfig::Iteration(Iteration { max_batch: 8 }),
    ];
    let (mut outs, mut ins, mut failed, mut lost, mut moved, mut gave_up) = (0, 0, 0, 0, 0, 0);
    for (n, scheduler) in schedulers.into_iter().enumerate() {
        for seed in 0..60u64 {
            let (setup, trace) = random(seed, n, scheduler.clone());
            let (leaps, steps) = (setup.run(&trace, false), setup.run(&trace, true));
            assert_eq!(leaps.end, steps.end, "{n}, seed {seed}");
            assert_eq!((&leaps.traffic, &leaps.fleet), (&steps.traffic, &steps.fleet), "{n}, seed {seed}");
            for (leap, step) in leaps.records.iter().zip(steps.records.iter()) {
                assert_eq!(leap, step, "scheduler {n}, seed {seed}");
                assert!(leap.fate == Fate::Finished || setup.timeout.is_some());
                let total = leap.ledger.total();
                assert_eq!(
                    total,
                    leap.finish - leap.arrival,
                    "I15: {n}, seed {seed}, {}",
                    RequestId(leap.id.0)
                );
                gave_up += u64::from(leap.fate == Fate::TimedOut);
            }
            moved += leaps.traffic.moves.moved;
            let Some(usage) = &leaps.fleet else { continue };
            outs += usage.scaled_out;
            ins += usage.scaled_in;
            failed += usage.failures;
            lost += usage.lost;
        }
    }
    let seen =
        format!("{outs} out, {ins} in, {failed} failed, {lost} lost, {moved} moved, {gave_up} gave up");
    assert!(outs > 200 && ins > 200 && failed > 100 && lost > 300 && moved > 200 && gave_up > 50, "{seen}");
}
