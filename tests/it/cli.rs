//! The command line from outside: exit codes, streams, files, the same bytes with any number of threads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use tempfile::TempDir;

/// A command in a fresh folder without the environment of the tester.
fn windtunnel() -> (TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    command.current_dir(folder.path()).env_clear().env("COLUMNS", "120");
    (folder, command)
}

/// A small quickstart: all systems, two points.
const SMALL: [&str; 5] = ["run", "--set", "workload.requests=120", "--set", "workload.load=[0.5,1.1]"];

/// Every file below a folder but `timing.json`.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("timing.json") {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn quickstart_works_in_an_empty_folder() {
    let (folder, mut command) = windtunnel();
    let output = command.args(SMALL).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    for system in
        ["fastertransformer", "orca", "vllm-0.2", "sarathi-serve", "vllm-v1", "ideal", "clairvoyant"]
    {
        assert!(stdout.contains(system), "{system} is missing:\n{stdout}");
    }
    assert!(stderr.contains("capacity of `vllm-v1`") && stderr.contains("index.html"), "{stderr}");
    let written = files(&folder.path().join("results/quickstart"));
    for file in ["manifest.json", "summary.csv", "summary.json", "index.html"] {
        assert!(written.contains_key(file), "{file} is missing");
    }
}

#[test]
fn the_number_of_threads_and_the_way_of_stepping_change_no_byte() {
    let run = |extra: &[&str]| {
        let (folder, mut command) = windtunnel();
        command.args(SMALL).args(extra).assert().code(0);
        files(&folder.path().join("results"))
    };
    let one = run(&["--jobs", "1", "--requests", "--quiet"]);
    for extra in [["--jobs", "2", "--requests"], ["--stepwise", "--audit", "--requests"]] {
        let other = run(&extra);
        assert!(one.keys().eq(other.keys()), "{extra:?} writes other files");
        for (name, bytes) in &one {
            assert!(other[name] == *bytes, "{extra:?} changes {name}");
        }
    }
}

#[test]
fn report_draws_the_bytes_that_run_wrote() {
    let (folder, mut command) = windtunnel();
    let first = command.args(SMALL).args(["--seeds", "2"]).output().unwrap();
    assert_eq!(first.status.code(), Some(0));
    let results = folder.path().join("results/quickstart");
    let written = files(&results);
    fs::remove_dir_all(results.join("plots")).unwrap();
    fs::write(results.join("index.html"), "damaged").unwrap();
    let mut again = Command::cargo_bin("windtunnel").unwrap();
    again.current_dir(folder.path()).env_clear().env("COLUMNS", "120");
    let second = again.args(["report", "results/quickstart"]).output().unwrap();
    assert_eq!(second.status.code(), Some(0), "{}", String::from_utf8_lossy(&second.stderr));
    assert!(second.stdout == first.stdout, "the table differs");
    let drawn = files(&results);
    assert!(written.keys().eq(drawn.keys()));
    for (name, bytes) in &written {
        assert!(drawn[name] == *bytes, "{name} differs");
    }
}

#[test]
fn json_and_csv_are_data_alone() {
    let (_folder, mut command) = windtunnel();
    let output = command.args(SMALL).args(["--format", "json", "--seeds", "2"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema"], 2);
    assert_eq!(json["runs"].as_array().unwrap().len(), 7 * 2 * 2);
    let (_folder, mut command) = windtunnel();
    let output = command.args(SMALL).args(["--format", "csv", "--quiet"]).output().unwrap();
    assert!(output.stderr.is_empty());
    let mut reader = csv::Reader::from_reader(output.stdout.as_slice());
    assert!(reader.records().all(|row| row.is_ok()));
}

#[test]
fn a_folder_that_cannot_be_written_is_the_environment() {
    let (_folder, mut command) = windtunnel();
    let output = command.args(SMALL).args(["--out", "/proc/windtunnel"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_folder_of_others_is_not_replaced() {
    let (folder, mut command) = windtunnel();
    let mine = folder.path().join("results/quickstart");
    fs::create_dir_all(&mine).unwrap();
    fs::write(mine.join("thesis.tex"), "years of work").unwrap();
    let output = command.args(SMALL).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_to_string(mine.join("thesis.tex")).unwrap(), "years of work");
}

#[test]
fn every_list_has_rows_and_every_embedded_scenario_resolves() {
    for what in [
        "systems",
        "accelerators",
        "models",
        "engines",
        "workloads",
        "metrics",
        "formats",
        "scenarios",
        "papers",
    ] {
        let (_folder, mut command) = windtunnel();
        let output = command.args(["list", what]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{what}");
        assert!(String::from_utf8(output.stdout).unwrap().lines().count() > 1, "{what}");
    }
    for scenario in ["quickstart", "schedulers-burstgpt", "azure-conv"] {
        let (_folder, mut command) = windtunnel();
        command.args(["explain", "scenario", scenario]).assert().code(0);
    }
}

#[test]
fn explain_says_where_each_value_comes_from() {
    let (_folder, mut command) = windtunnel();
    let output = command
        .args([
            "explain",
            "scenario",
            "quickstart",
            "--set",
            "deployment.replicas=2",
            "--set",
            "slo.ttft=2 s",
        ])
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let line = |key: &str| stdout.lines().find(|l| l.contains(key)).unwrap_or_default().to_owned();
    assert!(line(" replicas ").contains("--set deployment.replicas=2"), "{stdout}");
    assert!(line("slo.ttft").contains("--set slo.ttft=2 s"), "{stdout}");
    assert!(line("scheduler.unified.token-budget").contains("engine profile"), "{stdout}");
    assert!(line("kv.reserve.rule").contains("preset"), "{stdout}");
    assert!(line("kv-blocks").contains("computed"), "{stdout}");
}

#[test]
fn explain_step_shows_the_bound_below_the_step() {
    let (_folder, mut command) = windtunnel();
    let arguments =
        ["explain", "step", "--accelerator", "h100-sxm", "--model", "llama-3.1-8b", "--decode", "64"];
    let output = command.args(arguments).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    let ms = |part: &str| -> f64 {
        let line = stdout.lines().find(|l| l.trim_start().starts_with(part)).unwrap();
        line.trim_start()[part.len()..].split_whitespace().next().unwrap().parse().unwrap()
    };
    assert!(ms("step ") >= ms("datasheet bound"), "{stdout}");
}

#[test]
fn help_and_version_go_to_stdout() {
    for argument in ["--help", "--version"] {
        let (_folder, mut command) = windtunnel();
        let output = command.arg(argument).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
}
