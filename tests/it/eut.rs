//! Engine under test: a few named requests, a simple cost, and one log line per step.
//!
//! A line reads `t=1.512 | P a:88 | D b c | kv 32/64 | preempt d | swap-in e`: start of the step in ms, prompt tokens
//! computed per request, requests that decode, KV blocks held during the step, then who lost its place or came back.

use std::fmt::Write as _;

use windtunnel::cluster::{Outcome, RunOptions, StepEvent, StepObserver, simulate};
use windtunnel::cost::{DecodeShape, Segment, StepCost, StepShape, StepTime};
use windtunnel::engine::config::{
    Allocation, Attachment, ClusterConfig, FrontEnd, KvConfig, Messages, Network, Preemption, ReplicaConfig,
    ReserveRule, Sharing,
};
use windtunnel::ids::{ClassId, RequestId};
use windtunnel::metrics::record::RequestRecord;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{Decode, Preempt, SchedulerConfig};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Priority, Request, Trace};

/// A step takes 1 ms, 1 us more per prompt token, `per_context` more per token of context, on each stage; a swapped
/// block takes 100 us.
#[derive(Clone, Copy, Debug)]
pub struct TestCost {
    pub stages: u8,
    pub per_context: SimDuration,
}

const BASE: SimDuration = SimDuration::from_ms(1);

impl StepCost for TestCost {
    fn stages(&self) -> u8 {
        self.stages
    }

    fn step(&self, _stage: u8, shape: &StepShape<'_>) -> StepTime {
        let tokens: u64 = shape.chunks.iter().map(|c| u64::from(c.tokens)).sum();
        StepTime {
            linear: SimDuration::from_ps(BASE.as_ps() + tokens * SimDuration::from_us(1).as_ps()),
            attention: SimDuration::from_ps(shape.decode.context * self.per_context.as_ps()),
            ..StepTime::default()
        }
    }

    fn decode_segment(&self, _stage: u8, _shape: &DecodeShape) -> Segment {
        let slope = self.per_context.as_ps();
        Segment {
            total: BASE.as_ps(),
            total_slope: slope,
            gpu: BASE.as_ps(),
            gpu_slope: slope,
            linear: BASE.as_ps(),
            link: 0,
            until: u64::MAX,
        }
    }

    fn swap(&self, blocks: u32) -> SimDuration {
        SimDuration::from_us(100 * u64::from(blocks))
    }
}

/// A network in which every replica stands alone on a server with a port of `rate` bytes per second each way.
pub fn islands(
    replicas: u32,
    rate: u64,
    latency: SimDuration,
    sharing: Sharing,
    block_bytes: u64,
) -> Network {
    let attached = |r: u32| Attachment {
        server: r,
        network_out: 2 * r,
        network_in: 2 * r + 1,
        inside_out: 2 * r,
        inside_in: 2 * r + 1,
    };
    Network {
        ports: vec![rate; 2 * replicas as usize],
        names: Vec::new(),
        attached: (0..replicas).map(attached).collect(),
        network_latency: latency,
        inside_latency: latency,
        sharing,
        block_bytes,
        messages: Messages { fixed: 1, per_block: 0 },
    }
}

/// Prompt tokens of a request.
pub struct Prompt(u32);

/// Answer tokens of a request.
pub struct Output(u32);

pub fn prompt(tokens: u32) -> Prompt {
    Prompt(tokens)
}

pub fn output(tokens: u32) -> Output {
    Output(tokens)
}

pub fn at_us(us: u64) -> SimTime {
    SimTime::from_ps(SimDuration::from_us(us).as_ps())
}

/// One replica with paged KV of 64 blocks of 16 tokens, no watermark, recompute, and what the builders change.
pub struct Eut {
    config: ClusterConfig,
    names: Vec<&'static str>,
    requests: Vec<Request>,
    priorities: Vec<Priority>,
}

impl Eut {
    pub fn new(scheduler: SchedulerConfig) -> Self {
        let kv = KvConfig {
            block: 16,
            blocks: 64,
            allocation: Allocation::Paged { watermark: 0 },
            preemption: Preemption::Recompute,
            prefix_cache: false,
        };
        let replica = ReplicaConfig {
            scheduler,
            kv,
            max_model_len: 4096,
            late_stop: false,
            order: Order::Fcfs,
            host_cache: 0,
        };
        let config = ClusterConfig {
            replica,
            replicas: 1,
            router: RouterConfig::default(),
            front_end: FrontEnd::NONE,
        };
        Eut { config, names: Vec::new(), requests: Vec::new(), priorities: Vec::new() }
    }

    pub fn kv(mut self, block: u32, blocks: u32) -> Self {
        self.config.replica.kv.block = block;
        self.config.replica.kv.blocks = blocks;
        self
    }

    pub fn watermark(mut self, watermark: u32) -> Self {
        self.config.replica.kv.allocation = Allocation::Paged { watermark };
        self
    }

    pub fn reserve(mut self, rule: ReserveRule) -> Self {
        self.config.replica.kv.allocation = Allocation::Reserve(rule);
        self
    }

    pub fn swap(mut self, host_blocks: u32) -> Self {
        self.config.replica.kv.preemption = Preemption::Swap { host_blocks };
        self
    }

    pub fn order(mut self, order: Order) -> Self {
        self.config.replica.order = order;
        self
    }

    /// Clients give up so long after their arrival.
    pub fn timeout_us(mut self, us: u64) -> Self {
        self.config.front_end.admission.timeout = Some(SimDuration::from_us(us));
        self
    }

    /// The level of the request added last, and its deadline in microseconds after its arrival (0: none).
    pub fn urgency(mut self, level: u32, deadline_us: u64) -> Self {
        let deadline = (deadline_us > 0).then(|| SimDuration::from_us(deadline_us));
        self.requests.last_mut().expect("a request").class = ClassId(self.priorities.len() as u16);
        self.priorities.push(Priority { level, deadline });
        self
    }

    /// A request, in order of arrival; its `max_tokens` is its output.
    pub fn arrive(mut self, name: &'static str, at: SimTime, prompt: Prompt, output: Output) -> Self {
        assert!(self.requests.last().is_none_or(|last| last.arrival <= at), "arrivals stand in order");
        self.names.push(name);
        self.requests.push(Request {
            arrival: at,
            prompt: prompt.0,
            output: output.0,
            max_tokens: output.0,
            class: ClassId(0),
        });
        self
    }

    /// The `max_tokens` of the request added last.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.requests.last_mut().expect("a request").max_tokens = tokens;
        self
    }

    /// Runs to the end, one event per step, audited; then once more with leaps, which must not change a record.
    #[track_caller]
    pub fn run(self) -> Run {
        let classes = vec!["all".to_owned(); self.priorities.len().max(1)];
        let trace =
            Trace { requests: self.requests, classes, priorities: self.priorities, ..Trace::default() };
        let cost = TestCost { stages: 1, per_context: SimDuration::ZERO };
        let mut log = StepLog::new(&self.names, &trace);
        let options = RunOptions { stepwise: true, audit: true, samples: 0, deadlines: None };
        let stepwise = simulate(&self.config, &cost, &trace, &options, &mut log).expect("no violation");
        let leaping = RunOptions { stepwise: false, ..options };
        let leaps = simulate(&self.config, &cost, &trace, &leaping, &mut ()).expect("no violation");
        assert_eq!(leaps.records, stepwise.records, "leaps changed a record");
        let log = log.text;
        Run { names: self.names, outcome: stepwise, log }
    }
}

/// A finished run.
pub struct Run {
    names: Vec<&'static str>,
    outcome: Outcome,
    log: String,
}

impl Run {
    /// Compares the step log; indentation of `expected` does not matter.
    #[track_caller]
    pub fn assert_steps(&self, expected: &str) -> &Self {
        let trim =
            |s: &str| s.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n");
        let (expected, got) = (trim(expected), trim(&self.log));
        assert!(expected == got, "\nexpected steps:\n{expected}\n\ngot:\n{got}\n");
        self
    }

    /// Checks one request's record.
    #[track_caller]
    pub fn assert_record(&self, name: &str, check: impl Fn(&RequestRecord) -> bool) -> &Self {
        let outcome = &self.outcome;
        let row = self.names.iter().position(|n| *n == name).expect("a known name");
        assert!(check(&outcome.records.get(row)), "record of {name}: {:?}", outcome.records.get(row));
        self
    }

    /// One request's record.
    #[track_caller]
    pub fn record(&self, name: &str) -> RequestRecord {
        let row = self.names.iter().position(|n| *n == name).expect("a known name");
        self.outcome.records.get(row)
    }

    /// Checks when a request's first and last token were delivered, in microseconds.
    #[track_caller]
    pub fn assert_tokens(&self, name: &str, first_us: u64, last_us: u64) -> &Self {
        self.assert_record(name, |r| (r.first_token, r.finish) == (at_us(first_us), at_us(last_us)))
    }
}

/// What the log must remember of a request to know what `Decode::All` means.
#[derive(Clone, Copy, Debug)]
struct Seen {
    prompt: u32,
    output: u32,
    computed: u32,
    generated: u32,
    running: bool,
    fed: bool,
    /// Whether its prefill is complete.
    prefilled: bool,
    /// End of the last step it took part in: until then it is in flight.
    busy_until: SimTime,
}

impl Seen {
    fn decodes_at(&self, start: SimTime) -> bool {
        let decodes = self.fed || self.prefilled;
        self.running && decodes && self.generated < self.output && self.busy_until <= start
    }

    fn compute(&mut self, tokens: u32, end: SimTime) {
        self.computed += tokens;
        self.busy_until = end;
        if self.computed == self.prompt + self.generated {
            self.generated += 1;
            self.prefilled = true;
        }
    }
}

/// Writes one line per step of one replica.
struct StepLog<'a> {
    names: &'a [&'static str],
    seen: Vec<Seen>,
    text: String,
}

impl<'a> StepLog<'a> {
    fn new(names: &'a [&'static str], trace: &Trace) -> Self {
        let seen = |r: &Request| Seen {
            prompt: r.prompt,
            output: r.output,
            computed: 0,
            generated: 0,
            running: false,
            fed: false,
            prefilled: false,
            busy_until: SimTime::ZERO,
        };
        StepLog { names, seen: trace.requests.iter().map(seen).collect(), text: String::new() }
    }

    fn name(&self, r: RequestId) -> &'static str {
        self.names[r.index()]
    }

    fn list(&self, requests: impl Iterator<Item = RequestId>) -> String {
        let names: Vec<&str> = requests.map(|r| self.name(r)).collect();
        if names.is_empty() { "-".to_owned() } else { names.join(" ") }
    }
}

impl StepObserver for StepLog<'_> {
    fn step(&mut self, event: &StepEvent<'_>) {
        assert_eq!(event.steps, 1, "the log is taken stepwise");
        let plan = event.plan;
        for &(r, kind) in &plan.preempt {
            let it = &mut self.seen[r.index()];
            it.running = false;
            if kind == Preempt::Recompute {
                (it.computed, it.prefilled) = (0, false);
            }
        }
        for &r in &plan.swap_in {
            self.seen[r.index()].running = true;
        }
        for a in &plan.admit {
            let it = &mut self.seen[a.request.index()];
            (it.running, it.computed) = (true, a.hit);
        }
        for &r in &plan.feed {
            self.seen[r.index()].fed = true;
        }
        let decodes: Vec<RequestId> = match &plan.decode {
            Decode::None => Vec::new(),
            Decode::Each(list) => list.clone(),
            Decode::All => (0..self.seen.len() as u32)
                .map(RequestId)
                .filter(|r| self.seen[r.index()].decodes_at(event.start))
                .collect(),
        };
        let mut chunks: Vec<String> =
            plan.prefill.iter().map(|&(r, q)| format!("{}:{q}", self.name(r))).collect();
        if chunks.is_empty() {
            chunks.push("-".to_owned());
        }
        let ms = event.start.as_ps() as f64 / 1e9;
        let (chunks, decoding) = (chunks.join(" "), self.list(decodes.iter().copied()));
        let (held, total) = (event.kv_held, event.kv_total);
        write!(self.text, "t={ms:.3} | P {chunks} | D {decoding} | kv {held}/{total}").expect("a string");
        if !plan.preempt.is_empty() {
            let victims = self.list(plan.preempt.iter().map(|p| p.0));
            write!(self.text, " | preempt {victims}").expect("a string");
        }
        if !plan.swap_in.is_empty() {
            let back = self.list(plan.swap_in.iter().copied());
            write!(self.text, " | swap-in {back}").expect("a string");
        }
        self.text.push('\n');
        for &(r, q) in &plan.prefill {
            self.seen[r.index()].compute(q, event.end);
        }
        for r in decodes {
            self.seen[r.index()].compute(1, event.end);
        }
    }
}
