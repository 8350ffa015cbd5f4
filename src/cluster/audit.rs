//! Invariants of the whole deployment. Numbers: docs/invariants.md.

use crate::engine::{Replica, Violation, World, answer};
use crate::ids::ReplicaId;
use crate::metrics::record::Fate;
use crate::units::SimTime;
use crate::workload::Trace;

/// Checks every record and every pool once nothing is left to happen; in every run.
pub(super) fn end(
    world: &World<'_>,
    trace: &Trace,
    replicas: &[Replica],
    now: SimTime,
) -> Result<(), Violation> {
    if let Some(lost) = world.requests.oldest() {
        let message = format!("{} was lost while {:?}", lost.record.id, lost.phase);
        return Err(Violation { invariant: "I14", at: now, replica: lost.record.replica, message });
    }
    let records = world.requests.records();
    if records.len() != trace.len() {
        let message = format!("{} of {} requests came", records.len(), trace.len());
        return Err(Violation { invariant: "I14", at: now, replica: ReplicaId(0), message });
    }
    for (record, row) in records.iter().zip(&trace.requests) {
        let fail =
            |invariant, message| Err(Violation { invariant, at: now, replica: record.replica, message });
        if record.fate == Fate::Unfinished {
            return fail("I14", format!("{} has no fate", record.id));
        }
        let output = answer(row, world.limit).0;
        if record.fate == Fate::Finished && record.output != output {
            return fail("I2", format!("{} got {} of {output} tokens", record.id, record.output));
        }
        let instants = [record.arrival, record.queued, record.scheduled, record.first_token, record.finish];
        if !instants.is_sorted() {
            return fail("I4", format!("{} goes back in time: {instants:?}", record.id));
        }
        if record.ledger.total() != record.e2e() {
            return fail(
                "I15",
                format!("{}: ledger {} of {}", record.id, record.ledger.total(), record.e2e()),
            );
        }
    }
    match replicas.iter().find(|r| r.state.pool.held() > 0) {
        None => Ok(()),
        Some(r) => {
            Err(r.state.violation("I3", now, format!("{} blocks held at the end", r.state.pool.held())))
        }
    }
}

/// Checks the whole deployment after an instant (`--audit`; always on in tests).
pub(super) fn instant(world: &World<'_>, replicas: &[Replica], now: SimTime) -> Result<(), Violation> {
    for replica in replicas {
        replica.state.audit(now, world)?;
    }
    let inside: usize = replicas.iter().map(|r| r.state.population()).sum();
    let counted = world.inside;
    if inside != counted {
        let message = format!("{counted} requests were queued and did not leave, the replicas know {inside}");
        return Err(Violation { invariant: "I1", at: now, replica: ReplicaId(0), message });
    }
    Ok(())
}
