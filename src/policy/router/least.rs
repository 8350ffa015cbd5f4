//! Routers that compare loads: all replicas, or two of them, or those of a new session only.
//!
//! # Papers
//! * Power of two choices: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE TPDS 12(10),
//!   2001. Two different replicas are drawn here (without replacement).
//! * `memory-load`: the baseline INFaaS++ of "Llumnix: Dynamic Scheduling for Large Language Model Serving", OSDI'24,
//!   <https://arxiv.org/abs/2406.03243> (row A46): "dispatch by memory load, the demand of queued requests included". A
//!   queued request demands the blocks of its prompt (and of what it generated before it lost them), or its
//!   reservation. Its auto-scaling is left out, and so is the virtual usage of Llumnix itself.
//! * `session`: sticky sessions of any gateway; MemServe compares it ("session-id", row A44). A session stays for ever:
//!   there is no time-out and no re-balancing, so that a few long sessions can overload a replica.
//!
//! Ties go to the lowest replica id (`power-of-two`: to the one drawn first).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BadParameter, Load, Mechanism, Replicas, Report, RouteRequest, Router, duration_text};
use crate::collections::LookupMap;
use crate::ids::ReplicaId;
use crate::units::SimDuration;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Requests,
    Tokens,
    Blocks,
}

impl Measure {
    fn of(self, load: Load) -> u64 {
        match self {
            Measure::Requests => u64::from(load.requests),
            Measure::Tokens => load.tokens,
            Measure::Blocks => load.blocks,
        }
    }
}

/// A load as a fraction of what the replica can hold; exact.
#[derive(Clone, Copy)]
struct Share {
    load: u64,
    of: u64,
}

impl Share {
    fn is_less_than(self, other: Share) -> bool {
        u128::from(self.load) * u128::from(other.of) < u128::from(other.load) * u128::from(self.of)
    }
}

fn share(replicas: &mut dyn Replicas, r: ReplicaId, measure: Measure, per_capacity: bool) -> Share {
    let of = if per_capacity { u64::from(replicas.memory(r).blocks) } else { 1 };
    Share { load: measure.of(replicas.load(r)), of }
}

/// The first of `candidates` that are up with the smallest load.
pub(super) fn least(
    candidates: impl IntoIterator<Item = ReplicaId>,
    replicas: &mut dyn Replicas,
    measure: Measure,
    per_capacity: bool,
) -> ReplicaId {
    let mut best: Option<(ReplicaId, Share)> = None;
    for r in candidates {
        if !replicas.is_up(r) {
            continue;
        }
        let share = share(replicas, r, measure, per_capacity);
        if best.is_none_or(|(_, least)| share.is_less_than(least)) {
            best = Some((r, share));
        }
    }
    best.map_or(ReplicaId(0), |(r, _)| r)
}

/// All replicas, in the order of their ids.
pub(super) fn all(replicas: &dyn Replicas) -> impl Iterator<Item = ReplicaId> + use<> {
    (0..replicas.count()).map(ReplicaId)
}

/// Parameters of the routers that read the load of every replica.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LeastLoad {
    /// Reported load is read at the last multiple of this period; 0: at the instant of the decision.
    #[serde(with = "duration_text")]
    #[schemars(with = "SimDuration")]
    pub staleness: SimDuration,
    /// Add the router's own dispatches since the last report, which it knows at once.
    pub own_dispatches: bool,
    /// Divide each load by the replica's KV blocks, for unequal replicas.
    pub per_capacity: bool,
}

impl Default for LeastLoad {
    fn default() -> Self {
        LeastLoad { staleness: SimDuration::ZERO, own_dispatches: true, per_capacity: false }
    }
}

impl LeastLoad {
    /// The router that compares this of every load; the registry says which.
    pub(super) fn build(&self, measure: Measure) -> Box<dyn Router> {
        Box::new(Least { measure, per_capacity: self.per_capacity })
    }

    /// How it reads load.
    pub(super) fn report(&self) -> Option<Report> {
        Some(Report { staleness: self.staleness, own_dispatches: self.own_dispatches })
    }

    /// Everything can work.
    pub(super) fn validate(&self) -> Result<(), BadParameter> {
        Ok(())
    }
}

/// Compares every replica.
struct Least {
    measure: Measure,
    per_capacity: bool,
}

impl Router for Least {
    fn route(&mut self, _request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        least(all(replicas), replicas, self.measure, self.per_capacity)
    }
}

/// Parameters of `memory-load`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MemoryLoad {
    /// As in [`LeastLoad`].
    #[serde(with = "duration_text")]
    #[schemars(with = "SimDuration")]
    pub staleness: SimDuration,
    /// As in [`LeastLoad`]: a dispatch counts the blocks of its prompt.
    pub own_dispatches: bool,
}

impl Default for MemoryLoad {
    fn default() -> Self {
        MemoryLoad { staleness: SimDuration::ZERO, own_dispatches: true }
    }
}

impl Mechanism for MemoryLoad {
    fn build(&self) -> Box<dyn Router> {
        Box::new(Least { measure: Measure::Blocks, per_capacity: true })
    }

    fn report(&self) -> Option<Report> {
        Some(Report { staleness: self.staleness, own_dispatches: self.own_dispatches })
    }
}

/// Parameters of `power-of-two`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PowerOfTwo {
    /// As in [`LeastLoad`].
    #[serde(with = "duration_text")]
    #[schemars(with = "SimDuration")]
    pub staleness: SimDuration,
    /// As in [`LeastLoad`].
    pub own_dispatches: bool,
    /// As in [`LeastLoad`].
    pub per_capacity: bool,
}

impl Default for PowerOfTwo {
    fn default() -> Self {
        PowerOfTwo { staleness: SimDuration::ZERO, own_dispatches: true, per_capacity: false }
    }
}

impl Mechanism for PowerOfTwo {
    fn build(&self) -> Box<dyn Router> {
        Box::new(self.clone())
    }

    fn report(&self) -> Option<Report> {
        Some(Report { staleness: self.staleness, own_dispatches: self.own_dispatches })
    }
}

impl Router for PowerOfTwo {
    fn route(&mut self, _request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        let count = replicas.up();
        if count == 1 {
            return replicas.nth_up(0);
        }
        let first = replicas.draw(0, count);
        let other = replicas.draw(1, count - 1);
        let second = if other < first { other } else { other + 1 };
        let drawn = [first, second].map(|number| replicas.nth_up(number));
        least(drawn, replicas, Measure::Requests, self.per_capacity)
    }
}

/// Parameters of `session`: how the replica of a session's first request is found.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Session {
    /// As in [`LeastLoad`].
    #[serde(with = "duration_text")]
    #[schemars(with = "SimDuration")]
    pub staleness: SimDuration,
    /// As in [`LeastLoad`].
    pub own_dispatches: bool,
    /// As in [`LeastLoad`].
    pub per_capacity: bool,
}

impl Default for Session {
    fn default() -> Self {
        Session { staleness: SimDuration::ZERO, own_dispatches: true, per_capacity: false }
    }
}

impl Mechanism for Session {
    fn build(&self) -> Box<dyn Router> {
        Box::new(Sticky { per_capacity: self.per_capacity, homes: LookupMap::default() })
    }

    fn report(&self) -> Option<Report> {
        Some(Report { staleness: self.staleness, own_dispatches: self.own_dispatches })
    }
}

/// Remembers where each session began.
struct Sticky {
    per_capacity: bool,
    homes: LookupMap<u32, ReplicaId>,
}

impl Router for Sticky {
    fn route(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        if let Some(&home) = request.session.and_then(|s| self.homes.get(&s))
            && replicas.is_up(home)
        {
            return home;
        }
        let chosen = least(all(replicas), replicas, Measure::Requests, self.per_capacity);
        if let Some(session) = request.session {
            self.homes.insert(session, chosen);
        }
        chosen
    }
}
