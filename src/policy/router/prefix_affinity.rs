//! `prefix-affinity`: to the replica that knows the longest prefix, unless loads are far apart.
//!
//! # Paper
//! "SGLang: Efficient Execution of Structured Language Model Programs", NeurIPS'24, <https://arxiv.org/abs/2312.07104>
//! (row A17), whose cache-aware router keeps an approximate tree per worker; "Mooncake", FAST'25,
//! <https://arxiv.org/abs/2407.00079> (row A42), and MemServe, <https://arxiv.org/abs/2406.17565> (row A44), which know
//! the caches themselves.
//!
//! # Mechanism modelled
//! The load guard comes first: if the busiest replica has more than `imbalance-requests` requests more than the idlest
//! one, and more than `imbalance-ratio` times as many, the request goes where fewest are outstanding. Else it goes to
//! the longest known prefix (ties: fewer requests, then the lower id) if that is at least `least-match` of the prompt
//! and not nothing, else where fewest are outstanding.
//!
//! What is known of a replica's cache is either the router's own record of the prefixes it sent there (`knowledge =
//! "dispatched"`: local knowledge), or what the replica holds at this moment (`"reported"`: global knowledge, as if
//! every stored and evicted block were announced at once). The record holds as many prefix ids per replica as its KV
//! memory holds tokens; the least recently sent go first, the ends of a prompt before its beginning.
//!
//! # Left out, and the effect
//! Moving a hot prefix to another replica (Mooncake's balancing threshold): a hot prefix stays where it is until the
//! guard sends a request elsewhere. Reported caches are never stale, so `"reported"` is a bound on what announcements
//! can give; `staleness` ages the loads only. SGLang sends a poor match to the smallest tree, not to the least loaded.
//!
//! # Parameters
//! | key | default | elsewhere |
//! | --- | --- | --- |
//! | `knowledge` | dispatched | SGLang: dispatched; Mooncake, MemServe: reported |
//! | `imbalance-requests` | 32 | SGLang's `balance-abs-threshold`: 32, later 64 |
//! | `imbalance-ratio` | 1.5 | SGLang's `balance-rel-threshold`: 1.0001, later 1.5 |
//! | `least-match` | 0 | SGLang's `cache-threshold`: 0.5, later 0.3 |
//!
//! # Validation
//! Equal to the oracle; hand-made cases in `tests/it/routers.rs`. Reference point: figure 5 of Mooncake's paper, mean
//! TTFT random > load balancing > local > global.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::least::{Measure, all, least};
use super::{BadParameter, Mechanism, Replicas, Report, RouteRequest, Router, duration_text};
use crate::collections::LookupMap;
use crate::ids::ReplicaId;
use crate::units::SimDuration;

/// How a router knows what a replica has cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Knowledge {
    /// Its own record of what it dispatched where.
    Dispatched,
    /// What the replica's prefix cache holds now.
    Reported,
}

/// Parameters of `prefix-affinity`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PrefixAffinity {
    /// Where knowledge of caches comes from.
    pub knowledge: Knowledge,
    /// Outstanding requests by which the busiest replica may exceed the idlest one.
    pub imbalance_requests: u32,
    /// How many times as many requests the busiest one may have besides; at least 1.
    pub imbalance_ratio: f64,
    /// Share of the prompt that must be known for affinity, in [0, 1].
    pub least_match: f64,
    /// Reported load is read at the last multiple of this period; 0: at the instant of the decision.
    #[serde(with = "duration_text")]
    #[schemars(with = "SimDuration")]
    pub staleness: SimDuration,
    /// Add the router's own dispatches since the last report to the load.
    pub own_dispatches: bool,
}

impl Default for PrefixAffinity {
    fn default() -> Self {
        PrefixAffinity {
            knowledge: Knowledge::Dispatched,
            imbalance_requests: 32,
            imbalance_ratio: 1.5,
            least_match: 0.0,
            staleness: SimDuration::ZERO,
            own_dispatches: true,
        }
    }
}

impl Mechanism for PrefixAffinity {
    fn build(&self) -> Box<dyn Router> {
        Box::new(Affinity { parameters: self.clone(), sent: Vec::new() })
    }

    fn report(&self) -> Option<Report> {
        Some(Report { staleness: self.staleness, own_dispatches: self.own_dispatches })
    }

    fn validate(&self) -> Result<(), BadParameter> {
        if !(self.imbalance_ratio >= 1.0 && self.imbalance_ratio.is_finite()) {
            let message = format!(
                "`imbalance-ratio` is {}, but the busiest is never below the idlest",
                self.imbalance_ratio
            );
            return Err(("imbalance-ratio", message, "write a number from 1 up, such as `1.5`".to_owned()));
        }
        if !(0.0..=1.0).contains(&self.least_match) {
            let message = format!("`least-match` is {}, which is no share of a prompt", self.least_match);
            return Err(("least-match", message, "write a number from 0 to 1".to_owned()));
        }
        Ok(())
    }
}

/// The router: its parameters and, by replica, what it sent there.
struct Affinity {
    parameters: PrefixAffinity,
    sent: Vec<Sent>,
}

/// Prefix ids sent to one replica, the least recently sent first to be forgotten.
#[derive(Default)]
struct Sent {
    when: LookupMap<u64, u64>,
    by_time: BTreeMap<u64, u64>,
    clock: u64,
}

impl Sent {
    /// Leading ids that are remembered.
    fn known(&self, prefix: &[u64]) -> usize {
        prefix.iter().take_while(|id| self.when.get(id).is_some()).count()
    }

    /// Remembers a prompt, its beginning as the latest, and forgets what is beyond `most` ids.
    fn remember(&mut self, prefix: &[u64], most: usize) {
        for &id in prefix.iter().rev() {
            self.clock += 1;
            if let Some(before) = self.when.insert(id, self.clock) {
                self.by_time.remove(&before);
            }
            self.by_time.insert(self.clock, id);
        }
        while self.by_time.len() > most {
            let Some((_, id)) = self.by_time.pop_first() else { break };
            self.when.remove(&id);
        }
    }
}

impl Affinity {
    /// Prompt tokens that replica `r` is known to have.
    fn known(&self, r: ReplicaId, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> u32 {
        match self.parameters.knowledge {
            Knowledge::Reported => replicas.cached(r),
            Knowledge::Dispatched => {
                let ids = u32::try_from(self.sent[r.index()].known(request.prefix)).unwrap_or(u32::MAX);
                ids.saturating_mul(request.tokens_per_id).min(request.prompt)
            }
        }
    }

    /// Whether loads are so far apart that affinity has to wait.
    fn is_unbalanced(&self, requests: &[u32]) -> bool {
        let most = requests.iter().copied().max().unwrap_or(0);
        let fewest = requests.iter().copied().min().unwrap_or(0);
        most - fewest > self.parameters.imbalance_requests
            && f64::from(most) > self.parameters.imbalance_ratio * f64::from(fewest)
    }

    fn choose(&self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        let up: Vec<ReplicaId> = all(replicas).filter(|&r| replicas.is_up(r)).collect();
        let requests: Vec<u32> = up.iter().map(|&r| replicas.load(r).requests).collect();
        let idlest = |replicas: &mut dyn Replicas| least(all(replicas), replicas, Measure::Requests, false);
        if request.prefix.is_empty() || self.is_unbalanced(&requests) {
            return idlest(replicas);
        }
        let mut best: Option<(u32, u32, ReplicaId)> = None;
        for (&r, &busy) in up.iter().zip(&requests) {
            let known = self.known(r, request, replicas);
            if best.is_none_or(|(k, b, _)| known > k || (known == k && busy < b)) {
                best = Some((known, busy, r));
            }
        }
        match best {
            Some((known, _, r))
                if known > 0
                    && f64::from(known) >= self.parameters.least_match * f64::from(request.prompt) =>
            {
                r
            }
            _ => idlest(replicas),
        }
    }
}

impl Router for Affinity {
    fn route(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        self.sent.resize_with(usize::from(replicas.count()), Sent::default);
        let chosen = self.choose(request, replicas);
        if self.parameters.knowledge == Knowledge::Dispatched && !request.prefix.is_empty() {
            let memory = replicas.memory(chosen);
            let most = u64::from(memory.blocks) * u64::from(memory.block) / u64::from(request.tokens_per_id);
            let most = usize::try_from(most).unwrap_or(usize::MAX).max(1);
            self.sent[chosen.index()].remember(request.prefix, most);
        }
        chosen
    }

    fn forget(&mut self, replica: ReplicaId) {
        if let Some(sent) = self.sent.get_mut(replica.index()) {
            *sent = Sent::default();
        }
    }
}
