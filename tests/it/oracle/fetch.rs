//! The router `conductor`, early rejection, and prefixes that are fetched (§16).

use windtunnel::cost::{Chunk, DecodeShape, StepShape};
use windtunnel::engine::config::{Allocation, Role};
use windtunnel::ids::ReplicaId;
use windtunnel::policy::router::{Conductor, Forecast};

use super::door::Door;
use super::fleet;
use super::kv::{Key, key_of};
use super::links::{self, Parcel};
use super::patience;
use super::request::Way;
use super::sim::Sim;

/// A request that the router sent to a replica.
struct Sent {
    request: usize,
    to: usize,
    own: u64,
    /// When its prompt was expected to be done.
    done: u64,
}

/// A request whose prefix is on its way.
struct Fetch {
    request: usize,
    to: usize,
    keys: Vec<Key>,
}

/// What the router remembers, and what is between replicas.
#[derive(Default)]
pub struct Fetching {
    sent: Vec<Sent>,
    on_the_way: Vec<Fetch>,
    /// (replica, key) of blocks that have come and are not in its host list yet.
    brought: Vec<(usize, Key)>,
}

impl Fetching {
    /// What has come to replica `k` is gone with it.
    pub fn forget(&mut self, k: usize) {
        self.brought.retain(|b| b.0 != k);
    }

    /// Whether `r` waits for its prefix.
    pub fn has(&self, r: usize) -> bool {
        self.on_the_way.iter().any(|f| f.request == r)
    }
}

/// What becomes of a request that admission has let in.
pub enum Decision {
    Joins(usize),
    Waits,
    Refused,
}

/// The keys of its prompt that replica `k` has, from the first on.
fn kept(sim: &Sim<'_>, k: usize, r: usize) -> Vec<Key> {
    let (kv, request) = (sim.config(k).kv, &sim.requests[r]);
    if !kv.prefix_cache || matches!(kv.allocation, Allocation::Reserve(_)) {
        return Vec::new();
    }
    let has = |key: &Key| {
        let here = &sim.replicas[k].kv;
        matches!(key, Key::Shared(..))
            && (here.find(*key).is_some()
                || here.host_list.contains(key)
                || sim.fetching.brought.contains(&(k, *key)))
    };
    let keys = (0..(request.prompt - 1) / kv.block).map(|i| key_of(sim.trace, request, i, kv.block));
    keys.take_while(has).collect()
}

/// One step over what is left of a prompt, on all stages.
fn own(sim: &Sim<'_>, k: usize, past: u32, tokens: u32) -> u64 {
    let cost = sim.cost(k);
    let chunks = [Chunk { tokens, past }];
    let shape = StepShape { chunks: &chunks, decode: DecodeShape::default() };
    let steps: u64 = (0..cost.stages()).map(|s| cost.step(s, &shape).total().as_ps()).sum();
    let hops = u64::from(cost.stages() - 1) * cost.hop(tokens).as_ps();
    steps + if cost.stages() > 1 { hops + cost.token_return().as_ps() } else { 0 }
}

/// A transfer with nobody else on the way.
fn carry(sim: &Sim<'_>, from: usize, to: usize, blocks: u32) -> u64 {
    let network = links::network(sim).expect("prefixes are fetched over links");
    let path = network.path(ReplicaId(from as u16), ReplicaId(to as u16));
    let rate = path.ports.map(|p| network.ports[p as usize]).into_iter().min().unwrap();
    let bytes = u128::from(blocks) * u128::from(network.block_bytes);
    let flows = (bytes * 1_000_000_000_000).div_ceil(u128::from(rate)) as u64;
    path.latency.as_ps() * network.messages.of(blocks) + flows
}

/// Whether `sent` is on its way to its replica or there, with its prompt incomplete.
fn is_queued(sim: &Sim<'_>, sent: &Sent) -> bool {
    let r = &sim.requests[sent.request];
    let there = r.outstanding && r.replica == sent.to && r.way == Way::None;
    sim.fetching.has(sent.request) || (there && r.generated == 0 && r.computed < r.prompt)
}

/// The router decides about `r`.
pub fn decide(sim: &mut Sim<'_>, p: &Conductor, pool: &[usize], r: usize) -> Decision {
    let over: Vec<bool> = sim.requests.iter().map(|x| x.is_over()).collect();
    sim.fetching.sent.retain(|s| !over[s.request] && s.request != r);
    let again = sim.requests[r].routed;
    let fetches = sim.deployment.joint.as_ref().is_some_and(|joint| joint.prefix_fetch);
    let known: Vec<Vec<Key>> = pool.iter().map(|&k| kept(sim, k, r)).collect();
    let most = known.iter().map(Vec::len).max().unwrap_or(0);
    let source = known.iter().position(|keys| keys.len() == most).unwrap_or(0);
    let (prompt, balance) = (sim.requests[r].prompt, (p.balance * 1000.0).round() as usize);
    let (mut best, mut answers): (Option<(u64, usize, u64, bool)>, u64) = (None, 0);
    for (i, &k) in pool.iter().enumerate() {
        let lacks = most - known[i].len();
        let comes = fetches && lacks > 0 && 1000 * most > balance * known[i].len();
        let way = if comes { carry(sim, pool[source], k, lacks as u32) } else { 0 };
        let cached = if comes { most } else { known[i].len() } as u32 * sim.config(k).kv.block;
        let queue: u64 =
            sim.fetching.sent.iter().filter(|s| s.to == k && is_queued(sim, s)).map(|s| s.own).sum();
        let mine = own(sim, k, cached, prompt - cached);
        let total = way + queue + mine;
        if best.is_none_or(|(t, ..)| total < t) {
            best = Some((total, i, mine, comes));
        }
    }
    let (total, at, mine, comes) = best.expect("a pool has replicas");
    let done = sim.now + total;
    if p.reject_after.is_some_and(|limit| total > limit.as_ps()) && !again {
        sim.coverage.refused_late += 1;
        return Decision::Refused;
    }
    if let Some(limit) = p.answers.filter(|_| !again) {
        let decoding = (0..sim.replicas.len()).filter(|&k| sim.role(k) == Role::Decode).count();
        let writers = if decoding > 0 { decoding } else { pool.len() } as u64;
        for s in &sim.fetching.sent {
            answers += u64::from(match p.forecast {
                Forecast::Now => !is_queued(sim, s),
                Forecast::PromptDone => s.done <= done && done < s.done + p.answer_time.as_ps(),
            });
        }
        if answers >= u64::from(limit) * writers {
            match p.forecast {
                Forecast::Now => sim.coverage.refused_now += 1,
                Forecast::PromptDone => sim.coverage.refused_then += 1,
            }
            return Decision::Refused;
        }
    }
    let to = pool[at];
    sim.fetching.sent.push(Sent { request: r, to, own: mine, done });
    if !comes {
        return Decision::Joins(to);
    }
    let keys = known[source][known[at].len()..].to_vec();
    sim.coverage.fetched += 1;
    links::send(sim, r, (pool[source], to), keys.len() as u32);
    sim.fetching.on_the_way.push(Fetch { request: r, to, keys });
    Decision::Waits
}

/// A prefix has come, if that is what this parcel was.
pub fn last_byte(sim: &mut Sim<'_>, parcel: &Parcel) -> bool {
    let found = sim.fetching.on_the_way.iter().position(|f| f.request == parcel.request);
    let Some(at) = found else { return false };
    let fetch = sim.fetching.on_the_way.remove(at);
    let (r, k) = (fetch.request, fetch.to);
    if !fleet::is_up(sim, k) {
        sim.coverage.fetched_in_vain += 1;
        if !sim.requests[r].is_over() {
            sim.route(r);
        }
        return true;
    }
    sim.fetching.brought.extend(fetch.keys.iter().rev().map(|&key| (k, key)));
    sim.replicas[k].touched = true;
    let inside = sim.replicas[k].in_flight.last().is_some_and(|b| b.prefill.is_empty() && b.start < sim.now);
    sim.coverage.kv_cuts += u64::from(inside);
    if !sim.requests[r].is_over() {
        sim.meets_replica(r);
        sim.join(r, k);
    }
    true
}

/// Its client gives up while its prefix is on the way.
pub fn give_up(sim: &mut Sim<'_>, r: usize) {
    sim.coverage.gave_up_fetching += 1;
    if sim.meets_replica(r) {
        sim.requests[r].timed_out = Some(sim.now);
        return Door::release(sim, r, sim.now);
    }
    patience::leave(sim, r);
}

/// Before a plan of replica `k`: what was brought is put into its host list.
pub fn keep(sim: &mut Sim<'_>, k: usize) {
    let brought = std::mem::take(&mut sim.fetching.brought);
    let (mine, others) = brought.into_iter().partition(|b| b.0 == k);
    sim.fetching.brought = others;
    let mine: Vec<(usize, Key)> = mine;
    let kv = &mut sim.replicas[k].kv;
    for (_, key) in mine {
        kv.use_host(key);
        let beyond = kv.host_list.len().saturating_sub(kv.host_most);
        kv.host_list.drain(..beyond);
        sim.coverage.crowded_out += beyond as u64;
    }
}
