//! The capacity of each system at one or several limits: what `[capacity]` of a scenario gives.

use serde::{Deserialize, Serialize};

use super::csv_bytes;
use super::study::Study;
use crate::metrics::Estimate;
use crate::metrics::slo::Limit;

/// Capacities of a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityTable {
    /// The limit that is varied; none: the study's SLO as it is.
    pub limit: Option<Limit>,
    /// Its values in seconds; empty without a limit.
    pub limits_s: Vec<f64>,
    /// Least requests of a trial.
    pub requests: u32,
    /// Least length of a trial in P99 end-to-end latencies.
    pub spans: f64,
    /// By system, then limit.
    pub cells: Vec<CapacityCell>,
}

/// One system at one limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityCell {
    /// Position in [`Study::systems`].
    pub system: usize,
    /// Position in [`CapacityTable::limits_s`]; 0 without a limit.
    pub point: usize,
    /// Requests per second, one a seed; 0: no rate meets the limits.
    pub by_seed: Vec<f64>,
    /// Over the seeds.
    pub value: Option<Estimate>,
    /// Seeds whose last trial should have been longer than the workload is.
    pub short: u32,
}

impl CapacityTable {
    /// Number of limits, at least 1.
    pub fn points(&self) -> usize {
        self.limits_s.len().max(1)
    }

    /// The cell of a system at a point.
    pub fn cell(&self, system: usize, point: usize) -> Option<&CapacityCell> {
        self.cells.iter().find(|c| c.system == system && c.point == point)
    }

    /// The systems that are best at a point: the largest mean, and all designs whose interval reaches its interval.
    /// Bounds and oracles are left out.
    pub fn best(&self, study: &Study, point: usize) -> Vec<usize> {
        let design = |c: &&CapacityCell| !study.systems[c.system].bound && !study.systems[c.system].oracle;
        let cells = || self.cells.iter().filter(design).filter(|c| c.point == point);
        let values = || cells().filter_map(|c| Some((c.system, c.value?)));
        let Some((_, top)) = values().max_by(|a, b| a.1.mean.total_cmp(&b.1.mean)) else { return Vec::new() };
        values().filter(|(_, v)| v.mean > 0.0 && v.high() >= top.low()).map(|(system, _)| system).collect()
    }
}

/// `capacity.csv`: one row per system, limit and seed.
pub(super) fn csv(study: &Study, table: &CapacityTable) -> Vec<u8> {
    let header = ["system", "limit", "limit_s", "seed", "capacity_per_s", "mean_per_s", "half_width_per_s"];
    let rows = table.cells.iter().flat_map(|cell| {
        cell.by_seed.iter().enumerate().map(|(seed, rate)| {
            vec![
                study.systems[cell.system].name.clone(),
                table.limit.map_or_else(String::new, |l| l.name().to_owned()),
                table.limits_s.get(cell.point).map_or_else(String::new, f64::to_string),
                (seed + 1).to_string(),
                rate.to_string(),
                cell.value.map_or_else(String::new, |v| v.mean.to_string()),
                cell.value.and_then(|v| v.half_width).map_or_else(String::new, |h| h.to_string()),
            ]
        })
    });
    csv_bytes(&header, rows)
}
