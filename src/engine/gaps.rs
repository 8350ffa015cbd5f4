//! Intervals between consecutive tokens: pooled over the run, and the longest one per request.
//!
//! All members of a cohort receive their tokens together, so one entry per step serves them all.

use hdrhistogram::Histogram;

/// Pooled gaps, in nanoseconds with three significant digits.
#[derive(Clone, Debug)]
pub(crate) struct PooledGaps(pub Histogram<u64>);

impl Default for PooledGaps {
    fn default() -> Self {
        let mut histogram = Histogram::new(3).expect("three significant digits are allowed");
        histogram.auto(true);
        PooledGaps(histogram)
    }
}

impl PooledGaps {
    /// `weight` gaps of `gap_ps`.
    pub fn record(&mut self, gap_ps: u64, weight: u64) {
        if weight > 0 {
            self.0
                .record_n(gap_ps / 1000, weight)
                .expect("an automatically resized histogram takes every value");
        }
    }

    /// `weight` gaps of each of `first_ps + j·slope_ps`, `j = 0 … steps−1`. Costs the buckets touched, not the steps.
    pub fn record_line(&mut self, first_ps: u64, slope_ps: u64, steps: u64, weight: u64) {
        let mut j = 0;
        while j < steps && weight > 0 {
            let gap = first_ps + j * slope_ps;
            // Last step whose gap, in whole nanoseconds, is still equivalent to this one.
            let highest_ps = self.0.highest_equivalent(gap / 1000) * 1000 + 999;
            let same = (highest_ps - gap).checked_div(slope_ps).map_or(steps - j, |n| (n + 1).min(steps - j));
            self.record(gap, weight * same);
            j += same;
        }
    }
}

/// The longest gap over any suffix of a cohort's steps: a stack whose gaps fall and whose steps rise.
#[derive(Clone, Debug, Default)]
pub(crate) struct GapStack {
    entries: Vec<(u64, u64)>,
}

impl GapStack {
    /// The steps up to and including `step` had gaps of at most `gap_ps`, and one of exactly that. Amortised O(1).
    pub fn push(&mut self, step: u64, gap_ps: u64) {
        while self.entries.last().is_some_and(|&(_, gap)| gap <= gap_ps) {
            self.entries.pop();
        }
        self.entries.push((step, gap_ps));
    }

    /// Longest gap of the steps after `from`; 0 if there was none. O(log n).
    pub fn longest_since(&self, from: u64) -> u64 {
        let at = self.entries.partition_point(|&(step, _)| step <= from);
        self.entries.get(at).map_or(0, |&(_, gap)| gap)
    }

    /// Forgets everything; for when nobody is a member.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_gaps_equals_its_gaps_one_by_one() {
        for (first, slope, steps) in
            [(8_000_000_000, 3_700_000, 1000), (999, 1, 5000), (5_000, 0, 7), (0, 250, 9)]
        {
            let (mut line, mut single) = (PooledGaps::default(), PooledGaps::default());
            line.record_line(first, slope, steps, 3);
            for j in 0..steps {
                single.record(first + j * slope, 3);
            }
            assert_eq!(line.0, single.0);
        }
    }

    #[test]
    fn the_longest_gap_of_a_suffix() {
        let mut stack = GapStack::default();
        for (step, gap) in [(1, 9), (2, 4), (5, 6), (6, 2)] {
            stack.push(step, gap);
        }
        assert_eq!([0, 1, 4, 5, 6].map(|from| stack.longest_since(from)), [9, 6, 6, 2, 0]);
    }
}
