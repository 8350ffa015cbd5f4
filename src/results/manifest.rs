//! Parts of `manifest.json` that are written differently from how the program holds them.

use serde::{Deserialize, Serialize};

use super::capacity::CapacityTable;
use super::robustness::Robustness;
use super::study::{FailedRun, PointInfo, Provenance, Sensitivity, SweepInfo, SystemInfo};
use super::warning::Warning;
use crate::metrics::Slo;
use crate::metrics::slo::Limit;
use crate::units::SimDuration;

/// Limits as files hold them: whole picoseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SloFile {
    limits_ps: Vec<(Limit, u64)>,
    joint: bool,
}

impl SloFile {
    pub(super) fn of(slo: &Slo) -> SloFile {
        let all = Limit::PER_REQUEST.into_iter().chain(Limit::PER_RUN);
        let limits_ps = all.filter_map(|limit| Some((limit, slo.get(limit)?.as_ps()))).collect();
        SloFile { limits_ps, joint: slo.joint }
    }

    pub(super) fn slo(&self) -> Slo {
        let mut slo = Slo { joint: self.joint, ..Slo::default() };
        for &(limit, ps) in &self.limits_ps {
            *slo.limit_mut(limit) = Some(SimDuration::from_ps(ps));
        }
        slo
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
    #[serde(default)]
    pub sweep: Option<SweepInfo>,
    pub points: Vec<PointInfo>,
    pub provenance: Provenance,
    pub failed: Vec<FailedRun>,
    pub notes: Vec<Warning>,
    pub sensitivity: Option<Sensitivity>,
    #[serde(default)]
    pub robustness: Option<Robustness>,
    #[serde(default)]
    pub capacity: Option<CapacityTable>,
}
