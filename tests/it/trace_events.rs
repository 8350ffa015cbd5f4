//! `trace/<run>.json`: it is JSON, nothing overlaps, every arrow has two ends, and requests take as long as their records say.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use windtunnel::cluster::{RunOptions, simulate_deployment};
use windtunnel::metrics::record::{Cause, RequestRecord};
use windtunnel::results::{Comparison, Streamed, Study};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::trace_events::{Limits, TraceWriter, TracedRun, of_study};
use windtunnel::scenario::{Flags, StudyPlan, Target};

const SMALL_BUDGET: [&str; 2] = ["workload.requests=150", "workload.rate=1.5 req/s"];

const ALL: Limits = Limits { requests: u32::MAX, events: u64::MAX };

fn run(path: &str, sets: &[&str]) -> (StudyPlan, Study) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(path);
    let sets = sets.iter().map(|&s| s.to_owned()).collect();
    let plan = StudyPlan::resolve(&Target::File(file), &Flags { sets, seeds: Some(1) });
    let plan = plan.unwrap_or_else(|errors| panic!("{path}: {errors}"));
    let options = Options { keep_requests: true, ..Options::default() };
    let executed = execute(&plan, options, &()).unwrap_or_else(|e| panic!("{e:?}"));
    let study = executed.into_study(&plan);
    (plan, study)
}

fn events(run: &TracedRun<'_>) -> Vec<Value> {
    let mut bytes = Vec::new();
    run.write_to(&mut bytes).expect("memory can be written");
    serde_json::from_slice(&bytes).expect("an array of events")
}

/// Microseconds of the file in picoseconds.
fn ps(event: &Value, key: &str) -> u64 {
    let us = event[key].as_f64().unwrap_or_else(|| panic!("no {key} in {event}"));
    (us * 1e6).round() as u64
}

fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|e| e["ph"] == kind).collect()
}

fn track(event: &Value) -> (u64, u64) {
    (event["pid"].as_u64().expect("a process"), event["tid"].as_u64().expect("a track"))
}

/// Slices of each track, in order of time.
fn tracks(events: &[Value]) -> BTreeMap<(u64, u64), Vec<(u64, u64)>> {
    let mut tracks: BTreeMap<_, Vec<(u64, u64)>> = BTreeMap::new();
    for slice in of_kind(events, "X") {
        let start = ps(slice, "ts");
        tracks.entry(track(slice)).or_default().push((start, start + ps(slice, "dur")));
    }
    for slices in tracks.values_mut() {
        slices.sort_unstable();
    }
    tracks
}

fn check_slices_and_arrows(events: &[Value]) {
    for (track, slices) in tracks(events) {
        for pair in slices.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "slices overlap on {track:?}: {pair:?}");
        }
    }
    let tracks = tracks(events);
    let starts = of_kind(events, "s");
    let ends = of_kind(events, "f");
    assert_eq!(starts.len(), ends.len());
    for (start, end) in starts.iter().zip(&ends) {
        assert_eq!(start["id"], end["id"]);
        assert_eq!(start["cat"], end["cat"]);
        assert!(ps(start, "ts") <= ps(end, "ts"));
        for side in [start, end] {
            let at = ps(side, "ts");
            let inside = tracks[&track(side)].iter().any(|&(from, to)| from <= at && at <= to);
            assert!(inside, "an arrow that hangs in the air: {side}");
        }
        assert_ne!(start["pid"], end["pid"], "from one replica to another");
    }
}

/// The time that a request spent in each phase, by name; its whole is "".
fn phases(events: &[Value]) -> BTreeMap<u64, BTreeMap<String, u64>> {
    let mut open: BTreeMap<u64, Vec<(String, u64)>> = BTreeMap::new();
    let mut spent: BTreeMap<u64, BTreeMap<String, u64>> = BTreeMap::new();
    for event in events.iter().filter(|e| e["cat"] == "request") {
        let (id, at) = (event["id"].as_u64().expect("an id"), ps(event, "ts"));
        let stack = open.entry(id).or_default();
        let name = event["name"].as_str().expect("a name").to_owned();
        if event["ph"] == "b" {
            assert!(stack.len() < 2, "request, then phase");
            stack.push((name, at));
        } else {
            let (opened, since) = stack.pop().expect("what ends has begun");
            assert_eq!(opened, name);
            let name = if stack.is_empty() { String::new() } else { name };
            *spent.entry(id).or_default().entry(name).or_insert(0) += at - since;
        }
    }
    assert!(open.values().all(Vec::is_empty), "what begins ends");
    spent
}

/// Every request of a run is there, its phases fill its time, and those that the ledger knows too are the ledger's.
fn check_requests(events: &[Value], records: &[RequestRecord]) {
    let spent = phases(events);
    assert_eq!(spent.len(), records.len());
    for record in records {
        let phases = &spent[&u64::from(record.id.0)];
        let e2e = record.e2e().as_ps();
        let near = |a: u64, b: u64| a.abs_diff(b) <= 64;
        assert!(near(phases[""], e2e), "{}: {phases:?} of {e2e}", record.id);
        let sum: u64 = phases.iter().filter(|(name, _)| !name.is_empty()).map(|(_, ps)| ps).sum();
        assert!(near(sum, e2e), "{}: {phases:?} of {e2e}", record.id);
        let of = |name: &str| phases.get(name).copied().unwrap_or(0);
        for (name, cause) in [
            ("queue", Cause::Queue),
            ("hand-over", Cause::HandOver),
            ("migration", Cause::Migration),
            ("router", Cause::Router),
        ] {
            let charged = record.ledger.get(cause).as_ps();
            assert!(near(of(name), charged), "{}: {name} {} of {charged}, {phases:?}", record.id, of(name));
        }
    }
}

/// Every traced run of a scenario is sound. Gives all events.
fn check(path: &str, sets: &[&str]) -> Vec<Value> {
    let (plan, study) = run(path, sets);
    let comparison = Comparison::of(&study);
    let point = comparison.headline().expect("a headline").point;
    let mut all = Vec::new();
    let traced = of_study(&plan, &study, &comparison, ALL);
    assert!(!traced.is_empty());
    for (run, of) in traced.iter().zip(0..) {
        let events = events(run);
        assert_eq!(run.left_out(), None);
        check_slices_and_arrows(&events);
        let records = study.runs_of(point, of)[0].requests.as_ref().expect("kept");
        let records: Vec<RequestRecord> = records.iter().collect();
        check_requests(&events, &records);
        all.extend(events);
    }
    all
}

fn named<'e>(events: &'e [Value], kind: &str, name: &str) -> Vec<&'e Value> {
    of_kind(events, kind)
        .into_iter()
        .filter(|e| e["name"].as_str().is_some_and(|n| n.contains(name)))
        .collect()
}

#[test]
fn moves_are_arrows_between_replicas() {
    let events = check("migration-worth.toml", &["workload.requests=600", "workload.rate=8 req/s"]);
    assert!(!named(&events, "s", "move").is_empty());
    assert!(!named(&events, "s", "copy").is_empty());
    assert!(!named(&events, "C", "KV blocks held").is_empty());
}

#[test]
fn hand_overs_are_flows_with_bytes() {
    let events = check("link-budget.toml", &SMALL_BUDGET);
    assert!(!named(&events, "s", "hand-over").is_empty());
    let flows: Vec<&Value> = events.iter().filter(|e| e["cat"] == "flow" && e["ph"] == "b").collect();
    assert!(!flows.is_empty() && flows.iter().all(|f| f["args"]["bytes"].as_u64() > Some(0)));
    assert!(!named(&events, "C", "GB/s").is_empty());
}

#[test]
fn a_pipeline_has_a_track_for_each_stage() {
    let sets = ["workload.requests=150", "workload.rate=8 req/s", "deployment.parallel.pp=2"];
    let events = check("migration-worth.toml", &sets);
    for stage in ["stage 0", "stage 1"] {
        let tracks = of_kind(&events, "M");
        assert!(tracks.iter().any(|e| e["args"]["name"] == stage), "no {stage}");
    }
}

#[test]
fn replicas_that_fail_say_so() {
    // The failure is at 200 s.
    let sets = ["workload.requests=2000", "workload.load=", "workload.rate=8 req/s"];
    let events = check("replica-failure.toml", &sets);
    assert!(!named(&events, "i", "repaired").is_empty());
    assert!(!named(&events, "X", "repaired").is_empty());
}

#[test]
fn a_limit_leaves_whole_events_and_says_where_they_end() {
    let (plan, study) = run("link-budget.toml", &SMALL_BUDGET);
    let comparison = Comparison::of(&study);
    let limits = Limits { requests: 7, events: 300 };
    let runs = of_study(&plan, &study, &comparison, limits);
    let events = events(&runs[0]);
    assert!(events.len() > 200 && events.len() < 400, "{} events", events.len());
    check_slices_and_arrows(&events);
    assert!(phases(&events).keys().all(|&id| id < 7));
    assert!(runs[0].left_out().expect("cut").contains("after 300 events"));
}

#[test]
fn watching_changes_nothing() {
    let (plan, study) = run("link-budget.toml", &SMALL_BUDGET);
    let comparison = Comparison::of(&study);
    let traced = of_study(&plan, &study, &comparison, ALL);
    assert_eq!(events(&traced[0]), events(&traced[0]), "the same run gives the same file");
    let workload = plan.workload.open(&plan.sources).expect("a recipe");
    let trace = workload.prepare(1, Some(2048)).expect("requests").trace;
    for system in &plan.systems {
        let deployment = system.deployment(1);
        let options = RunOptions::default();
        let alone = simulate_deployment(&deployment, &trace, &options, &mut ()).expect("no violation");
        let mut writer = TraceWriter::new(std::io::sink(), ALL).expect("a sink");
        let watched = simulate_deployment(&deployment, &trace, &options, &mut writer).expect("no violation");
        writer.finish(watched.end).expect("a sink");
        assert_eq!((alone.end, alone.counters), (watched.end, watched.counters));
        assert!(alone.records.iter().eq(watched.records.iter()));
        assert_eq!((alone.samples, alone.traffic), (watched.samples, watched.traffic));
    }
}
