//! `cache-aware`: SGLang's router, an approximate radix tree per replica behind a guard on the queues.
//!
//! # Paper
//! "SGLang: Efficient Execution of Structured Language Model Programs", NeurIPS'24, <https://arxiv.org/abs/2312.07104>
//! (row A17). The router is younger than the paper: policy `cache_aware` of sglang-router, read in `sgl-project/sglang`,
//! `sgl-router/src/policies/cache_aware.rs` at commit 026f853.
//!
//! # Mechanism modelled
//! The router keeps a tree of what it routed to each replica; it never asks a replica what it holds. If the longest queue
//! exceeds the shortest by more than `balance-abs-threshold` requests and by more than `balance-rel-threshold` times, the
//! request goes to the shortest queue (the lowest id of equals). Else it goes to the replica whose tree matches most of
//! the prompt (the lowest id of equals) if that is more than `cache-threshold` of it, and if not, to the replica with the
//! smallest tree, which has most room. Either way the prompt enters the tree of the replica that got it. A match marks its
//! path as used, also where the request then goes elsewhere. A tree beyond `max-tree-tokens` loses the leaves that were
//! not used for longest. Queues are the router's own count of what it sent and what came back, so they are never stale.
//!
//! A node is one prefix id. What no id covers of a prompt is a leaf of its own that nobody can match.
//!
//! # Unlike `prefix-affinity`
//! That one is the idea shared by several systems, this one is SGLang's router as it is. A poor match goes to the smallest
//! tree here, whatever its queue; there to the shortest queue. The best of equal matches is the lowest id here, the shorter
//! queue there. The match must exceed its threshold here; there it must reach it. What is remembered is bounded by the
//! router's own limit here, by the replica's KV memory there. It forgets leaves of a tree, not ids of a list.
//!
//! # Left out, and the effect
//! The original evicts in a thread every `eviction-interval-secs`; here a tree never exceeds its limit, so that it forgets
//! a little earlier. It counts characters and has one tree for all replicas with marks on its nodes; the default limit here
//! takes four characters for a token. Of equal matches it takes any replica.
//!
//! # Parameters
//! | key | default | the original's |
//! | --- | --- | --- |
//! | `cache-threshold` | 0.3 | 0.5 in its first versions |
//! | `balance-abs-threshold` | 64 | 32 in its first versions |
//! | `balance-rel-threshold` | 1.5 | 1.0001 in its first versions |
//! | `max-tree-tokens` | 2^24 | `max-tree-size`: 2^26 characters, 2^24 in its first versions |
//!
//! # Validation
//! Hand-made cases below; a naive copy stands in the oracle.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::least::{Measure, all, least};
use super::{BadParameter, Mechanism, Replicas, Report, RouteRequest, Router};
use crate::collections::LookupMap;
use crate::ids::ReplicaId;

/// Parameters of `cache-aware`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CacheAware {
    /// Share of the prompt that a match must exceed, in [0, 1].
    pub cache_threshold: f64,
    /// Requests by which the longest queue may exceed the shortest.
    pub balance_abs_threshold: u32,
    /// How many times as long it may be besides; at least 1.
    pub balance_rel_threshold: f64,
    /// Tokens that the tree of one replica may hold.
    pub max_tree_tokens: u64,
}

impl Default for CacheAware {
    fn default() -> Self {
        CacheAware {
            cache_threshold: 0.3,
            balance_abs_threshold: 64,
            balance_rel_threshold: 1.5,
            max_tree_tokens: 1 << 24,
        }
    }
}

impl Mechanism for CacheAware {
    fn build(&self) -> Box<dyn Router> {
        Box::new(Trees { parameters: self.clone(), trees: Vec::new(), clock: 0 })
    }

    fn report(&self) -> Option<Report> {
        Some(Report::default())
    }

    fn validate(&self) -> Result<(), BadParameter> {
        if !(self.balance_rel_threshold >= 1.0 && self.balance_rel_threshold.is_finite()) {
            let message = format!(
                "`balance-rel-threshold` is {}, but the longest queue is never below the shortest",
                self.balance_rel_threshold
            );
            return Err((
                "balance-rel-threshold",
                message,
                "write a number from 1 up, such as `1.5`".to_owned(),
            ));
        }
        if !(0.0..=1.0).contains(&self.cache_threshold) {
            let message =
                format!("`cache-threshold` is {}, which is no share of a prompt", self.cache_threshold);
            return Err(("cache-threshold", message, "write a number from 0 to 1".to_owned()));
        }
        Ok(())
    }
}

const ROOT: usize = 0;

/// One prefix id below another, or what no id covers.
#[derive(Clone, Copy, Default)]
struct Node {
    parent: usize,
    /// Its id; none where nobody can match it.
    id: Option<u64>,
    children: u32,
    tokens: u64,
    /// Number of the last decision that used it.
    used: u64,
}

/// What was routed to one replica.
struct Tree {
    /// The first is the root; freed places are in `free`.
    nodes: Vec<Node>,
    free: Vec<usize>,
    children: LookupMap<(usize, u64), usize>,
    /// Leaves by their last use. One decision uses one path, so that no two leaves share a number.
    leaves: BTreeMap<u64, usize>,
    tokens: u64,
}

impl Tree {
    fn new() -> Tree {
        Tree {
            nodes: vec![Node::default()],
            free: Vec::new(),
            children: LookupMap::default(),
            leaves: BTreeMap::new(),
            tokens: 0,
        }
    }

    /// Nodes that match the beginning of `prefix`.
    fn path(&self, prefix: &[u64]) -> Vec<usize> {
        let mut path = Vec::new();
        let mut at = ROOT;
        for &id in prefix {
            let Some(&child) = self.children.get(&(at, id)) else { break };
            path.push(child);
            at = child;
        }
        path
    }

    fn touch(&mut self, node: usize, clock: u64) {
        let before = std::mem::replace(&mut self.nodes[node].used, clock);
        if self.nodes[node].children == 0 {
            self.leaves.remove(&before);
            self.leaves.insert(clock, node);
        }
    }

    fn add(&mut self, parent: usize, id: Option<u64>, tokens: u64, clock: u64) -> usize {
        let node = Node { parent, id, children: 0, tokens, used: clock };
        let place = self.free.pop().unwrap_or(self.nodes.len());
        match self.nodes.get_mut(place) {
            Some(slot) => *slot = node,
            None => self.nodes.push(node),
        }
        if parent != ROOT && self.nodes[parent].children == 0 {
            self.leaves.remove(&self.nodes[parent].used);
        }
        self.nodes[parent].children += 1;
        if let Some(id) = id {
            self.children.insert((parent, id), place);
        }
        self.leaves.insert(clock, place);
        self.tokens += tokens;
        place
    }

    /// Enters a prompt as just used, then forgets what is beyond `most` tokens.
    fn enter(&mut self, request: &RouteRequest<'_>, most: u64, clock: u64) {
        let mut at = ROOT;
        let mut rest = u64::from(request.prompt);
        for &id in request.prefix {
            let tokens = rest.min(u64::from(request.tokens_per_id));
            rest -= tokens;
            let known = self.children.get(&(at, id)).copied();
            at = match known {
                Some(child) => {
                    self.touch(child, clock);
                    child
                }
                None => self.add(at, Some(id), tokens, clock),
            };
        }
        if rest > 0 {
            self.add(at, None, rest, clock);
        }
        while self.tokens > most {
            let Some((_, leaf)) = self.leaves.pop_first() else { break };
            self.forget(leaf);
        }
    }

    /// Takes a leaf off, which `leaves` has no longer.
    fn forget(&mut self, leaf: usize) {
        let Node { parent, id, tokens, .. } = self.nodes[leaf];
        if let Some(id) = id {
            self.children.remove(&(parent, id));
        }
        self.tokens -= tokens;
        self.free.push(leaf);
        self.nodes[parent].children -= 1;
        if parent != ROOT && self.nodes[parent].children == 0 {
            self.leaves.insert(self.nodes[parent].used, parent);
        }
    }
}

/// The router: its parameters and a tree per replica.
struct Trees {
    parameters: CacheAware,
    trees: Vec<Tree>,
    clock: u64,
}

impl Trees {
    fn is_unbalanced(&self, replicas: &mut dyn Replicas) -> bool {
        let up: Vec<ReplicaId> = all(replicas).filter(|&r| replicas.is_up(r)).collect();
        let queues: Vec<u32> = up.iter().map(|&r| replicas.load(r).requests).collect();
        let longest = queues.iter().copied().max().unwrap_or(0);
        let shortest = queues.iter().copied().min().unwrap_or(0);
        longest - shortest > self.parameters.balance_abs_threshold
            && f64::from(longest) > self.parameters.balance_rel_threshold * f64::from(shortest)
    }

    /// By the trees: the best match, or the most room.
    fn by_trees(&mut self, request: &RouteRequest<'_>, replicas: &dyn Replicas) -> ReplicaId {
        let mut best: (ReplicaId, Vec<usize>) = (ReplicaId(0), Vec::new());
        for r in all(replicas).filter(|&r| replicas.is_up(r)) {
            let path = self.trees[r.index()].path(request.prefix);
            if path.len() > best.1.len() {
                best = (r, path);
            }
        }
        let (matching, path) = best;
        for &node in &path {
            self.trees[matching.index()].touch(node, self.clock);
        }
        let matched = u32::try_from(path.len()).unwrap_or(u32::MAX).saturating_mul(request.tokens_per_id);
        let matched = matched.min(request.prompt);
        if f64::from(matched) > self.parameters.cache_threshold * f64::from(request.prompt) {
            return matching;
        }
        let up = all(replicas).filter(|&r| replicas.is_up(r));
        up.min_by_key(|r| self.trees[r.index()].tokens).unwrap_or(ReplicaId(0))
    }
}

impl Router for Trees {
    fn route(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        self.trees.resize_with(usize::from(replicas.count()), Tree::new);
        self.clock += 1;
        let chosen = if self.is_unbalanced(replicas) {
            least(all(replicas), replicas, Measure::Requests, false)
        } else {
            self.by_trees(request, replicas)
        };
        self.trees[chosen.index()].enter(request, self.parameters.max_tree_tokens, self.clock);
        chosen
    }

    fn forget(&mut self, replica: ReplicaId) {
        if let Some(tree) = self.trees.get_mut(replica.index()) {
            *tree = Tree::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::RequestId;
    use crate::policy::freeness::Freeness;
    use crate::policy::router::{Expectations, Load, Memory};

    /// Queues that the test sets; nothing else may be read.
    struct Queues(Vec<u32>);

    impl Replicas for Queues {
        fn count(&self) -> u16 {
            u16::try_from(self.0.len()).expect("few")
        }
        fn load(&mut self, replica: ReplicaId) -> Load {
            Load { requests: self.0[replica.index()], ..Load::default() }
        }
        fn memory(&self, _: ReplicaId) -> Memory {
            unreachable!("the original does not know the memory")
        }
        fn freeness(&mut self, _: ReplicaId) -> Freeness {
            unreachable!("the original does not know the memory")
        }
        fn cached(&mut self, _: ReplicaId) -> u32 {
            unreachable!("the original does not ask the replicas")
        }
        fn expectations(&mut self) -> &mut dyn Expectations {
            unreachable!("it expects nothing")
        }
        fn draw(&self, _: u64, _: u16) -> u16 {
            unreachable!("it draws nothing")
        }
    }

    fn sent(router: &mut dyn Router, queues: &[u32], prompt: u32, prefix: &[u64]) -> u16 {
        let (id, session) = (RequestId(0), None);
        let request = RouteRequest { id, prompt, session, prefix, tokens_per_id: 10 };
        router.route(&request, &mut Queues(queues.to_vec())).0
    }

    #[test]
    fn a_match_above_the_threshold_beats_room_and_one_at_it_does_not() {
        let mut router = CacheAware { cache_threshold: 0.5, ..CacheAware::default() }.build();
        assert_eq!(sent(&mut *router, &[0, 0], 40, &[1, 2, 3, 4]), 0);
        assert_eq!(sent(&mut *router, &[0, 0], 40, &[1, 2, 3, 9]), 0, "30 of 40 tokens match");
        assert_eq!(sent(&mut *router, &[0, 0], 40, &[1, 2, 8, 8]), 1, "20 of 40 are not more than half");
    }

    #[test]
    fn a_poor_match_goes_to_the_smallest_tree_whatever_the_queues() {
        let mut router = CacheAware::default().build();
        assert_eq!(sent(&mut *router, &[0, 0, 0], 90, &[1]), 0);
        assert_eq!(sent(&mut *router, &[0, 0, 0], 20, &[2]), 1);
        assert_eq!(sent(&mut *router, &[0, 0, 0], 30, &[3]), 2);
        assert_eq!(sent(&mut *router, &[1, 60, 0], 20, &[4]), 1, "the tree of 20 tokens, the longest queue");
        assert_eq!(sent(&mut *router, &[0, 0, 0], 5, &[]), 2, "trees of 90, 40 and 30 tokens");
    }

    #[test]
    fn the_shortest_queue_gets_it_only_where_both_thresholds_are_exceeded() {
        let known = [1, 2, 3];
        let after = |queues: &[u32]| {
            let mut router = CacheAware::default().build();
            assert_eq!(sent(&mut *router, &[0, 0, 0], 30, &known), 0);
            sent(&mut *router, queues, 30, &known)
        };
        assert_eq!(after(&[64, 9, 0]), 0, "64 is not more than 64");
        assert_eq!(after(&[300, 235, 240]), 0, "65 more, but not half as many again");
        assert_eq!(after(&[75, 20, 10]), 2, "65 more, and more than 1.5 times");
    }

    #[test]
    fn the_shortest_queue_learns_what_it_was_sent() {
        let mut router = CacheAware::default().build();
        assert_eq!(sent(&mut *router, &[0, 0], 30, &[1, 2, 3]), 0);
        assert_eq!(sent(&mut *router, &[100, 0], 40, &[1, 2, 3, 4]), 1);
        assert_eq!(sent(&mut *router, &[0, 0], 40, &[1, 2, 3, 4]), 1, "the longer match");
    }

    #[test]
    fn leaves_unused_for_longest_are_forgotten_first() {
        let mut tree = Tree::new();
        let mut enter = |prefix: &[u64], clock| {
            let prompt = 10 * u32::try_from(prefix.len()).expect("short");
            let (id, session) = (RequestId(0), None);
            let request = RouteRequest { id, prompt, session, prefix, tokens_per_id: 10 };
            tree.enter(&request, 40, clock);
            let known = |p: &[u64]| tree.path(p).len();
            (tree.tokens, known(&[1, 2]), known(&[1, 3]), known(&[7]))
        };
        assert_eq!(enter(&[1, 2], 1), (20, 2, 1, 0));
        assert_eq!(enter(&[1, 3], 2), (30, 2, 2, 0));
        assert_eq!(enter(&[1, 2], 3), (30, 2, 2, 0));
        // Two more would make 50 tokens: the leaf 3 goes, the inner node 1 stays.
        assert_eq!(enter(&[7, 8], 4), (40, 2, 1, 1));
        // Then 2 and, without children, 1.
        assert_eq!(enter(&[9, 9], 5), (40, 0, 0, 1));
    }

    #[test]
    fn a_prompt_beyond_the_limit_keeps_its_beginning() {
        let mut tree = Tree::new();
        let prefix = [1, 2, 3];
        let request =
            RouteRequest { id: RequestId(0), prompt: 35, session: None, prefix: &prefix, tokens_per_id: 10 };
        tree.enter(&request, 20, 1);
        assert_eq!((tree.tokens, tree.path(&prefix).len()), (20, 2));
        assert_eq!((tree.nodes.len(), tree.free.len(), tree.leaves.len()), (5, 2, 1));
    }
}
