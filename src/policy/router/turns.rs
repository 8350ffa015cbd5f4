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
        Box::new(Turns { routed: 0 })
    }
}

/// Counts the requests it has routed.
struct Turns {
    routed: u64,
}

impl Router for Turns {
    fn route(&mut self, _request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        let turn = self.routed % u64::from(replicas.count());
        self.routed += 1;
        ReplicaId(u16::try_from(turn).expect("below the number of replicas"))
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
        ReplicaId(replicas.draw(0, replicas.count()))
    }
}
