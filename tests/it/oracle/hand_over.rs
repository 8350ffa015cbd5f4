//! Prefill and decode apart (§12).

use windtunnel::cluster::Deployment;
use windtunnel::engine::config::{FirstToken, HandOver, Network, Role};

use super::arrivals::insert;
use super::early;
use super::links::{self, Parcel};
use super::mixed;
use super::mutation::Mutation;
use super::patience;
use super::plan::Planner;
use super::request::Way;
use super::router::{Router, demand};
use super::sim::Sim;

fn parts<'a>(deployment: &Deployment<'a>) -> Option<(&'a HandOver, &'a Network)> {
    let joint = deployment.joint.as_ref()?;
    Some((joint.hand_over?, joint.network))
}

/// The router of arrivals and those of hand-overs: the one of all, then with `same_server` one for each server with
/// decode replicas, and which server that is.
pub fn routers<'a>(deployment: &Deployment<'a>) -> (Vec<Router<'a>>, Vec<u32>) {
    let roles = || deployment.groups.iter().flat_map(|g| vec![g.role; usize::from(g.replicas)]).enumerate();
    let pool = |role: Role| roles().filter(|x| x.1 == role).map(|x| x.0).collect();
    let first = if roles().any(|x| x.1 == Role::Prefill) { Role::Prefill } else { Role::Whole };
    let mut routers = vec![Router::new(deployment.router, "router", pool(first))];
    let mut servers = Vec::new();
    if let Some((hand_over, network)) = parts(deployment) {
        let all: Vec<usize> = pool(Role::Decode);
        let of = |k: usize| network.attached[k].server;
        if hand_over.same_server {
            servers = all.iter().map(|&k| of(k)).collect();
            servers.sort_unstable();
            servers.dedup();
        }
        let own = |server: &u32| all.iter().copied().filter(|&k| of(k) == *server).collect();
        let by_server: Vec<Vec<usize>> = servers.iter().map(own).collect();
        for pool in std::iter::once(all.clone()).chain(by_server) {
            routers.push(Router::new(&hand_over.router, "decode-router", pool));
        }
    }
    (routers, servers)
}

/// Who samples the first token.
pub fn first_token(sim: &Sim<'_>) -> FirstToken {
    if sim.mutated(Mutation::FirstTokenEarly) {
        return FirstToken::Prefill;
    }
    parts(sim.deployment).map_or(FirstToken::Prefill, |p| p.0.first_token)
}

/// The prompt of `r` is complete: it leaves the running set and the books, its blocks become a lease.
pub fn complete(sim: &mut Sim<'_>, k: usize, r: usize) {
    sim.replicas[k].running.retain(|&x| x != r);
    let request = &mut sim.requests[r];
    request.outstanding = false;
    request.lease = Some((k, std::mem::take(&mut request.blocks)));
    request.way = Way::Completed;
    sim.completed.push(r);
}

/// Class 2, last: prompts that are complete are offered.
pub fn offers(sim: &mut Sim<'_>) {
    let mut completed = std::mem::take(&mut sim.completed);
    if !sim.mutated(Mutation::OffersInCompletionOrder) {
        completed.sort_unstable();
    }
    for r in completed {
        // A client that gave up during the step: the request is gone.
        if !sim.requests[r].is_over() {
            offer(sim, r);
        }
    }
}

/// All KV has come.
pub fn last_byte(sim: &mut Sim<'_>, parcel: &Parcel) {
    let (r, to) = (parcel.request, parcel.to);
    if sim.options.log {
        sim.log.push(format!("t={} KV of {r} has come from k{} to k{to}", sim.now, parcel.from));
    }
    links::acknowledge(sim, parcel);
    let replica = &mut sim.replicas[to];
    replica.touched = true;
    let inside = replica.in_flight.last().is_some_and(|b| b.prefill.is_empty() && b.start < sim.now);
    sim.coverage.kv_cuts += u64::from(inside);
    if sim.requests[r].gave_up {
        sim.coverage.gave_up_coming += 1;
        return patience::leave(sim, r);
    }
    sim.requests[r].way = Way::Loaded;
    insert(&mut sim.replicas[to].loaded, &sim.requests, r);
}

/// The decode router for what prefill replica `from` has computed.
pub fn router_of(sim: &Sim<'_>, from: usize) -> usize {
    let server = parts(sim.deployment).map(|p| p.1.attached[from].server);
    let own = sim.servers.iter().position(|&s| Some(s) == server);
    own.map_or(1, |at| 2 + at)
}

/// Whether replica `k` takes so many more blocks for KV that comes.
pub fn has_room(sim: &Sim<'_>, k: usize, wanted: u64) -> bool {
    let Some((hand_over, _)) = parts(sim.deployment) else { return false };
    let replica = &sim.replicas[k];
    let share = u64::from(hand_over.queue_share) * u64::from(sim.config(k).kv.blocks);
    replica.waiting.is_empty()
        && replica.swapped.is_empty()
        && wanted <= replica.kv.free.len() as u64
        && 1000 * idle_blocks(sim, k) < share
}

/// Blocks on replica `k` of requests that do not run there yet.
fn idle_blocks(sim: &Sim<'_>, k: usize) -> u64 {
    let idle = |x: &&super::request::Req| {
        x.outstanding && x.replica == k && matches!(x.way, Way::Coming | Way::Loaded)
    };
    let held: u64 = sim.requests.iter().filter(idle).map(|x| x.blocks.len() as u64).sum();
    held + early::promised(sim, k)
}

/// The decode router chooses a replica for it.
fn offer(sim: &mut Sim<'_>, r: usize) {
    if parts(sim.deployment).is_none() {
        return;
    }
    let from = sim.requests[r].replica;
    let (k, is_there) = early::offer(sim, r).unwrap_or_else(|| {
        let k = Router::choose(sim, router_of(sim, from), r);
        (mixed::offered(sim, r, k), false)
    });
    let rank = sim.rank(r);
    let replica = &mut sim.replicas[k];
    let request = &mut sim.requests[r];
    (request.prefilled_at, request.replica, request.outstanding) = (from, k, true);
    (request.rank, request.number) = (rank, replica.next_number);
    request.way = if is_there { Way::Coming } else { Way::Offered };
    replica.next_number += 1;
    if !is_there {
        replica.offers.push(r);
    }
    replica.touched = true;
    sim.coverage.handed_over += 1;
    if sim.mutated(Mutation::LeaseFreedAtOffer) {
        links::end_lease(sim, r);
    }
}

/// Before a decode replica plans.
pub fn take_offers(sim: &mut Sim<'_>, k: usize) {
    let Some((hand_over, _)) = parts(sim.deployment) else { return };
    while let Some(&r) = sim.replicas[k].offers.first() {
        let replica = &sim.replicas[k];
        let busy = !replica.waiting.is_empty() || !replica.swapped.is_empty();
        if busy && !sim.mutated(Mutation::TakingIgnoresWaiting) {
            sim.coverage.offers_for_victims += 1;
            return;
        }
        let wanted = demand(sim, k, r);
        if wanted > replica.kv.free.len() as u64 {
            sim.coverage.offers_for_memory += 1;
            return;
        }
        let held = idle_blocks(sim, k);
        let slack = if sim.mutated(Mutation::ShareOffByOne) { 1000 } else { 0 };
        let share = u64::from(hand_over.queue_share) * u64::from(sim.config(k).kv.blocks);
        if 1000 * held >= share + slack {
            sim.coverage.offers_for_share += 1;
            return;
        }
        sim.replicas[k].offers.remove(0);
        for _ in 0..wanted {
            let block = sim.replicas[k].kv.take();
            sim.requests[r].blocks.push(block);
        }
        sim.requests[r].way = Way::Coming;
        if sim.options.log {
            sim.log.push(format!("t={} k{k} takes {r} in {wanted} blocks", sim.now));
        }
        let blocks = sim.requests[r].computed.div_ceil(sim.config(k).kv.block);
        let lease = sim.requests[r].lease.as_ref();
        let from = lease.map_or(sim.requests[r].prefilled_at, |l| l.0);
        links::send(sim, r, (from, k), blocks);
    }
}

/// Loaded requests decode in this step while fewer than `limit` run and `tokens` are left; how many do.
pub fn resume(s: &mut Planner<'_, '_>, limit: u32, tokens: u32) -> u32 {
    let mut resumed = 0;
    for r in s.replica().loaded.clone() {
        let full = s.running_count() >= limit;
        s.sim.coverage.resumes_held_back += u64::from(full);
        if s.plan.preempted || resumed >= tokens || (full && !s.sim.mutated(Mutation::ResumeIgnoresLimit)) {
            break;
        }
        start(s, r);
        s.schedule(r, 1);
        resumed += 1;
    }
    resumed
}

/// Mutation: they are running requests before the loop over these.
pub fn resume_early(s: &mut Planner<'_, '_>, limit: u32) {
    if !s.sim.mutated(Mutation::ResumeFirst) {
        return;
    }
    for r in s.replica().loaded.clone() {
        if s.running_count() < limit {
            start(s, r);
        }
    }
}

/// It is decode-ready, without keys, and holds the blocks of its KV only (or its reservation).
fn start(s: &mut Planner<'_, '_>, r: usize) {
    let (reserving, held) = (s.reserving(), s.request(r).blocks.len() as u32);
    let kept = s.blocks_for(s.request(r).computed + 1);
    if !reserving && !s.sim.mutated(Mutation::LetGoInThePlan) {
        s.plan.let_go += held - kept;
    }
    let replica = &mut s.sim.replicas[s.k];
    let request = &mut s.sim.requests[r];
    replica.loaded.retain(|&x| x != r);
    (request.prefilled, request.unfindable) = (true, true);
    if !reserving {
        let own = replica.kv.blocks_for(request.computed) as usize;
        let beyond = request.blocks.split_off(own);
        replica.kv.release(beyond, true);
    }
    insert(&mut replica.running, &s.sim.requests, r);
}

/// Its client gives up on the way.
pub fn give_up(sim: &mut Sim<'_>, r: usize) {
    let k = sim.requests[r].replica;
    match sim.requests[r].way {
        Way::Offered => {
            sim.replicas[k].offers.retain(|&x| x != r);
            sim.coverage.gave_up_offered += 1;
            links::end_lease(sim, r);
            patience::leave(sim, r);
        }
        Way::Loaded => {
            sim.replicas[k].loaded.retain(|&x| x != r);
            sim.coverage.gave_up_loaded += 1;
            patience::leave(sim, r);
        }
        // It leaves with the last byte.
        Way::Coming => {}
        Way::None | Way::Completed => unreachable!("not on its way"),
    }
}

/// A client gave up during the step that completed the prompt (§6 comes before the offer).
pub fn leave_completed(sim: &mut Sim<'_>, r: usize) {
    links::end_lease(sim, r);
    patience::leave(sim, r);
}
