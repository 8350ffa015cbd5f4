//! What keeps a replica from admitting more, as a state of time (docs/semantics.md §11), without any event of its own.
//!
//! The state changes when a step is planned, when the replica falls idle, and – under a leap that arrivals do not cut –
//! at the first step boundary after somebody came: from there on a run in steps would have planned without him.

use crate::metrics::work::Binding;
use crate::policy::scheduler::{AdmissionLimit, StepPlan};
use crate::units::{SimDuration, SimTime};

use super::replica::ReplicaState;
use super::world::World;

/// The present state, since when, and the state that follows at a known instant.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BoundClock {
    /// `None`: idle.
    state: Option<Binding>,
    since: SimTime,
    next: Option<(SimTime, Binding)>,
}

/// The state behind a plan while somebody waits.
fn binding(plan: &StepPlan) -> Binding {
    match plan.limit {
        Some(AdmissionLimit::Memory) => Binding::Memory,
        Some(AdmissionLimit::Sequences) => Binding::Sequences,
        Some(AdmissionLimit::Budget) => Binding::Budget,
        Some(AdmissionLimit::Batch) => Binding::Batch,
        None => Binding::Other,
    }
}

impl BoundClock {
    /// The state is `state` from `now` on; the time until now goes to `sums`.
    pub fn set(&mut self, state: Option<Binding>, now: SimTime, sums: &mut [u128; 6]) {
        self.charge(now, sums);
        *self = BoundClock { state, since: now, next: None };
    }

    /// Somebody came while nobody waited: the state is `state` from the step boundary `at` on.
    pub fn follow(&mut self, state: Binding, at: SimTime) {
        if self.state == Some(Binding::Open) && self.next.is_none() {
            self.next = Some((at, state));
        }
    }

    /// The state at `at`, not before the last change.
    pub fn state_at(&self, at: SimTime) -> Option<Binding> {
        match self.next {
            Some((from, next)) if from <= at && self.state.is_some() => Some(next),
            _ => self.state,
        }
    }

    /// Adds the time from the last change to `now` to `sums`, and changes nothing.
    pub fn charge(&self, now: SimTime, sums: &mut [u128; 6]) {
        let mut add = |state: Binding, from: SimTime, to: SimTime| {
            let span = if to > from { to - from } else { SimDuration::ZERO };
            sums[state as usize] += u128::from(span.as_ps());
        };
        let Some(state) = self.state else { return };
        match self.next {
            Some((at, next)) if at < now => {
                add(state, self.since, at);
                add(next, at, now);
            }
            _ => add(state, self.since, now),
        }
    }
}

impl ReplicaState {
    /// Whether no request waits, is swapped out, or is loaded and does not run.
    pub fn nobody_waits(&self) -> bool {
        self.waiting.is_empty() && self.swapped.is_empty() && self.exchange.loaded.is_empty()
    }

    /// The state of a plan that was applied at `now`.
    pub fn bound_by(&mut self, plan: &StepPlan, now: SimTime, world: &mut World<'_>) {
        let state = if self.nobody_waits() { Binding::Open } else { binding(plan) };
        self.bound.set(Some(state), now, &mut world.counters.bound_time);
    }

    /// Who comes during a leap and does not cut it waits for its next step boundary, then for what the plan says.
    pub fn bound_follows(&mut self, now: SimTime) {
        let Some((flight, leap)) = self.flights.front().and_then(|f| Some((f, f.leap?))) else { return };
        // One that arrivals cut ends there, and the next plan says.
        if leap.cut_by_arrivals {
            return;
        }
        let boundary = flight.start + leap.elapsed(leap.steps_to_boundary(now - flight.start));
        self.bound.follow(binding(&flight.plan), boundary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_to_the_state_of_its_instant() {
        let at = SimTime::from_ps;
        let (mut clock, mut sums) = (BoundClock::default(), [0; 6]);
        clock.set(Some(Binding::Open), at(10), &mut sums);
        clock.follow(Binding::Budget, at(25));
        clock.follow(Binding::Memory, at(27));
        let mut read = sums;
        assert_eq!(
            (clock.state_at(at(24)), clock.state_at(at(25))),
            (Some(Binding::Open), Some(Binding::Budget))
        );
        clock.charge(at(20), &mut read);
        assert_eq!(read, [10, 0, 0, 0, 0, 0]);
        clock.set(Some(Binding::Memory), at(40), &mut sums);
        clock.set(None, at(41), &mut sums);
        clock.charge(at(99), &mut sums);
        assert_eq!(sums, [15, 1, 0, 15, 0, 0]);
    }
}
