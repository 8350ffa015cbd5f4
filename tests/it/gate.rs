//! `check`: scenarios held against their baselines, from the library and from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;
use windtunnel::gate::{Baseline, Found, Mode, Outcome, judge, junit, markdown, text};
use windtunnel::results::Study;
use windtunnel::scenario::execute::{Given, Options, runs_given};
use windtunnel::scenario::{Flags, StudyPlan, Target};

const SCENARIO: &str = r#"
title = "gate"
seeds = 5
[workload]
recipe = "burstgpt-conv"
requests = 150
rate = "6 req/s"
max-tokens = { fixed = 2048 }
[slo]
ttft = "1 s"
[deployment]
model = "llama-3.1-8b"
accelerator = "h100-sxm"
engine = "vllm-0.19"
max-model-len = 8192
replicas = 2
[systems]
reference = "vllm-v1"
compare = ["vllm-v1", "orca"]
"#;

fn plan(sets: &[&str]) -> StudyPlan {
    let sets = sets.iter().map(|s| (*s).to_owned()).collect();
    StudyPlan::resolve(&Target::Text("gate.toml", SCENARIO), &Flags { sets, seeds: None }).unwrap()
}

fn study(plan: &StudyPlan, first_seed: u64) -> Study {
    let given = Given { first_seed, rates: None };
    runs_given(plan, given, Options::default(), &()).unwrap().into_study(plan)
}

fn baseline() -> Baseline {
    let plan = plan(&[]);
    let baseline = Baseline::of(&study(&plan, 1), &plan.check.metrics, vec!["first".to_owned()]);
    // As it is used: from its file.
    Baseline::read("gate.toml", &baseline.text()).unwrap()
}

fn checked(sets: &[&str], mode: Mode) -> Found {
    let plan = plan(sets);
    let first = if let Mode::Fresh(first) = mode { first } else { 1 };
    judge(&study(&plan, first), "scenarios/ci/gate.toml", &baseline(), &plan.check, mode)
}

#[test]
fn what_did_not_change_is_the_same_to_the_bit() {
    let found = checked(&[], Mode::Paired);
    assert_eq!(found.count(Outcome::Same), found.checked.len());
    assert_eq!(found.checked.len(), 20);
    assert!(!found.fails() && found.unmatched.is_empty() && found.queues.is_empty());
}

#[test]
fn regressions_of_a_policy_are_caught_with_either_seeds() {
    // A router that looks at loads of long ago (too small an effect for five other seeds), a small batch, a slower accelerator.
    let stale = "systems.vllm-v1={ base = \"vllm-v1\", router.least-requests = { staleness = \"20 s\", own-dispatches = false } }";
    let four = "systems.vllm-v1={ base = \"vllm-v1\", scheduler.unified.max-sequences = 4 }";
    for (set, without_pairs) in
        [(stale, false), (four, true), ("deployment.accelerator=\"a100-80g-sxm\"", true)]
    {
        let paired = checked(&[set], Mode::Paired);
        assert!(paired.fails(), "{set}: {}", text::render(&paired));
        let fresh = checked(&[set], Mode::Fresh(1001));
        assert_eq!(fresh.fails(), without_pairs, "{set}: {}", text::render(&fresh));
    }
}

#[test]
fn other_requests_are_no_regression() {
    for run in 1..=40 {
        let found = checked(&[], Mode::Fresh(run * 100));
        assert!(!found.fails(), "seeds from {}: {}", run * 100, text::render(&found));
    }
}

#[test]
fn a_tolerance_is_the_border_between_within_and_worse() {
    let set = "systems.vllm-v1={ base = \"vllm-v1\", scheduler.unified.max-sequences = 4 }";
    let of = |tolerance: f64| {
        let metrics = format!("check.metrics={{ ttft_p99_s = {tolerance} }}");
        let found = checked(&[set, &metrics], Mode::Paired);
        found.checked.iter().find(|c| c.system == "vllm-v1").unwrap().clone()
    };
    let change = of(0.0).change.unwrap();
    assert!(change > 0.05, "{change}");
    assert_eq!(of(change * 0.999).outcome, Outcome::Worse);
    assert_eq!(of(change * 1.001).outcome, Outcome::Within);
}

#[test]
fn what_one_side_lacks_is_told() {
    let found = checked(&["systems.compare=[\"vllm-v1\", \"sarathi-serve\"]"], Mode::Paired);
    let all = found.unmatched.join("\n");
    assert!(all.contains("sarathi-serve at rate 6 req/s has no baseline"), "{all}");
    assert!(all.contains("orca at rate 6 req/s is only in the baseline"), "{all}");
}

#[test]
fn reports_carry_no_markup_of_names() {
    let mut found = checked(
        &["systems.vllm-v1={ base = \"vllm-v1\", scheduler.unified.max-sequences = 4 }"],
        Mode::Paired,
    );
    for number in &mut found.checked {
        number.system = "<script>alert(1)</script> | *x*\u{1b}[31m".to_owned();
    }
    found.scenario = "\"]]>&".to_owned();
    let xml = String::from_utf8(junit::junit(std::slice::from_ref(&found))).unwrap();
    assert!(!xml.contains("<script") && !xml.contains('\u{1b}'), "{xml}");
    assert!(xml.contains("name=\"&quot;]]&gt;&amp;\""), "{xml}");
    let page = markdown::markdown(&[found]);
    assert!(!page.contains("<script") && page.contains("\\| \\*x\\*"), "{page}");
}

/// A folder with the scenario in `scenarios/ci/`, and the command in it.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("scenarios/ci")).unwrap();
        fs::write(folder.path().join("scenarios/ci/gate.toml"), SCENARIO).unwrap();
        Place(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn check(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::cargo_bin("windtunnel").unwrap();
        let command = command.current_dir(self.0.path()).env_clear().env("COLUMNS", "120");
        let command = command.env("GITHUB_STEP_SUMMARY", self.path("summary.md"));
        let output = command.arg("check").args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn change(&self, from: &str, to: &str) {
        let path = self.path("scenarios/ci/gate.toml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_gate_from_the_first_blessing_to_the_next() {
    let place = Place::new();
    let (code, _, stderr) = place.check(&[]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("has no baseline") && stderr.contains("--bless --reason"), "{stderr}");
    assert_eq!(place.check(&["--bless"]).0, Some(2));
    assert_eq!(place.check(&["--bless", "--reason", " "]).0, Some(2));

    let (code, _, stderr) = place.check(&["--bless", "--reason", "first"]);
    assert_eq!(code, Some(0), "{stderr}");
    let (code, stdout, _) = place.check(&[]);
    assert_eq!(code, Some(0), "{stdout}");
    assert!(
        stdout.starts_with("ok    gate (20 numbers") && stdout.contains("20 the same to the bit"),
        "{stdout}"
    );

    place.change("compare = [\"vllm-v1\", \"orca\"]", "compare = [\"vllm-v1\", \"orca\"]\nvllm-v1 = { base = \"vllm-v1\", scheduler.unified.max-sequences = 4 }");
    let (code, stdout, stderr) = place.check(&["--junit", "junit.xml", "--format", "github"]);
    assert_eq!(code, Some(1), "{stdout}{stderr}");
    assert!(
        stdout.starts_with("::error file=scenarios/ci/gate.toml,title=vllm-v1 at rate 6 req/s got worse::"),
        "{stdout}"
    );
    assert!(
        read(&place.path("junit.xml"))
            .contains("<testsuite name=\"gate\" file=\"scenarios/ci/gate.toml\" tests=\"2\" failures=\"1\"")
    );
    assert!(read(&place.path("summary.md")).contains("1 of 1 scenarios are worse"));

    let (code, stdout, _) = place.check(&["--bless", "--reason", "four sequences: #12"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("WORSE gate"), "{stdout}");
    assert_eq!(place.check(&[]).0, Some(0));
    let baseline = read(&place.path("results/baselines/gate.toml"));
    assert!(baseline.contains("    \"first\",\n    \"four sequences: #12\",\n"), "{baseline}");
}

#[test]
fn other_requests_than_the_baselines_are_bad_input() {
    let place = Place::new();
    assert_eq!(place.check(&["--bless", "--reason", "first"]).0, Some(0));
    place.change("requests = 150", "requests = 151");
    let (code, _, stderr) = place.check(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("are not those of the baseline"), "{stderr}");
    place.change("rate = \"6 req/s\"", "rate = \"7 req/s\"");
    let (code, _, stderr) = place.check(&[]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("the baseline has no point `rate 7 req/s`"), "{stderr}");
    let (code, _, stderr) = place.check(&["--fresh-seeds", "3"]);
    assert_eq!(code, Some(2));
    assert!(stderr.contains("seed 3 is one of the baseline's"), "{stderr}");
}

#[test]
fn loads_are_run_at_the_rates_of_the_baseline() {
    let place = Place::new();
    place.change("rate = \"6 req/s\"", "load = [0.5]");
    assert_eq!(place.check(&["--bless", "--reason", "first"]).0, Some(0));
    // The reference is slower now, so half its capacity would be another rate.
    let (code, stdout, stderr) =
        place.check(&["--set", "deployment.accelerator=\"a100-80g-sxm\"", "--format", "json"]);
    assert_eq!(code, Some(1), "{stderr}");
    let found: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let numbers = found["scenarios"][0]["checked"].as_array().unwrap();
    let finished = numbers.iter().filter(|n| n["key"] == "finished");
    assert!(
        finished.clone().count() == 2 && finished.into_iter().all(|n| n["outcome"] == "same"),
        "{stdout}"
    );
}
