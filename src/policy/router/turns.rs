//! Routers that read no replica: each in turn, or any.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mechanism, Replicas, RouteRequest, Router};
use crate::ids::ReplicaId;

/// Parameters of `round-robin`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RoundRobin {}

impl Mechanism for RoundRobin {
    fn build(&self) -> Box<dyn Router> {
        Box::new(Turns { next: 0 })
    }
}

/// Remembers whose turn it is.
struct Turns {
    next: u16,
}

impl Router for Turns {
    fn route(&mut self, _request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        let count = replicas.count();
        let after = |turn: u16| if turn + 1 == count { 0 } else { turn + 1 };
        let mut turn = self.next;
        while !replicas.is_up(ReplicaId(turn)) {
            turn = after(turn);
        }
        self.next = after(turn);
        ReplicaId(turn)
    }
}

/// Parameters of `random`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Random {}

impl Mechanism for Random {
    fn build(&self) -> Box<dyn Router> {
        Box::new(self.clone())
    }
}

impl Router for Random {
    fn route(&mut self, _request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        let drawn = replicas.draw(0, replicas.up());
        replicas.nth_up(drawn)
    }
}
