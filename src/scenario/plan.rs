//! A study with everything resolved: what is run, on what, and where each value came from.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cost::{CostSpec, StepCost};
use crate::diagnostic::Sources;
use crate::engine::config::ClusterConfig;
use crate::metrics::slo::Slo;
use crate::results::SweepInfo;
use crate::workload::RequestRate;

use super::capacity::CapacityPlan;
use super::requests::Requests;
use super::schema::{Paper, SystemOptions};
use super::sensitivity::SensitivityPlan;

/// One resolved value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Dotted path, as it would be typed.
    pub path: String,
    /// The value, as TOML writes it.
    pub value: String,
    /// Layer, file and line; or `computed` with the reason.
    pub origin: String,
}

/// One system of a study.
#[derive(Clone)]
pub struct SystemPlan {
    /// Preset or variant.
    pub name: String,
    /// Where it was published.
    pub paper: Option<Paper>,
    /// All layers merged.
    pub options: SystemOptions,
    /// What the engine simulates.
    pub cluster: ClusterConfig,
    /// What a step costs.
    pub cost: Arc<dyn StepCost>,
    /// What the cost is made of.
    pub spec: CostSpec,
    /// Accelerators of the whole deployment.
    pub gpus: u32,
    /// Uses true output lengths or other knowledge no real system has.
    pub oracle: bool,
    /// Every value with its origin, by path.
    pub settings: Vec<Setting>,
}

/// What the runs of one system differ in, besides the seed.
#[derive(Clone, Debug, PartialEq)]
pub enum Axis {
    /// The workload as it is.
    Natural,
    /// Mean arrival rates.
    Rates(Vec<RequestRate>),
    /// Shares of the reference system's capacity.
    Loads(Vec<f64>),
}

impl Axis {
    /// Number of points.
    pub fn len(&self) -> usize {
        match self {
            Axis::Natural => 1,
            Axis::Rates(rates) => rates.len(),
            Axis::Loads(loads) => loads.len(),
        }
    }

    /// Never: an axis has at least one point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A whole study before its loads are turned into rates.
#[derive(Clone)]
pub struct StudyPlan {
    /// The scenario's name: folder of the results.
    pub name: String,
    /// The question.
    pub title: String,
    /// Folder of the scenario file, where relative paths start.
    pub folder: Option<PathBuf>,
    /// Seeds 1 … `seeds`.
    pub seeds: u32,
    /// Samples of the deployment's state per run.
    pub timeline_samples: u32,
    /// The limits.
    pub slo: Slo,
    /// Share of requests that must meet them where a capacity is searched.
    pub attainment: f64,
    /// What the requests are.
    pub workload: Requests,
    /// Load, rate or neither.
    pub axis: Axis,
    /// The systems, in the order of `compare`.
    pub systems: Vec<SystemPlan>,
    /// The grid whose combinations are among the systems; none without `[sweep]`.
    pub sweep: Option<SweepInfo>,
    /// Index of the reference system.
    pub reference: usize,
    /// What `[capacity]` asks for.
    pub capacity: Option<CapacityPlan>,
    /// Constants whose effect on the capacity is searched; none by default.
    pub sensitivity: Option<SensitivityPlan>,
    /// Values of the study itself (not of a system) with their origin.
    pub settings: Vec<Setting>,
    /// All texts that were read.
    pub sources: Sources,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<String>,
}

/// One run of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPlan {
    /// Position in the results.
    pub index: usize,
    /// Which system.
    pub system: usize,
    /// Which point of the axis.
    pub point: usize,
    /// Which seed.
    pub seed: u64,
}

impl StudyPlan {
    /// All runs: by point, then system, then seed.
    pub fn runs(&self) -> Vec<RunPlan> {
        let mut runs = Vec::new();
        for point in 0..self.axis.len() {
            for system in 0..self.systems.len() {
                for seed in 1..=u64::from(self.seeds) {
                    runs.push(RunPlan { index: runs.len(), system, point, seed });
                }
            }
        }
        runs
    }
}
