//! A request whose prompt one replica computes and whose answer another one (docs/semantics.md §12): what each of the two
//! does. When it happens, and how long KV takes on its way, is decided in `cluster::hand_over`.
//!
//! The flow of one request: its prompt is complete (`hand_over`: its blocks become a lease) → offered → taken (blocks
//! are held for it) → its KV has arrived (`loaded`) → a plan lets it run (`resume`) → member of the cohort. The lease ends
//! with the acknowledgement.

use std::collections::VecDeque;

use crate::ids::RequestId;
use crate::kv::Released;
use crate::units::SimTime;

use super::config::{FirstToken, Role};
use super::event::Violation;
use super::order::{insert_ordered, remove_ordered};
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

/// KV of a request that has left, held until it is known to have arrived elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    pub request: RequestId,
    pub blocks: u32,
    /// Tokens whose KV is in them.
    pub tokens: u32,
    /// Nodes of its leading keyed blocks.
    pub keyed: Vec<u32>,
}

/// What a replica has to do with hand-overs; empty for one that computes whole requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchange {
    pub role: Role,
    pub first_token: FirstToken,
    /// Complete prompts of this instant, whose decode replica is not chosen yet.
    pub complete: Vec<RequestId>,
    /// Their KV, and that of those on their way.
    pub leases: Vec<Lease>,
    /// Requests that this replica is to decode and has no blocks for yet, in order of arrival.
    pub offers: VecDeque<RequestId>,
    /// Requests that it has blocks for, whose KV is on its way.
    pub coming: Vec<RequestId>,
    /// In queue order; requests whose KV has come and that do not run yet.
    pub loaded: Vec<RequestId>,
    /// Blocks of `coming` and `loaded`.
    pub unstarted: u32,
    /// Blocks promised to requests that still run elsewhere.
    pub promised: u32,
}

impl ReplicaState {
    /// Whether the step that completes a prompt ends a request's stay here.
    pub fn hands_over(&self) -> bool {
        self.exchange.role == Role::Prefill
    }

    /// The prompt of `id` is complete, and its first token delivered if it is sampled here: it leaves its blocks as a lease.
    pub fn hand_over(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        let request = world.request_mut(id);
        if self.exchange.first_token == FirstToken::Decode {
            request.computed -= 1;
        }
        let tokens = u64::from(request.tokens());
        request.phase = Phase::Offered;
        request.mark = now;
        self.lease(id, world);
        remove_ordered(&mut self.running, id, world);
        self.load.left(tokens, now);
        self.forget(id);
        self.exchange.complete.push(id);
    }

    /// The blocks of `id` stay held here although it leaves.
    pub(super) fn lease(&mut self, id: RequestId, world: &mut World<'_>) {
        let request = world.request_mut(id);
        self.exchange.leases.push(Lease {
            request: id,
            blocks: std::mem::take(&mut request.blocks),
            tokens: request.computed,
            keyed: std::mem::take(&mut request.keyed),
        });
    }

    /// The KV of `id` is safe elsewhere, or nobody needs it: its blocks are let go.
    pub fn end_lease(&mut self, id: RequestId, now: SimTime) {
        self.load_before_change(now);
        self.load.moved(now);
        let leases = &mut self.exchange.leases;
        let at = leases.iter().position(|l| l.request == id).expect("a lease lasts until it is let go");
        let Lease { blocks, keyed, .. } = leases.swap_remove(at);
        self.pool.release(Released { blocks, keyed: &keyed, returns: None });
    }

    /// Request `id` is to be decoded here. Returns the new completion event of a leap that this cuts.
    pub fn offer(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Option<(u32, SimTime)> {
        self.load_before_change(now);
        self.number(id, world);
        let tokens = u64::from(world.request(id).tokens());
        self.load.queued(tokens, now);
        let demand = self.demand(id, world);
        self.load.asks(demand);
        self.exchange.offers.push_back(id);
        self.cut_leap(now, true)
    }

    /// Whether this replica takes a request that needs `demand` blocks.
    pub fn has_room(&self, demand: u32, queue_share: u32) -> bool {
        let unstarted = u64::from(self.exchange.unstarted + self.exchange.promised) * 1000;
        unstarted < u64::from(queue_share) * u64::from(self.pool.total())
            && demand <= self.pool.free()
            && self.waiting.is_empty()
            && self.swapped.is_empty()
    }

    /// Requests whose prompts, of at least `from_tokens` tokens, the step launched last completes.
    pub fn completing(&self, from_tokens: u32, world: &World<'_>) -> Vec<RequestId> {
        let chunks = self.flights.back().map_or(&[][..], |flight| &flight.plan.prefill);
        let completes = |&&(id, tokens): &&(RequestId, u32)| {
            let request = world.request(id);
            request.prompt >= from_tokens && request.computed + tokens == request.prompt
        };
        chunks.iter().filter(completes).map(|&(id, _)| id).collect()
    }

    /// Takes the first offer if there is room for it (docs/semantics.md §12); call it before planning.
    pub fn take_offer(&mut self, queue_share: u32, now: SimTime, world: &mut World<'_>) -> Option<RequestId> {
        let &id = self.exchange.offers.front()?;
        let demand = self.demand(id, world);
        if !self.has_room(demand, queue_share) {
            return None;
        }
        self.load_before_change(now);
        self.load.moved(now);
        self.load.asks_no_more(demand);
        self.pool.take(demand);
        self.exchange.offers.pop_front();
        self.exchange.coming.push(id);
        self.exchange.unstarted += demand;
        let request = world.request_mut(id);
        request.phase = Phase::Coming;
        request.blocks = demand;
        request.unfindable = true;
        Some(id)
    }

    /// The KV of `id` has come. Returns the new completion event of a leap that this cuts.
    pub fn arrive(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Option<(u32, SimTime)> {
        self.no_longer_coming(id);
        world.request_mut(id).phase = Phase::Loaded;
        insert_ordered(&mut self.exchange.loaded, id, world);
        self.cut_leap(now, true)
    }

    pub(super) fn no_longer_coming(&mut self, id: RequestId) {
        let coming = &mut self.exchange.coming;
        let at = coming.iter().position(|&c| c == id).expect("what comes was taken");
        coming.remove(at);
    }

    /// A loaded request runs from now on, and is decode-ready.
    pub fn resume(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Result<(), Violation> {
        if !self.exchange.loaded.contains(&id) {
            return Err(self.broken(now, format!("resuming {id}, which is not loaded here")));
        }
        remove_ordered(&mut self.exchange.loaded, id, world);
        let reserves = world.reserves();
        let request = world.request_mut(id);
        self.exchange.unstarted -= request.blocks;
        if !reserves {
            // The block for its next token, if that needs one, is taken again by the step, as everybody's is.
            let spare = request.blocks - self.pool.blocks_for(request.computed);
            request.blocks -= spare;
            self.pool.release(Released { blocks: spare, keyed: &[], returns: None });
        }
        request.charge(request.between(), now);
        request.moves = false;
        insert_ordered(&mut self.running, id, world);
        self.join(id, world);
        Ok(())
    }

    /// The client of a request gave up during the step that completed its prompt: nobody is asked to decode it.
    pub fn leave_after_prompt(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.exchange.complete.retain(|&c| c != id);
        self.end_lease(id, now);
        world.time_out(id, now);
        world.inside -= 1;
        world.requests.close(id);
    }

    /// The client of an offered or loaded request has given up, or of one whose KV has just come: it leaves at once.
    pub fn leave_exchange(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) {
        self.load_before_change(now);
        match world.request(id).phase {
            Phase::Offered => {
                let demand = self.demand(id, world);
                self.load.asks_no_more(demand);
                self.exchange.offers.retain(|&o| o != id);
            }
            Phase::Coming => self.no_longer_coming(id),
            _ => remove_ordered(&mut self.exchange.loaded, id, world),
        }
        self.exchange.unstarted -= world.request(id).blocks;
        self.release(id, None, world);
        let request = world.request_mut(id);
        request.charge(request.between(), now);
        world.time_out(id, now);
        self.count_out(id, now, world);
    }

    /// Whether memory is held for KV on its way from or to here: it will be free, or of use, without a step.
    pub fn waits_for_kv(&self) -> bool {
        let Exchange { leases, coming, promised, .. } = &self.exchange;
        !leases.is_empty() || !coming.is_empty() || *promised > 0
    }

    /// Requests that this replica is to decode and that do not run yet.
    pub fn in_exchange(&self) -> impl Iterator<Item = RequestId> + '_ {
        let Exchange { offers, coming, loaded, .. } = &self.exchange;
        offers.iter().chain(coming).chain(loaded).copied()
    }
}
