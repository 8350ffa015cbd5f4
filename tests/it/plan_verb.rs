//! `windtunnel plan`: the bound is one, the ranking follows from the capacities, an interrupted search goes on, the same
//! bytes on any threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use windtunnel::cluster::RunOptions;
use windtunnel::planner::search;
use windtunnel::results::{Fate, PlanDetail, PlanStage, Study};
use windtunnel::scenario::deployments::DeploymentPlan;
use windtunnel::scenario::{Flags, Target};

/// Llama-3.1-8B on two H100: two layouts with one and two replicas, a batch cap that hurts and one that does not, and one
/// layout that cannot be built.
const SMALL: [&str; 8] = [
    "workload.requests=400",
    "capacity={ requests = 300, spans = 2 }",
    "deployment.model=llama-3.1-8b",
    "plan.gpus=2",
    "plan.tp=[1, 2]",
    "plan.pp=[1]",
    "plan.knobs.scheduler.unified.max-sequences=[1, 64]",
    "plan.knobs.scheduler.unified.token-budget=[2048]",
];

fn planned(extra: &[&str], seeds: u32) -> (Study, PlanDetail) {
    let sets = SMALL.iter().chain(extra).map(|s| (*s).to_owned()).collect();
    let flags = Flags { sets, seeds: Some(seeds) };
    let plan = DeploymentPlan::resolve(&Target::Embedded("plan-70b".to_owned()), &flags);
    let plan = plan.unwrap_or_else(|e| panic!("{e}"));
    search(&plan, RunOptions::default(), &(), &()).unwrap_or_else(|e| panic!("{e:?}"))
}

#[test]
fn every_deployment_is_accounted_for_and_none_beats_its_bound() {
    let (study, detail) = planned(&[], 3);
    let f = detail.funnel;
    assert_eq!((f.deployments, f.refused, detail.deployments.len()), (6, 0, 6));
    assert_eq!(f.pruned + f.short, 6);
    assert!(f.long >= 1 && f.long <= f.middle && f.middle <= f.short, "{f:?}");
    for d in &detail.deployments {
        assert_eq!(d.fate == Fate::Pruned, d.findings.is_empty(), "{}", d.name);
        let bound = d.bound_per_s.unwrap();
        // Short trials find too much, which is why pruning allows for it.
        let long = d.findings.iter().filter(|f| f.stage == PlanStage::Long);
        assert!(
            long.clone().all(|f| f.mean() > 0.0 && f.mean() <= bound * 1.1),
            "{} {bound} {:?}",
            d.name,
            d.findings
        );
    }
    let one_at_a_time = detail.deployments.iter().filter(|d| d.name.contains("max-sequences=1 "));
    assert!(one_at_a_time.clone().count() == 3 && one_at_a_time.clone().all(|d| d.fate != Fate::Ranked));
    assert_eq!(detail.ranked.len(), study.systems.len());
    assert!(detail.ranked.is_sorted_by(|a, b| a.value.mean >= b.value.mean));
    let probability: f64 = detail.ranked.iter().map(|r| r.best).sum();
    assert!((probability - 1.0).abs() < 1e-9, "{probability}");
    assert!(detail.ranked.iter().all(|r| (0.0..1.0).contains(&r.regret)));
    let winner = &detail.deployments[detail.ranked[0].deployment];
    let command = &detail.launch[0].command;
    assert!(command.starts_with("vllm serve \"$MODEL\""), "{command}");
    for flag in [
        format!("--tensor-parallel-size {} ", winner.pools[0].tp),
        "--max-num-seqs 64 ".to_owned(),
        "--max-num-batched-tokens 2048 ".to_owned(),
        "--max-model-len 16384 ".to_owned(),
    ] {
        assert!(command.contains(&flag), "{flag} is not in {command}");
    }
    assert!(detail.launch[1].command.contains("sglang.launch_server"));
}

#[test]
fn what_cannot_be_built_is_counted_with_its_reason() {
    // 140 GB of weights do not fit on one GPU.
    let (_, detail) = planned(&["deployment.model=llama-3.1-70b", "plan.gpus=4", "plan.tp=[1, 4]"], 1);
    assert!(detail.funnel.refused >= 2 && detail.refused.iter().all(|(name, _)| name.starts_with("tp1 ")));
    assert!(detail.refused.iter().all(|(_, reason)| !reason.is_empty()), "{:?}", detail.refused);
    assert!(detail.deployments.iter().all(|d| d.pools[0].tp == 4));
}

#[test]
fn dollars_rank_a_cheaper_accelerator_differently() {
    let accelerators = "plan.knobs.accelerator=[\"h100-sxm\", \"a100-80g-sxm\"]";
    let extra =
        [accelerators, "plan.objective=goodput-per-dollar", "plan.tp=[1]", "deployment.engine=vllm-0.19"];
    let (_, detail) = planned(&extra, 2);
    assert_eq!(detail.unit, "requests per $");
    let units = |name: &str| detail.deployments.iter().find(|d| d.name.contains(name)).unwrap().units;
    assert!(units("a100") < units("h100"), "an A100 is cheaper");
    let best = detail.ranked[0];
    let d = &detail.deployments[best.deployment];
    let last = d.findings.last().unwrap();
    assert!((best.value.mean - last.mean() / d.units).abs() < 1e-9 * best.value.mean);
}

/// Every file below a folder but the clock's.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.file_name().unwrap() != "timing.json" {
                found.insert(
                    path.strip_prefix(folder).unwrap().to_string_lossy().into_owned(),
                    fs::read(&path).unwrap(),
                );
            }
        }
    }
    found
}

fn verb(folder: &Path, extra: &[&str]) -> String {
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    command.current_dir(folder).env_clear().env("COLUMNS", "120").args(["plan", "plan-70b", "--seeds", "2"]);
    for set in SMALL {
        command.args(["--set", set]);
    }
    let output = command.args(extra).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    stderr
}

#[test]
fn an_interrupted_search_goes_on_and_threads_change_no_byte() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results/plan-70b/plan");
    verb(folder.path(), &["--threads", "1"]);
    let whole = files(&results);
    for file in
        ["plan.csv", "plan.json", "deployments.csv", "candidates.jsonl", "manifest.json", "index.html"]
    {
        assert!(whole.contains_key(file), "{file} is missing");
    }
    assert!(
        whole.contains_key("plots/pareto-deployments.svg") && whole.contains_key("plots/goodput-per-gpu.svg")
    );
    // What an interrupted search leaves: some lines, the last one cut off, and nothing else.
    let lines = String::from_utf8(whole["candidates.jsonl"].clone()).unwrap();
    let half: String =
        lines.lines().take(3).map(|l| format!("{l}\n")).collect::<String>() + "{\"fingerprint\":\"xx";
    fs::remove_dir_all(&results).unwrap();
    fs::create_dir_all(&results).unwrap();
    fs::write(results.join("candidates.jsonl"), half).unwrap();
    let said = verb(folder.path(), &["--threads", "2"]);
    assert!(said.contains("3 findings of an earlier search are at hand"), "{said}");
    assert!(files(&results) == whole, "an interrupted search ends with other bytes");
    let said = verb(folder.path(), &["--fresh"]);
    assert!(!said.contains("at hand"), "{said}");
    assert!(files(&results) == whole, "a fresh search ends with other bytes");
}
