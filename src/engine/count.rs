//! The sums of a run (docs/semantics.md §11), taken when a step or leap ends, and read in the middle of one.

use crate::metrics::work::Work;

use super::flight::{Flight, line_sum};
use super::replica::ReplicaState;
use super::world::World;

impl Flight {
    /// What its first `steps` steps compute.
    pub fn work(&self, steps: u64) -> Work {
        let slots = u64::from(self.decode.n) + u64::from(self.decode.padding);
        let mut work = Work {
            steps,
            tokens: slots * steps,
            logits: (slots + self.chunks.len() as u64).max(1) * steps,
            context: u128::from(line_sum(self.decode.context, u64::from(self.decode.n), steps)),
            ..Work::default()
        };
        for chunk in &self.chunks {
            work.tokens += u64::from(chunk.tokens);
            work.pairs += pairs(chunk.past, chunk.tokens);
            work.chunk_context += u64::from(chunk.past) + u64::from(chunk.tokens);
        }
        work
    }

    /// What finished slots of a static batch add to that.
    pub fn padding(&self, steps: u64) -> Work {
        let slots = u64::from(self.decode.padding) * steps;
        Work { tokens: slots, logits: slots, ..Work::default() }
    }
}

/// Twice the query-key pairs of a causal chunk.
fn pairs(past: u32, tokens: u32) -> u128 {
    u128::from(tokens) * (2 * u128::from(past) + u128::from(tokens))
}

impl World<'_> {
    /// `slots` sequences that had got their last token filled a slot of one step; `context` is what they attended to.
    pub fn waste_slots(&mut self, slots: u64, context: u64) {
        self.counters.wasted_slots += slots;
        let waste = Work { tokens: slots, logits: slots, context: u128::from(context), ..Work::default() };
        self.counters.waste.add(&waste);
    }

    /// Sums that follow from the shape of a flight. Returns how many of its prompt tokens were needed.
    pub fn count(&mut self, flight: &Flight, group: usize) -> u64 {
        let steps = flight.steps();
        let (law, piped) = (self.powers[group].as_ref(), self.costs[group].stages() > 1);
        let counters = &mut self.counters;
        let (n, chunks) = (u64::from(flight.decode.n), flight.chunks.len() as u64);
        counters.steps += steps;
        counters.prefill_steps += u64::from(n == 0);
        counters.mixed_steps += u64::from(n > 0 && chunks > 0);
        counters.decode_tokens += n * steps;
        counters.wasted_slots += u64::from(flight.decode.padding) * steps;
        let work = flight.work(steps);
        counters.work.add(&work);
        if flight.decode.padding > 0 {
            counters.waste.add(&flight.padding(steps));
        }
        let slots = n + u64::from(flight.decode.padding);
        // Only steps without chunks are taken several at a time.
        counters.step_tokens.add(if chunks == 0 { slots } else { work.tokens }, steps);
        counters.step_sequences.add(slots + chunks, steps);
        let time = &flight.time;
        let (gpu, total) = match &flight.leap {
            Some(leap) => (leap.gpu_sum(steps), leap.elapsed(steps).as_ps()),
            None => (time.gpu().as_ps(), time.total().as_ps()),
        };
        let (linear, link) = (time.linear.as_ps() * steps, time.link.as_ps() * steps);
        for (sum, part) in counters.busy.iter_mut().zip([linear, gpu - linear - link, link, total - gpu]) {
            *sum += u128::from(part);
        }
        counters.swap_time += u128::from(flight.swap.as_ps());
        if let Some(law) = law {
            counters.energy.add(&flight.energy(law, piped));
        }
        if chunks == 0 { 0 } else { self.count_chunks(flight, work.tokens, gpu) }
    }

    /// The prompt tokens of a step: computed, recomputed, padded. Returns how many were needed.
    fn count_chunks(&mut self, flight: &Flight, step_tokens: u64, gpu_ps: u64) -> u64 {
        let (mut recomputed, mut needed) = (0, 0);
        for (chunk, &(id, tokens)) in flight.chunks.iter().zip(&flight.plan.prefill) {
            // Tokens of a padded chunk are computed after none; others cost as what they are.
            let past = if chunk.tokens == tokens { chunk.past } else { 0 };
            let again = self.request(id).known.saturating_sub(past).min(tokens);
            self.counters.prefill_tokens += u64::from(tokens);
            needed += u64::from(tokens - again);
            if again == 0 && chunk.tokens == tokens {
                continue;
            }
            let kept = if again == tokens { 0 } else { past + tokens };
            self.counters.waste.add(&Work {
                tokens: u64::from(chunk.tokens - tokens + again),
                pairs: pairs(chunk.past, chunk.tokens) + pairs(past, again) - pairs(past, tokens),
                chunk_context: u64::from(chunk.past) + u64::from(chunk.tokens) - u64::from(kept),
                ..Work::default()
            });
            recomputed += u64::from(again);
        }
        if recomputed > 0 {
            let lost = u128::from(gpu_ps) * u128::from(recomputed) / u128::from(step_tokens);
            self.counters.recompute_time += lost;
        }
        needed
    }
}

impl ReplicaState {
    /// Work that the step or leap on its way has done by `steps` of its steps (none for one that is no leap).
    pub fn work_under_way(&self, steps: u64) -> (Work, Work) {
        match self.flights.front().filter(|f| f.leap.is_some()) {
            Some(flight) if steps > 0 => (flight.work(steps), flight.padding(steps)),
            _ => (Work::default(), Work::default()),
        }
    }
}
