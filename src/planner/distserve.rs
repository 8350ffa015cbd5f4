//! The placement algorithms of DistServe (OSDI'24, 2401.09670, §4.1 and §4.2), by their names in `plan.planners`.
//!
//! `distserve-high` is Algorithm 1, for servers with a fast network: every (tp, pp) is simulated as a prefill instance alone
//! and as a decode instance alone; of each phase the one with the highest rate per GPU is taken, and as many of each as
//! the total rate `R` asks for: `n = ⌈R/g_p⌉`, `m = ⌈R/g_d⌉`. `distserve-low` is Algorithm 2, for servers with a slow
//! network: a prefill and a decode instance stand on one server, so that KV never leaves it; pairs are simulated
//! together, and `⌈R/g⌉` copies of the best pair are deployed.
//!
//! From memory: the listings (loops, the rate per GPU as what is compared, the two roundings); that a phase is judged by
//! its own limit. Ours, and not the paper's:
//! * Prefill alone: the requests with answers of one token, on one replica of the prefill pool. Judged by the limits on
//!   TTFT and the scheduling delay.
//! * Decode alone: one decode replica behind a prefill replica of endless memory whose steps take 1 ps, over ports of
//!   1 PB/s. Requests come as they arrive, not in the batches that a prefill instance would let go. Judged by the
//!   limits on TPOT and gaps; waiting for the decode replica is in TPOT, because the first token is out before.
//! * In both phases the prefill side samples the first token, whatever the scenario says. The whole plan is simulated as
//!   the scenario says.
//! * Trials have 1,000 requests, two seeds and a stable queue (the artefact: 300 requests and one seed).
//! * Without `plan.rate`, `R` is the highest rate whose plan fits `plan.gpus`: the paper always has one.
//! * Algorithm 2 splits both instances into the same pipeline segments, so that a pair may span several servers. Here a
//!   pair stands on one server; models too large for that have no `distserve-low`.

use crate::results::{Chosen, PlannedPool};
use crate::scenario::SystemPlan;
use crate::scenario::deployments::{Candidate, PlannerKind, Pool};
use crate::scenario::execute::Failure;
use crate::workload::Trace;

use super::passes::role;
use super::phases::{Phase, Phases, SEEDS, instance};
use super::{Planner, bound};

/// Most instances of one phase that are deployed.
const INSTANCES_MAX: f64 = 4_096.0;

/// What an algorithm chose.
pub(super) struct Choice {
    planner: PlannerKind,
    /// Requests per second it planned for, and whether the scenario said so.
    rate: f64,
    asked: bool,
    /// Its instances: how many of each, and what one was found to serve alone.
    parts: Vec<(Pool, f64)>,
    /// Instances or pairs that were simulated, and those that cannot be built.
    tried: usize,
    refused: usize,
    /// What is to be deployed.
    pub candidate: Option<Candidate>,
    /// Why there is no plan.
    note: Option<String>,
}

impl Choice {
    /// As the results hold it; `deployment` is its position there.
    pub fn chosen(&self, deployment: Option<usize>) -> Chosen {
        let part = |(pool, alone): &(Pool, f64)| {
            let planned = PlannedPool { role: role(pool), tp: pool.tp, pp: pool.pp, replicas: pool.replicas };
            (planned, *alone)
        };
        Chosen {
            planner: self.planner.to_string(),
            deployment,
            rate_per_s: self.rate,
            asked: self.asked,
            parts: self.parts.iter().map(part).collect(),
            tried: self.tried,
            refused: self.refused,
            note: self.note.clone(),
        }
    }
}

/// An instance, or a pair of them, and what it was found to serve.
struct Tried {
    pools: Vec<Pool>,
    rate: f64,
}

impl Tried {
    fn gpus(&self) -> u32 {
        self.pools.iter().map(Pool::gpus).sum()
    }

    fn per_gpu(&self) -> f64 {
        self.rate / f64::from(self.gpus())
    }
}

/// What one planner chooses.
pub(super) fn choose(planner: &Planner<'_>, kind: PlannerKind) -> Result<Choice, Failure> {
    let asked = planner.plan.rate.map(|r| r.as_per_second());
    let mut choice = Choice {
        planner: kind,
        rate: asked.unwrap_or(0.0),
        asked: asked.is_some(),
        parts: Vec::new(),
        tried: 0,
        refused: 0,
        candidate: None,
        note: None,
    };
    match kind {
        PlannerKind::DistserveLow => low(planner, &mut choice)?,
        PlannerKind::Search | PlannerKind::DistserveHigh => high(planner, &mut choice)?,
    }
    Ok(choice)
}

/// Algorithm 1.
fn high(planner: &Planner<'_>, choice: &mut Choice) -> Result<(), Failure> {
    let Some((prefill, decode)) = &planner.plan.spaces else { return Ok(()) };
    let requests = Phases::of(planner);
    let mut best = Vec::new();
    for (space, phase) in [(prefill, Phase::Prefill), (decode, Phase::Decode)] {
        let mut tried = Vec::new();
        for shape in space.shapes() {
            // Both pools are of this shape, so that a shape is refused only for itself.
            let (p, d) = (Pool { role: prefill.role, ..shape }, Pool { role: decode.role, ..shape });
            match planner.plan.pair(p, d, false) {
                Ok(pair) => tried.push((shape, phase.alone(&pair.system))),
                Err(_) => choice.refused += 1,
            }
        }
        choice.tried += tried.len();
        planner.progress.phase(phase.name(), tried.len());
        let found = tried
            .iter()
            .map(|(pool, system)| {
                let finding = phase.measure(planner, system, &requests)?;
                planner.progress.step();
                Ok(Tried { pools: vec![*pool], rate: finding.mean() })
            })
            .collect::<Result<Vec<Tried>, Failure>>()?;
        best.push(best_of(found));
    }
    let [Some(p), Some(d)] = &best[..] else {
        let which = if best[0].is_none() { "prefill" } else { "decode" };
        choice.note = Some(format!("no {which} instance meets the limits at any rate"));
        return Ok(());
    };
    let counts = if choice.asked {
        Some((f64::ceil(choice.rate / p.rate), f64::ceil(choice.rate / d.rate)))
    } else {
        fill(planner.plan.gpus, p, d)
    };
    let Some((n, m)) = counts else {
        choice.note =
            Some(format!("its instances have {} and {} GPUs, more than there are", p.gpus(), d.gpus()));
        return Ok(());
    };
    if !choice.asked {
        choice.rate = (n * p.rate).min(m * d.rate);
    }
    deploy(planner, choice, (p.pools[0], p.rate, n), (d.pools[0], d.rate, m), false);
    Ok(())
}

/// Algorithm 2, with pairs on one server.
fn low(planner: &Planner<'_>, choice: &mut Choice) -> Result<(), Failure> {
    let Some((prefill, decode)) = &planner.plan.spaces else { return Ok(()) };
    let mut pairs: Vec<(Pool, Pool, SystemPlan)> = Vec::new();
    for p in prefill.shapes() {
        for d in decode.shapes() {
            match planner.plan.pair(p, d, true) {
                Ok(pair) if p.gpus() + d.gpus() <= holds(&pair.system) => pairs.push((p, d, pair.system)),
                _ => choice.refused += 1,
            }
        }
    }
    choice.tried = pairs.len();
    let server = pairs.iter().map(|(_, _, system)| holds(system)).min().unwrap_or(0);
    planner.progress.phase("pairs on a server", pairs.len());
    let slo = &planner.study().slo;
    let traces: Vec<&Trace> = planner.prepared.iter().map(|p| &p.trace).take(SEEDS).collect();
    let found = pairs
        .iter()
        .map(|(p, d, system)| {
            let bound = bound::rate(system, traces[0], slo, planner.study().attainment);
            let finding = instance(planner, (system, slo), (&traces, &planner.requests), bound)?;
            planner.progress.step();
            Ok(Tried { pools: vec![*p, *d], rate: finding.mean() })
        })
        .collect::<Result<Vec<Tried>, Failure>>()?;
    let Some(best) = best_of(found) else {
        let why = if pairs.is_empty() { "fits on one server" } else { "meets the limits at any rate" };
        choice.note = Some(format!("no pair of instances {why}"));
        return Ok(());
    };
    let pairs = if choice.asked {
        f64::ceil(choice.rate / best.rate)
    } else {
        f64::from(whole_pairs(planner.plan.gpus, server, best.gpus()))
    };
    if pairs == 0.0 {
        choice.note = Some(format!("a pair has {} GPUs, more than there are", best.gpus()));
        return Ok(());
    }
    if !choice.asked {
        choice.rate = pairs * best.rate;
    }
    deploy(planner, choice, (best.pools[0], best.rate, pairs), (best.pools[1], best.rate, pairs), true);
    Ok(())
}

/// Accelerators that KV need not leave a server between.
fn holds(system: &SystemPlan) -> u32 {
    system.groups.iter().map(|g| g.spec.accelerator.host.node.holds()).min().unwrap_or(0)
}

/// Pairs that find room on `gpus` accelerators in servers of `server` each, none of them across two servers.
fn whole_pairs(gpus: u32, server: u32, pair: u32) -> u32 {
    gpus / server * (server / pair) + gpus % server / pair
}

/// The highest rate per GPU; of equals the one with fewer GPUs, then the first. None where nothing serves.
fn best_of(found: Vec<Tried>) -> Option<Tried> {
    found.into_iter().filter(|t| t.rate > 0.0).reduce(|best, next| {
        let better = next.per_gpu() > best.per_gpu()
            || (next.per_gpu() == best.per_gpu() && next.gpus() < best.gpus());
        if better { next } else { best }
    })
}

/// The numbers of instances that serve most on `gpus` accelerators; of equals the one with fewer. None: no two fit.
fn fill(gpus: u32, prefill: &Tried, decode: &Tried) -> Option<(f64, f64)> {
    let mut best: Option<(f64, u32, (f64, f64))> = None;
    for n in 1..=gpus / prefill.gpus() {
        let room = gpus - n * prefill.gpus();
        for m in 1..=room / decode.gpus() {
            let used = n * prefill.gpus() + m * decode.gpus();
            let rate = (f64::from(n) * prefill.rate).min(f64::from(m) * decode.rate);
            if best.is_none_or(|(r, u, _)| rate > r || (rate == r && used < u)) {
                best = Some((rate, used, (f64::from(n), f64::from(m))));
            }
        }
    }
    best.map(|(_, _, counts)| counts)
}

/// Builds the plan: for each pool one instance, what it serves, and how many of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 4,096")]
fn deploy(
    planner: &Planner<'_>,
    choice: &mut Choice,
    (prefill, prefill_rate, n): (Pool, f64, f64),
    (decode, decode_rate, m): (Pool, f64, f64),
    on_one_server: bool,
) {
    let counted = |pool: Pool, n: f64| Pool { replicas: n.min(INSTANCES_MAX) as u32, ..pool };
    let (p, d) = (counted(prefill, n), counted(decode, m));
    choice.parts = vec![(p, prefill_rate), (d, decode_rate)];
    if n.max(m) > INSTANCES_MAX {
        choice.note = Some(format!("it needs {n} and {m} instances, more than {INSTANCES_MAX}"));
        return;
    }
    match planner.plan.pair(p, d, on_one_server) {
        Ok(candidate) => choice.candidate = Some(candidate),
        Err(refused) => choice.note = Some(format!("it cannot be built: {}", refused.reason)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::config::Role;

    fn tried(tp: u32, rate: f64) -> Tried {
        Tried { pools: vec![Pool { role: Role::Prefill, tp, pp: 1, replicas: 1 }], rate }
    }

    #[test]
    fn the_best_instance_is_that_per_gpu_and_of_equals_the_smaller() {
        let best = best_of(vec![tried(4, 8.0), tried(2, 4.0), tried(8, 15.9), tried(1, 0.0)]);
        assert_eq!(best.map(|t| t.gpus()), Some(2));
        assert!(best_of(vec![tried(1, 0.0)]).is_none());
    }

    #[test]
    fn without_a_rate_the_gpus_are_filled_in_the_ratio_that_serves_most() {
        // Prefill serves 3 per GPU, decode 1: of eight GPUs two compute prompts.
        assert_eq!(fill(8, &tried(1, 3.0), &tried(1, 1.0)), Some((2.0, 6.0)));
        // 1 and 3 serve as much as 1 and 4 would: the fifth GPU is not taken.
        assert_eq!(fill(5, &tried(1, 3.0), &tried(1, 1.0)), Some((1.0, 3.0)));
        assert_eq!(fill(3, &tried(2, 3.0), &tried(2, 1.0)), None);
    }

    #[test]
    fn pairs_are_not_cut_by_the_end_of_a_server() {
        assert_eq!(whole_pairs(16, 8, 6), 2);
        assert_eq!(whole_pairs(24, 8, 6), 3);
        assert_eq!(whole_pairs(12, 8, 4), 3);
        assert_eq!(whole_pairs(4, 8, 6), 0);
    }
}
