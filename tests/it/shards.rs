//! A study in parts: shards and their merging, and a study that was killed and goes on. All give the bytes of one plain run.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};
use std::time::Duration;

use assert_cmd::Command;
use tempfile::TempDir;

const SCENARIO: &str = r#"
title = "parts"
seeds = 3
[workload]
recipe = "burstgpt-conv"
requests = 200
load = [0.4, 0.8]
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
compare = ["vllm-v1", "orca", "ideal"]
"#;

struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        fs::write(place.path("parts.toml"), SCENARIO).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn windtunnel(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::cargo_bin("windtunnel").unwrap();
        let output = command.current_dir(self.0.path()).env_clear().args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }

    #[track_caller]
    fn works(&self, arguments: &[&str]) -> String {
        let (code, stderr) = self.windtunnel(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
        stderr
    }

    #[track_caller]
    fn fails(&self, arguments: &[&str], with: &str) {
        let (code, stderr) = self.windtunnel(arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(with), "{arguments:?}: {stderr}");
    }
}

/// Every file below a folder but `timing.json`.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if !path.ends_with("timing.json") {
                found.insert(path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn four_shards_are_one_run() {
    let place = Place::new();
    place.works(&["run", "parts.toml", "--out", "whole"]);
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let said = place.works(&["run", "parts.toml", "--shard", shard]);
        assert!(said.contains(" runs in "), "{said}");
    }
    let shards: Vec<String> = (1..=4).map(|i| format!("results/parts.shard-{i}-of-4")).collect();
    let names: Vec<&str> = shards.iter().map(String::as_str).collect();
    place.works(&[&["merge"], &names[..], &["--jobs", "1"]].concat());
    let (whole, merged) = (files(&place.path("whole/parts")), files(&place.path("results/parts")));
    assert!(whole.len() > 10 && whole == merged, "{:?}", merged.keys());

    place.fails(&["merge", names[0], names[2], names[3]], "of 4 shards these are missing: 2");
    // A shard that was cut off in its last line.
    let runs = place.path(names[1]).join("runs.jsonl");
    let text = fs::read_to_string(&runs).unwrap();
    fs::write(&runs, &text[..text.len() - 50]).unwrap();
    place.fails(&[&["merge"], &names[..]].concat(), "is in no shard");
    let said = place.works(&["run", "parts.toml", "--shard", "2/4"]);
    assert!(said.contains("4 runs were there already"), "{said}");
    place.works(&[&["merge"], &names[..]].concat());
    assert_eq!(whole, files(&place.path("results/parts")));
}

#[test]
fn shards_of_different_studies_are_not_merged() {
    let place = Place::new();
    place.works(&["run", "parts.toml", "--shard", "1/2"]);
    place.works(&["run", "parts.toml", "--shard", "2/2", "--seeds", "2"]);
    let names = ["results/parts.shard-1-of-2", "results/parts.shard-2-of-2"];
    place.fails(&["merge", names[0], names[1]], "shards of different studies");
    let head = place.path(names[0]).join("shard.json");
    let text = fs::read_to_string(&head).unwrap().replace("\"program\": \"", "\"program\": \"0");
    fs::write(&head, text).unwrap();
    place.fails(&["merge", names[0]], "another version of windtunnel");
    place.fails(&["merge", "results"], "holds no shard");
    place.fails(&["run", "parts.toml", "--shard", "3/2"], "`3/2` names no shard");
    place.fails(&["run", "parts.toml", "--shard", "auto"], "SLURM_ARRAY_TASK_ID");
    place.fails(&["run", "parts.toml", "--shard", "1/2", "--requests"], "a shard does not leave that");
    fs::write(place.path("results/mine.txt"), "mine").unwrap();
    fs::create_dir_all(place.path("other/parts.shard-1-of-2/mine")).unwrap();
    place.fails(&["run", "parts.toml", "--shard", "1/2", "--out", "other"], "holds no shard");
}

/// Kills a shard at some moments, lets it go on, and compares with one that was never killed: kills of a plain `run` are those of
/// its runs or of its last step, and both go through the same store and the same commit.
#[test]
fn a_killed_study_goes_on_to_the_same_bytes() {
    let place = Place::new();
    place.works(&["run", "parts.toml", "--out", "whole"]);
    let binary = assert_cmd::cargo::cargo_bin("windtunnel");
    for milliseconds in (5..=100).step_by(19) {
        let mut child = Process::new(&binary)
            .current_dir(place.0.path())
            .args(["run", "parts.toml", "--shard", "1/1", "--jobs", "1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.works(&["run", "parts.toml", "--shard", "1/1"]);
    place.works(&["merge", "results/parts.shard-1-of-1"]);
    assert_eq!(files(&place.path("whole/parts")), files(&place.path("results/parts")));
    let left = fs::read_dir(place.path("results")).unwrap().map(|e| e.unwrap().file_name());
    let mut left: Vec<String> = left.map(|n| n.to_string_lossy().into_owned()).collect();
    left.sort();
    assert_eq!(left, ["parts", "parts.shard-1-of-1"]);
}

#[test]
fn what_an_interrupted_run_left_is_taken_over_and_removed() {
    let place = Place::new();
    place.works(&["run", "parts.toml", "--out", "whole"]);
    // What `run` leaves when it is killed after a while has the lines of a shard.
    place.works(&["run", "parts.toml", "--shard", "1/3"]);
    let kept = place.path("results/.parts.runs.jsonl");
    fs::copy(place.path("results/parts.shard-1-of-3/runs.jsonl"), &kept).unwrap();
    let said = place.works(&["run", "parts.toml"]);
    assert!(said.contains("6 runs of a command that was interrupted are there already"), "{said}");
    assert!(!kept.exists());
    assert_eq!(files(&place.path("whole/parts")), files(&place.path("results/parts")));
    // Another study takes nothing of it.
    fs::copy(place.path("results/parts.shard-1-of-3/runs.jsonl"), &kept).unwrap();
    place.works(&["run", "parts.toml", "--set", "workload.requests=199"]);
    place.works(&["run", "parts.toml", "--set", "workload.requests=199", "--out", "other"]);
    assert_eq!(files(&place.path("other/parts")), files(&place.path("results/parts")));
}

#[test]
fn scripts_for_schedulers_hold_every_word() {
    let place = Place::new();
    let emit = |target: &str| {
        let mut command = Command::cargo_bin("windtunnel").unwrap();
        let arguments = [
            "sweep",
            "emit",
            target,
            "parts.toml",
            "--shards",
            "3",
            "--seeds",
            "2",
            "--set",
            "title=it's $HOME",
        ];
        let output = command.current_dir(place.0.path()).env_clear().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let slurm = emit("slurm");
    assert!(slurm.contains("#SBATCH --array=1-3\n") && slurm.contains("--shard auto "), "{slurm}");
    assert!(slurm.contains("--set 'title=it'\\''s $HOME' --seeds 2\n"), "{slurm}");
    let kubernetes = emit("kubernetes");
    assert!(
        kubernetes.contains("completions: 3\n") && kubernetes.contains("- \"title=it's $HOME\"\n"),
        "{kubernetes}"
    );
    // The script of GNU parallel without it: its tasks one after the other.
    let script = emit("gnu-parallel");
    let tasks = script.lines().find(|l| l.starts_with("seq 3 | parallel")).unwrap();
    let bin = Path::new(env!("CARGO_BIN_EXE_windtunnel")).parent().unwrap().display().to_string();
    let shell =
        format!("parallel() {{ while read -r i; do eval \"${{3/'{{}}'/$i}}\" || exit 1; done; }}\n{tasks}\n");
    let merge = script.lines().last().unwrap();
    let shell = format!("PATH={bin}:$PATH\n{shell}{merge} >table\n");
    let output =
        Process::new("bash").args(["-e", "-c", &shell]).current_dir(place.0.path()).output().unwrap();
    assert!(output.status.success(), "{shell}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read_to_string(place.path("table")).unwrap().starts_with("it's $HOME\n"));
}
