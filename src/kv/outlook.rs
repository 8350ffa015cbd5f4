//! What can be found in a pool after the next blocks of its free queue are taken: what a leap has taken by now, before it
//! is applied.

use super::pool::Pool;
use super::prefix::BlockKey;

/// A pool after some blocks were taken.
pub struct Outlook<'a> {
    pool: &'a Pool,
    /// Keyed blocks among them.
    taken: Vec<(u32, BlockKey)>,
    /// What leaves host memory for them.
    gone: Vec<BlockKey>,
}

impl<'a> Outlook<'a> {
    /// After the next `blocks` blocks.
    pub fn new(pool: &'a Pool, blocks: u32) -> Self {
        let taken = pool.nodes_in_front(blocks);
        let keys: Vec<BlockKey> = taken.iter().map(|&(_, key)| key).collect();
        let gone = match pool.host() {
            Some(host) if !keys.is_empty() => host.gone_after(&keys),
            _ => Vec::new(),
        };
        Outlook { pool, taken, gone }
    }

    /// Whether the block with this key is on the accelerator.
    pub fn has(&self, key: BlockKey) -> bool {
        self.pool.find(key).is_some_and(|(node, _)| !self.taken.iter().any(|&(t, _)| t == node))
    }

    /// Whether it is there, in host memory, or brought there.
    pub fn keeps(&self, key: BlockKey) -> bool {
        let Some(host) = self.pool.host() else { return self.has(key) };
        let in_host = || host.has(key) || self.taken.iter().any(|&(_, t)| t == key);
        self.has(key) || host.is_brought(key) || (in_host() && !self.gone.contains(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Released;

    const fn key(id: u64) -> BlockKey {
        BlockKey { id, part: 0 }
    }

    /// What an outlook says of a pool is what the pool says once the blocks are taken, and what was brought waits.
    #[test]
    fn an_outlook_is_the_pool_later() {
        let mut pool = Pool::new(16, 6, 0, true).with_host_tier(2);
        for ids in [[1, 2], [3, 4], [5, 6]] {
            pool.take(2);
            let keyed = ids.map(|id| pool.enter(key(id)));
            pool.release(Released { blocks: 2, keyed: &keyed, returns: None });
        }
        pool.take(1);
        for blocks in 0..5 {
            let outlook = Outlook::new(&pool, blocks);
            let mut later = pool.clone();
            later.take(blocks);
            for id in 1..7 {
                let entered = later.find(key(id)).is_some();
                assert_eq!(outlook.has(key(id)), entered, "{blocks} blocks, key {id}");
                assert_eq!(outlook.keeps(key(id)), entered || later.in_host(key(id)), "{blocks}, {id}");
            }
        }
        pool.bring(&[key(8), key(9)]);
        assert!(Outlook::new(&pool, 4).keeps(key(8)) && !pool.in_host(key(8)));
        pool.keep_brought();
        assert!(pool.in_host(key(8)) && pool.in_host(key(9)));
    }
}
