//! The numbers that follow from request records, of all requests and of each class, made together: a statistic passes
//! over the columns it needs once.

use super::measure::{MeasureContext, Spans, rate};
use super::quantile::Quantiles;
use super::record::{Fate, Rejection, RequestRecord};
use super::records::Records;
use super::slo::{Limit, Met, Slo};
use super::summary::{ClassSummary, RequestStats};
use crate::units::SimDuration;

/// Statistics of all requests, and of each class that has requests, in the order of `names`.
pub(super) fn request_stats(
    records: &Records,
    names: &[String],
    spans: &Spans,
    context: &MeasureContext,
) -> (RequestStats, Vec<ClassSummary>) {
    let mut tallies = vec![Tally::default(); names.len()];
    records.iter().for_each(|r| tallies[r.class.index()].add(&r, spans, &context.slo));
    let mut all = Tally::default();
    tallies.iter().for_each(|tally| all.plus(tally));
    let mut groups: Vec<RequestStats> =
        [all].iter().chain(&tallies).map(|tally| tally.stats(spans, context)).collect();
    let mut finished = Finished { records, spans, values: vec![Vec::new(); 1 + names.len()] };
    latencies(&mut groups, &mut finished);
    shares(&mut groups, &mut finished);
    for (stats, worst) in groups.iter_mut().zip(finished.worst_window()) {
        stats.ttft_p99_worst_10min_s = worst;
    }
    let mut groups = groups.into_iter();
    let all = groups.next().expect("the group of all requests");
    let classes = names.iter().zip(groups).zip(&tallies).filter(|(_, tally)| tally.records > 0);
    let classes = classes.map(|((class, requests), _)| ClassSummary { class: class.clone(), requests });
    (all, classes.collect())
}

/// Integer sums over one set of requests.
#[derive(Clone, Default)]
struct Tally {
    /// In the window or not.
    records: u64,
    met: Met,
    finished: u64,
    rejected: u64,
    overloaded: u64,
    timed_out: u64,
    unfinished: u64,
    prompt_tokens: u64,
    output_tokens: u64,
    on_time: u64,
    preempted: u64,
    preemptions: u64,
    recomputed: u64,
    cached: u64,
    /// Requests that finished in the window, whenever they arrived: what throughput counts.
    done: u64,
    done_prompt: u64,
    done_output: u64,
}

impl Tally {
    fn add(&mut self, r: &RequestRecord, spans: &Spans, slo: &Slo) {
        self.records += 1;
        let (prompt, output) = (u64::from(r.prompt), u64::from(r.output));
        if r.fate == Fate::Finished && spans.window.contains(r.finish) {
            self.done += 1;
            self.done_prompt += prompt;
            self.done_output += output;
        }
        if !spans.window.contains(r.arrival) {
            return;
        }
        self.met.add(slo, r);
        match r.fate {
            Fate::Finished => {
                self.finished += 1;
                self.prompt_tokens += prompt;
                self.output_tokens += output;
                self.on_time += u64::from(r.on_time);
            }
            Fate::Rejected(reason) => {
                self.rejected += 1;
                self.overloaded += u64::from(reason == Rejection::Overloaded);
            }
            Fate::TimedOut => self.timed_out += 1,
            Fate::Unfinished => self.unfinished += 1,
        }
        self.preempted += u64::from(r.preemptions > 0);
        self.preemptions += u64::from(r.preemptions);
        self.recomputed += u64::from(r.recomputed);
        self.cached += u64::from(r.cached);
    }

    fn plus(&mut self, other: &Tally) {
        self.records += other.records;
        self.met.plus(&other.met);
        self.finished += other.finished;
        self.rejected += other.rejected;
        self.overloaded += other.overloaded;
        self.timed_out += other.timed_out;
        self.unfinished += other.unfinished;
        self.prompt_tokens += other.prompt_tokens;
        self.output_tokens += other.output_tokens;
        self.on_time += other.on_time;
        self.preempted += other.preempted;
        self.preemptions += other.preemptions;
        self.recomputed += other.recomputed;
        self.cached += other.cached;
        self.done += other.done;
        self.done_prompt += other.done_prompt;
        self.done_output += other.done_output;
    }

    fn stats(&self, spans: &Spans, context: &MeasureContext) -> RequestStats {
        let (met, slo) = (&self.met, &context.slo);
        let limited = |i: usize| slo.get(Limit::PER_REQUEST[i]).and_then(|_| met.share(met.each[i]));
        let on_time = (self.output_tokens > 0).then(|| self.on_time as f64 / self.output_tokens as f64);
        RequestStats {
            arrived: met.arrived,
            finished: self.finished,
            rejected: self.rejected,
            overloaded: self.overloaded,
            timed_out: self.timed_out,
            unfinished: self.unfinished,
            prompt_tokens: self.prompt_tokens,
            output_tokens: self.output_tokens,
            arrival_rate_per_s: rate(met.arrived, spans.arrivals_s),
            attainment: met.share(met.all(slo)),
            attainment_ttft: limited(0),
            attainment_tpot: limited(1),
            attainment_e2e: limited(2),
            attainment_gap_max: limited(3),
            fluidity: slo.deadlines().and(on_time),
            goodput_per_s: rate(met.all(slo), spans.arrivals_s),
            preempted: self.preempted,
            preemptions: self.preemptions,
            recomputed_tokens: self.recomputed,
            cached_tokens: self.cached,
            throughput_req_per_s: rate(self.done, spans.finishes_s),
            throughput_output_tok_per_s: rate(self.done_output, spans.finishes_s),
            throughput_total_tok_per_s: rate(self.done_output + self.done_prompt, spans.finishes_s),
            ..RequestStats::default()
        }
    }
}

/// The requests that latencies are about, and the groups they are reported in: all, then each class.
struct Finished<'a> {
    records: &'a Records,
    spans: &'a Spans,
    /// One quantity by group; memory for all quantities one after the other.
    values: Vec<Vec<f64>>,
}

/// Ten minutes: what an on-call engineer calls an incident.
const INCIDENT: SimDuration = SimDuration::from_ps(600_000_000_000_000);
/// Fewer requests have no 99th percentile.
const INCIDENT_REQUESTS: usize = 100;

impl Finished<'_> {
    fn iter(&self) -> impl Iterator<Item = RequestRecord> + '_ {
        self.records.iter().filter(|r| self.spans.measured(r))
    }

    /// Quantiles of one quantity by group.
    fn quantiles(&mut self, of: impl Fn(&RequestRecord) -> Option<f64>) -> Vec<Quantiles> {
        let mut values = std::mem::take(&mut self.values);
        values.iter_mut().for_each(Vec::clear);
        let (all, classes) = values.split_at_mut(1);
        self.iter().for_each(|r| {
            if let Some(value) = of(&r) {
                all[0].push(value);
                classes[r.class.index()].push(value);
            }
        });
        let quantiles = values.iter_mut().map(|values| Quantiles::of(values)).collect();
        self.values = values;
        quantiles
    }

    /// By group: the largest P99 TTFT over consecutive stretches of [`INCIDENT`], by arrival, in seconds.
    fn worst_window(&self) -> Vec<Option<f64>> {
        let mut groups = vec![WorstWindow::default(); self.values.len()];
        self.records.by_arrival().filter(|r| self.spans.measured(r)).for_each(|r| {
            let (stretch, ttft) = (r.arrival.as_ps() / INCIDENT.as_ps(), r.ttft().as_secs_f64());
            groups[0].add(stretch, ttft);
            groups[1 + r.class.index()].add(stretch, ttft);
        });
        groups.into_iter().map(WorstWindow::close).collect()
    }
}

#[derive(Clone, Default)]
struct WorstWindow {
    stretch: u64,
    ttft: Vec<f64>,
    worst: Option<f64>,
}

impl WorstWindow {
    fn add(&mut self, stretch: u64, ttft: f64) {
        if stretch != self.stretch {
            self.end_stretch();
            self.stretch = stretch;
        }
        self.ttft.push(ttft);
    }

    fn end_stretch(&mut self) {
        if self.ttft.len() >= INCIDENT_REQUESTS {
            let p99 = Quantiles::of(&mut self.ttft).p99;
            self.worst = self.worst.into_iter().chain(p99).max_by(f64::total_cmp);
        }
        self.ttft.clear();
    }

    fn close(mut self) -> Option<f64> {
        self.end_stretch();
        self.worst
    }
}

/// Writes the quantiles of one quantity into the statistics of every group.
fn write(
    groups: &mut [RequestStats],
    finished: &mut Finished<'_>,
    of: impl Fn(&RequestRecord) -> Option<f64>,
    into: fn(&mut RequestStats, Quantiles),
) {
    groups.iter_mut().zip(finished.quantiles(of)).for_each(|(stats, q)| into(stats, q));
}

fn latencies(groups: &mut [RequestStats], finished: &mut Finished<'_>) {
    let seconds = |d: SimDuration| Some(d.as_secs_f64());
    write(
        groups,
        finished,
        |r| seconds(r.ttft()),
        |s, q| {
            (s.ttft_mean_s, s.ttft_p50_s, s.ttft_p90_s, s.ttft_p99_s) = (q.mean, q.p50, q.p90, q.p99);
            s.ttft_max_s = q.max;
        },
    );
    write(
        groups,
        finished,
        |r| seconds(r.ttft_engine()),
        |s, q| {
            (s.ttft_engine_mean_s, s.ttft_engine_p50_s) = (q.mean, q.p50);
            (s.ttft_engine_p90_s, s.ttft_engine_p99_s) = (q.p90, q.p99);
        },
    );
    write(
        groups,
        finished,
        |r| seconds(r.e2e()),
        |s, q| {
            (s.e2e_mean_s, s.e2e_p50_s, s.e2e_p90_s, s.e2e_p99_s) = (q.mean, q.p50, q.p90, q.p99);
            s.e2e_max_s = q.max;
        },
    );
    write(
        groups,
        finished,
        |r| seconds(r.scheduling_delay()),
        |s, q| {
            (s.scheduling_delay_mean_s, s.scheduling_delay_p50_s) = (q.mean, q.p50);
            (s.scheduling_delay_p90_s, s.scheduling_delay_p99_s) = (q.p90, q.p99);
        },
    );
    write(
        groups,
        finished,
        |r| seconds(r.queue()),
        |s, q| {
            (s.queue_mean_s, s.queue_p50_s, s.queue_p90_s, s.queue_p99_s) = (q.mean, q.p50, q.p90, q.p99);
        },
    );
}

/// Quantities per token and per request alone.
fn shares(groups: &mut [RequestStats], finished: &mut Finished<'_>) {
    write(groups, finished, RequestRecord::tpot, |s, q| {
        (s.tpot_mean_s, s.tpot_p50_s, s.tpot_p90_s, s.tpot_p99_s) = (q.mean, q.p50, q.p90, q.p99);
        s.tpot_max_s = q.max;
    });
    write(groups, finished, RequestRecord::normalised, |s, q| {
        (s.normalised_mean_s_per_token, s.normalised_p50_s_per_token) = (q.mean, q.p50);
        (s.normalised_p90_s_per_token, s.normalised_p99_s_per_token) = (q.p90, q.p99);
    });
    let longest_gap = |r: &RequestRecord| (r.output > 1).then(|| r.gap_max.as_secs_f64());
    write(groups, finished, longest_gap, |s, q| {
        (s.gap_max_p50_s, s.gap_max_p90_s, s.gap_max_p99_s) = (q.p50, q.p90, q.p99);
    });
    write(groups, finished, RequestRecord::slowdown, |s, q| {
        (s.slowdown_mean, s.slowdown_p50) = (q.mean, q.p50);
        (s.slowdown_p90, s.slowdown_p99) = (q.p90, q.p99);
    });
}
