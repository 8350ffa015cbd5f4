//! Replicas that come and go (§15).

use std::cmp::Reverse;

use windtunnel::cluster::Changes;
use windtunnel::engine::config::Failure;
use windtunnel::metrics::record::FleetUse;
use windtunnel::policy::scaling::{Rule, Scaling};

use super::arrivals::insert;
use super::kv::Kv;
use super::ledger;
use super::migration::freeness;
use super::moves;
use super::mutation::Mutation;
use super::patience;
use super::plan::{Plan, Planner};
use super::request::Way;
use super::router::{Router, load};
use super::sim::Sim;
use super::work::set_bound;

/// What a replica is there for; those that wait for it say until when.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    Up,
    Starting(u64),
    Draining,
    Failing(Failure),
    Down,
    Repaired(u64),
}

impl Standing {
    fn is_provided(self) -> bool {
        !matches!(self, Standing::Down | Standing::Repaired(_))
    }
}

/// All replicas of a run.
pub struct Fleet<'a> {
    scaling: Option<&'a Scaling>,
    /// Those to come.
    failures: Vec<Failure>,
    pub standing: Vec<Standing>,
    since: Vec<u64>,
    /// Ticks in a row that wanted more, and fewer.
    out: u32,
    fewer: u32,
    /// The last tick: an instant may have several rounds.
    ticked: u64,
    /// Requests that meet no replica.
    stranded: Vec<usize>,
    /// (instant, request) of those that lost theirs and come again.
    back: Vec<(u64, usize)>,
    usage: FleetUse,
}

impl<'a> Fleet<'a> {
    pub fn new(changes: &Changes<'a>, replicas: usize) -> Fleet<'a> {
        let first = changes.scaling.map_or(replicas, |s| usize::from(s.initial));
        Fleet {
            scaling: changes.scaling,
            failures: changes.failures.to_vec(),
            standing: (0..replicas).map(|k| if k < first { Standing::Up } else { Standing::Down }).collect(),
            since: vec![0; replicas],
            out: 0,
            fewer: 0,
            ticked: 0,
            stranded: Vec::new(),
            back: Vec::new(),
            usage: FleetUse { provided: vec![0; replicas], ..FleetUse::default() },
        }
    }

    fn set(&mut self, k: usize, to: Standing, now: u64) {
        let before = std::mem::replace(&mut self.standing[k], to);
        if !before.is_provided() && to.is_provided() {
            self.since[k] = now;
        }
        if before.is_provided() && !to.is_provided() {
            self.usage.provided[k] += u128::from(now - self.since[k]);
        }
    }

    fn all(&self, wanted: impl Fn(Standing) -> bool) -> Vec<usize> {
        (0..self.standing.len()).filter(|&k| wanted(self.standing[k])).collect()
    }

    /// Whether `r` is at the router.
    pub fn has(&self, r: usize) -> bool {
        self.stranded.contains(&r) || self.back.iter().any(|b| b.1 == r)
    }

    /// What was counted, up to the end of the run.
    pub fn used(mut self, end: u64) -> FleetUse {
        for k in 0..self.standing.len() {
            self.set(k, Standing::Down, end);
        }
        self.usage
    }
}

/// Without changes all are up for ever.
pub fn standing(sim: &Sim<'_>, k: usize) -> Standing {
    sim.fleet.as_ref().map_or(Standing::Up, |f| f.standing[k])
}

pub fn is_up(sim: &Sim<'_>, k: usize) -> bool {
    standing(sim, k) == Standing::Up
}

/// `other` is the next instant of everything else: without it, and with nobody at the router, no timer counts.
pub fn next_instant(sim: &Sim<'_>, other: Option<u64>) -> Option<u64> {
    let Some(fleet) = &sim.fleet else { return other };
    let other = other.into_iter().chain(fleet.back.iter().map(|b| b.0)).min();
    if other.is_none() && fleet.stranded.is_empty() {
        return None;
    }
    let ready = fleet.standing.iter().filter_map(|s| match s {
        Standing::Starting(at) | Standing::Repaired(at) => Some(*at),
        _ => None,
    });
    let failures = fleet.failures.iter().map(|f| f.at.as_ps());
    let tick = fleet.scaling.map(|s| (sim.now / s.period.as_ps() + 1) * s.period.as_ps());
    ready.chain(failures).chain(tick).chain(other).min()
}

/// Requests that come to the router again now.
pub fn take_back(sim: &mut Sim<'_>) -> Vec<usize> {
    let now = sim.now;
    let Some(fleet) = &mut sim.fleet else { return Vec::new() };
    let due = fleet.back.iter().filter(|b| b.0 == now).map(|b| b.1).collect();
    fleet.back.retain(|b| b.0 != now);
    due
}

/// Whether `r` has to wait because no replica is up.
pub fn strands(sim: &mut Sim<'_>, r: usize) -> bool {
    let Some(fleet) = &mut sim.fleet else { return false };
    let none = !fleet.standing.contains(&Standing::Up);
    if none {
        fleet.stranded.push(r);
        sim.coverage.stranded += 1;
    }
    none
}

fn route_stranded(sim: &mut Sim<'_>) {
    let Some(fleet) = &mut sim.fleet else { return };
    if fleet.standing.contains(&Standing::Up) {
        for r in std::mem::take(&mut fleet.stranded) {
            sim.route(r);
        }
    }
}

/// Its client gives up while it is at the router.
pub fn give_up(sim: &mut Sim<'_>, r: usize) {
    let Some(fleet) = &mut sim.fleet else { return };
    fleet.stranded.retain(|&x| x != r);
    fleet.back.retain(|b| b.1 != r);
    sim.coverage.gave_up_at_router += 1;
    if sim.meets_replica(r) {
        sim.requests[r].timed_out = Some(sim.now);
        return super::door::Door::release(sim, r, sim.now);
    }
    patience::leave(sim, r);
}

/// Class 4, between the timers of pipelines and the ticks of §14.
pub fn timers(sim: &mut Sim<'_>) {
    let now = sim.now;
    let Some(fleet) = &mut sim.fleet else { return };
    for k in fleet.all(|s| s == Standing::Starting(now) || s == Standing::Repaired(now)) {
        fleet.set(k, Standing::Up, now);
    }
    route_stranded(sim);
    let Some(fleet) = &mut sim.fleet else { return };
    let mut due: Vec<Failure> = fleet.failures.iter().copied().filter(|f| f.at.as_ps() == now).collect();
    fleet.failures.retain(|f| f.at.as_ps() != now);
    due.sort_by_key(|f| f.replica);
    for failure in due {
        let k = failure.replica.index();
        if matches!(fleet.standing[k], Standing::Up | Standing::Draining) {
            fleet.usage.failures += 1;
            fleet.set(k, Standing::Failing(failure), now);
        }
    }
    let is_due = |s: &&Scaling| now > fleet.ticked && now.is_multiple_of(s.period.as_ps());
    if let Some(scaling) = fleet.scaling.filter(is_due) {
        fleet.ticked = now;
        tick(sim, scaling);
    }
}

/// What the rule looks at, in thousandths.
fn mean(sim: &Sim<'_>, rule: Rule) -> Option<i128> {
    let ups: Vec<usize> = (0..sim.replicas.len()).filter(|&k| is_up(sim, k)).collect();
    let n = ups.len() as i128;
    let loads = load(sim);
    (n > 0).then(|| match rule {
        Rule::Requests(_) => ups.iter().map(|&k| i128::from(loads[k].requests)).sum::<i128>() * 1000 / n,
        Rule::Memory(_) => {
            let all: i128 = ups.iter().map(|&k| i128::from(sim.config(k).kv.blocks)).sum();
            ups.iter().map(|&k| i128::from(loads[k].blocks)).sum::<i128>() * 1000 / all
        }
        Rule::Freeness { .. } => {
            ups.iter().map(|&k| freeness(sim, k).thousandths()).sum::<i128>().div_euclid(n)
        }
    })
}

fn tick(sim: &mut Sim<'_>, scaling: &Scaling) {
    let now = sim.now;
    let wants = mean(sim, scaling.rule).map_or((false, false), |mean| match scaling.rule {
        Rule::Requests(range) | Rule::Memory(range) => {
            (mean > i128::from(range.out_above), mean < i128::from(range.in_below))
        }
        Rule::Freeness { out_below, in_above } => {
            (mean < 1000 * i128::from(out_below), mean > 1000 * i128::from(in_above))
        }
    });
    let loads = load(sim);
    let holds = !sim.mutated(Mutation::FirstWishCounts);
    let Some(fleet) = &mut sim.fleet else { return };
    fleet.out = if wants.0 { fleet.out + 1 } else { 0 };
    fleet.fewer = if wants.1 && !wants.0 { fleet.fewer + 1 } else { 0 };
    let ups = fleet.all(|s| s == Standing::Up);
    let starting = fleet.all(|s| matches!(s, Standing::Starting(_))).len();
    let down = fleet.all(|s| s == Standing::Down).first().copied();
    let draining = fleet.all(|s| s == Standing::Draining).first().copied();
    let hold = if holds { scaling.hold } else { 1 };
    let start = Standing::Starting(now + scaling.cold_start.as_ps());
    if let (true, Some(k)) = (ups.len() + starting < usize::from(scaling.min), down) {
        fleet.set(k, start, now);
        sim.coverage.started_for_least += 1;
    } else if fleet.out >= hold && starting < usize::from(scaling.max_starting) {
        if let Some(k) = draining {
            fleet.set(k, Standing::Up, now);
            sim.coverage.back_from_draining += 1;
        } else if let Some(k) = down {
            fleet.set(k, start, now);
        }
        if draining.or(down).is_some() {
            fleet.out = 0;
            fleet.usage.scaled_out += 1;
        }
        route_stranded(sim);
    } else if fleet.fewer >= hold && starting == 0 && ups.len() > usize::from(scaling.min) {
        let k = ups.into_iter().min_by_key(|&k| (loads[k].requests, Reverse(k))).expect("one is up");
        fleet.set(k, Standing::Draining, now);
        fleet.fewer = 0;
        fleet.usage.scaled_in += 1;
        sim.replicas[k].touched = true;
    }
}

/// Before plans: replicas that fail look whether they are gone.
pub fn wake(sim: &mut Sim<'_>) {
    for k in 0..sim.replicas.len() {
        if matches!(standing(sim, k), Standing::Failing(_)) {
            sim.replicas[k].touched = true;
        }
    }
}

/// Whether nothing is leased, promised or coming on replica `k`, and no move takes part in it.
fn is_still(sim: &Sim<'_>, k: usize) -> bool {
    let leased = sim.requests.iter().any(|r| r.lease.as_ref().is_some_and(|l| l.0 == k));
    let coming = sim.requests.iter().any(|r| r.outstanding && r.replica == k && r.way != Way::None);
    sim.replicas[k].in_flight.is_empty() && !leased && !coming && !sim.moves.iter().any(|m| m.takes_part(k))
}

/// In place of a plan of a replica that fails; false for others.
pub fn fails(sim: &mut Sim<'_>, k: usize) -> bool {
    let Standing::Failing(failure) = standing(sim, k) else { return false };
    moves::turn(sim, k);
    if sim.replicas[k].in_flight.is_empty() {
        lose_kv(sim, k);
        set_bound(sim, k, None);
    }
    if is_still(sim, k) {
        lose_all(sim, k, failure);
    }
    true
}

fn lose_kv(sim: &mut Sim<'_>, k: usize) {
    let (now, mutation) = (sim.now, sim.options.mutation);
    for r in std::mem::take(&mut sim.replicas[k].loaded) {
        ledger::account_hand_over(&mut sim.requests[r], now, mutation);
        sim.requests[r].way = Way::None;
        sim.requests[r].prefilled = true;
        insert(&mut sim.replicas[k].running, &sim.requests, r);
        sim.coverage.lost_when_loaded += 1;
    }
    for r in sim.replicas[k].running.clone() {
        Planner { sim, k, plan: Plan::default() }.preempt(r, false);
    }
    for r in std::mem::take(&mut sim.replicas[k].swapped) {
        let request = &mut sim.requests[r];
        sim.replicas[k].kv.host_used -= std::mem::take(&mut request.host_blocks);
        request.dropped = Some(request.computed);
        request.known = request.known.max(request.computed);
        (request.computed, request.prefilled) = (0, false);
        insert(&mut sim.replicas[k].waiting, &sim.requests, r);
        sim.coverage.lost_when_swapped += 1;
    }
}

fn lose_all(sim: &mut Sim<'_>, k: usize, failure: Failure) {
    let now = sim.now;
    let lost = std::mem::take(&mut sim.replicas[k].waiting);
    for &r in &lost {
        sim.requests[r].outstanding = false;
    }
    forget(sim, k);
    let Some(fleet) = &mut sim.fleet else { return };
    fleet.usage.lost += lost.len() as u64;
    fleet.back.extend(lost.iter().map(|&r| (now + failure.detection.as_ps(), r)));
    fleet.set(k, Standing::Repaired(now + failure.repair.as_ps()), now);
}

/// Its prefix cache, and what routers know of it.
fn forget(sim: &mut Sim<'_>, k: usize) {
    let config = sim.config(k);
    if !sim.mutated(Mutation::CacheSurvives) {
        sim.replicas[k].kv = Kv::new(&config.kv, config.host_cache);
        sim.fetching.forget(k);
    }
    if !sim.mutated(Mutation::RoutersRemember) {
        Router::forget(sim, k);
    }
}

/// After the plans of an instant: replicas that drain are down when nothing is left on them.
pub fn drained(sim: &mut Sim<'_>) {
    for k in 0..sim.replicas.len() {
        let here = sim.requests.iter().any(|r| r.outstanding && r.replica == k);
        if standing(sim, k) == Standing::Draining && !here && is_still(sim, k) {
            forget(sim, k);
            let now = sim.now;
            sim.coverage.drained += 1;
            if let Some(fleet) = &mut sim.fleet {
                fleet.set(k, Standing::Down, now);
            }
        }
    }
}
