//! Which replica gets a request: the contract, and the registry of mechanisms.
//!
//! A router reads replicas through [`Replicas`] and only those it asks for; the cluster computes what it asks for at
//! that moment, so a router that reads nothing costs nothing (docs/semantics.md §2).

mod cache_aware;
mod conductor;
mod freeness;
mod least;
mod prefix_affinity;
mod turns;

pub use cache_aware::CacheAware;
pub use conductor::{Conductor, Forecast};
pub use freeness::Freest;
pub use least::{LeastLoad, MemoryLoad, PowerOfTwo, Session};
pub use prefix_affinity::{Knowledge, PrefixAffinity};
pub use turns::{Random, RoundRobin};

use least::Measure;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ReplicaId, RequestId};
use crate::policy::freeness::Freeness;
use crate::units::{SimDuration, SimTime};

/// Decides which replica gets each request.
///
/// # Contract
/// * Called once per routed request, in the order of routing; own state may change with every call.
/// * Load, caches and draws come from [`Replicas`] only; a router never sees an answer's length (I6).
/// * The replica returned is up.
pub trait Router: Send {
    /// The replica that gets `request`.
    fn route(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> ReplicaId;

    /// The same with what goes beyond a replica; a router that only chooses one has no need of it.
    fn decide(&mut self, request: &RouteRequest<'_>, replicas: &mut dyn Replicas) -> Decision {
        Decision::to(self.route(request, replicas))
    }

    /// What `replica` had cached is gone: it went down.
    fn forget(&mut self, replica: ReplicaId) {
        let _ = replica;
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The replica that gets it.
    pub to: ReplicaId,
    /// The replica from which `to` first fetches what it lacks of the longest prefix; only where prefixes are fetched.
    pub fetch_from: Option<ReplicaId>,
    /// It is turned away instead. Only for a request that comes for the first time.
    pub refused: bool,
}

impl Decision {
    /// It goes to a replica, as it is.
    pub fn to(replica: ReplicaId) -> Self {
        Decision { to: replica, fetch_from: None, refused: false }
    }
}

/// What a router may know of the request at hand.
#[derive(Clone, Copy, Debug)]
pub struct RouteRequest<'a> {
    /// Which request.
    pub id: RequestId,
    /// Prompt tokens.
    pub prompt: u32,
    /// Its session, where the trace has them.
    pub session: Option<u32>,
    /// Prefix ids of its prompt, in order; empty where the trace has none.
    pub prefix: &'a [u64],
    /// Tokens that each id covers (the last one may cover fewer).
    pub tokens_per_id: u32,
}

/// Outstanding work of a replica, as a router sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests queued and not yet gone.
    pub requests: u32,
    /// Their prompt and generated tokens.
    pub tokens: u64,
    /// KV blocks held, and those that waiting and swapped requests will ask for.
    pub blocks: u64,
}

/// KV memory of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Usable blocks.
    pub blocks: u32,
    /// Tokens per block.
    pub block: u32,
}

/// Read access to the replicas at the moment of routing.
pub trait Replicas {
    /// How many there are, at least 1; their ids are below.
    fn count(&self) -> u16;

    /// Whether requests may be sent to `replica`. At least one is up.
    fn is_up(&self, replica: ReplicaId) -> bool {
        let _ = replica;
        true
    }

    /// How many are up.
    fn up(&self) -> u16 {
        self.count()
    }

    /// Of those that are up, in id order, the one with this number, which is below [`Replicas::up`].
    fn nth_up(&self, number: u16) -> ReplicaId {
        ReplicaId(number)
    }

    /// The load that `replica` reported last, with this router's later dispatches if it counts them.
    fn load(&mut self, replica: ReplicaId) -> Load;

    /// KV memory of `replica`.
    fn memory(&self, replica: ReplicaId) -> Memory;

    /// KV memory left for each request of `replica`'s batch, now, the head of its queue and priorities thought of.
    fn freeness(&mut self, replica: ReplicaId) -> Freeness;

    /// Leading prompt tokens of the request at hand in `replica`'s prefix cache, now: full blocks only.
    fn cached(&mut self, replica: ReplicaId) -> u32;

    /// What a router needs that expects times.
    fn expectations(&mut self) -> &mut dyn Expectations;

    /// Draw number `index` of the request at hand: uniform below `below`, which is at least 1.
    fn draw(&self, index: u64, below: u16) -> u16;
}

/// What is known of the time that requests will take; part of [`Replicas`].
pub trait Expectations {
    /// Leading blocks of the prompt at hand that `replica` has in its prefix cache or its host tier, now; fewer than the
    /// whole prompt.
    fn kept(&mut self, replica: ReplicaId) -> u32;

    /// How long it takes to carry so many blocks from one replica to another with nobody else on the way; none where
    /// prefixes are not fetched.
    fn carry_time(&self, from: ReplicaId, to: ReplicaId, blocks: u32) -> Option<SimDuration>;

    /// How long one step over `tokens` prompt tokens after `past` others takes on `replica`, alone.
    fn prompt_time(&self, replica: ReplicaId, past: u32, tokens: u32) -> SimDuration;

    /// Whether `request` is on `replica`, or on its way there, with its prompt incomplete.
    fn has_prompt(&self, replica: ReplicaId, request: RequestId) -> bool;

    /// Whether nothing more happens to `request`.
    fn is_done(&self, request: RequestId) -> bool;

    /// Replicas that write answers: those that decode, or where there are no pools those that are up.
    fn writers(&self) -> u16;

    /// The instant of the decision.
    fn now(&self) -> SimTime;
}

/// How current the load is that a router reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Load is that of the last multiple of this period; 0: that of the instant of the decision.
    pub staleness: SimDuration,
    /// Add the router's own dispatches since then, which it knows at once.
    pub own_dispatches: bool,
}

/// A parameter that no run can work with: its key below `router.KEY`, what is wrong, and what to do about it.
pub type BadParameter = (&'static str, String, String);

/// What the registry asks of a parameter struct.
trait Mechanism {
    /// The router of one run.
    fn build(&self) -> Box<dyn Router>;

    /// How it reads load; none where it reads none.
    fn report(&self) -> Option<Report> {
        None
    }

    /// Refuses what can never work.
    fn validate(&self) -> Result<(), BadParameter> {
        Ok(())
    }
}

/// One line per mechanism: variant, parameter struct, key, summary, whether it draws, and what of a load it compares
/// where several share their parameters.
macro_rules! routers {
    ($($variant:ident($parameters:ident) = $key:literal, $summary:literal, draws: $draws:literal
        $(, compares: $measure:ident)?;)+) => {
        /// Which router, with its parameters. Written as `router.KEY = { … }`.
        #[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum RouterConfig {
            $(#[doc = $summary] #[serde(rename = $key)] $variant($parameters),)+
        }

        impl RouterConfig {
            /// Every mechanism with its default parameters, in registry order.
            pub fn all() -> Vec<RouterConfig> {
                vec![$(RouterConfig::$variant($parameters::default()),)+]
            }

            /// The key of the mechanism in TOML.
            pub fn key(&self) -> &'static str {
                match self { $(RouterConfig::$variant(_) => $key,)+ }
            }

            /// What it does, in one line.
            pub fn summary(&self) -> &'static str {
                match self { $(RouterConfig::$variant(_) => $summary,)+ }
            }

            /// Whether it draws, so that seeds differ even on equal requests.
            pub fn draws(&self) -> bool {
                match self { $(RouterConfig::$variant(_) => $draws,)+ }
            }

            /// The router of one run.
            pub fn build(&self) -> Box<dyn Router> {
                match self { $(RouterConfig::$variant(p) => p.build($(Measure::$measure)?),)+ }
            }

            /// How it reads load; none where it reads none.
            pub fn report(&self) -> Option<Report> {
                match self { $(RouterConfig::$variant(p) => p.report(),)+ }
            }

            /// Refuses parameters that no run can work with.
            ///
            /// # Errors
            /// The key below `router.KEY`, what is wrong with its value, and what to do about it.
            pub fn validate(&self) -> Result<(), BadParameter> {
                match self { $(RouterConfig::$variant(p) => p.validate(),)+ }
            }
        }
    };
}

routers! {
    RoundRobin(RoundRobin) = "round-robin", "Each replica in turn; reads nothing", draws: false;
    Random(Random) = "random", "Any replica, drawn per request; reads nothing", draws: true;
    LeastRequests(LeastLoad) = "least-requests", "The replica with the fewest outstanding requests", draws: false,
        compares: Requests;
    LeastTokens(LeastLoad) = "least-tokens", "The replica with the fewest outstanding tokens", draws: false,
        compares: Tokens;
    PowerOfTwo(PowerOfTwo) = "power-of-two", "Of two replicas drawn per request the one with fewer requests", draws: true;
    MemoryLoad(MemoryLoad) = "memory-load", "INFaaS++: the smallest share of KV memory held or queued for", draws: false;
    Freeness(Freest) = "freeness", "Llumnix: the most KV memory left for each request of the batch", draws: false;
    Session(Session) = "session", "A session stays on its replica; its first request goes where fewest are", draws: false;
    PrefixAffinity(PrefixAffinity) = "prefix-affinity", "The longest known prefix, unless that replica is far busier", draws: false;
    Conductor(Conductor) = "conductor", "Mooncake: the soonest first token, fetching prefixes; may refuse early", draws: false;
    CacheAware(CacheAware) = "cache-aware", "SGLang: the best match among its trees, else the smallest tree", draws: false;
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

    /// Where there may be none.
    pub mod optional {
        use super::{Deserialize, Deserializer, Serializer, SimDuration};

        pub fn serialize<S: Serializer>(d: &Option<SimDuration>, s: S) -> Result<S::Ok, S::Error> {
            match d {
                Some(d) => super::serialize(d, s),
                None => s.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SimDuration>, D::Error> {
            Option::deserialize(d)
        }
    }
}
