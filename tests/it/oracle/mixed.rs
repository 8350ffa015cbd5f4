//! Replicas that compute whole requests beside prefill and decode apart (§12).

use windtunnel::engine::config::Role;

use super::hand_over;
use super::mutation::Mutation;
use super::request::Way;
use super::router::{demand, tokens_on};
use super::sim::Sim;

fn mixed(sim: &Sim<'_>) -> Vec<usize> {
    let apart = sim.deployment.joint.as_ref().is_some_and(|joint| joint.hand_over.is_some());
    (0..sim.replicas.len()).filter(|&k| apart && sim.role(k) == Role::Whole).collect()
}

/// Prompt tokens that replica `k` has to compute.
fn to_compute(sim: &Sim<'_>, k: usize) -> u64 {
    let replica = &sim.replicas[k];
    let left = |&r: &usize| {
        let request = &sim.requests[r];
        let flies = sim.pipelined(k) && request.in_flight;
        if flies || request.prefilled { 0 } else { u64::from(request.tokens() - request.computed) }
    };
    replica.waiting.iter().chain(&replica.running).map(left).sum()
}

/// Where a request goes for which the router chose replica `k`.
pub fn instead(sim: &mut Sim<'_>, r: usize, k: usize) -> usize {
    let prompt = u64::from(sim.requests[r].prompt);
    let others = mixed(sim);
    let Some(&best) = others.iter().min_by_key(|&&m| to_compute(sim, m)) else { return k };
    let above = sim.deployment.joint.as_ref().and_then(|j| j.hand_over).map_or(0, |h| h.mixed_above);
    let tokens = tokens_on(sim, k);
    if tokens == 0 || tokens + prompt <= above {
        return k;
    }
    let there = to_compute(sim, best);
    if there == 0 || there + prompt <= above || sim.mutated(Mutation::MixedTakesAll) {
        sim.coverage.mixed_prompts += 1;
        return best;
    }
    k
}

/// Whether replica `k` could take `r` now, with all of its offers.
fn could_take(sim: &Sim<'_>, k: usize, r: usize) -> bool {
    let counted = !sim.mutated(Mutation::OffersAreForgotten);
    let offers = sim.replicas[k].offers.iter().filter(|_| counted);
    let offered: u64 = offers.map(|&o| demand(sim, k, o)).sum();
    hand_over::has_room(sim, k, offered + demand(sim, k, r))
}

/// Who is offered `r`, for which the decode router chose replica `k`.
pub fn offered(sim: &mut Sim<'_>, r: usize, k: usize) -> usize {
    debug_assert!(sim.requests[r].way == Way::Completed);
    if could_take(sim, k, r) {
        return k;
    }
    let able = mixed(sim).into_iter().filter(|&m| could_take(sim, m, r));
    let Some(best) = able.rev().max_by_key(|&m| sim.replicas[m].kv.free.len()) else { return k };
    sim.coverage.mixed_answers += 1;
    best
}
