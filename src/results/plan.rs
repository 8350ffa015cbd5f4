//! What a search of deployments found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::commit::{CANDIDATES, FileSet};
use super::csv_bytes;
use super::render::{SCHEMA, json, manifest_json, with_rows};
use super::study::Study;
use super::text::cell;
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
    /// The ranking; its order is that of [`Study::systems`].
    pub ranked: Vec<Ranked>,
    /// All deployments that can be built, in the order of `[plan]`.
    pub deployments: Vec<Planned>,
    /// Those that cannot, and why.
    pub refused: Vec<(String, String)>,
    /// The winner's command lines.
    pub launch: Vec<Launch>,
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

/// All data files of `windtunnel plan`; `remembered` in any order. The same search gives the same bytes.
pub fn plan_files(
    study: &Study,
    detail: &PlanDetail,
    remembered: &BTreeMap<String, Finding>,
) -> FileSet<'static> {
    let mut set = FileSet::default();
    set.add("manifest.json", manifest_json(study));
    set.add("plan.csv", ranking_csv(detail));
    set.add("deployments.csv", deployments_csv(detail));
    set.add("plan.json", plan_json(study, detail));
    let line = |(fingerprint, finding): (&String, &Finding)| {
        Remembered { fingerprint: fingerprint.clone(), finding: finding.clone() }.line()
    };
    set.add(CANDIDATES, remembered.iter().flat_map(line).collect::<Vec<u8>>());
    set
}

#[derive(Serialize)]
struct PlanFile<'a> {
    schema: u32,
    scenario: &'a str,
    title: &'a str,
    objective: &'a str,
    unit: &'a str,
    base: &'a str,
    gpus: u32,
    funnel: Funnel,
    launch: &'a [Launch],
    ranked: &'a [Ranked],
    refused: &'a [(String, String)],
}

/// `plan.json`: the ranking, then one deployment per line.
fn plan_json(study: &Study, detail: &PlanDetail) -> Vec<u8> {
    let head = json(&PlanFile {
        schema: SCHEMA,
        scenario: &study.scenario_name,
        title: &study.title,
        objective: &detail.objective,
        unit: &detail.unit,
        base: &detail.base,
        gpus: detail.gpus,
        funnel: detail.funnel,
        launch: &detail.launch,
        ranked: &detail.ranked,
        refused: &detail.refused,
    });
    with_rows(&head, "deployments", detail.deployments.iter())
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |v| v.to_string())
}

/// `plan.csv`: the ranking.
fn ranking_csv(detail: &PlanDetail) -> Vec<u8> {
    let header = [
        "rank",
        "deployment",
        "gpus",
        "objective",
        "half_width",
        "probability_best",
        "regret",
        "capacity_per_s",
        "tok_per_user_per_s",
        "tok_per_gpu_per_s",
        "ttft_p99_s",
        "tpot_p50_s",
        "gap_p99_s",
    ];
    let row = |(i, ranked): (usize, &Ranked)| {
        let planned = &detail.deployments[ranked.deployment];
        let last = planned.findings.last();
        let mut cells = vec![
            (i + 1).to_string(),
            cell(&planned.name),
            planned.gpus.to_string(),
            ranked.value.mean.to_string(),
            number(ranked.value.half_width),
            ranked.best.to_string(),
            ranked.regret.to_string(),
            number(last.map(Finding::mean)),
        ];
        cells.extend(numbers(last));
        cells
    };
    csv_bytes(&header, detail.ranked.iter().enumerate().map(row))
}

fn numbers(finding: Option<&Finding>) -> [String; 5] {
    let of = |value: fn(&Finding) -> Option<f64>| number(finding.and_then(value));
    [
        of(|f| f.tok_per_user_per_s),
        of(|f| f.tok_per_gpu_per_s),
        of(|f| f.ttft_p99_s),
        of(|f| f.tpot_p50_s),
        of(|f| f.gap_p99_s),
    ]
}

/// `deployments.csv`: all of them, and how far they got.
fn deployments_csv(detail: &PlanDetail) -> Vec<u8> {
    let header = [
        "deployment",
        "gpus",
        "tp",
        "pp",
        "replicas",
        "fate",
        "bound_per_s",
        "capacity_per_s",
        "trials_of",
        "tok_per_user_per_s",
        "tok_per_gpu_per_s",
        "ttft_p99_s",
        "tpot_p50_s",
        "gap_p99_s",
    ];
    let joined = |planned: &Planned, n: fn(&PlannedPool) -> u32| {
        planned.pools.iter().map(|p| n(p).to_string()).collect::<Vec<_>>().join("+")
    };
    let built = detail.deployments.iter().map(|planned| {
        let last = planned.findings.last();
        let mut cells = vec![
            cell(&planned.name),
            planned.gpus.to_string(),
            joined(planned, |p| p.tp),
            joined(planned, |p| p.pp),
            joined(planned, |p| p.replicas),
            planned.fate.name().to_owned(),
            number(planned.bound_per_s),
            number(last.map(Finding::mean)),
            last.map_or_else(String::new, |f| f.stage.name().to_owned()),
        ];
        cells.extend(numbers(last));
        cells
    });
    let refused = detail.refused.iter().map(|(name, reason)| {
        let mut cells = vec![String::new(); header.len()];
        cells[0] = cell(name);
        cells[5] = cell(&format!("cannot be built: {reason}"));
        cells
    });
    csv_bytes(&header, built.chain(refused))
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
