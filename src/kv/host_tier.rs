//! Prefix blocks that were evicted from the accelerator and are kept in host memory, least recently used first to go.

use std::collections::BTreeMap;

use crate::collections::LookupMap;

use super::pool::Pool;
use super::prefix::BlockKey;

/// Keys of the blocks in host memory. A block that is loaded back stays there too.
#[derive(Clone, Debug)]
pub(super) struct HostTier {
    most: usize,
    /// Last use, and the stamp of the plan that loads the block.
    entries: LookupMap<BlockKey, (u64, u32)>,
    by_use: BTreeMap<u64, BlockKey>,
    clock: u64,
    /// What came from other replicas and is put here before the next plan.
    brought: Vec<BlockKey>,
}

impl HostTier {
    /// Room for `most` blocks.
    pub fn new(most: u32) -> Self {
        let (entries, by_use) = (LookupMap::default(), BTreeMap::new());
        HostTier { most: most as usize, entries, by_use, clock: 0, brought: Vec::new() }
    }

    /// Blocks that it has room for.
    pub fn room(&self) -> u32 {
        u32::try_from(self.most).expect("made of 32 bits")
    }

    /// Whether the block is here.
    pub fn has(&self, key: BlockKey) -> bool {
        self.entries.get(&key).is_some()
    }

    /// Blocks of another replica have come, in the order in which they are to be kept.
    fn bring(&mut self, keys: &[BlockKey]) {
        self.brought.extend(keys);
    }

    /// Whether the block has come and is not here yet.
    pub fn is_brought(&self, key: BlockKey) -> bool {
        self.brought.contains(&key)
    }

    /// Keeps what has come.
    fn keep_brought(&mut self) {
        let mut brought = std::mem::take(&mut self.brought);
        for key in brought.drain(..) {
            self.keep(key);
        }
        self.brought = brought;
    }

    /// A block is evicted from the accelerator: it is kept here, and what is beyond the room goes.
    pub fn keep(&mut self, key: BlockKey) {
        let stamp = self.entries.get(&key).map_or(0, |&(_, stamp)| stamp);
        self.used(key, stamp);
        if self.by_use.len() > self.most
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }

    /// Keys that go when `kept` are evicted from the accelerator, in this order.
    pub fn gone_after(&self, kept: &[BlockKey]) -> Vec<BlockKey> {
        let new = kept.iter().filter(|&&key| !self.has(key)).count();
        let beyond = (self.by_use.len() + new).saturating_sub(self.most);
        let others = self.by_use.values().filter(|key| !kept.contains(key));
        others.chain(kept).take(beyond).copied().collect()
    }

    /// The plan of `stamp` loads a block: true for the first time it does; false also if the block is not here.
    pub fn load(&mut self, key: BlockKey, stamp: u32) -> bool {
        let Some(&(_, before)) = self.entries.get(&key) else { return false };
        self.used(key, stamp);
        before != stamp
    }

    fn used(&mut self, key: BlockKey, stamp: u32) {
        self.clock += 1;
        if let Some((before, _)) = self.entries.insert(key, (self.clock, stamp)) {
            self.by_use.remove(&before);
        }
        self.by_use.insert(self.clock, key);
    }
}

impl Pool {
    /// Blocks of another replica have come, in the order in which host memory is to keep them.
    pub fn bring(&mut self, keys: &[BlockKey]) {
        self.host_mut().expect("prefixes are fetched where there is a host tier").bring(keys);
    }

    /// Host memory keeps what has come. Call it before a plan.
    pub fn keep_brought(&mut self) {
        if let Some(host) = self.host_mut() {
            host.keep_brought();
        }
    }
}
