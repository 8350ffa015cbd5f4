//! Token-budget schedulers (§8): unified, chunked, prefill-first.

use windtunnel::metrics::work::Binding;
use windtunnel::policy::scheduler::{Chunked, PrefillFirst, Unified};

use super::hand_over;
use super::mutation::Mutation;
use super::plan::Planner;

/// Zero means no limit.
fn threshold(limit: u32) -> u32 {
    if limit == 0 { u32::MAX } else { limit }
}

/// vLLM V1.
pub fn unified(s: &mut Planner<'_, '_>, p: &Unified) {
    let mut budget = p.token_budget;
    hand_over::resume_early(s, p.max_sequences);
    'running: for r in s.ready() {
        if budget == 0 {
            break;
        }
        if !s.replica().running.contains(&r) {
            continue; // it became a victim
        }
        let missing = s.request(r).tokens() - s.request(r).computed;
        let q = missing.min(threshold(p.long_prefill_threshold)).min(budget);
        while !s.fits(s.growth(r, s.request(r).computed + q)) {
            let ready = s.ready();
            let first = s.sim.mutated(Mutation::VictimOrderReversed);
            let victim = if first { ready[0] } else { ready[ready.len() - 1] };
            s.preempt(victim, false);
            if victim == r {
                break 'running;
            }
        }
        let free_ride = s.request(r).prefilled && s.sim.mutated(Mutation::BudgetIgnoresDecodes);
        s.schedule(r, q);
        if !free_ride {
            budget -= q;
        }
    }
    budget -= hand_over::resume(s, p.max_sequences, budget);
    let stop = s.plan.preempted && !s.sim.mutated(Mutation::AdmitsWhilePreempting);
    if stop || !s.nothing_swapped() {
        s.plan.limit = Some(Binding::Memory);
        return;
    }
    for r in s.waiting() {
        if budget == 0 || s.running_count() >= p.max_sequences {
            break;
        }
        s.plan.limit = Some(Binding::Memory);
        let hit = s.hit(r);
        let (tokens, h) = (s.request(r).tokens(), s.hit_tokens(&hit));
        if p.reserve_full_prompt && !s.admission_fits(r, tokens, &hit, 0) {
            break;
        }
        let missing = (tokens - h).max(1);
        let q = missing.min(threshold(p.long_prefill_threshold)).min(budget);
        let allocate = (h + q).min(tokens);
        if !s.admission_fits(r, allocate, &hit, 0) {
            break;
        }
        s.admit(r, allocate, hit, q);
        s.plan.limit = None;
        budget -= q;
    }
    used_up(s, budget == 0, p.max_sequences);
}

/// §11: tokens first, then sequences, else what the loop says.
pub fn used_up(s: &mut Planner<'_, '_>, no_tokens: bool, max_sequences: u32) {
    if no_tokens {
        s.plan.limit = Some(Binding::Budget);
    } else if s.running_count() >= max_sequences {
        s.plan.limit = Some(Binding::Sequences);
    }
}

/// The block rule of chunked (1): a decode needs a free block whether it takes one or not.
pub fn decode_or_preempt(s: &mut Planner<'_, '_>, r: usize, may_swap: bool) {
    while !s.reserving() && !s.fits(1) {
        let after: Vec<usize> =
            s.ready().into_iter().filter(|&v| s.request(v).place() > s.request(r).place()).collect();
        let first = s.sim.mutated(Mutation::VictimOrderReversed);
        let victim = if first { after.first() } else { after.last() };
        let victim = victim.copied().unwrap_or(r);
        s.preempt(victim, may_swap);
        if victim == r {
            return;
        }
    }
    s.schedule(r, 1);
}

/// Every ready request with a complete prefill decodes, under the block rule.
fn decodes(s: &mut Planner<'_, '_>) {
    let may_swap = s.may_swap();
    for r in s.ready() {
        if s.replica().running.contains(&r) && s.request(r).prefilled {
            decode_or_preempt(s, r, may_swap);
        }
    }
}

/// Swapped requests come back in queue order and decode in this step.
fn swap_in(s: &mut Planner<'_, '_>, max_sequences: u32) {
    for r in s.replica().swapped.clone() {
        let blocks = s.request(r).host_blocks;
        // Never more than there is: else a request near the limit could not come back.
        let spare = (blocks + 1).min(s.kv_config().blocks - s.watermark());
        if !s.fits(spare + s.watermark()) || s.running_count() + 1 > max_sequences {
            break;
        }
        let next = s.blocks_for(s.request(r).computed + 1);
        s.plan.promised.push((r, next));
        s.plan.swap_in.push(r);
        s.plan.decode.push(r);
    }
}

/// Partial prefills of ready requests, up to the budget; returns the tokens planned.
pub fn partial_prefills(s: &mut Planner<'_, '_>, budget: u32, mut n: u32) -> u32 {
    for r in s.ready() {
        if s.request(r).prefilled {
            continue;
        }
        let missing = s.request(r).tokens() - s.request(r).computed;
        let c = missing.min(budget.saturating_sub(n));
        if c > 0 {
            s.schedule(r, c);
            n += c;
        }
    }
    n
}

/// Sarathi-Serve.
pub fn chunked(s: &mut Planner<'_, '_>, p: &Chunked) {
    if !p.hybrid {
        return chunks_apart(s, p);
    }
    hand_over::resume_early(s, p.max_sequences);
    decodes(s);
    if !s.plan.preempted {
        swap_in(s, p.max_sequences);
    }
    hand_over::resume(s, p.max_sequences, u32::MAX);
    let mut decoding = s.plan.decode.len() as u32;
    if s.sim.mutated(Mutation::ReadSwapInsOutsideBudget) {
        decoding -= s.plan.swap_in.len() as u32;
    }
    let mut n = partial_prefills(s, p.token_budget, decoding);
    let stop = s.plan.preempted && !s.sim.mutated(Mutation::AdmitsWhilePreempting);
    if stop || !s.nothing_swapped() {
        s.plan.limit = Some(Binding::Memory);
        return;
    }
    for r in s.waiting() {
        if n >= p.token_budget {
            break;
        }
        s.plan.limit = Some(Binding::Memory);
        let hit = s.hit(r);
        let (tokens, h) = (s.request(r).tokens(), s.hit_tokens(&hit));
        if !s.admission_fits(r, tokens, &hit, s.watermark()) || s.running_count() >= p.max_sequences {
            break;
        }
        let c = (tokens - h).max(1).min(p.token_budget - n);
        s.admit(r, tokens, hit, c);
        s.plan.limit = None;
        n += c;
    }
    used_up(s, n >= p.token_budget, p.max_sequences);
}

/// Sarathi-Serve without hybrid batches: turns.
fn chunks_apart(s: &mut Planner<'_, '_>, p: &Chunked) {
    let chunk_turn = !s.replica().after_chunks;
    if chunk_turn {
        own_chunks(s, p);
    }
    if s.plan.prefill.is_empty() && s.plan.admit.is_empty() {
        hand_over::resume_early(s, p.max_sequences);
        decodes(s);
        if !s.plan.preempted {
            swap_in(s, p.max_sequences);
        }
        hand_over::resume(s, p.max_sequences, u32::MAX);
    }
    let idle = s.plan.decode.is_empty() && s.plan.prefill.is_empty() && s.plan.admit.is_empty();
    if !chunk_turn && idle && !s.plan.preempted {
        own_chunks(s, p);
    }
    if s.plan.preempted || !s.nothing_swapped() {
        s.plan.limit = Some(Binding::Memory);
    } else if !chunk_turn && !s.plan.decode.is_empty() {
        s.plan.limit = (s.running_count() >= p.max_sequences).then_some(Binding::Sequences);
    }
    let chunks = !s.plan.prefill.is_empty() || !s.plan.admit.is_empty();
    if chunks || !s.plan.decode.is_empty() {
        s.sim.replicas[s.k].after_chunks = chunks;
        s.sim.coverage.chunk_turns += u64::from(chunks && chunk_turn);
    }
}

/// Prompts already begun, else new ones, within the budget.
fn own_chunks(s: &mut Planner<'_, '_>, p: &Chunked) {
    let mut n = partial_prefills(s, p.token_budget, 0);
    if n > 0 || !s.nothing_swapped() {
        s.plan.limit = Some(Binding::Budget);
        return;
    }
    for r in s.waiting() {
        let hit = s.hit(r);
        let (tokens, h) = (s.request(r).tokens(), s.hit_tokens(&hit));
        let room = n < p.token_budget && s.running_count() < p.max_sequences;
        if !room || !s.admission_fits(r, tokens, &hit, s.watermark()) {
            s.plan.limit = Some(Binding::Memory);
            break;
        }
        let c = (tokens - h).max(1).min(p.token_budget - n);
        s.admit(r, tokens, hit, c);
        n += c;
    }
    s.plan.limit = s.plan.limit.or(Some(Binding::Memory));
    used_up(s, n >= p.token_budget, p.max_sequences);
}

/// vLLM V0.
pub fn prefill_first(s: &mut Planner<'_, '_>, p: &PrefillFirst) {
    if s.nothing_swapped() {
        let mut batch = 0;
        for r in s.waiting() {
            let hit = s.hit(r);
            let tokens = s.request(r).tokens();
            let c = (tokens - s.hit_tokens(&hit)).max(1);
            let fits = s.admission_fits(r, tokens, &hit, s.watermark());
            let over_budget = !s.plan.admit.is_empty() && batch + c > p.token_budget;
            if !fits || over_budget || s.running_count() + 1 > p.max_sequences {
                s.plan.limit = Some(if fits { Binding::Budget } else { Binding::Memory });
                break;
            }
            s.admit(r, tokens, hit, c);
            batch += c;
        }
        s.plan.limit = s.plan.limit.or(Some(Binding::Budget));
        used_up(s, false, p.max_sequences);
    } else {
        s.plan.limit = Some(Binding::Memory);
    }
    if !s.plan.admit.is_empty() {
        return;
    }
    hand_over::resume_early(s, p.max_sequences);
    decodes(s);
    if s.plan.preempted {
        s.plan.limit = Some(Binding::Memory);
    } else {
        swap_in(s, p.max_sequences);
        hand_over::resume(s, p.max_sequences, u32::MAX);
        let sequences = s.nothing_swapped() && s.running_count() >= p.max_sequences;
        s.plan.limit = if sequences { Some(Binding::Sequences) } else { s.plan.limit };
    }
}
