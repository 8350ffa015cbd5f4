//! Bounds and symmetries of the model over every accelerator and every model.

use std::collections::BTreeSet;
use std::sync::Arc;

use windtunnel::cost::{CostSpec, Datasheet, DecodeShape, KvPrecision, Precision, StepCost, StepShape};
use windtunnel::hardware::PrefillLaw;

use crate::cost::{all_specs, decode, decode_only, grid, report, roofline, spec};

/// I5 and the rounding rule, over accelerators x models x shapes.
#[test]
fn no_step_beats_the_datasheet_and_integers_stay_within_a_thousandth() {
    let shapes = grid();
    let (mut worst, mut closest) = (0.0_f64, f64::INFINITY);
    let mut seen = BTreeSet::new();
    for (i, mut spec) in all_specs("none").into_iter().enumerate() {
        // Every fifth as a pipeline too: its stages are bounded one by one.
        spec.pipeline = if i % 5 == 0 { 3 } else { 1 };
        // Number formats in turn, where the accelerator has the row; 8-bit KV on every third.
        let formats = Precision::ALL.into_iter().cycle().skip(i).take(Precision::ALL.len());
        let has = |p: &Precision| p.is_half() || p.row(&spec.accelerator.quantised).is_some();
        spec.weights = formats.into_iter().find(has).expect("16 bits at least");
        seen.insert(spec.weights.name());
        spec.kv = if i % 3 == 0 { KvPrecision::Fp8 } else { KvPrecision::Bf16 };
        let (cost, bound) = (roofline(&spec), Datasheet::new(&spec).expect("a bound"));
        let stages = 0..cost.stages();
        for (stage, (chunks, decode)) in
            stages.flat_map(|stage| shapes.iter().map(move |shape| (stage, shape)))
        {
            let shape = StepShape { chunks, decode: *decode };
            let place = || {
                format!(
                    "{} {} tp{} stage {stage} {shape:?}",
                    spec.accelerator.name, spec.model.name, spec.tensor_parallel
                )
            };
            let (compute, memory) = bound.terms(stage, &shape);
            let limit = compute.0.max(memory.0);
            let total = cost.step(stage, &shape).total().as_secs_f64();
            assert!(total >= limit, "{}: {total} s beats {limit} s", place());
            assert!(
                total >= bound.step(stage, &shape).total().as_secs_f64(),
                "{}: beats the integer bound",
                place()
            );
            closest = closest.min(total / limit);
            let exact = cost.exact(stage, &shape).total().0;
            worst = worst.max((total / exact - 1.0).abs());
            assert!((total / exact - 1.0).abs() <= 1e-3, "{}: {total} s against {exact} s", place());
            let ideal = bound.step(stage, &shape).total().as_secs_f64();
            assert!((ideal / limit - 1.0).abs() <= 1e-3, "{}: ideal {ideal} s against {limit} s", place());
        }
    }
    assert_eq!(seen.len(), Precision::ALL.len(), "{seen:?}");
    report(format_args!(
        "rounding: largest |T_int/T_f64 - 1| {worst:.2e}; nearest to the datasheet {closest:.3}"
    ));
}

#[test]
fn more_sequences_and_more_context_never_cost_less() {
    for engine in ["none", "vllm-0.19", "vllm-2023-a100"] {
        for (accelerator, model, tp) in
            [("h100-sxm", "llama-3.1-8b", 1), ("rtx-4090", "llama-2-7b", 1), ("a100-80g-sxm", "opt-66b", 4)]
        {
            let cost = roofline(&spec(accelerator, model, engine, tp));
            let total = |n, each: u64| cost.step(0, &decode_only(decode(n, u64::from(n) * each))).total();
            for n in 1..700 {
                assert!(total(n + 1, 300) >= total(n, 300), "{engine} {accelerator}: n {n}");
            }
            for each in 1..2000 {
                assert!(total(16, each + 1) >= total(16, each), "{engine} {accelerator}: context {each}");
            }
            let mixed = |context| {
                let chunks = [windtunnel::cost::Chunk { tokens: 480, past: 64 }];
                cost.step(0, &StepShape { chunks: &chunks, decode: decode(20, context) }).total()
            };
            for context in (20..200_000).step_by(371) {
                assert!(mixed(context + 371) >= mixed(context), "{engine} {accelerator}: mixed {context}");
            }
        }
    }
}

/// I13: every rate doubled and every fixed time halved.
fn twice_as_fast(mut spec: CostSpec) -> CostSpec {
    let acc = &mut spec.accelerator;
    acc.basis.peak = acc.basis.peak * 2.0;
    acc.basis.bandwidth = acc.basis.bandwidth * 2.0;
    acc.datasheet.bf16 = acc.datasheet.bf16 * 2.0;
    acc.datasheet.fp8 = acc.datasheet.fp8.map(|rate| rate * 2.0);
    let rows = &mut acc.quantised;
    for row in [&mut rows.fp8, &mut rows.w4a16].into_iter().flatten() {
        row.t0.0 /= 2.0;
    }
    acc.datasheet.bandwidth = acc.datasheet.bandwidth * 2.0;
    acc.host.gpu_link.bandwidth = acc.host.gpu_link.bandwidth * 2.0;
    acc.scale_up.bandwidth = acc.scale_up.bandwidth * 2.0;
    acc.scale_up.all_reduce.bandwidth = acc.scale_up.all_reduce.bandwidth * 2.0;
    let attention = &mut acc.attention;
    let mut fixed = vec![
        &mut acc.gemm.t0,
        &mut acc.elementwise.ew0,
        &mut attention.a0,
        &mut attention.a1,
        &mut attention.p0,
        &mut acc.scale_up.latency,
        &mut acc.scale_up.all_reduce.floor,
        &mut acc.scale_up.all_reduce.base,
        &mut spec.engine.overhead.o0,
        &mut spec.engine.overhead.o1,
        &mut spec.engine.overhead.o2,
        &mut spec.engine.overhead.floor,
        &mut spec.engine.collectives.skew,
    ];
    if let PrefillLaw::Tiles { tau, pm0, tau_m, .. } = &mut attention.prefill {
        fixed.extend([tau, pm0, tau_m]);
    }
    if let Some(graphs) = &mut spec.engine.graphs {
        fixed.push(&mut graphs.launch);
    }
    for time in fixed {
        time.0 /= 2.0;
    }
    spec
}

#[test]
fn doubling_every_rate_halves_every_duration() {
    for (accelerator, model, engine, tp, pp) in [
        ("h100-sxm", "llama-3.1-70b", "vllm-0.6-h100", 4, 2),
        ("rtx-4090", "llama-3.1-8b", "vllm-0.19", 1, 1),
        ("a100-80g-sxm", "bloom-176b", "vllm-2023-a100", 8, 1),
        ("mi300x", "falcon-180b", "none", 8, 1),
    ] {
        let mut slow = spec(accelerator, model, engine, tp);
        slow.pipeline = pp;
        (slow.weights, slow.kv) = match accelerator {
            "h100-sxm" => (Precision::Fp8, KvPrecision::Fp8),
            "a100-80g-sxm" => (Precision::W4a16, KvPrecision::Bf16),
            _ => (Precision::Bf16, KvPrecision::Bf16),
        };
        let fast = twice_as_fast(slow.clone());
        let pairs: [[Arc<dyn StepCost>; 2]; 2] = [
            [Arc::new(roofline(&slow)), Arc::new(roofline(&fast))],
            [
                Arc::new(Datasheet::new(&slow).expect("a bound")),
                Arc::new(Datasheet::new(&fast).expect("a bound")),
            ],
        ];
        for [slow, fast] in &pairs {
            for (chunks, decode) in grid() {
                let shape = StepShape { chunks: &chunks, decode };
                for stage in 0..slow.stages() {
                    let (a, b) =
                        (slow.step(stage, &shape).total().as_ps(), fast.step(stage, &shape).total().as_ps());
                    // Half a ps per token of context and of each other term.
                    let slack = 20
                        + 2 * decode.context
                        + 2 * chunks.iter().map(|c| u64::from(c.past + c.tokens)).sum::<u64>();
                    assert!(
                        a.abs_diff(2 * b) <= slack,
                        "{accelerator} {model} {shape:?}: {a} against twice {b}"
                    );
                }
            }
            assert!(slow.hop(512).as_ps().abs_diff(2 * fast.hop(512).as_ps()) <= 2);
            assert!(slow.swap(3).as_ps().abs_diff(2 * fast.swap(3).as_ps()) <= 6);
        }
    }
}

#[test]
fn tables_give_what_the_function_gives() {
    let cost = Arc::new(roofline(&spec("a100-80g-sxm", "llama-2-70b", "vllm-0.19", 4)));
    let shapes: Vec<_> =
        (1..400).map(|n| DecodeShape { n, padding: n / 7, context: u64::from(n) * 100 }).collect();
    let first: Vec<_> = shapes.iter().map(|s| cost.step(0, &decode_only(*s))).collect();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (cost, shapes) = (Arc::clone(&cost), shapes.clone());
            std::thread::spawn(move || {
                shapes.iter().map(|s| cost.step(0, &decode_only(*s))).collect::<Vec<_>>()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), first);
    }
    // A new model, asked in another order, has nothing in its tables yet.
    let fresh = roofline(&spec("a100-80g-sxm", "llama-2-70b", "vllm-0.19", 4));
    let backwards: Vec<_> = shapes.iter().rev().map(|s| fresh.step(0, &decode_only(*s))).collect();
    assert!(backwards.iter().rev().eq(first.iter()));
}
