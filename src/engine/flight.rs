//! Work that a replica has started: one step, or a leap over many equal decode steps.

use crate::cost::{Chunk, DecodeShape, Segment, StepShape, StepTime};
use crate::ids::RequestId;
use crate::policy::scheduler::StepPlan;
use crate::units::{SimDuration, SimTime};

/// Decode steps of a fixed batch, in closed form: step `j` (from 0) takes `total + j·total_slope`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leap {
    /// Duration of the first step, in ps.
    pub total: u64,
    /// How much longer each further step is, in ps.
    pub total_slope: u64,
    /// Accelerator part of the first step, in ps.
    pub gpu: u64,
    /// How much longer that part is in each further step, in ps.
    pub gpu_slope: u64,
    /// Linear work per step, in ps.
    pub linear: u64,
    /// Collectives per step, in ps.
    pub link: u64,
    /// Steps that will be taken unless it is cut.
    pub steps: u64,
    /// Whether an arrival cuts it at the next step boundary.
    pub cut_by_arrivals: bool,
}

impl Leap {
    /// The leap over steps of `shape` along `segment`; its length is as far as the segment holds.
    pub fn new(segment: &Segment, shape: &DecodeShape) -> Leap {
        assert!(
            shape.n > 0 && segment.until >= shape.context,
            "a segment holds at least where it was asked for"
        );
        let n = u64::from(shape.n);
        Leap {
            total: segment.total + segment.total_slope * shape.context,
            total_slope: segment.total_slope * n,
            gpu: segment.gpu + segment.gpu_slope * shape.context,
            gpu_slope: segment.gpu_slope * n,
            linear: segment.linear,
            link: segment.link,
            steps: (segment.until - shape.context) / n + 1,
            cut_by_arrivals: false,
        }
    }

    /// Time of the first `steps` steps together; exact.
    pub fn elapsed(&self, steps: u64) -> SimDuration {
        SimDuration::from_ps(line_sum(self.total, self.total_slope, steps))
    }

    /// Accelerator part of the first `steps` steps, in ps.
    pub fn gpu_sum(&self, steps: u64) -> u64 {
        line_sum(self.gpu, self.gpu_slope, steps)
    }

    /// Steps that are over after `elapsed`.
    pub fn steps_within(&self, elapsed: SimDuration) -> u64 {
        self.search(|done| done <= elapsed)
    }

    /// Steps until the first step boundary at or after `elapsed`, at least 1, at most all.
    pub fn steps_to_boundary(&self, elapsed: SimDuration) -> u64 {
        (self.search(|done| done < elapsed) + 1).min(self.steps)
    }

    /// Largest number of steps whose elapsed time satisfies a predicate that, once false, stays false.
    fn search(&self, holds: impl Fn(SimDuration) -> bool) -> u64 {
        let (mut low, mut high) = (0, self.steps);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if holds(self.elapsed(middle)) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }
}

/// Σ over `j < n` of `first + j·slope`.
pub(crate) fn line_sum(first: u64, slope: u64, n: u64) -> u64 {
    if n < 1 << 16 && first < 1 << 46 && slope < 1 << 30 {
        // Below 2^62 + 2^61: no need for wide numbers.
        return n * first + slope * (n * n.saturating_sub(1) / 2);
    }
    let (n, first, slope) = (u128::from(n), u128::from(first), u128::from(slope));
    let sum = n * first + slope * (n * n.saturating_sub(1) / 2);
    u64::try_from(sum).expect("a leap is shorter than 213 days")
}

/// One batch on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flight {
    /// Number of its completion event; a re-timed leap gets a new one.
    pub event: u32,
    pub start: SimTime,
    /// When its tokens are back.
    pub end: SimTime,
    pub plan: StepPlan,
    pub chunks: Vec<Chunk>,
    pub decode: DecodeShape,
    /// Set for a leap.
    pub leap: Option<Leap>,
    /// The cohort takes a step (`Decode::All` on one stage).
    pub cohort_steps: bool,
    /// Requests taken out of the cohort for this step (`Each`, or a pipeline).
    pub members: Vec<RequestId>,
    /// Summed over stages, of the first step.
    pub time: StepTime,
    /// Accelerator part of the decode-only step of the same sequences, in ps.
    pub decode_gpu: u64,
    /// Moving swapped KV.
    pub swap: SimDuration,
    /// Loading prefix blocks from host memory.
    pub load: SimDuration,
}

impl Flight {
    /// Shape of the (first) step.
    pub fn shape(&self) -> StepShape<'_> {
        StepShape { chunks: &self.chunks, decode: self.decode }
    }

    /// Steps until its end as planned now.
    pub fn steps(&self) -> u64 {
        self.leap.map_or(1, |l| l.steps)
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.plan.clear();
        self.chunks.clear();
        self.members.clear();
        self.decode = DecodeShape::default();
        self.leap = None;
        self.cohort_steps = false;
        self.swap = SimDuration::ZERO;
        self.load = SimDuration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_and_wide_sums_agree() {
        for (first, slope, n) in [
            (1_u64 << 46, 7_u64, 65_535_u64),
            ((1 << 46) - 1, (1 << 30) - 1, 65_535),
            ((1 << 46) - 1, 1 << 30, 65_535),
            (5, 3, 65_536),
            (5, 3, 0),
        ] {
            let (wide_n, tail) = (u128::from(n), u128::from(n) * u128::from(n.saturating_sub(1)) / 2);
            let expected = wide_n * u128::from(first) + u128::from(slope) * tail;
            assert_eq!(u128::from(line_sum(first, slope, n)), expected);
        }
    }

    #[test]
    fn a_leap_is_its_steps() {
        let leap = Leap {
            total: 10,
            total_slope: 3,
            gpu: 0,
            gpu_slope: 0,
            linear: 0,
            link: 0,
            steps: 5,
            cut_by_arrivals: true,
        };
        let ends: Vec<u64> = (0..=5).map(|j| leap.elapsed(j).as_ps()).collect();
        assert_eq!(ends, [0, 10, 23, 39, 58, 80]);
        let ps = SimDuration::from_ps;
        assert_eq!([0, 9, 10, 22, 23, 80].map(|t| leap.steps_within(ps(t))), [0, 0, 1, 1, 2, 5]);
        assert_eq!([0, 1, 10, 11, 23, 24, 90].map(|t| leap.steps_to_boundary(ps(t))), [1, 1, 1, 2, 2, 3, 5]);
    }
}
