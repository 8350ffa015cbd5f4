//! Random scenarios with the router `conductor` and fetched prefixes (§16): engine = oracle, leap = step, coverage.

use std::sync::Arc;

use windtunnel::policy::router::{Conductor, Forecast, RouterConfig};
use windtunnel::units::SimDuration;
use windtunnel::workload::PrefixChains;

use super::compare::Differences;
use super::outcome::{Coverage, Options};
use super::rng::Rng;
use super::scenario::{MAX_STEPS, Scenario};
use super::sim::run_with;
use super::{apart, moving};

/// Scenarios that are compared.
const SCENARIOS: u64 = 800;

/// The scenario of this index: one of whole replicas or of pools, with prompts of a few families.
fn fetching(index: u64) -> Scenario {
    for redrawn in 0.. {
        let mut rng = Rng::new((300 << 48) | (redrawn << 32) | index);
        let mut s = if rng.chance(40) {
            apart::draw(index, redrawn)
        } else {
            let mut s = moving::draw(index, redrawn);
            s.fetching = s.moving.take().map(|(_, network)| network);
            s
        };
        if s.apart.is_some() {
            s.fetching = s.apart.as_ref().map(|(_, network)| network.clone());
        }
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

pub fn change(rng: &mut Rng, s: &mut Scenario) {
    let host = rng.small(1, 30);
    for replica in std::iter::once(&mut s.config.replica).chain(s.more.iter_mut().map(|o| &mut o.replica)) {
        replica.kv.prefix_cache = true;
        replica.host_cache = host;
    }
    let block = s.config.replica.kv.block;
    let (mut starts, mut ids) = (vec![0], Vec::new());
    for request in &s.trace.requests {
        let family = rng.range(0, 3);
        ids.extend((0..u64::from(request.prompt.div_ceil(block))).map(|i| family * 10_000 + i));
        starts.push(ids.len() as u32);
    }
    s.trace.prefixes = Some(Arc::new(PrefixChains { tokens_per_id: block, starts, ids }));
    let forecast = rng.pick(&[Forecast::Now, Forecast::PromptDone]);
    let reject_after = rng.chance(20).then(|| SimDuration::from_ps(rng.pick(&[500, 1000, 3000, 10_000])));
    let answers = rng.chance(30).then(|| rng.small(1, 4));
    let answer_time = SimDuration::from_ps(rng.pick(&[300, 2000, 10_000]));
    let balance = rng.pick(&[1.0, 1.0, 1.5, 2.0]);
    let conductor = Conductor { balance, reject_after, answers, forecast, answer_time };
    s.config.router = RouterConfig::Conductor(conductor);
}

/// A mechanism, in how many scenarios it must occur at least, and its count.
type Least = (&'static str, u64, fn(&Coverage) -> u64);

const LEAST: [Least; 8] = [
    ("fetched", 150, |c| c.fetched),
    ("shared-ports", 20, |c| c.shared_ports),
    ("refused-late", 20, |c| c.refused_late),
    ("refused-now", 20, |c| c.refused_now),
    ("refused-then", 20, |c| c.refused_then),
    ("gave-up-fetching", 5, |c| c.gave_up_fetching),
    ("crowded-out", 20, |c| c.crowded_out),
    ("handed-over", 100, |c| c.handed_over),
];

#[test]
fn fetched_prefixes_equal_the_oracle() {
    let mut differences = Differences::default();
    let mut covered = [0; LEAST.len()];
    for index in 0..SCENARIOS {
        let s = fetching(index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        differences.compare(&s, &oracle);
        for (n, (_, _, of)) in covered.iter_mut().zip(LEAST) {
            *n += u64::from(of(&oracle.coverage) > 0);
        }
    }
    let table: Vec<_> = LEAST.iter().zip(covered).map(|(l, n)| (l.0, n)).collect();
    differences.report("fetching");
    for ((name, least, _), n) in LEAST.iter().zip(covered) {
        assert!(n >= *least, "only {n} scenarios with {name}: {table:?}");
    }
}
