//! Where the ranks of a replica stand, and so which links its collectives and hops use.

use crate::cost::{CostSpec, TensorNodes};
use crate::hardware::{Host, Level};

/// A link that was chosen, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Title of the link.
    pub link: String,
    /// Why this one.
    pub reason: String,
}

/// Servers that a tensor-parallel group spans: as few as hold it, where they share it evenly; else 1, a flat ring.
fn servers(host: &Host, tp: u32) -> u32 {
    let nodes = tp.div_ceil(host.node.holds()).max(1);
    if tp.is_multiple_of(nodes) { nodes } else { 1 }
}

/// Why `nodes` servers of this kind cannot hold a tensor-parallel group of `tp`, and what can: message and help.
pub(super) fn refuse_nodes(host: &Host, tp: u32, nodes: u32) -> Option<(String, String)> {
    let most = host.node.holds();
    if nodes == 0 || !tp.is_multiple_of(nodes) {
        let help = "write a divisor of `parallel.tp`, or leave the key out".to_owned();
        return Some((format!("{tp} accelerators cannot be split over {nodes} servers"), help));
    }
    let (each, needed) = (tp / nodes, tp.div_ceil(most.max(1)));
    let help = format!("write at least {needed}, or 1 for one ring over the slowest link");
    (nodes > 1 && each > most).then(|| {
        (format!("{each} accelerators on each of {nodes} servers, but `{}` has {most}", host.name), help)
    })
}

/// Puts a replica on servers of this kind, its ranks on consecutive accelerators from a server's first: the
/// tensor-parallel group gets the slowest link that it spans, or where it spans several servers the slowest inside one
/// and the network between them; pipeline stages get the slowest hop of the replica, swapping the host's link. `nodes`:
/// servers of the group; none: as few as hold it. Returns what was chosen, by the key it belongs to; nothing for one
/// accelerator.
pub fn place(spec: &mut CostSpec, host: Host, nodes: Option<u32>) -> Vec<(&'static str, Chosen)> {
    let (tp, ranks) = (spec.tensor_parallel, spec.tensor_parallel.saturating_mul(u32::from(spec.pipeline)));
    let scale_up = spec.accelerator.scale_up.clone();
    let asked = nodes.filter(|n| refuse_nodes(&host, tp, *n).is_none());
    let nodes_used = asked.unwrap_or_else(|| servers(&host, tp));
    let local = tp / nodes_used;
    let mut chosen = Vec::new();
    let mut choose = |key: &'static str, ranks: u32, level: Option<Level<'_>>| {
        let level = level?;
        let reason =
            format!("slowest link that {ranks} ranks span on `{}` ({})", host.name, level.reach.name());
        chosen.push((key, Chosen { link: level.link.title.clone(), reason }));
        Some(level.link.clone())
    };
    spec.overrides.tensor_link = choose("parallel.tp-link", local, host.node.link_of_group(&scale_up, local));
    if spec.pipeline > 1 {
        spec.overrides.stage_link =
            choose("parallel.pp-link", ranks, host.node.slowest_hop(&scale_up, ranks));
    }
    if nodes_used > 1 {
        let link = host.node.network.clone();
        let reason = format!("{nodes_used} servers with {local} ranks each on `{}`", host.name);
        chosen.push(("parallel.tp-network", Chosen { link: link.title.clone(), reason }));
        spec.overrides.tensor_nodes = Some(TensorNodes { nodes: nodes_used, link });
    }
    spec.accelerator.host = host;
    chosen
}
