//! KV on its way between replicas: who sends what to whom, how long it takes on links that flows share, and when the
//! memory behind it is free again (docs/semantics.md §12 to §14).

use std::collections::BTreeMap;

use crate::engine::config::{Network, Path};
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::{Traffic, TransferCounters};
use crate::units::{SimDuration, SimTime};

use super::links::Links;

/// One request between two replicas.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    from: ReplicaId,
    to: ReplicaId,
    /// Its client gave up while its KV was on its way.
    given_up: bool,
    /// When the present piece set out.
    since: SimTime,
    /// Bytes of the present piece.
    bytes: u64,
}

/// The state of all transfers of a run.
pub(super) struct Wires<'a> {
    network: &'a Network,
    links: Links<'a>,
    /// From the choice of the receiver to the acknowledgement.
    between: BTreeMap<RequestId, Transfer>,
    /// Counts the events that say when the next flow ends: only the last one is current.
    version: u32,
    counters: TransferCounters,
}

/// KV that has come.
pub(super) struct Arrived {
    pub id: RequestId,
    pub to: ReplicaId,
    /// When the sender knows.
    pub acknowledged: SimTime,
    pub given_up: bool,
}

impl<'a> Wires<'a> {
    pub fn new(network: &'a Network) -> Self {
        Wires {
            network,
            links: Links::new(network),
            between: BTreeMap::new(),
            version: 0,
            counters: TransferCounters::default(),
        }
    }

    /// KV of `id` is to go from one replica to another.
    pub fn join(&mut self, id: RequestId, from: ReplicaId, to: ReplicaId, now: SimTime) {
        self.between.insert(id, Transfer { from, to, given_up: false, since: now, bytes: 0 });
    }

    /// `blocks` blocks of `id` set out at `now`. Returns when their bytes begin to flow.
    pub fn send(&mut self, id: RequestId, blocks: u32, now: SimTime) -> SimTime {
        let bytes = u64::from(blocks) * self.network.block_bytes;
        self.set_out(id, bytes, self.network.messages.of(blocks), now)
    }

    /// All of `layers` layers of `blocks` blocks but the last set out at `at`. Returns when their bytes begin to flow.
    pub fn send_most(&mut self, id: RequestId, blocks: u32, layers: u32, at: SimTime) -> SimTime {
        let bytes = u64::from(blocks) * self.network.block_bytes;
        let rest = bytes.div_ceil(u64::from(layers));
        self.set_out(id, bytes - rest, self.network.messages.of(blocks), at)
    }

    /// The last layer sets out at `at`.
    pub fn send_rest(&mut self, id: RequestId, blocks: u32, layers: u32, at: SimTime) -> SimTime {
        let rest = (u64::from(blocks) * self.network.block_bytes).div_ceil(u64::from(layers));
        let messages = self.network.messages.of(blocks).div_ceil(u64::from(layers));
        self.set_out(id, rest, messages, at)
    }

    fn set_out(&mut self, id: RequestId, bytes: u64, messages: u64, at: SimTime) -> SimTime {
        let transfer = self.between.get_mut(&id).expect("what is sent has a receiver");
        (transfer.since, transfer.bytes) = (at, bytes);
        at + self.network.path(transfer.from, transfer.to).latency * messages
    }

    /// What came last was not all of a transfer.
    pub fn was_a_part(&mut self) {
        self.counters.transfers -= 1;
    }

    /// What `id` sends begins to flow.
    pub fn flow(&mut self, id: RequestId, now: SimTime) {
        let Transfer { from, to, bytes, since, .. } = self.between[&id];
        let Path { ports, .. } = self.network.path(from, to);
        let rate = ports.map(|p| self.network.ports[p as usize]).into_iter().min().unwrap_or(1);
        let alone = (u128::from(bytes) * 1_000_000_000_000).div_ceil(u128::from(rate));
        self.counters.alone += alone + u128::from((now - since).as_ps());
        self.counters.bytes += u128::from(bytes);
        self.links.start(id, ports, bytes, now);
    }

    /// The flows of now.
    pub fn links(&self) -> &Links<'a> {
        &self.links
    }

    /// Sender, receiver, and when the present piece set out.
    pub fn ends_of(&self, id: RequestId) -> (ReplicaId, ReplicaId, SimTime) {
        let Transfer { from, to, since, .. } = self.between[&id];
        (from, to, since)
    }

    /// Whether a forecast still holds.
    pub fn is_current(&self, version: u32) -> bool {
        version == self.version
    }

    /// When the next flow ends, with the version of that forecast.
    pub fn forecast(&mut self) -> Option<(SimTime, u32)> {
        self.version += 1;
        self.links.next_end().map(|at| (at, self.version))
    }

    /// The requests whose last byte comes at `now`.
    pub fn arrived(&mut self, now: SimTime) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        for id in self.links.end(now) {
            let Transfer { from, to, given_up, since, .. } = self.between[&id];
            self.counters.transfers += 1;
            self.counters.time += u128::from((now - since).as_ps());
            let acknowledged = now + self.network.path(from, to).latency;
            arrived.push(Arrived { id, to, acknowledged, given_up });
        }
        arrived
    }

    /// Nothing of `id` is between replicas any more. Returns the replica that sent it.
    pub fn end(&mut self, id: RequestId) -> ReplicaId {
        self.between.remove(&id).expect("a transfer ends once").from
    }

    /// The client of `id`, whose KV is on its way, gives up.
    pub fn give_up(&mut self, id: RequestId) {
        self.between.get_mut(&id).expect("it is on its way").given_up = true;
    }

    /// Whether something of `id` is between two replicas, or not known to have come.
    pub fn is_between(&self, id: RequestId) -> bool {
        self.between.contains_key(&id)
    }

    /// Whether it has.
    pub fn has_given_up(&self, id: RequestId) -> bool {
        self.between[&id].given_up
    }

    /// How long a message takes from one replica to another: at least a moment, so that nothing is known at once.
    pub fn message(&self, from: ReplicaId, to: ReplicaId) -> SimDuration {
        self.network.path(from, to).latency.max(SimDuration::from_ps(1))
    }

    /// Sums of the run.
    pub fn into_traffic(self) -> Traffic {
        Traffic { transfers: self.counters, ports: self.links.into_uses(), ..Traffic::default() }
    }
}
