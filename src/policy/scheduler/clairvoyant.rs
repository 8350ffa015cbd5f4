//! Bound: shortest job first with known lengths.
//!
//! # Paper
//! None. Shortest job first is the classic bound for mean latency; the batch is Sarathi-Serve's (row A31).
//!
//! # Mechanism modelled
//! Decodes all, continues prompts begun, then admits waiting requests in order of prompt plus true output. Each
//! running request is promised the blocks of its whole life, and a request is admitted if its own fit beside those
//! promises; what does not fit is skipped, so there is no head of line. Nothing is ever preempted.
//!
//! Horizon: never `OneStep`. Arrivals do matter, also behind a blocked queue, since a short one may fit; only a full
//! budget or full sequences make them irrelevant. A plan is O(running), unlike the other mechanisms' fast paths:
//! the promises are summed anew, and pipelines need the members of batches in flight.
//!
//! # Left out, and the effect
//! Ageing: long requests can starve, which a bound for the mean may do. Promises count a shared prefix once per
//! request, so the bound is a little loose with a prefix cache.
//!
//! # Parameters
//! | key | default | paper's value |
//! | --- | --- | --- |
//! | `token-budget` | 2048 | none |
//! | `max-sequences` | 256 | none |
//!
//! # Validation
//! `tests/it/scheduler_bounds.rs`; equal to the oracle.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::blocks::{Head, horizon_of};
use super::chunked::continue_prefills;
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{Decode, Horizon, Scheduler, StepPlan};
use crate::engine::view::EngineView;
use crate::ids::RequestId;

/// Parameters of `clairvoyant`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Clairvoyant {
    /// Tokens per step that prompt chunks may fill up to.
    pub token_budget: u32,
    /// Running requests.
    pub max_sequences: u32,
}

impl Default for Clairvoyant {
    fn default() -> Self {
        Clairvoyant { token_budget: 2048, max_sequences: 256 }
    }
}

impl Mechanism for Clairvoyant {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        Some(Box::new(ShortestFirst { parameters: self.clone(), in_flight: VecDeque::new() }))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("token-budget", self.token_budget, "token")?;
        at_least_one("max-sequences", self.max_sequences, "request")
    }
}

/// The scheduler: its parameters and the batches it planned that have not come back (pipelines only).
struct ShortestFirst {
    parameters: Clairvoyant,
    /// Members of the batches in flight, oldest first. The view does not list them, but their promises stand.
    in_flight: VecDeque<Vec<RequestId>>,
}

impl Scheduler for ShortestFirst {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        self.forget_returned(view);
        let decodes = view.decoding_len();
        if decodes > 0 {
            plan.decode = Decode::All;
        }
        let budget = self.parameters.token_budget.saturating_sub(decodes);
        let budget = continue_prefills(view, plan, budget);
        if budget > 0 && view.waiting_len() > 0 && view.running_len() < self.parameters.max_sequences {
            self.admit(view, plan, budget);
        }
        self.remember(view, plan);
    }

    fn horizon(&self, view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        let full = view.decoding_len() >= self.parameters.token_budget
            || view.running_len() >= self.parameters.max_sequences;
        horizon_of(!full, u32::MAX)
    }

    fn knows_lengths(&self) -> bool {
        true
    }
}

impl ShortestFirst {
    fn admit(&self, view: &EngineView<'_>, plan: &mut StepPlan, mut budget: u32) {
        let running = view.ready().chain(self.in_flight.iter().flatten().copied());
        let promised: u32 = running.map(|r| promise(view, r)).sum();
        let mut unpromised = view.blocks_total().saturating_sub(promised);
        let mut sequences = view.running_len();
        let fits = |&r: &RequestId| promise(view, r) <= unpromised;
        let mut queue: Vec<RequestId> = view.waiting().filter(fits).collect();
        queue.sort_unstable_by_key(|&r| {
            let it = view.request(r);
            (u64::from(it.prompt) + u64::from(view.true_output(r)), it.number)
        });
        for r in queue {
            if budget == 0 || sequences >= self.parameters.max_sequences {
                break;
            }
            if promise(view, r) > unpromised {
                continue;
            }
            unpromised -= promise(view, r);
            let head = Head::of(view, plan, r);
            let chunk = (head.tokens - head.hit.tokens).min(budget);
            budget -= chunk;
            sequences += 1;
            head.admit(plan, head.tokens, chunk);
        }
    }

    /// Drops the batches that came back: batches return in the order they were planned in.
    fn forget_returned(&mut self, view: &EngineView<'_>) {
        if self.in_flight.is_empty() {
            return;
        }
        let away = view.running_len() as usize - view.ready().count();
        while self.in_flight.iter().map(Vec::len).sum::<usize>() > away {
            self.in_flight.pop_front();
        }
    }

    /// Notes who takes part in this plan.
    fn remember(&mut self, view: &EngineView<'_>, plan: &StepPlan) {
        let decodes = view.ready().filter(|&r| plan.decode == Decode::All && view.is_decoding(r));
        let batch: Vec<RequestId> = plan.prefill.iter().map(|&(r, _)| r).chain(decodes).collect();
        if !batch.is_empty() {
            self.in_flight.push_back(batch);
        }
    }
}

/// Blocks that `r` may hold at the end of its life: its reservation, or those of prompt and answer (and of the slot
/// that a late stop fills). Never more than the replica has, so that a request near the limit can still run alone.
fn promise(view: &EngineView<'_>, r: RequestId) -> u32 {
    let it = view.request(r);
    let whole = it.prompt + view.true_output(r) + u32::from(view.late_stop());
    match (view.reserves(), it.blocks) {
        (true, 0) => view.admission_blocks(r, whole),
        (true, held) => held,
        (false, _) => view.blocks_for(whole).min(view.blocks_total()),
    }
}
