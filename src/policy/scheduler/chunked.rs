//! Sarathi-Serve, FastGen: decodes first, prompt chunks fill a token budget.
//!
//! # Paper
//! "Taming Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve", OSDI'24,
//! <https://arxiv.org/abs/2403.02310>; authors' code `sarathi/core/scheduler/sarathi_scheduler.py`
//! (<https://github.com/microsoft/sarathi-serve>). Row A31; DeepSpeed-FastGen (row A09) differs in its budget.
//!
//! # Mechanism modelled
//! Stall-free batching: every decode-ready request decodes in every step, whatever the budget; what the decodes leave
//! of the budget goes to prompts already begun, then to new ones, in queue order and cut into chunks. A new request
//! is given the blocks of its whole prompt at once and leaves a watermark free.
//!
//! Nobody is admitted in a step that finds someone swapped out, also if the step brings the last one back.
//!
//! `hybrid = false` takes the hybrid batches away and leaves the chunks (the ablation of section 5.4; the authors'
//! `simple_chunking_scheduler.py`): chunks and decodes have steps of their own and take turns. A prefill turn
//! continues the prompts already begun or, if there are none, admits new ones; without any it decodes at once.
//!
//! Horizon: `OneStep` never by choice; one step (as a count of 1) where V0's block rule is about to run out of free
//! blocks. Arrivals do not matter while decodes fill the budget, the sequences are used up, or a waiting or swapped
//! head is blocked, because decoding only takes blocks. Without hybrid batches decodes go on alone only while nobody
//! waits or is half prefilled, or the sequences are used up.
//!
//! # Left out, and the effect
//! The dynamic chunk size of the authors' code (off by default). Their batch cap per micro-batch under pipeline
//! parallelism is not divided by the stages: the budget is per batch.
//!
//! # Parameters
//! | key | default | paper's value |
//! | --- | --- | --- |
//! | `token-budget` | 2048 | 512 strict, 2048 relaxed (section 5.1); FastGen 768 to 2048 |
//! | `max-sequences` | 128 | 128 (artefact) |
//! | `hybrid` | true | true; false in the ablation (table 4) |
//!
//! # Validation
//! Hand-written step logs in `tests/it/scheduler_chunked.rs`; equal to the oracle. Reference point: capacity ratio to
//! vLLM V0 on Yi-34B of 2.5 to 5 (strict) and 1.2 to 2.2 (relaxed), row A31.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{
    Head, decode_or_preempt, full, horizon_of, is_victim, leaves_loaded, resume, steps_with_a_free_block,
    swap_in,
};
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{AdmissionLimit, Decode, Horizon, Scheduler, StepPlan};
use crate::engine::view::EngineView;

/// Parameters of `chunked` (Sarathi-Serve, FastGen).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Chunked {
    /// Tokens per step that prompt chunks may fill up to; decodes count but are never cut.
    pub token_budget: u32,
    /// Running requests.
    pub max_sequences: u32,
    /// Whether chunks and decodes share a step; else they take turns.
    pub hybrid: bool,
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked { token_budget: 2048, max_sequences: 128, hybrid: true }
    }
}

impl Mechanism for Chunked {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        if self.hybrid {
            return Some(Box::new(self.clone()));
        }
        Some(Box::new(Alternating { parameters: self.clone(), decodes_next: false }))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("token-budget", self.token_budget, "token")?;
        at_least_one("max-sequences", self.max_sequences, "request")
    }
}

impl Scheduler for Chunked {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let mut used = decode_or_preempt(view, plan, view.preempt_kind(), u32::MAX);
        if plan.preempt.is_empty() {
            swap_in(view, plan, &mut used, self.max_sequences);
        }
        let resumed = resume(view, plan, u32::MAX, self.max_sequences);
        used.decodes += resumed;
        let budget = continue_prefills(view, plan, self.token_budget.saturating_sub(used.decodes));
        if plan.preempt.is_empty() && view.swapped_len() == 0 {
            self.admit(view, plan, budget, used.free, view.running_len() + resumed);
        } else {
            plan.limit = Some(AdmissionLimit::Memory);
        }
    }

    fn horizon(&self, view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        let full = view.decoding_len() >= self.token_budget || view.running_len() >= self.max_sequences;
        let blocked = view.waiting_len() > 0 && !view.arrivals_overtake() || view.swapped_len() > 0;
        horizon_of(!full && !blocked, steps_with_a_free_block(view))
    }
}

impl Chunked {
    fn admit(
        &self,
        view: &EngineView<'_>,
        plan: &mut StepPlan,
        mut budget: u32,
        mut free: u32,
        running: u32,
    ) {
        let mut waiting = view.waiting();
        for running in running.. {
            plan.limit = full(budget == 0, running >= self.max_sequences);
            let Some(r) = waiting.next().filter(|_| plan.limit.is_none()) else { break };
            let head = Head::of(view, plan, r);
            let takes = head.takes(view, head.tokens);
            if takes + view.watermark() > free {
                plan.limit = Some(AdmissionLimit::Memory);
                break;
            }
            let chunk = (head.tokens - head.hit.tokens).min(budget);
            free -= takes;
            budget -= chunk;
            head.admit(plan, head.tokens, chunk);
        }
    }
}

/// `hybrid = false`: chunks and decodes in steps of their own, in turns.
struct Alternating {
    parameters: Chunked,
    /// Whether the last step held chunks. Set by every plan that is not dropped; a leap is one plan of many decodes.
    decodes_next: bool,
}

impl Scheduler for Alternating {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        if self.decodes_next {
            self.decode(view, plan);
        }
        let turn_of_decodes = plan.decode != Decode::None;
        if plan.preempt.is_empty() && plan.decode == Decode::None {
            self.prefill(view, plan);
        }
        if !self.decodes_next && plan.prefill.is_empty() {
            self.decode(view, plan);
        }
        if !plan.preempt.is_empty() || view.swapped_len() > 0 {
            plan.limit = Some(AdmissionLimit::Memory);
        } else if turn_of_decodes {
            // That it is their turn has no name.
            let resumed = u32::try_from(plan.resume.len()).expect("no more than u32 requests");
            plan.limit = full(false, view.running_len() + resumed >= self.parameters.max_sequences);
        } else if leaves_loaded(view, plan) {
            plan.limit = plan.limit.or(Some(AdmissionLimit::Memory));
        }
        if !plan.prefill.is_empty() {
            self.decodes_next = true;
        } else if plan.decode != Decode::None {
            self.decodes_next = false;
        }
    }

    fn horizon(&self, view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        let full = view.running_len() >= self.parameters.max_sequences;
        let prompts = view.partial_len() > 0 || (view.waiting_len() > 0 && !full);
        if prompts || view.swapped_len() > 0 {
            return Horizon::OneStep;
        }
        horizon_of(!full, steps_with_a_free_block(view))
    }
}

impl Alternating {
    /// Prompts already begun; new ones only if there are none.
    fn prefill(&self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let budget = continue_prefills(view, plan, self.parameters.token_budget);
        if plan.prefill.is_empty() && view.swapped_len() == 0 {
            self.parameters.admit(view, plan, budget, view.blocks_free(), view.running_len());
        } else {
            // A prefill turn that goes to prompts already begun has no tokens for others.
            plan.limit = Some(AdmissionLimit::Budget);
        }
    }

    fn decode(&self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let mut used = decode_or_preempt(view, plan, view.preempt_kind(), u32::MAX);
        if plan.preempt.is_empty() {
            swap_in(view, plan, &mut used, self.parameters.max_sequences);
            resume(view, plan, u32::MAX, self.parameters.max_sequences);
        }
    }
}

/// Gives `budget` tokens to the prompts already begun, in queue order, and returns what is left.
///
/// Their blocks were set aside at admission, so that none can be missing here.
pub(super) fn continue_prefills(view: &EngineView<'_>, plan: &mut StepPlan, mut budget: u32) -> u32 {
    for r in view.partial() {
        if budget == 0 {
            break;
        }
        if is_victim(plan, r) {
            continue;
        }
        let it = view.request(r);
        let chunk = (it.tokens() - it.computed).min(budget);
        budget -= chunk;
        plan.prefill.push((r, chunk));
    }
    budget
}
