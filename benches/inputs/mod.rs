//! What both benchmarks work on. Every draw is keyed, so the work is the same on every machine and in every version.

use std::fmt::Write as _;
use std::path::Path;

use windtunnel::cost::{Chunk, CostSpec, DecodeShape, EngineProfile, Roofline, Segment, StepCost, StepShape};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::hardware::Accelerator;
use windtunnel::ids::{ClassId, ReplicaId, RequestId};
use windtunnel::kernel::EventQueue;
use windtunnel::metrics::record::{Cause, Fate, Ledger, RequestRecord};
use windtunnel::model::Model;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{SchedulerConfig, Unified};
use windtunnel::rng::{Draws, stream};
use windtunnel::scenario::{Flags, StudyPlan, Target};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{PrepareContext, Request, Trace};

/// Calls of a small part in one measured iteration.
pub const CALLS: u32 = 1_000;

fn draws(what: u64) -> Draws {
    stream(1, "benches/inputs", what, 0)
}

/// Llama 3.1 8B on one H100 under vLLM 0.19.
pub fn spec() -> CostSpec {
    CostSpec::new(
        Accelerator::load("h100-sxm", None).expect("an embedded accelerator"),
        Model::load("llama-3.1-8b", None).expect("an embedded model"),
        EngineProfile::load("vllm-0.19", None).expect("an embedded engine"),
    )
}

/// The fitted cost of [`spec`].
pub fn roofline() -> Roofline {
    Roofline::new(&spec()).expect("a spec that can be built")
}

/// Decoding batches of 1 to 256 sequences with 500 tokens of context each.
pub fn decodes() -> impl Iterator<Item = DecodeShape> {
    let shape = |i: u32| DecodeShape { n: 1 + i % 256, padding: 0, context: 500 * u64::from(1 + i % 256) };
    (0..CALLS).map(shape)
}

/// One straight line for each of [`decodes`]; the sum of their constants, so that nothing is left out.
pub fn segments(cost: &dyn StepCost) -> u64 {
    decodes().map(|shape| constant(cost.decode_segment(0, &shape))).sum()
}

fn constant(line: Segment) -> u64 {
    line.total + line.total_slope
}

/// One step for each of [`decodes`], together with `chunks`; the sum of their times.
pub fn steps(cost: &dyn StepCost, chunks: &[Chunk]) -> u64 {
    decodes().map(|decode| cost.step(0, &StepShape { chunks, decode }).total().as_ps()).sum()
}

/// A queue of `pending` events.
pub fn queue(pending: u32) -> EventQueue<u32> {
    let mut draws = draws(0);
    let mut queue = EventQueue::default();
    (0..pending).for_each(|key| queue.push(SimTime::from_ps(draws.below(1 << 20)), key));
    queue
}

/// Takes the next event out and puts it in again up to 2^20 ps later, [`CALLS`] times.
pub fn hold(queue: &mut EventQueue<u32>) {
    for call in 0..u64::from(CALLS) {
        let now = queue.next_time().expect("as many events as before");
        let key = queue.pop_at(now).expect("the event of that instant");
        let later = SimDuration::from_ps((call + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44);
        queue.push(now + later, key);
    }
}

/// A log of `rows` requests as BurstGPT writes it, one a second.
pub fn burstgpt(rows: u32) -> String {
    let mut draws = draws(1);
    let mut text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n".to_owned();
    for second in 0..rows {
        let (prompt, output) = (1 + draws.below(3_000), 1 + draws.below(800));
        let (model, log) =
            if draws.chance(0.8) { ("ChatGPT", "Conversation log") } else { ("GPT-4", "API log") };
        writeln!(text, "{second},{model},{prompt},{output},{},{log}", prompt + output).expect("a string");
    }
    text
}

/// Latencies in seconds, with a long tail.
pub fn latencies(n: u32) -> Vec<f64> {
    let mut draws = draws(2);
    (0..n).map(|_| draws.lognormal(-1.0, 1.0)).collect()
}

/// Records of a usual run: five causes, nothing preempted.
pub fn records(n: u32) -> Vec<RequestRecord> {
    let record = |id: u32| {
        let at = |k: u64| SimTime::from_ps(1_000 * u64::from(id) + k);
        let mut ledger = Ledger::default();
        Cause::ALL[2..7].iter().for_each(|cause| ledger.add(*cause, SimDuration::from_ps(100)));
        RequestRecord {
            id: RequestId(id),
            class: ClassId(0),
            replica: ReplicaId(0),
            fate: Fate::Finished,
            prompt: 500,
            output: 277,
            arrival: at(0),
            queued: at(0),
            scheduled: at(100),
            first_token: at(200),
            finish: at(500),
            gap_max: SimDuration::from_ps(50),
            preemptions: 0,
            recomputed: 0,
            cached: 0,
            on_time: 0,
            alone: SimDuration::from_ps(400),
            ledger,
        }
    };
    (0..n).map(record).collect()
}

/// The systems of `scenarios/bench/schedulers.toml` and their Poisson arrivals: a study of every scheduler.
pub fn every_scheduler(requests: u32) -> (StudyPlan, Trace) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/bench/schedulers.toml");
    let flags = Flags { sets: vec![format!("workload.requests={requests}")], seeds: None };
    let plan = StudyPlan::resolve(&Target::File(file), &flags).unwrap_or_else(|errors| panic!("{errors}"));
    let max_model_len = plan.systems.iter().map(|s| s.cluster.replica.max_model_len).min();
    let context = PrepareContext { seed: 1, max_model_len, ..PrepareContext::default() };
    let trace = plan.workload.spec.prepare(&context).expect("a workload").trace;
    (plan, trace)
}

/// `replicas` replicas with continuous batches of at most `sequences`, and memory that never matters.
pub fn deployment(replicas: u16, sequences: u32, router: RouterConfig) -> ClusterConfig {
    let unified = Unified { token_budget: 8_192, max_sequences: sequences, ..Unified::default() };
    let kv = KvConfig {
        block: 16,
        blocks: 1 << 26,
        allocation: Allocation::Paged { watermark: 0 },
        preemption: Preemption::Recompute,
        prefix_cache: false,
    };
    let replica = ReplicaConfig {
        scheduler: SchedulerConfig::Unified(unified),
        kv,
        max_model_len: 1 << 20,
        late_stop: false,
        order: Order::Fcfs,
        host_cache: 0,
    };
    ClusterConfig { replica, replicas, router, front_end: FrontEnd::NONE }
}

/// So many requests that arrive at once, with answers so long that of `sequences` one ends every eighth step.
pub fn saturating(requests: u32, sequences: u32) -> Trace {
    let mut draws = draws(3);
    let longest = 16 * u64::from(sequences);
    trace((0..requests).map(|_| (SimTime::ZERO, 16, 1 + draws.below(longest) as u32)))
}

/// Requests as (arrival, prompt, answer).
pub fn trace(requests: impl Iterator<Item = (SimTime, u32, u32)>) -> Trace {
    let request = |(arrival, prompt, output)| Request {
        arrival,
        prompt,
        output,
        max_tokens: output,
        class: ClassId(0),
    };
    Trace { requests: requests.map(request).collect(), classes: vec!["all".to_owned()], ..Trace::default() }
}
