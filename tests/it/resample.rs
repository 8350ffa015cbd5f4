//! Intervals of one run by drawing blocks of it again, beside those of seeds.

use windtunnel::metrics::estimate::student_t_975;
use windtunnel::results::RunResult;
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target};

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// What blocks of one run tell of its uncertainty is about what other seeds tell, away from the capacity.
#[test]
fn an_interval_by_resampled_blocks_is_about_that_of_seeds() {
    let text = "[workload]\nrecipe = 'burstgpt-conv'\nrequests = 4_000\nrate = ['4 req/s']\n[slo]\nttft = '1 s'\n[deployment]\nmodel = 'llama-3.1-8b'\n\
                accelerator = 'h100-sxm'\nengine = 'vllm-0.19'\n[systems]\nreference = 'vllm-v1'\ncompare = ['vllm-v1', 'sarathi-serve', 'vllm-0.2']\n";
    let seeds = 24;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.toml");
    std::fs::write(&path, format!("seeds = {seeds}\n{text}")).expect("written");
    let plan = StudyPlan::resolve(&Target::File(path), &Flags::default()).unwrap_or_else(|e| panic!("{e}"));
    let executed = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    for key in ["ttft_p99_s", "e2e_p99_s"] {
        for system in [1, 2] {
            let of = |system: usize| executed.runs.iter().filter(move |r| r.system == system);
            let pairs = of(system).zip(of(0));
            let value = |r: &RunResult| r.summary.get(key).expect("a latency");
            let logs: Vec<f64> = pairs.clone().map(|(a, b)| libm::log(value(a) / value(b))).collect();
            let deviation =
                (logs.iter().map(|l| (l - mean(&logs)).powi(2)).sum::<f64>() / f64::from(seeds - 1)).sqrt();
            let resampled = pairs.map(|(a, b)| {
                let of = |r: &RunResult| r.extract.resampled.clone().expect("thousands of requests");
                of(a).ratio(&of(b), key, 1.0).and_then(|e| e.half_width).expect("drawn")
                    / student_t_975(19).expect("20 blocks")
            });
            let resampled = mean(&resampled.collect::<Vec<f64>>());
            let factor = resampled / deviation;
            assert!(
                (0.5..1.6).contains(&factor),
                "{key} of {system}: {resampled:.3} by blocks, {deviation:.3} by seeds"
            );
        }
    }
}
