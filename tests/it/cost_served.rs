//! Time per token of engines under load, against what others measured at fixed concurrency.

use windtunnel::cost::{Chunk, CostSpec, Datasheet, KvPrecision, Precision, StepCost, StepShape};
use windtunnel::units::Seconds;

use crate::cost::{decode, decode_only, roofline, spec};
use crate::cost_baselines::{Row, judge};
use crate::shared_data::shared;

/// Mean time per output token in a closed loop of `n` clients: each decode step of the batch, and its share of the
/// prompts that others bring in meanwhile (`n/osl` prompts per step; each adds what a mixed step has more).
fn tpot_ms(cost: &dyn StepCost, [n, isl, osl]: [u32; 3]) -> f64 {
    let context = u64::from(n) * (u64::from(isl) + u64::from(osl) / 2);
    let alone = cost.step(0, &decode_only(decode(n, context))).total().as_ms_f64();
    if n == 1 {
        return alone;
    }
    let chunks = [Chunk { tokens: isl, past: 0 }];
    let others = decode(n - 1, context - context / u64::from(n));
    let mixed = cost.step(0, &StepShape { chunks: &chunks, decode: others }).total().as_ms_f64();
    alone + f64::from(n - 1) / f64::from(osl) * (mixed - alone).max(0.0)
}

/// Which rows, and how to deploy them.
struct Group {
    system: &'static str,
    model_path: &'static str,
    backend: &'static str,
    model: &'static str,
    /// What the rows say; `bf16` where they say nothing.
    said: Precision,
    /// What is deployed.
    weights: Precision,
    skew_us: f64,
}

fn rows(group: &Group) -> Option<Vec<Row>> {
    let path = shared("groundtruth/endtoend_aic_silicon_dense_h100_h200.csv")?;
    let mut rows = Vec::new();
    for row in csv::Reader::from_path(path).expect("a readable table").records() {
        let row = row.expect("a row");
        if (&row[1], &row[2], &row[3]) != (group.system, group.model_path, group.backend) {
            continue;
        }
        let fp8 = &row[5] == "fp8";
        if fp8 != (group.said == Precision::Fp8) || row[13].is_empty() {
            continue;
        }
        let number = |i: usize| row[i].parse::<f64>().expect("a number");
        let count = |i: usize| number(i) as u32;
        if count(8) != 1 || count(10) < 2 {
            continue;
        }
        let name = if group.system == "h100_sxm" { "h100-sxm" } else { "h200-sxm" };
        let base = spec(name, group.model, "vllm-0.19", count(7));
        let mut deployed = CostSpec { weights: group.weights, kv: KvPrecision::Bf16, ..base };
        deployed.overrides.skew = Some(Seconds(group.skew_us / 1e6));
        let load = [count(11), count(9), count(10)];
        rows.push(Row {
            group: format!("{} {} {}", &row[1], &row[2], &row[4]),
            at: vec![number(7), number(11), number(9), number(10)],
            measured: number(13),
            model: tpot_ms(&roofline(&deployed), load),
            datasheet: tpot_ms(&Datasheet::new(&deployed).expect("a bound"), load),
        });
    }
    Some(rows)
}

/// Bands on what was held out entirely: nothing of these rows is in any constant, and the engine adds no host time.
#[test]
fn time_per_token_under_load() {
    let (fp8, half) = (Precision::Fp8, Precision::Bf16);
    const QWEN: &str = "Qwen/Qwen3-32B";
    for (what, model_path, backend, model, said, weights, limit) in [
        ("vLLM 70B fp8", "meta-llama/Llama-3.1-70B", "vllm", "llama-3.1-70b", fp8, fp8, Some(0.10)),
        ("TRT-LLM Qwen3-32B fp8", QWEN, "trtllm", "qwen3-32b", fp8, fp8, Some(0.12)),
        (
            "TRT-LLM 8B bf16",
            "meta-llama/Llama-3.1-8B-Instruct",
            "trtllm",
            "llama-3.1-8b",
            half,
            half,
            Some(0.08),
        ),
        ("vLLM 0.12 Qwen3-32B, precision not given, as bf16", QWEN, "vllm", "qwen3-32b", half, half, None),
        ("vLLM 0.12 Qwen3-32B, precision not given, as fp8", QWEN, "vllm", "qwen3-32b", half, fp8, None),
        ("SGLang Qwen3-32B, precision not given, as bf16", QWEN, "sglang", "qwen3-32b", half, half, None),
        ("SGLang Qwen3-32B, precision not given, as fp8", QWEN, "sglang", "qwen3-32b", half, fp8, None),
        (
            "SGLang Qwen3-32B, precision not given, as fp8-block",
            QWEN,
            "sglang",
            "qwen3-32b",
            half,
            Precision::Fp8Block,
            None,
        ),
    ] {
        for skew_us in [0.0, 6.0] {
            let group = Group { system: "h100_sxm", model_path, backend, model, said, weights, skew_us };
            let Some(rows) = rows(&group) else { return };
            let judged = judge(&format!("TPOT under load, {what}, skew {skew_us} us"), &rows);
            if let Some(limit) = limit {
                assert!(judged.model.median <= limit, "{what}: {:?}", judged.model);
                for (baseline, band) in [
                    ("datasheet", judged.datasheet),
                    ("nearest", judged.nearest),
                    ("constant", judged.constant),
                ] {
                    assert!(judged.model.median < band.median, "{what}: {baseline} is nearer: {band:?}");
                }
            }
        }
    }
}
