//! Which decode replica gets a request whose prompt is complete (docs/semantics.md §12).

use std::collections::BTreeSet;

use crate::engine::config::{HandOver, Network};
use crate::engine::{Replica, World};
use crate::ids::{ReplicaId, RequestId};
use crate::policy::router::Load;
use crate::rng::Component;
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

use super::dispatch::Dispatcher;

const DRAWS: Component = Component::named("decode-router");

/// The routers of the decode replicas.
pub(super) struct DecodeRouters<'a> {
    config: &'a HandOver,
    /// One for all decode replicas, then perhaps one for each server with some.
    routers: Vec<Dispatcher<'a>>,
    /// Which of them chooses for a prefill replica, by replica.
    chooses: Vec<usize>,
}

impl<'a> DecodeRouters<'a> {
    /// `decode`: the replicas that decode; the others compute prompts.
    pub fn new(
        config: &'a HandOver,
        network: &Network,
        decode: &[ReplicaId],
        trace: &'a Trace,
        seed: u64,
    ) -> Self {
        let router = |pool: Vec<ReplicaId>| Dispatcher::new(&config.router, pool, trace, (DRAWS, seed));
        let mut routers = vec![router(decode.to_vec())];
        let mut chooses = vec![0; network.attached.len()];
        if config.same_server {
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
        DecodeRouters { config, routers, chooses }
    }

    /// How often decode replicas report their load; zero for a router that reads the present or nothing.
    pub fn report_period(&self) -> SimDuration {
        self.routers[0].period()
    }

    /// The share of its blocks that a decode replica may give to requests that do not run yet, in thousandths.
    pub fn queue_share(&self) -> u32 {
        self.config.queue_share
    }

    /// A request that `from` computes will be on `to`: its router counts it there from now on.
    pub fn expect(&mut self, from: ReplicaId, to: ReplicaId, load: Load) {
        self.routers[self.chooses[from.index()]].expect(to, load);
    }

    /// It is on `to`, or will not be.
    pub fn settle(&mut self, from: ReplicaId, to: ReplicaId, load: Load) {
        self.routers[self.chooses[from.index()]].settle(to, load);
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
        self.routers[self.chooses[from.index()]].route(id, now, world, replicas)
    }
}
