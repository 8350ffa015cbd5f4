//! The events of KV between replicas (docs/semantics.md §12): offers, flows, acknowledgements, clients that give up
//! meanwhile. How long a transfer takes is `wires`'; what a replica does is the engine's.

use crate::engine::Phase;
use crate::ids::{ReplicaId, RequestId};

use super::run::{Event, Run};
use super::wires::{Arrived, Wires};

impl<'a> Run<'a> {
    pub(super) fn wires(&mut self) -> &mut Wires<'a> {
        self.wires.as_mut().expect("KV travels only where there is a network")
    }

    /// The prompt of a request is complete: a decode replica is chosen and asked to take it.
    pub(super) fn offer(&mut self, id: RequestId) {
        let now = self.now;
        let to = match self.complete_early(id) {
            Ok(true) => return,
            Ok(false) => {
                let from = self.world.request(id).record.replica;
                let decode = self.decode.as_mut().expect("a prefill replica has decode replicas");
                let to = decode.choose(id, now, &mut self.world, &self.replicas);
                let to = self.or_mixed_decode(to, id);
                self.wires().join(id, from, to, now);
                to
            }
            Err(chosen) => chosen,
        };
        let cut = self.replicas[to.index()].state.offer(id, now, &mut self.world);
        self.cut(to, cut);
    }

    /// Before a replica plans it takes what it has been offered, as far as there is room.
    pub(super) fn take_offers(&mut self, id: ReplicaId) {
        let Some(decode) = &self.decode else { return };
        let (share, now) = (decode.queue_share(), self.now);
        while let Some(request) = self.replicas[id.index()].state.take_offer(share, now, &mut self.world) {
            let computed = self.world.request(request).computed;
            let blocks = self.replicas[id.index()].state.pool.blocks_for(computed);
            self.send(request, blocks);
        }
    }

    /// Blocks of a request set out.
    pub(super) fn send(&mut self, id: RequestId, blocks: u32) {
        let now = self.now;
        let flows = self.wires().send(id, blocks, now);
        self.queue.push(flows, Event::Flow { request: id });
    }

    /// What a request sends begins to flow.
    pub(super) fn flow(&mut self, id: RequestId) {
        let now = self.now;
        self.wires().flow(id, now);
        self.forecast();
    }

    /// Asks for the event at which the next flow ends.
    fn forecast(&mut self) {
        if let Some((at, version)) = self.wires().forecast() {
            self.queue.push(at, Event::FlowEnds { version });
        }
    }

    /// KV has come, unless flows have changed since this was forecast.
    pub(super) fn flows_end(&mut self, version: u32) {
        let now = self.now;
        if !self.wires().is_current(version) {
            return;
        }
        for arrived in self.wires().arrived(now) {
            let part = self.prefix_has_come(&arrived)
                || self.most_has_come(arrived.id)
                || self.copy_has_come(arrived.id);
            if !part {
                self.all_arrived(&arrived);
            }
        }
        self.forecast();
    }

    /// All KV of a request is on its new replica.
    fn all_arrived(&mut self, &Arrived { id, to, acknowledged, given_up }: &Arrived) {
        let now = self.now;
        let replica = &mut self.replicas[to.index()];
        if given_up {
            replica.leave_exchange(id, now, &mut self.world);
            self.wake(to);
            self.free_clients();
        } else {
            let cut = replica.state.arrive(id, now, &mut self.world);
            self.cut(to, cut);
        }
        self.queue.push(acknowledged, Event::Acknowledged { request: id });
    }

    /// The KV of a request is safe, or nobody needs it: the replica that sent it lets it go.
    pub(super) fn end_lease(&mut self, id: RequestId) {
        let from = self.wires().end(id);
        self.replicas[from.index()].state.end_lease(id, self.now);
        self.wake(from);
    }

    /// The client of a request gives up that is between two replicas.
    pub(super) fn give_up_between(&mut self, id: RequestId) {
        let request = self.world.request(id);
        let (phase, to) = (request.phase, request.record.replica);
        if phase == Phase::Coming {
            return self.wires().give_up(id);
        }
        self.replicas[to.index()].leave_exchange(id, self.now, &mut self.world);
        self.wake(to);
        if phase == Phase::Offered {
            self.end_lease(id);
        }
    }
}
