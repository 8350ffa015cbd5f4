//! What a run counts (§11): work, waste, time by what keeps a replica from admitting more. Token by token.

use windtunnel::cost::StepShape;
use windtunnel::metrics::record::RunCounters;
use windtunnel::metrics::work::{Binding, SizeBins, Work};

use super::mutation::Mutation;
use super::pipeline::Batch;
use super::sim::Sim;

/// One more thing of this size: edges are 1, 2, 3, 4, 6, 8, 12, …
fn add_size(bins: &mut SizeBins, size: u64) {
    let mut edges = vec![1, 2];
    let mut power = 2;
    while edges.len() < bins.0.len() {
        edges.extend([power + power / 2, 2 * power]);
        power *= 2;
    }
    let bin = edges.iter().position(|&edge| size <= edge).unwrap_or(bins.0.len() - 1);
    bins.0[bin] += 1;
}

/// Work that follows from the shape alone.
pub fn count_shape(counters: &mut RunCounters, shape: &StepShape<'_>) {
    let slots = u64::from(shape.decode.n) + u64::from(shape.decode.padding);
    let prompt: u64 = shape.chunks.iter().map(|c| u64::from(c.tokens)).sum();
    let sequences = slots + shape.chunks.len() as u64;
    let work = &mut counters.work;
    work.steps += 1;
    work.tokens += slots + prompt;
    work.logits += sequences.max(1);
    work.context += u128::from(shape.decode.context);
    for c in shape.chunks {
        work.pairs += (c.past..c.past + c.tokens).map(|i| 2 * u128::from(i) + 1).sum::<u128>();
        work.chunk_context += u64::from(c.past + c.tokens);
    }
    add_size(&mut counters.step_tokens, slots + prompt);
    add_size(&mut counters.step_sequences, sequences);
}

/// What of it nobody needed, and the time of recomputation and swaps. Counters of requests have not moved yet.
pub fn count_waste(sim: &mut Sim<'_>, batch: &Batch, shape: &StepShape<'_>) {
    let mut waste = Work::default();
    let (mut useful, mut again) = (0, 0u64);
    let blind = sim.mutated(Mutation::RecomputationIsUseful);
    for (c, &(r, q)) in shape.chunks.iter().zip(&batch.prefill) {
        let request = &sim.requests[r];
        let positions = request.computed..request.computed + q;
        let needed: Vec<u32> = positions.filter(|&i| blind || i >= request.known).collect();
        let costed: u128 = (c.past..c.past + c.tokens).map(|i| 2 * u128::from(i) + 1).sum();
        waste.tokens += u64::from(c.tokens) - needed.len() as u64;
        waste.pairs += costed - needed.iter().map(|&i| 2 * u128::from(i) + 1).sum::<u128>();
        let read = if needed.is_empty() { 0 } else { request.computed + q };
        waste.chunk_context += u64::from(c.past + c.tokens - read);
        useful += needed.len();
        again += u64::from(q) - needed.len() as u64;
    }
    for &r in &batch.decode {
        let request = &sim.requests[r];
        if request.stopping {
            waste.tokens += 1;
            waste.logits += 1;
            waste.context += u128::from(request.prompt + request.output);
        } else {
            useful += 1;
        }
    }
    waste.tokens += u64::from(shape.decode.padding);
    waste.logits += u64::from(shape.decode.padding);
    waste.steps = u64::from(useful == 0);
    let tokens = shape.chunks.iter().map(|c| c.tokens).sum::<u32>() + shape.decode.n + shape.decode.padding;
    let counters = &mut sim.counters;
    counters.recompute_time += u128::from(batch.gpu) * u128::from(again) / u128::from(tokens);
    counters.swap_time += u128::from(batch.swap);
    let w = &mut counters.waste;
    w.steps += waste.steps;
    w.tokens += waste.tokens;
    w.logits += waste.logits;
    w.context += waste.context;
    w.pairs += waste.pairs;
    w.chunk_context += waste.chunk_context;
}

/// From now on replica `k` is in this state; `None`: idle.
pub fn set_bound(sim: &mut Sim<'_>, k: usize, state: Option<Binding>) {
    let replica = &mut sim.replicas[k];
    if let Some(before) = replica.bound {
        sim.counters.bound_time[before as usize] += u128::from(sim.now - replica.bound_since);
    }
    (replica.bound, replica.bound_since) = (state, sim.now);
}
