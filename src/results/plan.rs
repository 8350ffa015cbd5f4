//! What a search of deployments found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::Estimate;

/// A pass of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanStage {
    /// Short trials with one seed.
    Short,
    /// Longer trials with two.
    Middle,
    /// Trials by the whole rule.
    Long,
}

impl PlanStage {
    /// Name in tables.
    pub fn name(self) -> &'static str {
        match self {
            PlanStage::Short => "short trials",
            PlanStage::Middle => "longer trials",
            PlanStage::Long => "long trials",
        }
    }
}

/// What a pass found of one deployment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Which pass.
    pub stage: PlanStage,
    /// Capacity by seed, requests per second; 0: no rate meets the limits.
    pub rates: Vec<f64>,
    /// Seeds whose last trial should have been longer than the workload is.
    pub short: u32,
    /// Trials that were made.
    pub trials: usize,
    /// At the capacity, mean over seeds: 1 / median TPOT.
    pub tok_per_user_per_s: Option<f64>,
    /// Answer tokens per second and GPU.
    pub tok_per_gpu_per_s: Option<f64>,
    /// 99th percentile of TTFT.
    pub ttft_p99_s: Option<f64>,
    /// Median TPOT.
    pub tpot_p50_s: Option<f64>,
    /// 99th percentile of the pooled gaps.
    pub gap_p99_s: Option<f64>,
}

impl Finding {
    /// Mean capacity over the seeds, requests per second.
    pub fn mean(&self) -> f64 {
        Estimate::of(self.rates.iter().copied()).map_or(0.0, |v| v.mean)
    }
}

/// How far a deployment got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Dropped without a trial: its datasheet bound cannot reach the best.
    Pruned,
    /// Left behind by this pass.
    Left(PlanStage),
    /// Ranked at the end.
    Ranked,
}

impl Fate {
    /// In tables.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Pruned => "bound below the best",
            Fate::Left(PlanStage::Short) => "left after short trials",
            Fate::Left(PlanStage::Middle) => "left after longer trials",
            Fate::Left(PlanStage::Long) => "left after long trials",
            Fate::Ranked => "ranked",
        }
    }
}

/// Equal replicas of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPool {
    /// `whole`; with prefill and decode apart `prefill` or `decode`.
    pub role: String,
    /// Tensor parallel ranks of each.
    pub tp: u32,
    /// Pipeline stages of each.
    pub pp: u32,
    /// How many.
    pub replicas: u32,
}

/// One deployment of the search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// What it sets.
    pub name: String,
    /// Its pools.
    pub pools: Vec<PlannedPool>,
    /// Keys beyond its pools, with their values.
    pub knobs: Vec<(String, String)>,
    /// Its accelerators.
    pub gpus: u32,
    /// What its rate is divided by in the objective: GPUs, or dollars per second.
    pub units: f64,
    /// Datasheet bound, requests per second; absent where none is known.
    pub bound_per_s: Option<f64>,
    /// How far it got.
    pub fate: Fate,
    /// What the passes found, in their order.
    pub findings: Vec<Finding>,
}

impl Planned {
    /// Adds what a pass found.
    pub fn record(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

/// One line of the ranking.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranked {
    /// Position in [`PlanDetail::deployments`].
    pub deployment: usize,
    /// The objective over the seeds.
    pub value: Estimate,
    /// Probability of being the best of those ranked.
    pub best: f64,
    /// Expected shortfall against the best, as a share of it.
    pub regret: f64,
}

/// How many deployments got how far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funnel {
    /// All of `[plan]`.
    pub deployments: usize,
    /// That cannot be built.
    pub refused: usize,
    /// Dropped by their bound.
    pub pruned: usize,
    /// That had short trials.
    pub short: usize,
    /// That had longer trials.
    pub middle: usize,
    /// That had long trials.
    pub long: usize,
    /// Trials of all passes.
    pub trials: usize,
}

/// A command line of a real engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The engine.
    pub engine: String,
    /// The command of one replica.
    pub command: String,
    /// What the command does not say.
    pub notes: Vec<String>,
}

/// What a planner other than the search chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// Its key in `plan.planners`.
    pub planner: String,
    /// Position in [`PlanDetail::deployments`]; absent where it has no plan.
    pub deployment: Option<usize>,
    /// Requests per second it planned for.
    pub rate_per_s: f64,
    /// Whether the scenario said that rate.
    pub asked: bool,
    /// Its pools, and the requests per second that it found one instance of each to serve (a pair: both together).
    pub parts: Vec<(PlannedPool, f64)>,
    /// Instances or pairs that it simulated.
    pub tried: usize,
    /// Those that cannot be built.
    pub refused: usize,
    /// Why it has no plan.
    pub note: Option<String>,
}

/// A whole search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanDetail {
    /// Key of the objective.
    pub objective: String,
    /// Its unit.
    pub unit: String,
    /// The system that is deployed.
    pub base: String,
    /// Accelerators there were.
    pub gpus: u32,
    /// How many got how far.
    pub funnel: Funnel,
    /// The ranking; its order is that of `Study::systems`.
    pub ranked: Vec<Ranked>,
    /// All deployments that can be built, in the order of `[plan]`.
    pub deployments: Vec<Planned>,
    /// Those that cannot, and why.
    pub refused: Vec<(String, String)>,
    /// The winner's command lines.
    pub launch: Vec<Launch>,
    /// What planners other than the search chose.
    pub planners: Vec<Chosen>,
}

/// A line of `candidates.jsonl`: what a pass found, by the fingerprint of everything it depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// Of program, requests, limits, deployment and search.
    pub fingerprint: String,
    /// What was found.
    pub finding: Finding,
}

impl Remembered {
    /// The line, with its end.
    pub fn line(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("our own types serialise");
        bytes.push(b'\n');
        bytes
    }

    /// Lines of a file that may end in the middle of one, because a search was interrupted.
    pub fn read(text: &str) -> BTreeMap<String, Finding> {
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Remembered>(line).ok());
        lines.map(|r| (r.fingerprint, r.finding)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_forgotten_and_the_others_are_not() {
        let finding = Finding {
            stage: PlanStage::Short,
            rates: vec![2.5, 3.0],
            short: 0,
            trials: 9,
            tok_per_user_per_s: Some(20.0),
            tok_per_gpu_per_s: None,
            ttft_p99_s: None,
            tpot_p50_s: Some(0.05),
            gap_p99_s: None,
        };
        let line = Remembered { fingerprint: "a1".to_owned(), finding: finding.clone() }.line();
        let mut text = String::from_utf8(line).unwrap_or_default();
        let whole = text.clone();
        text.push_str(&whole.replace("a1", "b2")[..40]);
        let found = Remembered::read(&text);
        assert_eq!(found.len(), 1);
        assert_eq!(found.get("a1"), Some(&finding));
        assert!((finding.mean() - 2.75).abs() < 1e-12);
    }
}
