//! 96 values of the model computed independently, by an implementation that shares no code with this one.

use windtunnel::cost::{Chunk, CostSpec, Datasheet, StepCost, StepShape};

use crate::cost::{decode, report, roofline, spec};

struct Row {
    name: String,
    spec: CostSpec,
    chunks: Vec<Chunk>,
    n: u32,
    context: u64,
    /// step, linear, attention, all-reduce, lm_head, roofline compute, roofline memory; ms.
    answers: [f64; 7],
}

fn rows() -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(include_str!("../data/known_answers.csv").as_bytes());
    reader.records().map(|r| row(&r.expect("a row"))).collect()
}

fn row(r: &csv::StringRecord) -> Row {
    let accelerator = match &r[0] {
        "A100-80G" => "a100-80g-sxm",
        "A100-40G" => "a100-40g-sxm",
        "H100" => "h100-sxm",
        "H200" => "h200-sxm",
        "RTX4090" => "rtx-4090",
        "RTXPRO6000" => "rtx-pro-6000",
        other => panic!("unknown accelerator {other}"),
    };
    let engine = match &r[3] {
        "none" => "none",
        name if name.starts_with("vllm-2023-A100") => "vllm-2023-a100",
        name if name.starts_with("vllm-0.11-H100") => "vllm-0.11-h100",
        other => panic!("unknown engine {other}"),
    };
    let chunk = |text: &str| {
        let (tokens, past) = text.split_once('+').expect("tokens+past");
        Chunk { tokens: tokens.parse().expect("tokens"), past: past.parse().expect("past") }
    };
    assert_eq!((&r[7], &r[8]), ("2.0", "2.0"), "16-bit rows only");
    Row {
        name: r.iter().take(7).collect::<Vec<_>>().join(" "),
        spec: spec(accelerator, &r[1].to_lowercase(), engine, r[2].parse().expect("tp")),
        chunks: r[4].split(';').filter(|t| !t.is_empty()).map(chunk).collect(),
        n: r[5].parse().expect("n"),
        context: r[6].parse().expect("context"),
        answers: std::array::from_fn(|i| r[9 + i].parse().expect("a number")),
    }
}

/// Relative error against an answer printed with six decimals of a millisecond.
#[track_caller]
fn near(row: &Row, what: &str, got_ms: f64, want_ms: f64, tolerance: f64) -> f64 {
    let error = if want_ms == 0.0 { got_ms.abs() } else { (got_ms / want_ms - 1.0).abs() };
    // Half a unit of the last printed digit is all that is known of a small answer.
    let printed = 0.5e-6 / want_ms.max(1e-9);
    assert!(error <= tolerance.max(printed), "{}: {what} is {got_ms} ms, not {want_ms} ms", row.name);
    error
}

#[test]
fn real_numbers_agree_to_a_millionth() {
    let rows = rows();
    assert_eq!(rows.len(), 96);
    let mut worst: f64 = 0.0;
    for row in &rows {
        let shape = StepShape { chunks: &row.chunks, decode: decode(row.n, row.context) };
        let exact = roofline(&row.spec).exact(0, &shape);
        let parts = [exact.total(), exact.linear, exact.attention, exact.all_reduce, exact.lm_head];
        for (i, (what, got)) in
            ["step", "linear", "attention", "all-reduce", "lm_head"].into_iter().zip(parts).enumerate()
        {
            worst = worst.max(near(row, what, got.0 * 1e3, row.answers[i], 1e-6));
        }
    }
    report(format_args!("known answers, real numbers: largest relative error {worst:.2e}"));
}

#[test]
fn integers_agree_to_a_thousandth() {
    let mut worst: f64 = 0.0;
    for row in &rows() {
        let shape = StepShape { chunks: &row.chunks, decode: decode(row.n, row.context) };
        let step = roofline(&row.spec).step(0, &shape);
        worst = worst.max(near(row, "step", step.total().as_ms_f64(), row.answers[0], 1e-3));
        let linear = row.answers[1] + row.answers[4];
        near(row, "linear and lm_head", step.linear.as_ms_f64(), linear, 1e-3);
        near(row, "attention", step.attention.as_ms_f64(), row.answers[2], 1e-3);
        near(row, "all-reduce", step.link.as_ms_f64(), row.answers[3], 1e-3);
    }
    report(format_args!("known answers, integers: largest relative error {worst:.2e}"));
}

#[test]
fn datasheet_terms_agree_to_a_millionth() {
    for row in &mut rows() {
        // The answers are relative to the basis of the fit, which differs from the datasheet on RTX PRO 6000.
        let basis = row.spec.accelerator.basis;
        row.spec.accelerator.datasheet.bf16 = basis.peak;
        row.spec.accelerator.datasheet.bandwidth = basis.bandwidth;
        let shape = StepShape { chunks: &row.chunks, decode: decode(row.n, row.context) };
        let ideal = Datasheet::new(&row.spec).expect("a bound");
        let (compute, memory) = ideal.terms(0, &shape);
        near(row, "compute", compute.0 * 1e3, row.answers[5], 1e-6);
        near(row, "memory", memory.0 * 1e3, row.answers[6], 1e-6);
        let step = ideal.step(0, &shape).total().as_ms_f64();
        near(row, "ideal step", step, row.answers[5].max(row.answers[6]), 1e-3);
    }
}
