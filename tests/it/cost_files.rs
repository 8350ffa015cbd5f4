//! Every data file loads and keeps its bounds; what is wrong in one is said with its place.

use std::fs;

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::cost::{EngineProfile, MemoryRequest, kv_blocks};
use windtunnel::hardware::{Accelerator, Grade, Host, Link};
use windtunnel::model::Model;

use crate::cost::{report, spec};

#[test]
fn every_file_loads_and_keeps_its_bounds() {
    for name in embedded_names(Shelf::Accelerators) {
        let a = Accelerator::load(name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(a.gemm.ec * a.basis.peak.0 <= a.datasheet.bf16.0, "{name}");
        assert!(a.gemm.eb * a.basis.bandwidth.0 <= a.datasheet.bandwidth.0, "{name}");
        assert!(a.attention.ea * a.basis.bandwidth.0 <= a.datasheet.bandwidth.0, "{name}");
        assert!(a.datasheet.tdp.0 > a.power.idle.0, "{name}");
        assert!(
            a.gemm.grade != Grade::Derived || a.gemm.source.contains("relative"),
            "{name}: which relative?"
        );
        let engine = EngineProfile::load(&a.default_engine, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(engine.for_simulation().is_ok(), "{name}: default engine");
    }
    for name in embedded_names(Shelf::Links) {
        Link::load(name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in embedded_names(Shelf::Hosts) {
        Host::load(name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in embedded_names(Shelf::Models) {
        Model::load(name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    for name in embedded_names(Shelf::Engines) {
        let engine = EngineProfile::load(name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(engine.for_simulation().is_ok(), name != "vllm-0.11-h100");
    }
    assert!(embedded_names(Shelf::Accelerators).len() >= 28);
    assert!(embedded_names(Shelf::Models).len() >= 38);
}

/// Loads a changed copy of an embedded file from a scenario's folder.
fn changed(shelf: Shelf, name: &str, from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let text = windtunnel::catalog::embedded(shelf, name).expect("embedded").text;
    assert!(text.contains(from), "{name} has no `{from}`");
    fs::write(folder.path().join(format!("{name}.toml")), text.replacen(from, to, 1)).expect("written");
    let beside = Some(folder.path());
    let error = match shelf {
        Shelf::Accelerators => Accelerator::load(name, beside).err(),
        Shelf::Models => Model::load(name, beside).err(),
        Shelf::Engines => EngineProfile::load(name, beside).err(),
        _ => Link::load(name, beside).err(),
    };
    error.map_or_else(String::new, |e| e.to_string())
}

#[test]
fn a_wrong_value_is_refused_where_it_stands() {
    use Shelf::{Accelerators, Engines, Links, Models};
    for (shelf, name, from, to, want) in [
        (
            Accelerators,
            "h100-sxm",
            "ec = 0.718",
            "ec = 1.718",
            ":22:1: `fit.bf16.ec` must be in (0, 1], got 1.718",
        ),
        (Accelerators, "h100-sxm", "ec = 0.718", "ecc = 0.718", "did you mean `ec`?"),
        (Accelerators, "h100-sxm", "idle = \"70 W\"", "idle = \"800 W\"", "above the idle power of 800 W"),
        (Accelerators, "h100-sxm", "\"3.35 TB/s\"", "3.35", "with its unit in quotes"),
        (Accelerators, "h100-sxm", "epb = 0.41\n", "", "`ep`, `epb` or `tau`"),
        (Accelerators, "rtx-4090", "tau = \"31.2 ns\"", "tau = \"3.12 ns\"", "above the datasheet's"),
        (
            Accelerators,
            "h100-sxm",
            "scale-up = \"nvlink-4\"",
            "scale-up = \"nvlink-9\"",
            ":75:1: unknown link `nvlink-9`",
        ),
        (Accelerators, "h100-sxm", "p = 1.9", "p = 0.4", "`fit.fp8.p` must be in [1, 16], got 0.4"),
        (
            Accelerators,
            "h100-sxm",
            "fp8 = \"1979 TFLOP/s\"\n",
            "",
            "needs the datasheet's peak of its arithmetic",
        ),
        (Models, "llama-2-7b", "layers = 32", "layers = 31", "the dimensions give"),
        (Models, "llama-2-7b", "kv-heads = 32", "kv-heads = 12", "of 12 does not divide `heads` of 32"),
        (
            Models,
            "mixtral-8x7b",
            "active = 2",
            "active = 9",
            "`experts.active` of 9 is not in 1 to `count` = 8",
        ),
        (Engines, "vllm-0.19", "  1, 2, 4,", "  2, 1, 4,", "`graphs.sizes` must rise"),
        (Engines, "none", "late-stop = false", "late-stop = true", "needs `host = \"overlapped\"`"),
        (
            Links,
            "nvlink-4",
            "bandwidth = \"450 GB/s\"",
            "bandwidth = \"200 GB/s\"",
            "above the link's own 200 GB/s",
        ),
        (Links, "nvlink-4", "floor = \"5 us\"", "flor = \"5 us\"", "did you mean `floor`?"),
    ] {
        let got = changed(shelf, name, from, to);
        assert!(got.contains(want), "{name} with `{to}`: expected `{want}` in\n{got}");
    }
}

/// Published capacities; the bands are ours.
#[test]
fn kv_capacity_meets_what_was_published() {
    for (accelerator, model, engine, published, source) in [
        ("rtx-4090", "llama-3.1-8b", "vllm-0.19", 2588 * 16, "vLLM 0.19 log, 2588 blocks of 16"),
        ("a100-40g-sxm", "opt-13b", "vllm-2023-a100", 15_700, "15.7k slots"),
        ("a10g", "llama-7b", "vllm-2023-a100", 13_616, "LLaMA-7B on A10 24 GB"),
    ] {
        let spec = spec(accelerator, model, engine, 1);
        let limits = spec.engine.limits(spec.accelerator.batch_class);
        let request = MemoryRequest { utilization: None, limits, kv_blocks: None };
        let capacity = kv_blocks(&spec, &request).expect("it fits");
        let error = capacity.tokens() as f64 / f64::from(published) - 1.0;
        report(format_args!(
            "{source}: computed {} tokens, published {published}, {:+.1} %",
            capacity.tokens(),
            100.0 * error
        ));
        assert!(error.abs() <= 0.10, "{source}: {capacity:?}");
        let rest = capacity.visible.0 * capacity.utilization
            - capacity.weights.0
            - capacity.activations.0
            - capacity.other.0;
        assert!((rest / capacity.kv.0 - 1.0).abs() < 1e-12, "the parts sum to the budget");
        let explicit = kv_blocks(&spec, &MemoryRequest { kv_blocks: Some(77), ..request }).expect("it fits");
        assert_eq!((explicit.blocks, explicit.computed), (77, capacity.computed));
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused_with_the_sum() {
    let spec = spec("a100-80g-sxm", "llama-2-70b", "vllm-0.6-a100", 1);
    let limits = spec.engine.limits(spec.accelerator.batch_class);
    let request = MemoryRequest { utilization: None, limits, kv_blocks: None };
    let text = kv_blocks(&spec, &request).expect_err("138 GB on 80 GB").to_string();
    assert!(text.contains("no KV block fits") && text.contains("raise `parallel.tp`"), "{text}");
}
