//! Carries out the routing policy: what each replica reports, and what the router knows of its own dispatches.

use std::collections::VecDeque;

use crate::engine::{Load, last_multiple};
use crate::ids::ReplicaId;
use crate::policy::router::{LeastLoad, RouterConfig};
use crate::units::{SimDuration, SimTime};

/// A routed request that the replica's last report does not show.
struct Dispatch {
    at: SimTime,
    replica: ReplicaId,
    prompt: u32,
}

/// The router of one deployment.
pub(super) struct Router {
    config: RouterConfig,
    replicas: u16,
    routed: u64,
    recent: VecDeque<Dispatch>,
}

impl Router {
    pub fn new(config: RouterConfig, replicas: u16) -> Self {
        Router { config, replicas, routed: 0, recent: VecDeque::new() }
    }

    /// Reporting period; zero for a router that reads the present or nothing.
    pub fn period(&self) -> SimDuration {
        self.load_reader().map_or(SimDuration::ZERO, |l| l.staleness)
    }

    fn load_reader(&self) -> Option<&LeastLoad> {
        match &self.config {
            RouterConfig::RoundRobin(_) => None,
            RouterConfig::LeastRequests(load) | RouterConfig::LeastTokens(load) => Some(load),
        }
    }

    /// Chooses a replica at `now`; `reported` is asked for each replica's load, only by routers that read it.
    pub fn route(
        &mut self,
        now: SimTime,
        prompt: u32,
        mut reported: impl FnMut(ReplicaId) -> Load,
    ) -> ReplicaId {
        let turn = self.routed;
        self.routed += 1;
        let Some(reader) = self.load_reader() else {
            return ReplicaId(
                u16::try_from(turn % u64::from(self.replicas)).expect("below the number of replicas"),
            );
        };
        let by_requests = matches!(self.config, RouterConfig::LeastRequests(_));
        let own = reader.own_dispatches && reader.staleness > SimDuration::ZERO;
        let report = last_multiple(reader.staleness, now);
        while self.recent.front().is_some_and(|d| d.at <= report) {
            self.recent.pop_front();
        }
        let mut loads: Vec<u64> = (0..self.replicas)
            .map(|r| {
                let load = reported(ReplicaId(r));
                if by_requests { u64::from(load.requests) } else { load.tokens }
            })
            .collect();
        for dispatch in self.recent.iter().filter(|_| own) {
            loads[dispatch.replica.index()] += if by_requests { 1 } else { u64::from(dispatch.prompt) };
        }
        let best = (0u16..).zip(&loads).min_by_key(|&(r, load)| (load, r)).map_or(0, |(r, _)| r);
        let replica = ReplicaId(best);
        if own {
            self.recent.push_back(Dispatch { at: now, replica, prompt });
        }
        replica
    }
}
