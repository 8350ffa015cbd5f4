//! A made-up study: a few queues with a fixed number of slots stand for serving systems. No result means anything.

use hdrhistogram::Histogram;
use windtunnel::cluster::Outcome;
use windtunnel::cost::UnitWork;
use windtunnel::ids::{ClassId, ReplicaId, RequestId};
use windtunnel::metrics::record::{Cause, Fate, Ledger, RequestRecord, RunCounters, Sample, Traffic};
use windtunnel::metrics::work::{SizeBins, Work};
use windtunnel::metrics::{MeasureContext, Slo, curves, extract, measure, timeline_of};
use windtunnel::results::{
    GapCause, InputFile, PointInfo, Provenance, RunResult, Sensitivity, SensitivityRow, Study, SystemInfo,
    TokenRow, TokenTimeline,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::Trace;

/// How large the study is and what hostile text it carries.
pub struct Shape {
    pub requests: u32,
    pub seeds: u64,
    pub loads: Vec<f64>,
    pub hostile: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { requests: 400, seeds: 3, loads: vec![0.5, 0.8, 1.1], hostile: false }
    }
}

/// Name, slots, seconds per prompt token, seconds per output token, chance of a stall, whether a bound.
type Queue = (&'static str, usize, f64, f64, f64, bool);

const QUEUES: [Queue; 6] = [
    ("fastertransformer", 12, 2.2e-4, 0.031, 0.0, false),
    ("orca", 20, 1.6e-4, 0.027, 0.05, false),
    ("sarathi-serve", 34, 1.5e-4, 0.0250, 0.004, false),
    ("vllm-v1", 36, 1.2e-4, 0.0246, 0.02, false),
    ("clairvoyant", 40, 1.1e-4, 0.0235, 0.0, true),
    ("ideal", 4000, 1.0e-4, 0.0200, 0.0, true),
];

/// Requests per second that are load 1.
const CAPACITY: f64 = 6.5;

struct Draws(u64);

impl Draws {
    /// Uniform in (0, 1).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -libm::log(self.next())
    }
}

fn ps(seconds: f64) -> u64 {
    (seconds * 1e12) as u64
}

/// One run of one queue.
pub fn outcome(queue: usize, load: f64, seed: u64, requests: u32) -> Outcome {
    let (_, slots, per_prompt, per_output, stall, _) = QUEUES[queue];
    let mut draws = Draws(seed * 7919 + 17);
    let mut free = vec![0_u64; slots];
    let mut gaps = Histogram::<u64>::new(3).expect("three digits are allowed");
    let (mut records, mut clock) = (Vec::new(), 0.0);
    for id in 0..requests {
        clock += draws.exponential() / (load * CAPACITY);
        let chat = draws.next() < 0.6;
        let prompt = (libm::exp(6.0 + draws.exponential() * 0.7)).min(16_000.0);
        let output = if chat { 1.0 + draws.exponential() * 260.0 } else { 7.0 };
        let (prompt, output) = (prompt as u32, output as u32);
        let arrival = if id == 0 { 0 } else { ps(clock) };
        let queued = arrival + ps(0.002);
        let slot = (0..slots).min_by_key(|&s| free[s]).unwrap_or(0);
        let scheduled = queued.max(free[slot]);
        let prefill = ps(f64::from(prompt) * per_prompt + 0.012);
        let first = scheduled + prefill;
        let (mut decode, mut stalled, mut longest) = (0, 0, 0);
        for _ in 1..output {
            let gap = ps(per_output * (0.95 + 0.1 * draws.next()));
            let extra = if draws.next() < stall { ps(0.18 * draws.next()) } else { 0 };
            gaps.record((gap + extra) / 1000).expect("a gap fits");
            (decode, stalled, longest) = (decode + gap, stalled + extra, longest.max(gap + extra));
        }
        let finish = first + decode + stalled;
        free[slot] = finish;
        let mut ledger = Ledger::default();
        for (cause, part) in [
            (Cause::FrontEnd, queued - arrival),
            (Cause::Queue, scheduled - queued),
            (Cause::PrefillExecution, prefill),
            (Cause::DecodeExecution, decode),
            (Cause::DecodeStalled, stalled),
        ] {
            ledger.add(cause, SimDuration::from_ps(part));
        }
        records.push(RequestRecord {
            id: RequestId(id),
            class: ClassId(u16::from(!chat)),
            replica: ReplicaId(0),
            fate: Fate::Finished,
            prompt,
            output,
            arrival: SimTime::from_ps(arrival),
            queued: SimTime::from_ps(queued),
            scheduled: SimTime::from_ps(scheduled),
            first_token: SimTime::from_ps(first),
            finish: SimTime::from_ps(finish),
            gap_max: SimDuration::from_ps(longest),
            preemptions: u32::from(stall > 0.04 && id % 40 == 0),
            recomputed: 0,
            cached: 0,
            on_time: 0,
            alone: SimDuration::ZERO,
            ledger,
        });
    }
    let end = records.iter().map(|r| r.finish).max().unwrap_or(SimTime::ZERO);
    let samples = samples(&records, end);
    let counters = counters(&records);
    Outcome {
        records: records.into_iter().collect(),
        counters,
        gaps,
        samples,
        end,
        traffic: Traffic::default(),
        fleet: None,
    }
}

fn samples(records: &[RequestRecord], end: SimTime) -> Vec<Sample> {
    (0..400_u64)
        .map(|i| {
            let at = SimTime::from_ps(end.as_ps() / 400 * i);
            let count = |f: &dyn Fn(&RequestRecord) -> bool| records.iter().filter(|r| f(r)).count() as u32;
            let running = count(&|r| r.scheduled <= at && r.finish > at);
            Sample {
                at,
                waiting: count(&|r| r.queued <= at && r.scheduled > at),
                running,
                kv_held: u64::from(running.min(40)) * 24,
                kv_room: u64::from(running.min(40)) * 24 * 16,
                generated: records.iter().filter(|r| r.finish <= at).map(|r| u64::from(r.output)).sum(),
                finished: count(&|r| r.finish <= at),
                kv_live: u64::from(running.min(40)) * 24 * 15,
                kv_fragmented: u64::from(running.min(40)) * 7,
                work: work(records.iter().filter(|r| r.finish <= at)),
                bound_time: [at.as_ps().into(), 0, 0, 0, 0, 0],
                ..Sample::default()
            }
        })
        .collect()
}

/// As if every token had been a step of its own.
fn work<'a>(records: impl Iterator<Item = &'a RequestRecord>) -> Work {
    let tokens: u64 = records.map(|r| u64::from(r.prompt) + u64::from(r.output)).sum();
    Work { steps: tokens / 8, tokens, logits: tokens, ..Work::default() }
}

/// A request whose tenth token came late.
fn token_timeline() -> TokenTimeline {
    let row = |i: u32| TokenRow {
        at_s: 1.0 + f64::from(i) * 0.02 + if i < 10 { 0.0 } else { 0.4 },
        gap_s: if i == 10 { 0.42 } else { 0.02 },
        cause: if i == 10 { GapCause::OtherPrompt } else { GapCause::Decode },
        culprit: (i == 10).then_some((7, 4096)),
        other_prompt_tokens: if i == 10 { 4096 } else { 0 },
        steps: 1,
        sequences: 9,
    };
    let tokens = (0..20).map(row).collect();
    TokenTimeline { system: 3, point: 0, seed: 1, request: 5, prompt: 300, arrival_s: 0.5, tokens }
}

fn counters(records: &[RequestRecord]) -> RunCounters {
    let mut sizes = SizeBins::default();
    (1..40).for_each(|size| sizes.add(size, 40 - size));
    let output: u64 = records.iter().map(|r| u64::from(r.output)).sum();
    RunCounters {
        steps: output / 8,
        prefill_steps: records.len() as u64 / 2,
        mixed_steps: records.len() as u64 / 3,
        prefill_tokens: records.iter().map(|r| u64::from(r.prompt)).sum(),
        decode_tokens: output,
        work: work(records.iter()),
        step_tokens: sizes,
        step_sequences: sizes,
        preemptions: records.iter().map(|r| u64::from(r.preemptions)).sum(),
        ..RunCounters::default()
    }
}

/// The classes of the made-up trace.
pub fn trace(hostile: bool) -> Trace {
    let classes = if hostile { ["<script>alert(1)</script>", "=cmd()"] } else { ["chat", "api, 7 tokens"] };
    Trace { classes: classes.map(str::to_owned).into(), ..Trace::default() }
}

/// The context all runs are measured in.
pub fn context(rate: f64) -> MeasureContext {
    let slo = Slo {
        ttft: Some(SimDuration::from_secs(1)),
        tpot: Some(SimDuration::from_ms(60)),
        gap_p99: Some(SimDuration::from_ms(100)),
        ..Slo::default()
    };
    let unit = UnitWork {
        flops_per_token: 2e10,
        flops_per_logit: 1e9,
        flops_per_context: 5e5,
        bytes_per_step: 1.6e10,
        bytes_per_context: 1.3e5,
        peak_flops: 1e15,
        bandwidth: 3e12,
    };
    MeasureContext {
        slo,
        kv_blocks: 1000,
        kv_slots: 16_000,
        unit: Some(unit),
        offered_rate: Some(rate),
        ..MeasureContext::default()
    }
}

fn sensitivity() -> Sensitivity {
    let row = |constant: &str, below: Option<(f64, f64)>, above: (f64, f64)| SensitivityRow {
        constant: constant.to_owned(),
        meaning: "a made-up constant".to_owned(),
        below,
        above,
    };
    Sensitivity {
        system: "vllm-v1".to_owned(),
        capacity_per_s: CAPACITY,
        rows: vec![
            row("eb", Some((0.9, 6.1)), (1.1, 6.8)),
            row("mixed-attention", None, (1.25, 6.4)),
            row("link", Some((0.9, CAPACITY)), (1.1, CAPACITY)),
        ],
    }
}

/// One run of the study.
fn run(shape: &Shape, (system, point, seed): (usize, usize, u64), load: f64, trace: &Trace) -> RunResult {
    let outcome = outcome(system, load, seed, shape.requests);
    let context = context(load * CAPACITY);
    RunResult {
        system,
        point,
        seed,
        requests_hash: String::new(),
        summary: measure(&outcome, trace, &context),
        curves: curves(&outcome, &context),
        extract: extract(&outcome, trace, &context.slo),
        timeline: timeline_of(&outcome, &context),
        requests: (shape.hostile && seed == 1).then(|| outcome.records.clone()),
    }
}

/// The study.
pub fn study(shape: &Shape) -> Study {
    let hostile = |text: &str| {
        if shape.hostile { format!("=\"<script>alert(1)</script>{text}") } else { text.to_owned() }
    };
    let trace = trace(shape.hostile);
    let mut runs = Vec::new();
    for system in 0..QUEUES.len() {
        for (point, load) in shape.loads.iter().enumerate() {
            for seed in 1..=shape.seeds {
                runs.push(run(shape, (system, point, seed), *load, &trace));
            }
        }
    }
    Study {
        title: hostile("Which scheduler for a bursty day on one H100?"),
        scenario_name: hostile("schedulers-burstgpt"),
        scenario_text: "title = \"made up\"\n".to_owned(),
        reference: hostile("vllm-v1"),
        slo: context(1.0).slo,
        attainment_target: 0.9,
        systems: QUEUES
            .iter()
            .map(|q| SystemInfo {
                name: hostile(q.0),
                paper: "A made-up queue, OSDI'99".to_owned(),
                bound: q.5,
                oracle: q.0 == "clairvoyant",
                notes: String::new(),
                gpus: 1,
                usd_per_hour: Some(2.5),
                tdp_kw: 0.7,
                kv_tokens: 16_000,
                host_cache_tokens: 0,
                hardware_grade: "fitted".to_owned(),
                pools: Vec::new(),
            })
            .collect(),
        points: shape
            .loads
            .iter()
            .map(|load| PointInfo {
                label: hostile(&format!("load {load}")),
                load: Some(*load),
                rate_per_s: Some(load * CAPACITY),
            })
            .collect(),
        runs,
        provenance: Provenance {
            tool_version: "0.0.0".to_owned(),
            model: "llama-3.1-8b".to_owned(),
            hardware: "1 × h100-sxm".to_owned(),
            hardware_grade: "fitted".to_owned(),
            engine: "vllm-0.19".to_owned(),
            workload: hostile("burstgpt twin"),
            seeds: (1..=shape.seeds).collect(),
            inputs: vec![InputFile { name: "h100-sxm.toml".to_owned(), hash: "sha256:0123abcd".to_owned() }],
            classes: trace.classes.clone(),
            not_modelled: vec!["network between client and front end".to_owned()],
            rows_skipped: 0,
        },
        sensitivity: Some(sensitivity()),
        token_timeline: Some(token_timeline()),
        ..Study::default()
    }
}
