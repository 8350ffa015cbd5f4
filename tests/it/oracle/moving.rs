//! Random scenarios in which running requests move (§14): engine = oracle, leap = step, coverage, faults.

use windtunnel::engine::config::{ClusterConfig, Migration, MigrationKind, Network, Preemption};
use windtunnel::policy::router::{Freest, RouterConfig};
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimDuration;
use windtunnel::workload::Turns;

use super::apart::network;
use super::compare::{Differences, difference};
use super::cost::TestCost;
use super::mutation::Mutation;
use super::outcome::{Coverage, Options};
use super::random::check_oracle;
use super::rng::Rng;
use super::scenario::{self, KINDS, MAX_STEPS, Others, Scenario};
use super::sim::run_with;
use super::traces;

/// Scenarios that are compared.
const SCENARIOS: u64 = 1500;

/// Scenarios on which faults are tried.
const TRIED: u64 = 800;

/// The scenario of this index; draws that never end are replaced (see `scenario`).
fn moving(index: u64) -> Scenario {
    for redrawn in 0.. {
        let candidate = draw(index, redrawn);
        let options = Options { max_steps: MAX_STEPS, ..Options::default() };
        let outcome = run_with(&candidate.deployment(), &candidate.trace, options);
        assert!(!outcome.stalled, "nothing more can happen\n{candidate}");
        if !outcome.stuck {
            return candidate;
        }
    }
    unreachable!("some draw ends")
}

/// Kinds of scheduler whose requests may leave a batch: the first four.
pub fn draw(index: u64, redrawn: u64) -> Scenario {
    let mut rng = Rng::new((200 << 48) | (redrawn << 32) | index);
    let kind = rng.range(0, 3) as usize;
    let stages = if rng.chance(25) { 2 } else { 1 };
    let scheduler = scenario::scheduler(&mut rng, kind, stages);
    let config = ClusterConfig {
        replica: scenario::replica(&mut rng, kind, scheduler, stages),
        replicas: if rng.chance(3) { 1 } else { rng.pick(&[2, 2, 3, 4, 4]) },
        router: if rng.chance(15) { RouterConfig::Freeness(Freest {}) } else { scenario::router(&mut rng) },
        front_end: scenario::front_end(&mut rng),
    };
    let cost = TestCost::random(&mut rng, stages);
    let mut trace = traces::trace(&mut rng, config.replica.kv.block);
    while trace.len() < 10 {
        trace = traces::trace(&mut rng, config.replica.kv.block);
    }
    let seed = rng.range(0, 9);
    let mut s = Scenario {
        kind,
        index,
        redrawn,
        config,
        cost,
        more: Vec::new(),
        apart: None,
        moving: None,
        fetching: None,
        changes: None,
        headroom: Vec::new(),
        seed,
        trace,
    };
    if s.config.replicas < 4 && rng.chance(35) {
        let more = others(&mut rng, &s);
        s.more.push(more);
    }
    let network = crowded(&mut rng, usize::from(s.replicas()), s.config.replica.kv.block);
    let migration = migration(&mut rng, &s);
    s.moving = Some((migration, network));
    scenario::admission(&mut rng, &mut s.config.front_end.admission);
    if rng.chance(45) {
        scenario::urgency(&mut rng, &mut s);
        if rng.chance(70) {
            s.headroom = (0..rng.range(1, 3)).map(|_| rng.small(0, 12)).collect();
        }
    }
    if rng.chance(40) {
        s.trace.sessions = Some((0..s.trace.len()).map(|_| rng.range(0, 4) as u32).collect());
        if s.trace.closed.is_none() && rng.chance(30) {
            s.trace.turns = Turns::AfterAnswer;
        }
    }
    if s.trace.closed.is_none() && rng.chance(50) {
        traces::arrive_on_boundaries(&mut rng, &mut s);
    }
    narrow(&mut s);
    s
}

/// Now and then fewer tokens a step than requests that decode: a step then lists who does.
fn narrow(s: &mut Scenario) {
    let mut rng = Rng::new((210 << 48) | (s.redrawn << 32) | s.index);
    if !rng.chance(60) {
        return;
    }
    for replica in std::iter::once(&mut s.config.replica).chain(s.more.iter_mut().map(|o| &mut o.replica)) {
        if let SchedulerConfig::Unified(p) = &mut replica.scheduler {
            p.token_budget = rng.small(1, 3);
            p.max_sequences = rng.small(5, 12);
        }
    }
}

/// Often one server whose ports are slow, or links on which a message takes as long as some steps.
fn crowded(rng: &mut Rng, replicas: usize, block: u32) -> Network {
    let mut network = network(rng, replicas, block);
    if rng.chance(45) {
        let first = network.attached[0];
        network.attached.fill(first);
        network.ports.fill(rng.pick(&[5_000_000_000, 20_000_000_000, 100_000_000_000]));
    }
    if rng.chance(30) {
        network.network_latency = SimDuration::from_ps(rng.pick(&[400, 1500, 3000]));
        network.inside_latency = network.network_latency;
    }
    network
}

/// Often low thresholds, so that replicas are sources soon; periods of less than a step and of many.
fn migration(rng: &mut Rng, s: &Scenario) -> Migration {
    let blocks = i64::from(s.config.replica.kv.blocks);
    let out_below = match rng.range(0, 3) {
        0 => rng.range(0, 4) as i64 - 2,
        1 => rng.range(1, 8) as i64,
        _ => (blocks / rng.range(2, 9) as i64).max(1),
    };
    Migration {
        kind: rng.pick(&[
            MigrationKind::Live,
            MigrationKind::Live,
            MigrationKind::Blocking,
            MigrationKind::Recompute,
        ]),
        period: SimDuration::from_ps(rng.pick(&[10, 50, 100, 137, 200, 400, 1000, 3000])),
        out_below,
        in_above: out_below + if rng.chance(70) { 0 } else { rng.range(0, 6) as i64 },
        last_stage_blocks: rng.pick(&[0, 1, 1, 2, 4]),
        max_stages: rng.small(0, 5),
    }
}

/// Replicas with more or fewer blocks and other limits of the same scheduler.
fn others(rng: &mut Rng, s: &Scenario) -> Others {
    let stages = if rng.chance(20) { 2 } else { 1 };
    let mut replica = s.config.replica.clone();
    replica.scheduler = scenario::scheduler(rng, s.kind, stages);
    let kv = &mut replica.kv;
    kv.blocks = (kv.blocks + rng.small(0, 30)).saturating_sub(rng.small(0, 10)).max(6);
    if let Preemption::Swap { host_blocks } = &mut kv.preemption {
        *host_blocks = rng.small(0, 40);
    }
    // Under the block rule a request that fills the whole memory alone is its own victim.
    replica.max_model_len = replica.max_model_len.min((kv.blocks - 3) * kv.block);
    replica.late_stop = rng.chance(40);
    let most = 4 - u32::from(s.config.replicas);
    Others { replica, replicas: rng.small(1, most) as u16, cost: TestCost::random(rng, stages), mixed: false }
}

/// A mechanism, in how many scenarios it must occur at least, and its count.
type Least = (&'static str, u64, fn(&Coverage) -> u64);

const LEAST: [Least; 24] = [
    ("live", 90, |c| c.live_moves),
    ("blocking", 90, |c| c.blocking_moves),
    ("recompute", 120, |c| c.recompute_moves),
    ("refused", 100, |c| c.moves.refused),
    ("void-finished", 300, |c| c.void_finished),
    ("void-preempted", 20, |c| c.void_preempted),
    ("void-stages", 35, |c| c.void_stages),
    ("copies-2", 20, |c| u64::from(c.copies_most > 2)),
    ("asked-again", 70, |c| c.asked_again),
    ("turns-put-off", 45, |c| c.turns_put_off),
    ("pairs-ended", 500, |c| c.pairs_ended),
    ("held-by-acknowledgement", 5, |c| c.held_by_acknowledgement),
    ("gave-up-standing", 7, |c| c.gave_up_standing),
    ("moved-in-pipelines", 65, |c| c.moved_in_pipelines),
    ("preemptions", 200, |c| c.preemptions),
    ("swaps-out", 50, |c| c.swaps_out),
    ("resumes-held-back", 14, |c| c.resumes_held_back),
    ("shared-ports", 35, |c| c.shared_ports),
    ("fifo-waits", 15, |c| c.fifo_waits),
    ("late-stops", 250, |c| c.late_stops),
    ("gave-up-running", 180, |c| c.gave_up_running),
    ("kv-cuts", 90, |c| c.kv_cuts),
    ("prefix-hits", 200, |c| c.prefix_hits),
    ("overlapped", 150, |c| c.overlapped_batches),
];

#[test]
fn moving_requests_equal_the_oracle() {
    let mut differences = Differences::default();
    let mut covered = [0; LEAST.len()];
    let (from, to) = range();
    for index in from..to {
        let s = moving(index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        check_oracle(&s, &oracle);
        differences.compare(&s, &oracle);
        for (n, (_, _, of)) in covered.iter_mut().zip(LEAST) {
            *n += u64::from(of(&oracle.coverage) > 0);
        }
    }
    let table: Vec<_> = LEAST.iter().zip(covered).map(|(l, n)| (l.0, n)).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oracle-coverage-moving.txt");
    std::fs::write(path, format!("{table:?}\n")).expect("target is writable");
    differences.report("moving");
    for ((name, least, _), n) in LEAST.iter().zip(covered) {
        assert!(n >= *least, "only {n} scenarios with {name}: {table:?}");
    }
}

/// The indices compared: `HUNT=from..to` in the environment for others.
fn range() -> (u64, u64) {
    let hunt = std::env::var("HUNT").ok();
    let ends = hunt.as_deref().and_then(|text| text.split_once(".."));
    ends.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))).unwrap_or((0, SCENARIOS))
}

#[test]
fn faults_of_moves_are_caught() {
    let mut alive: Vec<Mutation> = Mutation::MOVES.to_vec();
    for index in 0..TRIED {
        if alive.is_empty() {
            return;
        }
        let s = moving(index);
        let sound = run_with(&s.deployment(), &s.trace, Options::default());
        alive.retain(|&mutation| {
            let options = Options { mutation, max_steps: 2 * MAX_STEPS, ..Options::default() };
            let faulty = run_with(&s.deployment(), &s.trace, options);
            difference((&faulty.records, &faulty.counters), (&sound.records, &sound.counters)).is_none()
        });
    }
    assert!(alive.is_empty(), "no scenario notices {alive:?}");
}

#[test]
fn every_kind_of_scheduler_moves() {
    let mut moved = [0; 4];
    for index in 0..SCENARIOS / 5 {
        let s = moving(index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        moved[s.kind] += oracle.coverage.moves.moved;
    }
    assert!(moved.iter().all(|&n| n > 50), "{:?}: {moved:?}", &KINDS[..4]);
}
