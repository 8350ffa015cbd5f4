//! Replicas that come and go (docs/semantics.md §15): which are up, when they start, drain and fail, and the requests that
//! meet none. What is wanted is `policy::scaling`; what a replica does when it goes is `engine::failure`.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::engine::Replica;
use crate::engine::config::Failure;
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::FleetUse;
use crate::policy::freeness::Freeness;
use crate::policy::scaling::{Rule, Scaling, Streak};
use crate::units::SimTime;

use super::api::Changes;
use super::run::{Event, Run};

/// What a replica is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is sent requests.
    Up,
    /// It will be, when it is ready.
    Starting,
    /// It is sent none, and goes down when nothing is left on it.
    Draining,
    /// It does nothing any more; what is under way on it comes to its end.
    Failing,
    /// It is not there.
    Down,
    /// It is not there, and will be ready again.
    Repaired,
}

impl Standing {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Standing::Up => "up",
            Standing::Starting => "starting",
            Standing::Draining => "draining",
            Standing::Failing => "failing",
            Standing::Down => "down",
            Standing::Repaired => "repaired",
        }
    }

    /// Whether somebody pays for it.
    fn is_provided(self) -> bool {
        !matches!(self, Standing::Down | Standing::Repaired)
    }
}

/// All replicas of a run that come and go.
pub(super) struct Fleet<'a> {
    scaling: Option<&'a Scaling>,
    /// Those that have not been, in order of time and replica.
    failures: &'a [Failure],
    /// That of each replica that is failing.
    failing: Vec<Option<Failure>>,
    standing: Vec<Standing>,
    /// Since when each is provided for.
    since: Vec<SimTime>,
    /// When those that start or are repaired are ready.
    ready: BTreeSet<(SimTime, ReplicaId)>,
    streak: Streak,
    /// The last scaling tick.
    ticked: SimTime,
    /// Requests at the router while no replica is up, in order of their coming.
    pub stranded: Vec<RequestId>,
    usage: FleetUse,
}

impl<'a> Fleet<'a> {
    pub fn new(changes: Changes<'a>, replicas: &mut [Replica]) -> Self {
        let up = changes.scaling.map_or(replicas.len(), |s| usize::from(s.initial));
        let standing: Vec<Standing> =
            (0..replicas.len()).map(|r| if r < up { Standing::Up } else { Standing::Down }).collect();
        for (replica, &standing) in replicas.iter_mut().zip(&standing) {
            replica.state.up = standing == Standing::Up;
        }
        Fleet {
            scaling: changes.scaling,
            failures: changes.failures,
            failing: vec![None; replicas.len()],
            since: vec![SimTime::ZERO; replicas.len()],
            ready: BTreeSet::new(),
            streak: Streak::default(),
            ticked: SimTime::ZERO,
            stranded: Vec::new(),
            usage: FleetUse { provided: vec![0; replicas.len()], ..FleetUse::default() },
            standing,
        }
    }

    /// The next instant at which something happens to a replica, not before `now`.
    pub fn next(&self, now: SimTime) -> Option<SimTime> {
        let ready = self.ready.first().map(|&(at, _)| at);
        let failure = self.failures.first().map(|f| f.at);
        let tick = self.scaling.map(|s| {
            let after = (self.ticked.as_ps() + 1).max(now.as_ps());
            SimTime::from_ps(after.div_ceil(s.period.as_ps()) * s.period.as_ps())
        });
        [ready, failure, tick].into_iter().flatten().min()
    }

    /// Replicas that somebody pays for.
    pub fn provided(&self) -> u32 {
        let provided = self.standing.iter().filter(|s| s.is_provided());
        u32::try_from(provided.count()).expect("ids of replicas are 16 bits wide")
    }

    /// Whether requests can be routed.
    pub fn has_any_up(&self) -> bool {
        self.standing.contains(&Standing::Up)
    }

    pub fn standing(&self, replica: ReplicaId) -> Standing {
        self.standing[replica.index()]
    }

    /// What §14 knows of a replica: nothing of one that takes no part.
    pub fn freeness(&self, replica: ReplicaId, present: Freeness) -> Option<Freeness> {
        match self.standing(replica) {
            Standing::Up => Some(present),
            Standing::Draining => Some(Freeness::DRAINING),
            _ => None,
        }
    }

    fn ids(&self, standing: Standing) -> impl DoubleEndedIterator<Item = ReplicaId> + '_ {
        let of = self.standing.iter().enumerate().filter(move |&(_, &s)| s == standing);
        of.map(|(r, _)| ReplicaId(u16::try_from(r).expect("ids of replicas are 16 bits wide")))
    }

    fn set(&mut self, replica: ReplicaId, to: Standing, now: SimTime, state: &mut Replica) {
        let at = replica.index();
        let before = std::mem::replace(&mut self.standing[at], to);
        match (before.is_provided(), to.is_provided()) {
            (false, true) => self.since[at] = now,
            (true, false) => self.usage.provided[at] += u128::from((now - self.since[at]).as_ps()),
            _ => {}
        }
        state.state.up = to == Standing::Up;
    }

    /// Sums of a run that ends at `end`.
    pub fn into_use(mut self, end: SimTime) -> FleetUse {
        for (r, standing) in self.standing.iter().enumerate() {
            if standing.is_provided() {
                self.usage.provided[r] += u128::from((end - self.since[r]).as_ps());
            }
        }
        self.usage
    }
}

impl<'a> Run<'a> {
    fn fleet(&mut self) -> &mut Fleet<'a> {
        self.fleet.as_mut().expect("only where replicas come and go")
    }

    /// Whether a replica is up, as all are that never change.
    pub(super) fn is_up(&self, replica: ReplicaId) -> bool {
        self.fleet.as_ref().is_none_or(|f| f.standing(replica) == Standing::Up)
    }

    /// Whether a replica is failing.
    pub(super) fn fails(&self, replica: ReplicaId) -> bool {
        self.fleet.as_ref().is_some_and(|f| f.standing(replica) == Standing::Failing)
    }

    fn stands(&mut self, replica: ReplicaId, to: Standing) {
        let now = self.now;
        let fleet = self.fleet.as_mut().expect("only where replicas come and go");
        fleet.set(replica, to, now, &mut self.replicas[replica.index()]);
    }

    /// What happens to replicas at this instant.
    pub(super) fn change_fleet(&mut self) {
        let now = self.now;
        while let Some(&(at, replica)) = self.fleet().ready.first() {
            if at > now {
                break;
            }
            self.fleet().ready.pop_first();
            self.stands(replica, Standing::Up);
        }
        self.route_stranded();
        while let Some((&failure, later)) = self.fleet().failures.split_first().filter(|(f, _)| f.at <= now) {
            self.fleet().failures = later;
            self.fail(failure);
        }
        let ticked = self.fleet().ticked;
        let is_due = |s: &&Scaling| now > ticked && now.as_ps().is_multiple_of(s.period.as_ps());
        let tick = self.fleet().scaling.filter(is_due);
        if let Some(scaling) = tick {
            self.fleet().ticked = now;
            self.scale(scaling);
        }
    }

    /// A replica does nothing any more.
    fn fail(&mut self, failure: Failure) {
        let replica = failure.replica;
        if !matches!(self.fleet().standing(replica), Standing::Up | Standing::Draining) {
            return;
        }
        self.fleet().usage.failures += 1;
        self.fleet().failing[replica.index()] = Some(failure);
        self.stands(replica, Standing::Failing);
        self.wake(replica);
    }

    fn scale(&mut self, scaling: &Scaling) {
        let mean = self.mean(scaling.rule);
        let fleet = self.fleet();
        fleet.streak.look(mean.map(|mean| scaling.rule.wish(mean)));
        let up = fleet.ids(Standing::Up).count();
        let starting = fleet.ids(Standing::Starting).count();
        let down = fleet.ids(Standing::Down).next();
        let draining = fleet.ids(Standing::Draining).next();
        if up + starting < usize::from(scaling.min) && down.is_some() {
            self.start(down, scaling);
        } else if fleet.streak.out >= scaling.hold && starting < usize::from(scaling.max_starting) {
            if draining.is_some() || down.is_some() {
                fleet.streak.out = 0;
                fleet.usage.scaled_out += 1;
            }
            match draining {
                Some(replica) => {
                    self.stands(replica, Standing::Up);
                    self.route_stranded();
                }
                None => self.start(down, scaling),
            }
        } else if fleet.streak.fewer >= scaling.hold && starting == 0 && up > usize::from(scaling.min) {
            fleet.streak.fewer = 0;
            fleet.usage.scaled_in += 1;
            self.drain_one();
        }
    }

    fn start(&mut self, replica: Option<ReplicaId>, scaling: &Scaling) {
        let Some(replica) = replica else { return };
        self.stands(replica, Standing::Starting);
        let ready = self.now + scaling.cold_start;
        self.fleet().ready.insert((ready, replica));
    }

    fn drain_one(&mut self) {
        let now = self.now;
        let fleet = self.fleet.as_ref().expect("only where replicas come and go");
        let requests = |r: ReplicaId| self.replicas[r.index()].state.load_at(now, now).requests;
        let fewest = fleet.ids(Standing::Up).min_by_key(|&r| (requests(r), Reverse(r)));
        let Some(replica) = fewest else { return };
        self.stands(replica, Standing::Draining);
        self.wake(replica);
    }

    /// The mean that a rule looks at, in thousandths; none while no replica is up.
    fn mean(&self, rule: Rule) -> Option<i128> {
        let now = self.now;
        let fleet = self.fleet.as_ref()?;
        let up: Vec<&Replica> = fleet.ids(Standing::Up).map(|r| &self.replicas[r.index()]).collect();
        let n = i128::try_from(up.len()).ok().filter(|&n| n > 0)?;
        let loads = up.iter().map(|r| r.state.load_at(now, now));
        Some(match rule {
            Rule::Requests(_) => loads.map(|l| i128::from(l.requests)).sum::<i128>() * 1000 / n,
            Rule::Memory(_) => {
                let blocks: i128 = up.iter().map(|r| i128::from(r.state.pool.total())).sum();
                loads.map(|l| i128::from(l.blocks)).sum::<i128>() * 1000 / blocks
            }
            Rule::Freeness { .. } => {
                let each = up.iter().map(|r| r.state.freeness(now, &self.world).thousandths());
                each.sum::<i128>().div_euclid(n)
            }
        })
    }

    /// A move has ended: of its two sides, one that is on its way out may be gone.
    pub(super) fn move_is_over(&mut self, sides: [ReplicaId; 2]) {
        for replica in sides {
            if !self.is_up(replica) {
                self.touched.push(replica);
            }
        }
    }

    /// Before a replica that is not up plans: it may be gone. Returns whether it must not plan.
    pub(super) fn leaves_fleet(&mut self, replica: ReplicaId) -> bool {
        let Some(fleet) = &self.fleet else { return false };
        if fleet.standing(replica) != Standing::Failing {
            return false;
        }
        let moves = self.migrations.as_ref().is_some_and(|m| m.takes_part(replica));
        let failed = &mut self.replicas[replica.index()];
        if failed.state.flights.is_empty() {
            failed.lose_kv(self.now, &mut self.world);
        }
        if failed.state.is_still() && !moves {
            self.lose(replica);
        }
        true
    }

    /// After a replica found nothing to plan: one that drains is down when nothing is left on it.
    pub(super) fn may_be_drained(&mut self, replica: ReplicaId) {
        let Some(fleet) = &self.fleet else { return };
        let moves = || self.migrations.as_ref().is_some_and(|m| m.takes_part(replica));
        let empty = self.replicas[replica.index()].state.is_empty();
        if fleet.standing(replica) == Standing::Draining && empty && !moves() {
            self.stands(replica, Standing::Down);
            self.replicas[replica.index()].state.forget_cache();
            self.router.forget(replica);
        }
    }

    /// A failing replica is gone, and its requests come to the router again.
    fn lose(&mut self, replica: ReplicaId) {
        let now = self.now;
        let Some(failure) = self.fleet().failing[replica.index()].take() else { return };
        let lost = self.replicas[replica.index()].lose_all(now, &mut self.world);
        self.router.forget(replica);
        self.fleet().usage.lost += lost.len() as u64;
        for request in lost {
            self.queue.push(now + failure.detection, Event::Routed { request });
        }
        self.stands(replica, Standing::Repaired);
        self.fleet().ready.insert((now + failure.repair, replica));
    }

    /// Requests that found no replica up are routed as soon as one is.
    fn route_stranded(&mut self) {
        if !self.fleet().has_any_up() {
            return;
        }
        for request in std::mem::take(&mut self.fleet().stranded) {
            if !self.world.is_done(request) {
                self.send_to_replica(request);
            }
        }
    }
}
