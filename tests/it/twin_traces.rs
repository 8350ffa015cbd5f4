//! What counts and lengths alone do not see: runs of busy bins and the clock of Azure's code, the two kinds of GPT-4
//! conversations hour by hour, the sessions and prefixes of RAGPulse.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may panic, and prints what it measured"
)]

use std::path::Path;

use windtunnel::workload::{PrepareContext, Trace, WorkloadSpec};

use crate::shared_data::shared;
use crate::workload_baseline::{counts, gaps, ks};

fn prepare(text: &str, seed: u64) -> Trace {
    let spec: WorkloadSpec = toml::from_str(text).expect("a section");
    spec.prepare(&PrepareContext { seed, ..PrepareContext::default() }).expect("a workload").trace
}

fn real(path: &Path) -> Trace {
    prepare(&format!("trace = '{}'\ndequantise = 'none'", path.display()), 1)
}

fn times(trace: &Trace) -> Vec<f64> {
    trace.requests.iter().map(|r| r.arrival.as_secs_f64()).collect()
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len() as f64
}

/// Variance by mean of the counts of whole windows.
fn dispersion(times: &[f64], width: f64, end: f64) -> f64 {
    let n = counts(times, width, end);
    mean(&n.iter().map(|c| (c - mean(&n)) * (c - mean(&n))).collect::<Vec<_>>()) / mean(&n)
}

/// Requests of a batch (gaps below 10 ms) that a request sees, and batches by requests.
fn batches(times: &[f64]) -> (f64, f64) {
    let mut sizes = vec![1.0];
    for gap in gaps(times) {
        if gap < 0.01 { *sizes.last_mut().unwrap() += 1.0 } else { sizes.push(1.0) }
    }
    let of: f64 = sizes.iter().sum();
    (sizes.iter().map(|s| s * s).sum::<f64>() / of, sizes.len() as f64 / of)
}

#[test]
fn azures_code_comes_in_runs_behind_a_clock() {
    let Some(path) = shared("traces/azure/AzureLLMInferenceTrace_code.csv") else { return };
    let trace = times(&real(&path));
    let twins: Vec<Vec<f64>> =
        (0..20).map(|seed| times(&prepare("recipe = 'azure-code'\nduration = '57 min'", seed))).collect();
    let pooled = |f: &dyn Fn(&[f64]) -> f64| mean(&twins.iter().map(|t| f(t)).collect::<Vec<_>>());
    for (width, tolerance) in [(1.0, 0.25), (10.0, 0.25), (60.0, 0.3)] {
        let (ours, of_trace) =
            (pooled(&|t| dispersion(t, width, 3_420.0)), dispersion(&trace, width, 3_420.0));
        eprintln!("Azure code, index of dispersion in {width} s: twin {ours:.1}, trace {of_trace:.1}");
        assert!((ours / of_trace - 1.0).abs() < tolerance, "{width} s: {ours} for {of_trace}");
    }
    let (seen, by) = (pooled(&|t| batches(t).0), pooled(&|t| batches(t).1));
    let (real_seen, real_by) = batches(&trace);
    eprintln!(
        "batches a request sees {seen:.2} ({real_seen:.2}), batches by requests {by:.3} ({real_by:.3})"
    );
    assert!((seen - real_seen).abs() < 0.3 && (by - real_by).abs() < 0.06);
    let all: Vec<f64> = twins.iter().flat_map(|t| gaps(t)).collect();
    let distance = ks(&all, &gaps(&trace));
    eprintln!("gaps: KS {distance:.3}");
    assert!(distance < 0.12, "{distance}");
}

/// The counts of conversations per hour, and the answers of busy hours: by those of days 0 to 29.
#[test]
fn gpt4_days_and_busy_hours_are_those_of_the_trace() {
    let Some(path) = shared("traces/burstgpt/burstgpt1_gpt4_conversation_days00-29.csv") else { return };
    let facts = |trace: &Trace| {
        let arrivals = times(trace);
        let spread = [1_200.0, 3_600.0, 21_600.0].map(|w| dispersion(&arrivals, w, 30.0 * 86_400.0));
        let mut hours = std::collections::BTreeMap::<u64, Vec<f64>>::new();
        for r in &trace.requests {
            hours.entry((r.arrival.as_secs_f64() / 3_600.0) as u64).or_default().push(f64::from(r.output));
        }
        let of = |pick: fn(usize) -> bool| {
            mean(&hours.values().filter(|h| pick(h.len())).flatten().copied().collect::<Vec<_>>())
        };
        (spread, of(|n| n >= 100) / of(|n| n < 40))
    };
    let (spread, busy) = facts(&real(&path));
    let twins: Vec<_> =
        (0..8).map(|s| facts(&prepare("recipe = 'burstgpt-gpt4-conv'\nduration = '30 d'", s))).collect();
    for (i, of_trace) in spread.iter().enumerate() {
        let ours = mean(&twins.iter().map(|t| t.0[i]).collect::<Vec<_>>());
        eprintln!("GPT-4, index of dispersion {i}: twin {ours:.1}, trace {of_trace:.1}");
        assert!((ours / of_trace - 1.0).abs() < 0.15, "{ours} for {of_trace}");
    }
    let ours = mean(&twins.iter().map(|t| t.1).collect::<Vec<_>>());
    eprintln!("answers of hours of 100 requests by those below 40: twin {ours:.2}, trace {busy:.2}");
    assert!((ours - busy).abs() < 0.1, "{ours} for {busy}");
}

#[test]
fn ragpulse_is_its_trace() {
    let Some(path) = shared("traces/ragpulse/0_trace_first3553.jsonl") else { return };
    let trace = real(&path);
    let twins: Vec<Trace> =
        (0..10).map(|seed| prepare("recipe = 'ragpulse'\nduration = '556240 s'", seed)).collect();
    let of = |pick: fn(&windtunnel::workload::Request) -> u32| {
        let column = |t: &Trace| -> Vec<f64> { t.requests.iter().map(|r| f64::from(pick(r))).collect() };
        ks(&twins.iter().flat_map(column).collect::<Vec<_>>(), &column(&trace))
    };
    let (prompt, output) = (of(|r| r.prompt), of(|r| r.output));
    let all: Vec<f64> = twins.iter().flat_map(|t| gaps(&times(t))).collect();
    let gap = ks(&all, &gaps(&times(&trace)));
    let hours: Vec<f64> = twins.iter().flat_map(|t| counts(&times(t), 3_600.0, 550_800.0)).collect();
    let hour = ks(&hours, &counts(&times(&trace), 3_600.0, 550_800.0));
    let requests = mean(&twins.iter().map(|t| t.len() as f64).collect::<Vec<_>>());
    eprintln!(
        "RAGPulse: {requests:.0} requests for {}; KS prompt {prompt:.3}, output {output:.3}, gaps {gap:.3}, hours {hour:.3}",
        trace.len()
    );
    assert!(prompt < 0.05 && output < 0.08 && gap < 0.1 && hour < 0.12);
    assert!((requests / trace.len() as f64 - 1.0).abs() < 0.1, "{requests}");
    let turns =
        |t: &Trace| t.len() as f64 / (1.0 + f64::from(*t.sessions.as_ref().unwrap().iter().max().unwrap()));
    let ours = mean(&twins.iter().map(turns).collect::<Vec<_>>());
    eprintln!("requests of a session: twin {ours:.2}, trace {:.2}", turns(&trace));
    assert!((ours / turns(&trace) - 1.0).abs() < 0.05);
}
