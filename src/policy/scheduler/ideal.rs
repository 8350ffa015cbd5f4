//! Bound: every request alone on the accelerator from its arrival.
//!
//! # Paper
//! None. It is the bound that no scheduler on the same hardware can beat for any single request.
//!
//! # Mechanism modelled
//! No replica, no queue, no batch: from the moment it is queued, a request has the accelerator to itself. One step
//! prefills its whole prompt, then it decodes alone, one token a step, through all pipeline stages and hops. The
//! cluster computes it in closed form (`docs/semantics.md` section 8); there is no scheduler to build.
//!
//! # Left out, and the effect
//! Interference, memory and queueing: on purpose. Throughput means nothing under it, since every request has its own
//! accelerator; only latencies per request are a bound. The served context stays limited, so the same requests are
//! rejected as elsewhere.
//!
//! # Parameters
//! None.
//!
//! # Validation
//! `tests/it/scheduler_bounds.rs`: equal to one request alone on any other scheduler.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Scheduler;
use super::parameters::{BadParameter, Mechanism};

/// Parameters of `ideal`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Ideal {}

impl Mechanism for Ideal {
    fn build(&self) -> Option<Box<dyn Scheduler>> {
        None
    }

    fn validate(&self) -> Result<(), BadParameter> {
        Ok(())
    }
}
