//! The invariants that can be checked at every instant (`--audit`; always on in tests). Numbers: docs/invariants.md.

use crate::engine::{Phase, Replica, Violation, World};
use crate::ids::ReplicaId;
use crate::units::SimTime;

/// Checks the whole deployment after an instant.
pub(super) fn instant(world: &World<'_>, replicas: &[Replica], now: SimTime) -> Result<(), Violation> {
    for replica in replicas {
        replica.state.audit(now, world)?;
    }
    let inside: usize = replicas.iter().map(|r| r.state.population()).sum();
    let counted = world.requests.iter().filter(|r| !matches!(r.phase, Phase::Outside | Phase::Left)).count();
    if inside != counted {
        let message = format!("{counted} requests are inside, the replicas know {inside}");
        return Err(Violation { invariant: "I1", at: now, replica: ReplicaId(0), message });
    }
    Ok(())
}
