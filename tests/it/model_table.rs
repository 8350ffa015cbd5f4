//! Models: parameters and KV per token as published, what is refused, and what a file can get wrong.

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::model::Model;
use windtunnel::scenario::{Flags, StudyPlan, Target};

use crate::cost::spec;

/// File, parameters and those that a token uses in billions, KiB of 16-bit KV per token. As printed, so to one
/// decimal; where the publisher gives no active number it is the total without the input embedding.
const TABLE: &[(&str, f64, Option<f64>, f64)] = &[
    ("opt-13b", 12.8, None, 800.0),
    ("opt-30b", 30.0, None, 1344.0),
    ("opt-66b", 65.7, None, 2304.0),
    ("opt-175b", 174.6, None, 4608.0),
    ("gpt-3-175b", 174.6, None, 4608.0),
    ("gpt-3-13b", 12.8, None, 800.0),
    ("gpt-3-101b", 101.2, None, 3200.0),
    ("gpt-3-341b", 340.5, None, 7200.0),
    ("llama-7b", 6.7, None, 512.0),
    ("llama-7b-16k", 6.7, None, 512.0),
    ("llama-2-7b", 6.7, None, 512.0),
    ("llama-13b", 13.0, None, 800.0),
    ("llama-2-13b", 13.0, None, 800.0),
    ("llama-33b", 32.5, None, 1560.0),
    ("llama-65b", 65.3, None, 2560.0),
    ("llama-2-70b", 69.0, None, 320.0),
    ("llama-3-8b", 8.0, None, 128.0),
    ("llama-3.1-8b", 8.0, None, 128.0),
    ("llama-3-70b", 70.6, None, 320.0),
    ("llama-3.1-70b", 70.6, None, 320.0),
    ("llama-3.1-405b", 405.8, None, 504.0),
    ("mistral-7b", 7.2, None, 128.0),
    ("mistral-7b-v0.1", 7.2, None, 128.0),
    ("mixtral-8x7b", 46.7, Some(12.7), 128.0),
    ("mixtral-8x22b", 140.6, Some(39.0), 224.0),
    ("codellama-34b", 33.7, None, 192.0),
    ("yi-34b", 34.4, None, 240.0),
    ("yi-34b-200k", 34.4, None, 240.0),
    ("falcon-180b", 178.6, None, 160.0),
    ("qwen2.5-72b", 72.7, None, 320.0),
    ("qwen3-8b", 8.2, None, 144.0),
    ("qwen3-14b", 14.8, None, 160.0),
    ("qwen3-32b", 32.8, None, 256.0),
    ("qwen3-30b-a3b", 30.5, Some(3.0), 96.0),
    ("qwen3-30b-a3b-2507", 30.5, Some(3.0), 96.0),
    ("qwen3-235b-a22b", 235.1, Some(21.6), 188.0),
    ("gpt-oss-120b", 116.8, Some(5.1), 72.0),
    ("gpt-oss-20b", 20.9, Some(3.6), 48.0),
    ("deepseek-v2", 235.7, Some(20.9), 67.5),
    ("deepseek-v3", 671.0, Some(36.6), 68.625),
    ("deepseek-r1", 671.0, Some(36.6), 68.625),
    ("bloom-176b", 176.2, None, 3920.0),
    ("phi-3-mini-4k", 3.8, None, 384.0),
    ("phi-3-mini-128k", 3.8, None, 384.0),
    ("phi-3-medium-4k", 14.0, None, 200.0),
    ("phi-3-medium-128k", 14.0, None, 200.0),
];

#[test]
fn parameters_and_kv_are_those_of_the_table() {
    // One per cent, or half of the last printed digit where that is more.
    let near = |counted: u64, printed: f64| {
        let billions = counted as f64 / 1e9;
        (billions - printed).abs() <= (0.01 * printed).max(0.05)
    };
    for &(name, total, active, kv) in TABLE {
        let m = Model::load(name, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(near(m.parameters(), total), "{name}: {} parameters", m.parameters());
        let (used, of_all) = (m.active_parameters(), active.unwrap_or(total));
        if active.is_some() {
            assert!(near(used, of_all), "{name}: {used} active parameters");
        } else {
            let lookup = if m.tied_embeddings { 0 } else { m.embedding_parameters() };
            assert_eq!(used, m.parameters() - lookup, "{name}");
        }
        assert_eq!(m.kv_bytes_per_token(2.0).0, kv * 1024.0, "{name}: KV of a token");
        assert!(
            m.source.contains("to be checked"),
            "{name}: its context is from memory, which its source says"
        );
    }
    let missing: Vec<_> =
        embedded_names(Shelf::Models).into_iter().filter(|n| !TABLE.iter().any(|row| row.0 == *n)).collect();
    assert!(missing.is_empty(), "models without a row: {missing:?}");
}

#[test]
fn what_is_not_modelled_is_refused_with_the_nearest_that_is() {
    for (name, what, nearest) in [
        ("mixtral-8x7b", "mixture of experts", "`llama-2-13b`"),
        ("qwen3-235b-a22b", "mixture of experts", "in memory"),
        ("deepseek-v3", "latent attention", "`llama-3.1-405b`"),
        ("gpt-oss-20b", "mixture of experts", "20.9 B"),
        ("mistral-7b-v0.1", "attends to 4096 tokens in 32 of 32 layers", "at most 4096"),
        ("phi-3-mini-4k", "attends to 2047 tokens", "at most 2047"),
    ] {
        let errors = spec("h100-sxm", name, "none", 1).check().expect_err(name);
        let text = errors.to_string();
        assert!(text.contains(what) && text.contains("not modelled yet"), "{name}: {text}");
        let help = &errors.0[0].help;
        assert!(help.contains(nearest), "{name}: {help}");
    }
    // A window that no context leaves changes nothing.
    for name in ["phi-3-mini-128k", "phi-3-medium-128k", "mistral-7b"] {
        assert!(spec("h100-sxm", name, "none", 1).check().is_ok(), "{name}");
    }
    let mut served = spec("h100-sxm", "mistral-7b-v0.1", "none", 1);
    served.model.max_model_len = 4096;
    assert!(served.check().is_ok());
}

/// One system on one H100.
pub fn resolve(sets: &[&str]) -> Result<StudyPlan, String> {
    let mut sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    sets.extend(["systems.reference=\"vllm-v1\"".to_owned(), "systems.compare=[\"vllm-v1\"]".to_owned()]);
    StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &Flags { sets, seeds: None })
        .map_err(|e| e.to_string())
}

#[test]
fn a_window_is_served_up_to_its_length() {
    let sets = |limit: &'static str| ["deployment.model=\"mistral-7b-v0.1\"", limit];
    let short = resolve(&sets("deployment.max-model-len=4096")).expect("inside the window");
    let same = resolve(&["deployment.model=\"mistral-7b\"", "deployment.max-model-len=4096"]).expect("dense");
    let blocks = |plan: &StudyPlan| plan.systems[0].cluster.replica.kv.blocks;
    assert_eq!(blocks(&short), blocks(&same), "exactly the dense model");
    let error = resolve(&sets("deployment.max-model-len=4097")).err().expect("beyond the window");
    assert!(error.contains("sliding windows are not modelled yet"), "{error}");
}
