//! Joining and leaving the cohort of a replica: what a request keeps of its own while its counters are derived.

use crate::ids::RequestId;
use crate::policy::scheduler::Completion;
use crate::units::SimDuration;

use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

impl ReplicaState {
    /// Takes a request out of the cohort: settles counters, ledger and longest gap.
    pub fn depart(&mut self, id: RequestId, world: &mut World<'_>) {
        let clock = self.clock;
        let due = world.due();
        let request = world.request_mut(id);
        assert_eq!(request.phase, Phase::Decoding, "only members depart");
        if !request.stopping && self.completion != (Completion::HoldsSlot { return_early: false }) {
            self.step_ends.count(request, self.cohort.step, &due);
        }
        self.cohort.leave(request);
        if !request.stopping {
            if !request.recovering {
                (clock - request.clock).charge(&mut request.record.ledger, request.fed);
            }
            let longest = SimDuration::from_ps(self.gap_stack.longest_since(request.gaps_from));
            request.record.gap_max = request.record.gap_max.max(longest);
            if request.gaps_from == u64::MAX {
                if let Some(at) = self.joiners.iter().position(|&j| j == id) {
                    self.joiners.swap_remove(at);
                }
            } else {
                request.last_token = self.last_token;
            }
            request.gaps_from = u64::MAX;
        }
        if self.cohort.n == 0 {
            self.gap_stack.clear();
        }
    }

    /// Takes a request with a complete prompt (or a fed one) into the cohort.
    pub fn join(&mut self, id: RequestId, world: &mut World<'_>) {
        self.cohort.forget_stale_milestones(&world.requests);
        let reserves = world.reserves();
        let request = &mut world.requests[id];
        request.phase = Phase::Decoding;
        request.fixed_blocks = reserves || request.blocks > self.pool.blocks_for(request.computed);
        request.clock = self.clock;
        request.gaps_from = u64::MAX;
        self.cohort.join(id, request);
        if !request.stopping && request.silent == 0 && self.stage_free.len() == 1 {
            self.joiners.push(id);
        }
    }
}
