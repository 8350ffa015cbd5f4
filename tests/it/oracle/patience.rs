//! Clients that give up (§2, §6).

use windtunnel::metrics::record::Cause;
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimDuration;

use super::door::Door;
use super::fetch;
use super::fleet;
use super::hand_over;
use super::ledger;
use super::mutation::Mutation;
use super::pipeline;
use super::request::Way;
use super::sim::Sim;

/// When the client of `r` gives up; none if it has already, or nothing is left to give up on.
fn due(sim: &Sim<'_>, r: usize) -> Option<u64> {
    let patience = sim.deployment.front_end.admission.timeout?;
    if matches!(sim.config(0).scheduler, SchedulerConfig::Ideal(_)) {
        return None;
    }
    let request = &sim.requests[r];
    let at_router = sim.fetching.has(r) || sim.fleet.as_ref().is_some_and(|f| f.has(r));
    let arrived = sim.door.has(r) || at_router || request.outstanding;
    (arrived && !request.gave_up && !request.is_over()).then(|| request.arrival + patience.as_ps())
}

/// The next instant at which somebody gives up.
pub fn next_instant(sim: &Sim<'_>) -> Option<u64> {
    (0..sim.requests.len()).filter_map(|r| due(sim, r)).min()
}

/// Class 5, in request order.
pub fn cancellations(sim: &mut Sim<'_>) {
    for r in 0..sim.requests.len() {
        if due(sim, r) == Some(sim.now) {
            sim.requests[r].gave_up = true;
            give_up(sim, r);
            sim.arrivals();
        }
    }
}

fn give_up(sim: &mut Sim<'_>, r: usize) {
    let now = sim.now;
    if sim.door.has(r) {
        sim.door.drop(r);
        let request = &mut sim.requests[r];
        request.queued = now;
        request.ledger.add(Cause::FrontEnd, SimDuration::from_ps(now - request.arrival));
        request.timed_out = Some(now);
        sim.coverage.gave_up_at_door += 1;
        return Door::release(sim, r, now);
    }
    if sim.fetching.has(r) {
        return fetch::give_up(sim, r);
    }
    if sim.fleet.as_ref().is_some_and(|f| f.has(r)) {
        return fleet::give_up(sim, r);
    }
    let k = sim.requests[r].replica;
    sim.replicas[k].touched = true;
    let replica = &mut sim.replicas[k];
    if replica.waiting.contains(&r) {
        replica.waiting.retain(|&x| x != r);
        sim.coverage.gave_up_waiting += 1;
        return leave(sim, r);
    }
    if replica.swapped.contains(&r) {
        replica.swapped.retain(|&x| x != r);
        replica.kv.host_used -= std::mem::take(&mut sim.requests[r].host_blocks);
        sim.coverage.gave_up_swapped += 1;
        return leave(sim, r);
    }
    if sim.requests[r].way != Way::None {
        return hand_over::give_up(sim, r);
    }
    if matches!(sim.config(k).scheduler, SchedulerConfig::Static(_)) {
        return;
    }
    let alone = sim.replicas[k].in_flight.is_empty();
    let busy = if sim.pipelined(k) { sim.requests[r].in_flight } else { !alone };
    if busy && !sim.mutated(Mutation::GivesUpForgotten) {
        sim.replicas[k].giving_up.push(r);
    } else if !busy {
        sim.coverage.gave_up_running += 1;
        leave(sim, r);
    }
}

/// A step or batch of the replica has ended.
pub fn step_ended(sim: &mut Sim<'_>, k: usize) {
    for r in std::mem::take(&mut sim.replicas[k].giving_up) {
        if sim.requests[r].is_over() {
            continue;
        }
        if sim.requests[r].in_flight {
            sim.replicas[k].giving_up.push(r);
        } else {
            sim.coverage.gave_up_running += 1;
            if sim.requests[r].way == Way::Completed {
                hand_over::leave_completed(sim, r);
            } else {
                leave(sim, r);
            }
        }
    }
}

/// It leaves its replica now, with the tokens it has.
pub fn leave(sim: &mut Sim<'_>, r: usize) {
    let k = sim.requests[r].replica;
    let (now, pipelined, mutation) = (sim.now, sim.pipelined(k), sim.options.mutation);
    let request = &mut sim.requests[r];
    if request.way != Way::None {
        ledger::account_hand_over(request, now, mutation);
    } else if request.scheduled.is_some() {
        ledger::account_wait(request, now, pipelined);
    } else {
        request.ledger.add(Cause::Queue, SimDuration::from_ps(now - request.queued));
    }
    // §9: what was dropped counts, also if nobody computes it again.
    request.recomputed += request.dropped.take().unwrap_or(0);
    request.timed_out = Some(now);
    pipeline::leave(sim, r);
    Door::release(sim, r, now);
}
