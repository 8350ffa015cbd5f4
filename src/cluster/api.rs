//! How a run is carried out.

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
