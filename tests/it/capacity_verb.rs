//! `windtunnel capacity`: a queue whose capacity is known, monotone attainment, ties, the same bytes on any threads.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use windtunnel::metrics::Estimate;
use windtunnel::report;
use windtunnel::results::capacity::{Unit, tied};
use windtunnel::results::{CapacityCell, CapacityDetail, CapacityTable, Study, SystemInfo};
use windtunnel::scenario::capacity::{Seeded, run_at};
use windtunnel::scenario::capacity_study::search_capacities;
use windtunnel::scenario::execute::Options;
use windtunnel::scenario::{Flags, StudyPlan, Target};
use windtunnel::units::{Seconds, SimDuration};
use windtunnel::workload::RequestRate;

fn plan(scenario: &str, sets: &[&str], seeds: u32) -> StudyPlan {
    let flags = Flags { sets: sets.iter().map(|s| (*s).to_owned()).collect(), seeds: Some(seeds) };
    StudyPlan::resolve(&Target::Embedded(scenario.to_owned()), &flags).unwrap_or_else(|e| panic!("{e}"))
}

fn searched(plan: &StudyPlan) -> (Study, CapacityDetail) {
    search_capacities(plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"))
}

/// Load of M/D/1 at which a share `q` waits at most half a service time: P(W ≤ t) = (1 − ρ)·exp(ρ·t/D) for t < D
/// (Erlang 1909; Tijms, A First Course in Stochastic Models, section 9.5.2), by bisection.
fn load_of_half_a_service(q: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let rho = f64::midpoint(low, high);
        if (1.0 - rho) * libm::exp(rho / 2.0) >= q { low = rho } else { high = rho }
    }
    low
}

#[test]
fn one_at_a_time_has_the_capacity_of_m_d_1() {
    let sets = [
        "workload.lengths=",
        "workload={ lengths.fixed = { prompt = 512, output = 64 }, arrivals.poisson = { rate = \"1 req/s\" }, requests = 20_000 }",
        "capacity={ requests = 20_000, spans = 20 }",
        "slo={ e2e = \"10 s\", attainment = 0.9 }",
        "systems={ reference = \"one\", compare = [\"one\"], one = { base = \"orca\", scheduler.iteration.max-batch = 1 } }",
    ];
    let mut plan = plan("capacity-by-gap", &sets, 5);
    let workload = plan.workload.open(&plan.sources).unwrap();
    let prepared = workload.prepare(1, Some(plan.longest_context())).unwrap();
    drop(workload);
    // So rare that nobody waits.
    let alone = Seeded { trace: &prepared.trace, seed: 1 };
    let slow = RequestRate::per_second(0.001).unwrap();
    let alone = run_at(&plan, &plan.systems[0], alone, &plan.slo, 20, slow).unwrap();
    let service_s = alone.requests.e2e_max_s.unwrap();
    assert_eq!(alone.requests.e2e_p50_s, Some(service_s), "nobody waits");
    plan.slo.e2e = Some(SimDuration::from_seconds(Seconds(service_s * 1.5)));
    let (study, _) = searched(&plan);
    let found = study.capacity.unwrap().cells[0].value.unwrap();
    let expected = load_of_half_a_service(0.9) / service_s;
    let ratio = found.mean / expected;
    println!("M/D/1: {} ± {:?} req/s, the formula gives {expected}", found.mean, found.half_width);
    assert!((0.95..1.04).contains(&ratio), "{ratio}");
    assert!(found.low() * 0.98 <= expected && expected <= found.high() * 1.04, "{found:?} misses {expected}");
}

const SMALL: [&str; 5] = [
    "workload.requests=600",
    "capacity={ requests = 300, spans = 3 }",
    "slo={ ttft = \"1 s\", tpot = \"50 ms\" }",
    "systems.compare=[\"orca\", \"vllm-v1\", \"clairvoyant\"]",
    "timeline-samples=0",
];

#[test]
fn attainment_falls_with_the_rate_and_rises_with_looser_limits() {
    let plan = plan("quickstart", &SMALL, 5);
    let (study, detail) = searched(&plan);
    let table = study.capacity.as_ref().unwrap();
    for system in 0..plan.systems.len() {
        let curve = detail.over_rate(system, 0, |t| t.attainment);
        assert!(curve.len() > 5, "{}: {} rates", plan.systems[system].name, curve.len());
        // Batches fall differently at every rate: a few requests go against the trend.
        let rise = curve.windows(2).map(|w| w[1].1.mean - w[0].1.mean).fold(0.0, f64::max);
        assert!(rise < 0.02, "{}: attainment rises by {rise}", plan.systems[system].name);
        let (first, last) = (curve.first().unwrap().1.mean, curve.last().unwrap().1.mean);
        assert!(first > 0.95 && last < first, "{first} to {last}");
        let scales = detail.over_scale(system);
        assert!(scales.is_sorted_by(|a, b| a.0 < b.0 && a.1.mean <= b.1.mean), "{scales:?}");
        // No trial above a capacity passed, and none below it failed: the search brackets.
        for (seed, capacity) in (1..).zip(&table.cell(system, 0).unwrap().by_seed) {
            let of = || detail.trials.iter().filter(move |t| (t.system, t.seed) == (system, seed));
            assert!(of().all(|t| t.passed == (t.rate_per_s <= *capacity)), "seed {seed}");
            let above = of().map(|t| t.rate_per_s).filter(|r| r > capacity).fold(f64::INFINITY, f64::min);
            assert!(above / capacity <= 1.0201, "{above} / {capacity}");
        }
    }
    // Each limit alone is met by at least those who meet both.
    assert!(
        detail.trials.iter().all(|t| t.attainment <= t.attainment_ttft && t.attainment <= t.attainment_tpot)
    );
}

/// Four GPUs against one, with capacities by seed.
fn two(a: &[f64], b: &[f64]) -> Study {
    let info = |name: &str, gpus| SystemInfo { name: name.to_owned(), gpus, ..SystemInfo::default() };
    let cell = |system, rates: &[f64]| CapacityCell {
        system,
        point: 0,
        by_seed: rates.to_vec(),
        value: Estimate::of(rates.iter().copied()),
        short: 0,
    };
    let table = CapacityTable { cells: vec![cell(0, a), cell(1, b)], ..CapacityTable::default() };
    Study { systems: vec![info("a", 4), info("b", 1)], capacity: Some(table), ..Study::default() }
}

#[test]
fn ties_are_said_in_words_and_pairs_resolve_them() {
    // Seeds differ by more than the systems do, and not in the same way.
    let noisy = two(&[8.0, 10.0, 12.0], &[9.0, 11.5, 10.0]);
    let table = noisy.capacity.as_ref().unwrap();
    assert_eq!(table.best(&noisy, 0), [1, 0]);
    assert_eq!(table.ahead(&noisy, 0, Unit::Whole), None);
    let said = report::capacity::ties(&noisy);
    assert!(
        said[0].starts_with("b and a cannot be told apart: 10.2 ± 3.13 and 10.0 ± 4.97 req/s"),
        "{said:?}"
    );
    // Per GPU nothing is tied.
    assert_eq!(table.best_per(&noisy, 0, Unit::Gpu), [1]);
    assert_eq!(said.len(), 1);
    // The same spread, and always a tenth more: the intervals meet, the pairs do not.
    let paired = two(&[8.8, 11.0, 13.2], &[8.0, 10.0, 12.0]);
    let table = paired.capacity.as_ref().unwrap();
    assert_eq!(table.best(&paired, 0), [0, 1]);
    assert_eq!(table.ahead(&paired, 0, Unit::Whole), Some(0));
    let said = report::capacity::ties(&paired);
    assert!(said[0].contains("tie by their intervals") && said[0].contains("a serves 1.10"), "{said:?}");
    // Apart.
    let apart = two(&[20.0, 20.1, 20.2], &[8.0, 8.1, 8.2]);
    assert_eq!(apart.capacity.as_ref().unwrap().best(&apart, 0), [0]);
    assert!(report::capacity::ties(&apart).is_empty());
    // One set of requests has no interval: only the resolution of the search is left.
    let one = |mean| Estimate { mean, half_width: None, n: 1 };
    assert!(tied(&one(10.0), &one(10.1)) && !tied(&one(10.0), &one(10.3)));
}

/// Every file below a folder but the clock's.
fn files(folder: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.file_name().unwrap() != "timing.json" {
            found.insert(path.to_string_lossy().into_owned(), fs::read(&path).unwrap());
        }
    }
}

fn verb(folder: &Path, extra: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    command.current_dir(folder).env_clear().env("COLUMNS", "120").arg("capacity").arg("quickstart");
    for set in SMALL {
        command.args(["--set", set]);
    }
    command.args(extra).output().unwrap()
}

#[test]
fn the_folder_is_the_same_on_one_and_two_threads_and_lives_beside_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let found = |extra: &[&str]| {
        let output = verb(folder.path(), extra);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let mut all = BTreeMap::new();
        files(&folder.path().join("results/quickstart/capacity"), &mut all);
        (all, output)
    };
    let (one, output) = found(&["--jobs", "1"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("5 seeds are used"), "the scenario says 5");
    let name =
        |n: &str| folder.path().join("results/quickstart/capacity").join(n).to_string_lossy().into_owned();
    for file in ["capacity.csv", "capacity.json", "trials.csv", "manifest.json", "index.html"] {
        assert!(one.contains_key(&name(file)), "{file} is missing");
    }
    for plot in
        ["goodput-per-gpu", "goodput-per-dollar", "attainment-joint", "attainment-ttft", "attainment-scale"]
    {
        assert!(one.contains_key(&name(&format!("plots/{plot}.svg"))), "{plot} is missing");
    }
    // A run takes the folder around it and leaves it there.
    let run = ["run", "quickstart", "--set", "workload.requests=200", "--seeds", "1", "--no-page"];
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    command.current_dir(folder.path()).args(run).assert().code(0);
    let (two, _) = found(&["--threads", "2", "--audit"]);
    assert!(one == two, "threads or the audit change a byte");
    let json: serde_json::Value =
        serde_json::from_slice(&verb(folder.path(), &["--format", "json"]).stdout).unwrap();
    assert_eq!(json["results"].as_array().unwrap().len(), 3);
    assert_eq!(json["results"][2]["bound"], true);
    assert!(json["trials"].as_array().unwrap().len() > 3 * 5 * 6);
}

#[test]
fn a_scenario_with_three_seeds_gets_five_unless_the_command_says_otherwise() {
    let rows = |extra: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::cargo_bin("windtunnel").unwrap();
        command.current_dir(folder.path()).env_clear().args(["capacity", "which-gpu", "--format", "csv"]);
        for set in [
            "workload.requests=100",
            "capacity={ requests = 50, spans = 1 }",
            "systems.compare=[\"h100-sxm\"]",
        ] {
            command.args(["--set", set]);
        }
        let output = command.args(extra).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (String::from_utf8_lossy(&output.stdout).lines().count(), stderr)
    };
    let (lines, said) = rows(&[]);
    assert!(lines == 6 && said.contains("5 seeds are used"), "{lines} {said}");
    let (lines, said) = rows(&["--seeds", "2"]);
    assert!(lines == 3 && said.contains("the rule asks for 5"), "{lines} {said}");
}
