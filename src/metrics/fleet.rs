//! What replicas that come and go amount to: how long each was provided for, how often that changed, what failures hit.

use super::measure::MeasureContext;
use super::summary::RunStats;

/// Sums over the replicas of a run that come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FleetUse {
    /// Time from a replica's start until it was down, in ps, by replica.
    pub provided: Vec<u128>,
    /// Decisions to add a replica.
    pub scaled_out: u64,
    /// Decisions to take one away.
    pub scaled_in: u64,
    /// Failures of replicas that had requests or could get them.
    pub failures: u64,
    /// Requests that lost their replica, once for each time.
    pub lost: u64,
}

impl FleetUse {
    /// Replicas provided for, on average over `makespan_s` seconds.
    pub fn mean_replicas(&self, makespan_s: f64) -> Option<f64> {
        let seconds = self.provided.iter().sum::<u128>() as f64 / 1e12;
        (makespan_s > 0.0).then(|| seconds / makespan_s)
    }
}

/// Fills the columns that this module is about.
pub(super) fn fill(
    stats: &mut RunStats,
    fleet: Option<&FleetUse>,
    makespan_s: f64,
    context: &MeasureContext,
) {
    let all = f64::from(context.replicas);
    let mean = fleet.map_or(Some(all), |f| f.mean_replicas(makespan_s));
    stats.replicas_mean = mean;
    stats.provided_gpu_s = mean.map(|mean| mean * f64::from(context.gpus) / all * makespan_s);
    let Some(fleet) = fleet else { return };
    stats.scaled_out = fleet.scaled_out;
    stats.scaled_in = fleet.scaled_in;
    stats.failures = fleet.failures;
    stats.lost_replica = fleet.lost;
}
