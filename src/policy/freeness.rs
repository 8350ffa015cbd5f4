//! Freeness, Llumnix's measure of a replica: how much KV memory is left for each request of its batch.
//!
//! # Paper
//! "Llumnix: Dynamic Scheduling for Large Language Model Serving", OSDI'24, <https://arxiv.org/abs/2406.03243>,
//! section 4.4 and algorithm 1. Row A46. Virtual usage: what requests hold, what the head of the queue demands
//! (so that memory is made free for it in one place), and headroom for priorities. Counted in blocks per request, as
//! in the authors' code, where the paper says steps; a fraction that is compared exactly.

use std::cmp::Ordering;

use crate::ids::ReplicaId;

/// Blocks left over requests; may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freeness {
    /// Blocks that virtual usage leaves.
    pub blocks: i64,
    /// Requests of the batch, the head of the queue included; at least 1.
    pub requests: u32,
}

impl Freeness {
    /// That of a replica that is to be emptied: smaller than any other (algorithm 1 has an infinite fake request there).
    pub const DRAINING: Freeness = Freeness { blocks: i64::MIN, requests: 1 };

    /// In thousandths of a block per request, rounded down.
    pub fn thousandths(&self) -> i128 {
        (i128::from(self.blocks) * 1000).div_euclid(i128::from(self.requests))
    }

    /// Compares with a number of blocks per request.
    pub fn cmp_to(&self, blocks: i64) -> Ordering {
        self.compare(&Freeness { blocks, requests: 1 })
    }

    /// Compares exactly.
    pub fn compare(&self, other: &Freeness) -> Ordering {
        let cross = |a: &Freeness, b: &Freeness| i128::from(a.blocks) * i128::from(b.requests);
        cross(self, other).cmp(&cross(other, self))
    }
}

/// Which replicas send requests to which, from tick to tick (Llumnix, section 4.4: both sides stay in their state until
/// one leaves its threshold).
#[derive(Clone, Debug, Default)]
pub struct Pairing {
    /// (source, destination), in order of the source.
    pairs: Vec<(ReplicaId, ReplicaId)>,
}

impl Pairing {
    /// Pairs anew, with the freeness of every replica by id: below `out_below` a source, above `in_above` a destination.
    /// Who has none takes no part.
    pub fn tick(
        &mut self,
        freeness: &[Option<Freeness>],
        out_below: i64,
        in_above: i64,
    ) -> &[(ReplicaId, ReplicaId)] {
        let is =
            |r: ReplicaId, side: Ordering, of: i64| freeness[r.index()].is_some_and(|f| f.cmp_to(of) == side);
        let gives = |r: ReplicaId| is(r, Ordering::Less, out_below);
        let takes = |r: ReplicaId| is(r, Ordering::Greater, in_above);
        self.pairs.retain(|&(source, destination)| gives(source) && takes(destination));
        let paired = |r: &ReplicaId| self.pairs.iter().any(|&(s, d)| s == *r || d == *r);
        let ids = || (0u16..).map(ReplicaId).take(freeness.len());
        let mut sources: Vec<ReplicaId> = ids().filter(|r| !paired(r) && gives(*r)).collect();
        let mut destinations: Vec<ReplicaId> =
            ids().filter(|r| !paired(r) && !gives(*r) && takes(*r)).collect();
        let by_value = |a: &ReplicaId, b: &ReplicaId| match (freeness[a.index()], freeness[b.index()]) {
            (Some(a), Some(b)) => a.compare(&b),
            _ => Ordering::Equal,
        };
        // Stable sorts: the lowest id first among equals.
        sources.sort_by(by_value);
        destinations.sort_by(|a, b| by_value(b, a));
        self.pairs.extend(sources.into_iter().zip(destinations));
        self.pairs.sort_unstable();
        &self.pairs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(i64, u32)]) -> Vec<Option<Freeness>> {
        values.iter().map(|&(blocks, requests)| Some(Freeness { blocks, requests })).collect()
    }

    #[test]
    fn worst_meets_best_and_pairs_last_until_a_threshold_is_left() {
        let mut pairing = Pairing::default();
        let r = ReplicaId;
        let first = of(&[(-10, 5), (600, 10), (-50, 5), (900, 10)]);
        assert_eq!(pairing.tick(&first, 0, 10), [(r(0), r(1)), (r(2), r(3))]);
        // Replica 1 is now the best, but 2 and 3 stay together; 0 is no longer short of memory.
        let then = of(&[(10, 5), (999, 10), (-40, 5), (200, 10)]);
        assert_eq!(pairing.tick(&then, 0, 10), [(r(2), r(3))]);
        // 3 has no more to spare: 2 turns to 1.
        let last = of(&[(10, 5), (999, 10), (-40, 5), (100, 10)]);
        assert_eq!(pairing.tick(&last, 0, 10), [(r(2), r(1))]);
    }

    #[test]
    fn fractions_are_compared_exactly() {
        let [a, b] = [Freeness { blocks: 1, requests: 3 }, Freeness { blocks: 333, requests: 1000 }];
        assert_eq!(a.compare(&b), Ordering::Greater);
        assert_eq!(a.cmp_to(0), Ordering::Greater);
        assert_eq!(Freeness { blocks: 30, requests: 3 }.cmp_to(10), Ordering::Equal);
    }
}
