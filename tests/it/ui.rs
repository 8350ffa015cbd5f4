//! Bad inputs and what the user sees: every file of `tests/ui/` has its exact diagnostic beside it.
//!
//! `NAME.toml` is run as a scenario; `NAME.args` holds a command line, one argument a line. `UPDATE_UI=1` rewrites
//! the `NAME.stderr` files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

fn cases() -> Vec<PathBuf> {
    let is_case = |p: &PathBuf| matches!(p.extension().and_then(OsStr::to_str), Some("toml" | "args"));
    let entries = fs::read_dir(folder()).unwrap().map(|e| e.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(is_case).collect();
    cases.sort();
    cases
}

/// The command line of a case, run in `tests/ui`.
fn run(case: &Path) -> std::process::Output {
    let out = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    command.current_dir(folder()).env_clear().env("NO_COLOR", "1").env("COLUMNS", "100");
    let name = case.file_name().unwrap();
    if case.extension() == Some(OsStr::new("args")) {
        let text = fs::read_to_string(case).unwrap();
        command.args(text.lines().map(|l| l.replace("$OUT", out.path().to_str().unwrap())));
    } else {
        command.arg("run").arg(name).arg("--out").arg(out.path());
    }
    command.output().unwrap()
}

/// `file:line:column`, or the word of the command line that is wrong.
fn has_place(stderr: &str, words: &[String]) -> bool {
    let positions = stderr.split(|c: char| c.is_whitespace() || matches!(c, '[' | ']'));
    let is_position = |word: &str| {
        let mut parts = word.trim_end_matches(':').rsplitn(3, ':');
        let number =
            |p: Option<&str>| p.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        number(parts.next()) && number(parts.next()) && parts.next().is_some_and(|f| !f.is_empty())
    };
    positions.into_iter().any(is_position) || words.iter().any(|w| stderr.contains(w.as_str()))
}

#[test]
fn every_bad_input_has_its_diagnostic() {
    let update = std::env::var_os("UPDATE_UI").is_some();
    let mut failures = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 30, "{} cases are too few", cases.len());
    for case in cases {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let output = run(&case);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let stderr =
            stderr.replace(folder().to_str().unwrap(), "$DIR").replace(env!("CARGO_MANIFEST_DIR"), "$ROOT");
        let is_args = name.ends_with(".args");
        let text = fs::read_to_string(&case).unwrap();
        let words: Vec<String> = text.lines().filter(|_| is_args).map(str::to_owned).collect();
        let mut check = |ok: bool, what: &str| {
            if !ok {
                failures.push(format!("{name}: {what}\n{stderr}"));
            }
        };
        check(output.status.code() == Some(2), &format!("exit code is {:?}, not 2", output.status.code()));
        check(output.stdout.is_empty(), "stdout is not empty");
        check(stderr.contains("help:"), "no `help:`");
        check(has_place(&stderr, &words), "no `file:line:column` and no flag");
        check(!stderr.contains('\u{1b}'), "colours despite NO_COLOR");
        let snapshot = case.with_extension("stderr");
        if update {
            fs::write(&snapshot, &stderr).unwrap();
        } else {
            let expected = fs::read_to_string(&snapshot).unwrap_or_default();
            check(stderr == expected, &format!("differs from {}:\n{expected}\n--- got", snapshot.display()));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
