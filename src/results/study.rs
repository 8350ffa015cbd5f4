//! What the command line hands over when all runs are done; everything a report may show.

use serde::{Deserialize, Serialize};

use super::capacity::CapacityTable;
use super::plan::PlannedPool;
use super::{Robustness, TokenTimeline, Warning};
use crate::metrics::Records;
use crate::metrics::{Curves, Extract, ReplicaTimeline, Slo, Summary, TimelineRow};

/// A finished study: systems × points × seeds.
#[derive(Clone, Debug, Default)]
pub struct Study {
    /// The question, as the scenario words it.
    pub title: String,
    /// Name of the scenario; names the result folder.
    pub scenario_name: String,
    /// Text of the scenario file as it was read.
    pub scenario_text: String,
    /// The resolved plan, every default visible; empty when there is none.
    pub resolved_plan: String,
    /// Name of the system the others are compared with; must be in `systems`.
    pub reference: String,
    /// The grid whose combinations are among `systems`; none without `[sweep]`.
    pub sweep: Option<SweepInfo>,
    /// Limits.
    pub slo: Slo,
    /// Share of requests that must meet a per-request limit.
    pub attainment_target: f64,
    /// Systems, in the order they are shown.
    pub systems: Vec<SystemInfo>,
    /// Points, in the order they are shown (loads rising).
    pub points: Vec<PointInfo>,
    /// Runs, in any order; [`Study::sorted_runs`] fixes it.
    pub runs: Vec<RunResult>,
    /// The tokens of one request, for the plot of a stall; absent where nobody looked.
    pub token_timeline: Option<TokenTimeline>,
    /// One run per system with several whole replicas, replica by replica; empty where nobody looked.
    pub replicas: Vec<ReplicaTimeline>,
    /// Runs that were skipped or failed.
    pub failed: Vec<FailedRun>,
    /// Capacities of the systems, where the scenario asks for them.
    pub capacity: Option<CapacityTable>,
    /// Warnings the caller adds to those found in the numbers.
    pub warnings: Vec<Warning>,
    /// How the capacity of the reference depends on uncertain constants, when that was asked for.
    pub sensitivity: Option<Sensitivity>,
    /// Whether the ratios of the headline are robust, when that was asked for.
    pub robustness: Option<Robustness>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// How the capacity of one system depends on constants of the cost model, each changed alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// Name of the system.
    pub system: String,
    /// Its capacity with all constants as they are, in requests per second.
    pub capacity_per_s: f64,
    /// One row per constant, the largest swing first.
    pub rows: Vec<SensitivityRow>,
}

/// What one constant does to the capacity.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SensitivityRow {
    /// Name of the constant.
    pub constant: String,
    /// What it is, in a few words.
    pub meaning: String,
    /// A factor below 1 and the capacity with the constant multiplied by it; absent where only more is plausible.
    pub below: Option<(f64, f64)>,
    /// A factor above 1 and the capacity with it.
    pub above: (f64, f64),
}

impl SensitivityRow {
    /// The larger of both changes, as a share of the capacity `base`.
    pub fn swing(&self, base: f64) -> f64 {
        let change = |c: f64| (c / base - 1.0).abs();
        self.below.map_or(0.0, |b| change(b.1)).max(change(self.above.1))
    }
}

/// One system of a study.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// Name.
    pub name: String,
    /// Paper or source, as one line; empty when there is none.
    pub paper: String,
    /// Whether it is a bound (ideal, clairvoyant) and no design that one could build.
    pub bound: bool,
    /// Whether it uses knowledge that no real system has.
    pub oracle: bool,
    /// Anything a reader must know, as one line; empty when there is nothing.
    pub notes: String,
    /// Accelerators of the whole deployment; 0 when not known.
    #[serde(default)]
    pub gpus: u32,
    /// US dollars per hour for all of them; absent when there is no price.
    #[serde(default)]
    pub usd_per_hour: Option<f64>,
    /// Power limit of all its accelerators in kW, hosts not counted.
    pub tdp_kw: f64,
    /// KV memory of the whole deployment that requests can use, in tokens; 0 when not known.
    #[serde(default)]
    pub kv_tokens: u64,
    /// Host memory that keeps evicted prefix blocks, of the whole deployment, in tokens; 0 without one.
    #[serde(default)]
    pub host_cache_tokens: u64,
    /// Grade of the accelerator's profile: `measured`, `fitted` or `derived`; empty when not known.
    #[serde(default)]
    pub hardware_grade: String,
    /// Where prefill and decode are apart: their pools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<PlannedPool>,
}

impl SystemInfo {
    /// Whether its numbers rest on a profile that was derived from a datasheet, not fitted to measurements.
    pub fn is_derived(&self) -> bool {
        self.hardware_grade == "derived"
    }
}

/// A grid of values of some keys of one system.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepInfo {
    /// The system that was varied.
    pub base: String,
    /// The keys, in the order of the names.
    pub axes: Vec<SweepAxis>,
    /// Names of the combinations, the last axis fastest.
    pub systems: Vec<String>,
}

impl SweepInfo {
    /// Whether `system` is one of the combinations.
    pub fn holds(&self, system: &str) -> bool {
        self.systems.iter().any(|name| name == system)
    }
}

/// One key of a grid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepAxis {
    /// Its dotted path.
    pub key: String,
    /// What the names call it.
    pub name: String,
    /// Its values as text.
    pub values: Vec<String>,
}

/// One point of a study, usually a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointInfo {
    /// Label, such as `load 0.8`.
    pub label: String,
    /// Load as a share of the reference's capacity.
    pub load: Option<f64>,
    /// Offered rate in requests per second.
    pub rate_per_s: Option<f64>,
}

/// One run: a system at a point with a seed.
#[derive(Clone, Debug)]
pub struct RunResult {
    /// Position in [`Study::systems`].
    pub system: usize,
    /// Position in [`Study::points`].
    pub point: usize,
    /// Seed.
    pub seed: u64,
    /// Hash of its requests at this point: runs with the same one are compared request by request. Empty when not known.
    pub requests_hash: String,
    /// Its numbers.
    pub summary: Summary,
    /// Its quantile curves.
    pub curves: Curves,
    /// Small extracts of its requests, for plots.
    pub extract: Extract,
    /// Its timeline; may be empty.
    pub timeline: Vec<TimelineRow>,
    /// Its request records, when they shall be written.
    pub requests: Option<Records>,
}

/// A run that has no result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRun {
    /// Name of the system.
    pub system: String,
    /// Label of the point.
    pub point: String,
    /// Seed.
    pub seed: u64,
    /// Why.
    pub reason: String,
}

/// An input file and the hash of its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// Name as written in the scenario (never an absolute path).
    pub name: String,
    /// Hash with its algorithm, such as `sha256:…`.
    pub hash: String,
}

/// Where the numbers come from and how far to trust them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of the tool.
    pub tool_version: String,
    /// Model served, such as `llama-3.1-8b`.
    pub model: String,
    /// Accelerator, count and layout, such as `1 × h100-sxm`.
    pub hardware: String,
    /// Grade of the hardware profile: `measured`, `fitted` or `derived`.
    pub hardware_grade: String,
    /// Engine profile, such as `vllm-0.19`.
    pub engine: String,
    /// Trace or recipe, as one line.
    pub workload: String,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Input files.
    pub inputs: Vec<InputFile>,
    /// Classes of the trace.
    pub classes: Vec<String>,
    /// What is not modelled, one sentence each.
    pub not_modelled: Vec<String>,
    /// Rows of the trace that were skipped.
    pub rows_skipped: u64,
}

impl Study {
    /// All runs by point, system, seed: the order of every file.
    pub fn sorted_runs(&self) -> Vec<&RunResult> {
        let mut runs: Vec<&RunResult> = self.runs.iter().collect();
        runs.sort_by_key(|r| (r.point, r.system, r.seed));
        runs
    }

    /// Runs of one system at one point, by seed.
    pub fn runs_of(&self, point: usize, system: usize) -> Vec<&RunResult> {
        let mut runs: Vec<&RunResult> =
            self.runs.iter().filter(|r| r.point == point && r.system == system).collect();
        runs.sort_by_key(|r| r.seed);
        runs
    }

    /// Position of the reference system; the first system when its name is not known.
    pub fn reference_index(&self) -> usize {
        self.systems.iter().position(|s| s.name == self.reference).unwrap_or(0)
    }

    /// Positions of the systems as shown: designs in order, then bounds.
    pub fn display_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.systems.len()).collect();
        order.sort_by_key(|&i| self.systems[i].bound);
        order
    }

    /// Positions of the systems that curves show: as [`Study::display_order`] without the combinations of a grid,
    /// which have maps of their own (the reference stays).
    pub fn drawn_order(&self) -> Vec<usize> {
        let swept = |name: &str| self.sweep.as_ref().is_some_and(|s| s.holds(name));
        let reference = self.reference_index();
        self.display_order()
            .into_iter()
            .filter(|&i| i == reference || !swept(&self.systems[i].name))
            .collect()
    }

    /// Number of different seeds.
    pub fn seed_count(&self) -> usize {
        let mut seeds: Vec<u64> = self.runs.iter().map(|r| r.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        seeds.len()
    }

    /// Name of a run in files: system, point and seed.
    pub fn run_name(&self, run: &RunResult) -> String {
        format!("{} {} s{}", self.systems[run.system].name, self.points[run.point].label, run.seed)
    }
}
