//! The KV blocks of one replica: how many are held, which free one is taken next, what can be found again.
//!
//! Without a prefix cache the pool is two counters. With it, free blocks stand in a queue (least recently freed
//! first) and full blocks keep their key until they are taken; see docs/semantics.md §3.

use crate::collections::LookupMap;
use crate::ids::RequestId;

use super::free_queue::{Content, FreeQueue, RunId};
use super::host_tier::HostTier;
use super::prefix::{BlockKey, PrefixIndex};

/// Marks a block of a keyed range whose key another block has.
pub const UNKEYED: u32 = u32::MAX;

/// Block pool of one replica. Every method that takes blocks asserts that they are there.
#[derive(Clone, Debug)]
pub struct Pool {
    block: u32,
    total: u32,
    held: u32,
    /// Σ over held blocks of their holders beyond the first.
    shared: u64,
    host_total: u32,
    host_held: u32,
    cache: Option<Box<Cache>>,
}

#[derive(Clone, Debug)]
struct Cache {
    queue: FreeQueue,
    index: PrefixIndex,
    /// Where a keyed block that nobody holds stands in the queue, by node.
    run_of: Vec<Option<RunId>>,
    /// Where the private chain of a preempted request stands.
    private: LookupMap<RequestId, RunId>,
    /// Where evicted keyed blocks go.
    host: Option<HostTier>,
    /// Blocks in the queue that can be found.
    findable: u32,
}

/// What a request lets go.
#[derive(Clone, Copy, Debug)]
pub struct Released<'a> {
    /// Distinct blocks it holds, shared ones included.
    pub blocks: u32,
    /// Nodes of its leading blocks (`UNKEYED` where another block has the key).
    pub keyed: &'a [u32],
    /// For a request that will come back: itself and the number of its full blocks, whose private keys stay.
    pub returns: Option<(RequestId, u32)>,
}

impl Pool {
    /// An empty pool of `total` blocks of `block` tokens.
    pub fn new(block: u32, total: u32, host_blocks: u32, prefix_cache: bool) -> Self {
        assert!(block > 0 && total > 0, "a pool has blocks, and blocks hold tokens");
        let cache = prefix_cache.then(|| {
            Box::new(Cache {
                queue: FreeQueue::new(total),
                index: PrefixIndex::default(),
                run_of: Vec::new(),
                private: LookupMap::default(),
                host: None,
                findable: 0,
            })
        });
        Pool { block, total, held: 0, shared: 0, host_total: host_blocks, host_held: 0, cache }
    }

    /// Keeps up to `blocks` keyed blocks in host memory when they are evicted; 0: none. Needs the prefix cache.
    pub fn with_host_tier(mut self, blocks: u32) -> Self {
        if let Some(cache) = &mut self.cache {
            cache.host = (blocks > 0).then(|| HostTier::new(blocks));
        }
        self
    }

    /// A pool of the same size in which nobody holds anything and nothing is found.
    pub fn emptied(&self) -> Pool {
        let tier = self.host().map_or(0, HostTier::room);
        Pool::new(self.block, self.total, self.host_total, self.caches()).with_host_tier(tier)
    }

    /// The tier in host memory.
    pub(super) fn host(&self) -> Option<&HostTier> {
        self.cache.as_ref().and_then(|c| c.host.as_ref())
    }

    /// The same, to be changed.
    pub(super) fn host_mut(&mut self) -> Option<&mut HostTier> {
        self.cache.as_mut().and_then(|c| c.host.as_mut())
    }

    /// Whether the block with this key is in host memory.
    pub fn in_host(&self, key: BlockKey) -> bool {
        self.host().is_some_and(|host| host.has(key))
    }

    /// The plan of `stamp` loads the block with this key from host memory; false if it is not there, or was loaded by
    /// this plan before.
    pub fn load(&mut self, key: BlockKey, stamp: u32) -> bool {
        self.host_mut().is_some_and(|host| host.load(key, stamp))
    }

    /// Tokens per block.
    pub fn block(&self) -> u32 {
        self.block
    }

    /// All blocks.
    pub fn total(&self) -> u32 {
        self.total
    }

    /// Distinct blocks that requests hold.
    pub fn held(&self) -> u32 {
        self.held
    }

    /// Blocks nobody holds, cached ones included.
    pub fn free(&self) -> u32 {
        self.total - self.held
    }

    /// How often blocks are held beyond once: Σ over held blocks of their holders − 1.
    pub fn shared(&self) -> u64 {
        self.shared
    }

    /// Free blocks whose content can still be found.
    pub fn cached(&self) -> u32 {
        self.cache.as_ref().map_or(0, |c| c.findable)
    }

    /// How many of those are among the next `blocks` blocks to be taken. O(runs).
    pub fn cached_in_front(&self, blocks: u64) -> u32 {
        self.cache.as_ref().map_or(0, |c| c.queue.findable_in_front(blocks))
    }

    /// Host blocks nobody uses.
    pub fn host_free(&self) -> u32 {
        self.host_total - self.host_held
    }

    /// Blocks that hold `tokens` tokens.
    pub fn blocks_for(&self, tokens: u32) -> u32 {
        tokens.div_ceil(self.block)
    }

    /// Takes `blocks` blocks off the front of the free queue and forgets what they held.
    pub fn take(&mut self, blocks: u32) {
        assert!(blocks <= self.free(), "{blocks} blocks wanted, {} free", self.free());
        self.held += blocks;
        let Some(cache) = &mut self.cache else { return };
        let mut left = blocks;
        while left > 0 {
            let (content, taken) = cache.queue.take_front(left).expect("the queue holds every free block");
            left -= taken;
            cache.findable -= if content == Content::Plain { 0 } else { taken };
            match content {
                Content::Plain => {}
                Content::Private(owner) => {
                    let run = *cache.private.get(&owner).expect("a private run has its owner's entry");
                    if cache.queue.blocks(run) == 0 {
                        cache.private.remove(&owner);
                    }
                }
                Content::Keyed(node) => {
                    cache.run_of[node as usize] = None;
                    if let Some(host) = &mut cache.host {
                        host.keep(cache.index.key(node));
                    }
                    cache.index.forget(node);
                }
            }
        }
    }

    /// Lets a request's blocks go, last block first.
    pub fn release(&mut self, released: Released<'_>) {
        let Released { blocks, keyed, returns } = released;
        let Some(cache) = &mut self.cache else {
            self.held -= blocks;
            return;
        };
        let keyed_len = u32::try_from(keyed.len()).expect("a block count");
        let beyond = blocks - keyed_len;
        let private = returns.map_or(0, |(_, full)| full.saturating_sub(keyed_len));
        cache.queue.push_back(Content::Plain, beyond - private);
        if let (Some((owner, _)), true) = (returns, private > 0) {
            let run = cache.queue.push_back(Content::Private(owner), private);
            cache.findable += private;
            let before = cache.private.insert(owner, run);
            assert!(before.is_none(), "a request comes back once per preemption");
        }
        self.held -= beyond;
        for &node in keyed.iter().rev() {
            if node == UNKEYED {
                cache.queue.push_back(Content::Plain, 1);
                self.held -= 1;
            } else if cache.index.let_go(node) == 0 {
                cache.run_of[node as usize] = Some(cache.queue.push_back(Content::Keyed(node), 1));
                cache.findable += 1;
                self.held -= 1;
            } else {
                self.shared -= 1;
            }
        }
    }

    /// Keyed blocks among the next `blocks` that will be taken, with their keys. O(runs).
    pub(super) fn nodes_in_front(&self, blocks: u32) -> Vec<(u32, BlockKey)> {
        let Some(cache) = &self.cache else { return Vec::new() };
        let keyed = |content| match content {
            Content::Keyed(node) => Some((node, cache.index.key(node))),
            _ => None,
        };
        cache.queue.front(blocks).filter_map(keyed).collect()
    }

    /// Whether full blocks can be found again.
    pub fn caches(&self) -> bool {
        self.cache.is_some()
    }

    /// The block with this key, and whether nobody holds it.
    pub fn find(&self, key: BlockKey) -> Option<(u32, bool)> {
        let cache = self.cache.as_ref()?;
        let node = cache.index.find(key)?;
        Some((node, cache.index.holders(node) == 0))
    }

    /// Requests that hold the block of `node`.
    pub fn holders(&self, node: u32) -> u32 {
        self.cache.as_ref().map_or(0, |c| c.index.holders(node))
    }

    /// Blocks of `owner`'s private chain that are still there after its preemption.
    pub fn private(&self, owner: RequestId) -> u32 {
        let Some(cache) = &self.cache else { return 0 };
        cache.private.get(&owner).map_or(0, |&run| cache.queue.blocks(run))
    }

    /// One more request holds the block of `node`; it leaves the free queue if nobody held it.
    pub fn pin(&mut self, node: u32) {
        let cache = self.cache.as_mut().expect("a node exists only with a cache");
        if cache.index.hold(node) == 0 {
            let run = cache.run_of[node as usize].take().expect("a block nobody holds stands in the queue");
            cache.queue.remove(run);
            cache.findable -= 1;
            self.held += 1;
        } else {
            self.shared += 1;
        }
    }

    /// `owner` takes its private chain back; returns its blocks.
    pub fn pin_private(&mut self, owner: RequestId) -> u32 {
        let Some(cache) = &mut self.cache else { return 0 };
        let Some(run) = cache.private.remove(&owner) else { return 0 };
        let blocks = cache.queue.remove(run);
        cache.findable -= blocks;
        self.held += blocks;
        blocks
    }

    /// `owner` came back without its private chain, which is no longer findable.
    pub fn forget_private(&mut self, owner: RequestId) {
        if let Some(cache) = &mut self.cache
            && let Some(run) = cache.private.remove(&owner)
        {
            cache.findable -= cache.queue.blocks(run);
            cache.queue.forget(run);
        }
    }

    /// Gives a held block its key; `UNKEYED` if another block has it.
    pub fn enter(&mut self, key: BlockKey) -> u32 {
        let cache = self.cache.as_mut().expect("keys are entered only with a cache");
        let Some(node) = cache.index.enter(key) else { return UNKEYED };
        if cache.run_of.len() <= node as usize {
            cache.run_of.resize(node as usize + 1, None);
        }
        node
    }

    /// Uses host memory for a swapped-out request.
    pub fn host_take(&mut self, blocks: u32) {
        assert!(blocks <= self.host_free(), "host memory is checked before a swap");
        self.host_held += blocks;
    }

    /// Frees host memory.
    pub fn host_release(&mut self, blocks: u32) {
        self.host_held -= blocks;
    }

    /// Findable blocks of the free queue, counted one by one; equals `cached`.
    pub fn audit_cached(&self) -> u32 {
        self.cached_in_front(u64::from(self.total))
    }

    /// Blocks in the free queue, counted one by one; equals `free` (invariant I3).
    pub fn audit_free(&self) -> u32 {
        self.cache.as_ref().map_or(self.free(), |c| c.queue.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(id: u64) -> BlockKey {
        BlockKey { id, part: 0 }
    }

    #[test]
    fn a_freed_block_is_found_until_it_is_taken() {
        let mut pool = Pool::new(16, 4, 0, true);
        pool.take(3);
        let keyed = [pool.enter(key(1)), pool.enter(key(2))];
        pool.release(Released { blocks: 3, keyed: &keyed, returns: None });
        assert_eq!((pool.held(), pool.audit_free()), (0, 4));
        // The queue is now: 1 never used, 1 anonymous, block of key 2, block of key 1.
        pool.take(3);
        assert_eq!(pool.find(key(2)), None, "the tail of the chain goes first");
        assert_eq!(pool.find(key(1)), Some((keyed[0], true)));
        pool.pin(keyed[0]);
        assert_eq!((pool.held(), pool.free(), pool.audit_free()), (4, 0, 0));
    }

    #[test]
    fn shared_blocks_are_held_once() {
        let mut pool = Pool::new(16, 4, 0, true);
        pool.take(1);
        let node = pool.enter(key(1));
        pool.pin(node);
        assert_eq!(pool.held(), 1);
        assert_eq!(pool.enter(key(1)), UNKEYED);
        pool.release(Released { blocks: 1, keyed: &[node], returns: None });
        assert_eq!(pool.held(), 1);
        pool.release(Released { blocks: 1, keyed: &[node], returns: None });
        assert_eq!((pool.held(), pool.audit_free()), (0, 4));
    }

    #[test]
    fn a_victim_finds_what_is_left_of_its_own_chain() {
        let mut pool = Pool::new(16, 5, 0, true);
        let q = RequestId(3);
        pool.take(4);
        pool.release(Released { blocks: 4, keyed: &[], returns: Some((q, 3)) });
        assert_eq!(pool.private(q), 3);
        // Queue: 1 never used, 1 partial, 3 private.
        pool.take(3);
        assert_eq!(pool.private(q), 2);
        assert_eq!(pool.pin_private(q), 2);
        assert_eq!((pool.held(), pool.audit_free(), pool.private(q)), (5, 0, 0));
    }
}
