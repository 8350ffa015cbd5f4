//! What is counted inside a run: work against the datasheet bound, memory and limits by hand, a watched request
//! against its record, and the plots made of them.

use windtunnel::cluster::{Outcome, RunOptions, simulate};
use windtunnel::cost::{Datasheet, StepShape, UnitWork};
use windtunnel::engine::config::{
    Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig, ReserveRule,
};
use windtunnel::ids::{ClassId, RequestId};
use windtunnel::metrics::work::{Binding, Work};
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{Iteration, SchedulerConfig, Unified};
use windtunnel::report::plot;
use windtunnel::results::{Comparison, GapCause, Study};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target, watch};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Request, Trace, Turns};

use crate::cost::{all_specs, grid};
use crate::eut::TestCost;

/// The FLOPs and bytes of a step by its counters are those of the datasheet bound, term by term.
#[test]
fn counted_work_is_that_of_the_bound() {
    let shapes = grid();
    let mut worst = 0.0_f64;
    for (i, mut spec) in all_specs("none").into_iter().enumerate() {
        spec.pipeline = if i % 3 == 0 { 2 } else { 1 };
        let (bound, unit) = (Datasheet::new(&spec).expect("a bound"), UnitWork::of(&spec));
        let stages = f64::from(spec.pipeline);
        for (chunks, decode) in &shapes {
            let shape = StepShape { chunks, decode: *decode };
            let mut work = Work {
                steps: 1,
                tokens: u64::from(decode.n) + u64::from(decode.padding),
                logits: u64::from(decode.n) + u64::from(decode.padding) + chunks.len() as u64,
                context: u128::from(decode.context),
                ..Work::default()
            };
            for c in chunks {
                work.tokens += u64::from(c.tokens);
                work.pairs += u128::from(c.tokens) * (2 * u128::from(c.past) + u128::from(c.tokens));
                work.chunk_context += u64::from(c.past) + u64::from(c.tokens);
            }
            let (mut compute, mut memory) = (0.0, 0.0);
            for stage in 0..spec.pipeline {
                let terms = bound.terms(stage, &shape);
                compute += terms.0.0;
                memory += terms.1.0;
            }
            let near = |a: f64, b: f64| (a / b - 1.0).abs();
            worst = worst.max(near(work.flops(&unit) / (unit.peak_flops / stages), compute));
            worst = worst.max(near(work.bytes(&unit) / (unit.bandwidth / stages), memory));
        }
    }
    assert!(worst < 1e-9, "off by {worst}");
}

/// One replica with blocks of 4 tokens, and requests (arrival in us, prompt, output).
fn run(
    scheduler: SchedulerConfig,
    allocation: Allocation,
    rows: &[(u64, u32, u32)],
    samples: u32,
) -> Outcome {
    let kv =
        KvConfig { block: 4, blocks: 64, allocation, preemption: Preemption::Recompute, prefix_cache: false };
    let replica = ReplicaConfig {
        scheduler,
        order: windtunnel::policy::order::Order::Fcfs,
        kv,
        max_model_len: 200,
        late_stop: false,
        host_cache: 0,
    };
    let config =
        ClusterConfig { replica, replicas: 1, router: RouterConfig::default(), front_end: FrontEnd::NONE };
    let request = |&(at, prompt, output): &(u64, u32, u32)| Request {
        arrival: SimTime::from_ps(SimDuration::from_us(at).as_ps()),
        prompt,
        output,
        max_tokens: 16,
        class: ClassId(0),
    };
    let trace = Trace {
        requests: rows.iter().map(request).collect(),
        classes: vec!["all".to_owned()],
        closed: None,
        turns: Turns::default(),
        prefixes: None,
        sessions: None,
        priorities: Vec::new(),
    };
    let cost = TestCost { stages: 1, per_context: SimDuration::ZERO };
    let options = RunOptions { samples, audit: true, ..RunOptions::default() };
    simulate(&config, &cost, &trace, &options, &mut ()).expect("no violation")
}

fn unified(max_sequences: u32) -> SchedulerConfig {
    SchedulerConfig::Unified(Unified { max_sequences, ..Unified::default() })
}

/// A prompt of 6 takes 1.006 ms, each decode 1 ms: at 2 ms there are 6 tokens in two blocks of 4, then one more each ms.
/// (The second request only makes the grid: it comes at 10 ms.)
#[test]
fn memory_is_split_as_counted_by_hand() {
    let rows = [(0, 6, 5), (10_000, 4, 1)];
    let paged = run(unified(8), Allocation::Paged { watermark: 0 }, &rows, 10);
    let split = |o: &Outcome| -> Vec<(u64, u64, u64)> {
        o.samples[..6].iter().map(|s| (s.kv_held, s.kv_live, s.kv_fragmented)).collect()
    };
    assert_eq!(split(&paged), [(2, 0, 0), (2, 0, 0), (2, 6, 2), (2, 7, 1), (2, 8, 0), (3, 9, 3)]);
    // Orca reserves prompt + max_tokens = 22 tokens: six blocks from the start.
    let orca = SchedulerConfig::Iteration(Iteration::default());
    let reserved = run(orca, Allocation::Reserve(ReserveRule::MaxTokens), &rows, 10);
    assert_eq!(split(&reserved), [(6, 0, 0), (6, 0, 0), (6, 6, 2), (6, 7, 1), (6, 8, 0), (6, 9, 3)]);
    assert_eq!(paged.samples[4].work.steps, 3, "a prefill and two decodes by 4 ms");
}

/// One may run. The second comes at 0.5 ms, inside the first's prefill (to 1.004 ms): from there it waits for the
/// place, until 2.004 ms; then it runs for 2.004 ms. The third finds an idle replica.
#[test]
fn time_is_bound_by_what_it_is_bound_by() {
    let out =
        run(unified(1), Allocation::Paged { watermark: 0 }, &[(0, 4, 2), (500, 4, 2), (9_000, 4, 1)], 0);
    let us = |t: u64| u128::from(SimDuration::from_us(t).as_ps());
    let mut expected = [0; 6];
    expected[Binding::Open as usize] = us(1_004 + 2_004 + 1_004);
    expected[Binding::Sequences as usize] = us(1_000);
    assert_eq!(out.counters.bound_time, expected);
    let c = out.counters;
    assert_eq!((c.work.tokens, c.work.steps, c.work.logits, c.work.context), (14, 5, 5, 10));
    assert_eq!((c.waste, c.recompute_time), (Work::default(), 0));
}

/// A small quickstart with little memory, so that somebody is preempted.
fn plan(sets: &[&str]) -> StudyPlan {
    let mut all: Vec<String> = ["workload.requests=400", "workload.load=[0.7,0.95]", "timeline-samples=60"]
        .map(str::to_owned)
        .into();
    all.extend(sets.iter().map(|s| (*s).to_owned()));
    let flags = Flags { sets: all, seeds: Some(1) };
    StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags)
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn carried_out(plan: &StudyPlan) -> Study {
    let options = Options { keep_requests: true, ..Options::default() };
    execute(plan, options, &()).expect("a study").into_study(plan)
}

/// More users are other requests, not the same ones faster: the run that is made again must have them too.
#[test]
fn a_watched_run_has_the_requests_of_its_point_by_users_too() {
    let plan = plan(&["workload.load-by=users", "systems.compare=[\"vllm-v1\"]"]);
    let study = carried_out(&plan);
    for run in &study.runs {
        let records = run.requests.as_ref().expect("kept");
        let watched = watch::watch(&plan, &study, (run.point, run.system, run.seed), None);
        let watched = watched.expect("no violation").expect("somebody has a gap");
        let record = &records.get(watched.request as usize);
        assert_eq!(watched.prompt, record.prompt);
        assert_eq!(watched.arrival_s, record.arrival.as_secs_f64());
        let ends = [record.first_token, record.finish].map(SimTime::as_secs_f64);
        assert_eq!([watched.tokens[0].at_s, watched.tokens[watched.tokens.len() - 1].at_s], ends);
    }
}

#[test]
fn a_watched_request_has_the_tokens_of_its_record() {
    let plan = plan(&["deployment.kv-blocks=2600"]);
    let mut study = carried_out(&plan);
    let (mut preempted, mut others) = (0, 0);
    for run in study.runs.iter().filter(|r| r.point == 1) {
        let records = run.requests.as_ref().expect("kept");
        // The one with the longest gap, a victim if there is one, and some others.
        let victim = records.iter().find(|r| r.preemptions > 0).map(|r| r.id);
        let chosen = [None, victim, Some(RequestId(7)), Some(RequestId(200))];
        for request in chosen {
            let at = (run.point, run.system, run.seed);
            let watched = watch::watch(&plan, &study, at, request).expect("no violation");
            let Some(watched) = watched else {
                assert!(study.systems[run.system].name == "ideal" || request.is_none());
                continue;
            };
            let record = &records.get(watched.request as usize);
            let name = format!("{} {record:?}", study.systems[run.system].name);
            assert_eq!(watched.tokens.len(), record.output as usize, "{name}");
            if record.finish == record.first_token && record.output > 1 {
                continue; // A static batch holds its answers back: the engine's tokens are earlier.
            }
            let ends = [record.first_token, record.finish].map(SimTime::as_secs_f64);
            let found = [watched.tokens[0].at_s, watched.tokens[watched.tokens.len() - 1].at_s];
            assert_eq!(found, ends, "{name}");
            let longest = watched.longest_gap().map_or(0.0, |i| watched.tokens[i].gap_s);
            assert_eq!(longest, record.gap_max.as_secs_f64(), "{name}");
            let is = |cause: GapCause| watched.tokens.iter().filter(|t| t.cause == cause).count();
            assert!(is(GapCause::Preemption) <= record.preemptions as usize, "{name}");
            assert!(
                record.preemptions == 0 || is(GapCause::Preemption) > 0 || is(GapCause::Queue) > 0,
                "{name}"
            );
            preempted += is(GapCause::Preemption);
            others += is(GapCause::OtherPrompt);
            let named = |c: (u32, u32)| c.0 != watched.request && c.1 > 0;
            assert!(watched.tokens.iter().all(|t| t.culprit.is_none_or(named)), "{name}");
        }
    }
    assert!(preempted > 0 && others > 100, "{preempted} preemptions, {others} prompts of others");
    let comparison = Comparison::of(&study);
    study.token_timeline = watch::headline(&plan, &study, &comparison).expect("no violation");
    let files: Vec<&str> = plot::figures(&study, &comparison).iter().map(|(_, f)| f.file).collect();
    for file in ["kv-occupancy", "preemption", "utilisation", "steps", "token-timeline", "queue"] {
        assert!(files.iter().any(|f| *f == format!("{file}.svg")), "{file} is not in {files:?}");
    }
}

#[test]
fn utilisation_is_a_share_and_useful_work_a_part_of_it() {
    let plan = plan(&[]);
    let study = carried_out(&plan);
    for run in &study.runs {
        let name = &study.systems[run.system].name;
        let of = |key: &str| run.summary.get(key);
        if name == "ideal" {
            assert_eq!((of("mfu_ratio"), of("bound_none_ratio")), (None, None));
            continue;
        }
        for kind in ["mfu", "mbu"] {
            let [raw, useful, busy] = ["ratio", "useful_ratio", "busy_ratio"]
                .map(|key| of(&format!("{kind}_{key}")).expect("a utilisation"));
            assert!(
                0.0 < useful && useful <= raw && raw <= busy && busy < 1.0,
                "{name} {kind}: {useful} {raw} {busy}"
            );
        }
        let bound: f64 = ["none", "memory", "sequences", "budget", "batch", "other"]
            .iter()
            .map(|state| of(&format!("bound_{state}_ratio")).expect("a share"))
            .sum();
        assert!((bound - 1.0).abs() < 1e-9, "{name}: {bound}");
        assert_eq!(of("bound_other_ratio"), Some(0.0), "{name} says what it waits for");
        for row in &run.timeline {
            let m = row.memory.expect("a known capacity");
            assert!((m.live + m.fragmented + m.reserved + m.cached + m.free - 1.0).abs() < 1e-9, "{name}");
            assert!(row.bound.iter().sum::<f64>() <= 1.0 + 1e-9, "{name}");
        }
    }
    // Nothing is preempted, so the plot of preemption is left out, and the one before it says so.
    let figures = plot::figures(&study, &Comparison::of(&study));
    assert!(figures.iter().all(|(_, f)| f.file != "preemption.svg"));
    let (_, memory) = figures.iter().find(|(_, f)| f.file == "kv-occupancy.svg").expect("a plot of memory");
    assert!(memory.caption.contains("no chart of preemption"), "{}", memory.caption);
}
