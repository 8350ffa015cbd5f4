//! FasterTransformer: a batch runs to its end.
//!
//! # Paper
//! FasterTransformer, NVIDIA, <https://github.com/NVIDIA/FasterTransformer>, as section 6.2 of "Orca", OSDI'22,
//! <https://www.usenix.org/conference/osdi22/presentation/yu>, describes and measures it. Rows A11, A22.
//!
//! # Mechanism modelled
//! Request-level scheduling: when the replica is empty a batch is formed from the head of the queue; nobody joins it
//! and nobody leaves it before its last token, finished requests fill their slots, and unless `return-early` all
//! answers are handed back together. Prompts of different lengths: the first step takes as many tokens of each as the
//! shortest has and the rest is fed one token a step (`shortest`), or all are padded to the longest (`padded`).
//! KV for the longest answer is set aside when the batch is formed; nothing is ever preempted, and cached prefixes
//! are not used. Micro-batches: each plan takes the first `micro-batch` ready requests that are at the same phase.
//!
//! Horizon: `OneStep` never: a batch in progress is never changed by arrivals, and its memory is its own.
//!
//! # Left out, and the effect
//! A timeout of the front scheduler that waits for a fuller batch: a batch starts as soon as the replica is empty,
//! which favours FasterTransformer at low load. Micro-batches rotate in queue order only.
//!
//! # Parameters
//! | key | default | paper's value |
//! | --- | --- | --- |
//! | `max-batch` | 8 | 1 and 8, the best of both (Orca section 6.2) |
//! | `micro-batch` | 0 (whole batch) | equal to the batch, 1 or 8 |
//! | `ragged` | `shortest` | shortest prompt first (Orca section 6.2) |
//! | `return-early` | false | results returned together |
//!
//! # Validation
//! Hand-written step logs in `tests/it/scheduler_static.rs`; equal to the oracle. Reference point: 0.185 req/s at
//! 190 ms per token on the 175B model (Orca, figure 10).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::full;
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{Admission, AdmissionLimit, Completion, Decode, Horizon, Scheduler, StepPlan};
use crate::engine::view::EngineView;
use crate::ids::RequestId;

/// How `static` treats prompts of different lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RaggedPrompts {
    /// Prefill all at the shortest prompt's length, feed the rest token by token (FasterTransformer, Orca §6.2).
    #[default]
    Shortest,
    /// Pad all to the longest prompt.
    Padded,
}

/// Parameters of `static` (FasterTransformer).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Static {
    /// Requests per batch.
    pub max_batch: u32,
    /// Requests per micro-batch under pipeline parallelism; 0: the whole batch.
    pub micro_batch: u32,
    /// Prompts of different lengths.
    pub ragged: RaggedPrompts,
    /// Deliver each answer as it is computed instead of at the end of the batch.
    pub return_early: bool,
}

impl Default for Static {
    fn default() -> Self {
        Static { max_batch: 8, micro_batch: 0, ragged: RaggedPrompts::Shortest, return_early: false }
    }
}

impl Mechanism for Static {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        Some(Box::new(StaticBatch { parameters: self.clone(), length: 0 }))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("max-batch", self.max_batch, "request")?;
        if self.micro_batch > self.max_batch {
            let problem = format!(
                "`micro-batch` ({}) is larger than `max-batch` ({})",
                self.micro_batch, self.max_batch
            );
            let help = "lower `micro-batch`, raise `max-batch`, or set `micro-batch` to 0 for whole batches";
            return Err(("micro-batch", problem, help.to_owned()));
        }
        Ok(())
    }
}

/// The scheduler: its parameters and the length its present batch was formed at.
struct StaticBatch {
    parameters: Static,
    /// Prompt length of the batch: its shortest or its longest. Set by the plan that forms it.
    length: u32,
}

impl Scheduler for StaticBatch {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        if view.running_len() == 0 {
            self.form(view, plan);
            return;
        }
        plan.limit = Some(AdmissionLimit::Batch);
        let at_most = self.micro_batch();
        let unprefilled = view.partial().filter(|&r| view.request(r).computed == 0).take(at_most);
        for r in unprefilled {
            self.prefill(plan, r, view.request(r).prompt);
        }
        if plan.prefill.is_empty() {
            decode_and_feed(view, plan, at_most);
        }
    }

    fn horizon(&self, _view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        Horizon::UntilCompletion(u32::MAX)
    }

    fn completion(&self) -> Completion {
        Completion::HoldsSlot { return_early: self.parameters.return_early }
    }
}

impl StaticBatch {
    /// Requests per plan.
    fn micro_batch(&self) -> usize {
        if self.parameters.micro_batch == 0 { usize::MAX } else { self.parameters.micro_batch as usize }
    }

    /// Admits a new batch as a whole and prefills its first micro-batch.
    fn form(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let mut free = view.blocks_free();
        let mut waiting = view.waiting();
        loop {
            plan.limit = full(false, plan.admit.len() >= self.parameters.max_batch as usize);
            let Some(r) = waiting.next().filter(|_| plan.limit.is_none()) else { break };
            let it = view.request(r);
            // The last token of the answer is never written, so one less than prompt and answer together.
            let allocate = it.tokens() + it.max_tokens - 1;
            let takes = view.admission_blocks(r, allocate);
            if takes > free {
                plan.limit = Some(AdmissionLimit::Memory);
                break;
            }
            free -= takes;
            plan.admit.push(Admission { request: r, allocate, hit: 0 });
        }
        let prompts = plan.admit.iter().map(|a| view.request(a.request).prompt);
        self.length = match self.parameters.ragged {
            RaggedPrompts::Shortest => prompts.min(),
            RaggedPrompts::Padded => prompts.max(),
        }
        .unwrap_or(0);
        for i in 0..plan.admit.len().min(self.micro_batch()) {
            let r = plan.admit[i].request;
            self.prefill(plan, r, view.request(r).prompt);
        }
    }

    /// The first chunk of one member of the batch.
    fn prefill(&self, plan: &mut StepPlan, r: RequestId, prompt: u32) {
        match self.parameters.ragged {
            RaggedPrompts::Shortest => plan.prefill.push((r, self.length)),
            RaggedPrompts::Padded => {
                plan.prefill.push((r, prompt));
                plan.pad_prefill_to = self.length;
            }
        }
    }
}

/// One token for the first `at_most` ready members of the batch; those whose prompt is incomplete are fed from now on.
fn decode_and_feed(view: &EngineView<'_>, plan: &mut StepPlan, at_most: usize) {
    let candidates = view.decoding_len() as usize + view.partial_len() as usize;
    if candidates == 0 {
        return;
    }
    if candidates <= at_most {
        plan.feed.extend(view.partial());
        plan.decode = Decode::All;
        return;
    }
    let mut partial = plan.take_list();
    partial.extend(view.partial());
    let is_partial =
        |r: &RequestId| partial.binary_search_by_key(&number(view, *r), |&p| number(view, p)).is_ok();
    let mut chosen = plan.take_list();
    chosen.extend(view.ready().filter(|r| view.is_decoding(*r) || is_partial(r)).take(at_most));
    plan.feed.extend(chosen.iter().copied().filter(is_partial));
    plan.decode = Decode::Each(chosen);
    plan.give_back(partial);
}

/// Position in queue order.
fn number(view: &EngineView<'_>, r: RequestId) -> u32 {
    view.request(r).number
}
