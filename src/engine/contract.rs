//! The scheduler's contract, as far as the engine checks it: a plan that breaks it ends the run with a violation.
//!
//! Policies may come from outside the crate, so nothing that a plan says is trusted: not that an id is of this replica,
//! not that it is named once, not that hits exist. What the rules mean stands in `policy::scheduler`.

use crate::ids::RequestId;
use crate::policy::scheduler::{Admission, StepPlan};
use crate::units::SimTime;

use super::apply::PENDING;
use super::event::Violation;
use super::flight::Flight;
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

type Checked = Result<(), Violation>;

impl ReplicaState {
    /// A plan without work may only name victims: then each plan of an instant leaves fewer running requests.
    pub(super) fn expect_only_victims_without_work(&self, plan: &StepPlan, now: SimTime) -> Checked {
        let nobody_new = plan.admit.is_empty() && plan.swap_in.is_empty() && plan.resume.is_empty();
        let more_than_victims = !(nobody_new && plan.feed.is_empty());
        if plan.is_empty() && more_than_victims {
            return Err(self.broken(now, "the plan brings requests in but works on none".to_owned()));
        }
        Ok(())
    }

    /// Once applied, a plan that is not empty works on somebody.
    pub(super) fn expect_work(&self, flight: &Flight, now: SimTime) -> Checked {
        if flight.chunks.is_empty() && flight.decode.n == 0 && !flight.plan.is_empty() {
            return Err(self.broken(now, "the plan decodes, but nobody is ready to decode".to_owned()));
        }
        Ok(())
    }

    /// A hit is a number of whole blocks and leaves a token to compute.
    pub(super) fn expect_hit(&self, admission: &Admission, now: SimTime, world: &World<'_>) -> Checked {
        let &Admission { request: id, hit, .. } = admission;
        let findable = self.pool.caches() && !world.reserves();
        let tokens = world.request(id).tokens();
        if hit == 0 || (findable && hit.is_multiple_of(self.pool.block()) && hit < tokens) {
            return Ok(());
        }
        Err(self.broken(now, format!("{id} cannot hit {hit} of its {tokens} tokens")))
    }

    /// Every hit was in the cache or is being filled by an earlier chunk of the same plan.
    pub(super) fn expect_hits_found(&self, plan: &StepPlan, now: SimTime, world: &World<'_>) -> Checked {
        let unfilled = |a: &&Admission| world.request(a.request).keyed.contains(&PENDING);
        let Some(Admission { request, hit, .. }) = plan.admit.iter().find(unfilled) else { return Ok(()) };
        Err(self
            .broken(now, format!("{request} hits {hit} tokens, not all of them are there or on their way")))
    }

    /// Paged blocks grow with the tokens, unless all that a request can ever need is set aside: nothing in between.
    pub(super) fn expect_allocation(
        &self,
        admission: &Admission,
        now: SimTime,
        world: &World<'_>,
    ) -> Checked {
        let &Admission { request: id, allocate, .. } = admission;
        let (tokens, whole) = (world.request(id).tokens(), self.life(id, world));
        if world.reserves() || allocate <= tokens || allocate >= whole {
            return Ok(());
        }
        let message = format!(
            "admission of {id} sets blocks aside for {allocate} tokens: more than its {tokens}, less than the {whole} \
             that it may ever need"
        );
        Err(self.broken(now, message))
    }

    /// A fed request does not grow: it holds all its blocks from the start.
    pub(super) fn expect_blocks_for_life(&self, id: RequestId, now: SimTime, world: &World<'_>) -> Checked {
        let needed = self.pool.blocks_for(self.life(id, world));
        if world.reserves() || world.request(id).blocks >= needed {
            return Ok(());
        }
        Err(self
            .broken(now, format!("feed of {id}, which does not hold the {needed} blocks of its whole life")))
    }

    /// Tokens whose KV a request may ever need: its last token is never written, except by a late stop.
    fn life(&self, id: RequestId, world: &World<'_>) -> u32 {
        let request = world.request(id);
        request.prompt + request.max_tokens - 1 + u32::from(self.late_stop)
    }

    pub(super) fn expect_ready(&self, id: RequestId, what: &str, now: SimTime, world: &World<'_>) -> Checked {
        let Some(request) = world.requests.get(id) else {
            return Err(self.broken(now, format!("{what} of {id}, which does not exist")));
        };
        if request.is_ready() && request.record.replica == self.id {
            return Ok(());
        }
        Err(self.broken(
            now,
            format!("{what} of {id}, which is {:?} on {}", request.phase, request.record.replica),
        ))
    }

    /// A ready request with an incomplete prompt that this plan has not named yet.
    pub(super) fn expect_prefilling(
        &self,
        id: RequestId,
        what: &str,
        now: SimTime,
        world: &World<'_>,
    ) -> Checked {
        self.expect_ready(id, what, now, world)?;
        let request = world.request(id);
        if request.phase != Phase::Prefilling {
            return Err(self.broken(now, format!("{what} of {id}, whose prompt is complete")));
        }
        if request.planned == self.plan_stamp() {
            return Err(self.broken(now, format!("{what} of {id}, which has a chunk in the same plan")));
        }
        Ok(())
    }

    pub(super) fn expect_free(&self, blocks: u32, what: &str, id: RequestId, now: SimTime) -> Checked {
        if blocks <= self.pool.free() {
            return Ok(());
        }
        Err(self.broken(now, format!("{what} of {id} needs {blocks} blocks, {} free", self.pool.free())))
    }

    /// The scheduler broke its contract.
    pub(super) fn broken(&self, now: SimTime, message: String) -> Violation {
        self.violation("plan", now, message)
    }
}
