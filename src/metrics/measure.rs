//! From what a run left behind to its summary.

use super::ledger::ledgers;
use super::record::{Fate, RequestRecord, Sample};
use super::requests::request_stats;
use super::saturation::{Steadiness, steadiness};
use super::series::{Curves, TimelineRow, curve, curve_of_histogram, timeline};
use super::slo::Slo;
use super::summary::{RequestStats, RunStats, Summary};
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
    pub(super) fn contains(&self, t: SimTime) -> bool {
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
    /// Whether the decode replica gives the first token, so that the hand-over comes before it.
    pub first_at_decode: bool,
    /// Rate that the load point stands for, in requests per second.
    pub offered_rate: Option<f64>,
    /// What the deployment draws and costs; absent where that is not known or means nothing (`ideal`).
    pub running: Option<super::energy::Running>,
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
            first_at_decode: false,
            offered_rate: None,
            running: None,
        }
    }
}

/// Everything that is reported about one run. O(requests · log requests).
pub fn measure(outcome: &Outcome, trace: &Trace, context: &MeasureContext) -> Summary {
    let first = outcome.records.iter().map(|r| r.arrival).min().unwrap_or(SimTime::ZERO);
    let last = outcome.records.iter().map(|r| r.arrival).max().unwrap_or(SimTime::ZERO);
    let spans = Spans::new(context.window, first, last, outcome.end);
    let (requests, classes) = request_stats(&outcome.records, &trace.classes, &spans, context);
    let steady = steadiness(&outcome.records);
    let mut run = run_stats(outcome, &requests, &steady, context);
    super::energy::fill(&mut run, outcome, &requests, context);
    super::sessions::fill(&mut run, &outcome.records, trace.sessions.as_deref());
    let measured = outcome.records.iter().filter(|r| spans.measured(r));
    super::traffic::fill_shares(&mut run, measured, context.first_at_decode);
    let verdict = judge(&[(&requests, &run)], &context.slo, context.attainment_target);
    Summary {
        saturation: steady.label,
        slo_met: verdict.met,
        slo_missed: verdict.missed,
        ledger: ledgers(outcome.records.iter().filter(|r| spans.measured(r))),
        classes,
        requests,
        run,
    }
}

/// Quantile curves of one run.
pub fn curves(outcome: &Outcome, context: &MeasureContext) -> Curves {
    let spans = Spans::new(context.window, SimTime::ZERO, SimTime::ZERO, outcome.end);
    let finished = || outcome.records.iter().filter(|r| spans.measured(r));
    Curves {
        ttft_s: curve(finished().map(|r| r.ttft().as_secs_f64())),
        tpot_s: curve(finished().filter_map(|r| r.tpot())),
        e2e_s: curve(finished().map(|r| r.e2e().as_secs_f64())),
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
pub(super) struct Spans {
    pub window: Window,
    /// Over which requests arrive, in seconds.
    pub arrivals_s: f64,
    /// Over which requests finish, in seconds.
    pub finishes_s: f64,
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
    pub fn measured(&self, record: &RequestRecord) -> bool {
        record.fate == Fate::Finished && self.window.contains(record.arrival)
    }
}

pub(super) fn rate(count: u64, seconds: f64) -> Option<f64> {
    (seconds > 0.0).then(|| count as f64 / seconds)
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
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
    // Of all replicas, those that were provided for: the rest can neither be busy nor be paid for.
    let mean_replicas = outcome.fleet.as_ref().and_then(|f| f.mean_replicas(makespan_s));
    let provided = mean_replicas.map_or(1.0, |mean| mean / f64::from(context.replicas));
    let gpus = f64::from(context.gpus) * provided;
    let capacity_ps = makespan_s * 1e12 * f64::from(context.stages) * provided;
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
        goodput_per_gpu_per_s: requests.goodput_per_s.map(|g| g / gpus),
        output_tok_per_gpu_per_s: requests.throughput_output_tok_per_s.map(|t| t / gpus),
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
        warm_up_ratio: super::warm_up::warm_up_share(&outcome.records),
        little_residual: little(outcome, makespan_s),
        ..RunStats::default()
    };
    gap_stats(&mut stats, outcome, context);
    super::inside::fill(&mut stats, outcome, makespan_s * provided, context);
    super::traffic::fill(&mut stats, &outcome.traffic, makespan_s);
    super::fleet::fill(&mut stats, outcome.fleet.as_ref(), makespan_s, context);
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
