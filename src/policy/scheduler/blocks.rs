//! Block arithmetic that several mechanisms share: the waiting head, V0's block rule, victims, swap-in, resuming.
//!
//! Nothing here acts: each function adds to a plan what it decided and counts what the plan leaves free.

use super::{Admission, AdmissionLimit, Decode, Horizon, Preempt, StepPlan};
use crate::engine::view::{EngineView, PrefixHit};
use crate::ids::RequestId;

/// The request at the head of the waiting queue, and what its admission would take.
pub(super) struct Head {
    request: RequestId,
    /// Prompt and generated tokens.
    pub tokens: u32,
    /// What the prefix cache holds of them.
    pub hit: PrefixHit,
}

impl Head {
    /// Waiting request `r` as it stands after the admissions already in `plan`.
    pub fn of(view: &EngineView<'_>, plan: &StepPlan, r: RequestId) -> Self {
        Head { request: r, tokens: view.request(r).tokens(), hit: view.prefix_hit(r, plan) }
    }

    /// Blocks that leave the free queue if it is admitted with KV for `tokens` tokens: new ones, those
    /// for hits in host memory included, and pinned hits.
    pub fn takes(&self, view: &EngineView<'_>, tokens: u32) -> u32 {
        let hit = self.hit.tokens / view.block();
        view.admission_blocks(self.request, tokens) - hit + self.hit.from_free + self.hit.from_host
    }

    /// Adds the admission, with blocks for `allocate` tokens and a chunk of `chunk` tokens after the hit.
    pub fn admit(&self, plan: &mut StepPlan, allocate: u32, chunk: u32) {
        debug_assert!(chunk >= 1 && self.hit.tokens + chunk <= self.tokens);
        plan.admit.push(Admission { request: self.request, allocate, hit: self.hit.tokens });
        plan.prefill.push((self.request, chunk));
    }
}

/// What a plan has used up so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    /// Requests that decode in this step.
    pub decodes: u32,
    /// Blocks still free.
    pub free: u32,
}

/// Makes `victim` lose its place and returns the blocks that this frees.
///
/// A partial prefill is never swapped: a swapped request decodes in the step that brings it back.
pub(super) fn preempt(view: &EngineView<'_>, plan: &mut StepPlan, victim: RequestId, kind: Preempt) -> u32 {
    let kind = if view.is_decoding(victim) { kind } else { Preempt::Recompute };
    let freed = view.blocks_freed(victim, plan);
    plan.preempt.push((victim, kind));
    freed
}

/// Whether `r` is a victim of this plan.
pub(super) fn is_victim(plan: &StepPlan, r: RequestId) -> bool {
    plan.preempt.iter().any(|&(victim, _)| victim == r)
}

/// Sets the decoding part to exactly these requests: `All` where they are all that is decode-ready after `plan.preempt`.
pub(super) fn decode_each(view: &EngineView<'_>, plan: &mut StepPlan, decodes: Vec<RequestId>) {
    let lost = plan.preempt.iter().filter(|&&(victim, _)| view.is_decoding(victim)).count();
    plan.decode = match decodes.len() {
        0 => Decode::None,
        n if n + lost == view.decoding_len() as usize => Decode::All,
        _ => return plan.decode = Decode::Each(decodes),
    };
    plan.give_back(decodes);
}

/// V0's block rule: for each decode-ready request in queue order (at most `cap` of them), while no block is free –
/// whether it needs one or not – preempt the last ready request after it or, if there is none, itself; then it
/// decodes. O(1) while more blocks are free than all of them need, and always under reserving allocation.
///
pub(super) fn decode_or_preempt(view: &EngineView<'_>, plan: &mut StepPlan, kind: Preempt, cap: u32) -> Used {
    let (decodes, free, growth) = (view.decoding_len(), view.blocks_free(), view.growth());
    if decodes == 0 {
        return Used { decodes, free };
    }
    if decodes <= cap && (view.reserves() || free > growth) {
        plan.decode = Decode::All;
        return Used { decodes, free: free - growth };
    }
    let mut ready = plan.take_list();
    ready.extend(view.ready());
    let mut kept = ready.len();
    let mut free = free;
    let mut served = plan.take_list();
    let mut next = 0;
    'requests: while next < kept && served.len() < cap as usize {
        let r = ready[next];
        if view.is_decoding(r) {
            let need = view.extra_blocks(r, view.request(r).computed + 1);
            while free == 0 && !view.reserves() {
                kept -= 1;
                free += preempt(view, plan, ready[kept], kind);
                if kept == next {
                    break 'requests;
                }
            }
            free -= need;
            served.push(r);
        }
        next += 1;
    }
    let decodes = u32::try_from(served.len()).expect("no more than u32 requests");
    plan.give_back(ready);
    decode_each(view, plan, served);
    Used { decodes, free }
}

/// V0's swap-in: while the first swapped request fits with one block and the watermark to spare, it comes back and
/// decodes in this step. Call it only where nothing was preempted.
///
/// The spare block is waived where the replica has none at all: else a request near the limit could never return.
pub(super) fn swap_in(view: &EngineView<'_>, plan: &mut StepPlan, used: &mut Used, max_sequences: u32) {
    debug_assert!(plan.preempt.is_empty());
    for (running, r) in (view.running_len()..).zip(view.swapped()) {
        let computed = view.request(r).computed;
        let spared = view.blocks_total() - view.watermark();
        let wanted = (view.blocks_for(computed) + 1).min(spared);
        if wanted + view.watermark() > used.free || running >= max_sequences {
            break;
        }
        used.free -= view.blocks_for(computed + 1);
        used.decodes += 1;
        plan.swap_in.push(r);
        plan.decode = Decode::All;
    }
}

/// Lets loaded requests run and decode in this step, in queue order, at most `most` and while fewer than `max_sequences`
/// run. They hold the blocks of their next token, so nothing has to be free. Nobody where the plan has victims or takes
/// only some of those who are ready. Returns how many.
pub(super) fn resume(view: &EngineView<'_>, plan: &mut StepPlan, most: u32, max_sequences: u32) -> u32 {
    if view.loaded_len() == 0 || !plan.preempt.is_empty() || matches!(plan.decode, Decode::Each(_)) {
        return 0;
    }
    let back = u32::try_from(plan.swap_in.len()).expect("no more than u32 requests");
    let room = max_sequences.saturating_sub(view.running_len() + back).min(most);
    plan.resume.extend(view.loaded().take(room as usize));
    if !plan.resume.is_empty() {
        plan.decode = Decode::All;
    }
    u32::try_from(plan.resume.len()).expect("no more than u32 requests")
}

/// Whether a plan leaves loaded requests where they are.
pub(super) fn leaves_loaded(view: &EngineView<'_>, plan: &StepPlan) -> bool {
    view.loaded_len() as usize > plan.resume.len()
}

/// Steps for which V0's block rule leaves a pure-decode plan alone, this one included: one block stays free.
pub(super) fn steps_with_a_free_block(view: &EngineView<'_>) -> u32 {
    if view.reserves() { u32::MAX } else { view.steps_within(view.blocks_free().saturating_sub(1)).max(1) }
}

/// What ends admissions where tokens or running requests are used up; tokens first.
pub(super) fn full(budget: bool, sequences: bool) -> Option<AdmissionLimit> {
    match (budget, sequences) {
        (true, _) => Some(AdmissionLimit::Budget),
        (false, true) => Some(AdmissionLimit::Sequences),
        (false, false) => None,
    }
}

/// The horizon of a plan that arrivals can change only if the queue is `open` to them, good for `steps` steps.
pub(super) fn horizon_of(open: bool, steps: u32) -> Horizon {
    match (open, steps) {
        (false, _) => Horizon::UntilCompletion(steps),
        (true, u32::MAX) => Horizon::UntilChange,
        (true, _) => Horizon::Steps(steps),
    }
}
