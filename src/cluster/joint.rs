//! What joins prefill and decode replicas (docs/semantics.md §12): which replica decodes, when KV is sent, how long it
//! takes on links that flows share, and when the memory behind it is free again.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::config::{HandOver, Network, Path};
use crate::engine::{Replica, World};
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::{Traffic, TransferCounters};
use crate::rng::Component;
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

use super::api::Joint;
use super::dispatch::Dispatcher;
use super::links::Links;

const DRAWS: Component = Component::named("decode-router");

/// One request between two replicas.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    from: ReplicaId,
    to: ReplicaId,
    /// Its client gave up while its KV was on its way.
    given_up: bool,
    /// When the decode replica took it.
    taken: SimTime,
}

/// The state of all hand-overs of a run.
pub(super) struct Joints<'a> {
    config: &'a HandOver,
    network: &'a Network,
    /// One for all decode replicas, or one per server.
    routers: Vec<Dispatcher<'a>>,
    /// Which of them chooses for a prefill replica, by replica.
    chooses: Vec<usize>,
    links: Links<'a>,
    /// From the offer to the acknowledgement.
    between: BTreeMap<RequestId, Transfer>,
    /// Counts the events that say when the next flow ends: only the last one is current.
    version: u32,
    counters: TransferCounters,
}

impl<'a> Joints<'a> {
    /// `decode`: the replicas that decode; the others compute prompts.
    pub fn new(joint: Joint<'a>, decode: &[ReplicaId], trace: &'a Trace, seed: u64) -> Self {
        let Joint { hand_over, network } = joint;
        let router = |pool: Vec<ReplicaId>| Dispatcher::new(&hand_over.router, pool, trace, (DRAWS, seed));
        let mut routers = vec![router(decode.to_vec())];
        let mut chooses = vec![0; network.attached.len()];
        if hand_over.same_server {
            let server = |r: ReplicaId| network.attached[r.index()].server;
            let servers: BTreeSet<u32> = decode.iter().map(|&r| server(r)).collect();
            for here in servers {
                let is_here = |r: &ReplicaId| server(*r) == here;
                for (chooses, attached) in chooses.iter_mut().zip(&network.attached) {
                    *chooses = if attached.server == here { routers.len() } else { *chooses };
                }
                routers.push(router(decode.iter().copied().filter(is_here).collect()));
            }
        }
        Joints {
            config: hand_over,
            network,
            routers,
            chooses,
            links: Links::new(network),
            between: BTreeMap::new(),
            version: 0,
            counters: TransferCounters::default(),
        }
    }

    /// How often decode replicas report their load; zero for a router that reads the present or nothing.
    pub fn report_period(&self) -> SimDuration {
        self.routers[0].period()
    }

    /// Chooses the replica that decodes `id`, whose prompt is complete.
    pub fn choose(
        &mut self,
        id: RequestId,
        now: SimTime,
        world: &mut World<'_>,
        replicas: &[Replica],
    ) -> ReplicaId {
        let from = world.request(id).record.replica;
        let to = self.routers[self.chooses[from.index()]].route(id, now, world, replicas);
        self.between.insert(id, Transfer { from, to, given_up: false, taken: now });
        to
    }

    /// The share of its blocks that a decode replica may give to requests that do not run yet, in thousandths.
    pub fn queue_share(&self) -> u32 {
        self.config.queue_share
    }

    /// The decode replica of `id` has taken it at `now`. Returns when its bytes begin to flow.
    pub fn take(&mut self, id: RequestId, blocks: u32, now: SimTime) -> SimTime {
        let transfer = self.between.get_mut(&id).expect("what is taken was offered");
        transfer.taken = now;
        let path = self.network.path(transfer.from, transfer.to);
        now + path.latency * self.config.messages.of(blocks)
    }

    /// The KV of `id` begins to flow: `blocks` blocks.
    pub fn flow(&mut self, id: RequestId, blocks: u32, now: SimTime) {
        let bytes = u64::from(blocks) * self.config.block_bytes;
        let Path { ports, latency } = self.path(id);
        let rate = ports.map(|p| self.network.ports[p as usize]).into_iter().min().unwrap_or(1);
        let alone = (u128::from(bytes) * 1_000_000_000_000).div_ceil(u128::from(rate));
        let messages = (latency * self.config.messages.of(blocks)).as_ps();
        self.counters.alone += alone + u128::from(messages);
        self.counters.bytes += u128::from(bytes);
        self.links.start(id, ports, bytes, now);
    }

    fn path(&self, id: RequestId) -> Path {
        let transfer = &self.between[&id];
        self.network.path(transfer.from, transfer.to)
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

    /// The requests whose last byte comes at `now`, each with its replicas' ids, when its acknowledgement is there and
    /// whether its client has given up.
    pub fn arrived(&mut self, now: SimTime) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        for id in self.links.end(now) {
            let Transfer { from, to, given_up, taken } = self.between[&id];
            self.counters.transfers += 1;
            self.counters.time += u128::from((now - taken).as_ps());
            let acknowledged = now + self.network.path(from, to).latency;
            arrived.push(Arrived { id, to, acknowledged, given_up });
        }
        arrived
    }

    /// The acknowledgement of `id` is there, or nobody needs its KV. Returns the replica whose lease ends.
    pub fn end(&mut self, id: RequestId) -> ReplicaId {
        self.between.remove(&id).expect("a transfer is acknowledged once").from
    }

    /// The client of `id`, whose KV is on its way, gives up.
    pub fn give_up(&mut self, id: RequestId) {
        self.between.get_mut(&id).expect("it is on its way").given_up = true;
    }

    /// Sums of the run.
    pub fn into_traffic(self) -> Traffic {
        Traffic { transfers: self.counters, ports: self.links.into_uses() }
    }
}

/// KV that has come.
pub(super) struct Arrived {
    pub id: RequestId,
    pub to: ReplicaId,
    pub acknowledged: SimTime,
    pub given_up: bool,
}
