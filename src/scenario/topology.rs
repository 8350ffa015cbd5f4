//! Where the ranks of a replica stand, and so which links its collectives and hops use.

use crate::cost::CostSpec;
use crate::hardware::{Host, Level};

/// A link that was chosen, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Title of the link.
    pub link: String,
    /// Why this one.
    pub reason: String,
}

/// Puts a replica on servers of this kind, its ranks on consecutive accelerators from a server's first: the
/// tensor-parallel group gets the slowest link that it spans, pipeline stages the slowest hop of the replica, swapping
/// the host's link. Returns what was chosen, by the key it belongs to; nothing for one accelerator.
pub fn place(spec: &mut CostSpec, host: Host) -> Vec<(&'static str, Chosen)> {
    let (tp, ranks) = (spec.tensor_parallel, spec.tensor_parallel.saturating_mul(u32::from(spec.pipeline)));
    let scale_up = spec.accelerator.scale_up.clone();
    let mut chosen = Vec::new();
    let mut choose = |key: &'static str, ranks: u32, level: Option<Level<'_>>| {
        let level = level?;
        let reason =
            format!("slowest link that {ranks} ranks span on `{}` ({})", host.name, level.reach.name());
        chosen.push((key, Chosen { link: level.link.title.clone(), reason }));
        Some(level.link.clone())
    };
    spec.overrides.tensor_link = choose("parallel.tp-link", tp, host.node.link_of_group(&scale_up, tp));
    if spec.pipeline > 1 {
        spec.overrides.stage_link =
            choose("parallel.pp-link", ranks, host.node.slowest_hop(&scale_up, ranks));
    }
    spec.accelerator.host = host;
    chosen
}
