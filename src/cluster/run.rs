//! One run: the loop over instants. All events of an instant are applied, then every touched replica plans once.

use std::collections::VecDeque;

use crate::engine::config::{Admission, ReplicaConfig, Role};
use crate::engine::{Planned, Replica, StepObserver, Violation, World};
use crate::ids::{ReplicaId, RequestId};
use crate::kernel::EventQueue;
use crate::metrics::record::Outcome;
use crate::policy::scheduler::Scheduler;
use crate::units::SimTime;
use crate::workload::Trace;

use super::api::{Deployment, RunOptions};
use super::dispatch::{DRAWS, Dispatcher};
use super::early::EarlyHandOvers;
use super::fetch::Fetches;
use super::fleet::Fleet;
use super::front_end::Workers;
use super::joint::DecodeRouters;
use super::migration::Migrations;
use super::mixed::MixedPool;
use super::sample::Sampler;
use super::turns::TurnsAfterAnswers;
use super::watch::Watch;
use super::wires::Wires;

/// What happens at an instant. The order of the variants is the order inside an instant (docs/semantics.md §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// A step or leap of a replica ends.
    Completion { replica: ReplicaId, event: u32 },
    /// KV of a request begins to flow.
    Flow { request: RequestId },
    /// The next flow ends, as forecast when the flows changed last.
    FlowEnds { version: u32 },
    /// A prefill replica learns that KV has arrived.
    Acknowledged { request: RequestId },
    /// The prompt of a request is complete; a decode replica is chosen.
    Offer { request: RequestId },
    /// A replica learns that it is its turn in the move of a request.
    Turn { request: RequestId },
    /// A request arrives at the front end.
    Arrival { request: RequestId },
    /// A request leaves the front end and is routed.
    Routed { request: RequestId },
    /// The first pipeline stage of a replica is free.
    StageFree { replica: ReplicaId },
}

/// Makes the scheduler of a replica.
pub(super) type Build<'b> = &'b dyn Fn(ReplicaId, &ReplicaConfig) -> Box<dyn Scheduler>;

/// The state of a run between two instants.
pub(super) struct Run<'a> {
    pub trace: &'a Trace,
    pub options: RunOptions,
    pub world: World<'a>,
    pub replicas: Vec<Replica>,
    /// Of the replicas that compute prompts.
    pub router: Dispatcher<'a>,
    /// Of the replicas that decode, where others compute prompts.
    pub decode: Option<DecodeRouters<'a>>,
    /// Replicas beside the pools that compute whole requests.
    pub mixed: Option<MixedPool>,
    /// Where KV is sent while its prompt is computed.
    pub early: Option<EarlyHandOvers>,
    /// Where running requests move.
    pub migrations: Option<Migrations<'a>>,
    /// Where replicas come and go.
    pub fleet: Option<Fleet<'a>>,
    /// Where prefixes are fetched from other replicas.
    pub fetches: Option<Fetches<'a>>,
    /// KV on its way between replicas.
    pub wires: Option<Wires<'a>>,
    /// Where turns come after answers.
    pub turns: Option<TurnsAfterAnswers>,
    pub workers: Workers,
    pub admission: Admission,
    /// When the clients of those that arrived give up, in order of arrival.
    pub patience: VecDeque<(SimTime, RequestId)>,
    pub queue: EventQueue<Event>,
    pub touched: Vec<ReplicaId>,
    /// Memory of those that plan.
    planning: Vec<ReplicaId>,
    pub now: SimTime,
    pub samples: Sampler,
}

impl<'a> Run<'a> {
    pub fn new(build: Build<'_>, deployment: &Deployment<'a>, trace: &'a Trace, options: RunOptions) -> Self {
        let mut world = World::new(&deployment.parts(), trace, options.stepwise);
        world.audit = options.audit;
        world.deadlines = options.deadlines;
        world.streaming = deployment.front_end.per_streamed_token;
        world.headroom = deployment.headroom;
        let groups = deployment.groups.iter().enumerate();
        let owners: Vec<usize> = groups.flat_map(|(g, of)| vec![g; usize::from(of.replicas)]).collect();
        let in_role = |role: Role| -> Vec<ReplicaId> {
            let of = |&(_, &group): &(u16, &usize)| deployment.groups[group].role == role;
            (0u16..).zip(&owners).filter(of).map(|(r, _)| ReplicaId(r)).collect()
        };
        let joint = deployment.joint;
        let hand_over = joint.and_then(|j| Some((j.hand_over?, j.network)));
        let first = in_role(if hand_over.is_some() { Role::Prefill } else { Role::Whole });
        let router = Dispatcher::new(deployment.router, first, trace, (DRAWS, deployment.seed));
        let mixed =
            hand_over.and_then(|(config, _)| MixedPool::new(in_role(Role::Whole), config.mixed_above));
        let decode = hand_over.map(|(config, network)| {
            DecodeRouters::new(config, network, &in_role(Role::Decode), trace, deployment.seed)
        });
        let migration = joint.and_then(|j| j.migration);
        let migrations = migration.map(|m| Migrations::new(m, owners.len()));
        let early = hand_over.and_then(|(config, _)| {
            Some(EarlyHandOvers::new(config.overlap?, config.first_token, owners.len()))
        });
        let first_token = hand_over.map(|(config, _)| config.first_token).unwrap_or_default();
        let mut replicas: Vec<Replica> = (0u16..)
            .zip(owners)
            .map(|(r, group)| {
                let id = ReplicaId(r);
                let of = &deployment.groups[group];
                let mut replica =
                    Replica::new(id, group, of.replica, build(id, of.replica), of.cost.stages())
                        .with_role(of.role, first_token);
                let decodes = decode.as_ref().filter(|_| of.role == Role::Decode);
                replica.state.load.period = decodes.map_or(router.period(), DecodeRouters::report_period);
                // Where the client's next request follows the last token, that one is an event.
                replica.state.cohort.passes_late_stops = replica.state.late_stop && !trace.hears_answers();
                replica
            })
            .collect();
        let fleet = deployment.changes.map(|changes| Fleet::new(changes, &mut replicas));
        let router = if fleet.is_some() { router.with_changes() } else { router };
        let span = trace.requests.last().map_or(SimTime::ZERO, |r| r.arrival);
        Run {
            trace,
            options,
            world,
            replicas,
            router,
            decode,
            mixed,
            early,
            migrations,
            fleet,
            fetches: joint.filter(|j| j.prefix_fetch).map(|j| Fetches::new(j.network)),
            wires: joint.map(|j| Wires::new(j.network)),
            turns: TurnsAfterAnswers::new(trace),
            workers: Workers::new(deployment.front_end),
            admission: deployment.front_end.admission,
            patience: VecDeque::new(),
            queue: EventQueue::default(),
            touched: Vec::new(),
            planning: Vec::new(),
            now: SimTime::ZERO,
            samples: Sampler::new(options.samples, span),
        }
    }

    /// Carries the run out.
    pub fn finish(mut self, observer: &mut impl StepObserver) -> Result<Outcome, Violation> {
        let mut watch = watch_for(&self, observer);
        self.issue_first();
        while let Some(now) = self.next_instant() {
            self.instant(now, observer)?;
            if let Some(watch) = &mut watch {
                watch.look(&self, observer);
            }
        }
        super::audit::end(&self.world, self.trace, &self.replicas, self.now)?;
        Ok(self.outcome())
    }

    /// Applies all events of the instant `now`, then lets every touched replica plan once.
    fn instant(&mut self, now: SimTime, observer: &mut impl StepObserver) -> Result<(), Violation> {
        assert!(now >= self.now, "the clock never goes back (I4)");
        while let Some(at) = self.samples.due(now) {
            let sample = self.sample(at);
            self.samples.take(sample);
            super::watch::look_at_memory(self, at, observer);
        }
        self.now = now;
        self.events(observer);
        if self.fleet.as_ref().is_some_and(|f| f.next(now) == Some(now)) {
            self.change_fleet();
            self.events(observer);
        }
        if self.world.inside > 0 && self.migrations.as_ref().is_some_and(|m| m.next_tick(now) == now) {
            self.tick();
            // Leaps that end here because of it.
            self.events(observer);
        }
        while let Some((_, request)) = self.patience.front().copied().filter(|&(at, _)| at == now) {
            self.patience.pop_front();
            self.give_up(request);
            // A leap that ends here because of it, and what its client asks next.
            self.events(observer);
        }
        self.plan_touched()?;
        if self.options.audit {
            super::audit::instant(&self.world, &self.replicas, now)?;
        }
        Ok(())
    }

    /// Every touched replica plans once; those that are touched meanwhile plan after all others.
    fn plan_touched(&mut self) -> Result<(), Violation> {
        let mut touched = std::mem::take(&mut self.planning);
        while !self.touched.is_empty() {
            std::mem::swap(&mut self.touched, &mut touched);
            touched.sort_unstable();
            touched.dedup();
            for &replica in &touched {
                self.plan(replica)?;
            }
            touched.clear();
        }
        self.planning = touched;
        Ok(())
    }

    /// The next instant at which something happens. Nobody gives up on what is done.
    fn next_instant(&mut self) -> Option<SimTime> {
        while self.patience.front().is_some_and(|&(_, id)| self.world.is_done(id)) {
            self.patience.pop_front();
        }
        self.drop_stale();
        let patience = self.patience.front().map(|&(at, _)| at);
        let next = self.queue.next_time().into_iter().chain(patience).min();
        let waits = |&id: &RequestId| !self.world.is_done(id);
        let stranded = self.fleet.as_ref().is_some_and(|f| f.stranded.iter().any(waits));
        if next.is_none() && !stranded {
            // Where nothing else would happen a timer changes nothing: the run is over.
            return None;
        }
        let moves = self.migrations.as_ref().filter(|_| self.world.inside > 0);
        let tick = moves.map(|m| m.next_tick(self.now));
        let change = self.fleet.as_ref().and_then(|f| f.next(self.now));
        next.into_iter().chain(tick).chain(change).min()
    }

    /// Takes events off the front of the queue that stand for what was cut or forecast anew since: nothing happens there.
    fn drop_stale(&mut self) {
        while let Some(next) = self.queue.peek() {
            let stale = match next {
                Event::Completion { replica, event } => {
                    !self.replicas[replica.index()].state.is_current(event)
                }
                Event::FlowEnds { version } => !self.wires().is_current(version),
                // Its client gave up in the front end, or at the router.
                Event::Routed { request } => self.world.is_done(request),
                _ => false,
            };
            if !stale {
                return;
            }
            self.queue.pop();
        }
    }

    /// Applies the queued events of this instant.
    fn events(&mut self, observer: &mut impl StepObserver) {
        while let Some(event) = self.queue.pop_at(self.now) {
            match event {
                Event::Completion { replica, event } => self.complete(replica, event, observer),
                Event::Flow { request } => self.flow(request),
                Event::FlowEnds { version } => self.flows_end(version),
                Event::Acknowledged { request } => self.end_lease(request),
                Event::Offer { request } => self.offer(request),
                Event::Turn { request } => self.turn(request),
                Event::Arrival { request } => self.arrive(request),
                Event::Routed { request } => self.route(request),
                Event::StageFree { replica } => self.touched.push(replica),
            }
        }
    }

    fn complete(&mut self, id: ReplicaId, event: u32, observer: &mut impl StepObserver) {
        let replica = &mut self.replicas[id.index()];
        if !replica.state.is_current(event) {
            return;
        }
        replica.complete(self.now, &mut self.world, observer);
        for request in replica.state.exchange.complete.drain(..) {
            self.queue.push(self.now, Event::Offer { request });
        }
        self.void_early(id);
        self.touched.push(id);
        self.free_clients();
    }

    /// Something happened on a replica, which plans at this instant if it can; a leap may have been cut for it.
    pub fn cut(&mut self, replica: ReplicaId, cut: Option<(u32, SimTime)>) {
        if let Some((event, at)) = cut {
            self.queue.push(at, Event::Completion { replica, event });
        }
        self.touched.push(replica);
    }

    /// A replica plans at this instant if it can, or at its next step boundary.
    pub fn wake(&mut self, replica: ReplicaId) {
        let cut = self.replicas[replica.index()].state.cut_leap(self.now, true);
        self.cut(replica, cut);
    }

    fn plan(&mut self, id: ReplicaId) -> Result<(), Violation> {
        if !self.replicas[id.index()].state.can_plan(self.now) {
            return Ok(());
        }
        self.replicas[id.index()].state.pool.keep_brought();
        let launched = loop {
            self.take_turn(id);
            if self.leaves_fleet(id) {
                return Ok(());
            }
            self.take_offers(id);
            self.take_early(id);
            match self.replicas[id.index()].plan(self.now, &mut self.world)? {
                Planned::Step(launched) => break launched,
                Planned::Victims => {}
                Planned::Nothing => {
                    self.may_be_drained(id);
                    return Ok(());
                }
            }
        };
        self.queue.push(launched.end, Event::Completion { replica: id, event: launched.event });
        self.offer_early(id, launched.end);
        if self.replicas[id.index()].state.stage_free.len() > 1 {
            self.queue.push(launched.first_stage_free, Event::StageFree { replica: id });
        }
        Ok(())
    }
}

/// Who looks for changes after every instant; nobody where the observer does not want it.
fn watch_for<O: StepObserver>(run: &Run<'_>, _observer: &O) -> Option<Watch> {
    O::WATCHES.then(|| Watch::new(run))
}
