//! A decode segment is the step function itself, to the picosecond, on both sides of every breakpoint.

use windtunnel::cost::{
    Chunk, CostSpec, Datasheet, DecodeShape, HostMode, KvPrecision, MixedAttention, Precision, Roofline,
    Segment, StepCost, StepShape,
};
use windtunnel::units::Seconds;

use crate::cost::{decode_only, roofline, spec};

/// The line against `step` at `context`.
#[track_caller]
fn on_line(cost: &dyn StepCost, stage: u8, shape: DecodeShape, line: &Segment) {
    let step = cost.step(stage, &decode_only(shape));
    let (total, gpu) = (step.total().as_ps(), step.gpu().as_ps());
    assert_eq!(line.total + line.total_slope * shape.context, total, "total at {shape:?}: {line:?}");
    assert_eq!(line.gpu + line.gpu_slope * shape.context, gpu, "gpu at {shape:?}: {line:?}");
    assert!(total >= 1);
}

/// Walks from context to context, segment by segment; returns how many segments there were.
pub fn walk(cost: &dyn StepCost, n: u32, padding: u32, end: u64) -> usize {
    let mut segments = 0;
    for stage in 0..cost.stages() {
        let mut from = u64::from(n);
        while from <= end {
            let shape = |context| DecodeShape { n, padding, context };
            let line = cost.decode_segment(stage, &shape(from));
            assert!(line.until >= from, "{line:?} ends before {from}");
            let last = line.until.min(end);
            for context in [from, from + 1, (from + last) / 2, last.saturating_sub(1), last, line.until] {
                if (from..=line.until).contains(&context) {
                    on_line(cost, stage, shape(context), &line);
                }
            }
            // A line asked for later in the segment is the same line where the segment has one slope.
            let later = cost.decode_segment(stage, &shape(last));
            let at = |l: &Segment| l.total + l.total_slope * last;
            assert_eq!(at(&later), at(&line));
            segments += 1;
            from = line.until.saturating_add(1);
        }
    }
    segments
}

fn with_floor(mut spec: CostSpec, floor_ms: f64) -> CostSpec {
    spec.engine.overhead.floor = Seconds(floor_ms / 1e3);
    spec
}

fn overlapped(mut spec: CostSpec, o0_ms: f64, o1_ms: f64) -> CostSpec {
    spec.engine.host = HostMode::Overlapped;
    spec.engine.overhead.o0 = Seconds(o0_ms / 1e3);
    spec.engine.overhead.o1 = Seconds(o1_ms / 1e3);
    spec
}

fn cases() -> Vec<(&'static str, CostSpec, usize)> {
    let plain = |engine| spec("h100-sxm", "llama-3.1-8b", engine, 1);
    let mut eager = plain("vllm-0.19");
    if let Some(graphs) = &mut eager.engine.graphs {
        graphs.sizes = vec![1, 2, 4];
        graphs.launch = Seconds(40e-6);
    }
    let mut narrow = overlapped(plain("vllm-0.19"), 2.0, 0.2);
    (narrow.weights, narrow.kv) = (Precision::Fp8, KvPrecision::Fp8);
    let mut piped = with_floor(spec("a100-80g-sxm", "llama-2-70b", "vllm-0.6-a100", 4), 44.0);
    piped.pipeline = 3;
    vec![
        ("nothing binds", plain("none"), 1),
        ("serial", plain("vllm-0.6-h100"), 1),
        ("floor", with_floor(plain("vllm-0.6-h100"), 9.0), 2),
        ("overlapped host", overlapped(plain("none"), 2.0, 0.2), 2),
        ("graphs and sampler", plain("vllm-0.19"), 1),
        ("graphs, overlapped host", overlapped(plain("vllm-0.19"), 3.0, 0.2), 2),
        ("eager launch bound", eager, 2),
        ("tensor parallel", overlapped(spec("a100-80g-sxm", "llama-2-70b", "vllm-0.19", 4), 30.0, 0.1), 2),
        ("fp8 weights and KV", narrow, 2),
        ("pipeline", piped, 6),
    ]
}

#[test]
fn segments_equal_steps_on_both_sides_of_every_breakpoint() {
    for (name, spec, want) in cases() {
        let cost = roofline(&spec);
        let mut most = 0;
        for (n, padding) in [(1, 0), (5, 0), (24, 0), (33, 0), (30, 7), (700, 0)] {
            most = most.max(walk(&cost, n, padding, 4_000_000));
        }
        assert_eq!(most, want, "{name}: segments seen");
    }
}

#[test]
fn the_datasheet_bound_is_made_of_exact_lines_too() {
    let mut seen = 0;
    for (accelerator, model, tp) in [
        ("h100-sxm", "llama-3.1-8b", 1),
        ("l4", "opt-13b", 2),
        ("h100-sxm", "llama-3.1-405b", 8),
        // More FLOPs than bytes per context token, so that a memory-bound step turns compute-bound.
        ("t4", "llama-3.1-8b", 1),
    ] {
        let mut spec = spec(accelerator, model, "none", tp);
        spec.accelerator.datasheet.bf16.0 /= 30.0;
        let cost = Datasheet::new(&spec).expect("a bound");
        for n in [1, 3, 40, 500] {
            seen = seen.max(walk(&cost, n, 0, 100_000_000));
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn padding_costs_linear_work_but_no_attention() {
    let cost = roofline(&spec("a100-80g-sxm", "llama-2-13b", "none", 1));
    let full = cost.step(0, &decode_only(DecodeShape { n: 32, padding: 0, context: 4000 }));
    let half = cost.step(0, &decode_only(DecodeShape { n: 16, padding: 16, context: 4000 }));
    assert_eq!(full.linear, half.linear);
    assert!(half.attention < full.attention);
}

#[test]
fn graphs_pad_linear_work_to_the_next_size() {
    let linear =
        |cost: &Roofline, n| cost.step(0, &decode_only(DecodeShape { n, padding: 0, context: 9000 })).linear;
    let mut padded = spec("h100-sxm", "llama-3.1-8b", "vllm-0.19", 1);
    padded.overrides.sampler_passes = Some(0);
    let cost = roofline(&padded);
    assert_eq!(linear(&cost, 25), linear(&cost, 32));
    assert!(linear(&cost, 32) < linear(&cost, 33));
    padded.overrides.graphs = false;
    let bare = roofline(&padded);
    assert!(linear(&bare, 25) < linear(&bare, 32));
    assert_eq!(linear(&bare, 32), linear(&cost, 32));
    let plain = roofline(&spec("h100-sxm", "llama-3.1-8b", "vllm-0.19-plain", 1));
    assert_eq!(linear(&plain, 25), linear(&bare, 25));
}

#[test]
fn stages_share_layers_floor_and_host_time() {
    let mut whole = with_floor(spec("a100-80g-sxm", "llama-2-70b", "vllm-0.6-a100", 4), 44.0);
    let one = roofline(&whole);
    whole.pipeline = 3;
    assert_eq!(whole.stage_layers(), [27, 27, 26]);
    let three = roofline(&whole);
    let shape = decode_only(DecodeShape { n: 8, padding: 0, context: 500 });
    let sum: u64 = (0..3).map(|s| three.step(s, &shape).total().as_ps()).sum();
    assert!(sum.abs_diff(one.step(0, &shape).total().as_ps()) <= 3, "floor and host are split without loss");
    assert_eq!(one.hop(100).as_ps(), 0);
    // 10 us + 100 tokens of 8192 * 2 bytes at 300 GB/s.
    assert_eq!(three.hop(100).as_ps(), 15_461_333);
    assert_eq!(three.token_return().as_ps(), 10_000_000);
}

#[test]
fn mixed_attention_can_be_made_dearer_without_touching_other_steps() {
    let dear = spec("h100-sxm", "llama-3.1-8b", "none", 1);
    let base = roofline(&dear);
    let dear = roofline(&dear.with_mixed_attention(MixedAttention::Factor(1.25)));
    let chunks = [Chunk { tokens: 480, past: 1000 }];
    let shape = DecodeShape { n: 32, padding: 0, context: 50_000 };
    let attention =
        |cost: &Roofline, chunks, decode| cost.step(0, &StepShape { chunks, decode }).attention.as_ps();
    assert_eq!(attention(&dear, &chunks, shape), attention(&base, &chunks, shape) * 125 / 100);
    assert_eq!(attention(&dear, &[], shape), attention(&base, &[], shape));
    let alone = DecodeShape::default();
    assert_eq!(attention(&dear, &chunks, alone), attention(&base, &chunks, alone));
}

#[test]
fn swapping_is_blocks_over_the_host_link() {
    let cost = roofline(&spec("a100-80g-sxm", "opt-13b", "none", 1));
    // 16 tokens of 800 KiB at 25 GB/s.
    assert_eq!(cost.swap(1).as_ps(), 524_288_000);
    assert_eq!(cost.swap(10), cost.swap(1) * 10);
}

#[test]
fn what_contradicts_itself_is_refused_with_a_reason() {
    let mut bad = spec("a100-80g-sxm", "llama-2-70b", "none", 3);
    bad.pipeline = 0;
    bad.weights = windtunnel::cost::Precision::Fp8;
    let text = Roofline::new(&bad).expect_err("four mistakes").to_string();
    for part in ["64 query heads", "8 KV heads", "0 stages for 80 layers", "no GEMM constants for `fp8`"] {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
}

#[test]
fn mixed_attention_follows_its_rule() {
    let chunks = [Chunk { tokens: 480, past: 1000 }, Chunk { tokens: 32, past: 0 }];
    let shape = DecodeShape { n: 32, padding: 0, context: 50_000 };
    let of =
        |spec: &CostSpec, chunks, decode| roofline(spec).exact(0, &StepShape { chunks, decode }).attention.0;
    let fa2 = spec("rtx-4090", "llama-3.1-8b", "none", 1);
    let sum = of(&fa2, &chunks, DecodeShape::default()) + of(&fa2, &[], shape);
    let additive = fa2.with_mixed_attention(MixedAttention::Additive);
    assert!((of(&additive, &chunks, shape) / sum - 1.0).abs() < 1e-12);
    let measured = of(&fa2.with_mixed_attention(MixedAttention::Measured), &chunks, shape);
    assert!((measured / of(&fa2, &chunks, shape) - 1.0).abs() < 1e-12 && (measured / sum - 1.0).abs() > 0.01);
    let fa3 = spec("h100-sxm", "llama-3.1-8b", "none", 1);
    let text = fa3.with_mixed_attention(MixedAttention::Measured).check().expect_err("no data").to_string();
    assert!(text.contains("no measured law of mixed batches exists for `h100-sxm`"), "{text}");
    for factor in [0.99, 11.0, 1.255, f64::NAN] {
        assert!(fa3.with_mixed_attention(MixedAttention::Factor(factor)).check().is_err(), "{factor}");
    }
}

/// The FA2 law written again: alone, a wave of tiles sees the tile-weighted mean of its chunks; mixed, one kernel.
#[test]
fn fa2_tiles_follow_their_law_alone_and_mixed() {
    for (name, [tau, al, pm0, tau_m, al_m, l_m], p0, sms) in [
        ("rtx-4090", [31.2e-9, 0.80, 17.5e-6, 41.4e-9, 0.55, 0.74], 8.3e-6, 128.0),
        ("rtx-pro-6000", [21.0e-9, 0.75, 9.5e-6, 30.4e-9, 0.58, 0.71], 7.4e-6, 188.0),
    ] {
        let mut spec = spec(name, "llama-3.1-8b", "none", 1);
        spec.model.layers = 1;
        let cost = roofline(&spec);
        let attention = |chunks: &[Chunk], decode| cost.exact(0, &StepShape { chunks, decode }).attention.0;
        let none = DecodeShape::default();
        // 65 tokens are two tiles; 32 heads; 1000 = 16 tiles, 200 = 4.
        for chunks in [
            vec![Chunk { tokens: 65, past: 3000 }],
            vec![Chunk { tokens: 1000, past: 0 }, Chunk { tokens: 200, past: 5000 }],
        ] {
            let tiles: Vec<f64> = chunks.iter().map(|c| f64::from(c.tokens.div_ceil(64))).collect();
            let sum: f64 = tiles.iter().sum();
            let seen = |al: f64| -> f64 {
                let each = |c: &Chunk| f64::from(c.past) + al * f64::from(c.tokens);
                chunks.iter().zip(&tiles).map(|(c, t)| t * each(c)).sum()
            };
            let alone = p0 + tau * (32.0 * sum / sms).ceil() * seen(al) / sum;
            assert!((attention(&chunks, none) / alone - 1.0).abs() < 1e-12, "{name}: {chunks:?}");
            let batch = DecodeShape { n: 24, padding: 0, context: 24 * 700 };
            let longest = chunks.iter().map(|c| f64::from(c.past + c.tokens)).fold(700.0, f64::max);
            let mixed = pm0 + tau_m * (32.0 * (seen(al_m) + 24.0 * 700.0) / sms).max(l_m * longest);
            assert!((attention(&chunks, batch) / mixed - 1.0).abs() < 1e-12, "{name}: {chunks:?} mixed");
        }
    }
}

/// 128 sequences and one tile fill the 128 multiprocessors of an RTX 4090 with one head: the four query heads of a KV
/// head run one after another, and read it four times once it is larger than 72 MiB.
#[test]
fn query_heads_that_do_not_run_together_read_kv_again() {
    let mut spec = spec("rtx-4090", "llama-3.1-8b", "none", 1);
    spec.model.layers = 1;
    let cost = roofline(&spec);
    let chunks = [Chunk { tokens: 64, past: 0 }];
    let attention = |n: u32, each: u64| {
        let decode = DecodeShape { n, padding: 0, context: u64::from(n) * each };
        cost.exact(0, &StepShape { chunks: &chunks, decode }).attention.0
    };
    let read = |tokens: f64| tokens * 4096.0 / (1.008e12 * 0.893);
    let want = 17.5e-6 + read(4.0 * 128.0 * 8192.0 + 64.0);
    assert!((attention(128, 8192) / want - 1.0).abs() < 1e-12, "{} against {want}", attention(128, 8192));
    // 17 blocks: seven heads run together, so each KV head is read once.
    assert!(attention(16, 65_536) < 17.5e-6 + read(2.5 * 16.0 * 65_536.0));
    // 512 bytes of one KV head per token: 147,456 tokens fit.
    let step = |context| {
        let decode = DecodeShape { n: 128, padding: 0, context };
        cost.exact(0, &StepShape { chunks: &chunks, decode }).attention.0
    };
    assert!(step(147_457) > 1.3 * step(147_456), "{} {}", step(147_457), step(147_456));
    assert!(step(147_456) > step(147_000));
}
