//! Carries out the routing policy: what each replica reports, and what the router knows of its own dispatches.

use std::collections::VecDeque;

use crate::engine::config::Role;
use crate::engine::{Phase, Replica, World, last_multiple};
use crate::ids::{ReplicaId, RequestId};
use crate::policy::freeness::Freeness;
use crate::policy::router::{
    Decision, Expectations, Load, Memory, Replicas, Report, RouteRequest, Router, RouterConfig,
};
use crate::rng::{Component, stream};
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

use super::alone;
use super::fetch::Fetches;

/// Draws of the router that requests meet first.
pub(super) const DRAWS: Component = Component::named("router");

/// A routed request that the replica's last report does not show.
struct Dispatch {
    at: SimTime,
    replica: ReplicaId,
    load: Load,
}

/// A router and the replicas that it knows. To it they are numbered from 0.
pub(super) struct Dispatcher<'a> {
    policy: Box<dyn Router>,
    pool: Vec<ReplicaId>,
    report: Report,
    trace: &'a Trace,
    /// Whether replicas come and go.
    partial: bool,
    /// Of its draws.
    draws: (Component, u64),
    recent: VecDeque<Dispatch>,
    /// Sum of `recent` by number in the pool.
    own: Vec<Load>,
}

impl<'a> Dispatcher<'a> {
    pub fn new(
        config: &RouterConfig,
        pool: Vec<ReplicaId>,
        trace: &'a Trace,
        draws: (Component, u64),
    ) -> Self {
        Dispatcher {
            policy: config.build(),
            report: config.report().unwrap_or_default(),
            trace,
            partial: false,
            draws,
            recent: VecDeque::new(),
            own: vec![Load::default(); pool.len()],
            pool,
        }
    }

    /// Replicas come and go: whether each of them is up has to be looked at.
    pub fn with_changes(mut self) -> Self {
        self.partial = true;
        self
    }

    /// What `replica` had cached is gone.
    pub fn forget(&mut self, replica: ReplicaId) {
        if let Some(number) = self.pool.iter().position(|&r| r == replica) {
            self.policy.forget(ReplicaId(u16::try_from(number).expect("ids of replicas are 16 bits wide")));
        }
    }

    /// The router counts `load` on `replica`, which does not know of it yet.
    pub fn expect(&mut self, replica: ReplicaId, load: Load) {
        let own = self.own_of(replica);
        own.requests += load.requests;
        own.tokens += load.tokens;
        own.blocks += load.blocks;
    }

    /// The replica knows of it now, or nothing comes of it.
    pub fn settle(&mut self, replica: ReplicaId, load: Load) {
        let own = self.own_of(replica);
        own.requests -= load.requests;
        own.tokens -= load.tokens;
        own.blocks -= load.blocks;
    }

    fn own_of(&mut self, replica: ReplicaId) -> &mut Load {
        let number = self.pool.iter().position(|&r| r == replica).expect("it was chosen from this pool");
        &mut self.own[number]
    }

    /// Reporting period; zero for a router that reads the present or nothing.
    pub fn period(&self) -> SimDuration {
        self.report.staleness
    }

    /// Chooses a replica for `id` at `now`.
    pub fn route(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
        replicas: &[Replica],
    ) -> ReplicaId {
        self.decide(id, now, world, replicas, None).to
    }

    /// What becomes of `id` at `now`.
    pub fn decide(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
        replicas: &[Replica],
        fetches: Option<&Fetches<'_>>,
    ) -> Decision {
        let at = last_multiple(self.report.staleness, now);
        while self.recent.front().is_some_and(|d| d.at <= at) {
            let Some(shown) = self.recent.pop_front() else { break };
            let own = &mut self.own[shown.replica.index()];
            own.requests -= shown.load.requests;
            own.tokens -= shown.load.tokens;
            own.blocks -= shown.load.blocks;
        }
        let prompt = world.request(id).prompt;
        // Ids of unknown size say nothing about tokens.
        let prefixes = self.trace.prefixes.as_deref().filter(|p| p.tokens_per_id > 0);
        let request = RouteRequest {
            id,
            prompt,
            session: self.trace.session(id),
            prefix: prefixes.map_or(&[], |p| p.of(id)),
            tokens_per_id: prefixes.map_or(1, |p| p.tokens_per_id),
        };
        let (pool, own, draws) = (&self.pool[..], &self.own[..], self.draws);
        let partial = self.partial;
        let (world_now, reads) = (&*world, 0);
        let mut seen =
            Seen { id, at, now, world: world_now, replicas, fetches, pool, partial, own, draws, reads };
        let decision = self.policy.decide(&request, &mut seen);
        let chosen = decision.to;
        let reads = seen.reads;
        world.counters.router_reads += reads;
        if self.report.own_dispatches && at < now && !decision.refused {
            let blocks = u64::from(replicas[self.pool[chosen.index()].index()].state.demand(id, world));
            let load = Load { requests: 1, tokens: u64::from(prompt), blocks };
            let own = &mut self.own[chosen.index()];
            own.requests += 1;
            own.tokens += load.tokens;
            own.blocks += load.blocks;
            self.recent.push_back(Dispatch { at: now, replica: chosen, load });
        }
        let of = |number: ReplicaId| self.pool[number.index()];
        Decision { to: of(chosen), fetch_from: decision.fetch_from.map(of), ..decision }
    }
}

/// The replicas as the router may see them for one request.
struct Seen<'a, 'w> {
    id: RequestId,
    /// The report instant.
    at: SimTime,
    now: SimTime,
    world: &'a World<'w>,
    replicas: &'a [Replica],
    fetches: Option<&'a Fetches<'a>>,
    pool: &'a [ReplicaId],
    partial: bool,
    own: &'a [Load],
    draws: (Component, u64),
    reads: u64,
}

impl Seen<'_, '_> {
    fn replica(&self, number: ReplicaId) -> &Replica {
        &self.replicas[self.pool[number.index()].index()]
    }
}

impl Replicas for Seen<'_, '_> {
    fn count(&self) -> u16 {
        u16::try_from(self.pool.len()).expect("ids of replicas are 16 bits wide")
    }

    fn is_up(&self, replica: ReplicaId) -> bool {
        !self.partial || self.replica(replica).state.up
    }

    fn up(&self) -> u16 {
        let all = 0..self.count();
        if self.partial {
            u16::try_from(all.filter(|&r| self.is_up(ReplicaId(r))).count()).expect("at most as many as all")
        } else {
            all.end
        }
    }

    fn nth_up(&self, number: u16) -> ReplicaId {
        let mut up = (0..self.count()).map(ReplicaId).filter(|&r| self.is_up(r));
        if self.partial {
            up.nth(usize::from(number)).expect("below how many are up")
        } else {
            ReplicaId(number)
        }
    }

    fn load(&mut self, replica: ReplicaId) -> Load {
        self.reads += 1;
        let load = self.replica(replica).state.load_at(self.at, self.now);
        let own = self.own[replica.index()];
        Load {
            requests: load.requests + own.requests,
            tokens: load.tokens + own.tokens,
            blocks: load.blocks + own.blocks,
        }
    }

    fn memory(&self, replica: ReplicaId) -> Memory {
        let pool = &self.replica(replica).state.pool;
        Memory { blocks: pool.total(), block: pool.block() }
    }

    fn freeness(&mut self, replica: ReplicaId) -> Freeness {
        self.reads += 1;
        self.replica(replica).state.freeness(self.now, self.world)
    }

    fn cached(&mut self, replica: ReplicaId) -> u32 {
        self.reads += 1;
        self.replica(replica).state.cached_prefix(self.id, self.now, self.world)
    }

    fn expectations(&mut self) -> &mut dyn Expectations {
        self
    }

    fn draw(&self, index: u64, below: u16) -> u16 {
        let drawn = stream(self.draws.1, self.draws.0, u64::from(self.id.0), index).below(u64::from(below));
        u16::try_from(drawn).expect("below a number of replicas")
    }
}

impl Expectations for Seen<'_, '_> {
    fn kept(&mut self, replica: ReplicaId) -> u32 {
        self.reads += 1;
        self.replica(replica).state.kept_prefix(self.id, self.now, self.world)
    }

    fn carry_time(&self, from: ReplicaId, to: ReplicaId, blocks: u32) -> Option<SimDuration> {
        let of = |number: ReplicaId| self.pool[number.index()];
        self.fetches.map(|fetches| fetches.carry_time(of(from), of(to), blocks))
    }

    fn prompt_time(&self, replica: ReplicaId, past: u32, tokens: u32) -> SimDuration {
        alone::prompt(self.world.costs[self.replica(replica).state.group], past, tokens).total()
    }

    fn has_prompt(&self, replica: ReplicaId, request: RequestId) -> bool {
        let at = self.pool[replica.index()];
        if self.fetches.and_then(|f| f.destination(request)).is_some_and(|to| to == at) {
            return !self.is_done(request);
        }
        let state = self.world.requests.get(request);
        state.is_some_and(|r| {
            let is_there = !matches!(r.phase, Phase::Outside | Phase::AtRouter | Phase::Left);
            is_there && r.record.replica == at && r.generated == 0 && r.computed < r.prompt
        })
    }

    fn is_done(&self, request: RequestId) -> bool {
        let Some(state) = self.world.requests.get(request) else { return true };
        if state.phase != Phase::Decoding {
            return self.world.is_done(request);
        }
        // Its last token may lie inside the leap on its way.
        let replica = &self.replicas[state.record.replica.index()];
        self.world.is_done(request) || replica.state.finished_inside_leap(request, self.now, self.world)
    }

    fn writers(&self) -> u16 {
        let decode = self.replicas.iter().filter(|r| r.state.exchange.role == Role::Decode).count();
        if decode == 0 { self.up() } else { u16::try_from(decode).expect("ids of replicas are 16 bits wide") }
    }

    fn now(&self) -> SimTime {
        self.now
    }
}
