//! Collectives of a tensor-parallel group, inside a node or over several.
//!
//! Inside a node: the ring law of the link, `max(floor, base + f(N-1)/N * x/B)` for `x` bytes per accelerator, with
//! `f` = 2 for an all-reduce and 1 for an all-gather (Patarasuk and Yuan 2009). Over `k` nodes of `g` accelerators
//! each the collective is hierarchical (arXiv 1807.11205; BlueConnect, MLSys 2019): reduce-scatter inside each node,
//! all-reduce of the shard `x/g` between the nodes by all accelerators at once, all-gather inside. Both inner halves
//! together are one all-reduce of `g`, so
//!
//! ```text
//! AR(x) = AR_inside(g, x) + AR_across(k, x/g)        GATHER(x) = GATHER_inside(g, x) + GATHER_across(k, x/g)
//! ```
//!
//! Each accelerator has its own rail of the outer link; phases do not overlap.

use super::CostSpec;
use crate::hardware::AllReduce;

/// A group with the laws of its links.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Accelerators of one node.
    local: f64,
    /// Nodes.
    nodes: f64,
    inside: Law,
    across: Law,
}

#[derive(Clone, Copy, Debug)]
struct Law {
    floor: f64,
    base: f64,
    rate: f64,
}

impl Law {
    fn of(reduce: &AllReduce) -> Law {
        Law { floor: reduce.floor.0, base: reduce.base.0, rate: reduce.bandwidth.0 }
    }

    /// `factor * (n-1)/n` passes of `bytes`, nothing for one member; s.
    fn ring(&self, factor: f64, n: f64, bytes: f64) -> f64 {
        if n <= 1.0 {
            return 0.0;
        }
        self.floor.max(self.base + factor * (n - 1.0) / n * bytes / self.rate)
    }
}

impl Group {
    /// The tensor-parallel group of one stage.
    pub(crate) fn of(spec: &CostSpec) -> Group {
        let inside = Law::of(&spec.tensor_link().all_reduce);
        let tp = f64::from(spec.tensor_parallel);
        match &spec.overrides.tensor_nodes {
            None => Group { local: tp, nodes: 1.0, inside, across: inside },
            Some(span) => {
                let nodes = f64::from(span.nodes);
                Group { local: tp / nodes, nodes, inside, across: Law::of(&span.link.all_reduce) }
            }
        }
    }

    fn time(&self, factor: f64, bytes: f64) -> f64 {
        self.inside.ring(factor, self.local, bytes) + self.across.ring(factor, self.nodes, bytes / self.local)
    }

    /// All-reduce of `bytes` per accelerator; s.
    pub(crate) fn all_reduce(&self, bytes: f64) -> f64 {
        self.time(2.0, bytes)
    }

    /// All-gather of `bytes` in all; s.
    pub(crate) fn all_gather(&self, bytes: f64) -> f64 {
        self.time(1.0, bytes)
    }
}
