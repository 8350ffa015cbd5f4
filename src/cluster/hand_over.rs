//! The events of a run whose prefill and decode are apart (docs/semantics.md §12). What is decided and how long it takes
//! is `joint`'s; what a replica does is the engine's.

use crate::engine::Phase;
use crate::ids::{ReplicaId, RequestId};

use super::joint::{Arrived, Joints};
use super::run::{Event, Run};

impl<'a> Run<'a> {
    fn joints(&mut self) -> &mut Joints<'a> {
        self.joints.as_mut().expect("only deployments with a hand-over have its events")
    }

    /// The prompt of a request is complete: a decode replica is chosen and asked to take it.
    pub fn offer(&mut self, id: RequestId) {
        let joints = self.joints.as_mut().expect("a prefill replica has decode replicas");
        let to = joints.choose(id, self.now, &mut self.world, &self.replicas);
        let cut = self.replicas[to.index()].state.offer(id, self.now, &mut self.world);
        self.cut(to, cut);
    }

    /// Before a replica plans it takes what it has been offered, as far as there is room.
    pub fn take_offers(&mut self, id: ReplicaId) {
        let Some(joints) = &mut self.joints else { return };
        let state = &mut self.replicas[id.index()].state;
        if !state.can_plan(self.now) {
            return;
        }
        while let Some(request) = state.take_offer(joints.queue_share(), self.now, &mut self.world) {
            let blocks = state.pool.blocks_for(self.world.request(request).computed);
            let flows = joints.take(request, blocks, self.now);
            self.queue.push(flows, Event::Flow { request });
        }
    }

    /// KV of a request begins to flow.
    pub fn flow(&mut self, id: RequestId) {
        let request = self.world.request(id);
        let blocks = self.replicas[request.record.replica.index()].state.pool.blocks_for(request.computed);
        let now = self.now;
        self.joints().flow(id, blocks, now);
        self.forecast();
    }

    /// Asks for the event at which the next flow ends.
    fn forecast(&mut self) {
        if let Some((at, version)) = self.joints().forecast() {
            self.queue.push(at, Event::FlowEnds { version });
        }
    }

    /// KV has come, unless flows have changed since this was forecast.
    pub fn flows_end(&mut self, version: u32) {
        let now = self.now;
        if !self.joints().is_current(version) {
            return;
        }
        for Arrived { id, to, acknowledged, given_up } in self.joints().arrived(now) {
            let replica = &mut self.replicas[to.index()];
            if given_up {
                replica.leave_exchange(id, now, &mut self.world);
                let cut = replica.state.cut_leap(now, true);
                self.cut(to, cut);
                self.free_clients();
            } else {
                let cut = replica.state.arrive(id, now, &mut self.world);
                self.cut(to, cut);
            }
            self.queue.push(acknowledged, Event::Acknowledged { request: id });
        }
        self.forecast();
    }

    /// The KV of a request is safe, or nobody needs it: its prefill replica lets it go.
    pub fn end_lease(&mut self, id: RequestId) {
        let from = self.joints().end(id);
        self.replicas[from.index()].state.end_lease(id, self.now);
        self.touched.push(from);
    }

    /// The client of a request gives up that is between its prefill and its decode.
    pub fn give_up_between(&mut self, id: RequestId) {
        let request = self.world.request(id);
        let (phase, to) = (request.phase, request.record.replica);
        if phase == Phase::Coming {
            return self.joints().give_up(id);
        }
        let replica = &mut self.replicas[to.index()];
        replica.leave_exchange(id, self.now, &mut self.world);
        let cut = replica.state.cut_leap(self.now, true);
        self.cut(to, cut);
        if phase == Phase::Offered {
            self.end_lease(id);
        }
    }
}
