//! vLLM V0: prompts first in batches of their own, then decodes.
//!
//! # Paper
//! "Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP'23,
//! <https://arxiv.org/abs/2309.06180>; authors' code <https://github.com/vllm-project/vllm> (0.2), re-stated in
//! `sarathi/core/scheduler/vllm_scheduler.py`. Row A10.
//!
//! # Mechanism modelled
//! If the head of the queue can be admitted, the step holds whole prompts only and every running request waits. Else
//! every running request decodes; when no block is free the latest loses its place, by recompute or swap. While
//! anyone is swapped out nobody is admitted.
//!
//! Horizon: `OneStep` never by choice; one step (as a count of 1) where the block rule is about to run out of free
//! blocks. Arrivals do not matter while the sequences are used up or a waiting or swapped head is blocked.
//!
//! # Left out, and the effect
//! Sequence groups (beam search, parallel sampling): one sequence per request, so copy-on-write never happens. The
//! padded token count `(n + 1)·longest` of the first releases: later ones count real tokens, as here.
//!
//! # Parameters
//! | key | default | vLLM's value |
//! | --- | --- | --- |
//! | `token-budget` | 4096 | `max_num_batched_tokens`: the longer of 2048 and the context |
//! | `max-sequences` | 256 | `max_num_seqs`: 256 |
//!
//! The watermark (1 % of the blocks), block size (16) and the kind of preemption belong to the KV configuration.
//!
//! # Validation
//! Hand-written step logs in `tests/it/scheduler_prefill_first.rs`; equal to the oracle. Reference point: 1.7 to 2.7
//! times the request rate of Orca (Oracle) on ShareGPT, figure 12 of the paper.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Head, decode_or_preempt, full, horizon_of, leaves_loaded, resume, steps_with_a_free_block, swap_in,
};
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{AdmissionLimit, Horizon, Scheduler, StepPlan};
use crate::engine::view::EngineView;

/// Parameters of `prefill-first` (vLLM V0).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrefillFirst {
    /// Prompt tokens per prefill step (`max_num_batched_tokens`); a longer prompt goes alone.
    pub token_budget: u32,
    /// Running requests (`max_num_seqs`).
    pub max_sequences: u32,
}

impl Default for PrefillFirst {
    fn default() -> Self {
        PrefillFirst { token_budget: 4096, max_sequences: 256 }
    }
}

impl Mechanism for PrefillFirst {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        Some(Box::new(self.clone()))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("token-budget", self.token_budget, "token")?;
        at_least_one("max-sequences", self.max_sequences, "request")
    }
}

impl Scheduler for PrefillFirst {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        if view.swapped_len() == 0 {
            self.admit(view, plan);
        } else {
            plan.limit = Some(AdmissionLimit::Memory);
        }
        if plan.admit.is_empty() {
            let mut used = decode_or_preempt(view, plan, view.preempt_kind(), u32::MAX);
            if plan.preempt.is_empty() {
                swap_in(view, plan, &mut used, self.max_sequences);
                let resumed = resume(view, plan, u32::MAX, self.max_sequences);
                if view.swapped_len() == 0 && view.running_len() + resumed >= self.max_sequences {
                    plan.limit = Some(AdmissionLimit::Sequences);
                }
            } else {
                plan.limit = Some(AdmissionLimit::Memory);
            }
        }
        if leaves_loaded(view, plan) {
            // Prompts go first.
            plan.limit = plan.limit.or(Some(AdmissionLimit::Budget));
        }
    }

    fn horizon(&self, view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        let full = view.running_len() >= self.max_sequences;
        let blocked = view.waiting_len() > 0 && !view.arrivals_overtake() || view.swapped_len() > 0;
        horizon_of(!full && !blocked, steps_with_a_free_block(view))
    }
}

impl PrefillFirst {
    /// A batch of whole prompts. The first goes whatever its length.
    fn admit(&self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let mut free = view.blocks_free();
        let mut batch: u32 = 0;
        let mut waiting = view.waiting();
        for running in view.running_len().. {
            plan.limit = full(false, running >= self.max_sequences);
            let Some(r) = waiting.next().filter(|_| plan.limit.is_none()) else { break };
            let head = Head::of(view, plan, r);
            let takes = head.takes(view, head.tokens);
            if takes + view.watermark() > free {
                plan.limit = Some(AdmissionLimit::Memory);
                break;
            }
            let chunk = head.tokens - head.hit.tokens;
            if !plan.admit.is_empty() && batch.saturating_add(chunk) > self.token_budget {
                plan.limit = Some(AdmissionLimit::Budget);
                break;
            }
            free -= takes;
            batch = batch.saturating_add(chunk);
            head.admit(plan, head.tokens, chunk);
        }
    }
}
