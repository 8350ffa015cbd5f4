//! What a run takes and gives.

use hdrhistogram::Histogram;

use crate::metrics::record::{RequestRecord, RunCounters, Sample};
use crate::units::SimTime;

/// How a run is carried out; none of it changes a result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// One event per step instead of leaps.
    pub stepwise: bool,
    /// Check the invariants at every event.
    pub audit: bool,
    /// About how many timeline samples to take (0: none).
    pub samples: u32,
}

/// Everything a run leaves behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One record per request of the trace, by request id.
    pub records: Vec<RequestRecord>,
    /// Integer sums over the run.
    pub counters: RunCounters,
    /// Pooled intervals between consecutive tokens of a request, in nanoseconds (three significant digits).
    pub gaps: Histogram<u64>,
    /// The deployment on a coarse grid of instants.
    pub samples: Vec<Sample>,
    /// The last event.
    pub end: SimTime,
}
