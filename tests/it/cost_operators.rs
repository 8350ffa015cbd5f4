//! The operator table against formulae written down again from "LLM Inference Unveiled" (arXiv 2402.16363).
//!
//! Llama-2-7B, batch 1, 2048 tokens, on an A6000 and an H100, all efficiencies 1. The paper's tool, LLM-Viewer, has
//! faults that are not repeated here and not in the formulae below: KV of FlashAttention by query heads and once
//! instead of twice, attention output `seqlen` wide instead of `head size`, no causal half of a prompt's scores, Q
//! read as a second K in prefill, MLP activation of the hidden size, one input of an addition, H100 at 3.072 TB/s.

use windtunnel::cost::{Attention, Bound, Chunk, Operator, Precision, StepShape, operators};
use windtunnel::hardware::Rates;
use windtunnel::units::{BytesPerSecond, FlopsPerSecond};

use crate::cost::{decode, report, spec};

/// Name, FLOPs, bytes of one layer of Llama-2-7B (d 4096, 32 heads of 128, ff 11008, 16 bit).
type Row = (&'static str, f64, f64);

/// `m` new tokens, each attending to what makes `pairs` (query, key) pairs in all, over `kv` cached tokens.
fn by_hand(m: f64, pairs: f64, kv: f64, fused: bool) -> Vec<Row> {
    let (d, ff, heads, hd, b) = (4096.0, 11008.0, 32.0, 128.0, 2.0);
    let project = |name, k: f64, n: f64| (name, 2.0 * m * k * n, b * (k * n + m * k + m * n));
    let q = m * d * b;
    let mut rows = vec![
        ("attn_norm", 7.0 * m * d, 2.0 * q),
        project("q_proj", d, d),
        project("k_proj", d, d),
        project("v_proj", d, d),
    ];
    let matmul = 2.0 * pairs * hd * heads;
    let cache = kv * heads * hd * b;
    let scores = pairs * heads * b;
    if fused {
        rows.push(("attention", 2.0 * matmul + 5.0 * pairs * heads, 2.0 * q + 2.0 * cache));
    } else {
        rows.push(("qk_matmul", matmul, q + cache + scores));
        rows.push(("softmax", 5.0 * pairs * heads, 2.0 * scores));
        rows.push(("sv_matmul", matmul, scores + cache + q));
    }
    rows.extend([
        project("o_proj", d, d),
        ("attn_add", m * d, 3.0 * q),
        ("mlp_norm", 7.0 * m * d, 2.0 * q),
        project("gate_proj", d, ff),
        project("up_proj", d, ff),
        ("mlp_act", 2.0 * m * ff, 3.0 * m * ff * b),
        project("down_proj", ff, d),
        ("mlp_add", m * d, 3.0 * q),
        ("lm_head", 2.0 * d * 32000.0, b * (d * 32000.0 + d + 32000.0)),
    ]);
    rows
}

#[track_caller]
fn close(what: &str, got: f64, want: f64) {
    assert!((got / want - 1.0).abs() < 1e-12, "{what}: {got} is not {want}");
}

#[test]
fn llama_2_7b_on_a6000_and_h100_equals_the_paper_within_rounding() {
    let spec = spec("h100-sxm", "llama-2-7b", "none", 1);
    let prompt = [Chunk { tokens: 2048, past: 0 }];
    let prefill = StepShape { chunks: &prompt, decode: decode(0, 0) };
    let one = StepShape { chunks: &[], decode: decode(1, 2048) };
    let half = 2048.0 * 2048.0 / 2.0;
    // (device, peak, bandwidth, turning point, compute-bound operators of a prompt)
    for (device, peak, bandwidth, turning) in
        [("A6000", 154.8e12, 768e9, 201.5625), ("H100", 989e12, 3.35e12, 295.223_880_597)]
    {
        let rates = Rates { peak: FlopsPerSecond(peak), bandwidth: BytesPerSecond(bandwidth) };
        for (phase, shape, m, pairs) in [("prefill", &prefill, 2048.0, half), ("decode", &one, 1.0, 2048.0)] {
            for fused in [false, true] {
                let kind = if fused { Attention::Fused } else { Attention::Unfused };
                let table = operators(&spec, 0, shape, kind);
                let want = by_hand(m, pairs, 2048.0, fused);
                assert_eq!(
                    table.iter().map(|o| o.name).collect::<Vec<_>>(),
                    want.iter().map(|r| r.0).collect::<Vec<_>>()
                );
                for (operator, (name, flops, bytes)) in table.iter().zip(want) {
                    let what = format!("{device} {phase} {name}");
                    close(&what, operator.flops, flops);
                    close(&what, operator.bytes(), bytes);
                    close(&what, operator.intensity(), flops / bytes);
                    let compute = flops / bytes >= turning;
                    assert_eq!(operator.bound(&rates) == Bound::Compute, compute, "{what}");
                    let time = if compute { flops / peak } else { bytes / bandwidth };
                    close(&what, operator.time(&rates).0, time);
                }
            }
        }
    }
}

fn names(table: &[Operator], rates: &Rates, bound: Bound) -> Vec<&'static str> {
    table.iter().filter(|o| o.bound(rates) == bound).map(|o| o.name).collect()
}

/// The paper's reading of its figure 4: all of decode is memory-bound, the layers of a prompt are compute-bound.
#[test]
fn the_papers_conclusions_hold() {
    let rates = Rates { peak: FlopsPerSecond(154.8e12), bandwidth: BytesPerSecond(768e9) };
    let spec = spec("a40", "llama-2-7b", "none", 1);
    let one = StepShape { chunks: &[], decode: decode(1, 2048) };
    let table = operators(&spec, 0, &one, Attention::Unfused);
    assert!(names(&table, &rates, Bound::Compute).is_empty());
    let prompt = [Chunk { tokens: 2048, past: 0 }];
    let prefill = StepShape { chunks: &prompt, decode: decode(0, 0) };
    let table = operators(&spec, 0, &prefill, Attention::Unfused);
    let projections = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];
    assert_eq!(names(&table, &rates, Bound::Compute), projections);
    let time = |t: &[Operator]| t.iter().map(|o| f64::from(o.repeats) * o.time(&rates).0).sum::<f64>();
    report(format_args!("A6000 Llama-2-7B: prefill {:.1} ms", 1e3 * time(&table)));
    // Quantised weights shorten decode, in which weights are nearly all bytes.
    let table = operators(&spec, 0, &one, Attention::Fused);
    let mut four_bit = spec.clone();
    four_bit.weights = Precision::W4a16;
    let faster = operators(&four_bit, 0, &one, Attention::Fused);
    let gain = time(&table) / time(&faster);
    report(format_args!("decode {:.2} ms, 4-bit weights {gain:.2} times faster", 1e3 * time(&table)));
    assert!((2.0..3.9).contains(&gain), "{gain}");
}

/// Shares of a tensor-parallel group and of pipeline stages add up to the whole model.
#[test]
fn shards_and_stages_add_up() {
    let whole = spec("h100-sxm", "llama-3.1-70b", "none", 1);
    let mut parts = whole.clone();
    (parts.tensor_parallel, parts.pipeline) = (4, 3);
    let prompt = [Chunk { tokens: 512, past: 100 }];
    let shape = StepShape { chunks: &prompt, decode: decode(7, 9000) };
    let flops = |spec, stage| {
        let multiplies = |o: &&Operator| o.weights > 0.0 || o.kv > 0.0;
        let table = operators(spec, stage, &shape, Attention::Fused);
        table.iter().filter(multiplies).map(|o| f64::from(o.repeats) * o.flops).sum::<f64>()
    };
    close("FLOPs", 4.0 * (0..3).map(|s| flops(&parts, s)).sum::<f64>(), flops(&whole, 0));
    let weights: f64 =
        operators(&whole, 0, &shape, Attention::Fused).iter().map(|o| f64::from(o.repeats) * o.weights).sum();
    let input_embedding = whole.model.embedding_parameters() as f64 * 2.0;
    close("weights", weights + input_embedding, whole.model.weights(2.0).0);
    assert!(operators(&parts, 3, &shape, Attention::Fused).is_empty());
}
