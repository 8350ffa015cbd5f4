//! Llumnix's dispatch: the replica with the most memory left for each request of its batch.
//!
//! # Paper
//! "Llumnix: Dynamic Scheduling for Large Language Model Serving", OSDI'24, <https://arxiv.org/abs/2406.03243>, section
//! 4.4: a new request goes to the instance with the highest freeness (`policy::freeness`). Row A46.
//!
//! # Left out, and the effect
//! The authors' code also drops busy instances and rejects early; the paper does not. The state read is that of the moment:
//! reports of the llumlets are taken to be instant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::least::all;
use super::{Mechanism, Replicas, RouteRequest, Router};
use crate::ids::ReplicaId;
use crate::policy::freeness::Freeness;

/// Parameters of `freeness`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Freest {}

impl Mechanism for Freest {
    fn build(&self) -> Box<dyn Router> {
        Box::new(self.clone())
    }
}

impl Router for Freest {
    fn route(&mut self, _request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId {
        let mut best: Option<(ReplicaId, Freeness)> = None;
        for r in all(replicas) {
            if !replicas.is_up(r) {
                continue;
            }
            let freeness = replicas.freeness(r);
            if best.is_none_or(|(_, most)| freeness.compare(&most).is_gt()) {
                best = Some((r, freeness));
            }
        }
        best.map_or(ReplicaId(0), |(r, _)| r)
    }
}
