//! Every deliberate fault of the oracle is noticed by the comparison on some random scenario.

use super::compare::difference;
use super::mutation::Mutation;
use super::outcome::Options;
use super::scenario::{KINDS, MAX_STEPS, scenario};
use super::sim::run_with;

/// Scenarios per scheduler that are tried.
const TRIED: u64 = 80;

#[test]
fn mutants_are_caught() {
    let mut alive: Vec<Mutation> = Mutation::ALL.to_vec();
    for index in 0..TRIED {
        for kind in 0..KINDS.len() {
            if alive.is_empty() {
                return;
            }
            let s = scenario(kind, index);
            let sound = run_with(&s.deployment(), &s.trace, Options::default());
            alive.retain(|&mutation| {
                let options = Options { mutation, max_steps: 2 * MAX_STEPS, ..Options::default() };
                let faulty = run_with(&s.deployment(), &s.trace, options);
                difference((&faulty.records, &faulty.counters), (&sound.records, &sound.counters)).is_none()
            });
        }
    }
    assert!(alive.is_empty(), "no scenario notices {alive:?}");
}
