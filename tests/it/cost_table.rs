//! The backend `table`: nodes are met, lines equal steps, nothing beats the datasheet, bad tables are refused.

use std::fmt::Write as _;
use std::fs;

use assert_cmd::Command;
use windtunnel::cost::{Chunk, CostSpec, Datasheet, StepCost, StepShape, StepTable, TableCost};

use crate::cost::{decode, decode_only, grid, report, roofline, spec};
use crate::cost_lines::walk;

const SEQUENCES: [u32; 5] = [1, 8, 32, 64, 256];
const CONTEXTS: [u32; 4] = [64, 512, 2048, 8192];
const TOKENS: [u32; 4] = [16, 256, 2048, 8192];
const PASTS: [u32; 3] = [0, 1024, 8192];

/// A table of the fitted model's own steps, each times what `factor` says of (phase is decode, x, context).
fn sampled(spec: &CostSpec, factor: impl Fn(bool, u32, u32) -> f64) -> String {
    let cost = roofline(spec);
    let tp = spec.tensor_parallel;
    let mut text = "phase,tp,tokens,sequences,context,time_us\n# sampled\n".to_owned();
    for n in SEQUENCES {
        for c in CONTEXTS {
            let step = cost.exact(0, &decode_only(decode(n, u64::from(n) * u64::from(c)))).total().0;
            writeln!(text, "decode,{tp},{n},{n},{c},{}", step * 1e6 * factor(true, n, c)).expect("text");
        }
    }
    for tokens in TOKENS {
        for past in PASTS {
            let chunks = [Chunk { tokens, past }];
            let step = cost.exact(0, &StepShape { chunks: &chunks, decode: decode(0, 0) }).total().0;
            let time = step * 1e6 * factor(false, tokens, past);
            writeln!(text, "prefill,{tp},{tokens},1,{past},{time}").expect("text");
        }
    }
    text
}

fn table(spec: &CostSpec, text: &str) -> TableCost {
    let rows = StepTable::parse("t.csv", text, spec.tensor_parallel).expect("a good table");
    TableCost::new(spec, rows).expect("a table that fits")
}

/// Noise of ±7 %, different at each node.
fn noisy(decode: bool, x: u32, context: u32) -> f64 {
    1.2 + 0.07 * f64::from((x * 7 + context * 13 + u32::from(decode)) % 11) / 11.0
}

fn cases() -> Vec<CostSpec> {
    vec![
        spec("h100-sxm", "llama-3.1-8b", "vllm-0.19", 1),
        spec("a100-80g-sxm", "llama-2-70b", "vllm-2023-a100", 4),
        spec("rtx-4090", "llama-2-7b", "none", 1),
    ]
}

#[test]
fn measured_steps_are_met() {
    for spec in cases() {
        let cost = table(&spec, &sampled(&spec, noisy));
        let model = roofline(&spec);
        for n in SEQUENCES {
            let mut highest: f64 = 0.0;
            for c in CONTEXTS {
                let shape = decode_only(decode(n, u64::from(n) * u64::from(c)));
                // Noise may not make more context cheaper.
                highest = highest.max(model.exact(0, &shape).total().0 * noisy(true, n, c));
                let got = cost.step(0, &shape).total().as_secs_f64();
                assert!((got / highest - 1.0).abs() < 1e-9, "{n} {c}: {got} is not {highest}");
            }
        }
        for tokens in TOKENS {
            for past in PASTS {
                let chunks = [Chunk { tokens, past }];
                let shape = StepShape { chunks: &chunks, decode: decode(0, 0) };
                let want = model.exact(0, &shape).total().0 * noisy(false, tokens, past);
                let got = cost.step(0, &shape).total().as_secs_f64();
                assert!((got / want - 1.0).abs() < 1e-9, "{tokens}+{past}: {got} is not {want}");
            }
        }
    }
}

/// A table of the model itself gives the model back: between nodes nearly, mixed and outside exactly in shape.
#[test]
fn a_table_of_the_model_is_the_model() {
    let mut worst: f64 = 0.0;
    for spec in cases() {
        let (cost, model) = (table(&spec, &sampled(&spec, |_, _, _| 1.0)), roofline(&spec));
        for (chunks, decode) in grid() {
            let shape = StepShape { chunks: &chunks, decode };
            let tokens = chunks.iter().map(|c| c.tokens).sum::<u32>() + decode.n;
            let (got, want) = (cost.step(0, &shape).total(), model.exact(0, &shape).total().0);
            let error = got.as_secs_f64() / want - 1.0;
            worst = worst.max(error.abs());
            // Straight lines between 256 and 2048 tokens, or 64 and 256 sequences, cut the knee of the roofline.
            assert!(error.abs() < 0.20, "{} tokens {tokens} {shape:?}: {error}", spec.accelerator.name);
        }
    }
    report(format_args!("table of the model against the model: largest error {worst:.3}"));
}

#[test]
fn lines_of_a_table_equal_its_steps() {
    for spec in cases() {
        let cost = table(&spec, &sampled(&spec, noisy));
        let mut most = 0;
        // Measured, between, below and above the measured numbers of sequences, and with padding.
        for (n, padding) in [(8, 0), (20, 0), (1, 0), (64, 5), (300, 0), (3, 300), (1000, 0)] {
            most = most.max(walk(&cost, n, padding, 9_000 * u64::from(n)));
        }
        assert!(most >= 4, "{most} segments: nodes must be breakpoints");
    }
}

/// Tables as bad as measurements get: few nodes, context that hardly matters or explodes, times that fall and jump.
#[test]
fn lines_of_any_table_equal_its_steps() {
    let spec = spec("h100-sxm", "llama-3.1-8b", "vllm-0.19", 1);
    let mut state: u64 = 7;
    let mut draw = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut segments = 0;
    for _ in 0..60 {
        let mut nodes = |count: u64, first: u32, step: u64| -> Vec<u32> {
            let mut node = first;
            (0..=draw(count))
                .map(|_| {
                    let here = node;
                    node += 1 + draw(step) as u32;
                    here
                })
                .collect()
        };
        let (sequences, contexts) = (nodes(4, 1, 90), nodes(5, 1, 3000));
        let mut text = "phase,tp,tokens,sequences,context,time_us\nprefill,1,64,1,0,90000\n".to_owned();
        for n in &sequences {
            for c in &contexts {
                // Between 20 ms, which no step of this size beats, and 20 s; any order.
                let time = 20_000.0 * (1.0 + draw(1000) as f64 * if draw(4) == 0 { 1.0 } else { 0.001 });
                writeln!(text, "decode,1,{n},{n},{c},{time}").expect("text");
            }
        }
        let rows = StepTable::parse("t.csv", &text, 1).expect("a good table");
        let Ok(cost) = TableCost::new(&spec, rows) else { continue };
        for n in [1, 2 + draw(100) as u32, 300] {
            segments += walk(&cost, n, draw(3) as u32, 20_000 * u64::from(n));
        }
    }
    assert!(segments > 400, "{segments}");
}

#[test]
fn no_step_of_a_table_beats_the_datasheet() {
    for spec in cases() {
        // As fast as a table may be: two per cent below the bound.
        let (model, bound) = (roofline(&spec), Datasheet::new(&spec).expect("a bound"));
        let fastest = |is_decode: bool, x: u32, context: u32| {
            let chunks = [Chunk { tokens: x, past: context }];
            let shape = if is_decode {
                decode_only(decode(x, u64::from(x) * u64::from(context)))
            } else {
                StepShape { chunks: &chunks, decode: decode(0, 0) }
            };
            let (compute, memory) = bound.terms(0, &shape);
            0.985 * compute.0.max(memory.0) / model.exact(0, &shape).total().0
        };
        let cost = table(&spec, &sampled(&spec, fastest));
        for (chunks, decode) in grid() {
            let shape = StepShape { chunks: &chunks, decode };
            let (got, least) = (cost.step(0, &shape).total(), bound.step(0, &shape).total());
            assert!(got >= least, "{shape:?}: {got} beats {least}");
        }
        assert!(walk(&cost, 16, 0, 400_000) >= 1);
    }
}

#[test]
fn a_table_that_cannot_be_right_is_refused() {
    let spec = spec("h100-sxm", "llama-3.1-8b", "none", 1);
    let good = sampled(&spec, |_, _, _| 1.0);
    for (change, want) in [
        (("decode,1,8,8,64,", "decode,1,8,8,65,"), "no decode row with sequences 8 and context 64"),
        (("decode,1,8,8,64,", "decode,2,8,8,64,"), "no decode row with sequences 8 and context 64"),
        (("prefill,1,16,1,", "decode,1,16,16,"), "the same decode step"),
    ] {
        let text = good.replacen(change.0, change.1, 1);
        let got = StepTable::parse("t.csv", &text, 1).err().map(|e| e.to_string()).unwrap_or_default();
        // The third change makes a decode step at context 0, which no sequence has.
        let ok = got.contains(want) || got.contains("context `0` is not a whole number from 1 up");
        assert!(ok, "{change:?}: expected `{want}` in\n{got}");
    }
    let with_time = |start: &str, us: &str| {
        let line = |l: &str| if l.starts_with(start) { format!("{start}{us}\n") } else { format!("{l}\n") };
        good.lines().map(line).collect::<String>()
    };
    let rows = StepTable::parse("t.csv", &with_time("decode,1,8,8,512,", "9.5"), 1).expect("it reads");
    // The running maximum lifts one fast row to the one before it: nothing to refuse.
    assert!(TableCost::new(&spec, rows).is_ok());
    let rows = StepTable::parse("t.csv", &with_time("prefill,1,16,1,0,", "9.5"), 1).expect("it reads");
    let text = TableCost::new(&spec, rows).expect_err("too fast").to_string();
    assert!(text.contains("t.csv:23:1") && text.contains("beats the datasheet"), "{text}");
}

/// A whole study on a table: the same results with and without leaps.
#[test]
fn a_study_on_a_table_is_the_same_step_by_step() {
    let folder = tempfile::tempdir().expect("a folder");
    let spec = spec("h100-sxm", "llama-3.1-8b", "vllm-0.19", 1);
    fs::write(folder.path().join("steps.csv"), sampled(&spec, noisy)).expect("written");
    let scenario = "title = \"t\"\nseeds = 1\n[workload]\nrecipe = \"burstgpt-conv\"\nrequests = 60\nrate = \"6 req/s\"\n\
        [slo]\nttft = \"1 s\"\n[deployment]\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n\
        engine = \"vllm-0.19\"\nbackend = { table = \"steps.csv\" }\n[systems]\nreference = \"vllm-v1\"\n\
        compare = [\"vllm-v1\", \"orca\"]\n";
    fs::write(folder.path().join("s.toml"), scenario).expect("written");
    let run = |out: &str, more: &[&str]| {
        let mut command = Command::cargo_bin("windtunnel").expect("built");
        command.current_dir(folder.path()).env_clear().args(["run", "s.toml", "--audit", "--out", out]);
        let output = command.args(more).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut found = Vec::new();
        collect(&folder.path().join(out), "summary.csv", &mut found);
        assert_eq!(found.len(), 1, "one summary");
        fs::read_to_string(&found[0]).expect("a summary")
    };
    assert_eq!(run("a", &[]), run("b", &["--stepwise"]));
}

fn collect(folder: &std::path::Path, name: &str, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, name, found);
        } else if path.file_name().is_some_and(|n| n == name) {
            found.push(path);
        }
    }
}
