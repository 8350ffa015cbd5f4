//! `windtunnel plan`: the bound is one, the ranking follows from the capacities, an interrupted search goes on, the same
//! bytes on any threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use windtunnel::cluster::RunOptions;
use windtunnel::engine::config::Role;
use windtunnel::planner::search;
use windtunnel::results::{Fate, PlanDetail, PlanStage, Planned, Study};
use windtunnel::scenario::deployments::{DeploymentPlan, Pool};
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

fn resolved(extra: &[&str], seeds: u32) -> DeploymentPlan {
    let sets = SMALL.iter().chain(extra).map(|s| (*s).to_owned()).collect();
    let flags = Flags { sets, seeds: Some(seeds) };
    let plan = DeploymentPlan::resolve(&Target::Embedded("plan-70b".to_owned()), &flags);
    plan.unwrap_or_else(|e| panic!("{e}"))
}

fn planned(extra: &[&str], seeds: u32) -> (Study, PlanDetail) {
    let plan = resolved(extra, seeds);
    let options = RunOptions { audit: true, ..RunOptions::default() };
    search(&plan, options, &(), &()).unwrap_or_else(|e| panic!("{e:?}"))
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

/// Prefill and decode apart beside the other deployments, on three GPUs; one cap on the batch.
const APART: [&str; 4] = [
    "plan.gpus=3",
    "plan.tp=[1]",
    "plan.knobs.scheduler.unified.max-sequences=[64]",
    "plan.disaggregated={ base = \"vllm-v1-pd\" }",
];

fn named<'a>(detail: &'a PlanDetail, name: &str) -> &'a Planned {
    let found = detail.deployments.iter().find(|d| d.name.starts_with(name));
    found.unwrap_or_else(|| panic!("{name} is not among the deployments"))
}

/// No deployment serves more than its bound.
fn none_beats_its_bound(detail: &PlanDetail) {
    for d in &detail.deployments {
        let bound = d.bound_per_s.unwrap();
        let long = d.findings.iter().filter(|f| f.stage == PlanStage::Long);
        assert!(long.clone().all(|f| f.mean() <= bound * 1.1), "{} {bound} {:?}", d.name, d.findings);
    }
}

#[test]
fn prefill_and_decode_apart_are_searched_in_every_ratio() {
    let (study, detail) = planned(&APART, 2);
    let names: Vec<&str> = detail.deployments.iter().map(|d| d.name.split(" max").next().unwrap()).collect();
    let apart = ["x1 + D tp1 pp1 x1", "x1 + D tp1 pp1 x2", "x2 + D tp1 pp1 x1"];
    let apart: Vec<String> = apart.iter().map(|rest| format!("P tp1 pp1 {rest}")).collect();
    assert_eq!(names[..3], ["tp1 pp1 x1", "tp1 pp1 x2", "tp1 pp1 x3"]);
    assert_eq!(names[3..], apart);
    none_beats_its_bound(&detail);
    let pair = named(&detail, "P tp1 pp1 x1 + D tp1 pp1 x1");
    assert_eq!(pair.gpus, 2);
    let roles: Vec<&str> = pair.pools.iter().map(|p| p.role.as_str()).collect();
    assert_eq!(roles, ["prefill", "decode"]);
    // The pair's bound is that of its weaker pool: more of the other one does not raise it.
    let bound = |name: &str| named(&detail, name).bound_per_s.unwrap();
    let (more_decode, more_prefill) =
        (bound("P tp1 pp1 x1 + D tp1 pp1 x2"), bound("P tp1 pp1 x2 + D tp1 pp1 x1"));
    let one = pair.bound_per_s.unwrap();
    assert!((more_decode.min(more_prefill) - one).abs() < 1e-9 * one, "{one} {more_decode} {more_prefill}");
    assert!(more_decode.max(more_prefill) > 1.2 * one && more_decode.max(more_prefill) <= 2.001 * one);
    // Half of two GPUs computes each phase: neither can do more than two that compute both.
    assert!(one < bound("tp1 pp1 x2"));
    assert_eq!(study.systems.len(), detail.ranked.len());
}

#[test]
fn the_way_between_the_pools_bounds_them_too() {
    let slow = "plan.knobs.placement.disaggregated.network=[\"ethernet-10g\", \"infiniband-ndr\"]";
    let apart = "plan.knobs.placement.disaggregated.layout=[\"apart\"]";
    let nics = "plan.knobs.placement.disaggregated.nics=[1]";
    let only = ["plan.colocated=false", "plan.gpus=2", slow, apart, nics];
    let (_, detail) = planned(&[&APART[..], &only].concat(), 1);
    assert_eq!(detail.deployments.len(), 2);
    none_beats_its_bound(&detail);
    let bound = |network: &str| {
        detail.deployments.iter().find(|d| d.name.contains(network)).unwrap().bound_per_s.unwrap()
    };
    // 1.1 GB/s of 10 GbE carry the 131,072 B of KV of each of about 1,300 prompt tokens of a request.
    assert!((4.0..9.0).contains(&bound("ethernet-10g")), "{}", bound("ethernet-10g"));
    assert!(bound("infiniband-ndr") > 1.5 * bound("ethernet-10g"));
}

#[test]
fn each_pool_of_the_winner_has_its_command() {
    let (_, detail) = planned(&[&APART[..], &["plan.colocated=false"]].concat(), 1);
    assert!(detail.deployments.iter().all(|d| d.pools.len() == 2));
    let told: Vec<(&str, &str)> =
        detail.launch.iter().map(|l| (l.engine.as_str(), l.command.as_str())).collect();
    let engines: Vec<&str> = told.iter().map(|t| t.0).collect();
    assert_eq!(engines, ["vLLM, prefill", "vLLM, decode", "SGLang, prefill", "SGLang, decode"]);
    for (i, flag) in [
        (0, "--kv-transfer-config '{\"kv_connector\":\"NixlConnector\",\"kv_role\":\"kv_producer\"}'"),
        (1, "\"kv_role\":\"kv_consumer\""),
        (2, "--disaggregation-mode prefill"),
        (3, "--disaggregation-mode decode"),
    ] {
        assert!(told[i].1.contains(flag), "{flag} is not in {}", told[i].1);
    }
}

#[test]
fn algorithm_1_rounds_the_rate_up_over_what_each_phase_serves_alone() {
    let extra = ["plan.planners=[\"distserve-high\"]", "plan.rate=25 req/s", "plan.tp=[1, 2]"];
    let (_, detail) = planned(&[&APART[..], &extra].concat(), 2);
    let [chosen] = &detail.planners[..] else { panic!("{:?}", detail.planners) };
    assert_eq!((chosen.planner.as_str(), chosen.tried, chosen.asked), ("distserve-high", 4, true));
    assert_eq!(chosen.rate_per_s, 25.0);
    let [(prefill, alone_p), (decode, alone_d)] = &chosen.parts[..] else { panic!("{:?}", chosen.parts) };
    assert_eq!((prefill.role.as_str(), decode.role.as_str()), ("prefill", "decode"));
    assert_eq!(f64::from(prefill.replicas), (25.0 / alone_p).ceil());
    assert_eq!(f64::from(decode.replicas), (25.0 / alone_d).ceil());
    // Only the plan was simulated whole, and it is what is ranked.
    assert_eq!((detail.deployments.len(), detail.funnel.deployments), (1, 0));
    let plan = &detail.deployments[chosen.deployment.unwrap()];
    assert_eq!(plan.pools, [prefill.clone(), decode.clone()]);
    assert_eq!(plan.findings.len(), 1);
    none_beats_its_bound(&detail);
    // A phase alone, without the other's waiting, serves at least its share of the whole.
    let expected = (f64::from(prefill.replicas) * alone_p).min(f64::from(decode.replicas) * alone_d);
    let whole = plan.findings[0].mean();
    assert!(whole > 0.0 && whole < 1.25 * expected, "{whole} {expected}");
}

#[test]
fn algorithm_2_deploys_pairs_that_stand_on_one_server() {
    let extra = ["plan.planners=[\"search\", \"distserve-low\"]", "plan.gpus=4"];
    let (_, detail) = planned(&[&APART[..], &extra].concat(), 1);
    let [chosen] = &detail.planners[..] else { panic!("{:?}", detail.planners) };
    let plan = &detail.deployments[chosen.deployment.unwrap()];
    assert_eq!(plan.name, "P tp1 pp1 x2 + D tp1 pp1 x2, in pairs on a server");
    assert!((chosen.rate_per_s - 2.0 * chosen.parts[0].1).abs() < 1e-9);
    // It stands beside the search's own deployments, of which it is none.
    assert_eq!(detail.funnel.deployments + 1, detail.deployments.len());
    assert!(detail.ranked.iter().any(|r| detail.deployments[r.deployment].name == plan.name));
    let alone: Vec<&str> = detail.planners.iter().filter_map(|c| c.note.as_deref()).collect();
    assert!(alone.is_empty(), "{alone:?}");
}

#[test]
fn a_pair_that_no_server_holds_has_no_plan() {
    let extra = ["plan.planners=[\"distserve-low\"]", "plan.gpus=16", "plan.tp=[8]"];
    let (_, detail) = planned(&[&APART[..], &extra].concat(), 1);
    assert_eq!(detail.planners[0].deployment, None);
    assert_eq!(detail.planners[0].note.as_deref(), Some("no pair of instances fits on one server"));
    assert!(detail.ranked.is_empty() && detail.deployments.is_empty());
}

#[test]
fn a_pair_starts_on_the_server_that_holds_it() {
    let plan = resolved(&APART, 1);
    let pool = |role, tp| Pool { role, tp, pp: 1, replicas: 3 };
    let pair = plan.pair(pool(Role::Prefill, 1), pool(Role::Decode, 2), true).unwrap();
    let network = &pair.system.joint.as_ref().unwrap().network;
    let servers: Vec<u32> = network.attached.iter().map(|a| a.server).collect();
    // Of three GPUs each: two on the first server of eight, the third on the next. Prefill replicas come first.
    assert_eq!(servers, [0, 0, 1, 0, 0, 1]);
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
    goes_on(&[]);
}

#[test]
fn pools_and_planners_go_on_in_the_same_bytes() {
    let planners = "plan.planners=[\"search\", \"distserve-high\", \"distserve-low\"]";
    let sets: Vec<&str> = APART.iter().chain([&planners]).flat_map(|set| ["--set", set]).collect();
    goes_on(&sets);
}

fn goes_on(sets: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results/plan-70b/plan");
    let verb = |extra: &[&str]| verb(folder.path(), &[sets, extra].concat());
    verb(&["--threads", "1"]);
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
    let said = verb(&["--threads", "2"]);
    assert!(said.contains("3 findings of an earlier search are at hand"), "{said}");
    assert!(files(&results) == whole, "an interrupted search ends with other bytes");
    let said = verb(&["--fresh"]);
    assert!(!said.contains("at hand"), "{said}");
    assert!(files(&results) == whole, "a fresh search ends with other bytes");
}
