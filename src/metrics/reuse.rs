//! Reuse of prompt prefixes: at what distance tokens come again, and how many of them a run's cache gave back.
//!
//! The reuse distance of a block of prompt tokens is the smallest memory, in tokens, in which a cache with one LRU list
//! for all requests would still hold the block *and all before it in the prompt*: Mattson's stack distance (Mattson
//! et al., "Evaluation techniques for storage hierarchies", IBM Systems Journal 9(2), 1970), its running maximum along
//! the prompt. LRU caches are nested, so the sum over distances up to C is what a cache of C tokens would have hit: the
//! capacity curve. Accesses are in order of arrival; concurrency and memory taken by running requests are left out, so
//! the curve is a bound for LRU and no forecast.

use serde::{Deserialize, Serialize};

use super::records::Records;
use crate::collections::LookupMap;
use crate::workload::PrefixChains;

/// Prompt tokens with about the same reuse distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReuseBin {
    /// Reuse distance in tokens, rounded up to a power of two; 0: seen for the first time.
    pub distance: u64,
    /// Prompt tokens.
    pub tokens: u64,
    /// Those of them that the run's prefix cache held.
    pub hits: u64,
}

/// Prompt tokens of all `records` by reuse distance, rising; first those seen for the first time.
///
/// A request's `cached` tokens are taken as its leading ones. Requests admitted several times count them each time, so
/// they are cut at the length of the prompt. O(blocks · log blocks).
pub fn reuse(records: &Records, prefixes: &PrefixChains) -> Vec<ReuseBin> {
    let per_id = prefixes.tokens_per_id.max(1);
    let mut stack = Stack::new(prefixes.ids.len());
    let mut bins = vec![ReuseBin { distance: 0, tokens: 0, hits: 0 }];
    for record in records.iter() {
        let mut needed = Some(0);
        for (i, &id) in prefixes.of(record.id).iter().enumerate() {
            let start = (i as u64) * u64::from(per_id);
            let prompt = u64::from(record.prompt);
            let tokens = prompt.saturating_sub(start).min(u64::from(per_id));
            let hits = u64::from(record.cached).min(prompt).saturating_sub(start).min(tokens);
            let distance = stack.access(id).map(|blocks| blocks * u64::from(per_id));
            needed = needed.zip(distance).map(|(before, own)| before.max(own));
            let bin = needed.map_or(0, |d| d.next_power_of_two().trailing_zeros() as usize + 1);
            while bins.len() <= bin {
                bins.push(ReuseBin { distance: 1 << (bins.len() - 1), tokens: 0, hits: 0 });
            }
            bins[bin].tokens += tokens;
            bins[bin].hits += hits;
        }
    }
    bins.retain(|b| b.tokens > 0);
    bins
}

/// An LRU stack over block ids: a Fenwick tree counts which accesses are the last of their block.
struct Stack {
    last: LookupMap<u64, usize>,
    /// `tree[i]`: live accesses in the range that ends at access `i` (counted from 1).
    tree: Vec<u32>,
    now: usize,
}

impl Stack {
    fn new(accesses: usize) -> Stack {
        Stack { last: LookupMap::default(), tree: vec![0; accesses + 1], now: 0 }
    }

    /// Accesses a block: how many different blocks were accessed since its last access, itself included; none if it is
    /// new.
    fn access(&mut self, id: u64) -> Option<u64> {
        self.now += 1;
        let before = self.last.insert(id, self.now);
        let distance = before.map(|at| self.live_up_to(self.now) - self.live_up_to(at) + 1);
        if let Some(at) = before {
            self.add(at, false);
        }
        self.add(self.now, true);
        distance.map(u64::from)
    }

    fn add(&mut self, mut at: usize, live: bool) {
        while at < self.tree.len() {
            self.tree[at] = if live { self.tree[at] + 1 } else { self.tree[at] - 1 };
            at += at & at.wrapping_neg();
        }
    }

    fn live_up_to(&self, mut at: usize) -> u32 {
        let mut sum = 0;
        while at > 0 {
            sum += self.tree[at];
            at &= at - 1;
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::record::RequestRecord;

    #[test]
    fn distances_are_those_of_a_naive_lru_list() {
        let mut state = 7_u64;
        let accesses: Vec<u64> = (0..400)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 33) % 37
            })
            .collect();
        let (mut stack, mut list) = (Stack::new(accesses.len()), Vec::new());
        for id in accesses {
            let naive = list.iter().position(|x| *x == id);
            assert_eq!(stack.access(id), naive.map(|at| at as u64 + 1));
            if let Some(at) = naive {
                list.remove(at);
            }
            list.insert(0, id);
        }
    }

    #[test]
    fn the_second_of_two_equal_prompts_reuses_all_of_it_and_hits_are_what_was_cached() {
        let prefixes =
            PrefixChains { tokens_per_id: 512, starts: vec![0, 3, 6, 7], ids: vec![1, 2, 3, 1, 2, 3, 9] };
        let record = |id: u32, prompt: u32, cached: u32| RequestRecord {
            id: crate::ids::RequestId(id),
            class: crate::ids::ClassId(0),
            replica: crate::ids::ReplicaId(0),
            fate: crate::metrics::record::Fate::Finished,
            prompt,
            output: 1,
            arrival: crate::units::SimTime::ZERO,
            queued: crate::units::SimTime::ZERO,
            scheduled: crate::units::SimTime::ZERO,
            first_token: crate::units::SimTime::ZERO,
            finish: crate::units::SimTime::ZERO,
            gap_max: crate::units::SimDuration::ZERO,
            preemptions: 0,
            recomputed: 0,
            cached,
            on_time: 0,
            alone: crate::units::SimDuration::ZERO,
            ledger: crate::metrics::record::Ledger::default(),
        };
        // 1,100 tokens: the third block holds 76. Three blocks lie between: 1,536 tokens, rounded up to 2,048.
        let records = [record(0, 1100, 0), record(1, 1100, 1024), record(2, 30, 0)].into_iter().collect();
        let bins = reuse(&records, &prefixes);
        let new = ReuseBin { distance: 0, tokens: 1130, hits: 0 };
        assert_eq!(bins, [new, ReuseBin { distance: 2048, tokens: 1100, hits: 1024 }]);
    }
}
