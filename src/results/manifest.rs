//! Parts of `manifest.json` that are written differently from how the program holds them.

use serde::{Deserialize, Serialize};

use super::study::{FailedRun, PointInfo, Provenance, Sensitivity, SystemInfo};
use super::warning::Warning;
use crate::metrics::Slo;
use crate::units::SimDuration;

/// Limits as files hold them: whole picoseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SloFile {
    ttft_ps: Option<u64>,
    tpot_ps: Option<u64>,
    e2e_ps: Option<u64>,
    gap_max_ps: Option<u64>,
    gap_p99_ps: Option<u64>,
    joint: bool,
}

impl SloFile {
    pub(super) fn of(slo: &Slo) -> SloFile {
        let ps = |d: Option<SimDuration>| d.map(SimDuration::as_ps);
        SloFile {
            ttft_ps: ps(slo.ttft),
            tpot_ps: ps(slo.tpot),
            e2e_ps: ps(slo.e2e),
            gap_max_ps: ps(slo.gap_max),
            gap_p99_ps: ps(slo.gap_p99),
            joint: slo.joint,
        }
    }

    pub(super) fn slo(self) -> Slo {
        let of = |ps: Option<u64>| ps.map(SimDuration::from_ps);
        Slo {
            ttft: of(self.ttft_ps),
            tpot: of(self.tpot_ps),
            e2e: of(self.e2e_ps),
            gap_max: of(self.gap_max_ps),
            gap_p99: of(self.gap_p99_ps),
            joint: self.joint,
        }
    }
}

/// A `manifest.json` as `report` reads it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ManifestFile {
    pub title: String,
    pub scenario: String,
    pub scenario_text: String,
    pub resolved_plan: String,
    pub reference: String,
    pub slo: SloFile,
    pub attainment_target: f64,
    pub systems: Vec<SystemInfo>,
    pub points: Vec<PointInfo>,
    pub provenance: Provenance,
    pub failed: Vec<FailedRun>,
    pub notes: Vec<Warning>,
    pub sensitivity: Option<Sensitivity>,
}
