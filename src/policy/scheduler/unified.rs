//! vLLM V1: one token loop over running, then waiting.
//!
//! # Paper
//! "Efficient Memory Management for Large Language Model Serving with PagedAttention", SOSP'23,
//! <https://arxiv.org/abs/2309.06180>, in the second engine of its authors' code, `vllm/v1/core/sched/scheduler.py`
//! (<https://github.com/vllm-project/vllm>, 2025). Row A10.
//!
//! # Mechanism modelled
//! There is no prefill and no decode, only requests with tokens that are not computed yet. Running requests in queue
//! order, then waiting ones, take tokens from one budget; who needs blocks that are not free makes the last running
//! request lose all of its own (always recompute). A step that preempts admits nobody. No watermark.
//!
//! Horizon: never `OneStep` by choice. Arrivals do not matter while the budget or the sequences are used up or the
//! head of the queue is blocked: decoding only takes blocks, and with `reserve-full-prompt` evicting a block of the
//! head's hit never makes it need less. Without it an eviction can, so a head that hits free blocks (or blocks in host memory) is looked at
//! again after the first step that takes a block.
//!
//! # Left out, and the effect
//! Speculative and multi-modal tokens, encoder budgets, LoRA limits: none in the traces. Its priority policy is the
//! system's `order = "priority"` (`policy::order`); the loop over running requests then goes by priority too, where vLLM's
//! goes by admission, which matters only where the budget is used up. Asynchronous scheduling is the engine's
//! `late-stop`. `max_num_partial_prefills` is 1 in effect, as in vLLM's default.
//!
//! # Parameters
//! | key | default | vLLM's value |
//! | --- | --- | --- |
//! | `token-budget` | 2048 | `max_num_batched_tokens`: 2048 on A100 and smaller, 8192 on H100 |
//! | `max-sequences` | 256 | `max_num_seqs`: 256 on A100 and smaller, 1024 on H100 |
//! | `long-prefill-threshold` | 0 | `long_prefill_token_threshold`: 0 |
//! | `reserve-full-prompt` | true | `scheduler_reserve_full_isl`: on in 0.19 |
//!
//! # Validation
//! Hand-written step logs in `tests/it/scheduler_unified.rs`; equal to the oracle. Reference point: the served RTX
//! 4090 log, for which two sketches of this rule give 244 preemptions (row A10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{Head, decode_each, full, horizon_of, preempt, resume};
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{AdmissionLimit, Decode, Horizon, Preempt, Scheduler, StepPlan};
use crate::engine::view::EngineView;

/// Parameters of `unified` (vLLM V1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Unified {
    /// Tokens per step (`max_num_batched_tokens`).
    pub token_budget: u32,
    /// Running requests (`max_num_seqs`).
    pub max_sequences: u32,
    /// Longest chunk of one prompt per step (`long_prefill_token_threshold`); 0: no limit.
    pub long_prefill_threshold: u32,
    /// Admit only if the whole prompt fits in free blocks (`scheduler_reserve_full_isl`, on in 0.19).
    pub reserve_full_prompt: bool,
}

impl Default for Unified {
    fn default() -> Self {
        Unified {
            token_budget: 2048,
            max_sequences: 256,
            long_prefill_threshold: 0,
            reserve_full_prompt: true,
        }
    }
}

impl Mechanism for Unified {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        Some(Box::new(self.clone()))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("token-budget", self.token_budget, "token")?;
        at_least_one("max-sequences", self.max_sequences, "request")
    }
}

/// What the plan built so far leaves.
#[derive(Clone, Copy)]
struct Left {
    budget: u32,
    free: u32,
}

impl Scheduler for Unified {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let left = match self.running_at_once(view, plan) {
            Some(left) => left,
            None => {
                plan.clear();
                self.running_in_turn(view, plan)
            }
        };
        let resumed = resume(view, plan, left.budget, self.max_sequences);
        let left = Left { budget: left.budget - resumed, ..left };
        if plan.preempt.is_empty() && view.swapped_len() == 0 {
            self.admit(view, plan, left, view.running_len() + resumed);
        } else {
            plan.limit = Some(AdmissionLimit::Memory);
        }
    }

    fn horizon(&self, view: &EngineView<'_>, plan: &StepPlan) -> Horizon {
        let full = view.decoding_len() >= self.token_budget || view.running_len() >= self.max_sequences;
        let head = if full { None } else { view.waiting().next() };
        let Some(head) = head else {
            return horizon_of(!full, u32::MAX);
        };
        let hit = view.prefix_hit(head, plan);
        let evictable = !self.reserve_full_prompt && hit.from_free + hit.from_host > 0;
        let steps = if evictable { view.steps_within(0).saturating_add(1) } else { u32::MAX };
        horizon_of(view.arrivals_overtake(), steps)
    }
}

impl Unified {
    /// The longest chunk of `tokens` that one step may compute, the budget aside.
    fn chunk(&self, tokens: u32) -> u32 {
        if self.long_prefill_threshold > 0 { tokens.min(self.long_prefill_threshold) } else { tokens }
    }

    /// The loop over running requests where the order decides nothing: everybody gets what he asks for, or only
    /// chunks that stand behind every decode are cut. `None` where that is not so. O(partial prefills).
    fn running_at_once(&self, view: &EngineView<'_>, plan: &mut StepPlan) -> Option<Left> {
        let mut left = Left {
            budget: self.token_budget.checked_sub(view.decoding_len())?,
            free: view.blocks_free().checked_sub(view.growth())?,
        };
        let partial = view.partial_len() as usize;
        let chunks_last = partial == 0 || view.ready().rev().take(partial).eq(view.partial().rev());
        for r in view.partial() {
            let it = view.request(r);
            let asked = self.chunk(it.tokens() - it.computed);
            let q = asked.min(left.budget);
            if q < asked && !chunks_last {
                return None;
            }
            if q == 0 {
                break;
            }
            left.free = left.free.checked_sub(view.extra_blocks(r, it.computed + q))?;
            left.budget -= q;
            plan.prefill.push((r, q));
        }
        if view.decoding_len() > 0 {
            plan.decode = Decode::All;
        }
        Some(left)
    }

    /// The loop over running requests as it is written. O(running).
    ///
    /// The victim is the last of the queue order, so it has never been scheduled in the same plan.
    fn running_in_turn(&self, view: &EngineView<'_>, plan: &mut StepPlan) -> Left {
        let mut left = Left { budget: self.token_budget, free: view.blocks_free() };
        let mut ready = plan.take_list();
        ready.extend(view.ready());
        let mut kept = ready.len();
        let mut decodes = plan.take_list();
        let mut next = 0;
        'requests: while next < kept && left.budget > 0 {
            let r = ready[next];
            let it = view.request(r);
            let decoding = view.is_decoding(r);
            let q = if decoding { 1 } else { self.chunk(it.tokens() - it.computed).min(left.budget) };
            let need = view.extra_blocks(r, it.computed + q);
            while need > left.free {
                kept -= 1;
                left.free += preempt(view, plan, ready[kept], Preempt::Recompute);
                if kept == next {
                    break 'requests;
                }
            }
            left.free -= need;
            left.budget -= q;
            if decoding {
                decodes.push(r);
            } else {
                plan.prefill.push((r, q));
            }
            next += 1;
        }
        plan.give_back(ready);
        decode_each(view, plan, decodes);
        left
    }

    /// The loop over waiting requests: stops at the first that does not fit.
    fn admit(&self, view: &EngineView<'_>, plan: &mut StepPlan, mut left: Left, running: u32) {
        let mut waiting = view.waiting();
        for running in running.. {
            plan.limit = full(left.budget == 0, running >= self.max_sequences);
            let Some(r) = waiting.next().filter(|_| plan.limit.is_none()) else { break };
            let head = Head::of(view, plan, r);
            let q = self.chunk(head.tokens - head.hit.tokens).min(left.budget);
            let takes = head.takes(view, head.hit.tokens + q);
            let whole = if self.reserve_full_prompt { head.takes(view, head.tokens) } else { takes };
            if whole.max(takes) > left.free {
                plan.limit = Some(AdmissionLimit::Memory);
                break;
            }
            left.free -= takes;
            left.budget -= q;
            head.admit(plan, head.hit.tokens + q, q);
        }
    }
}
