//! Gives applied work its duration and sends it off.

use crate::cost::{StepCost, StepShape, StepTime};
use crate::policy::scheduler::Horizon;
use crate::units::{SimDuration, SimTime};

use super::flight::{Flight, Leap};
use super::replica::{Launched, ReplicaState};
use super::request::RequestState;
use super::world::World;

impl ReplicaState {
    /// Starts an applied flight. `horizon` is set for pure decode steps that may become a leap.
    pub fn launch(
        &mut self,
        mut flight: Box<Flight>,
        horizon: Option<Horizon>,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Launched {
        flight.event = self.event_number();
        let first_stage_free = if self.stage_free.len() > 1 {
            self.time_stages(&mut flight, now, world)
        } else if flight.plan.is_pure_decode() {
            self.time_leap(&mut flight, horizon.unwrap_or(Horizon::OneStep), now, world)
        } else {
            world.counters.cost_lookups += 1 + u64::from(flight.decode.n > 0 && !flight.chunks.is_empty());
            time_step(&mut flight, now, world.costs[self.group])
        };
        self.stage_free[0] = first_stage_free;
        let launched = Launched { event: flight.event, end: flight.end, first_stage_free };
        self.flights.push_back(flight);
        launched
    }

    /// Decode steps of the whole cohort: as many as nothing interrupts.
    fn time_leap(
        &mut self,
        flight: &mut Flight,
        horizon: Horizon,
        now: SimTime,
        world: &mut World<'_>,
    ) -> SimTime {
        world.counters.cost_lookups += 1;
        let shape = flight.decode;
        let segment = world.costs[self.group].decode_segment(0, &shape);
        let mut leap = Leap::new(&segment, &shape);
        let milestone = self.cohort.steps_to_milestone(&world.requests).unwrap_or(1);
        leap.steps = self.cohort.steps_that_fit(leap.steps.min(milestone), self.pool.free()).max(1);
        let (steps, cut) = match horizon {
            Horizon::OneStep => (1, false),
            Horizon::Steps(steps) => (u64::from(steps), true),
            Horizon::Until(t) if t > now => (leap.steps_to_boundary(t - now), true),
            Horizon::Until(_) => (1, true),
            Horizon::UntilChange => (u64::MAX, true),
            Horizon::UntilCompletion(steps) => (u64::from(steps), false),
        };
        leap.steps = leap.steps.min(steps).max(1);
        let newcomer = |r: &RequestState| r.recovering || r.fed;
        if self.joiners.iter().any(|&j| newcomer(world.request(j))) {
            leap.steps = 1;
        }
        leap.cut_by_arrivals = cut;
        flight.time = first_step(&leap);
        flight.decode_gpu = leap.gpu;
        flight.end = now + leap.elapsed(leap.steps);
        flight.leap = Some(leap);
        // The replica is busy until its completion event, however often that is re-timed.
        now
    }

    /// One batch through the pipeline: start(s, b) = max(end(s−1, b) + hop, end(s, previous batch)).
    fn time_stages(&mut self, flight: &mut Flight, now: SimTime, world: &mut World<'_>) -> SimTime {
        world.counters.cost_lookups += self.stage_free.len() as u64;
        let chunked = flight.chunks.iter().map(|c| c.tokens).sum::<u32>();
        let cost = world.costs[self.group];
        let hop = cost.hop(chunked + flight.decode.n + flight.decode.padding);
        let mut sum = StepTime::default();
        let mut ready = now;
        for (stage, free) in (0u8..).zip(self.stage_free.iter_mut()) {
            let time = cost.step(stage, &flight.shape());
            let swap = if stage == 0 { flight.swap + flight.load } else { SimDuration::ZERO };
            let start = ready.max(*free);
            *free = start + time.total() + swap;
            ready = *free + hop;
            sum.linear += time.linear;
            sum.attention += time.attention;
            sum.link += time.link;
            sum.host += time.host;
        }
        flight.time = sum;
        flight.decode_gpu = sum.gpu().as_ps();
        let last = self.stage_free[self.stage_free.len() - 1];
        flight.end = last + cost.token_return();
        self.stage_free[0]
    }
}

/// What each stage of a pipeline computes when of a flight, by the recurrence of `time_stages`; `free` is when each stage
/// was free before it, and is moved on.
pub(crate) fn stage_spans(
    flight: &Flight,
    cost: &dyn StepCost,
    free: &mut [SimTime],
) -> Vec<(SimTime, SimTime)> {
    let chunked = flight.chunks.iter().map(|c| c.tokens).sum::<u32>();
    let hop = cost.hop(chunked + flight.decode.n + flight.decode.padding);
    let mut ready = flight.start;
    let span = |(stage, free): (u8, &mut SimTime)| {
        let swap = if stage == 0 { flight.swap + flight.load } else { SimDuration::ZERO };
        let start = ready.max(*free);
        *free = start + cost.step(stage, &flight.shape()).total() + swap;
        ready = *free + hop;
        (start, *free)
    };
    (0u8..).zip(free.iter_mut()).map(span).collect()
}

/// One step on one stage.
fn time_step(flight: &mut Flight, now: SimTime, cost: &dyn StepCost) -> SimTime {
    flight.time = cost.step(0, &flight.shape());
    flight.decode_gpu = if flight.decode.n == 0 {
        0
    } else if flight.chunks.is_empty() {
        flight.time.gpu().as_ps()
    } else {
        let alone = StepShape { chunks: &[], decode: flight.decode };
        cost.step(0, &alone).gpu().min(flight.time.gpu()).as_ps()
    };
    flight.end = now + flight.time.total() + flight.swap + flight.load;
    now
}

/// Split of a leap's first step.
fn first_step(leap: &Leap) -> StepTime {
    let ps = SimDuration::from_ps;
    StepTime {
        linear: ps(leap.linear),
        attention: ps(leap.gpu - leap.linear - leap.link),
        link: ps(leap.link),
        host: ps(leap.total - leap.gpu),
    }
}
