//! Are the numbers what `docs/metrics.md` says? Requests are laid out by hand.

use hdrhistogram::Histogram;
use windtunnel::cluster::Outcome;
use windtunnel::ids::{ClassId, ReplicaId, RequestId};
use windtunnel::metrics::record::{
    Cause, Fate, Ledger, Rejection, RequestRecord, RunCounters, Sample, Traffic,
};
use windtunnel::metrics::slo::Limit;
use windtunnel::metrics::{
    MeasureContext, Saturation, Slo, Summary, Window, column, curves, measure, verdict,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::Trace;

use crate::report_fixture;

fn at(ms: u64) -> SimTime {
    SimTime::from_ps(ms * 1_000_000_000)
}

/// A finished request: arrival, scheduled, first token, finish in ms; `output` tokens.
fn request(id: u32, [arrival, scheduled, first, finish]: [u64; 4], output: u32) -> RequestRecord {
    let mut ledger = Ledger::default();
    ledger.add(Cause::Queue, at(scheduled) - at(arrival));
    ledger.add(Cause::PrefillExecution, at(first) - at(scheduled));
    ledger.add(Cause::DecodeExecution, at(finish) - at(first));
    RequestRecord {
        id: RequestId(id),
        class: ClassId(0),
        replica: ReplicaId(0),
        fate: Fate::Finished,
        prompt: 100,
        output,
        arrival: at(arrival),
        queued: at(arrival),
        scheduled: at(scheduled),
        first_token: at(first),
        finish: at(finish),
        gap_max: SimDuration::from_ms(if output > 1 { (finish - first) / u64::from(output - 1) } else { 0 }),
        preemptions: 0,
        recomputed: 0,
        cached: 0,
        on_time: 0,
        alone: SimDuration::ZERO,
        ledger,
    }
}

fn lost(id: u32, arrival: u64, fate: Fate) -> RequestRecord {
    let none = SimTime::ZERO;
    let record = request(id, [arrival, arrival, arrival, arrival], 0);
    RequestRecord { fate, queued: none, scheduled: none, first_token: none, finish: none, ..record }
}

fn run(records: Vec<RequestRecord>, context: &MeasureContext) -> Summary {
    let end = records.iter().map(|r| r.finish.max(r.arrival)).max().unwrap_or(SimTime::ZERO);
    let gaps = Histogram::new(3).expect("three digits are allowed");
    let outcome = Outcome {
        records: records.into_iter().collect(),
        counters: RunCounters::default(),
        gaps,
        samples: Vec::new(),
        end,
        traffic: Traffic::default(),
        fleet: None,
    };
    let trace = Trace { classes: vec!["all".to_owned()], ..Trace::default() };
    measure(&outcome, &trace, context)
}

fn slo(ttft_ms: u64, tpot_ms: u64, joint: bool) -> MeasureContext {
    let ms = SimDuration::from_ms;
    let slo = Slo { ttft: Some(ms(ttft_ms)), tpot: Some(ms(tpot_ms)), joint, ..Slo::default() };
    MeasureContext { slo, ..MeasureContext::default() }
}

#[test]
fn latencies_follow_their_definitions() {
    let records = vec![request(0, [0, 100, 300, 700], 5), request(1, [1000, 1000, 1100, 1100], 1)];
    let s = run(records, &MeasureContext::default()).requests;
    assert_eq!(s.ttft_p50_s, Some(0.2), "mean of 0.3 and 0.1, type 7");
    assert_eq!(s.ttft_max_s, Some(0.3));
    assert_eq!(s.tpot_mean_s, Some(0.1), "absent for one token, so only the first request counts");
    assert_eq!(s.e2e_max_s, Some(0.7));
    assert!((s.e2e_mean_s.unwrap_or(0.0) - 0.4).abs() < 1e-12);
    assert_eq!(s.scheduling_delay_mean_s, Some(0.05));
    assert!((s.normalised_mean_s_per_token.unwrap_or(0.0) - (0.14 + 0.1) / 2.0).abs() < 1e-12);
    assert_eq!(s.throughput_output_tok_per_s, Some(6.0 / 1.1));
}

#[test]
fn engine_ttft_leaves_out_front_end_and_streaming() {
    let mut r = request(0, [0, 100, 300, 700], 5);
    // 40 ms in front of the replica and 10 ms streaming of each token.
    (r.queued, r.scheduled) = (at(40), at(100));
    r.ledger = Ledger::default();
    r.ledger.add(Cause::FrontEnd, SimDuration::from_ms(50));
    r.ledger.add(Cause::Queue, SimDuration::from_ms(60));
    r.ledger.add(Cause::PrefillExecution, SimDuration::from_ms(190));
    r.ledger.add(Cause::DecodeExecution, SimDuration::from_ms(400));
    assert_eq!(r.ledger.total(), r.e2e());
    assert_eq!(r.ttft(), SimDuration::from_ms(300));
    assert_eq!(r.ttft_engine(), SimDuration::from_ms(250));
    assert_eq!(r.in_replica(), SimDuration::from_ms(650));
}

#[test]
fn rejected_and_unfinished_requests_miss() {
    let records = vec![
        request(0, [0, 0, 100, 200], 2),
        lost(1, 100, Fate::Rejected(Rejection::TooLong)),
        lost(2, 200, Fate::Unfinished),
        request(3, [1000, 1000, 1100, 1200], 2),
    ];
    let s = run(records, &slo(150, 150, true)).requests;
    assert_eq!((s.arrived, s.finished, s.rejected, s.unfinished), (4, 2, 1, 1));
    assert_eq!(s.attainment, Some(0.5));
    assert_eq!(s.goodput_per_s, Some(2.0), "two within limits, arrivals span one second");
}

#[test]
fn joint_limits_are_stricter_than_each() {
    // The first misses TPOT, the second misses TTFT, the third meets both.
    let records = vec![
        request(0, [0, 0, 100, 400], 2),
        request(1, [0, 0, 200, 210], 2),
        request(2, [1000, 1000, 1100, 1110], 2),
    ];
    let joint = run(records.clone(), &slo(150, 50, true)).requests;
    let each = run(records, &slo(150, 50, false)).requests;
    assert_eq!(joint.attainment, Some(1.0 / 3.0));
    assert_eq!(each.attainment, Some(2.0 / 3.0));
    assert_eq!((each.attainment_ttft, each.attainment_tpot), (Some(2.0 / 3.0), Some(2.0 / 3.0)));
    assert_eq!(each.attainment_e2e, None, "no such limit is set");
    let records = vec![request(0, [0, 0, 100, 400], 2), request(1, [0, 0, 200, 210], 2)];
    let half = |joint| MeasureContext { attainment_target: 0.5, ..slo(150, 50, joint) };
    let joint = run(records.clone(), &half(true));
    assert!(!joint.slo_met && joint.slo_missed.is_empty(), "each limit holds for half, both for none");
    assert!(run(records, &half(false)).within_capacity());
}

#[test]
fn a_limit_is_met_when_it_is_equalled() {
    let s = run(vec![request(0, [0, 0, 150, 250], 3)], &slo(150, 50, true));
    assert_eq!(s.requests.attainment, Some(1.0));
    assert_eq!(s.slo_missed, Vec::<Limit>::new());
}

#[test]
fn the_window_keeps_arrivals_of_the_middle() {
    let records =
        (0..10).map(|i| request(i, [u64::from(i) * 1000, u64::from(i) * 1000, 9500, 9600], 2)).collect();
    let window = Window { start: at(2000), end: Some(at(8000)) };
    let s = run(records, &MeasureContext { window, ..MeasureContext::default() }).requests;
    assert_eq!(s.arrived, 6);
    assert_eq!(s.arrival_rate_per_s, Some(1.0));
    assert_eq!(s.throughput_req_per_s, Some(0.0), "all finish in the cool-down");
}

/// `n` requests, one per 10 ms; each waits `wait(i)` ms and takes 50 ms.
fn steady(n: u32, wait: impl Fn(u64) -> u64) -> Saturation {
    let records = (0..n)
        .map(|i| {
            let (arrival, wait) = (u64::from(i) * 10, wait(u64::from(i)));
            request(i, [arrival, arrival + wait, arrival + wait + 25, arrival + wait + 50], 2)
        })
        .collect();
    run(records, &MeasureContext::default()).saturation
}

#[test]
fn saturation_follows_the_written_rule() {
    assert_eq!(steady(2000, |_| 0), Saturation::Stable);
    assert_eq!(steady(2000, |_| 90), Saturation::Stable, "9 or 10 wait: within max(10, 1 %)");
    assert_eq!(steady(2000, |_| 300), Saturation::Backlogged, "30 wait, but as many finish as arrive");
    assert_eq!(steady(2000, |i| i * 5), Saturation::Overloaded, "half as fast as the arrivals");
    assert_eq!(steady(5, |_| 100_000), Saturation::Stable, "no more than ten can wait");
}

#[test]
fn the_worst_ten_minutes_are_not_averaged_away() {
    // One request a second for fifty minutes; the second ten minutes answer two seconds late.
    let late = |i: u64| if (600..1200).contains(&i) { 2000 } else { 0 };
    let records = (0..3000)
        .map(|i| {
            let (arrival, wait) = (u64::from(i) * 1000, late(u64::from(i)));
            request(i, [arrival, arrival + wait, arrival + wait + 100, arrival + wait + 200], 2)
        })
        .collect();
    let slo = Slo { ttft_p99_10min: Some(SimDuration::from_ms(2000)), ..Slo::default() };
    let summary = run(records, &MeasureContext { slo, ..MeasureContext::default() });
    let worst = summary.requests.ttft_p99_worst_10min_s.expect("600 requests in each stretch");
    assert!((worst - 2.1).abs() < 1e-9, "{worst}");
    assert!(summary.requests.ttft_p50_s.expect("finished") < 0.11);
    assert_eq!(summary.slo_missed, [Limit::TtftP99Worst]);
    let mut other = summary.clone();
    other.requests.ttft_p99_worst_10min_s = Some(0.1);
    assert!(!verdict(&[&summary, &other], &slo, 0.9).met, "one bad run is enough");
    assert!(verdict(&[&other], &slo, 0.9).met);
    let few = (0..50).map(|i| request(i, [0, 5000, 5100, 5200], 2)).collect();
    assert_eq!(run(few, &MeasureContext::default()).requests.ttft_p99_worst_10min_s, None);
}

#[test]
fn pooled_gaps_come_from_the_histogram_within_its_error() {
    let outcome = report_fixture::outcome(3, 0.8, 1, 300);
    let s = measure(&outcome, &report_fixture::trace(false), &report_fixture::context(5.0)).run;
    assert_eq!(s.gap_error_ratio, Some(0.001));
    let share = s.gap_share_within_slo.unwrap_or(0.0);
    assert!(share > 0.95 && share < 1.0, "{share}");
    assert!(s.gap_p50_s < s.gap_p99_s && s.gap_p99_s < s.gap_max_s);
}

#[test]
fn ledgers_sum_to_mean_end_to_end_latency() {
    let outcome = report_fixture::outcome(1, 0.8, 1, 300);
    let s = measure(&outcome, &report_fixture::trace(false), &report_fixture::context(5.0));
    let all = &s.ledger[0];
    assert!((all.total_s() - s.requests.e2e_mean_s.unwrap_or(0.0)).abs() < 1e-9);
    assert_eq!(s.ledger.len(), 7);
    assert_eq!(s.ledger[6].requests, 3, "the slowest hundredth of 300");
    let classes: u64 = s.classes.iter().map(|c| c.requests.arrived).sum();
    assert_eq!(classes, s.requests.arrived);
}

#[test]
fn littles_law_holds_between_samples_and_records() {
    let outcome = report_fixture::outcome(3, 0.8, 2, 2000);
    let s = measure(&outcome, &report_fixture::trace(false), &report_fixture::context(5.0)).run;
    let residual = s.little_residual.unwrap_or(1.0);
    assert!(residual.abs() < 0.05, "{residual}");
    let none = Outcome { samples: vec![Sample::default(); 3], ..outcome };
    let s = measure(&none, &report_fixture::trace(false), &report_fixture::context(5.0)).run;
    assert_eq!(s.little_residual, None, "too few samples to tell");
}

#[test]
fn an_empty_run_has_no_numbers_and_does_not_fail() {
    let s = run(Vec::new(), &slo(1, 1, true));
    assert_eq!((s.requests.arrived, s.requests.attainment, s.requests.ttft_p99_s), (0, None, None));
    let trace = Trace { classes: vec!["all".to_owned()], ..Trace::default() };
    let gaps = Histogram::new(3).expect("three digits are allowed");
    let outcome = Outcome {
        records: windtunnel::metrics::Records::default(),
        counters: RunCounters::default(),
        gaps,
        samples: Vec::new(),
        end: at(0),
        traffic: Traffic::default(),
        fleet: None,
    };
    assert!(curves(&outcome, &slo(1, 1, true)).ttft_s.is_empty());
    assert_eq!(measure(&outcome, &trace, &slo(1, 1, true)).classes, Vec::new());
}

#[test]
fn columns_are_distinct_documented_and_end_with_their_unit() {
    let mut keys: Vec<&str> = column::all().map(|c| c.key).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key is used twice");
    for c in column::all() {
        assert!(c.doc.ends_with('.') && !c.title.is_empty(), "{}", c.key);
        if c.unit == "s" {
            assert!(c.key.ends_with("_s"), "{} is in seconds", c.key);
        }
        if c.unit.ends_with("/s") {
            assert!(c.key.ends_with("_per_s"), "{} is a rate", c.key);
        }
    }
    assert!(column::describe().lines().count() == count);
}
