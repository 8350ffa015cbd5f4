//! From what a run left behind to its summary.

use super::ledger::ledgers;
use super::quantile::Quantiles;
use super::record::{Fate, Rejection, RequestRecord, Sample};
use super::saturation::{Steadiness, steadiness};
use super::series::{Curves, TimelineRow, curve, curve_of_histogram, timeline};
use super::slo::{Limit, Met, Slo};
use super::summary::{ClassSummary, RequestStats, RunStats, Summary};
use super::verdict::judge;
use crate::cost::UnitWork;
use crate::metrics::record::Outcome;
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

/// Which arrivals are measured: from `start` (end of warm-up) to before `end` (start of cool-down).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// First instant that counts.
    pub start: SimTime,
    /// First instant that no longer counts; `None`: up to the end of the run.
    pub end: Option<SimTime>,
}

impl Window {
    fn contains(&self, t: SimTime) -> bool {
        t >= self.start && self.end.is_none_or(|end| t < end)
    }
}

/// What the numbers are judged against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeasureContext {
    /// Limits.
    pub slo: Slo,
    /// Share of requests that must meet a per-request limit, in (0, 1].
    pub attainment_target: f64,
    /// Which arrivals are measured.
    pub window: Window,
    /// Pipeline stages of all replicas together, at least 1.
    pub stages: u32,
    /// GPUs of the deployment, at least 1.
    pub gpus: u32,
    /// Replicas of the deployment, at least 1.
    pub replicas: u32,
    /// Usable KV blocks of all replicas together; 0 when unlimited.
    pub kv_blocks: u64,
    /// Tokens that these blocks have room for; 0 when not known.
    pub kv_slots: u64,
    /// FLOPs and bytes of a unit of work; absent where utilisation means nothing (`ideal`) or is not known.
    pub unit: Option<UnitWork>,
    /// Rate that the load point stands for, in requests per second.
    pub offered_rate: Option<f64>,
}

impl Default for MeasureContext {
    fn default() -> Self {
        MeasureContext {
            slo: Slo::default(),
            attainment_target: 0.9,
            window: Window::default(),
            stages: 1,
            gpus: 1,
            replicas: 1,
            kv_blocks: 0,
            kv_slots: 0,
            unit: None,
            offered_rate: None,
        }
    }
}

/// Everything that is reported about one run. O(requests · log requests).
pub fn measure(outcome: &Outcome, trace: &Trace, context: &MeasureContext) -> Summary {
    let first = outcome.records.iter().map(|r| r.arrival).min().unwrap_or(SimTime::ZERO);
    let last = outcome.records.iter().map(|r| r.arrival).max().unwrap_or(SimTime::ZERO);
    let spans = Spans::new(context.window, first, last, outcome.end);
    let all: Vec<&RequestRecord> = outcome.records.iter().collect();
    let requests = request_stats(&all, &spans, context);
    let steady = steadiness(&outcome.records);
    let finished: Vec<&RequestRecord> = outcome.records.iter().filter(|r| spans.measured(r)).collect();
    let run = run_stats(outcome, &requests, &steady, context);
    let verdict = judge(&[(&requests, &run)], &context.slo, context.attainment_target);
    Summary {
        saturation: steady.label,
        slo_met: verdict.met,
        slo_missed: verdict.missed,
        ledger: ledgers(&finished),
        classes: classes(outcome, trace, &spans, context),
        requests,
        run,
    }
}

/// Quantile curves of one run.
pub fn curves(outcome: &Outcome, context: &MeasureContext) -> Curves {
    let spans = Spans::new(context.window, SimTime::ZERO, SimTime::ZERO, outcome.end);
    let of = |f: fn(&RequestRecord) -> Option<f64>| {
        curve(outcome.records.iter().filter(|r| spans.measured(r)).filter_map(f).collect())
    };
    Curves {
        ttft_s: of(|r| Some(r.ttft().as_secs_f64())),
        tpot_s: of(RequestRecord::tpot),
        e2e_s: of(|r| Some(r.e2e().as_secs_f64())),
        gap_s: curve_of_histogram(&outcome.gaps),
        step_tokens: outcome.counters.step_tokens.shares(),
        step_sequences: outcome.counters.step_sequences.shares(),
    }
}

/// The timeline of one run.
pub fn timeline_of(outcome: &Outcome, context: &MeasureContext) -> Vec<TimelineRow> {
    timeline(&outcome.samples, context)
}

/// The window and the spans that rates are divided by.
struct Spans {
    window: Window,
    /// Over which requests arrive, in seconds.
    arrivals_s: f64,
    /// Over which requests finish, in seconds.
    finishes_s: f64,
}

impl Spans {
    fn new(window: Window, first: SimTime, last: SimTime, end: SimTime) -> Spans {
        let start = window.start.max(first);
        let length =
            |from: SimTime, to: SimTime| SimDuration::from_ps(to.as_ps().saturating_sub(from.as_ps()));
        let finishes = length(start, window.end.unwrap_or(end));
        let arrivals = match length(start, window.end.unwrap_or(last)) {
            SimDuration::ZERO => finishes,
            span => span,
        };
        Spans { window, arrivals_s: arrivals.as_secs_f64(), finishes_s: finishes.as_secs_f64() }
    }

    /// Whether the record counts for latencies.
    fn measured(&self, record: &RequestRecord) -> bool {
        record.fate == Fate::Finished && self.window.contains(record.arrival)
    }
}

fn rate(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

fn request_stats(records: &[&RequestRecord], spans: &Spans, context: &MeasureContext) -> RequestStats {
    let arrived: Vec<&RequestRecord> =
        records.iter().copied().filter(|r| spans.window.contains(r.arrival)).collect();
    let finished: Vec<&RequestRecord> = arrived.iter().copied().filter(|r| spans.measured(r)).collect();
    let count = |f: fn(&RequestRecord) -> bool| arrived.iter().filter(|r| f(r)).count() as u64;
    let met = Met::count(&context.slo, arrived.iter().copied());
    let limited = |i: usize| context.slo.get(Limit::PER_REQUEST[i]).and_then(|_| met.share(met.each[i]));
    let mut stats = RequestStats {
        arrived: met.arrived,
        finished: finished.len() as u64,
        rejected: count(|r| matches!(r.fate, Fate::Rejected(_))),
        overloaded: count(|r| r.fate == Fate::Rejected(Rejection::Overloaded)),
        timed_out: count(|r| r.fate == Fate::TimedOut),
        unfinished: count(|r| r.fate == Fate::Unfinished),
        prompt_tokens: finished.iter().map(|r| u64::from(r.prompt)).sum(),
        output_tokens: finished.iter().map(|r| u64::from(r.output)).sum(),
        arrival_rate_per_s: rate(met.arrived, spans.arrivals_s),
        attainment: met.share(met.all),
        attainment_ttft: limited(0),
        attainment_tpot: limited(1),
        attainment_e2e: limited(2),
        attainment_gap_max: limited(3),
        fluidity: context.slo.deadlines().and_then(|_| fluidity(&finished)),
        goodput_per_s: rate(met.all, spans.arrivals_s),
        preempted: count(|r| r.preemptions > 0),
        preemptions: arrived.iter().map(|r| u64::from(r.preemptions)).sum(),
        recomputed_tokens: arrived.iter().map(|r| u64::from(r.recomputed)).sum(),
        cached_tokens: arrived.iter().map(|r| u64::from(r.cached)).sum(),
        ..RequestStats::default()
    };
    let ended = stats.finished + stats.rejected + stats.timed_out;
    assert!(ended + stats.unfinished == stats.arrived, "a request has no fate");
    throughput(&mut stats, records, spans);
    latencies(&mut stats, &finished);
    stats
}

/// Share of the tokens of finished requests that met their deadlines.
fn fluidity(finished: &[&RequestRecord]) -> Option<f64> {
    let sum = |f: fn(&RequestRecord) -> u32| finished.iter().map(|r| u64::from(f(r))).sum::<u64>();
    let (on_time, tokens) = (sum(|r| r.on_time), sum(|r| r.output));
    (tokens > 0).then(|| on_time as f64 / tokens as f64)
}

/// Throughput counts what *finished* in the window, whenever it arrived.
fn throughput(stats: &mut RequestStats, records: &[&RequestRecord], spans: &Spans) {
    let done = || records.iter().filter(|r| r.fate == Fate::Finished && spans.window.contains(r.finish));
    let output: u64 = done().map(|r| u64::from(r.output)).sum();
    let prompt: u64 = done().map(|r| u64::from(r.prompt)).sum();
    stats.throughput_req_per_s = rate(done().count() as u64, spans.finishes_s);
    stats.throughput_output_tok_per_s = rate(output, spans.finishes_s);
    stats.throughput_total_tok_per_s = rate(output + prompt, spans.finishes_s);
}

fn latencies(stats: &mut RequestStats, finished: &[&RequestRecord]) {
    let of = |f: fn(&RequestRecord) -> Option<f64>| {
        Quantiles::of(&mut finished.iter().filter_map(|r| f(r)).collect::<Vec<f64>>())
    };
    let q = of(|r| Some(r.ttft().as_secs_f64()));
    (stats.ttft_mean_s, stats.ttft_p50_s, stats.ttft_p90_s, stats.ttft_p99_s) = (q.mean, q.p50, q.p90, q.p99);
    stats.ttft_max_s = q.max;
    stats.ttft_p99_worst_10min_s = worst_window(finished);
    let q = of(|r| Some(r.ttft_engine().as_secs_f64()));
    (stats.ttft_engine_mean_s, stats.ttft_engine_p50_s) = (q.mean, q.p50);
    (stats.ttft_engine_p90_s, stats.ttft_engine_p99_s) = (q.p90, q.p99);
    let q = of(RequestRecord::tpot);
    (stats.tpot_mean_s, stats.tpot_p50_s, stats.tpot_p90_s, stats.tpot_p99_s) = (q.mean, q.p50, q.p90, q.p99);
    stats.tpot_max_s = q.max;
    let q = of(|r| Some(r.e2e().as_secs_f64()));
    (stats.e2e_mean_s, stats.e2e_p50_s, stats.e2e_p90_s, stats.e2e_p99_s) = (q.mean, q.p50, q.p90, q.p99);
    stats.e2e_max_s = q.max;
    let q = of(RequestRecord::normalised);
    (stats.normalised_mean_s_per_token, stats.normalised_p50_s_per_token) = (q.mean, q.p50);
    (stats.normalised_p90_s_per_token, stats.normalised_p99_s_per_token) = (q.p90, q.p99);
    let q = of(|r| Some(r.scheduling_delay().as_secs_f64()));
    (stats.scheduling_delay_mean_s, stats.scheduling_delay_p50_s) = (q.mean, q.p50);
    (stats.scheduling_delay_p90_s, stats.scheduling_delay_p99_s) = (q.p90, q.p99);
    let q = of(|r| Some(r.queue().as_secs_f64()));
    (stats.queue_mean_s, stats.queue_p50_s, stats.queue_p90_s, stats.queue_p99_s) =
        (q.mean, q.p50, q.p90, q.p99);
    let q = of(|r| (r.output > 1).then(|| r.gap_max.as_secs_f64()));
    (stats.gap_max_p50_s, stats.gap_max_p90_s, stats.gap_max_p99_s) = (q.p50, q.p90, q.p99);
    let q = of(RequestRecord::slowdown);
    (stats.slowdown_mean, stats.slowdown_p50) = (q.mean, q.p50);
    (stats.slowdown_p90, stats.slowdown_p99) = (q.p90, q.p99);
}

/// Ten minutes: what an on-call engineer calls an incident.
const INCIDENT: SimDuration = SimDuration::from_ps(600_000_000_000_000);
/// Fewer requests have no 99th percentile.
const INCIDENT_REQUESTS: usize = 100;

/// The largest P99 TTFT over consecutive stretches of [`INCIDENT`], by arrival, in seconds.
fn worst_window(finished: &[&RequestRecord]) -> Option<f64> {
    let stretch = |r: &&RequestRecord| r.arrival.as_ps() / INCIDENT.as_ps();
    let mut worst: Option<f64> = None;
    // Records are in order of arrival, but in a closed loop only nearly so: a stretch that comes back counts twice.
    for window in finished.chunk_by(|a, b| stretch(a) == stretch(b)) {
        if window.len() >= INCIDENT_REQUESTS {
            let mut ttft: Vec<f64> = window.iter().map(|r| r.ttft().as_secs_f64()).collect();
            let p99 = Quantiles::of(&mut ttft).p99;
            worst = worst.into_iter().chain(p99).max_by(f64::total_cmp);
        }
    }
    worst
}

fn run_stats(
    outcome: &Outcome,
    requests: &RequestStats,
    steady: &Steadiness,
    context: &MeasureContext,
) -> RunStats {
    let c = &outcome.counters;
    let first = outcome.records.iter().map(|r| r.arrival).min().unwrap_or(SimTime::ZERO);
    let makespan_s = SimDuration::from_ps(outcome.end.as_ps().saturating_sub(first.as_ps())).as_secs_f64();
    let decoding = c.steps - c.prefill_steps;
    let capacity_ps = makespan_s * 1e12 * f64::from(context.stages);
    let busy = c.busy.map(|ps| ratio(ps as f64, capacity_ps));
    let kv = |f: &dyn Fn(&mut dyn Iterator<Item = f64>) -> Option<f64>| {
        let total = context.kv_blocks;
        (total > 0).then(|| f(&mut outcome.samples.iter().map(|s| s.kv_held as f64 / total as f64))).flatten()
    };
    let mean_of =
        |f: fn(&Sample) -> f64| super::quantile::mean(&outcome.samples.iter().map(f).collect::<Vec<_>>());
    let mut stats = RunStats {
        offered_rate_per_s: context.offered_rate,
        makespan_s: Some(makespan_s),
        goodput_per_gpu_per_s: requests.goodput_per_s.map(|g| g / f64::from(context.gpus)),
        output_tok_per_gpu_per_s: requests.throughput_output_tok_per_s.map(|t| t / f64::from(context.gpus)),
        steps: c.steps,
        prefill_steps: c.prefill_steps,
        mixed_steps: c.mixed_steps,
        decode_steps: decoding.saturating_sub(c.mixed_steps),
        decode_batch_mean: ratio(c.decode_tokens as f64, decoding as f64),
        step_tokens_mean: ratio((c.prefill_tokens + c.decode_tokens) as f64, c.steps as f64),
        prefill_tokens: c.prefill_tokens,
        decode_tokens: c.decode_tokens,
        run_preemptions: c.preemptions,
        run_recomputed_tokens: c.recomputed_tokens,
        run_cached_tokens: c.cached_tokens,
        run_host_cached_tokens: c.host_cached_tokens,
        wasted_slots: c.wasted_slots,
        swapped_blocks: c.swapped_blocks,
        busy_ratio: ratio(c.busy.iter().sum::<u128>() as f64, capacity_ps),
        busy_linear_ratio: busy[0],
        busy_attention_ratio: busy[1],
        busy_link_ratio: busy[2],
        busy_host_ratio: busy[3],
        kv_occupancy_mean: kv(&|v| super::quantile::mean(&v.collect::<Vec<_>>())),
        kv_occupancy_peak: kv(&|v| v.max_by(f64::total_cmp)),
        kv_waste_ratio: kv_waste(&outcome.samples),
        running_mean: mean_of(|s| f64::from(s.running)),
        waiting_mean: mean_of(|s| f64::from(s.waiting)),
        waiting_at_last_arrival: steady.waiting_at_last_arrival,
        arrivals_second_half: steady.arrivals_second_half,
        completions_second_half: steady.completions_second_half,
        backlog_slope_per_s: steady.backlog_slope(),
        little_residual: little(outcome, makespan_s),
        ..RunStats::default()
    };
    gap_stats(&mut stats, outcome, context);
    super::inside::fill(&mut stats, outcome, makespan_s, context);
    stats
}

/// Room that stores nothing, as a share of all room held at the samples.
fn kv_waste(samples: &[Sample]) -> Option<f64> {
    let room: u64 = samples.iter().map(|s| s.kv_room).sum();
    let stored: u64 = samples.iter().map(|s| s.kv_live).sum();
    ratio(room as f64 - stored as f64, room as f64)
}

/// Pooled gaps; the histogram holds nanoseconds with a fixed number of significant digits.
fn gap_stats(stats: &mut RunStats, outcome: &Outcome, context: &MeasureContext) {
    let gaps = &outcome.gaps;
    stats.gaps = gaps.len();
    stats.gap_error_ratio = Some(libm::pow(10.0, -f64::from(gaps.sigfig())));
    if gaps.is_empty() {
        return;
    }
    let at = |q: f64| Some(gaps.value_at_quantile(q) as f64 / 1e9);
    (stats.gap_p50_s, stats.gap_p90_s, stats.gap_p99_s) = (at(0.5), at(0.9), at(0.99));
    stats.gap_mean_s = Some(gaps.mean() / 1e9);
    stats.gap_max_s = Some(gaps.max() as f64 / 1e9);
    stats.gap_share_within_slo = context.slo.gap_p99.map(|limit| {
        let limit_ns = limit.as_ps() / 1000;
        gaps.count_between(0, limit_ns) as f64 / gaps.len() as f64
    });
}

/// Little's law between two independent sources: samples (L) and records (λ·W), both of time in replicas.
fn little(outcome: &Outcome, makespan_s: f64) -> Option<f64> {
    if outcome.records.iter().any(|r| r.fate == Fate::Unfinished) || outcome.samples.len() < 100 {
        return None;
    }
    let in_replicas: Vec<f64> =
        outcome.samples.iter().map(|s| f64::from(s.waiting) + f64::from(s.running)).collect();
    let stays_ps: u128 = outcome
        .records
        .iter()
        .filter(|r| matches!(r.fate, Fate::Finished | Fate::TimedOut))
        .map(|r| u128::from(r.in_replica().as_ps()))
        .sum();
    let mean = super::quantile::mean(&in_replicas)?;
    ratio(mean, stays_ps as f64 / 1e12 / makespan_s).map(|r| r - 1.0)
}

fn classes(outcome: &Outcome, trace: &Trace, spans: &Spans, context: &MeasureContext) -> Vec<ClassSummary> {
    let mut members: Vec<Vec<&RequestRecord>> = vec![Vec::new(); trace.classes.len()];
    for record in &outcome.records {
        members[record.class.index()].push(record);
    }
    trace
        .classes
        .iter()
        .zip(&members)
        .filter(|(_, records)| !records.is_empty())
        .map(|(class, records)| ClassSummary {
            class: class.clone(),
            requests: request_stats(records, spans, context),
        })
        .collect()
}
