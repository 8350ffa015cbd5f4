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
//! budget or full sequences make them irrelevant. A plan that looks for admissions is O(running): the promises are
//! summed anew. The waiting queue is kept ranked; under reserving allocation, where a short request may reserve more
//! than a long one, all of it is looked through, O(running + waiting).
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

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::blocks::{Head, full, horizon_of};
use super::chunked::continue_prefills;
use super::parameters::{BadParameter, Mechanism, at_least_one};
use super::{AdmissionLimit, Decode, Horizon, ReplicaEvent, Scheduler, StepPlan};
use crate::collections::LookupMap;
use crate::engine::view::EngineView;
use crate::ids::RequestId;

/// Parameters of `clairvoyant`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
        let (shortest, ranks, indexed) = (BTreeMap::new(), LookupMap::default(), 0);
        Some(Box::new(ShortestFirst {
            parameters: self.clone(),
            shortest,
            ranks,
            indexed,
            admitted: Vec::new(),
        }))
    }

    fn validate(&self) -> Result<(), BadParameter> {
        at_least_one("token-budget", self.token_budget, "token")?;
        at_least_one("max-sequences", self.max_sequences, "request")
    }
}

/// Prompt plus answer, then queue number.
type Rank = (u64, u32);

/// The scheduler: its parameters and the waiting queue in its own order, so that no plan has to sort it.
struct ShortestFirst {
    parameters: Clairvoyant,
    /// The waiting requests whose queue number is below `indexed`: nobody is preempted, so who has left is never back.
    shortest: BTreeMap<Rank, RequestId>,
    /// Their ranks, for those whose clients give up.
    ranks: LookupMap<RequestId, Rank>,
    indexed: u32,
    /// Memory of a list that a plan works with.
    admitted: Vec<Rank>,
}

impl Scheduler for ShortestFirst {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        let decodes = view.decoding_len();
        if decodes > 0 {
            plan.decode = Decode::All;
        }
        let budget = self.parameters.token_budget.saturating_sub(decodes);
        let budget = continue_prefills(view, plan, budget);
        if budget > 0 && view.waiting_len() > 0 && view.running_len() < self.parameters.max_sequences {
            self.index(view);
            self.admit(view, plan, budget);
        } else {
            plan.limit = full(budget == 0, view.running_len() >= self.parameters.max_sequences);
        }
    }

    fn horizon(&self, view: &EngineView<'_>, _plan: &StepPlan) -> Horizon {
        let full = view.decoding_len() >= self.parameters.token_budget
            || view.running_len() >= self.parameters.max_sequences;
        horizon_of(!full, u32::MAX)
    }

    fn on_event(&mut self, event: ReplicaEvent) {
        if let ReplicaEvent::Left(r) = event
            && let Some(rank) = self.ranks.remove(&r)
        {
            self.shortest.remove(&rank);
        }
    }

    fn knows_lengths(&self) -> bool {
        true
    }
}

impl ShortestFirst {
    /// Ranks the requests that have come since the last look: they stand at the end of the queue.
    fn index(&mut self, view: &EngineView<'_>) {
        let known = self.indexed;
        for r in view.waiting().rev() {
            let it = view.request(r);
            if it.number < known {
                break;
            }
            self.indexed = self.indexed.max(it.number + 1);
            let rank = (u64::from(it.prompt) + u64::from(view.true_output(r)), it.number);
            self.shortest.insert(rank, r);
            self.ranks.insert(r, rank);
        }
    }

    fn admit(&mut self, view: &EngineView<'_>, plan: &mut StepPlan, mut budget: u32) {
        let promised: u32 = view.running().map(|r| promise(view, r)).sum();
        let mut unpromised = view.blocks_total().saturating_sub(promised);
        let mut sequences = view.running_len();
        let mut admitted = std::mem::take(&mut self.admitted);
        for (&rank, &r) in &self.shortest {
            if budget == 0 || sequences >= self.parameters.max_sequences {
                break;
            }
            let promise = promise(view, r);
            if promise > unpromised {
                if view.reserves() {
                    continue;
                }
                // Paged promises grow with the rank: nobody further back fits either.
                break;
            }
            unpromised -= promise;
            let head = Head::of(view, plan, r);
            let chunk = (head.tokens - head.hit.tokens).min(budget);
            budget -= chunk;
            sequences += 1;
            head.admit(plan, head.tokens, chunk);
            admitted.push(rank);
        }
        plan.limit = full(budget == 0, sequences >= self.parameters.max_sequences);
        if plan.limit.is_none() && admitted.len() < view.waiting_len() as usize {
            plan.limit = Some(AdmissionLimit::Memory);
        }
        for rank in admitted.drain(..) {
            self.shortest.remove(&rank);
        }
        self.admitted = admitted;
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
