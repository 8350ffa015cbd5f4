//! Orca: whole prompts and decodes mixed, reservation at admission.
//!
//! # Paper
//! "Orca: A Distributed Serving System for Transformer-Based Generative Models", OSDI'22,
//! <https://www.usenix.org/conference/osdi22/presentation/yu> (algorithm 1). No public code. Row A22.
//!
//! # Mechanism modelled
//! Iteration-level scheduling: the batch is chosen anew for every step, so that requests join and leave between
//! steps. Selection is first come first served over running and waiting requests; it stops at the first waiting
//! request whose reservation does not fit (no skipping). A prompt is computed whole, in one step with the decodes of
//! the others (selective batching). With reserving allocation nobody is ever preempted.
//!
//! Under paged allocation, which Orca does not have, the decodes follow V0's block rule first and the victims are
//! always recomputed; a step that preempts admits nobody.
//!
//! Horizon: `OneStep` never by choice; under paged allocation one step (as a count of 1) where the block rule is
//! about to run out of free blocks. Arrivals do not matter while the batch is full or the head is blocked.
//!
//! # Left out, and the effect
//! The split of control and data plane: engine overheads are the cost model's. `max_tokens` of the paper counts KV
//! slots per token; here the reservation is rounded up to blocks (exact with a block of one token).
//!
//! # Parameters
//! | key | default | paper's value |
//! | --- | --- | --- |
//! | `max-batch` | 128 | 1 to 128 (section 6); Sarathi-Serve's comparison uses 16 and 8 |
//!
//! What is reserved (`max_tokens` in the paper; the longest context, powers of two or the true length in vLLM's) is
//! `kv.reserve`.
//!
//! # Validation
//! Hand-written step logs in `tests/it/scheduler_iteration.rs`; equal to the oracle. Reference point: 36.9 times
//! FasterTransformer's throughput at 190 ms per token on the 175B model (figure 10), which depends on `static`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Head, decode_or_preempt, full, horizon_of, leaves_loaded, resume, steps_with_a_free_block,
};
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{AdmissionLimit, Horizon, Preempt, Scheduler, StepPlan};
use crate::engine::view::EngineView;

/// Parameters of `iteration` (Orca).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Iteration {
    /// Requests per batch (`max_bs`).
    pub max_batch: u32,
}

impl Default for Iteration {
    fn default() -> Self {
        Iteration { max_batch: 128 }
    }
}

impl Mechanism for Iteration {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        Some(Box::new(self.clone()))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("max-batch", self.max_batch, "request")
    }
}

impl Scheduler for Iteration {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let used = decode_or_preempt(view, plan, Preempt::Recompute, self.max_batch);
        if !plan.preempt.is_empty() {
            plan.limit = Some(AdmissionLimit::Memory);
            return;
        }
        let resumed = resume(view, plan, u32::MAX, self.max_batch);
        let (mut batch, mut free) = (used.decodes + resumed, used.free);
        let mut waiting = view.waiting();
        loop {
            plan.limit = full(false, batch >= self.max_batch);
            let Some(r) = waiting.next().filter(|_| plan.limit.is_none()) else { break };
            let head = Head::of(view, plan, r);
            let takes = head.takes(view, head.tokens);
            if takes > free {
                plan.limit = Some(AdmissionLimit::Memory);
                break;
            }
            free -= takes;
            batch += 1;
            head.admit(plan, head.tokens, head.tokens - head.hit.tokens);
        }
        if leaves_loaded(view, plan) {
            plan.limit = plan.limit.or(Some(AdmissionLimit::Sequences));
        }
    }

    fn horizon(&self, view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        let full = view.decoding_len() >= self.max_batch;
        let blocked = view.waiting_len() > 0 && !view.arrivals_overtake();
        horizon_of(!full && !blocked, steps_with_a_free_block(view))
    }
}
