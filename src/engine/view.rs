//! What a scheduler may see of its replica at the moment of planning.
//!
//! The view is the knowledge boundary (invariant I6): true output lengths are not in it.

use crate::ids::RequestId;
use crate::kv::{BlockKey, UNKEYED};
use crate::policy::scheduler::{Preempt, StepPlan};
use crate::units::SimTime;

use super::config::{Allocation, Preemption};
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

/// Read access to one replica at the moment of planning.
pub struct EngineView<'a> {
    replica: &'a ReplicaState,
    world: &'a World<'a>,
    now: SimTime,
}

/// What a real engine knows of one request. `tokens = prompt + generated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestView {
    /// How many requests joined the replica before it: its place in queue order where that is first come, first served.
    pub number: u32,
    /// Prompt tokens.
    pub prompt: u32,
    /// Tokens generated so far.
    pub generated: u32,
    /// Tokens whose KV exists.
    pub computed: u32,
    /// The client's `max_tokens`.
    pub max_tokens: u32,
    /// Blocks it holds.
    pub blocks: u32,
}

impl RequestView {
    /// Prompt and generated tokens: what a prefill has to cover.
    pub fn tokens(&self) -> u32 {
        self.prompt + self.generated
    }
}

/// Leading tokens of a waiting request that the prefix cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixHit {
    /// Tokens, a multiple of the block size.
    pub tokens: u32,
    /// Blocks of the hit that are in the free queue and would leave it.
    pub from_free: u32,
    /// Blocks of the hit that are in host memory: each takes a new block and is loaded.
    pub from_host: u32,
}

impl<'a> EngineView<'a> {
    pub(crate) fn new(replica: &'a ReplicaState, world: &'a World<'a>, now: SimTime) -> Self {
        EngineView { replica, world, now }
    }

    /// The instant of planning.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Waiting requests in queue order.
    pub fn waiting(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        self.replica.waiting.iter().copied()
    }

    /// Number of waiting requests.
    pub fn waiting_len(&self) -> u32 {
        count(self.replica.waiting.len())
    }

    /// Swapped-out requests in queue order.
    pub fn swapped(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        self.replica.swapped.iter().copied()
    }

    /// Number of swapped-out requests.
    pub fn swapped_len(&self) -> u32 {
        count(self.replica.swapped.len())
    }

    /// Requests whose prompts were computed elsewhere and whose KV has come, in queue order: they hold all blocks that
    /// their next token needs and are not running yet.
    pub fn loaded(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        self.replica.exchange.loaded.iter().copied()
    }

    /// Number of loaded requests.
    pub fn loaded_len(&self) -> u32 {
        count(self.replica.exchange.loaded.len())
    }

    /// Running requests that are not in flight, in queue order.
    pub fn ready(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        self.replica.running.iter().copied().filter(|&r| self.world.request(r).is_ready())
    }

    /// Running requests, in flight included.
    pub fn running_len(&self) -> u32 {
        count(self.replica.running.len())
    }

    /// Running requests in queue order, in flight included.
    pub fn running(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        self.replica.running.iter().copied()
    }

    /// Ready requests whose prefill is not complete (fed ones excluded), in queue order.
    pub fn partial(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        self.replica.partial.iter().copied()
    }

    /// Number of `partial`.
    pub fn partial_len(&self) -> u32 {
        count(self.replica.partial.len())
    }

    /// Ready requests that the next `Decode::All` would give a token (fed and stopping ones included).
    pub fn decoding_len(&self) -> u32 {
        self.replica.cohort.n
    }

    /// Whether `r` is one of those.
    pub fn is_decoding(&self, r: RequestId) -> bool {
        self.world.request(r).phase == Phase::Decoding
    }

    /// What the engine knows of a request on this replica.
    pub fn request(&self, r: RequestId) -> RequestView {
        let state = self.world.request(r);
        let cohort = &self.replica.cohort;
        let (generated, computed, blocks) = if state.phase == Phase::Decoding {
            (cohort.generated(state), cohort.computed(state), cohort.blocks(state))
        } else {
            (state.generated, state.computed, state.blocks)
        };
        RequestView {
            number: state.number,
            prompt: state.prompt,
            generated,
            computed,
            max_tokens: state.max_tokens,
            blocks,
        }
    }

    /// The true output length after limits; for schedulers that declare `knows_lengths` (else a panic: our bug).
    pub fn true_output(&self, r: RequestId) -> u32 {
        assert!(self.replica.knows_lengths, "only a scheduler that declares it may know output lengths (I6)");
        self.world.request(r).output
    }

    /// Tokens per KV block.
    pub fn block(&self) -> u32 {
        self.replica.pool.block()
    }

    /// Usable KV blocks of the replica.
    pub fn blocks_total(&self) -> u32 {
        self.replica.pool.total()
    }

    /// Blocks that nobody holds (cached ones included).
    pub fn blocks_free(&self) -> u32 {
        self.replica.pool.free()
    }

    /// Blocks that admission leaves free where the policy asks for it (0 under reserving allocation).
    pub fn watermark(&self) -> u32 {
        match self.replica.kv.allocation {
            Allocation::Paged { watermark } => watermark,
            Allocation::Reserve(_) => 0,
        }
    }

    /// Whether allocation reserves everything at admission.
    pub fn reserves(&self) -> bool {
        self.world.reserves()
    }

    /// Whether victims are to be swapped; the engine drops the KV where host memory is full.
    pub fn preempt_kind(&self) -> Preempt {
        match self.replica.kv.preemption {
            Preemption::Recompute => Preempt::Recompute,
            Preemption::Swap { .. } => Preempt::Swap,
        }
    }

    /// Blocks of host memory that are free.
    pub fn host_blocks_free(&self) -> u32 {
        self.replica.pool.host_free()
    }

    /// Blocks that hold `tokens` tokens.
    pub fn blocks_for(&self, tokens: u32) -> u32 {
        self.replica.pool.blocks_for(tokens)
    }

    /// Blocks that an admission of waiting request `r` with KV for `tokens` tokens takes in all, hits included:
    /// `blocks_for(tokens)`, or its whole reservation.
    pub fn admission_blocks(&self, r: RequestId, tokens: u32) -> u32 {
        let tokens = if self.reserves() { self.world.reservation(r) } else { tokens };
        self.blocks_for(tokens)
    }

    /// Blocks that running request `r` needs beyond those it holds to have KV for `tokens` tokens.
    pub fn extra_blocks(&self, r: RequestId, tokens: u32) -> u32 {
        if self.reserves() { 0 } else { self.blocks_for(tokens).saturating_sub(self.request(r).blocks) }
    }

    /// Blocks that preempting running request `r` frees: those that nobody else holds but `plan`'s earlier victims.
    pub fn blocks_freed(&self, r: RequestId, plan: &StepPlan) -> u32 {
        let keyed = &self.world.request(r).keyed;
        // Keys are hashes of all tokens before: a shared block stands at the same place of every holder.
        let shared = |&(index, &node): &(usize, &u32)| {
            let holds = |victim: RequestId| self.world.request(victim).keyed.get(index) == Some(&node);
            let holders = if node == UNKEYED { 1 } else { self.replica.pool.holders(node) as usize };
            holders > 1 && holders > 1 + plan.preempt.iter().filter(|&&(victim, _)| holds(victim)).count()
        };
        let kept = keyed.iter().enumerate().filter(shared).count();
        self.request(r).blocks - count(kept)
    }

    /// Blocks that one token for every decode-ready request needs. O(1).
    pub fn growth(&self) -> u32 {
        self.replica.cohort.growth()
    }

    /// How many steps all decode-ready requests can take within `blocks` blocks. `u32::MAX` where they never grow.
    pub fn steps_within(&self, blocks: u32) -> u32 {
        self.replica.cohort.steps_within(blocks)
    }

    /// Leading tokens of waiting request `r` that are cached, those that `plan`'s earlier admissions will fill included.
    pub fn prefix_hit(&self, r: RequestId, plan: &StepPlan) -> PrefixHit {
        let pool = &self.replica.pool;
        if !pool.caches() || self.reserves() {
            return PrefixHit::default();
        }
        let state = self.world.request(r);
        let limit = (state.tokens() - 1) / pool.block();
        let keyed = self.world.keyed_range(r);
        let (mut blocks, mut from_free, mut from_host) = (0, 0, 0);
        while blocks < limit.min(keyed) {
            let key = self.world.key(r, blocks);
            let promised = self.promised(key, blocks, plan);
            match pool.find(key) {
                Some((_, free)) => from_free += u32::from(free && !promised.is_some_and(|p| p.pinned)),
                None if promised.is_some_and(|p| p.pinned) => {}
                None if pool.in_host(key) => from_host += 1,
                None if promised.is_some() => {}
                None => break,
            }
            blocks += 1;
        }
        if blocks == keyed {
            let own = pool.private(r).min(limit - blocks);
            blocks += own;
            from_free += own;
        }
        PrefixHit { tokens: blocks * pool.block(), from_free, from_host }
    }

    /// Whether an arrival can go ahead of those who wait (any queue order but first come, first served).
    pub fn arrivals_overtake(&self) -> bool {
        self.world.config.order.overtakes()
    }

    /// Whether finished requests stay one step longer.
    pub fn late_stop(&self) -> bool {
        self.replica.late_stop
    }

    /// Whether an earlier admission of `plan` has the block of `key`, which is block `index` of every prompt that has it:
    /// pinned as a hit, or about to be filled.
    fn promised(&self, key: BlockKey, index: u32, plan: &StepPlan) -> Option<Promise> {
        let block = self.block();
        let mut found = None;
        for admission in &plan.admit {
            let a = admission.request;
            if index >= self.world.keyed_range(a) || self.world.key(a, index) != key {
                continue;
            }
            let chunk = plan.prefill.iter().find(|(p, _)| *p == a).map_or(0, |&(_, tokens)| tokens);
            if index < admission.hit / block {
                return Some(Promise { pinned: true });
            }
            if index < (admission.hit + chunk) / block {
                found = Some(Promise { pinned: false });
            }
        }
        found
    }
}

/// A block that an earlier admission of the same plan takes care of.
#[derive(Clone, Copy)]
struct Promise {
    /// It exists and leaves the free queue with that admission.
    pinned: bool,
}

fn count(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 requests")
}
