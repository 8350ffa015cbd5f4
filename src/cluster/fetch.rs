//! Prefixes that are fetched from other replicas before a request joins its own (docs/semantics.md §16). Which are, is the
//! router's choice.

use std::collections::BTreeMap;

use crate::engine::config::{Network, Path};
use crate::ids::{ReplicaId, RequestId};
use crate::kv::BlockKey;
use crate::units::SimDuration;

use super::run::Run;
use super::wires::Arrived;

/// A prefix on its way.
#[derive(Debug)]
struct Fetch {
    to: ReplicaId,
    /// Its blocks, in the order of the prompt.
    keys: Vec<BlockKey>,
}

/// All prefixes on their way.
#[derive(Debug)]
pub(super) struct Fetches<'a> {
    network: &'a Network,
    on_the_way: BTreeMap<RequestId, Fetch>,
    /// How many have come.
    pub come: u64,
}

impl<'a> Fetches<'a> {
    pub fn new(network: &'a Network) -> Self {
        Fetches { network, on_the_way: BTreeMap::new(), come: 0 }
    }

    /// Where the request goes whose prefix is on its way.
    pub fn destination(&self, id: RequestId) -> Option<ReplicaId> {
        self.on_the_way.get(&id).map(|fetch| fetch.to)
    }

    /// Time to carry `blocks` blocks with nobody else on the way.
    pub fn carry_time(&self, from: ReplicaId, to: ReplicaId, blocks: u32) -> SimDuration {
        let Path { ports, latency } = self.network.path(from, to);
        let rate = ports.map(|p| self.network.ports[p as usize]).into_iter().min().unwrap_or(1);
        let bytes = u128::from(blocks) * u128::from(self.network.block_bytes);
        let flows = (bytes * 1_000_000_000_000).div_ceil(u128::from(rate));
        let flows = SimDuration::from_ps(u64::try_from(flows).unwrap_or(u64::MAX / 2));
        latency * self.network.messages.of(blocks) + flows
    }
}

impl<'a> Run<'a> {
    fn fetches(&mut self) -> &mut Fetches<'a> {
        self.fetches.as_mut().expect("only where prefixes are fetched")
    }

    /// What `to` lacks of the longest prefix of `id` sets out from `from`; the request waits for it at the router.
    pub(super) fn fetch(&mut self, id: RequestId, from: ReplicaId, to: ReplicaId) {
        let now = self.now;
        let kept = |r: ReplicaId| self.replicas[r.index()].state.kept_prefix(id, now, &self.world);
        let (has, lacks_from) = (kept(from), kept(to));
        let keys = (lacks_from..has).map(|block| self.world.key(id, block)).collect();
        self.wait_at_router(id);
        self.fetches().on_the_way.insert(id, Fetch { to, keys });
        self.wires().join(id, from, to, now);
        self.send(id, has - lacks_from);
    }

    /// A prefix has come, if it is one: its blocks are kept for the next plan, and the request joins its replica.
    pub(super) fn prefix_has_come(&mut self, &Arrived { id, to, .. }: &Arrived) -> bool {
        let Some(fetches) = &mut self.fetches else { return false };
        let Some(fetch) = fetches.on_the_way.remove(&id) else { return false };
        fetches.come += 1;
        self.wires().end(id);
        let gone = self.world.is_done(id);
        if self.is_up(to) {
            let keys: Vec<BlockKey> = fetch.keys.into_iter().rev().collect();
            self.replicas[to.index()].state.pool.bring(&keys);
            if !gone {
                self.join(id, to);
            }
            self.wake(to);
        } else if !gone {
            self.route_again(id);
        }
        true
    }
}
