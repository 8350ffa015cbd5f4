//! Replicas that compute whole requests beside pools of prefill and decode replicas, for what is too much for those
//! (docs/semantics.md §12).

use std::cmp::Reverse;

use crate::ids::{ReplicaId, RequestId};

use super::run::Run;

/// The replicas of the mixed pool.
pub(super) struct MixedPool {
    replicas: Vec<ReplicaId>,
    /// Prompt tokens that a replica may have before it.
    above: u64,
}

impl MixedPool {
    /// None without such replicas.
    pub fn new(replicas: Vec<ReplicaId>, above: u64) -> Option<Self> {
        (!replicas.is_empty()).then_some(MixedPool { replicas, above })
    }
}

impl Run<'_> {
    /// Where a prompt is computed for which the router chose `chosen`: there, or on a mixed replica.
    pub(super) fn or_mixed(&self, chosen: ReplicaId, id: RequestId) -> ReplicaId {
        let Some(mixed) = &self.mixed else { return chosen };
        let prompt = u64::from(self.world.request(id).prompt);
        let fits = |pending: u64| pending == 0 || pending + prompt <= mixed.above;
        let pending = |r: ReplicaId| self.replicas[r.index()].state.pending_prompts(&self.world);
        if fits(self.replicas[chosen.index()].state.load_at(self.now, self.now).tokens) {
            return chosen;
        }
        let fewest = mixed.replicas.iter().map(|&r| (pending(r), r)).min();
        fewest.filter(|&(pending, _)| fits(pending)).map_or(chosen, |(_, r)| r)
    }

    /// Where a request decodes for which the decode router chose `chosen`: there, or on a mixed replica where it has room.
    pub(super) fn or_mixed_decode(&self, chosen: ReplicaId, id: RequestId) -> ReplicaId {
        let (Some(mixed), Some(decode)) = (&self.mixed, &self.decode) else { return chosen };
        let share = decode.queue_share();
        let has_room = |r: ReplicaId| {
            let state = &self.replicas[r.index()].state;
            let before = state.exchange.offers.iter().chain([&id]);
            let demands = before.map(|&r| u64::from(state.demand(r, &self.world))).sum::<u64>();
            let demand = u32::try_from(demands + state.growth_under_way(self.now)).ok()?;
            state
                .has_room(demand, share)
                .then(|| u64::from(state.pool.free()) - state.growth_under_way(self.now))
        };
        if has_room(chosen).is_some() {
            return chosen;
        }
        let most = mixed.replicas.iter().filter_map(|&r| Some((has_room(r)?, Reverse(r)))).max();
        most.map_or(chosen, |(_, Reverse(r))| r)
    }
}
