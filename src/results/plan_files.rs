//! The files of a search of deployments.

use std::collections::BTreeMap;

use serde::Serialize;

use super::commit::{CANDIDATES, FileSet};
use super::csv_bytes;
use super::plan::{Chosen, Finding, Funnel, Launch, PlanDetail, Planned, PlannedPool, Ranked, Remembered};
use super::render::{SCHEMA, json, manifest_json, with_rows};
use super::study::Study;
use super::text::cell;

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
    planners: &'a [Chosen],
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
        planners: &detail.planners,
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
