//! Which full blocks can be found again by the hash chain of the tokens up to their end.

use crate::collections::LookupMap;

/// Identity of a full block: everything from the start of the prompt to the block's end.
///
/// `id` is the trace's chain hash of the id that covers the block, `part` the block's position inside that id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockKey {
    /// Chain hash from the trace.
    pub id: u64,
    /// Position inside the tokens of that id.
    pub part: u32,
}

/// One findable block.
#[derive(Clone, Copy, Debug)]
struct Node {
    key: BlockKey,
    holders: u32,
}

/// Keys → blocks, with the number of requests that hold each block. Eviction order is the pool's affair.
#[derive(Clone, Debug, Default)]
pub struct PrefixIndex {
    nodes: Vec<Node>,
    spare: Vec<u32>,
    by_key: LookupMap<BlockKey, u32>,
}

impl PrefixIndex {
    /// The node with this key.
    pub fn find(&self, key: BlockKey) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// The key of a node.
    pub fn key(&self, node: u32) -> BlockKey {
        self.nodes[node as usize].key
    }

    /// Number of findable blocks.
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether nothing can be found.
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Requests that hold the block of a node.
    pub fn holders(&self, node: u32) -> u32 {
        self.nodes[node as usize].holders
    }

    /// Enters a key that is not there yet, held by one request; `None` if another block has it.
    pub fn enter(&mut self, key: BlockKey) -> Option<u32> {
        if self.by_key.get(&key).is_some() {
            return None;
        }
        let node = Node { key, holders: 1 };
        let at = match self.spare.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 blocks")
            }
        };
        self.by_key.insert(key, at);
        Some(at)
    }

    /// One more request holds the block; returns the holders before.
    pub fn hold(&mut self, node: u32) -> u32 {
        let holders = &mut self.nodes[node as usize].holders;
        *holders += 1;
        *holders - 1
    }

    /// One request lets the block go; returns the holders left.
    pub fn let_go(&mut self, node: u32) -> u32 {
        let holders = &mut self.nodes[node as usize].holders;
        assert!(*holders > 0, "a block is let go by somebody who holds it");
        *holders -= 1;
        *holders
    }

    /// Forgets a block that nobody holds.
    pub fn forget(&mut self, node: u32) {
        let Node { key, holders } = self.nodes[node as usize];
        assert_eq!(holders, 0, "only free blocks are evicted");
        self.by_key.remove(&key);
        self.spare.push(node);
    }
}
