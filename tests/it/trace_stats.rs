//! Statistics of a trace in one pass, against naive ones over its rows in memory.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use windtunnel::workload::{Distribution, OnBadRow, ReadOptions, TracePass, TraceStats, read_trace};

use crate::shared_data::shared;
use crate::trace_files::sample;
use crate::workload_baseline::ks;

fn stats(path: &Path) -> TraceStats {
    TracePass::read(path, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}")).stats()
}

/// (seconds since the first row, prompt, output), read by another route than the pass.
fn rows(path: &Path) -> Vec<(f64, f64, f64)> {
    let rows = read_trace(path, &ReadOptions::default()).unwrap();
    let lengths: Vec<(u32, u32)> = rows.lengths().collect();
    let trace = rows.into_trace().unwrap().0;
    let row = |(r, l): (&windtunnel::workload::Request, &(u32, u32))| {
        (r.arrival.as_secs_f64(), f64::from(l.0), f64::from(l.1))
    };
    trace.requests.iter().zip(&lengths).map(row).collect()
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = q * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

fn mean_cv(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    (mean, variance.sqrt() / mean)
}

#[track_caller]
fn near(what: &str, got: f64, expected: f64, relative: f64) {
    assert!((got - expected).abs() <= relative * expected.abs() + 1e-12, "{what}: {got}, not {expected}");
}

#[track_caller]
fn check_lengths(what: &str, got: &Distribution, values: &[f64]) {
    let (mean, cv) = mean_cv(values);
    near(what, got.mean, mean, 1e-12);
    near(what, got.cv, cv, 1e-9);
    near(what, got.sum as f64, values.iter().sum(), 0.0);
    for (q, value) in [(0.0, got.min), (0.5, got.p50), (0.9, got.p90), (0.99, got.p99), (1.0, got.max)] {
        near(what, value, quantile(values, q), 1e-12);
    }
}

/// All numbers of a file, the slow way.
fn check(path: &Path) {
    let (got, rows) = (stats(path), rows(path));
    assert_eq!(got.requests, rows.len() as u64);
    check_lengths("prompt", &got.prompt, &rows.iter().map(|r| r.1).collect::<Vec<_>>());
    check_lengths("output", &got.output, &rows.iter().map(|r| r.2).collect::<Vec<_>>());
    check_lengths("total", &got.total, &rows.iter().map(|r| r.1 + r.2).collect::<Vec<_>>());
    let gaps: Vec<f64> = rows.windows(2).map(|w| w[1].0 - w[0].0).collect();
    let found = got.gaps.as_ref().unwrap();
    let (mean, cv) = mean_cv(&gaps);
    near("mean gap", found.mean_s, mean, 1e-9);
    near("CV of gaps", found.cv, cv, 1e-6);
    assert_eq!(found.ties, gaps.iter().filter(|g| **g == 0.0).count() as u64);
    let mut sorted = gaps.clone();
    sorted.sort_by(f64::total_cmp);
    for (q, value) in [(0.5, found.p50_s), (0.9, found.p90_s), (0.99, found.p99_s), (1.0, found.max_s)] {
        // The histogram's quantile is the order statistic of rank ⌈q·n⌉.
        let rank = ((q * sorted.len() as f64).ceil() as usize).max(1) - 1;
        near("quantile of gaps", value, sorted[rank], found.quantile_error + 1e-9);
    }
    let span = rows.last().unwrap().0;
    for d in &got.dispersion {
        let width = d.window_s as f64;
        let mut counts = vec![0.0; (span / width).floor() as usize + 1];
        rows.iter().for_each(|r| counts[(r.0 / width).floor() as usize] += 1.0);
        if d.window_s == 60 {
            let peak = counts.iter().copied().fold(0.0, f64::max);
            assert_eq!(got.burstiness.is_some(), span >= 60.0);
            if let Some(burst) = &got.burstiness {
                assert_eq!(burst.peak_minute as f64, peak);
                near("peak by mean", burst.peak_by_mean, peak / (rows.len() as f64 / span * 60.0), 1e-9);
            }
        }
        counts.pop();
        assert_eq!(d.index.is_some(), !counts.is_empty());
        if counts.is_empty() {
            continue;
        }
        let (mean, cv) = mean_cv(&counts);
        assert_eq!(d.windows, counts.len() as u64);
        near("dispersion", d.index.unwrap(), cv * cv * mean, 1e-6);
    }
    let of_classes: u64 = got.classes.iter().map(|c| c.requests).sum();
    assert_eq!(of_classes, got.requests);
}

#[test]
fn samples_have_the_naive_statistics() {
    for format in ["burstgpt", "azure", "mooncake", "vidur", "qwen-bailian", "vllm-bench"] {
        check(&sample(format));
    }
}

#[test]
fn real_files_have_the_naive_statistics() {
    let files = [
        "burstgpt/burstgpt1_gpt4_conversation_days00-29.csv",
        "azure/AzureLLMInferenceTrace_conv.csv",
        "mooncake/conversation_trace.jsonl",
        "ragpulse/0_trace_first3553.jsonl",
    ];
    for file in files {
        let Some(path) = shared(&format!("traces/{file}")) else { return };
        check(&path);
    }
}

/// The known answers of the shared documents: hits of an infinite cache, failures, clocks.
#[test]
fn known_answers_of_real_files() {
    let Some(path) = shared("traces/mooncake/conversation_trace.jsonl") else { return };
    let mooncake = stats(&path);
    let prefixes = mooncake.prefixes.unwrap();
    assert_eq!((prefixes.ids, prefixes.distinct, prefixes.hits), (288_500, 182_790, 105_710));
    // The last of 14 ids of a prompt of 6,758 tokens stands for 102 tokens.
    assert!(prefixes.hit_tokens.unwrap() <= 105_710 * 512);
    near("coarse clock", mooncake.gaps.unwrap().coarse_grain_s.unwrap(), 3.0, 0.01);
    let Some(path) = shared("traces/burstgpt/burstgpt1_head_379.csv") else { return };
    let head = stats(&path);
    assert_eq!((head.rows, head.requests, head.rows_failed, head.rows_dropped), (379, 364, 15, 15));
    let gaps = head.gaps.unwrap();
    assert_eq!((gaps.clock_s, gaps.coarse_grain_s), (1.0, Some(1.0)));
    let Some(path) = shared("traces/ragpulse/0_trace_first3553.jsonl") else { return };
    let rag = stats(&path);
    assert_eq!(rag.sessions.map(|s| (s.sessions, s.requests)), Some((2_080, 3_553)));
    let prefixes = rag.prefixes.unwrap();
    assert_eq!((prefixes.tokens_per_id, prefixes.hit_tokens), (None, None));
    assert!(prefixes.hits > 3_000, "most prompts begin with one system prompt");
}

#[test]
fn distances_are_those_of_the_rows() {
    let (a, b) = (sample("burstgpt"), sample("mooncake"));
    let pass = |path: &PathBuf| TracePass::read(path, &ReadOptions::default()).unwrap();
    let distances = pass(&a).against(&pass(&b));
    let (rows_a, rows_b) = (rows(&a), rows(&b));
    let pick = |rows: &[(f64, f64, f64)], i: usize| -> Vec<f64> {
        rows.iter().map(|r| [r.1, r.2, r.1 + r.2][i]).collect()
    };
    for (i, d) in distances.iter().take(3).enumerate() {
        near(d.of, d.ks.unwrap(), ks(&pick(&rows_a, i), &pick(&rows_b, i)), 1e-12);
    }
    assert_eq!(distances.iter().map(|d| d.of).collect::<BTreeSet<_>>().len(), 5);
    for d in pass(&a).against(&pass(&a)) {
        assert!(d.ks.is_none_or(|ks| ks == 0.0) && d.wasserstein_by_mean.is_none_or(|w| w == 0.0), "{d:?}");
    }
}

#[test]
fn skipped_rows_are_counted_and_sorted_ones_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = "arrived_at,num_prefill_tokens,num_decode_tokens\n3,1,1\nx,1,1\n1,2,2\n";
    std::fs::write(file.path(), text).unwrap();
    let refused = TracePass::read(file.path(), &ReadOptions::default()).err().unwrap();
    assert!(refused.to_string().contains(":3:1: the time `x` is not a decimal number"));
    let options = ReadOptions { sort: true, on_bad_row: OnBadRow::Skip, ..ReadOptions::default() };
    let got = TracePass::read(file.path(), &options).unwrap().stats();
    assert_eq!((got.requests, got.rows_bad, got.rows_reordered, got.span_s), (2, 1, 1, Some(2.0)));
}
