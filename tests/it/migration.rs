//! Running requests that move: downtime against length, leaps against steps, nobody lost.

use windtunnel::cluster::{Deployment, Group, Joint, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{
    Admission, Allocation, FrontEnd, KvConfig, Migration, MigrationKind, Preemption, ReplicaConfig, Role,
    Sharing,
};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::{Cause, Fate};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{Freest, RoundRobin, RouterConfig};
use windtunnel::policy::scheduler::{Chunked, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::SimDuration;
use windtunnel::workload::{Request, Trace};

use crate::eut::{TestCost, at_us, islands};

fn cost(stages: u8) -> TestCost {
    TestCost { stages, per_context: SimDuration::from_ps(1000) }
}

struct Setup {
    replicas: u16,
    replica: ReplicaConfig,
    router: RouterConfig,
    migration: Option<Migration>,
    /// Bytes per second of every port.
    rate: u64,
    /// Pipeline stages of a replica.
    stages: u8,
    /// How long clients wait.
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

fn migration(kind: MigrationKind) -> Migration {
    Migration {
        kind,
        period: SimDuration::from_ms(5),
        out_below: 10,
        in_above: 20,
        last_stage_blocks: 2,
        max_stages: 4,
    }
}

impl Setup {
    fn run(&self, trace: &Trace, stepwise: bool) -> Outcome {
        let cost = cost(self.stages);
        let latency = SimDuration::from_us(10);
        let network = islands(u32::from(self.replicas), self.rate, latency, Sharing::Fair, 1_000_000);
        let group = Group { replica: &self.replica, replicas: self.replicas, cost: &cost, role: Role::Whole };
        let migration = self.migration.as_ref();
        let deployment = Deployment {
            groups: vec![group],
            router: &self.router,
            joint: Some(Joint { network: &network, hand_over: None, migration, prefix_fetch: false }),
            changes: None,
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

/// Time that the moved request stood still, in us: replica 0 has a short request of 600 tokens and one of `length`,
/// replica 1 has nothing.
fn standing(kind: MigrationKind, length: u32) -> u64 {
    let unified = SchedulerConfig::Unified(Unified { token_budget: 16_384, ..Unified::default() });
    let blocks = length / 16 + 60;
    let setup = Setup {
        replicas: 2,
        replica: replica(unified, blocks, Preemption::Recompute),
        router: RouterConfig::RoundRobin(RoundRobin {}),
        migration: Some(Migration { out_below: 6, in_above: i64::from(blocks) - 1, ..migration(kind) }),
        rate: 10_000_000_000,
        stages: 1,
        timeout: None,
    };
    // Round-robin: the second request goes to replica 1 and is over before the others are long.
    let rows = [(0, length, 700), (0, 1, 1), (0, length / 4 + 500, 600)];
    let outcome = setup.run(&trace(&rows), false);
    let moves = outcome.traffic.moves;
    assert_eq!(moves.moved, 1, "{kind:?} {length}: {moves:?}");
    let moved: Vec<u64> = outcome
        .records
        .iter()
        .map(|r| r.ledger.get(Cause::Migration).as_ps() / 1_000_000)
        .filter(|&us| us > 0)
        .collect();
    assert_eq!(moved.len(), 1);
    moved[0]
}

#[test]
fn a_live_move_stands_still_as_long_whatever_the_length() {
    let lengths = [256, 512, 1024, 2048, 4096, 8192];
    let times = |kind| lengths.map(|length| standing(kind, length));
    let (live, blocking, recompute) =
        (times(MigrationKind::Live), times(MigrationKind::Blocking), times(MigrationKind::Recompute));
    // The mover is the shorter of the two on replica 0: a quarter of the length, and 500. Live: less than a step and the
    // blocks of one; the others grow with the length.
    assert!(live.iter().all(|&us| us < 1_500), "live: {live:?} us");
    assert!(blocking[5] > 3 * blocking[0] && blocking[5] > 10 * live[5], "blocking: {blocking:?} us");
    assert!(recompute[5] > 2 * recompute[0] && recompute[5] > live[5], "recompute: {recompute:?} us");
}

#[test]
fn leaps_are_steps_and_nobody_is_lost() {
    let schedulers = [
        SchedulerConfig::Unified(Unified { max_sequences: 8, token_budget: 256, ..Unified::default() }),
        SchedulerConfig::Chunked(Chunked { token_budget: 64, max_sequences: 8, hybrid: true }),
        SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 256, max_sequences: 8 }),
    ];
    let kinds = [MigrationKind::Live, MigrationKind::Blocking, MigrationKind::Recompute];
    let (mut moved, mut refused, mut aborted, mut preempted, mut gave_up) = (0, 0, 0, 0, 0);
    for (n, scheduler) in schedulers.into_iter().enumerate() {
        for seed in 0..30u64 {
            let draw = |index, below| stream(seed, "migration-test", n as u64, index).below(below);
            let mut at = 0;
            let rows: Vec<(u64, u32, u32)> = (0..80)
                .map(|i| {
                    at += draw(3 * i, 4_000);
                    (at, 1 + draw(3 * i + 1, 120) as u32, 1 + draw(3 * i + 2, 150) as u32)
                })
                .collect();
            let swaps = n > 0 && seed % 2 == 0;
            let preemption = if swaps { Preemption::Swap { host_blocks: 10 } } else { Preemption::Recompute };
            let kind = kinds[(seed % 3) as usize];
            let mut replica = replica(scheduler.clone(), 30, preemption);
            replica.late_stop = n == 0 && seed % 2 == 0;
            let setup = Setup {
                replicas: 3,
                replica,
                router: if seed % 4 == 0 {
                    RouterConfig::RoundRobin(RoundRobin {})
                } else {
                    RouterConfig::Freeness(Freest {})
                },
                migration: Some(Migration {
                    out_below: 2,
                    in_above: 3,
                    last_stage_blocks: 1,
                    max_stages: 2,
                    period: SimDuration::from_us(1 + draw(1_000, 3_000)),
                    ..migration(kind)
                }),
                rate: 1_000_000_000 * (1 + draw(1_001, 30)),
                stages: if seed % 7 == 0 { 2 } else { 1 },
                timeout: (seed % 5 == 0).then_some(SimDuration::from_ms(150)),
            };
            let (leaps, steps) = (setup.run(&trace(&rows), false), setup.run(&trace(&rows), true));
            assert_eq!(leaps.traffic, steps.traffic, "scheduler {n}, seed {seed}");
            for (leap, step) in leaps.records.iter().zip(steps.records.iter()) {
                assert_eq!(leap, step, "scheduler {n}, seed {seed}");
                assert!(leap.fate == Fate::Finished || setup.timeout.is_some());
                gave_up += u64::from(leap.fate == Fate::TimedOut);
            }
            let moves = leaps.traffic.moves;
            moved += moves.moved;
            refused += moves.refused;
            aborted += moves.aborted;
            preempted += leaps.counters.preemptions;
        }
    }
    let seen = format!(
        "{moved} moved, {refused} refused, {aborted} aborted, {preempted} preempted, {gave_up} gave up"
    );
    assert!(moved > 500 && refused > 20 && aborted > 20 && preempted > 200 && gave_up > 50, "{seen}");
}

#[test]
fn with_one_replica_migration_changes_nothing() {
    let unified = SchedulerConfig::Unified(Unified::default());
    let alone = |migration: Option<Migration>| Setup {
        replicas: 1,
        replica: replica(unified.clone(), 40, Preemption::Recompute),
        router: RouterConfig::default(),
        migration,
        rate: 1_000_000_000,
        stages: 1,
        timeout: None,
    };
    let rows: Vec<(u64, u32, u32)> = (0..40).map(|i| (500 * i, 40, 60)).collect();
    let with = alone(Some(migration(MigrationKind::Live))).run(&trace(&rows), false);
    let without = alone(None).run(&trace(&rows), false);
    assert!(with.records.iter().eq(without.records.iter()));
    assert!(with.counters.preemptions > 0 && with.traffic == without.traffic);
}
