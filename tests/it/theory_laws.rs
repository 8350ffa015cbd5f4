//! Laws that hold for every scheduler: Little's law, the utilisation law, one request alone, scaling of time (I13),
//! memory without end, names of replicas and classes, a faster server.

use windtunnel::cluster::{Outcome, RunOptions, StepEvent, StepObserver};
use windtunnel::cost::{Chunk, DecodeShape, StepCost, StepShape};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, Preemption};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::{Ledger, RequestRecord};
use windtunnel::policy::router::{LeastLoad, RouterConfig};
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Request, Trace};

use crate::cost::{roofline, spec};
use crate::theory::{LinearCost, MS, deployment, geometric, mean_s, observed, poisson, redraw, run, servers};

const COST: LinearCost = LinearCost {
    fixed: 8 * MS,
    per_sequence: MS / 50,
    per_token: MS / 25,
    per_context: MS / 20_000,
    per_swapped_block: MS / 5,
};

/// Prompts of 1 to 300 tokens, outputs of 60 on average, at a rate that fills a small memory.
fn crowd(requests: u32, per_second: f64, seed: u64) -> Trace {
    let mut trace = poisson(per_second, 1, requests, seed);
    redraw(&mut trace, seed, geometric(60.0));
    for (i, r) in trace.requests.iter_mut().enumerate() {
        r.prompt = 1 + (i as u32 * 7919) % 300;
        r.output = r.output.min(400);
        r.max_tokens = 400;
    }
    trace
}

/// Every scheduler on a memory of `blocks`.
fn every_scheduler(blocks: u32) -> impl Iterator<Item = ClusterConfig> {
    SchedulerConfig::all().into_iter().map(move |scheduler| {
        let mut config = deployment(scheduler);
        config.replica.kv.blocks = blocks;
        config.replica.kv.allocation = Allocation::Paged { watermark: 1 };
        if matches!(config.replica.scheduler, SchedulerConfig::PrefillFirst(_)) {
            config.replica.kv.preemption = Preemption::Swap { host_blocks: 40 };
        }
        config
    })
}

fn is_ideal(config: &ClusterConfig) -> bool {
    matches!(config.replica.scheduler, SchedulerConfig::Ideal(_))
}

/// Steps that were seen: their sum, and that they do not overlap.
#[derive(Default)]
struct Busy {
    total: u128,
    until: Vec<SimTime>,
}

impl StepObserver for Busy {
    fn step(&mut self, event: &StepEvent<'_>) {
        let replica = event.replica.index();
        self.until.resize(self.until.len().max(replica + 1), SimTime::ZERO);
        assert!(event.start >= self.until[replica], "steps of one replica overlap");
        self.until[replica] = event.end;
        self.total += u128::from((event.end - event.start).as_ps());
    }
}

/// L = λ·W ([W] chapter 5). The timeline counts queues, the records know instants: at every sample the two agree
/// exactly, so their means do; and the mean over the samples is near λ·W of the records.
#[test]
fn littles_law() {
    for mut config in every_scheduler(90).filter(|c| !is_ideal(c)) {
        config.replicas = 2;
        let trace = crowd(6000, 18.0, 5);
        let options = RunOptions { samples: 2000, ..RunOptions::default() };
        let outcome = observed(&config, &COST, &trace, &options, &mut ());
        let key = config.replica.scheduler.key();
        let mut sum = 0u64;
        for sample in &outcome.samples {
            let inside =
                outcome.records.iter().filter(|r| r.queued <= sample.at && sample.at < r.finish).count();
            let finished = outcome.records.iter().filter(|r| r.finish <= sample.at).count();
            let counted = (sample.waiting + sample.running, sample.finished);
            assert_eq!(counted, (inside as u32, finished as u32), "{key} at {}", sample.at);
            sum += inside as u64;
        }
        let l = sum as f64 / outcome.samples.len() as f64;
        let rate = outcome.records.len() as f64 / outcome.end.as_secs_f64();
        let lambda_w = rate * mean_s(&outcome.records, RequestRecord::in_replica);
        crate::cost::report(format_args!("{key}: L {l:.3} of the timeline, λW {lambda_w:.3} of the records"));
        assert!((l / lambda_w - 1.0).abs() < 0.05, "{key}: L {l} against λW {lambda_w}");
    }
}

/// U = X·S ([W] chapter 5): busy time is the sum of the steps, as counted, as observed, and for one request at a time
/// as throughput × service time.
#[test]
fn utilisation_law() {
    for mut config in every_scheduler(90).filter(|c| !is_ideal(c)) {
        config.replicas = 2;
        let mut busy = Busy::default();
        let trace = crowd(2000, 18.0, 6);
        let outcome = observed(&config, &COST, &trace, &RunOptions::default(), &mut busy);
        let key = config.replica.scheduler.key();
        // Moving swapped blocks is not in the counters of steps.
        let swaps = u128::from(outcome.counters.swapped_blocks * COST.per_swapped_block);
        assert_eq!(busy.total, outcome.counters.busy.iter().sum::<u128>() + swaps, "{key}");
        assert!(busy.total <= 2 * u128::from(outcome.end.as_ps()), "{key}: more than all the time was busy");
    }
    let trace = crowd(2000, 0.2, 6);
    let (mut busy, config) = (Busy::default(), servers(1));
    let outcome = observed(&config, &COST, &trace, &RunOptions::default(), &mut busy);
    let service: u128 = outcome.records.iter().map(|r| u128::from((r.finish - r.scheduled).as_ps())).sum();
    assert_eq!(busy.total, service, "n·S");
}

/// One request alone: its prompt in chunks of the budget, then one token a step, on the real cost model.
#[test]
fn one_request_alone_takes_what_its_steps_take() {
    let cost = roofline(&spec("h100-sxm", "llama-3.1-8b", "vllm-0.19", 1));
    let step = |chunks: &[Chunk], n: u32, context: u64| {
        let decode = DecodeShape { n, padding: 0, context };
        cost.step(0, &StepShape { chunks, decode }).total()
    };
    for config in every_scheduler(20_000) {
        let budget = match &config.replica.scheduler {
            SchedulerConfig::Unified(p) => p.token_budget,
            SchedulerConfig::Chunked(p) => p.token_budget,
            SchedulerConfig::Clairvoyant(p) => p.token_budget,
            _ => u32::MAX,
        };
        for (prompt, output) in [(1, 1), (100, 300), (3_000, 50), (20_000, 2)] {
            let at = SimTime::from_ps(12_345);
            let request = Request { arrival: at, prompt, output, max_tokens: output, class: ClassId(0) };
            let trace =
                Trace { requests: vec![request], classes: vec!["all".to_owned()], ..Trace::default() };
            let (mut past, mut first) = (0, at);
            while past < prompt {
                let tokens = (prompt - past).min(budget);
                first += step(&[Chunk { tokens, past }], 0, 0);
                past += tokens;
            }
            let mut last = first;
            for generated in 1..output {
                last += step(&[], 1, u64::from(prompt + generated));
            }
            let r = run(&config, &cost, &trace).records.get(0);
            let key = config.replica.scheduler.key();
            assert_eq!((r.scheduled, r.finish), (at, last), "{key} {prompt} {output}");
            // A static batch of one hands its answer back at its end.
            let held = matches!(config.replica.scheduler, SchedulerConfig::Static(_));
            assert_eq!(r.first_token, if held { last } else { first }, "{key} {prompt} {output}");
        }
    }
}

/// The record with every instant and duration `times` as large.
fn stretched(r: &RequestRecord, times: u64) -> RequestRecord {
    let at = |t: SimTime| SimTime::from_ps(t.as_ps() * times);
    RequestRecord {
        arrival: at(r.arrival),
        queued: at(r.queued),
        scheduled: at(r.scheduled),
        first_token: at(r.first_token),
        finish: at(r.finish),
        gap_max: r.gap_max * times,
        alone: r.alone * times,
        ledger: Ledger(r.ledger.0.map(|ps| ps * times)),
        ..*r
    }
}

/// I13, exactly: cost, arrivals, front end and staleness twice as slow make every instant, gap and ledger entry twice
/// as large; so the machine that is twice as fast halves them.
#[test]
fn doubling_every_rate_halves_every_duration_of_a_run() {
    for (case, mut config) in (0u64..).zip(every_scheduler(90)) {
        config.replicas = 3;
        config.front_end = FrontEnd {
            per_request: SimDuration::from_us(700),
            per_prompt_token: SimDuration::from_ps(1_234_567),
            per_streamed_token: SimDuration::from_us(11),
            workers: 2,
            ..FrontEnd::NONE
        };
        let stale = |ms| LeastLoad { staleness: SimDuration::from_ms(ms), ..LeastLoad::default() };
        config.router = RouterConfig::LeastTokens(stale(70));
        let trace = crowd(3000, 30.0, case);
        let fast = run(&config, &COST, &trace);
        let mut slow = config.clone();
        slow.router = RouterConfig::LeastTokens(stale(140));
        slow.front_end.per_request = config.front_end.per_request * 2;
        slow.front_end.per_prompt_token = config.front_end.per_prompt_token * 2;
        slow.front_end.per_streamed_token = config.front_end.per_streamed_token * 2;
        let mut later = trace.clone();
        later.requests.iter_mut().for_each(|r| r.arrival = SimTime::from_ps(r.arrival.as_ps() * 2));
        let slow = run(&slow, &COST.slower(2), &later);
        let key = config.replica.scheduler.key();
        for (f, s) in fast.records.iter().zip(&slow.records) {
            assert_eq!(stretched(&f, 2), s, "{key}");
        }
        assert_eq!(slow.end.as_ps(), 2 * fast.end.as_ps(), "{key}");
        assert_eq!(slow.counters.busy, fast.counters.busy.map(|ps| 2 * ps), "{key}");
    }
}

/// The same requests preempt on a small memory and never on one without end.
#[test]
fn memory_without_end_preempts_nobody() {
    let mut some = 0;
    for (small, large) in every_scheduler(90).zip(every_scheduler(1 << 26)) {
        let trace = crowd(2000, 12.0, 7);
        let outcome = run(&large, &COST, &trace);
        let key = large.replica.scheduler.key();
        assert_eq!(outcome.counters.preemptions, 0, "{key}");
        assert_eq!((outcome.counters.recomputed_tokens, outcome.counters.swapped_blocks), (0, 0), "{key}");
        some += u64::from(run(&small, &COST, &trace).counters.preemptions > 0);
    }
    assert!(some >= 4, "{some} schedulers preempt on the small memory");
}

/// Records of one replica, without its name.
fn of_replica(outcome: &Outcome, replica: u16) -> Vec<RequestRecord> {
    let here = outcome.records.iter().filter(|r| r.replica.0 == replica);
    here.map(|r| RequestRecord { replica: windtunnel::ids::ReplicaId(0), ..r }).collect()
}

/// Replicas behind a blind router do not know of each other: each serves its share as if it were alone, and a request
/// that shifts the turn renames the replicas and changes nothing else.
#[test]
fn replicas_are_alike_and_alone() {
    for mut config in every_scheduler(300) {
        let key = config.replica.scheduler.key();
        let trace = crowd(1500, 25.0, 8);
        let alone: Vec<Outcome> = (0..3)
            .map(|k| {
                let mut share = trace.clone();
                share.requests = trace.requests.iter().copied().skip(k).step_by(3).collect();
                run(&config, &COST, &share)
            })
            .collect();
        if is_ideal(&config) {
            continue;
        }
        config.replicas = 3;
        let together = run(&config, &COST, &trace);
        for (k, alone) in (0u16..).zip(&alone) {
            let here = of_replica(&together, k);
            let same = here.iter().zip(&alone.records).all(|(a, b)| *a == RequestRecord { id: a.id, ..b });
            assert!(same && here.len() == alone.records.len(), "{key}: replica {k} is not as alone");
        }
        // Long before the others, so that it has gone when they come.
        let mut shifted = trace.clone();
        let pause = SimDuration::from_secs(100);
        shifted.requests.iter_mut().for_each(|r| r.arrival += pause);
        shifted.requests.insert(0, Request { arrival: SimTime::ZERO, ..trace.requests[0] });
        let renamed = run(&config, &COST, &shifted);
        for (a, b) in together.records.iter().zip(renamed.records.iter().skip(1)) {
            assert_eq!((b.replica.0, b.e2e()), ((a.replica.0 + 1) % 3, a.e2e()), "{key}");
            assert_eq!((b.first_token, b.ledger), (a.first_token + pause, a.ledger), "{key}");
        }
    }
}

#[test]
fn names_of_classes_change_nothing() {
    for config in every_scheduler(300) {
        let trace = crowd(800, 12.0, 9);
        let mut named = trace.clone();
        named.classes = vec!["b".to_owned(), "a".to_owned(), "c".to_owned()];
        (0u16..).zip(&mut named.requests).for_each(|(i, r)| r.class = ClassId(i % 3));
        let [plain, named] = [&trace, &named].map(|t| run(&config, &COST, t));
        let same =
            plain.records.iter().zip(&named.records).all(|(a, b)| a == RequestRecord { class: a.class, ..b });
        assert!(same && plain.counters == named.counters, "{}", config.replica.scheduler.key());
    }
}

/// Lindley's recursion is monotone in the service times: a faster server that takes one request at a time finishes
/// each of them no later.
#[test]
fn a_faster_server_is_never_later() {
    for seed in 1..=5 {
        let trace = crowd(3000, 1.8, seed);
        let outcomes = [1, 2, 3].map(|times| run(&servers(1), &COST.slower(times), &trace));
        for pair in outcomes.windows(2) {
            let earlier = pair[0].records.iter().zip(&pair[1].records).all(|(f, s)| f.e2e() <= s.e2e());
            assert!(earlier, "seed {seed}: a faster server finished somebody later");
        }
    }
}
