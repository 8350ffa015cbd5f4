//! One engine replica: its queues, its cohort, its KV pool, the work on its way.
//!
//! The flow of one request: `enqueue` → waiting → (a plan admits it: `apply`) → prefilling → (its last chunk returns:
//! `complete`) → member of the cohort → (a milestone is reached: `complete`) → `remove`.

use std::collections::VecDeque;

use crate::ids::{ReplicaId, RequestId};
use crate::kv::{Pool, Released};
use crate::metrics::record::Cause;
use crate::policy::scheduler::{Completion, ReplicaEvent, Scheduler};
use crate::units::{SimDuration, SimTime};

use super::bound::BoundClock;
use super::clock::BusyClock;
use super::cohort::Cohort;
use super::config::{FirstToken, KvConfig, Preemption, ReplicaConfig, Role};
use super::deadlines::StepEnds;
use super::event::{StepObserver, Violation};
use super::flight::Flight;
use super::gaps::GapStack;
use super::handover::Exchange;
use super::load::LoadHistory;
use super::order::remove_ordered;
use super::request::Phase;
use super::view::EngineView;
use super::world::World;

/// A replica with the policy that plans it.
pub(crate) struct Replica {
    pub state: ReplicaState,
    pub(super) scheduler: Box<dyn Scheduler>,
}

/// Everything of a replica that a scheduler's view may read.
pub(crate) struct ReplicaState {
    pub id: ReplicaId,
    /// Which group of equal replicas it is of.
    pub group: usize,
    /// Whether requests are sent to it.
    pub up: bool,
    pub kv: KvConfig,
    pub completion: Completion,
    pub knows_lengths: bool,
    pub late_stop: bool,
    pub pool: Pool,
    pub cohort: Cohort,
    /// In queue order.
    pub waiting: VecDeque<RequestId>,
    /// In queue order; everything that is running.
    pub running: Vec<RequestId>,
    /// In queue order; ready requests whose prompt is incomplete and not fed.
    pub partial: Vec<RequestId>,
    /// In queue order.
    pub swapped: Vec<RequestId>,
    /// Members that get tokens and did not get their latest one with the cohort.
    pub joiners: Vec<RequestId>,
    /// When the cohort took its latest step.
    pub last_token: SimTime,
    pub gap_stack: GapStack,
    pub step_ends: StepEnds,
    pub clock: BusyClock,
    /// Finished requests that hold their slot.
    pub held_slots: u32,
    /// What keeps it from admitting more.
    pub bound: BoundClock,
    /// In launch order; boxed, because a flight is large and goes from hand to hand.
    pub flights: VecDeque<Box<Flight>>,
    /// Finished flights, kept for their memory.
    #[expect(clippy::vec_box, reason = "they come from the queue of flights and go back to it")]
    pub spare: Vec<Box<Flight>>,
    /// When each pipeline stage is free.
    pub stage_free: Vec<SimTime>,
    pub load: LoadHistory,
    /// Requests on their way whose clients have given up.
    pub giving_up: Vec<RequestId>,
    /// Memory of the lists of a completion: who has got the last token, and whose late stop a leap passed.
    pub finished: Vec<RequestId>,
    pub stops: Vec<RequestId>,
    /// Requests on their way from prefill to decode replicas.
    pub exchange: Exchange,
    /// Requests that left since the policy was told last.
    left: Vec<RequestId>,
    next_number: u32,
    next_event: u32,
}

/// What came of planning.
pub(crate) enum Planned {
    /// A step is under way.
    Step(Launched),
    /// Only victims lost their places: what they held may let the next plan do something.
    Victims,
    /// Nothing.
    Nothing,
}

/// What planning started.
pub(crate) struct Launched {
    /// Number of the completion event.
    pub event: u32,
    /// When the tokens are back.
    pub end: SimTime,
    /// When the first stage is free again.
    pub first_stage_free: SimTime,
}

impl Replica {
    pub fn new(
        id: ReplicaId,
        group: usize,
        config: &ReplicaConfig,
        scheduler: Box<dyn Scheduler>,
        stages: u8,
    ) -> Self {
        let host_blocks = match config.kv.preemption {
            Preemption::Recompute => 0,
            Preemption::Swap { host_blocks } => host_blocks,
        };
        let kv = &config.kv;
        let completion = scheduler.completion();
        let state = ReplicaState {
            id,
            group,
            up: true,
            kv: *kv,
            completion,
            knows_lengths: scheduler.knows_lengths(),
            late_stop: config.late_stop && stages == 1 && completion == Completion::Leaves,
            pool: Pool::new(kv.block, kv.blocks, host_blocks, kv.prefix_cache)
                .with_host_tier(config.host_cache),
            cohort: Cohort::new(kv.block),
            waiting: VecDeque::new(),
            running: Vec::new(),
            partial: Vec::new(),
            swapped: Vec::new(),
            joiners: Vec::new(),
            last_token: SimTime::ZERO,
            gap_stack: GapStack::default(),
            step_ends: StepEnds::default(),
            clock: BusyClock::default(),
            held_slots: 0,
            bound: BoundClock::default(),
            flights: VecDeque::new(),
            spare: Vec::new(),
            stage_free: vec![SimTime::ZERO; usize::from(stages)],
            load: LoadHistory::default(),
            giving_up: Vec::new(),
            finished: Vec::new(),
            stops: Vec::new(),
            exchange: Exchange::default(),
            left: Vec::new(),
            next_number: 0,
            next_event: 0,
        };
        Replica { state, scheduler }
    }

    /// Makes it compute one phase of its requests only.
    pub fn with_role(mut self, role: Role, first_token: FirstToken) -> Self {
        // When the answer ends with the prompt's step is known before.
        self.state.late_stop &= role != Role::Prefill;
        self.state.exchange = Exchange { role, first_token, ..Exchange::default() };
        self
    }

    /// A request joins the waiting queue. Returns the new completion event of a leap that its arrival cuts.
    pub fn enqueue(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Option<(u32, SimTime)> {
        let cut = self.state.enqueue(id, now, world);
        self.scheduler.on_event(ReplicaEvent::Arrived(id));
        cut
    }

    /// The client of a request between prefill and decode gives up.
    pub fn leave_exchange(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.state.leave_exchange(id, now, world);
        self.tell_who_left();
    }

    /// Ends the first flight at `now`.
    pub fn complete(&mut self, now: SimTime, world: &mut World<'_>, observer: &mut impl StepObserver) {
        let span = self.state.complete(now, world, observer);
        self.scheduler.on_steps(&span);
        self.tell_who_left();
    }

    /// The client of a request gives up. Returns the new completion event of a leap that is cut for it.
    pub fn give_up(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Option<(u32, SimTime)> {
        let cut = self.state.give_up(id, now, world);
        self.tell_who_left();
        cut
    }

    /// Tells the policy who has left since it was told last.
    pub(super) fn tell_who_left(&mut self) {
        for id in self.state.left.drain(..) {
            self.scheduler.on_event(ReplicaEvent::Left(id));
        }
    }

    /// Lets the policy decide and starts what it decided, if anything. Call it where `can_plan`.
    pub fn plan(&mut self, now: SimTime, world: &mut World<'_>) -> Result<Planned, Violation> {
        let state = &mut self.state;
        if !state.has_no_work() {
            let mut flight = state.spare.pop().unwrap_or_default();
            flight.clear();
            world.counters.plans += 1;
            let view = EngineView::new(state, world, now);
            self.scheduler.plan(&view, &mut flight.plan);
            if world.audit {
                let checked = self.scheduler.self_check(&view);
                checked.map_err(|message| state.violation("plan", now, message))?;
            }
            if !flight.plan.is_empty() {
                let leaps = flight.plan.is_pure_decode() && state.stage_free.len() == 1 && !world.stepwise;
                let horizon = leaps.then(|| self.scheduler.horizon(&view, &flight.plan));
                state.apply(&mut flight, now, world)?;
                state.bound_by(&flight.plan, now, world);
                let launched = state.launch(flight, horizon, now, world);
                state.audit_step(now, world)?;
                self.tell_who_left();
                return Ok(Planned::Step(launched));
            }
            if !state.flights.is_empty() {
                state.spare.push(flight);
                return Ok(Planned::Nothing);
            }
            // A plan of victims only: their blocks let the next plan do something.
            let victims = !flight.plan.preempt.is_empty();
            state.apply(&mut flight, now, world)?;
            state.spare.push(flight);
            if victims {
                return Ok(Planned::Victims);
            }
            if !state.waits_for_kv() {
                let message = "work is waiting, nothing is under way, and the plan is empty".to_owned();
                return Err(state.violation("I7", now, message));
            }
        }
        self.tell_who_left();
        let state = &mut self.state;
        if state.flights.is_empty() {
            state.bound.set(None, now, &mut world.counters.bound_time);
        }
        Ok(Planned::Nothing)
    }
}

impl ReplicaState {
    /// A request joins the waiting queue. Returns the new completion event of a leap that its arrival cuts.
    fn enqueue(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Option<(u32, SimTime)> {
        self.load_before_change(now);
        self.number(id, world);
        let request = world.request_mut(id);
        request.phase = Phase::Waiting;
        request.record.queued = now;
        request.mark = now;
        self.load.queued(u64::from(request.prompt), now);
        world.inside += 1;
        let demand = self.demand(id, world);
        self.load.asks(demand);
        self.wait(id, world);
        self.bound_follows(now);
        self.cut_leap(now, false)
    }

    /// A request is this replica's from now on; gives it its place in queue order.
    pub fn number(&mut self, id: RequestId, world: &mut World<'_>) {
        let rank = world.rank(id);
        let request = world.request_mut(id);
        (request.rank, request.number) = (rank, self.next_number);
        // Stamps are those of a replica's own plans.
        request.planned = 0;
        request.record.replica = self.id;
        self.next_number += 1;
    }

    /// Whether a plan could be launched at `now`.
    pub fn can_plan(&self, now: SimTime) -> bool {
        self.flights.len() < self.stage_free.len() && self.stage_free[0] <= now
    }

    /// Shortens a leap that arrivals cut (`always`: any leap) to the first step boundary at or after `now`.
    pub fn cut_leap(&mut self, now: SimTime, always: bool) -> Option<(u32, SimTime)> {
        let flight = self.flights.front_mut()?;
        let leap = flight.leap.as_mut().filter(|l| always || l.cut_by_arrivals)?;
        let steps = leap.steps_to_boundary(now - flight.start);
        if steps == leap.steps {
            return None;
        }
        leap.steps = steps;
        flight.end = flight.start + leap.elapsed(steps);
        flight.event = self.next_event;
        let event = (self.next_event, flight.end);
        self.next_event += 1;
        Some(event)
    }

    /// Marks what the plan that is being applied names; never 0, and never the same for two plans with work.
    pub fn plan_stamp(&self) -> u32 {
        self.next_event + 1
    }

    /// Number for a new completion event.
    pub fn event_number(&mut self) -> u32 {
        self.next_event += 1;
        self.next_event - 1
    }

    /// Whether there is nothing to plan: nobody waits, is swapped out, or is ready.
    fn has_no_work(&self) -> bool {
        self.nobody_waits() && self.cohort.n == 0 && self.partial.is_empty()
    }

    /// Removes a running request for good; its blocks are let go.
    pub fn remove(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        if world.request(id).phase == Phase::Decoding {
            self.depart(id, world);
        }
        self.release(id, None, world);
        self.forget_running(id, world);
        self.count_out(id, now, world);
    }

    /// A request whose blocks are let go is gone.
    pub fn count_out(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        let tokens = u64::from(world.request(id).tokens());
        world.inside -= 1;
        self.load.left(tokens, now);
        self.forget(id);
        world.requests.close(id);
    }

    /// The policy is to be told that a request has left.
    pub fn forget(&mut self, id: RequestId) {
        self.left.push(id);
    }

    /// Lets a request's blocks go; `returns` keeps the private keys of its full blocks.
    pub fn release(&mut self, id: RequestId, returns: Option<u32>, world: &mut World<'_>) {
        let request = world.request_mut(id);
        let blocks = std::mem::take(&mut request.blocks);
        let returns = returns.filter(|_| !request.unfindable).map(|full| (id, full));
        self.pool.release(Released { blocks, keyed: &request.keyed, returns });
        request.keyed.clear();
    }

    /// Takes a request out of the running set and the list of incomplete prompts.
    pub fn forget_running(&mut self, id: RequestId, world: &World<'_>) {
        remove_ordered(&mut self.running, id, world);
        if world.request(id).phase == Phase::Prefilling {
            remove_ordered(&mut self.partial, id, world);
        }
    }

    /// A violation on this replica.
    pub fn violation(&self, invariant: &'static str, at: SimTime, message: String) -> Violation {
        Violation { invariant, at, replica: self.id, message }
    }

    /// A static batch is over when every running request has finished: then all leave.
    pub fn end_held_batch(&mut self, now: SimTime, world: &mut World<'_>) {
        let Completion::HoldsSlot { return_early } = self.completion else { return };
        if self.running.is_empty() || self.running.iter().any(|&r| world.request(r).phase != Phase::Held) {
            return;
        }
        let mut running = std::mem::take(&mut self.running);
        for id in running.drain(..) {
            if !return_early {
                let request = world.request_mut(id);
                request.charge(Cause::Bubble, now);
                request.record.gap_max = SimDuration::ZERO;
                (0..world.request(id).output).for_each(|token| world.count_token(id, token, now));
                world.first_token(id, now);
                world.finish(id, now);
            }
            self.release(id, None, world);
            self.count_out(id, now, world);
        }
        self.running = running;
        self.held_slots = 0;
    }

    /// The plan of a flight that is done goes back for reuse.
    pub fn recycle(&mut self, flight: Box<Flight>) {
        if self.spare.len() < 8 {
            self.spare.push(flight);
        }
    }
}
