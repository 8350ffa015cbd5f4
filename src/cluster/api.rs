//! What is run, and how.

use crate::cost::StepCost;
use crate::engine::config::{
    ClusterConfig, Failure, FrontEnd, HandOver, Migration, Network, ReplicaConfig, Role,
};
use crate::metrics::record::Deadlines;
use crate::policy::router::RouterConfig;
use crate::policy::scaling::Scaling;

/// How a run is carried out; none of it changes what happens in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// One event per step instead of leaps.
    pub stepwise: bool,
    /// Check the invariants at every event.
    pub audit: bool,
    /// About how many timeline samples to take (0: none).
    pub samples: u32,
    /// Count the tokens that meet these deadlines (`RequestRecord::on_time`).
    pub deadlines: Option<Deadlines>,
}

/// Equal replicas of a deployment.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    /// Each of them.
    pub replica: &'a ReplicaConfig,
    /// How many, at least 1.
    pub replicas: u16,
    /// What a step of each costs.
    pub cost: &'a dyn StepCost,
    /// Which phases of a request they compute: all groups `Whole`, or some `Prefill` and some `Decode` (and then perhaps
    /// some `Whole`: the mixed pool).
    pub role: Role,
}

/// What joins the replicas of a deployment between which KV travels.
#[derive(Clone, Copy)]
pub struct Joint<'a> {
    /// The links between all replicas.
    pub network: &'a Network,
    /// For prefill and decode apart: how a request gets from one to the other.
    pub hand_over: Option<&'a HandOver>,
    /// For replicas that compute whole requests: when running ones move, and how.
    pub migration: Option<&'a Migration>,
    /// Whether replicas fetch prefixes from each other where the router says so. All have a host tier then.
    pub prefix_fetch: bool,
}

/// Replicas that come and go.
#[derive(Clone, Copy)]
pub struct Changes<'a> {
    /// When they are added and taken away; the deployment's replicas are the most there can be.
    pub scaling: Option<&'a Scaling>,
    /// When they fail, in order of time and replica.
    pub failures: &'a [Failure],
}

/// A deployment: groups of equal replicas behind one router (of those that compute prompts). Replica ids count through the groups in order.
///
/// Groups may differ in cost, stages, KV blocks, watermark, host blocks and scheduler; they share block size, rule of
/// allocation and queue order. The longest context served is that of the group with the smallest limit.
#[derive(Clone)]
pub struct Deployment<'a> {
    /// At least one.
    pub groups: Vec<Group<'a>>,
    /// Which replica gets a request.
    pub router: &'a RouterConfig,
    /// Where KV travels between replicas.
    pub joint: Option<Joint<'a>>,
    /// Replicas that come and go; else all are there from beginning to end. All groups are [`Role::Whole`] with it.
    pub changes: Option<Changes<'a>>,
    /// Blocks that count as used on a replica with a request of a priority level, by level (`policy::freeness`).
    pub headroom: &'a [u32],
    /// What stands before the router.
    pub front_end: FrontEnd,
    /// Seed of the router's draws.
    pub seed: u64,
}

impl<'a> Deployment<'a> {
    /// A deployment of equal replicas; draws have seed 0.
    pub fn uniform(config: &'a ClusterConfig, cost: &'a dyn StepCost) -> Self {
        let (replica, replicas) = (&config.replica, config.replicas);
        let group = Group { replica, replicas, cost, role: Role::Whole };
        let router = &config.router;
        Deployment {
            groups: vec![group],
            router,
            joint: None,
            changes: None,
            headroom: &[],
            front_end: config.front_end,
            seed: 0,
        }
    }

    /// Configuration and cost by group, as the engine takes them.
    pub(super) fn parts(&self) -> Vec<(&'a ReplicaConfig, &'a dyn StepCost)> {
        self.groups.iter().map(|g| (g.replica, g.cost)).collect()
    }
}
