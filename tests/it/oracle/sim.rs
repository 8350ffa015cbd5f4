//! The event loop (§1): all events of an instant, then every touched replica plans once.

use windtunnel::cluster::Deployment;
use windtunnel::cost::StepCost;
use windtunnel::engine::config::{Allocation, ClusterConfig, ReplicaConfig, Role};
use windtunnel::metrics::record::RunCounters;
use windtunnel::metrics::work::Binding;
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::workload::Trace;

use super::door::Door;
use super::early::{self, Early};
use super::fetch::{self, Fetching};
use super::fleet::{self, Fleet};
use super::hand_over;
use super::kv::Kv;
use super::links::{self, Links};
use super::migration;
use super::moves::{self, Move};
use super::mutation::Mutation;
use super::outcome::{Coverage, Options, OracleOutcome};
use super::patience;
use super::pipeline::{self, Batch};
use super::plan;
use super::request::Req;
use super::router::{Load, Router};

/// One replica: three lists in queue order, its blocks, its batches.
#[derive(Clone)]
pub struct Replica {
    /// Which group of the deployment it is of.
    pub group: usize,
    pub waiting: Vec<usize>,
    pub running: Vec<usize>,
    pub swapped: Vec<usize>,
    /// Requests offered, in order of their offers, and loaded ones in queue order (§12).
    pub offers: Vec<usize>,
    pub loaded: Vec<usize>,
    pub kv: Kv,
    pub next_number: u64,
    /// In order of their start; the first one returns first.
    pub in_flight: Vec<Batch>,
    /// Per stage: when the last batch left it.
    pub stage_end: Vec<u64>,
    /// Stage 0 becomes free (pp > 1).
    pub timer: Option<u64>,
    pub touched: bool,
    /// The last step held chunks (chunked without hybrid batches).
    pub after_chunks: bool,
    /// Running requests whose clients have given up, in that order.
    pub giving_up: Vec<usize>,
    /// What keeps it from admitting more, and since when (§11).
    pub bound: Option<Binding>,
    pub bound_since: u64,
    /// Start and end of the last decode-only step (coverage).
    pub last_decode_step: (u64, u64),
}

pub struct Sim<'a> {
    pub deployment: &'a Deployment<'a>,
    pub trace: &'a Trace,
    pub options: Options,
    /// M of §3.
    pub limit: u32,
    pub now: u64,
    pub requests: Vec<Req>,
    pub replicas: Vec<Replica>,
    pub door: Door,
    /// That of arrivals; then those of hand-overs (§12): the one of all, and with `same_server` one for each server.
    pub routers: Vec<Router<'a>>,
    /// Of each later one: its server.
    pub servers: Vec<u32>,
    /// After everything of an instant: the load of each replica.
    pub history: Vec<(u64, Vec<Load>)>,
    pub links: Links,
    /// Prefixes on their way, and what `conductor` remembers (§16).
    pub fetching: Fetching,
    /// Replicas that come and go (§15).
    pub fleet: Option<Fleet<'a>>,
    /// Prompts that are sent layer by layer, in the order of their coming (§12).
    pub early: Vec<Early>,
    /// Requests whose prompt is complete at this instant (§12).
    pub completed: Vec<usize>,
    /// (source, destination) of pairs, moves under way, the last tick (§14).
    pub pairs: Vec<(usize, usize)>,
    pub moves: Vec<Move>,
    pub ticked: u64,
    pub counters: RunCounters,
    pub coverage: Coverage,
    pub boundaries: Vec<u64>,
    pub log: Vec<String>,
}

/// One run as specified.
pub fn run(config: &ClusterConfig, cost: &dyn StepCost, trace: &Trace) -> OracleOutcome {
    run_with(&Deployment::uniform(config, cost), trace, Options::default())
}

/// One run, perhaps with a fault, a log or a bound on its steps.
pub fn run_with(deployment: &Deployment<'_>, trace: &Trace, options: Options) -> OracleOutcome {
    let mut sim = Sim::new(deployment, trace, options);
    let (mut gave_up, mut instants) = (false, 0);
    while let Some(t) = sim.next_instant() {
        instants += 1;
        assert!(t >= sim.now, "the clock went back");
        sim.now = t;
        sim.instant();
        if options.max_steps > 0 && sim.counters.steps.max(instants / 20) > options.max_steps {
            gave_up = true;
            break;
        }
    }
    sim.outcome(gave_up)
}

impl<'a> Sim<'a> {
    fn new(deployment: &'a Deployment<'a>, trace: &'a Trace, options: Options) -> Sim<'a> {
        let mut groups = Vec::new();
        for (g, group) in deployment.groups.iter().enumerate() {
            groups.extend(vec![g; usize::from(group.replicas)]);
        }
        let replicas = (groups.iter().copied())
            .map(|group| Replica {
                group,
                giving_up: Vec::new(),
                waiting: Vec::new(),
                offers: Vec::new(),
                loaded: Vec::new(),
                running: Vec::new(),
                swapped: Vec::new(),
                kv: Kv::new(
                    &deployment.groups[group].replica.kv,
                    deployment.groups[group].replica.host_cache,
                ),
                next_number: 0,
                in_flight: Vec::new(),
                stage_end: vec![0; usize::from(deployment.groups[group].cost.stages())],
                timer: None,
                touched: false,
                after_chunks: false,
                bound: None,
                bound_since: 0,
                last_decode_step: (0, 0),
            })
            .collect();
        let (routers, servers) = hand_over::routers(deployment);
        let fleet = deployment.changes.as_ref().map(|changes| Fleet::new(changes, groups.len()));
        let requests = (trace.requests.iter().enumerate())
            .map(|(i, r)| Req {
                streaming: deployment.front_end.per_streamed_token.as_ps(),
                ..Req::new(i, r.class, r.prompt, r.output, r.max_tokens)
            })
            .collect();
        Sim {
            deployment,
            trace,
            options,
            limit: deployment.groups.iter().map(|g| served_limit(g.replica)).min().expect("a group"),
            now: 0,
            requests,
            replicas,
            door: Door::new(&deployment.front_end, trace),
            routers,
            servers,
            history: Vec::new(),
            links: Links::default(),
            fetching: Fetching::default(),
            fleet,
            early: Vec::new(),
            completed: Vec::new(),
            pairs: Vec::new(),
            moves: Vec::new(),
            ticked: 0,
            counters: RunCounters::default(),
            coverage: Coverage::default(),
            boundaries: Vec::new(),
            log: Vec::new(),
        }
    }

    /// Configuration of a replica.
    pub fn config(&self, k: usize) -> &'a ReplicaConfig {
        self.deployment.groups[self.replicas[k].group].replica
    }

    /// What a step of a replica costs.
    pub fn cost(&self, k: usize) -> &'a dyn StepCost {
        self.deployment.groups[self.replicas[k].group].cost
    }

    pub fn role(&self, k: usize) -> Role {
        self.deployment.groups[self.replicas[k].group].role
    }

    pub fn stages(&self, k: usize) -> usize {
        usize::from(self.cost(k).stages())
    }

    pub fn pipelined(&self, k: usize) -> bool {
        self.stages(k) > 1
    }

    pub fn mutated(&self, mutation: Mutation) -> bool {
        self.options.mutation == mutation
    }

    /// §6: one stage only, and not for batches that hold their slots.
    pub fn late_stop(&self, k: usize) -> bool {
        self.config(k).late_stop
            && self.role(k) != Role::Prefill
            && !self.pipelined(k)
            && !matches!(self.config(k).scheduler, SchedulerConfig::Static(_) | SchedulerConfig::Ideal(_))
            && !self.mutated(Mutation::LateStopMissing)
    }

    fn next_instant(&self) -> Option<u64> {
        let mut next = self
            .door
            .next_instant(self.trace)
            .into_iter()
            .chain(patience::next_instant(self))
            .chain(self.links.next_instant())
            .chain(moves::next_instant(self))
            .chain(migration::next_instant(self))
            .min();
        for replica in &self.replicas {
            let own = replica.in_flight.iter().map(|b| b.end).chain(replica.timer).min();
            next = match (next, own) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        fleet::next_instant(self, next)
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
        self.transfers();
        let routed = self.arrivals();
        self.timers();
        fleet::timers(self);
        migration::tick(self);
        patience::cancellations(self);
        self.plans();
        links::count_unblocked(self);
        self.coverage.ties += u64::from(completions + routed > 1);
        Router::remember(self);
    }

    /// Class 2.
    fn transfers(&mut self) {
        for parcel in links::flows(self) {
            if !early::last_byte(self, &parcel) && !fetch::last_byte(self, &parcel) {
                moves::last_byte(self, &parcel);
            }
        }
        links::acknowledgements(self);
        hand_over::offers(self);
        moves::messages(self);
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
        fleet::wake(self);
        while self.replicas.iter().any(|replica| replica.touched) {
            for k in 0..self.replicas.len() {
                if std::mem::take(&mut self.replicas[k].touched) {
                    plan::plan_replica(self, k);
                }
            }
        }
        fleet::drained(self);
    }

    fn outcome(mut self, gave_up: bool) -> OracleOutcome {
        let unfinished = self.requests.iter().any(|r| !r.is_over());
        let lingering = self.requests.iter().any(|r| r.outstanding);
        self.coverage.evictions = self.replicas.iter().map(|r| r.kv.evictions).sum();
        let stream = self.deployment.front_end.per_streamed_token.as_ps();
        let records: Vec<_> = self.requests.iter().map(|r| r.record(stream)).collect();
        self.counters.recomputed_tokens = records.iter().map(|r| u64::from(r.recomputed)).sum();
        self.counters.cached_tokens = records.iter().map(|r| u64::from(r.cached)).sum();
        OracleOutcome {
            records,
            counters: self.counters,
            transfers: self.links.counters,
            ports: self.links.ports,
            fleet: self.fleet.take().map(|fleet| fleet.used(self.now)),
            coverage: self.coverage,
            boundaries: self.boundaries,
            log: self.log,
            stalled: !gave_up && unfinished,
            stuck: gave_up || unfinished || lingering,
            all_free: self
                .replicas
                .iter()
                .all(|r| r.kv.free.len() == r.kv.blocks.len() && r.kv.host_used == 0),
        }
    }
}

/// M of §3.
fn served_limit(config: &ReplicaConfig) -> u32 {
    let kv = config.kv;
    let kept = match kv.allocation {
        Allocation::Paged { watermark } => watermark,
        Allocation::Reserve(_) => 0,
    };
    config.max_model_len.min((kv.blocks - kept) * kv.block)
}
