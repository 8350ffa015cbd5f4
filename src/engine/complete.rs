//! What happens when a step or leap ends: tokens are delivered, prompts advance, requests finish and leave.

use crate::ids::RequestId;
use crate::metrics::record::Cause;
use crate::policy::scheduler::{Completion, StepSpan};
use crate::units::{SimDuration, SimTime};

use super::cohort::Milestone;
use super::config::FirstToken;
use super::event::{StepEvent, StepObserver};
use super::flight::Flight;
use super::order::{insert_ordered, remove_ordered};
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

impl ReplicaState {
    /// Whether completion event `event` is still the one of the first flight.
    pub fn is_current(&self, event: u32) -> bool {
        self.flights.front().is_some_and(|f| f.event == event)
    }

    /// Ends the first flight at `now`.
    ///
    /// The order matters: the busy clock is advanced before anybody's books are read from it, and members of the
    /// cohort take their step before those who join it at its end.
    pub fn complete(
        &mut self,
        now: SimTime,
        world: &mut World<'_>,
        observer: &mut impl StepObserver,
    ) -> StepSpan {
        self.load_before_change(now);
        let flight = self.flights.pop_front().expect("a completion has a flight");
        debug_assert_eq!(flight.end, now);
        world.counters.events += 1;
        let needed = world.count(&flight, self.group);
        let slots = world.counters.wasted_slots;
        let mut finished = std::mem::take(&mut self.finished);
        let piped = self.stage_free.len() > 1;
        if !piped {
            self.tick(&flight);
            self.charge_partial(&flight, world);
        }
        if flight.cohort_steps {
            self.step_cohort(&flight, now, &mut finished, world);
        }
        for &id in &flight.members {
            self.step_member(id, &flight, now, &mut finished, world);
        }
        for &(id, tokens) in &flight.plan.prefill {
            self.step_prompt(id, tokens, &flight, now, &mut finished, world);
        }
        let stopped = world.counters.wasted_slots - slots;
        world.counters.waste.steps += u64::from(needed == 0 && stopped == u64::from(flight.decode.n));
        let kv_held = self.pool.held();
        finished.sort_by_key(|&id| world.request(id).place());
        for id in finished.drain(..) {
            self.last_step_done(id, now, world);
        }
        self.finished = finished;
        self.end_held_batch(now, world);
        self.leave_given_up(now, world);
        observer.step(&StepEvent {
            replica: self.id,
            start: flight.start,
            end: now,
            steps: u32::try_from(flight.steps()).unwrap_or(u32::MAX),
            plan: &flight.plan,
            members: &flight.members,
            shape: flight.shape(),
            time: flight.time,
            kv_held,
            kv_total: self.pool.total(),
        });
        let span = StepSpan { start: flight.start, end: now, steps: flight.steps() };
        self.recycle(flight);
        span
    }

    /// Advances the busy clock over the flight (one stage).
    fn tick(&mut self, flight: &Flight) {
        let steps = flight.steps();
        if let Some(leap) = &flight.leap {
            let gpu = leap.gpu_sum(steps);
            self.clock.decode += gpu;
            self.clock.host += leap.elapsed(steps).as_ps() - gpu;
        } else if flight.cohort_steps {
            self.clock.decode += flight.decode_gpu;
            self.clock.stalled += flight.time.gpu().as_ps() - flight.decode_gpu + flight.load.as_ps();
            self.clock.host += flight.time.host.as_ps();
            self.clock.swap += flight.swap.as_ps();
        } else {
            self.clock.stalled += (flight.time.total() + flight.swap + flight.load).as_ps();
        }
    }

    /// Incomplete prompts that the step did not work on were interrupted (one stage).
    fn charge_partial(&self, flight: &Flight, world: &mut World<'_>) {
        for &id in &self.partial {
            let request = &mut world.requests[id];
            let waits = request.record.scheduled != SimTime::MAX && !request.recovering;
            if waits && !flight.plan.prefill.iter().any(|&(r, _)| r == id) {
                request.charge(Cause::PrefillInterrupted, flight.end);
            }
        }
    }

    /// The cohort takes the flight's steps.
    fn step_cohort(
        &mut self,
        flight: &Flight,
        now: SimTime,
        finished: &mut Vec<RequestId>,
        world: &mut World<'_>,
    ) {
        let steps = flight.steps();
        if flight.leap.is_some() {
            let growth = u32::try_from(self.cohort.growth_over(steps)).expect("growth fits in the pool");
            self.pool.take(growth);
        }
        if world.deadlines.is_some() {
            self.step_ends.prune(&self.cohort, &self.running, world);
            self.step_ends.push(self.cohort.step, flight);
        }
        let (first, slope) = match &flight.leap {
            Some(leap) => (leap.total, leap.total_slope),
            None => (now.since(flight.start).as_ps(), 0),
        };
        let first_end = flight.start + SimDuration::from_ps(first);
        let held_back = self.completion == Completion::HoldsSlot { return_early: false };
        let emitting = u64::from(self.cohort.emitting);
        if self.cohort.stopping > 0 {
            debug_assert_eq!(steps, 1, "a late stop is over after one step");
            world.waste_slots(u64::from(self.cohort.stopping), self.cohort.stopping_context);
        }
        let veterans = emitting - self.joiners.len() as u64;
        let first_gap = first_end.as_ps() - self.last_token.as_ps();
        let last_gap = first + slope * (steps - 1);
        let stops = self.late_stops_passed(steps, world);
        let tokens = emitting * steps - stops.len() as u64;
        for &id in &stops {
            let request = world.request(id);
            world.waste_slots(1, u64::from(request.prompt) + u64::from(request.output));
        }
        self.gap_stack.push(self.cohort.step + 1, first_gap);
        if steps > 2 {
            self.gap_stack.push(self.cohort.step + steps - 1, last_gap - slope);
        }
        if !held_back {
            world.gaps.record(first_gap, veterans);
            if steps > 1 {
                world.gaps.record_line(first + slope, slope, steps - 2, emitting);
                world.gaps.record(last_gap, emitting - stops.len() as u64);
            }
        }
        let joiners = std::mem::take(&mut self.joiners);
        for &id in &joiners {
            self.first_cohort_token(id, first_end, !held_back, world);
        }
        self.joiners = joiners;
        self.joiners.clear();
        for &id in &stops {
            self.stop_inside(id, flight, world);
        }
        if steps > 1 {
            self.gap_stack.push(self.cohort.step + steps, last_gap);
        }
        self.last_token = now;
        self.load.delivered(tokens, now);
        world.generated += tokens;
        self.cohort.advance(steps);
        finished.extend_from_slice(&stops);
        self.stops = stops;
        while let Some((id, milestone)) = self.cohort.reached(&world.requests) {
            match milestone {
                Milestone::Emits => {
                    self.cohort.emitting += 1;
                    self.joiners.push(id);
                }
                Milestone::StopsLate | Milestone::Finishes | Milestone::Leaves => finished.push(id),
            }
        }
        self.cohort.take_late_stops(self.cohort.step + 1, &world.requests, finished);
    }

    /// A member whose latest token did not come with the cohort gets one at `at`.
    fn first_cohort_token(&mut self, id: RequestId, at: SimTime, record_gap: bool, world: &mut World<'_>) {
        let clock = self.clock;
        let request = &mut world.requests[id];
        request.gaps_from = self.cohort.step + 1;
        if request.fed {
            (clock - request.clock).charge(&mut request.record.ledger, true);
            request.clock = clock;
            request.fed = false;
        }
        if request.generated == 0 {
            return world.first_token(id, at);
        }
        self.token_gap(id, at, record_gap, world);
        let request = world.request_mut(id);
        if request.recovering {
            request.recovering = false;
            request.charge(request.loss(), at);
            request.moves = false;
            request.clock = clock;
        }
    }

    /// A token at `at` after the one at `last_token`.
    fn token_gap(&self, id: RequestId, at: SimTime, record: bool, world: &mut World<'_>) {
        let request = world.request_mut(id);
        let gap = at - request.last_token;
        request.last_token = at;
        request.record.gap_max = request.record.gap_max.max(gap);
        if record {
            world.gaps.record(gap.as_ps(), 1);
        }
    }

    /// A request that was taken out of the cohort for this step gets its token (or its wasted slot) and goes back.
    fn step_member(
        &mut self,
        id: RequestId,
        flight: &Flight,
        now: SimTime,
        finished: &mut Vec<RequestId>,
        world: &mut World<'_>,
    ) {
        let request = &mut world.requests[id];
        request.computed += 1;
        if request.stopping {
            let context = u64::from(request.computed);
            world.waste_slots(1, context);
            finished.push(id);
            return;
        }
        let incomplete = request.computed < request.tokens();
        let own = if request.fed { Cause::PrefillExecution } else { Cause::DecodeExecution };
        self.charge_step(id, own, flight, now, world);
        if incomplete {
            self.join(id, world);
            return;
        }
        let request = &mut world.requests[id];
        request.fed = false;
        self.deliver(id, now, finished, world);
    }

    /// A prompt chunk is done.
    fn step_prompt(
        &mut self,
        id: RequestId,
        tokens: u32,
        flight: &Flight,
        now: SimTime,
        finished: &mut Vec<RequestId>,
        world: &mut World<'_>,
    ) {
        let piped = self.stage_free.len() > 1;
        let request = &mut world.requests[id];
        request.computed += tokens;
        let incomplete = request.computed < request.tokens();
        self.charge_step(id, Cause::PrefillExecution, flight, now, world);
        if incomplete {
            if piped {
                world.request_mut(id).phase = Phase::Prefilling;
                insert_ordered(&mut self.partial, id, world);
            }
            return;
        }
        if !piped {
            remove_ordered(&mut self.partial, id, world);
        }
        if self.hands_over() && self.exchange.first_token == FirstToken::Decode {
            return self.hand_over(id, now, world);
        }
        self.deliver(id, now, finished, world);
    }

    /// Writes one step that worked on a request outside the cohort to its ledger.
    fn charge_step(&self, id: RequestId, own: Cause, flight: &Flight, now: SimTime, world: &mut World<'_>) {
        let piped = self.stage_free.len() > 1;
        let request = &mut world.requests[id];
        if request.recovering {
            return;
        }
        let (gpu, host, swap) = (flight.time.gpu(), flight.time.host, flight.swap);
        let ledger = &mut request.record.ledger;
        let decodes = own == Cause::DecodeExecution;
        if decodes && !piped {
            let alone = SimDuration::from_ps(flight.decode_gpu);
            ledger.add(own, alone);
            ledger.add(Cause::DecodeStalled, gpu - alone);
        } else {
            ledger.add(own, gpu);
        }
        ledger.add(if decodes { Cause::DecodeStalled } else { own }, flight.load);
        ledger.add(Cause::Host, host);
        ledger.add(Cause::PreemptionLoss, swap);
        if piped {
            let waited = now.since(request.mark) - (gpu + host + swap + flight.load);
            ledger.add(Cause::Bubble, waited);
        }
        request.mark = now;
    }

    /// A request outside the cohort gets a token at `now` and joins it, or is done.
    fn deliver(&mut self, id: RequestId, now: SimTime, finished: &mut Vec<RequestId>, world: &mut World<'_>) {
        let held_back = self.completion == Completion::HoldsSlot { return_early: false };
        self.load.delivered(1, now);
        world.generated += 1;
        let request = &mut world.requests[id];
        request.generated += 1;
        let index = request.generated - 1;
        let (first, done) = (request.generated == 1, request.generated == request.output);
        if request.recovering {
            request.recovering = false;
            request.charge(request.loss(), now);
            request.moves = false;
        }
        if first {
            request.last_token = now;
            world.first_token(id, now);
        } else {
            self.token_gap(id, now, !held_back, world);
        }
        if !held_back {
            world.count_token(id, index, now);
        }
        if done {
            // Not a member: `last_step_done` sees a request that is flying.
            world.request_mut(id).phase = Phase::Flying;
            finished.push(id);
        } else if self.hands_over() {
            self.hand_over(id, now, world);
        } else {
            self.join(id, world);
        }
    }

    /// A request has got its last token (or wasted its last slot).
    fn last_step_done(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        if world.request(id).stopping {
            return self.remove(id, now, world);
        }
        match self.completion {
            Completion::Leaves if self.late_stop => self.stop_late(id, now, world),
            Completion::Leaves => {
                if world.request(id).phase == Phase::Decoding {
                    self.depart(id, world);
                    world.request_mut(id).phase = Phase::Flying;
                }
                world.finish(id, now);
                self.remove(id, now, world);
            }
            Completion::HoldsSlot { return_early } => {
                if world.request(id).phase == Phase::Decoding {
                    self.depart(id, world);
                }
                let request = world.request_mut(id);
                request.phase = Phase::Held;
                request.mark = now;
                if self.stage_free.len() == 1 {
                    self.held_slots += 1;
                }
                if return_early {
                    world.finish(id, now);
                }
            }
        }
    }
}
