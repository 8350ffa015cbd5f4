//! How a run is carried out.

use crate::metrics::record::Deadlines;

/// How a run is carried out; none of it changes what happens in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// One event per step instead of leaps.
    pub stepwise: bool,
    /// Check the invariants at every event.
    pub audit: bool,
    /// About how many timeline samples to take (0: none).
    pub samples: u32,
    /// Count the tokens that meet these deadlines (`RequestRecord::on_time`).
    pub deadlines: Option<Deadlines>,
}
