//! The explain and list verbs: rows that sum, lines that fit, nothing left out.

use assert_cmd::Command;
use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::cost::{Chunk, DecodeShape, StepShape};
use windtunnel::report::plot::{Layout, Picture};
use windtunnel::report::roofline::{Bound, chart, steps};

use crate::cost::{roofline, spec};

/// stdout and stderr of a command that works, 100 columns wide.
#[track_caller]
fn run(args: &[&str]) -> (String, String) {
    run_at("100", args)
}

/// The same in a terminal of `columns`.
#[track_caller]
fn run_at(columns: &str, args: &[&str]) -> (String, String) {
    let mut command = Command::cargo_bin("windtunnel").unwrap();
    let output = command.args(args).env("COLUMNS", columns).env("NO_COLOR", "1").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{args:?}: {err}");
    (out, err)
}

#[test]
fn lists_fit_a_hundred_columns_and_name_everything_whole() {
    for (what, shelf) in [
        ("accelerators", Shelf::Accelerators),
        ("hosts", Shelf::Hosts),
        ("links", Shelf::Links),
        ("models", Shelf::Models),
    ] {
        let (out, _) = run(&["list", what]);
        assert!(out.lines().all(|l| l.chars().count() <= 100), "{what} is too wide:\n{out}");
        assert!(!out.contains('\u{1b}'), "{what}: colours despite NO_COLOR");
        for name in embedded_names(shelf) {
            let row = out.lines().find(|l| l.split_whitespace().next() == Some(name));
            assert!(
                row.is_some_and(|r| r.split_whitespace().count() >= 5),
                "{what}: no row for {name}\n{out}"
            );
        }
    }
}

/// The rows are made from formulas of their own; the cost model gives the totals.
#[test]
fn operators_sum_to_the_step_and_elementwise_is_what_the_formula_says() {
    for (accelerator, model, engine, tp) in [
        ("h100-sxm", "llama-3.1-8b", "none", 1),
        ("h100-sxm", "llama-3.1-70b", "vllm-0.19", 8),
        ("a100-80g-sxm", "opt-13b", "vllm-0.6-a100", 2),
        ("rtx-4090", "falcon-180b", "none", 4),
    ] {
        let spec = spec(accelerator, model, engine, tp);
        let cost = roofline(&spec);
        let made = steps(&spec, 512, 700, &[1, 48, 300]).unwrap();
        let chunk = [Chunk { tokens: 512, past: 0 }];
        let decode = |n: u32| DecodeShape { n, padding: 0, context: u64::from(n) * 700 };
        let shapes = [
            StepShape { chunks: &chunk, decode: DecodeShape::default() },
            StepShape { chunks: &[], decode: decode(1) },
            StepShape { chunks: &[], decode: decode(48) },
            StepShape { chunks: &[], decode: decode(300) },
        ];
        for (step, shape) in made.steps.iter().zip(&shapes) {
            let place = format!("{model} on {accelerator}, {engine}: {}", step.name);
            let exact = cost.exact(0, shape);
            assert!((step.seconds() / exact.total().0 - 1.0).abs() < 1e-9, "{place}: does not sum");
            let row = |name: &str| step.operators.iter().find(|o| o.name == name).unwrap();
            let ew = &spec.accelerator.elementwise;
            let bytes_time = row("element-wise").bytes / (spec.accelerator.basis.bandwidth.0 * ew.ee);
            let formula = f64::from(spec.model.layers) * ew.ew0.0 + bytes_time;
            let got = row("element-wise").seconds;
            assert!((got / formula - 1.0).abs() < 1e-6, "{place}: element-wise {got} against {formula}");
            for o in &step.operators {
                let rate = o.rate().unwrap_or(0.0);
                assert!(rate <= spec.accelerator.datasheet.bf16.0, "{place}: {} beats the roof", o.name);
            }
            assert_eq!(step.operators.iter().any(|o| o.name == "all-reduce"), tp > 1, "{place}");
        }
    }
}

#[test]
fn decode_waits_for_memory_and_prefill_for_compute() {
    let spec = spec("h100-sxm", "llama-3.1-8b", "none", 1);
    let made = steps(&spec, 2048, 1024, &[1, 8, 64, 256, 2048]).unwrap();
    let bound = |step: usize, name: &str| {
        made.steps[step].operators.iter().find(|o| o.name == name).map(|o| o.bound).unwrap()
    };
    assert_eq!((bound(0, "gate/up"), bound(0, "attention")), (Bound::Compute, Bound::Compute));
    assert_eq!((bound(1, "gate/up"), bound(3, "gate/up")), (Bound::Memory, Bound::Memory));
    assert_eq!((bound(5, "gate/up"), bound(5, "attention")), (Bound::Compute, Bound::Memory));
    // Where 2mnk/(P ec) = bytes/(B eb) for k = 4096, n = 28672 and 2-byte values.
    let (p, b) = (989e12 * 0.718, 3.35e12 * 0.872);
    let (n, k) = (28_672.0, 4096.0);
    let ridge = n * k / (n * k * b / p - (k + n));
    let found = f64::from(made.ridge_batch.unwrap());
    assert!((found - ridge).abs() <= 1.0, "{found} against {ridge}");
    let svg = chart(&spec, &made).draw(Layout::File);
    for part in
        ["<title>llama-3.1-8b on h100-sxm", "prefers-color-scheme:dark", "stroke-dasharray", "datasheet roof"]
    {
        assert!(svg.contains(part), "{part}");
    }
}

#[test]
fn explain_roofline_writes_tables_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a100.svg");
    let args =
        ["explain", "roofline", "--accelerator", "a100-80g-sxm", "--tp", "2", "-o", file.to_str().unwrap()];
    let (out, err) = run(&args);
    assert!(out.contains("engine vllm-0.6-a100 is the default of a100-80g-sxm"), "{out}");
    for part in ["prefill of 2048 tokens", "decode of 256 sequences", "all-reduce", "lm_head", "latency"] {
        assert!(out.contains(part), "{part} in\n{out}");
    }
    assert!(out.lines().skip(3).all(|l| l.chars().count() <= 100), "{out}");
    assert!(err.contains("a100.svg") && std::fs::read_to_string(&file).unwrap().contains("</svg>"));
}

#[test]
fn explain_system_shows_every_axis_of_every_preset() {
    for name in embedded_names(Shelf::Systems) {
        let (out, _) = run_at("300", &["explain", "system", name]);
        for part in
            ["paper", "left out", "batch formation", "KV allocation", "routing", "engine profile", "server"]
        {
            assert!(out.contains(part), "{name}: no `{part}`\n{out}");
        }
        assert!(out.contains(&format!("({name}.toml:")), "{name}: nothing is from its preset\n{out}");
    }
    let (out, _) = run_at("300", &["explain", "system", "sarathi-serve", "--scenario", "quickstart"]);
    assert!(out.contains("chunked: max-sequences 1024, token-budget 2048"), "{out}");
    assert!(
        out.contains("paged: block 16, preemption recompute, watermark 0.01")
            && out.contains("quickstart.toml:"),
        "{out}"
    );
}

#[test]
fn explain_step_says_which_engine_it_took() {
    let args = ["explain", "step", "--accelerator", "h100-sxm", "--model", "llama-3.1-8b", "--decode", "8"];
    let (out, _) = run(&args);
    assert!(
        out.contains("engine vllm-0.6-h100 is the default of h100-sxm") && out.contains("vllm-0.19"),
        "{out}"
    );
    let (out, _) = run(&[&args[..], &["--engine", "vllm-0.19", "--tp", "8", "--node", "p5"]].concat());
    assert!(out.contains("engine vllm-0.19 is as asked for") && out.contains("node p5"), "{out}");
}

#[test]
fn an_imported_model_is_a_model_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let config = r#"{"model_type": "mixtral", "hidden_size": 64, "num_attention_heads": 8, "num_hidden_layers": 4,
        "intermediate_size": 192, "vocab_size": 1000, "max_position_embeddings": 512, "num_local_experts": 4,
        "num_experts_per_tok": 2}"#;
    std::fs::write(&path, config).unwrap();
    let (out, err) = run(&["list", "models", "--import", path.to_str().unwrap()]);
    assert!(out.contains("[experts]\ncount = 4\nactive = 2\nwidth = 192\n"), "{out}");
    assert!(err.contains("mixture of experts, which is not modelled yet"), "{err}");
}
