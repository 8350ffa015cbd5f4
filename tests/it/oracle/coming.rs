//! Random scenarios with replicas that come, go and fail (§15), with and without moves and fetched prefixes: engine =
//! oracle, leap = step, coverage, faults.

use windtunnel::engine::config::Failure;
use windtunnel::ids::ReplicaId;
use windtunnel::policy::scaling::{Range, Rule, Scaling};
use windtunnel::units::{SimDuration, SimTime};

use super::compare::{Differences, difference};
use super::mutation::Mutation;
use super::outcome::{Coverage, Options};
use super::random::check_oracle;
use super::rng::Rng;
use super::scenario::{MAX_STEPS, Scenario};
use super::sim::run_with;
use super::{fetching, moving};

/// Scenarios that are compared.
const SCENARIOS: u64 = 1500;

/// The scenario of this index; draws that never end are replaced.
fn coming(index: u64) -> Scenario {
    for redrawn in 0.. {
        let mut rng = Rng::new((500 << 48) | (redrawn << 32) | index);
        let mut s = moving::draw(index + 9_000, redrawn);
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
    if rng.chance(50) {
        let network = s.moving.take().map(|(_, network)| network);
        if rng.chance(30) {
            s.fetching = network;
            fetching::change(rng, s);
        }
    }
    let span = s.trace.requests.last().map_or(0, |r| r.arrival.as_ps()) + 3_000;
    let is_scaled = rng.chance(60);
    let scaling = is_scaled.then(|| scaling(rng, s));
    let count = rng.range(u64::from(!is_scaled), 3);
    let mut failures: Vec<Failure> = (0..count)
        .map(|_| Failure {
            replica: ReplicaId(rng.range(0, u64::from(s.replicas()) - 1) as u16),
            at: SimTime::from_ps(rng.range(0, span) / 50 * 50),
            detection: SimDuration::from_ps(rng.pick(&[1, 50, 500, 3_000])),
            repair: SimDuration::from_ps(rng.pick(&[1, 500, 5_000, 50_000])),
        })
        .collect();
    failures.sort_by_key(|f| (f.at, f.replica));
    failures.dedup_by_key(|f| (f.at, f.replica));
    s.changes = Some((scaling, failures));
}

fn scaling(rng: &mut Rng, s: &Scenario) -> Scaling {
    let replicas = u64::from(s.replicas());
    let range = |rng: &mut Rng, most: u64| {
        let in_below = rng.range(0, most);
        Range { in_below, out_above: in_below + rng.range(0, most) }
    };
    let rule = match rng.range(0, 2) {
        0 => Rule::Requests(range(rng, 3_000)),
        1 => Rule::Memory(range(rng, 600)),
        _ => {
            let out_below = rng.range(0, 60) as i64 - 10;
            Rule::Freeness { out_below, in_above: out_below + rng.range(0, 60) as i64 }
        }
    };
    Scaling {
        rule,
        initial: rng.range(1, replicas) as u16,
        min: rng.range(1, replicas) as u16,
        period: SimDuration::from_ps(rng.pick(&[100, 500, 1_000, 3_000])),
        cold_start: SimDuration::from_ps(rng.pick(&[1, 500, 5_000])),
        hold: rng.small(1, 3),
        max_starting: rng.small(1, 2) as u16,
    }
}

/// A mechanism, in how many scenarios it must occur at least, and its count.
type Least = (&'static str, u64, fn(&Coverage) -> u64);

const LEAST: [Least; 11] = [
    ("stranded", 30, |c| c.stranded),
    ("gave-up-at-router", 10, |c| c.gave_up_at_router),
    ("started-for-least", 50, |c| c.started_for_least),
    ("back-from-draining", 8, |c| c.back_from_draining),
    ("drained", 100, |c| c.drained),
    ("lost-when-loaded", 5, |c| c.lost_when_loaded),
    ("lost-when-swapped", 3, |c| c.lost_when_swapped),
    ("fetched-in-vain", 1, |c| c.fetched_in_vain),
    ("moves", 100, |c| c.moves.moved),
    ("prefix-hits", 100, |c| c.prefix_hits),
    ("sticky", 20, |c| c.sticky),
];

#[test]
fn replicas_that_come_and_go_equal_the_oracle() {
    let mut differences = Differences::default();
    let mut covered = [0; LEAST.len()];
    let mut used = [0; 4];
    for index in 0..SCENARIOS {
        let s = coming(index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        check_oracle(&s, &oracle);
        differences.compare(&s, &oracle);
        for (n, (_, _, of)) in covered.iter_mut().zip(LEAST) {
            *n += u64::from(of(&oracle.coverage) > 0);
        }
        let fleet = oracle.fleet.expect("replicas come and go");
        for (n, of) in used.iter_mut().zip([fleet.scaled_out, fleet.scaled_in, fleet.failures, fleet.lost]) {
            *n += u64::from(of > 0);
        }
    }
    let table: Vec<_> = LEAST.iter().zip(covered).map(|(l, n)| (l.0, n)).collect();
    differences.report("coming");
    for ((name, least, _), n) in LEAST.iter().zip(covered) {
        assert!(n >= *least, "only {n} scenarios with {name}: {table:?}");
    }
    assert!(used.iter().all(|&n| n >= 100), "scaled out, in, failed, lost: {used:?}");
}

#[test]
fn faults_of_comings_and_goings_are_caught() {
    let mut alive: Vec<Mutation> = Mutation::FLEET.to_vec();
    for index in 0..SCENARIOS {
        if alive.is_empty() {
            return;
        }
        let s = coming(index);
        let sound = run_with(&s.deployment(), &s.trace, Options::default());
        alive.retain(|&mutation| {
            let options = Options { mutation, max_steps: 2 * MAX_STEPS, ..Options::default() };
            let faulty = run_with(&s.deployment(), &s.trace, options);
            difference((&faulty.records, &faulty.counters), (&sound.records, &sound.counters)).is_none()
        });
    }
    assert!(alive.is_empty(), "no scenario notices {alive:?}");
}
