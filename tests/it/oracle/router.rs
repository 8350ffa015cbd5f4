//! Admission and routers (§2) on the live state, or on remembered states of earlier instants.

use windtunnel::engine::config::Allocation;
use windtunnel::ids::RequestId;
use windtunnel::policy::router::{CacheAware, Knowledge, PrefixAffinity, Report, RouterConfig};
use windtunnel::rng::stream;

use super::early;
use super::fetch::{self, Decision};
use super::fleet;
use super::kv::{Key, key_of, reserved_tokens};
use super::migration::freeness;
use super::mutation::Mutation;
use super::request::Way;
use super::sim::Sim;

/// Outstanding requests, tokens and blocks of one replica.
#[derive(Clone, Copy, Default)]
pub struct Load {
    pub requests: u64,
    pub tokens: u64,
    pub blocks: u64,
}

/// A node of a tree, as the whole path to it: ids, or (with `true`) the decision whose uncovered end it is.
struct Entry {
    path: Vec<(u64, bool)>,
    tokens: u64,
    /// Number of the decision that used it last.
    used: usize,
}

pub struct Router<'a> {
    pub config: &'a RouterConfig,
    /// Whose draws it makes.
    pub component: &'static str,
    /// The replicas that it knows; it counts them from 0.
    pub pool: Vec<usize>,
    /// Requests routed so far, and where the last one was sent.
    routed: usize,
    last: Option<usize>,
    /// (instant, replica, what it adds) of every dispatch.
    dispatches: Vec<(u64, usize, Load)>,
    /// (session, replica) of every session seen.
    homes: Vec<(u32, usize)>,
    /// Prefix ids sent to each replica, the latest last.
    sent: Vec<Vec<u64>>,
    /// What the trees of `cache-aware` hold, by replica.
    trees: Vec<Vec<Entry>>,
}

/// Blocks that a waiting or offered (§12) request asks replica `k` for.
pub fn demand(sim: &Sim<'_>, k: usize, r: usize) -> u64 {
    let request = &sim.requests[r];
    let handed = matches!(request.way, Way::Completed | Way::Offered);
    let tokens = match handed {
        true => request.computed + 1,
        false if request.early => early::completed(sim, r) + 1,
        false => request.tokens(),
    };
    let reserved = reserved_tokens(sim.config(k).kv.allocation, request, sim.limit);
    u64::from(sim.replicas[k].kv.blocks_for(reserved.unwrap_or(tokens)))
}

/// Tokens of the requests on replica `k`.
pub fn tokens_on(sim: &Sim<'_>, k: usize) -> u64 {
    load(sim)[k].tokens
}

/// The load of every replica, now.
pub fn load(sim: &Sim<'_>) -> Vec<Load> {
    let mut load = vec![Load::default(); sim.replicas.len()];
    for request in sim.requests.iter().filter(|r| r.outstanding) {
        load[request.replica].requests += 1;
        load[request.replica].tokens += u64::from(request.prompt + request.generated);
    }
    for (k, replica) in sim.replicas.iter().enumerate() {
        load[k].blocks = replica.kv.blocks.iter().filter(|b| b.holders > 0).count() as u64;
        load[k].blocks += replica.offers.iter().map(|&r| demand(sim, k, r)).sum::<u64>();
        if !sim.mutated(Mutation::QueueAsksForNothing) {
            load[k].blocks +=
                replica.waiting.iter().chain(&replica.swapped).map(|&r| demand(sim, k, r)).sum::<u64>();
        }
    }
    load
}

/// What a router knows of load, if it reads any.
fn report(config: &RouterConfig) -> Option<Report> {
    let read = |staleness, own_dispatches| Some(Report { staleness, own_dispatches });
    match config {
        RouterConfig::RoundRobin(_)
        | RouterConfig::Random(_)
        | RouterConfig::Freeness(_)
        | RouterConfig::Conductor(_) => None,
        RouterConfig::LeastRequests(p) | RouterConfig::LeastTokens(p) => read(p.staleness, p.own_dispatches),
        RouterConfig::PowerOfTwo(p) => read(p.staleness, p.own_dispatches),
        RouterConfig::MemoryLoad(p) => read(p.staleness, p.own_dispatches),
        RouterConfig::Session(p) => read(p.staleness, p.own_dispatches),
        RouterConfig::PrefixAffinity(p) => read(p.staleness, p.own_dispatches),
        RouterConfig::CacheAware(_) => Some(Report::default()),
    }
}

impl<'a> Router<'a> {
    pub fn new(config: &'a RouterConfig, component: &'static str, pool: Vec<usize>) -> Router<'a> {
        let (dispatches, homes, sent) = (Vec::new(), Vec::new(), Vec::new());
        Router { config, component, pool, routed: 0, last: None, dispatches, homes, sent, trees: Vec::new() }
    }
}

impl Router<'_> {
    /// What becomes of request `r`, which admission has let in.
    pub fn decide(sim: &mut Sim<'_>, r: usize) -> Decision {
        let RouterConfig::Conductor(p) = sim.routers[0].config else {
            return Decision::Joins(Router::choose(sim, 0, r));
        };
        let pool: Vec<usize> = Router::ups(sim, 0).into_iter().map(|at| sim.routers[0].pool[at]).collect();
        fetch::decide(sim, p, &pool, r)
    }

    /// Those that router `w` sends to (§15), as it counts them.
    fn ups(sim: &Sim<'_>, w: usize) -> Vec<usize> {
        let pool = &sim.routers[w].pool;
        (0..pool.len()).filter(|&at| fleet::is_up(sim, pool[at])).collect()
    }

    /// Replica `k` is down: its lists and trees are empty.
    pub fn forget(sim: &mut Sim<'_>, k: usize) {
        for router in &mut sim.routers {
            let Some(at) = router.pool.iter().position(|&p| p == k) else { continue };
            router.sent.get_mut(at).map(Vec::clear);
            router.trees.get_mut(at).map(Vec::clear);
        }
    }

    /// Router `w` of the deployment decides about request `r`.
    pub fn choose(sim: &mut Sim<'_>, w: usize, r: usize) -> usize {
        let pool = sim.routers[w].pool.clone();
        let ups = Router::ups(sim, w);
        let (count, component) = (ups.len(), sim.routers[w].component);
        let draw = |sim: &Sim<'_>, index: u64, below: usize| {
            stream(sim.deployment.seed, component, r as u64, index).below(below as u64) as usize
        };
        let at = match sim.routers[w].config {
            RouterConfig::RoundRobin(_) => {
                let after = sim.routers[w].last.map_or(0, |last| last + 1);
                let next = ups.iter().copied().find(|&at| at >= after);
                next.unwrap_or(ups[0])
            }
            RouterConfig::Random(_) => ups[draw(sim, 0, count)],
            RouterConfig::LeastRequests(p) => Router::least(sim, w, p.per_capacity, |l| l.requests),
            RouterConfig::LeastTokens(p) => Router::least(sim, w, p.per_capacity, |l| l.tokens),
            RouterConfig::MemoryLoad(_) => Router::least(sim, w, true, |l| l.blocks),
            RouterConfig::PowerOfTwo(_) if count == 1 => ups[0],
            RouterConfig::PowerOfTwo(p) => {
                let a = draw(sim, 0, count);
                let b = draw(sim, 1, count - 1);
                let (a, b) = (ups[a], ups[if b >= a { b + 1 } else { b }]);
                let read = Router::reported(sim, w);
                let of = |i: usize| if p.per_capacity { u64::from(sim.config(pool[i]).kv.blocks) } else { 1 };
                let (left, right) = (read[b].requests * of(a), read[a].requests * of(b));
                let tie = sim.mutated(Mutation::SecondDrawWinsTies) && left == right;
                if left < right || tie { b } else { a }
            }
            RouterConfig::Freeness(_) => Router::freest(sim, &pool, &ups),
            RouterConfig::Session(p) => Router::session(sim, w, r, p.per_capacity),
            RouterConfig::PrefixAffinity(p) => Router::affinity(sim, w, r, p),
            RouterConfig::CacheAware(p) => Router::cache_aware(sim, w, r, p),
            RouterConfig::Conductor(_) => unreachable!("it decides for arrivals only"),
        };
        let k = pool[at];
        sim.routers[w].routed += 1;
        sim.routers[w].last = Some(at);
        let (tokens, blocks) = (u64::from(sim.requests[r].prompt), demand(sim, k, r));
        sim.routers[w].dispatches.push((sim.now, at, Load { requests: 1, tokens, blocks }));
        k
    }

    /// §14: the largest freeness, the lowest id on ties.
    fn freest(sim: &Sim<'_>, pool: &[usize], ups: &[usize]) -> usize {
        let of: Vec<_> = pool.iter().map(|&k| freeness(sim, k)).collect();
        let mut best = ups[0];
        for &at in &ups[1..] {
            if of[at].compare(of[best]).is_gt() {
                best = at;
            }
        }
        best
    }

    fn session(sim: &mut Sim<'_>, w: usize, r: usize, per_capacity: bool) -> usize {
        let session = sim.trace.session(RequestId(r as u32));
        let known = sim.routers[w]
            .homes
            .iter()
            .find(|h| Some(h.0) == session && !sim.mutated(Mutation::SessionForgotten));
        let known = known.copied().filter(|h| {
            let up = fleet::is_up(sim, sim.routers[w].pool[h.1]);
            up || sim.mutated(Mutation::RoutersRemember)
        });
        sim.routers[w].homes.retain(|h| Some(h.0) != session || known.is_some());
        if let Some((_, home)) = known {
            sim.coverage.sticky += 1;
            return home;
        }
        let k = Router::least(sim, w, per_capacity, |l| l.requests);
        sim.routers[w].homes.extend(session.map(|s| (s, k)));
        k
    }

    fn affinity(sim: &mut Sim<'_>, w: usize, r: usize, p: &PrefixAffinity) -> usize {
        let sized = sim.trace.prefixes.as_ref().filter(|c| c.tokens_per_id > 0);
        let ids: Vec<u64> = sized.map_or_else(Vec::new, |c| c.of(RequestId(r as u32)).to_vec());
        let per_id = sized.map_or(1, |c| c.tokens_per_id);
        let pool = sim.routers[w].pool.clone();
        sim.routers[w].sent.resize(pool.len(), Vec::new());
        let requests: Vec<u64> = Router::reported(sim, w).iter().map(|l| l.requests).collect();
        let ups = Router::ups(sim, w);
        let (most, fewest) = extremes(&requests, &ups);
        let unbalanced = most > fewest + u64::from(p.imbalance_requests)
            && most as f64 > p.imbalance_ratio * fewest as f64
            && !sim.mutated(Mutation::ImbalanceIgnored);
        sim.coverage.unbalanced += u64::from(unbalanced && !ids.is_empty());
        let mut best = None;
        if !ids.is_empty() && !unbalanced {
            let known: Vec<u32> =
                (0..pool.len()).map(|i| known(sim, (w, i), r, p.knowledge, &ids, per_id)).collect();
            let top = ups.iter().map(|&k| known[k]).max().unwrap_or(0);
            let enough = top > 0 && f64::from(top) >= p.least_match * f64::from(sim.requests[r].prompt);
            let candidates = ups.iter().copied().filter(|&k| known[k] == top && enough);
            best = candidates.min_by_key(|&k| requests[k]);
            sim.coverage.affine += u64::from(best.is_some());
        }
        let k = best.unwrap_or_else(|| Router::least(sim, w, false, |l| l.requests));
        if p.knowledge == Knowledge::Dispatched {
            let room =
                (sim.config(pool[k]).kv.blocks * sim.config(pool[k]).kv.block / per_id).max(1) as usize;
            let list = &mut sim.routers[w].sent[k];
            for id in ids.iter().rev() {
                list.retain(|x| x != id);
                list.push(*id);
            }
            let beyond = list.len().saturating_sub(room);
            list.drain(..beyond);
            sim.coverage.forgotten_prefixes += beyond as u64;
        }
        k
    }

    fn cache_aware(sim: &mut Sim<'_>, w: usize, r: usize, p: &CacheAware) -> usize {
        let sized = sim.trace.prefixes.as_ref().filter(|c| c.tokens_per_id > 0);
        let ids: Vec<u64> = sized.map_or_else(Vec::new, |c| c.of(RequestId(r as u32)).to_vec());
        let per_id = u64::from(sized.map_or(1, |c| c.tokens_per_id));
        let prompt = u64::from(sim.requests[r].prompt);
        let mut path: Vec<(u64, bool)> = ids.iter().map(|&id| (id, false)).collect();
        if ids.len() as u64 * per_id < prompt {
            path.push((sim.routers[w].routed as u64, true));
        }
        let count = sim.routers[w].pool.len();
        sim.routers[w].trees.resize_with(count, Vec::new);
        let requests: Vec<u64> = Router::reported(sim, w).iter().map(|l| l.requests).collect();
        let ups = Router::ups(sim, w);
        let (most, fewest) = extremes(&requests, &ups);
        let unbalanced = most > fewest + u64::from(p.balance_abs_threshold)
            && most as f64 > p.balance_rel_threshold * fewest as f64
            && !sim.mutated(Mutation::ImbalanceIgnored);
        let now = sim.routers[w].routed;
        let k = if unbalanced {
            sim.coverage.queue_over_trees += 1;
            Router::least(sim, w, false, |l| l.requests)
        } else {
            let trees = &mut sim.routers[w].trees;
            let holds = |tree: &[Entry], n: usize| tree.iter().any(|e| e.path[..] == path[..n]);
            let depth = |tree: &[Entry]| (1..=path.len()).take_while(|&n| holds(tree, n)).count();
            let best = ups.iter().copied().rev().max_by_key(|&k| depth(&trees[k])).expect("one is up");
            let matched = depth(&trees[best]);
            for entry in trees[best].iter_mut().filter(|e| path[..matched].starts_with(&e.path)) {
                entry.used = now;
            }
            let known = (matched as u64 * per_id).min(prompt);
            if known as f64 > p.cache_threshold * prompt as f64 {
                sim.coverage.tree_matches += 1;
                best
            } else {
                let size = |k: &usize| trees[*k].iter().map(|e| e.tokens).sum::<u64>();
                ups.iter().copied().min_by_key(size).expect("one is up")
            }
        };
        let tree = &mut sim.routers[w].trees[k];
        for n in 1..=path.len() {
            let before = ((n as u64 - 1) * per_id).min(prompt);
            let tokens = if path[n - 1].1 { prompt - before } else { per_id.min(prompt - before) };
            match tree.iter_mut().find(|e| e.path[..] == path[..n]) {
                Some(entry) => entry.used = now,
                None => tree.push(Entry { path: path[..n].to_vec(), tokens, used: now }),
            }
        }
        while tree.iter().map(|e| e.tokens).sum::<u64>() > p.max_tree_tokens {
            let is_leaf =
                |e: &Entry| !tree.iter().any(|o| o.path.len() > e.path.len() && o.path.starts_with(&e.path));
            let oldest = (0..tree.len()).filter(|&i| is_leaf(&tree[i])).min_by_key(|&i| tree[i].used);
            tree.remove(oldest.expect("a tree with tokens has a leaf"));
            sim.coverage.forgotten_leaves += 1;
        }
        k
    }

    fn least(sim: &mut Sim<'_>, w: usize, per_capacity: bool, measure: fn(&Load) -> u64) -> usize {
        let values: Vec<u64> = Router::reported(sim, w).iter().map(measure).collect();
        let pool = &sim.routers[w].pool;
        let of = |i: usize| if per_capacity { u64::from(sim.config(pool[i]).kv.blocks) } else { 1 };
        let ups = Router::ups(sim, w);
        let mut best = ups[0];
        for &k in &ups[1..] {
            let (mine, other) = (values[k] * of(best), values[best] * of(k));
            let tie = mine == other && sim.mutated(Mutation::RouterTieToHighest);
            if mine < other || tie {
                best = k;
            }
        }
        best
    }

    /// What replicas report, and what is to come to them (§12).
    fn reported(sim: &mut Sim<'_>, w: usize) -> Vec<Load> {
        let mut load = Router::of_replicas(sim, w);
        for (at, k, r) in early::counts(sim, w) {
            load[at].requests += 1;
            load[at].tokens += u64::from(sim.requests[r].prompt);
            load[at].blocks += demand(sim, k, r);
        }
        load
    }

    /// The load at τ = ⌊t/Δ⌋·Δ, and what this router has dispatched after τ.
    fn of_replicas(sim: &mut Sim<'_>, w: usize) -> Vec<Load> {
        let pool = sim.routers[w].pool.clone();
        let own = |all: &[Load]| pool.iter().map(|&k| all[k]).collect::<Vec<_>>();
        let p = report(sim.routers[w].config).expect("this router reads load");
        let period = p.staleness.as_ps();
        if period == 0 || sim.now.is_multiple_of(period) || sim.mutated(Mutation::StalenessIgnored) {
            return own(&load(sim));
        }
        sim.coverage.stale_reads += 1;
        let tau = sim.now / period * period;
        let last = sim.history.iter().rev().find(|h| h.0 <= tau);
        let mut load = last.map_or_else(|| vec![Load::default(); pool.len()], |h| own(&h.1));
        if p.own_dispatches {
            for &(_, k, added) in sim.routers[w].dispatches.iter().filter(|d| d.0 > tau) {
                load[k].requests += added.requests;
                load[k].tokens += added.tokens;
                load[k].blocks += added.blocks;
            }
        }
        load
    }

    /// Keeps the state after everything of this instant.
    pub fn remember(sim: &mut Sim<'_>) {
        let stale = |w: &Router<'_>| report(w.config).is_some_and(|p| p.staleness.as_ps() > 0);
        if sim.routers.iter().any(stale) {
            let load = load(sim);
            sim.history.push((sim.now, load));
        }
    }
}

/// The most and the fewest among those that are up.
fn extremes(requests: &[u64], ups: &[usize]) -> (u64, u64) {
    let of = || ups.iter().map(|&k| requests[k]);
    (of().max().unwrap_or(0), of().min().unwrap_or(0))
}

/// Prompt tokens that replica `k` is known to have.
fn known(
    sim: &Sim<'_>,
    (w, i): (usize, usize),
    r: usize,
    knowledge: Knowledge,
    ids: &[u64],
    per_id: u32,
) -> u32 {
    let prompt = sim.requests[r].prompt;
    if knowledge == Knowledge::Dispatched {
        let list = &sim.routers[w].sent[i];
        let leading = ids.iter().take_while(|id| list.contains(id)).count() as u32;
        return (leading * per_id).min(prompt);
    }
    let k = sim.routers[w].pool[i];
    let kv = sim.config(k).kv;
    if !kv.prefix_cache || matches!(kv.allocation, Allocation::Reserve(_)) {
        return 0;
    }
    let entered = |&index: &u32| {
        let key = key_of(sim.trace, &sim.requests[r], index, kv.block);
        matches!(key, Key::Shared(..)) && sim.replicas[k].kv.find(key).is_some()
    };
    (0..prompt / kv.block).take_while(entered).count() as u32 * kv.block
}
