//! Does a twin load a serving system as its trace does? A real slice and generated requests of the same mean rate
//! through `vllm-v1`: capacity, and latencies at shares of the slice's capacity. Used by the test and by
//! `examples/serving_equivalence.rs`.

use std::fmt::Write as _;
use std::path::Path;

use rayon::prelude::*;
use windtunnel::cluster::{RunOptions, simulate};
use windtunnel::metrics::{MeasureContext, Summary, Window, measure};
use windtunnel::scenario::load::{NoCapacity, capacity};
use windtunnel::scenario::{Flags, StudyPlan, Target};
use windtunnel::workload::{
    MaxTokens, PrepareContext, Prepared, RequestRate, Trace, WorkloadSpec, apply_limits, rescale_to_rate,
};

/// Shares of the capacity found with the real slice.
pub const LOADS: [f64; 3] = [0.5, 0.8, 0.95];

/// What is compared at each load: the column, its name, and how far the mean over the seeds may be off.
pub const COLUMNS: [(&str, &str, f64); 3] =
    [("ttft_p50_s", "TTFT p50", 0.10), ("ttft_p99_s", "TTFT p99", 0.25), ("gap_p99_s", "gap p99", 0.15)];

/// How far the capacity may be off.
pub const CAPACITY: f64 = 0.08;

/// A trace and its twin.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// File of the shared folder.
    pub file: &'static str,
    /// The rest of its `[workload]`.
    pub slice: &'static str,
    /// `[workload]` of the twin.
    pub twin: &'static str,
    /// `--set` of the deployment.
    pub sets: &'static [&'static str],
}

pub const CASES: [Case; 4] = [
    Case {
        name: "GPT-4 conversation",
        file: "traces/burstgpt/burstgpt1_gpt4_conversation_days00-29.csv",
        slice: "",
        twin: "recipe = 'burstgpt-gpt4-conv'\nduration = '30 d'",
        sets: &["deployment.model=\"llama-3.1-8b\"", "deployment.accelerator=\"h100-sxm\""],
    },
    Case {
        name: "Azure conversation",
        file: "traces/azure/AzureLLMInferenceTrace_conv.csv",
        slice: "",
        twin: "recipe = 'azure-conv'\nduration = '58 min'",
        sets: &["deployment.model=\"llama-3.1-8b\"", "deployment.accelerator=\"a100-80g-sxm\""],
    },
    Case {
        name: "Azure code",
        file: "traces/azure/AzureLLMInferenceTrace_code.csv",
        slice: "",
        twin: "recipe = 'azure-code'\nduration = '57 min'",
        // Answers of 28 tokens: one prompt that is computed beside them is most of their time.
        sets: &[
            "deployment.model=\"llama-3.1-8b\"",
            "deployment.accelerator=\"a100-80g-sxm\"",
            "slo.ttft=\"2 s\"",
            "slo.tpot=\"200 ms\"",
        ],
    },
    Case {
        name: "Mooncake conversation",
        file: "traces/mooncake/conversation_trace.jsonl",
        slice: "",
        twin: "recipe = 'mooncake-conv'\nduration = '59 min'",
        sets: &[
            "deployment.model=\"llama-3.1-8b\"",
            "deployment.accelerator=\"h200-sxm\"",
            // Memory for 15,000 blocks of 512 tokens: enough for prefixes to be found again.
            "deployment.parallel.tp=8",
            "deployment.max-model-len=131072",
            "slo.ttft=\"5 s\"",
        ],
    },
];

/// The numbers of one trace.
pub struct Served {
    pub capacity: f64,
    /// [`COLUMNS`] at [`LOADS`].
    pub at: Vec<[f64; 3]>,
}

/// One kind of requests against the real slice: means over the seeds divided by the slice's numbers.
pub struct Compared {
    pub kind: &'static str,
    /// Capacity, and its standard deviation between seeds.
    pub capacity: (f64, f64),
    /// [`COLUMNS`] at [`LOADS`], each with the standard deviation between seeds.
    pub at: Vec<[(f64, f64); 3]>,
}

impl Compared {
    /// The numbers that are off by more than they may.
    pub fn failures(&self) -> Vec<String> {
        let mut found = Vec::new();
        if (self.capacity.0 - 1.0).abs() > CAPACITY {
            found.push(format!("capacity {:.2}", self.capacity.0));
        }
        for (load, row) in LOADS.iter().zip(&self.at) {
            for ((ratio, _), (_, name, limit)) in row.iter().zip(COLUMNS) {
                if (ratio - 1.0).abs() > limit {
                    found.push(format!("{name} at {load}: {ratio:.2}"));
                }
            }
        }
        found
    }
}

/// The workbench of one case.
pub struct Bench {
    plan: StudyPlan,
    real: Trace,
}

fn prepare(text: &str, seed: u64) -> Trace {
    let spec: WorkloadSpec = toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let context = PrepareContext { seed, ..PrepareContext::default() };
    spec.prepare(&context).unwrap_or_else(|e| panic!("{text}: {e}")).trace
}

impl Bench {
    /// `file`: the real slice.
    pub fn new(case: &Case, file: &Path) -> Bench {
        let mut sets =
            vec!["systems.reference=\"vllm-v1\"".to_owned(), "systems.compare=[\"vllm-v1\"]".to_owned()];
        sets.extend(case.sets.iter().map(|&s| s.to_owned()));
        let plan =
            StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &Flags { sets, seeds: Some(1) });
        let plan = plan.unwrap_or_else(|errors| panic!("{}: {errors}", case.name));
        let real = prepare(&format!("trace = '{}'\n{}", file.display(), case.slice), 1);
        let mut bench = Bench { plan, real: Trace::default() };
        bench.real = bench.limited(real);
        bench
    }

    fn limited(&self, mut trace: Trace) -> Trace {
        let limit = self.plan.systems[0].cluster.replica.max_model_len;
        let _ = apply_limits(&mut trace, limit, MaxTokens::ContextRest);
        trace
    }

    /// The capacity with these requests; 0 if the limits are missed at every rate.
    pub fn capacity(&self, trace: &Trace) -> f64 {
        let prepared = Prepared { trace: trace.clone(), report: windtunnel::workload::LoadReport::default() };
        let found = capacity(&self.plan, &self.plan.systems[0], &[prepared]);
        match found {
            Ok(found) => found.rate.as_per_second(),
            // So slow that the requests do not fit into simulated time, and still too many miss the limits.
            Err(NoCapacity::NeverMet | NoCapacity::Input(_)) => 0.0,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn summary(&self, trace: &Trace, rate: f64) -> Summary {
        let rate = RequestRate::per_second(rate).expect("a rate");
        let trace = rescale_to_rate(trace, rate).unwrap_or_else(|e| panic!("{e:?}"));
        let system = &self.plan.systems[0];
        let outcome = simulate(&system.cluster, &*system.cost, &trace, &RunOptions::default(), &mut ());
        let outcome = outcome.unwrap_or_else(|e| panic!("{e:?}"));
        let context = MeasureContext {
            slo: self.plan.slo,
            attainment_target: self.plan.attainment,
            window: Window::default(),
            stages: system.stages(),
            gpus: system.gpus,
            kv_blocks: system.kv_blocks(),
            offered_rate: Some(rate.as_per_second()),
            ..MeasureContext::default()
        };
        measure(&outcome, &trace, &context)
    }

    /// The compared numbers of a trace at shares of `capacity_of_real`.
    pub fn latencies(&self, trace: &Trace, capacity_of_real: f64) -> Vec<[f64; 3]> {
        let at = |load: f64| {
            let summary = self.summary(trace, load * capacity_of_real);
            COLUMNS.map(|(key, ..)| summary.get(key).unwrap_or(f64::NAN))
        };
        LOADS.map(at).to_vec()
    }

    /// The real slice.
    pub fn real(&self) -> Served {
        let capacity = self.capacity(&self.real);
        Served { capacity, at: self.latencies(&self.real, capacity) }
    }

    /// `text` is the `[workload]` of the requests to compare.
    pub fn compare(&self, kind: &'static str, text: &str, seeds: u64, real: &Served) -> Compared {
        let served: Vec<Served> = (1..=seeds)
            .into_par_iter()
            .map(|seed| {
                let trace = self.limited(prepare(text, seed));
                Served { capacity: self.capacity(&trace), at: self.latencies(&trace, real.capacity) }
            })
            .collect();
        let spread = |values: Vec<f64>, by: f64| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
            (mean / by, (squares / (values.len() as f64 - 1.0).max(1.0)).sqrt() / by)
        };
        let capacity = spread(served.iter().map(|s| s.capacity).collect(), real.capacity);
        let at = (0..LOADS.len()).map(|load| {
            [0, 1, 2].map(|column| {
                spread(served.iter().map(|s| s.at[load][column]).collect(), real.at[load][column])
            })
        });
        Compared { kind, capacity, at: at.collect() }
    }

    /// The two baselines of equal mean rate: Poisson arrivals with i.i.d. real lengths; Gamma gaps and Zipf lengths,
    /// both fitted by maximum likelihood.
    pub fn baselines(&self, file: &Path) -> [(&'static str, String); 2] {
        let count = self.real.len();
        let poisson = format!(
            "requests = {count}\narrivals.poisson.rate = '1 req/s'\nlengths.empirical.file = '{}'",
            file.display()
        );
        let times: Vec<f64> = self.real.requests.iter().map(|r| r.arrival.as_secs_f64()).collect();
        let shape = gamma_shape(&times);
        let zipf = |pick: fn(&windtunnel::workload::Request) -> u32| {
            let lengths: Vec<f64> = self.real.requests.iter().map(|r| f64::from(pick(r))).collect();
            let below = self.real.requests.iter().map(pick).max().unwrap_or(1) + 1;
            format!("{{ theta = {}, below = {below} }}", zipf_exponent(&lengths, below))
        };
        let gamma = format!(
            "requests = {count}\narrivals.gamma = {{ rate = '1 req/s', shape = {shape} }}\nlengths.independent = {{ prompt = {{ zipf = {} }}, output = {{ zipf = {} }} }}",
            zipf(|r| r.prompt),
            zipf(|r| r.output)
        );
        [("Poisson, i.i.d. real lengths", poisson), ("Gamma gaps, Zipf lengths", gamma)]
    }
}

/// Maximum likelihood of a Gamma shape (Minka's closed approximation, good to 1.5 %), zero gaps left out.
pub fn gamma_shape(times: &[f64]) -> f64 {
    let gaps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).filter(|g| *g > 0.0).collect();
    let n = gaps.len() as f64;
    let s = libm::log(gaps.iter().sum::<f64>() / n) - gaps.iter().map(|g| libm::log(*g)).sum::<f64>() / n;
    (3.0 - s + ((s - 3.0) * (s - 3.0) + 24.0 * s).sqrt()) / (12.0 * s)
}

/// Maximum likelihood of the exponent of a Zipf law on 1 .. `below`: its mean log is the sample's.
pub fn zipf_exponent(sample: &[f64], below: u32) -> f64 {
    let mean_log = sample.iter().map(|x| libm::log(*x)).sum::<f64>() / sample.len() as f64;
    let logs: Vec<f64> = (1..below).map(|k| libm::log(f64::from(k))).collect();
    let mean_of = |theta: f64| {
        let sums = logs.iter().fold((0.0, 0.0), |(w, l), log| {
            let weight = libm::exp(-theta * log);
            (w + weight, l + weight * log)
        });
        sums.1 / sums.0
    };
    let (mut low, mut high) = (0.0, 3.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if mean_of(middle) > mean_log { low = middle } else { high = middle }
    }
    low
}

/// Rows of a Markdown table for one case.
pub fn render(case: &Case, real: &Served, compared: &[Compared]) -> String {
    let mut text = String::new();
    let mut cells = vec![format!("**{}**: the real slice", case.name), format!("{:.2} req/s", real.capacity)];
    for row in &real.at {
        cells.push(row.iter().map(|x| format!("{:.0}", x * 1e3)).collect::<Vec<_>>().join(" / ") + " ms");
    }
    writeln!(text, "| {} | |", cells.join(" | ")).expect("text");
    for other in compared {
        let show = |(ratio, sd): &(f64, f64)| format!("{ratio:.2} ± {sd:.2}");
        let mut cells = vec![other.kind.to_owned(), show(&other.capacity)];
        for row in &other.at {
            cells.push(row.iter().map(show).collect::<Vec<_>>().join(" / "));
        }
        let failures = other.failures();
        let verdict = if failures.is_empty() { "passes".to_owned() } else { failures.join("; ") };
        writeln!(text, "| {} | {verdict} |", cells.join(" | ")).expect("text");
    }
    text
}
