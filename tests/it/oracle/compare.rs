//! Equality of an engine run and an oracle run, with a diff that can be read.

use std::fmt::Write as _;

use windtunnel::cluster::Outcome;
use windtunnel::metrics::record::{Cause, RequestRecord, RunCounters};

use super::outcome::OracleOutcome;

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
    ];
    fields.extend(Cause::ALL.iter().map(|&c| (c.name(), r.ledger.get(c).as_ps().to_string())));
    fields
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
        ("wasted_slots", c.wasted_slots.to_string()),
        ("preemptions", c.preemptions.to_string()),
        ("swapped_blocks", c.swapped_blocks.to_string()),
        ("decode_context", c.decode_context.to_string()),
        ("prefill_pairs", c.prefill_pairs.to_string()),
        ("logits", c.logits.to_string()),
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
    let mut different: Vec<usize> = (0..left.0.len()).filter(|&i| left.0[i] != right.0[i]).collect();
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

/// Fails with a diff and the scenario unless both runs are equal to the picosecond.
#[track_caller]
pub fn assert_equal(engine: &Outcome, oracle: &OracleOutcome, context: &dyn std::fmt::Display) {
    let found = difference((&engine.records, &engine.counters), (&oracle.records, &oracle.counters));
    if let Some(text) = found {
        panic!(
            "engine and oracle differ\n{text}\n{context}\nsteps of the oracle:\n{}",
            oracle.log.join("\n")
        );
    }
}
