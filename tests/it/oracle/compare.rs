//! Equality of an engine run and an oracle run, with a diff that can be read.

use std::fmt::Write as _;

use windtunnel::cluster::{Outcome, RunOptions};
use windtunnel::metrics::record::{Cause, RequestRecord, RunCounters};

use super::engine::{engine_log, engine_run};
use super::mutation::Mutation;
use super::outcome::{Options, OracleOutcome};
use super::request::DEADLINES;
use super::scenario::{MAX_STEPS, Scenario};
use super::sim::run_with;

/// Every field of a record under its name.
fn fields(r: &RequestRecord) -> Vec<(&'static str, String)> {
    let mut fields = vec![
        ("id", r.id.to_string()),
        ("class", r.class.to_string()),
        ("fate", format!("{:?}", r.fate)),
        ("replica", r.replica.to_string()),
        ("prompt", r.prompt.to_string()),
        ("output", r.output.to_string()),
        ("arrival", r.arrival.as_ps().to_string()),
        ("queued", r.queued.as_ps().to_string()),
        ("scheduled", r.scheduled.as_ps().to_string()),
        ("first_token", r.first_token.as_ps().to_string()),
        ("finish", r.finish.as_ps().to_string()),
        ("gap_max", r.gap_max.as_ps().to_string()),
        ("preemptions", r.preemptions.to_string()),
        ("recomputed", r.recomputed.to_string()),
        ("cached", r.cached.to_string()),
        ("on_time", r.on_time.to_string()),
    ];
    fields.extend(Cause::ALL.iter().map(|&c| (c.name(), r.ledger.get(c).as_ps().to_string())));
    fields
}

/// A record without what the oracle does not compute (`alone` has a test of its own).
fn compared(r: &RequestRecord) -> RequestRecord {
    RequestRecord { alone: windtunnel::units::SimDuration::ZERO, ..*r }
}

/// The counters that both sides define in the same way.
fn counters(c: &RunCounters) -> Vec<(&'static str, String)> {
    vec![
        ("steps", c.steps.to_string()),
        ("prefill_steps", c.prefill_steps.to_string()),
        ("mixed_steps", c.mixed_steps.to_string()),
        ("prefill_tokens", c.prefill_tokens.to_string()),
        ("decode_tokens", c.decode_tokens.to_string()),
        ("recomputed_tokens", c.recomputed_tokens.to_string()),
        ("cached_tokens", c.cached_tokens.to_string()),
        ("host_cached_tokens", c.host_cached_tokens.to_string()),
        ("wasted_slots", c.wasted_slots.to_string()),
        ("preemptions", c.preemptions.to_string()),
        ("swapped_blocks", c.swapped_blocks.to_string()),
        ("work", format!("{:?}", c.work)),
        ("waste", format!("{:?}", c.waste)),
        ("recompute_time", c.recompute_time.to_string()),
        ("swap_time", c.swap_time.to_string()),
        ("step_tokens", format!("{:?}", c.step_tokens)),
        ("step_sequences", format!("{:?}", c.step_sequences)),
        ("bound_time", format!("{:?}", c.bound_time)),
        ("energy", format!("{:?}", c.energy)),
    ]
}

/// The requests that differ, the one that differs first in time on top; `None` if all are equal.
pub fn difference(
    left: (&[RequestRecord], &RunCounters),
    right: (&[RequestRecord], &RunCounters),
) -> Option<String> {
    let mut text = String::new();
    if left.0.len() != right.0.len() {
        let _ = writeln!(text, "records: {} here, {} in the oracle", left.0.len(), right.0.len());
        return Some(text);
    }
    let mut different: Vec<usize> =
        (0..left.0.len()).filter(|&i| compared(&left.0[i]) != compared(&right.0[i])).collect();
    different.sort_by_key(|&i| left.0[i].finish.min(right.0[i].finish));
    for &i in different.iter().take(4) {
        let _ = writeln!(text, "request {i}:");
        for ((name, a), (_, b)) in fields(&left.0[i]).iter().zip(fields(&right.0[i])) {
            if *a != b {
                let _ = writeln!(text, "  {name:20} {a:>14} here, {b:>14} in the oracle");
            }
        }
    }
    if different.len() > 4 {
        let _ = writeln!(text, "and {} more requests", different.len() - 4);
    }
    for ((name, a), (_, b)) in counters(left.1).iter().zip(counters(right.1)) {
        if *a != b {
            let _ = writeln!(text, "counter {name:20} {a:>14} here, {b:>14} in the oracle");
        }
    }
    (!text.is_empty()).then_some(text)
}

/// What differs in moves, transfers and ports.
fn traffic(engine: &Outcome, oracle: &OracleOutcome) -> String {
    let ports: Vec<(u128, u128)> = engine.traffic.ports.iter().map(|p| (p.bytes, p.busy)).collect();
    let lines = [
        ("moves", format!("{:?}", engine.traffic.moves), format!("{:?}", oracle.coverage.moves)),
        ("transfers", format!("{:?}", engine.traffic.transfers), format!("{:?}", oracle.transfers)),
        ("fleet", format!("{:?}", engine.fleet), format!("{:?}", oracle.fleet)),
        ("ports", format!("{ports:?}"), format!("{:?}", oracle.ports)),
    ];
    let mut text = String::new();
    for (name, here, there) in lines {
        if here != there {
            let _ = writeln!(text, "{name} {here} here,\n{name} {there} in the oracle");
        }
    }
    text
}

/// The records of a run of ours.
fn rows(engine: &Outcome) -> Vec<RequestRecord> {
    engine.records.iter().collect()
}

/// Fails with a diff unless both runs are equal to the picosecond.
#[track_caller]
pub fn assert_equal(engine: &Outcome, oracle: &OracleOutcome, context: &dyn std::fmt::Display) {
    let found = difference((&rows(engine), &engine.counters), (&oracle.records, &oracle.counters));
    if let Some(text) = found {
        panic!("engine and oracle differ\n{text}\n{context}");
    }
}

/// The scenarios of one set on which the engine is wrong.
#[derive(Default)]
pub struct Differences {
    differing: usize,
    /// The beginning of each difference.
    all: Vec<String>,
    /// How many of them each fault or other reading of the oracle would explain.
    explained: Vec<(Mutation, usize)>,
    /// Steps and text of the smallest one.
    smallest: Option<(u64, String)>,
}

impl Differences {
    /// Runs the engine with leaps and with steps, audited, and compares both with the oracle, their samples with each
    /// other.
    pub fn compare(&mut self, s: &Scenario, oracle: &OracleOutcome) {
        let mut samples_of_leaps = Vec::new();
        for stepwise in [false, true] {
            let options = RunOptions { stepwise, audit: true, samples: 40, deadlines: Some(DEADLINES) };
            let run = || engine_run(&s.deployment(), &s.trace, &options);
            let found = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)) {
                Err(panic) => Some(format!("panic: {:?}", panic.downcast_ref::<String>())),
                Ok(Err(violation)) => Some(violation.to_string()),
                Ok(Ok(outcome)) => {
                    let ours = (&oracle.records[..], &oracle.counters);
                    let found = difference((&rows(&outcome), &outcome.counters), ours);
                    if found.is_some() {
                        self.explain(s, &outcome);
                    }
                    let sent = traffic(&outcome, oracle);
                    let found = match (found, sent.is_empty()) {
                        (found, true) => found,
                        (found, false) => Some(found.unwrap_or_default() + &sent),
                    };
                    if !stepwise {
                        samples_of_leaps.clone_from(&outcome.samples);
                    }
                    let pairs = || samples_of_leaps.iter().zip(&outcome.samples);
                    let unlike = || pairs().find(|(a, b)| a != b).map(|(a, b)| format!("{a:?}\n{b:?}"));
                    found.or_else(unlike)
                }
            };
            if let Some(text) = found {
                self.differing += 1;
                let short: Vec<&str> = text.lines().take(7).collect();
                self.all.push(format!("{} stepwise {stepwise}: {}", s.index, short.join(" | ")));
                self.keep_smallest(s, stepwise, &text);
                return;
            }
        }
    }

    /// Counts the faults and readings under which the oracle would agree with the engine.
    fn explain(&mut self, s: &Scenario, engine: &Outcome) {
        for mutation in
            Mutation::READINGS.into_iter().chain(Mutation::ALL).chain(Mutation::APART).chain(Mutation::MOVES)
        {
            let options = Options { mutation, max_steps: 2 * MAX_STEPS, ..Options::default() };
            let other = run_with(&s.deployment(), &s.trace, options);
            let theirs = rows(engine);
            if difference((&theirs, &engine.counters), (&other.records, &other.counters)).is_some() {
                continue;
            }
            match self.explained.iter_mut().find(|e| e.0 == mutation) {
                Some(e) => e.1 += 1,
                None => self.explained.push((mutation, 1)),
            }
        }
    }

    fn keep_smallest(&mut self, s: &Scenario, stepwise: bool, text: &str) {
        let options = Options { log: true, ..Options::default() };
        let logged = run_with(&s.deployment(), &s.trace, options);
        let steps = logged.counters.steps;
        if self.smallest.as_ref().is_none_or(|best| steps < best.0) {
            let log = logged.log.join("\n");
            let log_of = || engine_log(&s.deployment(), &s.trace);
            let engine = std::panic::catch_unwind(std::panic::AssertUnwindSafe(log_of)).unwrap_or_default();
            let text = format!(
                "stepwise: {stepwise}\n{text}\n{s}\nsteps of the engine:\n{engine}\nsteps of the oracle:\n{log}"
            );
            self.smallest = Some((steps, text));
        }
    }

    /// Fails with the smallest scenario if there was any difference.
    #[track_caller]
    pub fn report(&self, name: &str) {
        if let Some((_, text)) = &self.smallest {
            let list = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oracle-differences.txt");
            std::fs::write(list, self.all.join("\n")).expect("target is writable");
            panic!(
                "{name}: {} scenarios differ; explained by other readings or faults: {:?}\nthe smallest one, {text}",
                self.differing, self.explained
            );
        }
    }
}
