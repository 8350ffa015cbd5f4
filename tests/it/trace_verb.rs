//! `windtunnel trace` from outside: streams, files, exit codes.

use std::fs;
use std::io::Read;
use std::path::Path;

use assert_cmd::Command;
use windtunnel::workload::{PrepareContext, ReadOptions, WorkloadSpec, formats, read_trace, write_trace};

use crate::trace_files::sample;

/// (exit code, stdout, stderr) of `windtunnel trace …`.
fn trace(arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    command.env_clear().env("COLUMNS", "140").arg("trace").args(arguments);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn stats_are_text_or_one_json_document() {
    let (burst, qwen) = (sample("burstgpt"), sample("qwen-bailian"));
    let (code, out, err) = trace(&["stats", path(&burst), path(&qwen)]);
    assert_eq!((code, err.as_str()), (0, ""));
    for part in
        ["burstgpt, 60 requests", "index of dispersion", "sessions:", "prefix ids of 16 tokens", "clock:"]
    {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    let (code, out, _) = trace(&["stats", "--json", path(&burst), "--against", path(&qwen)]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, json["files"][0]["requests"].as_u64()), (0, Some(60)));
    assert!(json["against"]["distances"][0][0]["ks"].is_number(), "{out}");
    let (code, out, _) = trace(&["stats", path(&burst), "--against", path(&burst)]);
    assert!(code == 0 && out.contains("KS") && out.contains("count per 20 min"), "{out}");
}

/// Every format that can be read into every one that can be written, by way of files on disk.
#[test]
fn everything_converts_into_everything() {
    let folder = tempfile::tempdir().unwrap();
    for from in formats().filter(|f| f.readable) {
        let source = read_trace(&sample(from.name), &ReadOptions::default()).unwrap();
        let lengths: Vec<(u32, u32)> = source.lengths().collect();
        for to in formats().filter(|f| f.writable) {
            let target = folder.path().join(format!("{}-{}.gz", from.name, to.name));
            let mut out = Vec::new();
            let options = ReadOptions::default();
            let done = windtunnel::workload::convert_trace(&sample(from.name), &options, to.name, &mut out);
            if !source.has_times() && !to.name.contains("lengths") {
                assert!(done.is_err(), "{} has no times for {}", from.name, to.name);
                continue;
            }
            assert_eq!(done.unwrap().rows_written, lengths.len() as u64);
            fs::write(&target, out).unwrap();
            let back = read_trace(&target, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(back.report.format, Some(to.name));
            assert!(back.lengths().eq(lengths.iter().copied()), "{} to {}", from.name, to.name);
        }
    }
}

#[test]
fn convert_writes_files_whole_and_packed() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.jsonl.gz");
    let source = sample("burstgpt");
    let (code, out, err) = trace(&["convert", path(&source), "--format", "mooncake", "-o", path(&target)]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert!(
        err.contains("60 of 60 rows to") && err.contains("warning: classes are not in the output"),
        "{err}"
    );
    let mut text = String::new();
    flate2::read::GzDecoder::new(fs::File::open(&target).unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 60);
    let (code, out, _) = trace(&["convert", path(&target), "--format", "mooncake", "-o", "-", "--quiet"]);
    assert_eq!((code, out), (0, text));
    // Nothing is left of what failed, and a folder that is not there is the environment's fault.
    let bad = folder.path().join("bad.csv");
    fs::write(&bad, "arrived_at,num_prefill_tokens,num_decode_tokens\n1,1,1\n2,x,1\n").unwrap();
    let out = folder.path().join("bad-out.csv");
    assert_eq!(trace(&["convert", path(&bad), "-o", path(&out)]).0, 2);
    let (code, _, err) = trace(&["convert", path(&bad), "--skip-bad-rows", "-o", path(&out)]);
    assert_eq!((code, fs::read_to_string(&out).unwrap().lines().count()), (0, 2));
    assert!(err.contains("1 rows were skipped; the first: ") && err.contains("bad.csv:3:3"), "{err}");
    let nowhere = folder.path().join("no/such/folder.csv");
    assert_eq!(trace(&["convert", path(&source), "-o", path(&nowhere)]).0, 4);
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn standard_input_is_a_trace_too() {
    let text = fs::read(sample("mooncake")).unwrap();
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    let output =
        command.args(["trace", "convert", "-", "-o", "-", "--quiet"]).write_stdin(text).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && out.starts_with("arrival_s,prompt_tokens,output_tokens,class\n0,"),
        "{out}"
    );
    assert_eq!(out.lines().count(), 61);
}

#[test]
fn a_slice_is_lines_of_the_file() {
    let file = sample("burstgpt");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let (code, out, err) = trace(&["slice", path(&file), "--rows", "10..20", "-o", "-"]);
    assert_eq!((code, out), (0, [&lines[..1], &lines[11..21]].concat().join("\n") + "\n"));
    assert!(err.contains("10 of 60 rows to standard output (50 outside the slice)"), "{err}");
    let class = "API log / ChatGPT";
    let (code, out, _) = trace(&["slice", path(&file), "--class", class, "--from", "1 s", "-o", "-"]);
    let first: f64 = lines[1].split(',').next().unwrap().parse().unwrap();
    let wanted = |l: &&&str| {
        let f: Vec<&str> = l.split(',').collect();
        f[5] == "API log" && f[1] == "ChatGPT" && f[0].parse::<f64>().unwrap() >= first + 1.0
    };
    let expected: Vec<&str> = lines[1..].iter().filter(wanted).copied().collect();
    assert!(expected.len() > 5);
    assert_eq!((code, out.lines().skip(1).collect::<Vec<_>>()), (0, expected));
}

#[test]
fn generate_writes_what_a_run_would_see() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["--requests", "50", "--seed", "7", "--format", "vidur", "-o", "-"];
    let (code, out, _) = trace(&[&["generate", "burstgpt-conv"], &args[..]].concat());
    let spec: WorkloadSpec = toml::from_str("recipe = 'burstgpt-conv'\nrequests = 50").unwrap();
    let prepared = spec.prepare(&PrepareContext { seed: 7, ..PrepareContext::default() }).unwrap();
    let mut expected = Vec::new();
    write_trace("vidur", &prepared.trace, &mut expected).unwrap().unwrap();
    assert_eq!((code, out.as_bytes()), (0, &expected[..]));
    // A recipe file, and a scenario.
    let recipe = folder.path().join("mine.toml");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/burstgpt-conv.toml"), &recipe).unwrap();
    assert_eq!(trace(&[&["generate", path(&recipe)], &args[..]].concat()).1.as_bytes(), &expected[..]);
    let (code, out, err) = trace(&["generate", "quickstart", "--requests", "30", "-o", "-"]);
    assert_eq!((code, out.lines().count()), (0, 31), "{err}");
}
