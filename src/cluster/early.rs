//! KV that is sent layer by layer while the last chunk of its prompt is computed (docs/semantics.md §12): all layers but the
//! last flow during the step, the last one after it. Where no room is found before the step ends, the request is handed
//! over as any other.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::config::{FirstToken, Overlap, Role};
use crate::ids::{ReplicaId, RequestId};
use crate::policy::router::Load;
use crate::units::{SimDuration, SimTime};

use super::run::{Event, Run};

/// How far the KV of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// No room yet.
    Nothing,
    /// All layers but the last are on their way.
    Most,
    /// They have come.
    MostCame,
    /// The last layer is on its way.
    Rest,
}

/// A request whose prompt is about to be complete.
#[derive(Clone, Copy, Debug)]
struct Early {
    from: ReplicaId,
    to: ReplicaId,
    /// Blocks of its KV.
    blocks: u32,
    /// Blocks that it needs on the decode replica.
    demand: u32,
    /// What the decode router knows of it.
    load: Load,
    /// When the first layer is computed.
    first_layer: SimTime,
    sent: Sent,
    /// Whether the step has ended.
    complete: bool,
    /// Whether it is over with it.
    void: bool,
}

/// All such requests of a run.
pub(super) struct EarlyHandOvers {
    overlap: Overlap,
    first_token: FirstToken,
    requests: BTreeMap<RequestId, Early>,
    /// Those without room, by decode replica, in order.
    waiting: Vec<VecDeque<RequestId>>,
}

impl EarlyHandOvers {
    pub fn new(overlap: Overlap, first_token: FirstToken, replicas: usize) -> Self {
        let waiting = vec![VecDeque::new(); replicas];
        EarlyHandOvers { overlap, first_token, requests: BTreeMap::new(), waiting }
    }

    fn get(&mut self, id: RequestId) -> &mut Early {
        self.requests.get_mut(&id).expect("it is known until it is handed over")
    }
}

impl Run<'_> {
    fn early(&mut self) -> &mut EarlyHandOvers {
        self.early.as_mut().expect("only where KV is sent layer by layer")
    }

    /// A prefill replica has launched a step that ends at `end`: for the prompts that it completes, decode replicas are
    /// chosen now.
    pub(super) fn offer_early(&mut self, from: ReplicaId, end: SimTime) {
        let Some(early) = &self.early else { return };
        let state = &self.replicas[from.index()].state;
        if state.exchange.role != Role::Prefill {
            return;
        }
        let (overlap, first_token) = (early.overlap, early.first_token);
        let now = self.now;
        let first_layer = now + SimDuration::from_ps((end - now).as_ps() / u64::from(overlap.layers));
        for id in state.completing(overlap.from_tokens, &self.world) {
            let prompt = self.world.request(id).prompt;
            let decode = self.decode.as_mut().expect("a prefill replica has decode replicas");
            let to = decode.choose(id, now, &mut self.world, &self.replicas);
            let pool = &self.replicas[to.index()].state.pool;
            let after = u32::from(first_token == FirstToken::Prefill);
            let demand = match self.world.reserves() {
                true => pool.blocks_for(self.world.reservation(id)),
                false => pool.blocks_for(prompt + after),
            };
            let blocks = pool.blocks_for(prompt - 1 + after);
            let load = Load { requests: 1, tokens: u64::from(prompt), blocks: u64::from(demand) };
            decode.expect(from, to, load);
            self.wires().join(id, from, to, now);
            let (sent, complete, void) = (Sent::Nothing, false, false);
            let known = Early { from, to, blocks, demand, load, first_layer, sent, complete, void };
            let early = self.early();
            early.requests.insert(id, known);
            early.waiting[to.index()].push_back(id);
            self.wake(to);
        }
    }

    /// Before a decode replica plans, after it has taken offers: it makes room for KV that is being computed.
    pub(super) fn take_early(&mut self, to: ReplicaId) {
        let (Some(early), Some(decode)) = (&self.early, &self.decode) else { return };
        let (layers, share, now) = (early.overlap.layers, decode.queue_share(), self.now);
        while let Some(&id) = self.early().waiting[to.index()].front() {
            let known = *self.early().get(id);
            let state = &mut self.replicas[to.index()].state;
            if !state.exchange.offers.is_empty() || !state.has_room(known.demand, share) {
                return;
            }
            let promised = state.promise(known.demand, now);
            assert!(promised, "room was looked for");
            self.early().waiting[to.index()].pop_front();
            self.early().get(id).sent = Sent::Most;
            let at = known.first_layer.max(now);
            let flows = self.wires().send_most(id, known.blocks, layers, at);
            self.queue.push(flows, Event::Flow { request: id });
        }
    }

    /// The prompt of `id` is complete. True if its KV is already on its way; else the decode replica that was chosen.
    pub(super) fn complete_early(&mut self, id: RequestId) -> Result<bool, ReplicaId> {
        let Some(known) = self.early.as_ref().and_then(|e| e.requests.get(&id).copied()) else {
            return Ok(false);
        };
        let now = self.now;
        self.settle(&known);
        if known.sent == Sent::Nothing {
            self.forget_waiting(id, known.to);
            return Err(known.to);
        }
        self.early().get(id).complete = true;
        let state = &mut self.replicas[known.to.index()].state;
        state.adopt(id, known.demand, now, &mut self.world);
        if known.sent == Sent::MostCame {
            self.send_rest(id, known);
        }
        Ok(true)
    }

    fn settle(&mut self, known: &Early) {
        let decode = self.decode.as_mut().expect("a prefill replica has decode replicas");
        decode.settle(known.from, known.to, known.load);
    }

    fn forget_waiting(&mut self, id: RequestId, to: ReplicaId) {
        let early = self.early();
        early.waiting[to.index()].retain(|&w| w != id);
        early.requests.remove(&id);
    }

    fn send_rest(&mut self, id: RequestId, known: Early) {
        let (layers, now) = (self.early().overlap.layers, self.now);
        self.early().get(id).sent = Sent::Rest;
        let flows = self.wires().send_rest(id, known.blocks, layers, now);
        self.queue.push(flows, Event::Flow { request: id });
    }

    /// KV has come. True if it was not all of a request's.
    pub(super) fn most_has_come(&mut self, id: RequestId) -> bool {
        let Some(known) = self.early.as_ref().and_then(|e| e.requests.get(&id).copied()) else {
            return false;
        };
        if known.sent == Sent::Rest {
            self.early().requests.remove(&id);
            return false;
        }
        self.wires().was_a_part();
        self.early().get(id).sent = Sent::MostCame;
        if known.void {
            self.give_back(id, known);
        } else if known.complete {
            self.send_rest(id, known);
        }
        true
    }

    /// A step of `from` has ended: requests that ended with it are not handed over.
    pub(super) fn void_early(&mut self, from: ReplicaId) {
        let Some(early) = &self.early else { return };
        let of = |(_, known): &(&RequestId, &Early)| known.from == from && !known.complete && !known.void;
        let ended = early.requests.iter().filter(of).filter(|&(&id, _)| self.world.is_done(id));
        let ended: Vec<(RequestId, Early)> = ended.map(|(&id, known)| (id, *known)).collect();
        for (id, known) in ended {
            self.settle(&known);
            match known.sent {
                Sent::Nothing => {
                    self.forget_waiting(id, known.to);
                    self.wires().end(id);
                    // There may be room for those behind it.
                    self.wake(known.to);
                }
                Sent::MostCame => self.give_back(id, known),
                Sent::Most | Sent::Rest => self.early().get(id).void = true,
            }
        }
    }

    /// What was kept for a request that needs no decode replica is free.
    fn give_back(&mut self, id: RequestId, known: Early) {
        self.early().requests.remove(&id);
        self.wires().end(id);
        self.replicas[known.to.index()].state.break_promise(known.demand, self.now);
        self.wake(known.to);
    }
}
