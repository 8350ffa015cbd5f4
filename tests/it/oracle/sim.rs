//! The event loop (§1): all events of an instant, then every touched replica plans once.

use windtunnel::cost::StepCost;
use windtunnel::engine::config::{Allocation, ClusterConfig};
use windtunnel::metrics::record::RunCounters;
use windtunnel::metrics::work::Binding;
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::workload::Trace;

use super::door::Door;
use super::ideal;
use super::kv::Kv;
use super::outcome::{Coverage, Mutation, Options, OracleOutcome};
use super::pipeline::{self, Batch};
use super::plan;
use super::request::Req;
use super::router::Router;
use super::work::set_bound;

/// One replica: three lists in queue order, its blocks, its batches.
#[derive(Clone)]
pub struct Replica {
    pub waiting: Vec<usize>,
    pub running: Vec<usize>,
    pub swapped: Vec<usize>,
    pub kv: Kv,
    pub next_number: u64,
    /// In order of their start; the first one returns first.
    pub in_flight: Vec<Batch>,
    /// Per stage: when the last batch left it.
    pub stage_end: Vec<u64>,
    /// Stage 0 becomes free (pp > 1).
    pub timer: Option<u64>,
    pub touched: bool,
    /// What keeps it from admitting more, and since when (§11).
    pub bound: Option<Binding>,
    pub bound_since: u64,
    /// Start and end of the last decode-only step (coverage).
    pub last_decode_step: (u64, u64),
}

pub struct Sim<'a> {
    pub config: &'a ClusterConfig,
    pub cost: &'a dyn StepCost,
    pub trace: &'a Trace,
    pub options: Options,
    /// M of §3.
    pub limit: u32,
    pub now: u64,
    pub requests: Vec<Req>,
    pub replicas: Vec<Replica>,
    pub door: Door,
    pub router: Router,
    pub counters: RunCounters,
    pub coverage: Coverage,
    pub boundaries: Vec<u64>,
    pub log: Vec<String>,
}

/// One run as specified.
pub fn run(config: &ClusterConfig, cost: &dyn StepCost, trace: &Trace) -> OracleOutcome {
    run_with(config, cost, trace, Options::default())
}

/// One run, perhaps with a fault, a log or a bound on its steps.
pub fn run_with(
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: Options,
) -> OracleOutcome {
    let mut sim = Sim::new(config, cost, trace, options);
    let mut gave_up = false;
    while let Some(t) = sim.next_instant() {
        assert!(t >= sim.now, "the clock went back");
        sim.now = t;
        sim.instant();
        if options.max_steps > 0 && sim.counters.steps > options.max_steps {
            gave_up = true;
            break;
        }
    }
    sim.outcome(gave_up)
}

impl<'a> Sim<'a> {
    fn new(config: &'a ClusterConfig, cost: &'a dyn StepCost, trace: &'a Trace, options: Options) -> Sim<'a> {
        let stages = usize::from(cost.stages());
        let replicas = (0..config.replicas)
            .map(|_| Replica {
                waiting: Vec::new(),
                running: Vec::new(),
                swapped: Vec::new(),
                kv: Kv::new(&config.replica.kv),
                next_number: 0,
                in_flight: Vec::new(),
                stage_end: vec![0; stages],
                timer: None,
                touched: false,
                bound: None,
                bound_since: 0,
                last_decode_step: (0, 0),
            })
            .collect();
        let requests = (trace.requests.iter().enumerate())
            .map(|(i, r)| Req {
                streaming: config.front_end.per_streamed_token.as_ps(),
                ..Req::new(i, r.class, r.prompt, r.output, r.max_tokens)
            })
            .collect();
        Sim {
            config,
            cost,
            trace,
            options,
            limit: served_limit(config),
            now: 0,
            requests,
            replicas,
            door: Door::new(config, trace),
            router: Router::default(),
            counters: RunCounters::default(),
            coverage: Coverage::default(),
            boundaries: Vec::new(),
            log: Vec::new(),
        }
    }

    pub fn stages(&self) -> usize {
        usize::from(self.cost.stages())
    }

    pub fn pipelined(&self) -> bool {
        self.cost.stages() > 1
    }

    pub fn mutated(&self, mutation: Mutation) -> bool {
        self.options.mutation == mutation
    }

    /// §6: one stage only, and not for batches that hold their slots.
    pub fn late_stop(&self) -> bool {
        self.config.replica.late_stop
            && !self.pipelined()
            && !matches!(
                self.config.replica.scheduler,
                SchedulerConfig::Static(_) | SchedulerConfig::Ideal(_)
            )
            && !self.mutated(Mutation::LateStopMissing)
    }

    fn next_instant(&self) -> Option<u64> {
        let mut next = self.door.next_instant(self.trace);
        for replica in &self.replicas {
            let own = replica.in_flight.iter().map(|b| b.end).chain(replica.timer).min();
            next = match (next, own) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        next
    }

    fn instant(&mut self) {
        let mut completions = 0;
        for k in 0..self.replicas.len() {
            if self.replicas[k].in_flight.first().is_some_and(|b| b.end == self.now) {
                pipeline::complete(self, k);
                completions += 1;
            }
        }
        if self.mutated(Mutation::ArrivalsAfterPlan) {
            self.timers();
            self.plans();
        }
        let routed = self.arrivals();
        self.timers();
        self.plans();
        self.coverage.ties += u64::from(completions + routed > 1);
        Router::remember(self);
    }

    fn timers(&mut self) {
        for replica in &mut self.replicas {
            if replica.timer == Some(self.now) {
                replica.timer = None;
                replica.touched = true;
            }
        }
    }

    fn plans(&mut self) {
        for k in 0..self.replicas.len() {
            if std::mem::take(&mut self.replicas[k].touched) {
                plan::plan_replica(self, k);
            }
        }
    }

    /// Class 3: what arrives goes through the front end; what has passed it is routed in request order.
    fn arrivals(&mut self) -> usize {
        Door::admit_arrivals(self);
        let mut routed = self.door.take_served(self.now);
        routed.sort_unstable();
        if self.mutated(Mutation::ArrivalTiesReversed) {
            routed.reverse();
        }
        for &r in &routed {
            self.requests[r].queued = self.now;
            if matches!(self.config.replica.scheduler, SchedulerConfig::Ideal(_)) {
                ideal::serve(self, r);
                continue;
            }
            let k = Router::choose(self, r);
            self.join(r, k);
        }
        routed.len()
    }

    /// The request joins the end of the replica's waiting queue.
    fn join(&mut self, r: usize, k: usize) {
        let open = self.replicas[k].bound == Some(Binding::Open);
        if open && self.mutated(Mutation::BoundFromArrival) {
            set_bound(self, k, Some(Binding::Memory));
        }
        let replica = &mut self.replicas[k];
        let request = &mut self.requests[r];
        request.replica = k;
        request.outstanding = true;
        request.number = replica.next_number;
        replica.next_number += 1;
        replica.waiting.push(r);
        replica.touched = true;
        let (start, end) = replica.last_decode_step;
        let inside = replica.in_flight.last().is_some_and(|b| b.prefill.is_empty() && b.start < self.now);
        self.coverage.leap_cuts += u64::from(inside || (end == self.now && start < end));
        let at = request.queued - request.arrival;
        request
            .ledger
            .add(windtunnel::metrics::record::Cause::FrontEnd, windtunnel::units::SimDuration::from_ps(at));
    }

    fn outcome(mut self, gave_up: bool) -> OracleOutcome {
        let unfinished = self.requests.iter().any(|r| r.finish.is_none() && !r.rejected);
        let lingering = self.requests.iter().any(|r| r.outstanding);
        self.coverage.evictions = self.replicas.iter().map(|r| r.kv.evictions).sum();
        let stream = self.config.front_end.per_streamed_token.as_ps();
        let records: Vec<_> = self.requests.iter().map(|r| r.record(stream)).collect();
        self.counters.recomputed_tokens = records.iter().map(|r| u64::from(r.recomputed)).sum();
        self.counters.cached_tokens = records.iter().map(|r| u64::from(r.cached)).sum();
        OracleOutcome {
            records,
            counters: self.counters,
            coverage: self.coverage,
            boundaries: self.boundaries,
            log: self.log,
            stuck: gave_up || unfinished || lingering,
            all_free: self
                .replicas
                .iter()
                .all(|r| r.kv.free.len() == r.kv.blocks.len() && r.kv.host_used == 0),
        }
    }
}

/// M of §3.
fn served_limit(config: &ClusterConfig) -> u32 {
    let kv = config.replica.kv;
    let kept = match kv.allocation {
        Allocation::Paged { watermark } => watermark,
        Allocation::Reserve(_) => 0,
    };
    config.replica.max_model_len.min((kv.blocks - kept) * kv.block)
}

/// Inserts into a list that is kept in queue order.
pub fn insert(list: &mut Vec<usize>, requests: &[Req], r: usize) {
    list.push(r);
    list.sort_by_key(|&x| requests[x].number);
}
