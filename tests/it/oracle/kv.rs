//! KV memory as a list of blocks (§3).

use std::collections::VecDeque;

use windtunnel::engine::config::{Allocation, KvConfig, Preemption, ReserveRule};
use windtunnel::workload::Trace;

use super::request::Req;

/// What a full block contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Prefix id and the block's position inside it.
    Shared(u64, u32),
    /// Request and the block's position in its context.
    Private(usize, u32),
}

#[derive(Clone, Debug, Default)]
pub struct Block {
    pub key: Option<Key>,
    /// How many requests hold it.
    pub holders: u32,
}

#[derive(Clone, Debug)]
pub struct Kv {
    pub tokens_per_block: u32,
    pub blocks: Vec<Block>,
    pub free: VecDeque<usize>,
    pub prefix_cache: bool,
    pub host_total: u32,
    pub host_used: u32,
    /// Keys of evicted blocks that host memory keeps, the least recently used first, and how many it can.
    pub host_list: Vec<Key>,
    pub host_most: usize,
    /// Keyed blocks that were taken from the free queue.
    pub evictions: u64,
}

impl Kv {
    pub fn new(config: &KvConfig, host_cache: u32) -> Kv {
        Kv {
            tokens_per_block: config.block,
            blocks: vec![Block::default(); config.blocks as usize],
            free: (0..config.blocks as usize).collect(),
            prefix_cache: config.prefix_cache,
            host_total: match config.preemption {
                Preemption::Swap { host_blocks } => host_blocks,
                Preemption::Recompute => 0,
            },
            host_used: 0,
            host_list: Vec::new(),
            host_most: host_cache as usize,
            evictions: 0,
        }
    }

    /// ⌈tokens / B⌉.
    pub fn blocks_for(&self, tokens: u32) -> u32 {
        tokens.div_ceil(self.tokens_per_block)
    }

    /// The block that a key is entered for, held or free.
    pub fn find(&self, key: Key) -> Option<usize> {
        self.blocks.iter().position(|b| b.key == Some(key))
    }

    /// One more holder; a free block leaves the queue.
    pub fn pin(&mut self, block: usize) {
        if self.blocks[block].holders == 0 {
            self.free.retain(|&b| b != block);
        }
        self.blocks[block].holders += 1;
    }

    /// Takes the front of the free queue and forgets its key.
    pub fn take(&mut self) -> usize {
        let block = self.free.pop_front().expect("the plan fits");
        assert_eq!(self.blocks[block].holders, 0);
        if let Some(key) = self.blocks[block].key.take() {
            self.evictions += 1;
            if matches!(key, Key::Shared(..)) && self.host_most > 0 {
                self.use_host(key);
                let beyond = self.host_list.len().saturating_sub(self.host_most);
                self.host_list.drain(..beyond);
            }
        }
        self.blocks[block].holders = 1;
        block
    }

    /// The key becomes the latest of the host list.
    pub fn use_host(&mut self, key: Key) {
        self.host_list.retain(|&k| k != key);
        self.host_list.push(key);
    }

    /// Lets go of all of a request's blocks, the last one first; those nobody else holds join the back of the queue.
    pub fn release(&mut self, held: Vec<usize>, last_first: bool) {
        let order: Vec<usize> = if last_first { held.into_iter().rev().collect() } else { held };
        for block in order {
            self.blocks[block].holders -= 1;
            if self.blocks[block].holders == 0 {
                self.free.push_back(block);
            }
        }
    }

    /// Enters a key unless another block has it already.
    pub fn enter(&mut self, block: usize, key: Key) {
        if self.prefix_cache && self.find(key).is_none() {
            self.blocks[block].key = Some(key);
        }
    }

    /// The private keys of `request` are gone, but for those of the blocks in `but`.
    pub fn forget_private(&mut self, request: usize, but: &[usize]) {
        for (at, block) in self.blocks.iter_mut().enumerate() {
            if matches!(block.key, Some(Key::Private(owner, _)) if owner == request) && !but.contains(&at) {
                block.key = None;
            }
        }
    }

    /// I3: held + free = all, and free blocks have no holder.
    pub fn check(&self) {
        let held = self.blocks.iter().filter(|b| b.holders > 0).count();
        assert_eq!(held + self.free.len(), self.blocks.len());
        assert!(self.free.iter().all(|&b| self.blocks[b].holders == 0));
        assert!(self.host_used <= self.host_total);
    }
}

/// The key of block `index` of a request (§3).
pub fn key_of(trace: &Trace, request: &Req, index: u32, block: u32) -> Key {
    let private = Key::Private(request.id, index);
    let Some(chains) = trace.prefixes.as_ref().filter(|c| c.tokens_per_id > 0) else { return private };
    if (index + 1) * block > request.prompt {
        return private;
    }
    let ids = chains.of(windtunnel::ids::RequestId(request.id as u32));
    let first_token = index * block;
    match ids.get((first_token / chains.tokens_per_id) as usize) {
        Some(&id) => Key::Shared(id, first_token % chains.tokens_per_id / block),
        None => private,
    }
}

/// Tokens of a reservation, or nothing under paged allocation (§3).
pub fn reserved_tokens(allocation: Allocation, request: &Req, limit: u32) -> Option<u32> {
    let Allocation::Reserve(rule) = allocation else { return None };
    Some(match rule {
        ReserveRule::MaxTokens => request.prompt + request.max_tokens,
        ReserveRule::MaxModelLen => limit,
        ReserveRule::Pow2 => request.prompt + request.output.next_power_of_two().min(limit - request.prompt),
        ReserveRule::Exact => request.prompt + request.output,
        ReserveRule::BuddyExact => (request.prompt + request.output).next_power_of_two().min(limit),
        ReserveRule::BuddyPow2 => {
            let pow2 = reserved_tokens(Allocation::Reserve(ReserveRule::Pow2), request, limit);
            pow2.unwrap_or(0).next_power_of_two().min(limit)
        }
    })
}
