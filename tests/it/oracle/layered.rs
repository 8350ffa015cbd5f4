//! Random scenarios with KV that is sent layer by layer, and with mixed replicas (end of §12): engine = oracle, leap =
//! step, coverage.

use windtunnel::engine::config::Overlap;

use super::apart;
use super::compare::{Differences, difference};
use super::cost::TestCost;
use super::mutation::Mutation;
use super::outcome::{Coverage, Options};
use super::random::check_oracle;
use super::rng::Rng;
use super::scenario::{self, MAX_STEPS, Others, Scenario};
use super::sim::run_with;

/// Scenarios that are compared.
const SCENARIOS: u64 = 800;

/// The scenario of this index; draws that never end are replaced.
fn layered(index: u64) -> Scenario {
    for redrawn in 0.. {
        let mut rng = Rng::new((400 << 48) | (redrawn << 32) | index);
        let mut s = apart::draw(index + 5_000, redrawn);
        change(&mut rng, &mut s);
        let options = Options { max_steps: MAX_STEPS, ..Options::default() };
        let outcome = run_with(&s.deployment(), &s.trace, options);
        assert!(!outcome.stalled, "nothing more can happen\n{s}");
        if !outcome.stuck {
            return s;
        }
    }
    unreachable!("some draw ends")
}

fn change(rng: &mut Rng, s: &mut Scenario) {
    let is_mixed = rng.chance(50);
    if is_mixed {
        let kind = rng.range(0, 3) as usize;
        let stages = if rng.chance(20) { 2 } else { 1 };
        let mut replica = s.more[0].replica.clone();
        replica.scheduler = scenario::scheduler(rng, kind, stages);
        replica.kv.preemption = windtunnel::engine::config::Preemption::Recompute;
        replica.kv.blocks += rng.small(0, 40);
        replica.late_stop = rng.chance(40);
        let replicas = rng.small(1, 2) as u16;
        s.more.push(Others { replica, replicas, cost: TestCost::random(rng, stages), mixed: true });
    }
    let network = apart::network(rng, usize::from(s.replicas()), s.config.replica.kv.block);
    let Some((hand_over, links)) = &mut s.apart else { return };
    *links = network;
    if is_mixed {
        hand_over.mixed_above = rng.pick(&[0, 10, 40, 100, 300]);
    }
    if !is_mixed || rng.chance(60) {
        let from_tokens = rng.pick(&[0, 0, 10, 30]);
        hand_over.overlap = Some(Overlap { from_tokens, layers: rng.pick(&[1, 2, 3, 8, 32]) });
    }
}

/// A mechanism, in how many scenarios it must occur at least, and its count.
type Least = (&'static str, u64, fn(&Coverage) -> u64);

const LEAST: [Least; 8] = [
    ("early", 300, |c| c.early),
    ("early-waits", 100, |c| c.early_waits),
    ("early-room", 200, |c| c.early_room),
    ("early-offered", 50, |c| c.early_offered),
    ("early-void", 20, |c| c.early_void),
    ("mixed-prompts", 50, |c| c.mixed_prompts),
    ("mixed-answers", 50, |c| c.mixed_answers),
    ("gave-up-coming", 5, |c| c.gave_up_coming),
];

#[test]
fn layers_and_mixed_replicas_equal_the_oracle() {
    let mut differences = Differences::default();
    let mut covered = [0; LEAST.len()];
    for index in 0..SCENARIOS {
        let s = layered(index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        check_oracle(&s, &oracle);
        differences.compare(&s, &oracle);
        for (n, (_, _, of)) in covered.iter_mut().zip(LEAST) {
            *n += u64::from(of(&oracle.coverage) > 0);
        }
    }
    let table: Vec<_> = LEAST.iter().zip(covered).map(|(l, n)| (l.0, n)).collect();
    differences.report("layered");
    for ((name, least, _), n) in LEAST.iter().zip(covered) {
        assert!(n >= *least, "only {n} scenarios with {name}: {table:?}");
    }
}

#[test]
fn faults_of_layers_and_mixed_replicas_are_caught() {
    let mut alive: Vec<Mutation> = Mutation::LAYERED.to_vec();
    for index in 0..SCENARIOS {
        if alive.is_empty() {
            return;
        }
        let s = layered(index);
        let sound = run_with(&s.deployment(), &s.trace, Options::default());
        alive.retain(|&mutation| {
            let options = Options { mutation, max_steps: 2 * MAX_STEPS, ..Options::default() };
            let faulty = run_with(&s.deployment(), &s.trace, options);
            difference((&faulty.records, &faulty.counters), (&sound.records, &sound.counters)).is_none()
        });
    }
    assert!(alive.is_empty(), "no scenario notices {alive:?}");
}
