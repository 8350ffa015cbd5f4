//! Which replica gets a request: the contract, and the registry of mechanisms.

use serde::{Deserialize, Serialize};

use crate::units::SimDuration;

/// Which router, with its parameters. Written as `router.KEY = { … }`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouterConfig {
    /// Each replica in turn.
    RoundRobin(RoundRobin),
    /// The replica with the fewest outstanding requests.
    LeastRequests(LeastLoad),
    /// The replica with the fewest outstanding tokens.
    LeastTokens(LeastLoad),
}

/// Parameters of `round-robin`: none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RoundRobin {}

/// Parameters of the routers that read load.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LeastLoad {
    /// Reported load is read at the last multiple of this period; 0: at the instant of the decision.
    #[serde(with = "duration_text")]
    pub staleness: SimDuration,
    /// Add the router's own dispatches since the last report, which it knows at once.
    pub own_dispatches: bool,
}

impl Default for LeastLoad {
    fn default() -> Self {
        LeastLoad { staleness: SimDuration::ZERO, own_dispatches: true }
    }
}

impl Default for RouterConfig {
    fn default() -> Self {
        RouterConfig::RoundRobin(RoundRobin {})
    }
}

mod duration_text {
    use crate::units::SimDuration;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(d: &SimDuration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&format!("{} ps", d.as_ps()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SimDuration, D::Error> {
        SimDuration::deserialize(d)
    }
}
