//! Invariants of the whole deployment. Numbers: docs/invariants.md.

use crate::engine::{Replica, Violation, World};
use crate::ids::ReplicaId;
use crate::units::SimTime;
use crate::workload::Trace;

/// Checks once nothing is left to happen, in every run: everybody has left with a sound record, no block is held.
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
    if let Some(broken) = world.requests.first_violation() {
        return Err(broken.clone());
    }
    let known = world.requests.records().len();
    if known != trace.len() {
        let message = format!("{known} of {} requests came", trace.len());
        return Err(Violation { invariant: "I14", at: now, replica: ReplicaId(0), message });
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
