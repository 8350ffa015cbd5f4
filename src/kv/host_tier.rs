//! Prefix blocks that were evicted from the accelerator and are kept in host memory, least recently used first to go.

use std::collections::BTreeMap;

use crate::collections::LookupMap;

use super::prefix::BlockKey;

/// Keys of the blocks in host memory. A block that is loaded back stays there too.
#[derive(Clone, Debug)]
pub(super) struct HostTier {
    most: usize,
    /// Last use, and the stamp of the plan that loads the block.
    entries: LookupMap<BlockKey, (u64, u32)>,
    by_use: BTreeMap<u64, BlockKey>,
    clock: u64,
}

impl HostTier {
    /// Room for `most` blocks.
    pub fn new(most: u32) -> Self {
        let (entries, by_use) = (LookupMap::default(), BTreeMap::new());
        HostTier { most: most as usize, entries, by_use, clock: 0 }
    }

    /// Blocks that it has room for.
    pub fn room(&self) -> u32 {
        u32::try_from(self.most).expect("made of 32 bits")
    }

    /// Whether the block is here.
    pub fn has(&self, key: BlockKey) -> bool {
        self.entries.get(&key).is_some()
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
