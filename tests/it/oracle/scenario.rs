//! Random small scenarios, keyed by (scheduler, index): tiny memory, coarse instants, every mechanism.

use std::fmt;

use windtunnel::cluster::{Changes, Deployment, Group, Joint};
use windtunnel::engine::config::{
    Admission, Allocation, ClusterConfig, Failure, FrontEnd, HandOver, KvConfig, Migration, Network,
    Preemption, ReplicaConfig, ReserveRule, Role,
};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{
    CacheAware, Freest, Knowledge, LeastLoad, MemoryLoad, PowerOfTwo, PrefixAffinity, Random, RoundRobin,
    RouterConfig, Session,
};
use windtunnel::policy::scaling::Scaling;
use windtunnel::policy::scheduler::{
    Chunked, Clairvoyant, Ideal, Iteration, PrefillFirst, RaggedPrompts, SchedulerConfig, Static, Unified,
};
use windtunnel::units::SimDuration;
use windtunnel::workload::{NO_SESSION, Priority, Trace, Turns};

use super::cost::TestCost;
use super::outcome::Options;
use super::rng::Rng;
use super::sim;
use super::traces::{arrive_on_boundaries, trace};

/// The schedulers by number.
pub const KINDS: [&str; 7] =
    ["unified", "chunked", "prefill-first", "iteration", "static", "ideal", "clairvoyant"];

/// More steps than any scenario needs unless two requests preempt each other for ever.
pub const MAX_STEPS: u64 = 20_000;

/// One scenario; `Display` is a dump that lets one rebuild it.
pub struct Scenario {
    pub kind: usize,
    pub index: u64,
    /// Earlier draws under this key that never end (see `scenario`).
    pub redrawn: u64,
    pub config: ClusterConfig,
    pub cost: TestCost,
    /// Replicas that are not like those of `config`.
    pub more: Vec<Others>,
    /// Prefill (the replicas of `config`) and decode (the others) apart.
    pub apart: Option<(HandOver, Network)>,
    /// Requests move between replicas (all of them compute whole requests).
    pub moving: Option<(Migration, Network)>,
    /// Prefixes are fetched over these links (with `apart`: over its own, which are the same).
    pub fetching: Option<Network>,
    /// Replicas come and go.
    pub changes: Option<(Option<Scaling>, Vec<Failure>)>,
    /// Blocks that count as used, by priority level.
    pub headroom: Vec<u32>,
    pub seed: u64,
    pub trace: Trace,
}

/// Replicas of another kind.
#[derive(Debug)]
pub struct Others {
    pub replica: ReplicaConfig,
    pub replicas: u16,
    pub cost: TestCost,
    /// They compute whole requests beside prefill and decode apart.
    pub mixed: bool,
}

impl Scenario {
    /// All of its replicas.
    pub fn deployment(&self) -> Deployment<'_> {
        let uniform = Deployment::uniform(&self.config, &self.cost);
        let mut deployment = Deployment { seed: self.seed, headroom: &self.headroom, ..uniform };
        deployment.groups.extend(self.more.iter().map(|o| Group {
            replica: &o.replica,
            replicas: o.replicas,
            cost: &o.cost,
            role: Role::Whole,
        }));
        if let Some((hand_over, network)) = &self.apart {
            for (g, group) in deployment.groups.iter_mut().enumerate() {
                group.role = match g {
                    0 => Role::Prefill,
                    _ if self.more[g - 1].mixed => Role::Whole,
                    _ => Role::Decode,
                };
            }
            deployment.joint =
                Some(Joint { network, hand_over: Some(hand_over), migration: None, prefix_fetch: false });
        }
        if let Some((migration, network)) = &self.moving {
            deployment.joint =
                Some(Joint { network, hand_over: None, migration: Some(migration), prefix_fetch: false });
        }
        if let Some((scaling, failures)) = &self.changes {
            deployment.changes = Some(Changes { scaling: scaling.as_ref(), failures });
        }
        if let Some(network) = &self.fetching {
            let hand_over = self.apart.as_ref().map(|(hand_over, _)| hand_over);
            deployment.joint = Some(Joint { network, hand_over, migration: None, prefix_fetch: true });
        }
        deployment
    }

    /// The longest context that is served.
    pub fn limit(&self) -> u32 {
        let limits = self.deployment().groups.into_iter().map(|g| g.replica.effective_limit());
        limits.min().expect("a group")
    }

    /// Replicas of all kinds.
    pub fn replicas(&self) -> u16 {
        self.config.replicas + self.more.iter().map(|o| o.replicas).sum::<u16>()
    }

    /// Most pipeline stages.
    pub fn stages(&self) -> usize {
        self.more.iter().map(|o| o.cost.stage.len()).max().unwrap_or(1).max(self.cost.stage.len())
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario({}, {}) of {}", self.kind, self.index, KINDS[self.kind])?;
        writeln!(f, "config: {:?}", self.config)?;
        writeln!(f, "cost: {:?}", self.cost)?;
        writeln!(f, "more: {:?}, seed: {}", self.more, self.seed)?;
        writeln!(f, "apart: {:?}", self.apart)?;
        writeln!(f, "changes: {:?}", self.changes)?;
        writeln!(f, "moving: {:?}, headroom: {:?}", self.moving, self.headroom)?;
        writeln!(
            f,
            "sessions: {:?}, priorities: {:?}, {:?}",
            self.trace.sessions, self.trace.priorities, self.trace.turns
        )?;
        writeln!(f, "closed: {:?}, prefixes: {:?}", self.trace.closed, self.trace.prefixes)?;
        write!(f, "requests (arrival, prompt, output, max_tokens):")?;
        for r in &self.trace.requests {
            write!(f, " ({}, {}, {}, {})", r.arrival.as_ps(), r.prompt, r.output, r.max_tokens)?;
        }
        Ok(())
    }
}

/// The scenario of this key. A draw in which requests preempt each other for ever (possible with pp > 1, where a
/// request in flight cannot be a victim) is replaced by the next draw.
pub fn scenario(kind: usize, index: u64) -> Scenario {
    for redrawn in 0.. {
        let candidate = draw(kind, index, redrawn);
        let options = Options { max_steps: MAX_STEPS, ..Options::default() };
        if !sim::run_with(&candidate.deployment(), &candidate.trace, options).stuck {
            return candidate;
        }
    }
    unreachable!("some draw ends")
}

fn draw(kind: usize, index: u64, redrawn: u64) -> Scenario {
    let mut rng = Rng::new(((kind as u64 + 1) << 48) | (redrawn << 32) | index);
    let stages = if rng.chance(30) { rng.range(2, 3) as usize } else { 1 };
    let cost = TestCost::random(&mut rng, stages);
    let scheduler = scheduler(&mut rng, kind, stages);
    let replica = replica(&mut rng, kind, scheduler, stages);
    let config = ClusterConfig {
        replica,
        replicas: if rng.chance(50) { 1 } else { rng.small(2, 3) as u16 },
        router: router(&mut rng),
        front_end: front_end(&mut rng),
    };
    let trace = trace(&mut rng, config.replica.kv.block);
    let mut s = Scenario {
        kind,
        index,
        redrawn,
        config,
        cost,
        more: Vec::new(),
        apart: None,
        moving: None,
        fetching: None,
        changes: None,
        headroom: Vec::new(),
        seed: rng.range(0, 9),
        trace,
    };
    if rng.chance(25) {
        let more = others(&mut rng, &s);
        s.more.push(more);
    }
    admission(&mut rng, &mut s.config.front_end.admission);
    if rng.chance(40) {
        urgency(&mut rng, &mut s);
    }
    if rng.chance(60) {
        let groups = rng.range(1, 8);
        s.trace.sessions = Some(
            (0..s.trace.len())
                .map(|_| if rng.chance(15) { NO_SESSION } else { rng.range(0, groups) as u32 })
                .collect(),
        );
    }
    if s.trace.closed.is_none() && s.trace.sessions.is_some() && rng.chance(40) {
        s.trace.turns = Turns::AfterAnswer;
    }
    if s.trace.closed.is_none() && rng.chance(60) {
        arrive_on_boundaries(&mut rng, &mut s);
    }
    s
}

/// Replicas with more blocks, another cost, other limits of the same scheduler.
fn others(rng: &mut Rng, s: &Scenario) -> Others {
    let stages = if rng.chance(30) { rng.range(2, 3) as usize } else { 1 };
    let mut replica = s.config.replica.clone();
    replica.scheduler = scheduler(rng, s.kind, stages);
    replica.kv.blocks += rng.small(0, 40);
    // Under the block rule a request that fills the whole memory alone is its own victim; see `replica`.
    replica.late_stop = rng.chance(40) && (stages == 1 || KINDS[s.kind] != "clairvoyant");
    if let Preemption::Swap { host_blocks } = &mut replica.kv.preemption {
        *host_blocks = rng.small(0, 40);
    }
    Others { replica, replicas: rng.small(1, 2) as u16, cost: TestCost::random(rng, stages), mixed: false }
}

pub fn admission(rng: &mut Rng, admission: &mut Admission) {
    admission.max_queue = rng.chance(12).then(|| rng.small(1, 6));
    admission.max_outstanding = rng.chance(12).then(|| rng.small(1, 12));
    admission.timeout =
        rng.chance(25).then(|| SimDuration::from_ps(rng.pick(&[150, 500, 1000, 2000, 4000, 8000])));
}

/// An order for the queues, and levels and deadlines for the classes.
pub fn urgency(rng: &mut Rng, s: &mut Scenario) {
    let level = |rng: &mut Rng| Priority {
        level: rng.small(0, 2),
        deadline: rng.chance(70).then(|| SimDuration::from_ps(rng.pick(&[100, 1000, 1000, 5000]))),
    };
    s.trace.priorities = vec![level(rng), level(rng)];
    if s.config.replica.scheduler.allows_order() {
        let orders = [Order::Priority, Order::ShortestPrompt, Order::ShortestJob, Order::EarliestDeadline];
        s.config.replica.order = rng.pick(&orders);
        for others in &mut s.more {
            others.replica.order = s.config.replica.order;
        }
    }
}

pub fn scheduler(rng: &mut Rng, kind: usize, stages: usize) -> SchedulerConfig {
    let token_budget = rng.small(4, 64);
    let max_sequences = rng.small(1, 12);
    match KINDS[kind] {
        "unified" => SchedulerConfig::Unified(Unified {
            token_budget,
            max_sequences,
            long_prefill_threshold: if rng.chance(30) { rng.small(1, 20) } else { 0 },
            reserve_full_prompt: rng.chance(50),
        }),
        "chunked" => {
            SchedulerConfig::Chunked(Chunked { token_budget, max_sequences, hybrid: !rng.chance(35) })
        }
        "prefill-first" => SchedulerConfig::PrefillFirst(PrefillFirst { token_budget, max_sequences }),
        "iteration" => SchedulerConfig::Iteration(Iteration { max_batch: max_sequences }),
        "static" => SchedulerConfig::Static(Static {
            max_batch: rng.small(1, 6),
            micro_batch: if rng.chance(if stages > 1 { 85 } else { 25 }) { rng.small(1, 3) } else { 0 },
            ragged: rng.pick(&[RaggedPrompts::Shortest, RaggedPrompts::Padded]),
            return_early: rng.chance(50),
        }),
        "ideal" => SchedulerConfig::Ideal(Ideal {}),
        _ => SchedulerConfig::Clairvoyant(Clairvoyant { token_budget, max_sequences }),
    }
}

pub fn replica(rng: &mut Rng, kind: usize, scheduler: SchedulerConfig, stages: usize) -> ReplicaConfig {
    let block = rng.pick(&[1, 2, 3, 4, 7, 8, 16]);
    let mut blocks = rng.small(30, 260).div_ceil(block).max(6);
    let usual_reserve = matches!(KINDS[kind], "iteration" | "static");
    let reserves = rng.chance(if usual_reserve { 60 } else { 12 });
    let watermark = if rng.chance(50) { 0 } else { rng.small(1, 2) };
    let mut preemption = Preemption::Recompute;
    let mut prefix_cache = false;
    let allocation = if reserves {
        let rules = [
            ReserveRule::MaxTokens,
            ReserveRule::MaxModelLen,
            ReserveRule::Pow2,
            ReserveRule::Exact,
            ReserveRule::BuddyPow2,
            ReserveRule::BuddyExact,
        ];
        Allocation::Reserve(rng.pick(&rules))
    } else {
        let may_swap = matches!(KINDS[kind], "chunked" | "prefill-first");
        if may_swap && rng.chance(60) {
            preemption = Preemption::Swap { host_blocks: rng.small(0, blocks) };
        }
        prefix_cache = rng.chance(45);
        Allocation::Paged { watermark }
    };
    if prefix_cache {
        blocks += rng.small(0, 20);
    }
    let wanted = if rng.chance(60) { 128 } else { rng.small(30, 90) };
    // Under the block rule a request that fills the whole memory alone is its own victim: mostly one block stays free.
    let block_rule = matches!(KINDS[kind], "chunked" | "prefill-first" | "iteration") && !reserves;
    let spare = if block_rule && rng.chance(70) { watermark + 1 } else { 0 };
    let late_stop = rng.chance(40) && (stages == 1 || KINDS[kind] != "clairvoyant");
    ReplicaConfig {
        scheduler,
        kv: KvConfig { block, blocks, allocation, preemption, prefix_cache },
        max_model_len: wanted.min((blocks - spare) * block - u32::from(KINDS[kind] == "clairvoyant")),
        late_stop,
        order: Order::Fcfs,
        host_cache: if prefix_cache && rng.chance(50) { rng.small(1, 30) } else { 0 },
    }
}

pub fn router(rng: &mut Rng) -> RouterConfig {
    let staleness = if rng.chance(40) { 0 } else { rng.pick(&[50, 100, 300, 1000, 2500]) };
    let staleness = SimDuration::from_ps(staleness);
    let (own_dispatches, per_capacity) = (rng.chance(60), rng.chance(30));
    let load = LeastLoad { staleness, own_dispatches, per_capacity };
    match rng.range(0, 9) {
        0 => RouterConfig::RoundRobin(RoundRobin {}),
        1 => RouterConfig::LeastRequests(load),
        2 => RouterConfig::LeastTokens(load),
        3 => RouterConfig::PowerOfTwo(PowerOfTwo { staleness, own_dispatches, per_capacity }),
        4 => RouterConfig::MemoryLoad(MemoryLoad { staleness, own_dispatches }),
        5 => RouterConfig::Session(Session { staleness, own_dispatches, per_capacity }),
        6 => RouterConfig::Random(Random {}),
        7 => RouterConfig::Freeness(Freest {}),
        8 => RouterConfig::CacheAware(CacheAware {
            cache_threshold: rng.pick(&[0.0, 0.3, 0.5]),
            balance_abs_threshold: rng.small(0, 4),
            balance_rel_threshold: rng.pick(&[1.0, 1.5, 3.0]),
            max_tree_tokens: rng.pick(&[1 << 24, 300, 100]),
        }),
        _ => RouterConfig::PrefixAffinity(PrefixAffinity {
            knowledge: rng.pick(&[Knowledge::Dispatched, Knowledge::Reported]),
            imbalance_requests: rng.small(0, 4),
            imbalance_ratio: rng.pick(&[1.0, 1.5, 3.0]),
            least_match: rng.pick(&[0.0, 0.0, 0.3]),
            staleness,
            own_dispatches,
        }),
    }
}

pub fn front_end(rng: &mut Rng) -> FrontEnd {
    if rng.chance(60) {
        return FrontEnd::NONE;
    }
    FrontEnd {
        per_request: SimDuration::from_ps(rng.pick(&[0, 10, 50, 200])),
        per_prompt_token: SimDuration::from_ps(rng.range(0, 5)),
        per_streamed_token: SimDuration::from_ps(rng.pick(&[0, 3, 40])),
        workers: rng.small(1, 2) as u16,
        admission: Admission::OPEN,
    }
}
