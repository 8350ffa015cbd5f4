//! What a scheduler may see of its replica at the moment of planning.
//!
//! STUB while the engine is being written: signatures are final, bodies are not.
#![expect(clippy::unimplemented, unused_variables, reason = "stub, replaced by the engine")]

use crate::ids::RequestId;
use crate::policy::scheduler::StepPlan;
use crate::units::SimTime;

/// Read access to one replica at the moment of planning.
pub struct EngineView<'a> {
    _marker: std::marker::PhantomData<&'a ()>,
}

/// What a real engine knows of one request. `tokens = prompt + generated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestView {
    /// Its number in the replica's queue order.
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
}

impl EngineView<'_> {
    /// The instant of planning.
    pub fn now(&self) -> SimTime {
        unimplemented!()
    }

    /// Waiting requests in queue order.
    pub fn waiting(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        std::iter::empty()
    }

    /// Number of waiting requests.
    pub fn waiting_len(&self) -> u32 {
        unimplemented!()
    }

    /// Swapped-out requests in queue order.
    pub fn swapped(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        std::iter::empty()
    }

    /// Number of swapped-out requests.
    pub fn swapped_len(&self) -> u32 {
        unimplemented!()
    }

    /// Running requests that are not in flight, in queue order. O(1) per step from either end.
    pub fn ready(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        std::iter::empty()
    }

    /// Running requests, in flight included.
    pub fn running_len(&self) -> u32 {
        unimplemented!()
    }

    /// Ready requests whose prefill is not complete (fed ones excluded), in queue order.
    pub fn partial(&self) -> impl DoubleEndedIterator<Item = RequestId> + '_ {
        std::iter::empty()
    }

    /// Number of `partial`.
    pub fn partial_len(&self) -> u32 {
        unimplemented!()
    }

    /// Ready requests that the next `Decode::All` would give a token (fed and stopping ones included).
    pub fn decoding_len(&self) -> u32 {
        unimplemented!()
    }

    /// Whether `r` is one of those.
    pub fn is_decoding(&self, r: RequestId) -> bool {
        unimplemented!()
    }

    /// What the engine knows of a request on this replica.
    pub fn request(&self, r: RequestId) -> RequestView {
        unimplemented!()
    }

    /// The true output length after limits; for schedulers that declare `knows_lengths` (else a panic: our bug).
    pub fn true_output(&self, r: RequestId) -> u32 {
        unimplemented!()
    }

    /// Tokens per KV block.
    pub fn block(&self) -> u32 {
        unimplemented!()
    }

    /// Usable KV blocks of the replica.
    pub fn blocks_total(&self) -> u32 {
        unimplemented!()
    }

    /// Blocks that nobody holds (cached ones included).
    pub fn blocks_free(&self) -> u32 {
        unimplemented!()
    }

    /// Blocks that admission leaves free where the policy asks for it (0 under reserving allocation).
    pub fn watermark(&self) -> u32 {
        unimplemented!()
    }

    /// Whether allocation reserves everything at admission.
    pub fn reserves(&self) -> bool {
        unimplemented!()
    }

    /// Whether victims are to be swapped; the engine drops the KV where host memory is full.
    pub fn preempt_kind(&self) -> crate::policy::scheduler::Preempt {
        unimplemented!()
    }

    /// Blocks of host memory that are free.
    pub fn host_blocks_free(&self) -> u32 {
        unimplemented!()
    }

    /// Blocks that hold `tokens` tokens.
    pub fn blocks_for(&self, tokens: u32) -> u32 {
        unimplemented!()
    }

    /// Blocks that an admission of waiting request `r` with KV for `tokens` tokens takes in all, hits included:
    /// `blocks_for(tokens)`, or its whole reservation.
    pub fn admission_blocks(&self, r: RequestId, tokens: u32) -> u32 {
        unimplemented!()
    }

    /// Blocks that running request `r` needs beyond those it holds to have KV for `tokens` tokens.
    pub fn extra_blocks(&self, r: RequestId, tokens: u32) -> u32 {
        unimplemented!()
    }

    /// Blocks that one token for every decode-ready request needs. O(1).
    pub fn growth(&self) -> u32 {
        unimplemented!()
    }

    /// How many steps all decode-ready requests can take within `blocks` blocks. `u32::MAX` where they never grow.
    pub fn steps_within(&self, blocks: u32) -> u32 {
        unimplemented!()
    }

    /// Leading tokens of waiting request `r` that are cached, those that `plan`'s earlier admissions will fill included.
    pub fn prefix_hit(&self, r: RequestId, plan: &StepPlan) -> PrefixHit {
        unimplemented!()
    }

    /// Whether finished requests stay one step longer.
    pub fn late_stop(&self) -> bool {
        unimplemented!()
    }
}
