//! Random small scenarios, keyed by (scheduler, index): tiny memory, coarse instants, every mechanism.

use std::fmt;
use std::sync::Arc;

use windtunnel::cost::StepCost;
use windtunnel::engine::config::{
    Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig, ReserveRule,
};
use windtunnel::ids::{ClassId, RequestId};
use windtunnel::policy::router::{LeastLoad, RoundRobin, RouterConfig};
use windtunnel::policy::scheduler::{
    Chunked, Clairvoyant, Ideal, Iteration, PrefillFirst, RaggedPrompts, SchedulerConfig, Static, Unified,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Closed, PrefixChains, Request, Trace};

use super::cost::TestCost;
use super::outcome::Options;
use super::rng::Rng;
use super::sim;

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
    pub trace: Trace,
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "scenario({}, {}) of {}", self.kind, self.index, KINDS[self.kind])?;
        writeln!(f, "config: {:?}", self.config)?;
        writeln!(f, "cost: {:?}", self.cost)?;
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
        if !sim::run_with(&candidate.config, &candidate.cost, &candidate.trace, options).stuck {
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
    let mut trace = trace(&mut rng, config.replica.kv.block);
    if trace.closed.is_none() && rng.chance(60) {
        arrive_on_boundaries(&mut rng, &config, &cost, &mut trace);
    }
    Scenario { kind, index, redrawn, config, cost, trace }
}

fn scheduler(rng: &mut Rng, kind: usize, stages: usize) -> SchedulerConfig {
    let token_budget = rng.small(4, 64);
    let max_sequences = rng.small(1, 12);
    match KINDS[kind] {
        "unified" => SchedulerConfig::Unified(Unified {
            token_budget,
            max_sequences,
            long_prefill_threshold: if rng.chance(30) { rng.small(1, 20) } else { 0 },
            reserve_full_prompt: rng.chance(50),
        }),
        "chunked" => SchedulerConfig::Chunked(Chunked { token_budget, max_sequences }),
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

fn replica(rng: &mut Rng, kind: usize, scheduler: SchedulerConfig, stages: usize) -> ReplicaConfig {
    let block = rng.pick(&[1, 2, 3, 4, 7, 8, 16]);
    let mut blocks = rng.small(30, 260).div_ceil(block).max(6);
    let usual_reserve = matches!(KINDS[kind], "iteration" | "static");
    let reserves = rng.chance(if usual_reserve { 60 } else { 12 });
    let watermark = if rng.chance(50) { 0 } else { rng.small(1, 2) };
    let mut preemption = Preemption::Recompute;
    let mut prefix_cache = false;
    let allocation = if reserves {
        let rules = [ReserveRule::MaxTokens, ReserveRule::MaxModelLen, ReserveRule::Pow2, ReserveRule::Exact];
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
    }
}

fn router(rng: &mut Rng) -> RouterConfig {
    let staleness = if rng.chance(40) { 0 } else { rng.pick(&[50, 100, 300, 1000, 2500]) };
    let load = LeastLoad { staleness: SimDuration::from_ps(staleness), own_dispatches: rng.chance(60) };
    match rng.range(0, 2) {
        0 => RouterConfig::RoundRobin(RoundRobin {}),
        1 => RouterConfig::LeastRequests(load),
        _ => RouterConfig::LeastTokens(load),
    }
}

fn front_end(rng: &mut Rng) -> FrontEnd {
    if rng.chance(60) {
        return FrontEnd::NONE;
    }
    FrontEnd {
        per_request: SimDuration::from_ps(rng.pick(&[0, 10, 50, 200])),
        per_prompt_token: SimDuration::from_ps(rng.range(0, 5)),
        per_streamed_token: SimDuration::from_ps(rng.pick(&[0, 3, 40])),
        workers: rng.small(1, 2) as u16,
    }
}

fn trace(rng: &mut Rng, block: u32) -> Trace {
    let count = rng.range(1, 40);
    let grain = rng.pick(&[1, 50, 100, 100, 1000]);
    let span = rng.pick(&[1, 500, 3000, 10_000, 40_000]);
    let long_prompts = rng.chance(25);
    let max_rule = rng.range(0, 3);
    let mut requests: Vec<Request> = (0..count)
        .map(|_| {
            let prompt = if long_prompts && rng.chance(20) { rng.small(60, 140) } else { rng.small(1, 60) };
            let output = if rng.chance(15) { rng.small(1, 2) } else { rng.small(1, 40) };
            let max_tokens = match max_rule {
                0 => output,
                1 => output + rng.small(0, 30),
                2 => output.next_power_of_two(),
                _ => 200,
            };
            let arrival = SimTime::from_ps(rng.range(0, span) / grain * grain);
            Request { arrival, prompt, output, max_tokens, class: ClassId(rng.small(0, 1) as u16) }
        })
        .collect();
    requests.sort_by_key(|r| r.arrival);
    let closed = rng.chance(20).then(|| Closed {
        clients: rng.small(1, 8),
        think: SimDuration::from_ps(rng.pick(&[0, 0, 100, 700])),
    });
    let prefixes = rng.chance(75).then(|| Arc::new(prefixes(rng, &requests, block)));
    Trace { requests, classes: vec!["a".to_owned(), "b".to_owned()], closed, prefixes, ..Trace::default() }
}

/// Ids that name a path in a small tree, so that an id stands for all ids before it too.
fn prefixes(rng: &mut Rng, requests: &[Request], block: u32) -> PrefixChains {
    let tokens_per_id = block * rng.small(1, 3);
    let branches = rng.range(1, 3);
    let mut chains = PrefixChains { tokens_per_id, starts: vec![0], ids: Vec::new() };
    for request in requests {
        let mut node = 1;
        for _ in 0..request.prompt.div_ceil(tokens_per_id) {
            node = node * 31 + rng.range(1, branches);
            chains.ids.push(node);
            node %= 1 << 56;
        }
        chains.starts.push(chains.ids.len() as u32);
    }
    chains
}

/// Runs the first rows, then lets the other rows arrive exactly at ends of steps of that run.
fn arrive_on_boundaries(rng: &mut Rng, config: &ClusterConfig, cost: &TestCost, trace: &mut Trace) {
    let kept = rng.range(1, trace.len() as u64) as usize;
    let mut first = trace.clone();
    first.requests.truncate(kept);
    let options = Options { max_steps: MAX_STEPS, ..Options::default() };
    let outcome = sim::run_with(config, cost as &dyn StepCost, &first, options);
    if outcome.boundaries.is_empty() {
        return;
    }
    for request in &mut trace.requests[kept..] {
        request.arrival = SimTime::from_ps(rng.pick(&outcome.boundaries));
    }
    // Rows stay in arrival order, and each keeps its prefix ids.
    let mut order: Vec<usize> = (0..trace.len()).collect();
    order.sort_by_key(|&i| trace.requests[i].arrival);
    trace.requests = order.iter().map(|&i| trace.requests[i]).collect();
    if let Some(old) = trace.prefixes.take() {
        let mut chains = PrefixChains { tokens_per_id: old.tokens_per_id, starts: vec![0], ids: Vec::new() };
        for &i in &order {
            chains.ids.extend_from_slice(old.of(RequestId(i as u32)));
            chains.starts.push(chains.ids.len() as u32);
        }
        trace.prefixes = Some(Arc::new(chains));
    }
}
