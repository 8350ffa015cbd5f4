//! When running requests move (§14): freeness, ticks, pairs, who moves. The moves themselves are in `moves`.

use std::cmp::Ordering;

use windtunnel::engine::config::Migration;

use super::fleet::{self, Standing};
use super::moves::Move;
use super::mutation::Mutation;
use super::request::Loss;
use super::router::demand;
use super::sim::Sim;

/// Blocks left for each request: `blocks / requests`.
#[derive(Clone, Copy)]
pub struct Freeness {
    blocks: i128,
    requests: i128,
}

impl Freeness {
    /// As fractions.
    pub fn compare(self, other: Freeness) -> Ordering {
        (self.blocks * other.requests).cmp(&(other.blocks * self.requests))
    }

    /// ⌊1000 · freeness⌋.
    pub fn thousandths(self) -> i128 {
        (1000 * self.blocks).div_euclid(self.requests)
    }

    /// Smaller than any other.
    const LEAST: Freeness = Freeness { blocks: -(1 << 60), requests: 1 };

    fn against(self, blocks: i64) -> Ordering {
        self.compare(Freeness { blocks: i128::from(blocks), requests: 1 })
    }
}

/// Priority level of a request.
fn level(sim: &Sim<'_>, r: usize) -> u32 {
    sim.trace.priorities.get(sim.requests[r].class.index()).copied().unwrap_or_default().level
}

/// That of replica `k`, now.
pub fn freeness(sim: &Sim<'_>, k: usize) -> Freeness {
    let replica = &sim.replicas[k];
    let first = replica.swapped.first().or(replica.waiting.first());
    let held = replica.kv.blocks.iter().filter(|b| b.holders > 0).count() as i128;
    let asked = first.map_or(0, |&r| i128::from(demand(sim, k, r)));
    let there = |at: &usize| {
        sim.requests.iter().any(|r| r.outstanding && r.replica == k && level(sim, r.id) as usize == *at)
    };
    let headroom: i128 = (0..sim.deployment.headroom.len())
        .filter(there)
        .map(|at| i128::from(sim.deployment.headroom[at]))
        .sum();
    let headroom = if sim.mutated(Mutation::HeadroomIgnored) { 0 } else { headroom };
    let waits = !replica.waiting.is_empty() || !replica.swapped.is_empty();
    let requests = (replica.running.len() as i128 + i128::from(waits)).max(1);
    Freeness { blocks: i128::from(sim.config(k).kv.blocks) - held - asked - headroom, requests }
}

/// The deployment's rules of migration.
pub fn rules<'a>(sim: &Sim<'a>) -> Option<&'a Migration> {
    sim.deployment.joint.as_ref().and_then(|joint| joint.migration)
}

/// When the next tick is, if a request is on some replica then.
pub fn next_instant(sim: &Sim<'_>) -> Option<u64> {
    let period = rules(sim)?.period.as_ps();
    let next = sim.now / period * period + period;
    sim.requests.iter().any(|r| r.outstanding).then_some(next)
}

/// Class 4, after the timers of pipelines.
pub fn tick(sim: &mut Sim<'_>) {
    let Some(rules) = rules(sim) else { return };
    let due = sim.now > 0 && sim.now.is_multiple_of(rules.period.as_ps());
    if !due || sim.ticked == sim.now || !sim.requests.iter().any(|r| r.outstanding) {
        return;
    }
    sim.ticked = sim.now;
    let drains = |k: usize| fleet::standing(sim, k) == Standing::Draining;
    let of = |k: usize| if drains(k) { Freeness::LEAST } else { freeness(sim, k) };
    let now: Vec<Freeness> = (0..sim.replicas.len()).map(of).collect();
    let ups: Vec<bool> = (0..now.len()).map(|k| fleet::is_up(sim, k)).collect();
    let drained: Vec<bool> = (0..now.len()).map(drains).collect();
    let gives = |k: usize| drained[k] || (ups[k] && now[k].against(rules.out_below) == Ordering::Less);
    let takes = |k: usize| ups[k] && now[k].against(rules.in_above) == Ordering::Greater;
    let before = sim.pairs.len();
    if !sim.mutated(Mutation::PairsNeverEnd) {
        sim.pairs.retain(|&(source, destination)| gives(source) && takes(destination));
    }
    sim.coverage.pairs_ended += (before - sim.pairs.len()) as u64;
    let alone = |k: &usize| !sim.pairs.iter().any(|p| p.0 == *k || p.1 == *k);
    let free: Vec<usize> = (0..sim.replicas.len()).filter(alone).collect();
    let mut sources: Vec<usize> = free.iter().copied().filter(|&k| gives(k)).collect();
    let mut destinations: Vec<usize> = free.iter().copied().filter(|&k| takes(k)).collect();
    sources.sort_by(|&a, &b| now[a].compare(now[b]).then(a.cmp(&b)));
    destinations.sort_by(|&a, &b| now[b].compare(now[a]).then(a.cmp(&b)));
    sim.pairs.extend(sources.into_iter().zip(destinations));
    sim.pairs.sort_unstable();
    for (source, destination) in sim.pairs.clone() {
        let busy = |k: usize| sim.moves.iter().any(|m| m.takes_part(k));
        if busy(source) || busy(destination) {
            continue;
        }
        if let Some(r) = mover(sim, source) {
            sim.coverage.moves.begun += 1;
            if sim.options.log {
                sim.log.push(format!("t={} {r} begins to move from k{source} to k{destination}", sim.now));
            }
            sim.moves.push(Move::new(&sim.requests[r], (source, destination)));
            sim.replicas[source].touched = true;
        }
    }
}

/// Who of a source moves: the least urgent level, then the fewest tokens, then the last in queue order.
fn mover(sim: &mut Sim<'_>, k: usize) -> Option<usize> {
    let decodes = |&r: &usize| {
        let request = &sim.requests[r];
        // §14 "not in flight" speaks of batches in a pipeline: with one stage everybody is in the step under way.
        let flies = request.in_flight && sim.pipelined(k);
        request.prefilled && !request.stopping && !flies && request.loss == Loss::None
    };
    let candidates: Vec<usize> = sim.replicas[k].running.iter().copied().filter(decodes).collect();
    let urgent_first = sim.mutated(Mutation::MostUrgentMoves);
    let first = candidates.into_iter().max_by_key(|&r| {
        let level = i64::from(level(sim, r)) * if urgent_first { -1 } else { 1 };
        (level, std::cmp::Reverse(sim.requests[r].tokens()), sim.requests[r].place())
    })?;
    let held = sim.requests[first].lease.is_some() && !sim.mutated(Mutation::MovesBeforeAcknowledged);
    sim.coverage.held_by_acknowledgement += u64::from(held);
    (!held).then_some(first)
}
