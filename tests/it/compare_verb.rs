//! `compare`: what changed between two result folders or scenarios, from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

const SCENARIO: &str = r#"
title = "<script>alert(1)</script> | one"
seeds = 5
[workload]
recipe = "burstgpt-conv"
requests = 150
load = [0.2]
max-tokens = { fixed = 2048 }
[slo]
ttft = "1 s"
[deployment]
model = "llama-3.1-8b"
accelerator = "h100-sxm"
engine = "vllm-0.19"
max-model-len = 8192
[systems]
reference = "vllm-v1"
compare = ["vllm-v1", "orca"]
"#;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.write("one.toml", SCENARIO);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn windtunnel(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::cargo_bin("windtunnel").unwrap();
        let output = command
            .current_dir(self.0.path())
            .env_clear()
            .env("COLUMNS", "120")
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    fn run(&self, sets: &[&str], out: &str) {
        let mut arguments = vec!["run", "one.toml", "--no-page", "--quiet", "--out", out];
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        let (code, _, stderr) = self.windtunnel(&arguments);
        assert_eq!(code, Some(0), "{stderr}");
    }

    fn compare(&self, before: &str, after: &str, more: &[&str]) -> Value {
        let mut arguments = vec!["compare", before, after, "--format", "json"];
        arguments.extend(more);
        let (code, stdout, stderr) = self.windtunnel(&arguments);
        assert_eq!(code, Some(0), "{stderr}");
        serde_json::from_str(&stdout).unwrap()
    }
}

/// Verdicts of all numbers of a system.
fn verdicts(found: &Value, system: &str) -> Vec<(String, String)> {
    let rows = found["difference"]["rows"].as_array().unwrap();
    let cells = rows.iter().filter(|r| r["system"] == system).flat_map(|r| r["cells"].as_array().unwrap());
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    cells.map(|c| (text(&c["key"]), text(&c["change"]))).collect()
}

fn reasons(found: &Value) -> String {
    found["difference"]["not_compared"].to_string()
}

#[test]
fn the_same_runs_are_the_same_to_the_bit() {
    let place = Place::new();
    place.run(&[], "a");
    place.run(&[], "b");
    let found = place.compare("a/one", "b/one", &[]);
    assert_eq!(found["answer"], "Nothing changed: all 24 numbers are the same to the bit.");
    assert_eq!(reasons(&found), "[]");
}

#[test]
fn what_got_worse_is_told_at_the_rates_of_the_first_side() {
    let place = Place::new();
    place.run(&[], "a");
    let slower = "systems.orca={ base = \"orca\", scheduler.iteration.max-batch = 2 }";
    // The reference serves on an older accelerator, so half its capacity would be another rate.
    let older = "deployment.accelerator=\"a100-80g-sxm\"";
    let found = place.compare("a/one", "one.toml", &["--set", slower, "--set", older]);
    assert!(verdicts(&found, "orca").contains(&("goodput_per_s".to_owned(), "worse".to_owned())), "{found}");
    let vllm = verdicts(&found, "vllm-v1");
    assert!(vllm.contains(&("tpot_p50_s".to_owned(), "worse".to_owned())), "{found}");
    assert!(vllm.contains(&("finished".to_owned(), "same".to_owned())), "{found}");
    // The other way round it got better, and the folder still says at which rates.
    let found = place.compare("one.toml", "a/one", &["--set", older]);
    assert!(verdicts(&found, "vllm-v1").contains(&("tpot_p50_s".to_owned(), "better".to_owned())), "{found}");
}

#[test]
fn what_cannot_be_compared_is_listed_with_its_reason() {
    let place = Place::new();
    place.run(&[], "a");
    place.run(&["deployment.accelerator=\"a100-80g-sxm\""], "slower");
    let found = place.compare("a/one", "slower/one", &[]);
    assert!(reasons(&found).contains("the offered load is not the same"), "{found}");
    assert_eq!(found["answer"], "Nothing could be compared.");
    place.run(&["workload.requests=151", "workload.load=", "workload.rate=\"5 req/s\""], "longer");
    place.run(&["workload.load=", "workload.rate=\"5 req/s\"", "systems.compare=[\"vllm-v1\"]"], "fewer");
    let found = place.compare("longer/one", "fewer/one", &[]);
    assert!(reasons(&found).contains("the requests are not the same"), "{found}");
    let found = place.compare(
        "longer/one",
        "one.toml",
        &[
            "--set",
            "workload.load=",
            "--set",
            "workload.rate=\"5 req/s\"",
            "--set",
            "systems.compare=[\"vllm-v1\", \"fastgen\"]",
        ],
    );
    assert!(
        reasons(&found).contains("not in one.toml") && reasons(&found).contains("not in longer/one"),
        "{found}"
    );
}

#[test]
fn two_different_designs_are_compared_when_each_side_has_one() {
    let place = Place::new();
    let rate = ["workload.load=", "workload.rate=\"3 req/s\""];
    place.run(&[rate[0], rate[1], "systems.compare=[\"vllm-v1\"]"], "a");
    place.run(&[rate[0], rate[1], "systems.compare=[\"orca\"]", "systems.reference=\"orca\""], "b");
    let found = place.compare("a/one", "b/one", &[]);
    assert_eq!(verdicts(&found, "vllm-v1 → orca").len(), 12, "{found}");
}

#[test]
fn files_carry_no_markup_of_titles() {
    let place = Place::new();
    place.run(&[], "a");
    place.run(&["systems.orca={ base = \"orca\", scheduler.iteration.max-batch = 4 }"], "b");
    let (code, stdout, stderr) = place.windtunnel(&["compare", "a/one", "b/one", "--format", "markdown"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stdout.contains("<script"), "{stdout}");
    let page = fs::read_to_string(place.path("results/compare/one-one/index.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
    for file in ["manifest.json", "difference.csv", "page.md"] {
        assert!(place.path("results/compare/one-one").join(file).is_file(), "{file}");
    }
}
