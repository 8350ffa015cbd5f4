//! Stops that the host sees one step late: a finished request keeps its slot for one more step.

use crate::ids::RequestId;
use crate::units::{SimDuration, SimTime};

use super::clock::BusyClock;
use super::flight::Flight;
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

impl ReplicaState {
    /// A request has got its last token at `now`, the end of a step, and stays for the next one.
    pub fn stop_late(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        if world.request(id).phase == Phase::Decoding {
            self.depart(id, world);
        }
        world.request_mut(id).stopping = true;
        self.join(id, world);
        world.finish(id, now);
    }

    /// Members that get their last token one step before the end of a leap of `steps` steps, and leave at its end.
    pub fn late_stops_passed(&mut self, steps: u64, world: &World<'_>) -> Vec<RequestId> {
        let mut stops = std::mem::take(&mut self.stops);
        stops.clear();
        if steps > 1 {
            self.cohort.take_late_stops(self.cohort.step + steps, &world.requests, &mut stops);
        }
        stops
    }

    /// One of those: its books are closed as of the end of the last step but one. The busy clock stands at the end of
    /// the leap, the gaps of the last step are not on the stack yet.
    pub fn stop_inside(&mut self, id: RequestId, flight: &Flight, world: &mut World<'_>) {
        let leap = flight.leap.expect("only a leap passes a late stop");
        let last_but_one = leap.steps - 1;
        let gpu = leap.gpu_sum(leap.steps) - leap.gpu_sum(last_but_one);
        let total = leap.elapsed(leap.steps) - leap.elapsed(last_but_one);
        let then = BusyClock {
            decode: self.clock.decode - gpu,
            host: self.clock.host - (total.as_ps() - gpu),
            ..self.clock
        };
        let due = world.due();
        let request = &mut world.requests[id];
        self.step_ends.count(request, self.cohort.step + last_but_one, &due);
        (then - request.clock).charge(&mut request.record.ledger, request.fed);
        let longest = SimDuration::from_ps(self.gap_stack.longest_since(request.gaps_from));
        request.record.gap_max = request.record.gap_max.max(longest);
        self.cohort.stop(request);
        world.finish(id, flight.start + leap.elapsed(last_but_one));
    }
}
