//! Random scenarios: engine = oracle, leap = step, and what the set covers.

use std::fmt::Write as _;

use windtunnel::metrics::work::Binding;

use super::compare::Differences;
use super::outcome::Options;
use super::outcome::OracleOutcome;
use super::scenario::{KINDS, MAX_STEPS, Scenario, scenario};
use super::sim::run_with;

/// Scenarios per scheduler.
const SCENARIOS: u64 = 500;

/// In how many scenarios something happened.
#[derive(Default)]
struct Covered(Vec<(&'static str, u64)>);

impl Covered {
    fn count(&mut self, name: &'static str, happened: bool) {
        if !self.0.iter().any(|c| c.0 == name) {
            self.0.push((name, 0));
        }
        for c in &mut self.0 {
            c.1 += u64::from(c.0 == name && happened);
        }
    }

    fn of(&self, name: &str) -> u64 {
        self.0.iter().find(|c| c.0 == name).map_or(0, |c| c.1)
    }

    fn add(&mut self, s: &Scenario, o: &OracleOutcome) {
        let c = &o.coverage;
        self.count("preempting", c.preemptions > 0);
        self.count("swapping", c.swaps_out > 0);
        self.count("swaps-in", c.swaps_in > 0);
        self.count("swap-refused", c.swaps_refused > 0);
        self.count("pipeline", s.stages() > 1);
        self.count("overlapped", c.overlapped_batches > 0);
        self.count("ties", c.ties > 0);
        self.count("rejections", c.rejections > 0);
        self.count("leap-cuts", c.leap_cuts > 0);
        self.count("prefix-hits", c.prefix_hits > 0);
        self.count("same-plan-hits", c.same_plan_hits > 0);
        self.count("evictions", c.evictions > 0);
        self.count("late-stops", c.late_stops > 0);
        self.count("stopping-victims", c.stopping_victims > 0);
        self.count("feeds", c.feeds > 0);
        self.count("held-slots", c.held_slots > 0);
        self.count("barren-plans", c.barren_plans > 0);
        self.count("plans-again", c.plans_again > 0);
        self.count("stale-reads", c.stale_reads > 0);
        self.count("front-end-waits", c.front_end_waits > 0);
        self.count("overloaded", c.overloaded > 0);
        self.count("overtakings", c.overtakings > 0);
        self.count("gave-up-at-door", c.gave_up_at_door > 0);
        self.count("gave-up-waiting", c.gave_up_waiting > 0);
        self.count("gave-up-swapped", c.gave_up_swapped > 0);
        self.count("gave-up-running", c.gave_up_running > 0);
        self.count("sticky", c.sticky > 0);
        self.count("affine", c.affine > 0);
        self.count("unbalanced", c.unbalanced > 0);
        self.count("forgotten-prefixes", c.forgotten_prefixes > 0);
        self.count("tree-matches", c.tree_matches > 0);
        self.count("queue-over-trees", c.queue_over_trees > 0);
        self.count("forgotten-leaves", c.forgotten_leaves > 0);
        self.count("host-hits", c.host_hits > 0);
        self.count("groups", !s.more.is_empty());
        self.count(s.config.router.key(), s.replicas() > 1 && s.trace.len() > 1);
        self.count("closed-loop", s.trace.closed.is_some());
        self.count("put-off", c.put_off > 0);
        self.count("capped-sometimes", c.capped > 0 && c.uncapped > 0);
        for state in Binding::ALL {
            self.count(state.name(), o.counters.bound_time[state as usize] > 0);
        }
        self.count("all-waste steps", o.counters.waste.steps > 0);
        self.count("padded chunks", o.counters.waste.pairs > 0 && o.counters.recomputed_tokens == 0);
        self.count("recomputed", o.counters.recomputed_tokens > 0);
        self.count("chunk-turns", c.chunk_turns > 0);
        self.count("redrawn", s.redrawn > 0);
    }
}

fn check_scheduler(kind: usize) -> Covered {
    let mut covered = Covered::default();
    let mut differences = Differences::default();
    for index in 0..SCENARIOS {
        let s = scenario(kind, index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        check_oracle(&s, &oracle);
        differences.compare(&s, &oracle);
        covered.add(&s, &oracle);
    }
    differences.report(KINDS[kind]);
    covered
}

/// Invariants of the oracle's own outcome: I1, I2, I3, I4, I7, I15.
pub fn check_oracle(s: &Scenario, o: &OracleOutcome) {
    use windtunnel::metrics::record::{Fate, Rejection};
    assert!(!o.stuck && o.all_free, "{s}");
    assert!(o.counters.steps < MAX_STEPS, "{s}");
    assert_eq!(o.records.len(), s.trace.len());
    let limit = s.limit();
    let closed = s.trace.hears_answers();
    for (record, row) in o.records.iter().zip(&s.trace.requests) {
        assert!(closed || record.arrival == row.arrival, "{s}");
        if row.prompt + 1 > limit {
            assert!(matches!(record.fate, Fate::Rejected(_)), "{s}");
            continue;
        }
        assert_eq!(record.ledger.total(), record.e2e(), "{record:?}\n{s}");
        assert!(record.arrival <= record.queued && record.queued <= record.scheduled, "{s}");
        match record.fate {
            Fate::Finished => {}
            Fate::TimedOut => {
                assert!(record.output < row.output && s.config.front_end.admission.timeout.is_some(), "{s}");
                continue;
            }
            Fate::Rejected(reason) => {
                assert!(reason == Rejection::Overloaded && record.output == 0, "{s}");
                continue;
            }
            Fate::Unfinished => panic!("{record:?}\n{s}"),
        }
        assert_eq!(record.output, row.output.min(row.max_tokens).min(limit - row.prompt), "{s}");
        assert!(record.scheduled < record.first_token && record.first_token <= record.finish, "{s}");
        assert!(record.gap_max <= record.finish - record.first_token, "{s}");
    }
}

macro_rules! scheduler_tests {
    ($($name:ident = $kind:literal;)+) => {$(
        #[test]
        fn $name() {
            let covered = check_scheduler($kind);
            assert!(covered.of("ties") >= 100 && covered.of("rejections") >= 50);
        }
    )+};
}

scheduler_tests! {
    unified_equals_the_oracle = 0;
    chunked_equals_the_oracle = 1;
    prefill_first_equals_the_oracle = 2;
    iteration_equals_the_oracle = 3;
    static_equals_the_oracle = 4;
    ideal_equals_the_oracle = 5;
    clairvoyant_equals_the_oracle = 6;
}

/// The random set contains what it is meant to contain; the table goes to `target/oracle-coverage.txt`.
/// In how many scenarios each mechanism must occur at least.
const LEAST: &[(&str, u64)] = &[
    ("preempting", 100),
    ("swapping", 50),
    ("swaps-in", 50),
    ("swap-refused", 10),
    ("pipeline", 50),
    ("overlapped", 50),
    ("ties", 100),
    ("rejections", 50),
    ("leap-cuts", 50),
    ("prefix-hits", 50),
    ("same-plan-hits", 20),
    ("evictions", 50),
    ("late-stops", 100),
    ("stopping-victims", 5),
    ("feeds", 50),
    ("held-slots", 50),
    ("stale-reads", 50),
    ("front-end-waits", 50),
    ("overloaded", 100),
    ("overtakings", 100),
    ("gave-up-at-door", 20),
    ("gave-up-waiting", 50),
    ("gave-up-swapped", 2),
    ("gave-up-running", 100),
    ("sticky", 50),
    ("affine", 50),
    ("unbalanced", 20),
    ("forgotten-prefixes", 20),
    ("tree-matches", 20),
    ("queue-over-trees", 20),
    ("forgotten-leaves", 20),
    ("host-hits", 50),
    ("groups", 200),
    ("round-robin", 50),
    ("random", 50),
    ("least-requests", 50),
    ("least-tokens", 50),
    ("power-of-two", 50),
    ("memory-load", 50),
    ("session", 50),
    ("prefix-affinity", 50),
    ("cache-aware", 50),
    ("closed-loop", 50),
    ("put-off", 50),
    ("capped-sometimes", 300),
    ("chunk-turns", 50),
    (Binding::Open.name(), 100),
    (Binding::Memory.name(), 100),
    (Binding::Sequences.name(), 50),
    (Binding::Budget.name(), 50),
    (Binding::Batch.name(), 50),
    (Binding::Other.name(), 50),
    ("all-waste steps", 50),
    ("padded chunks", 20),
    ("recomputed", 50),
];

#[test]
fn random_scenarios_cover_every_mechanism() {
    let mut total = Covered::default();
    let mut table = String::new();
    for (kind, name) in KINDS.iter().enumerate() {
        let mut covered = Covered::default();
        for index in 0..SCENARIOS {
            let s = scenario(kind, index);
            let oracle = run_with(&s.deployment(), &s.trace, Options::default());
            covered.add(&s, &oracle);
            total.add(&s, &oracle);
        }
        let _ = write!(table, "{name:14}");
        for (what, n) in &covered.0 {
            let _ = write!(table, " {what}={n}");
        }
        table.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oracle-coverage.txt");
    std::fs::write(path, &table).expect("target is writable");
    for &(name, n) in LEAST {
        assert!(total.of(name) >= n, "only {} scenarios with {name}\n{table}", total.of(name));
    }
}
