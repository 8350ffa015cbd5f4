//! What the accelerators of a run computed, as integer sums that are multiplied by constants only once, at the end: so
//! that a leap and its steps agree exactly (invariant I9). `docs/semantics.md` §11 defines every sum.

use crate::cost::UnitWork;

/// Sums over steps. FLOPs and bytes follow from them with the constants of [`UnitWork`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Steps: each reads the weights once.
    pub steps: u64,
    /// Tokens that went through the layers.
    pub tokens: u64,
    /// Rows of the output projection.
    pub logits: u64,
    /// Σ of the tokens that decoding sequences attended to.
    pub context: u128,
    /// Σ over chunks of tokens·(2·past + tokens): twice the query-key pairs of causal prefill attention.
    pub pairs: u128,
    /// Σ over chunks of past + tokens: tokens whose KV prefill attention read.
    pub chunk_context: u64,
}

impl Work {
    /// Adds other sums.
    pub fn add(&mut self, other: &Work) {
        self.steps += other.steps;
        self.tokens += other.tokens;
        self.logits += other.logits;
        self.context += other.context;
        self.pairs += other.pairs;
        self.chunk_context += other.chunk_context;
    }

    /// These sums without `part` of them.
    pub fn without(&self, part: &Work) -> Work {
        Work {
            steps: self.steps.saturating_sub(part.steps),
            tokens: self.tokens.saturating_sub(part.tokens),
            logits: self.logits.saturating_sub(part.logits),
            context: self.context.saturating_sub(part.context),
            pairs: self.pairs.saturating_sub(part.pairs),
            chunk_context: self.chunk_context.saturating_sub(part.chunk_context),
        }
    }

    /// Floating-point operations on all GPUs of a replica together.
    pub fn flops(&self, unit: &UnitWork) -> f64 {
        self.tokens as f64 * unit.flops_per_token
            + self.logits as f64 * unit.flops_per_logit
            + (self.context as f64 + self.pairs as f64 / 2.0) * unit.flops_per_context
    }

    /// Bytes of weights and KV read on all GPUs of a replica together.
    pub fn bytes(&self, unit: &UnitWork) -> f64 {
        self.steps as f64 * unit.bytes_per_step
            + (self.context as f64 + self.chunk_context as f64) * unit.bytes_per_context
    }
}

/// Counts by size in half-octave bins: 1, 2, 3, 4, 5–6, 7–8, 9–12, 13–16, …; the last bin has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeBins(pub [u64; SIZE_BINS]);

/// Number of bins of [`SizeBins`]: enough for 4 million.
pub const SIZE_BINS: usize = 44;

impl Default for SizeBins {
    fn default() -> Self {
        SizeBins([0; SIZE_BINS])
    }
}

impl SizeBins {
    /// The bin of a size of at least 1.
    fn bin(size: u64) -> usize {
        let below = size.saturating_sub(1);
        let Some(octave) = below.checked_ilog2() else { return 0 };
        let bin = if octave == 0 { 1 } else { 2 * octave + u32::from((below >> (octave - 1)) & 1 == 1) };
        (bin as usize).min(SIZE_BINS - 1)
    }

    /// Largest size in a bin.
    pub fn upper(bin: usize) -> u64 {
        match bin {
            0 => 1,
            1 => 2,
            _ => (1 << (bin / 2)) + (1 + bin as u64 % 2) * (1 << (bin / 2 - 1)),
        }
    }

    /// Counts `count` things of one size. O(1).
    pub fn add(&mut self, size: u64, count: u64) {
        self.0[Self::bin(size)] += count;
    }

    /// Share of each bin up to the last one that is not empty; empty where nothing was counted.
    pub fn shares(&self) -> Vec<f64> {
        let total: u64 = self.0.iter().sum();
        let used = self.0.iter().rposition(|&count| count > 0).map_or(0, |last| last + 1);
        self.0[..used].iter().map(|&count| count as f64 / total as f64).collect()
    }
}

/// What kept a replica from admitting more, as a state of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Binding {
    /// Nothing: nobody waits, or only for the end of the step during which he came.
    Open,
    /// KV blocks.
    Memory,
    /// Running requests.
    Sequences,
    /// Tokens of a step.
    Budget,
    /// The batch that runs must end first (static batching).
    Batch,
    /// Something that the scheduler does not name.
    Other,
}

impl Binding {
    /// All states, in the order of [`RunCounters::bound_time`](super::record::RunCounters::bound_time).
    pub const ALL: [Binding; 6] =
        [Binding::Open, Binding::Memory, Binding::Sequences, Binding::Budget, Binding::Batch, Binding::Other];

    /// Name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Binding::Open => "none",
            Binding::Memory => "KV memory",
            Binding::Sequences => "sequences",
            Binding::Budget => "token budget",
            Binding::Batch => "end of the batch",
            Binding::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_in_the_bin_that_ends_at_or_after_it() {
        for size in 1..10_000 {
            let bin = SizeBins::bin(size);
            assert!(size <= SizeBins::upper(bin), "{size} in {bin}");
            assert!(bin == 0 || size > SizeBins::upper(bin - 1), "{size} in {bin}");
        }
        assert_eq!(SizeBins::bin(u64::MAX), SIZE_BINS - 1);
    }

    #[test]
    fn shares_sum_to_one() {
        let mut bins = SizeBins::default();
        bins.add(3, 1);
        bins.add(4, 3);
        assert_eq!(bins.shares(), [0.0, 0.0, 0.25, 0.75]);
        assert!(SizeBins::default().shares().is_empty());
    }
}
