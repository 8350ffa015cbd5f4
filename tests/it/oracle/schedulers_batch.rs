//! Schedulers without a preempting token budget (§8): iteration, static, clairvoyant.

use windtunnel::metrics::work::Binding;
use windtunnel::policy::scheduler::{Clairvoyant, Iteration, RaggedPrompts, Static};

use super::hand_over;
use super::mutation::Mutation;
use super::plan::Planner;
use super::schedulers::{decode_or_preempt, partial_prefills, used_up};

/// Orca. Decodes come first; a step that preempts admits nobody; victims are always recomputed.
pub fn iteration(s: &mut Planner<'_, '_>, p: &Iteration) {
    hand_over::resume_early(s, p.max_batch);
    for r in s.ready() {
        if s.plan.decode.len() as u32 >= p.max_batch {
            break;
        }
        if s.replica().running.contains(&r) {
            decode_or_preempt(s, r, false);
        }
    }
    if s.plan.preempted && !s.sim.mutated(Mutation::AdmitsWhilePreempting) {
        s.plan.limit = Some(Binding::Memory);
        return;
    }
    hand_over::resume(s, p.max_batch, u32::MAX);
    s.plan.limit = Some(Binding::Memory);
    for r in s.waiting() {
        if (s.plan.decode.len() + s.plan.admit.len()) as u32 >= p.max_batch {
            break;
        }
        let hit = s.hit(r);
        let tokens = s.request(r).tokens();
        if !s.admission_fits(r, tokens, &hit, 0) {
            s.plan.limit = Some(Binding::Memory);
            break; // head of line
        }
        let chunk = (tokens - s.hit_tokens(&hit)).max(1);
        s.admit(r, tokens, hit, chunk);
    }
    let only_loaded = s.waiting().is_empty() && !s.replica().loaded.is_empty();
    if only_loaded || (s.plan.decode.len() + s.plan.admit.len()) as u32 >= p.max_batch {
        s.plan.limit = Some(Binding::Sequences);
    }
}

/// FasterTransformer.
pub fn static_batch(s: &mut Planner<'_, '_>, p: &Static) {
    if s.replica().running.is_empty() {
        form_batch(s, p);
    } else {
        s.plan.limit = Some(Binding::Batch);
    }
    let mut members: Vec<usize> = s.plan.admit.iter().map(|a| a.request).collect();
    members.extend(s.replica().running.iter().copied());
    let prompts: Vec<u32> = members.iter().map(|&r| s.request(r).prompt).collect();
    let Some(&longest) = prompts.iter().max() else { return };
    let shortest = prompts.iter().copied().min().unwrap_or(longest);

    // The next micro-batch: ready, unfinished members of one phase in queue order.
    let ready: Vec<usize> =
        members.iter().copied().filter(|&r| !s.request(r).in_flight && !s.request(r).holding).collect();
    let most = if p.micro_batch == 0 { usize::MAX } else { p.micro_batch as usize };
    let fresh: Vec<usize> = ready.iter().copied().filter(|&r| s.request(r).computed == 0).collect();
    if !fresh.is_empty() {
        for &r in fresh.iter().take(most) {
            let padded = p.ragged == RaggedPrompts::Padded;
            let chunk = if padded { s.request(r).prompt } else { shortest };
            s.plan.prefill.push((r, chunk));
        }
        if p.ragged == RaggedPrompts::Padded {
            let micro = fresh.iter().take(most).map(|&r| s.request(r).prompt).max();
            let narrow = s.sim.mutated(Mutation::ReadPaddedToMicroBatch);
            s.plan.pad_prefill_to = if narrow { micro.unwrap_or(longest) } else { longest };
        }
        return;
    }
    let mut ready = ready;
    if s.sim.mutated(Mutation::ReadMicroBatchesTakeTurns) {
        let padded = p.ragged == RaggedPrompts::Padded;
        ready.sort_by_key(|&r| {
            let chunk = if padded { s.request(r).prompt } else { shortest };
            (s.request(r).computed - chunk, s.request(r).number)
        });
    }
    s.plan.decode = ready.into_iter().take(most).collect();
    let finished = members.iter().filter(|&&r| s.request(r).holding).count() as u32;
    let travels = !s.sim.pipelined(s.k) && !s.plan.decode.is_empty();
    if travels && !s.sim.mutated(Mutation::PaddingMissing) {
        s.plan.padding = finished;
    }
}

/// From the head of waiting, while each fits with everything it may ever need.
fn form_batch(s: &mut Planner<'_, '_>, p: &Static) {
    for r in s.waiting() {
        let allocate = s.request(r).prompt + s.request(r).max_tokens - 1;
        let full = s.plan.admit.len() as u32 >= p.max_batch;
        if full || !s.admission_fits(r, allocate, &[], 0) {
            s.plan.limit = Some(if full { Binding::Sequences } else { Binding::Memory });
            break;
        }
        s.admit(r, allocate, Vec::new(), 0);
    }
}

/// Blocks for prompt and true output, and the token of a late stop.
fn lifetime(s: &Planner<'_, '_>, r: usize) -> u32 {
    if let Some(reserved) = s.reservation(r) {
        return reserved;
    }
    let late = u32::from(s.sim.late_stop(s.k));
    s.blocks_for(s.request(r).prompt + s.request(r).output + late).min(s.kv_config().blocks)
}

/// Shortest job first with known lengths; everything is promised, nothing is preempted.
pub fn clairvoyant(s: &mut Planner<'_, '_>, p: &Clairvoyant) {
    for r in s.ready() {
        if s.request(r).prefilled {
            s.schedule(r, 1);
        }
    }
    let decoding = s.plan.decode.len() as u32;
    let mut n = partial_prefills(s, p.token_budget, decoding);
    let mut promised: u32 = s.replica().running.iter().map(|&r| lifetime(s, r)).sum();
    let mut waiting = s.waiting();
    waiting.sort_by_key(|&r| (s.request(r).prompt + s.request(r).output, s.request(r).number));
    for r in waiting {
        if n >= p.token_budget || s.running_count() >= p.max_sequences {
            break;
        }
        let hit = s.hit(r);
        let tokens = s.request(r).tokens();
        let own = lifetime(s, r);
        if promised + own > s.kv_config().blocks || !s.admission_fits(r, tokens, &hit, 0) {
            continue;
        }
        let c = (tokens - s.hit_tokens(&hit)).max(1).min(p.token_budget - n);
        s.admit(r, tokens, hit, c);
        promised += own;
        n += c;
    }
    if !s.waiting().is_empty() {
        s.plan.limit = Some(Binding::Memory);
    }
    used_up(s, n >= p.token_budget, p.max_sequences);
}
