//! A plan becomes a step: pins, allocations and keys in the order of §3.

use windtunnel::engine::config::Allocation;

use super::arrivals::insert;
use super::kv::key_of;
use super::mutation::Mutation;
use super::pipeline;
use super::plan::{Admission, HitBlock, Plan, Planner};
use super::sim::Sim;

/// Swap-in, admissions, pins, allocations, keys; then the step starts.
pub fn apply(sim: &mut Sim<'_>, k: usize, mut plan: Plan) {
    for a in &plan.admit {
        for h in &a.hit {
            match *h {
                HitBlock::Entered(b) => sim.replicas[k].kv.pin(b),
                HitBlock::Host(key) => {
                    sim.replicas[k].kv.use_host(key);
                    plan.loaded += 1;
                    sim.counters.host_cached_tokens += u64::from(sim.config(k).kv.block);
                    sim.coverage.host_hits += 1;
                }
                HitBlock::Planned(..) => {}
            }
        }
        start_running(sim, k, a);
    }
    for &r in &plan.swap_in {
        let count = std::mem::take(&mut sim.requests[r].host_blocks);
        sim.replicas[k].kv.host_used -= count;
        plan.moved += count;
        sim.counters.swapped_blocks += u64::from(count);
        sim.coverage.swaps_in += 1;
        sim.replicas[k].swapped.retain(|&x| x != r);
        sim.requests[r].unfindable = true;
        insert(&mut sim.replicas[k].running, &sim.requests, r);
        grow(sim, r, count);
    }
    let at_once = sim.mutated(Mutation::ReadKeysWithEachAllocation);
    for (i, a) in plan.admit.iter().enumerate() {
        allocate_admission(sim, k, &plan.admit, i);
        if at_once {
            enter_keys(sim, a.request, a.chunk);
        }
    }
    let reserving = matches!(sim.config(k).kv.allocation, Allocation::Reserve(_));
    let mut work = plan.prefill.clone();
    work.extend(plan.decode.iter().map(|&r| (r, 1)));
    if !reserving {
        for &(r, q) in &work {
            let blocks = sim.replicas[k].kv.blocks_for(sim.requests[r].computed + q);
            grow(sim, r, blocks);
            if at_once {
                enter_keys(sim, r, q);
            }
        }
    }
    // Keys, in the order of allocation: admissions, chunks of running requests, decodes.
    let admitted = |r: usize| plan.admit.iter().any(|a| a.request == r);
    if !sim.mutated(Mutation::ReadKeysInChunkOrder) {
        work.sort_by_key(|&(r, _)| !admitted(r));
    }
    for (r, q) in work {
        if let Some(a) = plan.admit.iter().find(|a| a.request == r) {
            for (index, h) in a.hit.iter().enumerate() {
                if let HitBlock::Host(key) = *h {
                    let id = sim.requests[r].blocks[index];
                    sim.replicas[k].kv.enter(id, key);
                }
            }
        }
        enter_keys(sim, r, q);
    }
    sim.replicas[k].kv.check();
    pipeline::launch(sim, k, plan);
}

/// An admitted request leaves the waiting queue; its hit counts as computed.
fn start_running(sim: &mut Sim<'_>, k: usize, admission: &Admission) {
    let r = admission.request;
    let block = sim.config(k).kv.block;
    sim.replicas[k].waiting.retain(|&x| x != r);
    insert(&mut sim.replicas[k].running, &sim.requests, r);
    let hit = (admission.hit.len() as u32 * block).min(sim.requests[r].tokens() - 1);
    // §3: private keys that its admission does not hit are forgotten.
    let entered = |h: &HitBlock| if let HitBlock::Entered(b) = *h { Some(b) } else { None };
    let kept: Vec<usize> = admission.hit.iter().filter_map(entered).collect();
    sim.replicas[k].kv.forget_private(r, &kept);
    let request = &mut sim.requests[r];
    request.unfindable = false;
    request.computed = hit;
    match request.dropped.take() {
        None => request.cached += hit,
        Some(dropped) => request.recomputed += dropped.saturating_sub(hit),
    }
    sim.coverage.prefix_hits += u64::from(hit > 0);
    let planned = |h: &&HitBlock| matches!(h, HitBlock::Planned(..));
    sim.coverage.same_plan_hits += u64::from(admission.hit.iter().any(|h| planned(&h)));
}

/// Takes free blocks until the request holds `blocks`.
fn grow(sim: &mut Sim<'_>, r: usize, blocks: u32) {
    let k = sim.requests[r].replica;
    while (sim.requests[r].blocks.len() as u32) < blocks {
        let block = sim.replicas[k].kv.take();
        sim.requests[r].blocks.push(block);
    }
}

/// The hit blocks first, then new ones for the rest.
fn allocate_admission(sim: &mut Sim<'_>, k: usize, admissions: &[Admission], i: usize) {
    let a = &admissions[i];
    for h in &a.hit {
        let block = match *h {
            HitBlock::Entered(b) => b,
            HitBlock::Host(_) => sim.replicas[k].kv.take(),
            HitBlock::Planned(other, index) => {
                let b = sim.requests[admissions[other].request].blocks[index];
                sim.replicas[k].kv.pin(b);
                b
            }
        };
        sim.requests[a.request].blocks.push(block);
    }
    let planner = Planner { sim, k, plan: Plan::default() };
    let total = planner.reservation(a.request).unwrap_or_else(|| planner.blocks_for(a.allocate));
    grow(planner.sim, a.request, total);
}

/// Blocks that the next `q` tokens fill get their keys (§3).
fn enter_keys(sim: &mut Sim<'_>, r: usize, q: u32) {
    let block = sim.config(0).kv.block;
    let (from, to) = (sim.requests[r].computed / block, (sim.requests[r].computed + q) / block);
    if sim.requests[r].unfindable {
        return;
    }
    for index in from..to {
        let key = key_of(sim.trace, &sim.requests[r], index, block);
        let id = sim.requests[r].blocks[index as usize];
        let k = sim.requests[r].replica;
        if sim.mutated(Mutation::DuplicateKeys)
            && let Some(old) = sim.replicas[k].kv.find(key)
        {
            sim.replicas[k].kv.blocks[old].key = None;
        }
        sim.replicas[k].kv.enter(id, key);
    }
}
