//! A study with everything resolved: what is run, on what, and where each value came from.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cluster::{Changes, Deployment, Group, Joint};
use crate::cost::{CostSpec, StepCost, UnitWork};
use crate::diagnostic::Sources;
use crate::engine::config::{
    ClusterConfig, Failure, FirstToken, HandOver, Migration, Network, ReplicaConfig, Role,
};
use crate::hardware::Accelerator;
use crate::metrics::Running;
use crate::metrics::slo::Slo;
use crate::policy::scaling::Scaling;
use crate::policy::scheduler::SchedulerConfig;
use crate::results::SweepInfo;
use crate::workload::RequestRate;

use super::capacity::CapacityPlan;
use super::check_options::CheckPlan;
use super::requests::Requests;
use super::robustness::RobustnessPlan;
use super::schema::{Paper, SystemOptions};
use super::sensitivity::SensitivityPlan;

/// One resolved value and its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Dotted path, as it would be typed.
    pub path: String,
    /// The value, as TOML writes it.
    pub value: String,
    /// Layer, file and line; or `computed` with the reason.
    pub origin: String,
}

/// One system of a study.
#[derive(Clone)]
pub struct SystemPlan {
    /// Preset or variant.
    pub name: String,
    /// Where it was published.
    pub paper: Option<Paper>,
    /// All layers merged.
    pub options: SystemOptions,
    /// What the engine simulates.
    pub cluster: ClusterConfig,
    /// What a step costs.
    pub cost: Arc<dyn StepCost>,
    /// What the cost is made of.
    pub spec: CostSpec,
    /// Accelerators of the whole deployment.
    pub gpus: u32,
    /// Unequal replicas, in the order of their ids; empty: all are `cluster.replica`, with `cost`.
    pub groups: Vec<GroupPlan>,
    /// Where prefill and decode are apart: what joins them.
    pub joint: Option<JointPlan>,
    /// Blocks that count as used on a replica with a request of a priority level, by level.
    pub headroom: Vec<u32>,
    /// When replicas are added and taken away; `replicas` is then the most there can be.
    pub scaling: Option<Scaling>,
    /// Replicas that fail, in order of time and replica.
    pub failures: Vec<Failure>,
    /// Uses true output lengths or other knowledge no real system has.
    pub oracle: bool,
    /// Every value with its origin, by path.
    pub settings: Vec<Setting>,
    /// Where the router and the queue order are chosen.
    pub places: (Range<usize>, Range<usize>),
}

/// Equal replicas of a system that has unequal ones.
#[derive(Clone)]
pub struct GroupPlan {
    /// Each of them.
    pub replica: ReplicaConfig,
    /// How many.
    pub replicas: u16,
    /// What a step costs.
    pub cost: Arc<dyn StepCost>,
    /// What the cost is made of.
    pub spec: CostSpec,
    /// Accelerators of all of them together.
    pub gpus: u32,
    /// Pipeline stages of each.
    pub stages: u32,
    /// Which phases of a request they compute.
    pub role: Role,
}

/// What joins the replicas of a system between which KV travels.
#[derive(Clone, Debug, PartialEq)]
pub struct JointPlan {
    /// The links between all replicas.
    pub network: Network,
    /// For prefill and decode apart: how a request gets from one to the other.
    pub hand_over: Option<HandOver>,
    /// When running requests move, and how.
    pub migration: Option<Migration>,
    /// Whether replicas fetch prefixes from each other.
    pub prefix_fetch: bool,
}

impl GroupPlan {
    fn group(&self) -> Group<'_> {
        Group { replica: &self.replica, replicas: self.replicas, cost: &*self.cost, role: self.role }
    }
}

impl SystemPlan {
    /// What is simulated; the router's draws have this seed.
    pub fn deployment(&self, seed: u64) -> Deployment<'_> {
        if self.groups.is_empty() {
            let uniform = Deployment::uniform(&self.cluster, &*self.cost);
            let (joint, changes) = (self.joint(), self.changes());
            return Deployment { seed, joint, changes, headroom: &self.headroom, ..uniform };
        }
        Deployment {
            groups: self.groups.iter().map(GroupPlan::group).collect(),
            router: &self.cluster.router,
            joint: self.joint(),
            changes: self.changes(),
            headroom: &self.headroom,
            front_end: self.cluster.front_end,
            seed,
        }
    }

    fn joint(&self) -> Option<Joint<'_>> {
        let JointPlan { network, hand_over, migration, prefix_fetch } = self.joint.as_ref()?;
        let (hand_over, migration) = (hand_over.as_ref(), migration.as_ref());
        Some(Joint { network, hand_over, migration, prefix_fetch: *prefix_fetch })
    }

    fn changes(&self) -> Option<Changes<'_>> {
        let changes = Changes { scaling: self.scaling.as_ref(), failures: &self.failures };
        (changes.scaling.is_some() || !changes.failures.is_empty()).then_some(changes)
    }

    /// Whether prompts and answers are computed by different replicas.
    pub fn has_pools(&self) -> bool {
        self.joint.as_ref().is_some_and(|j| j.hand_over.is_some())
    }

    /// Whether a prompt's replica leaves the first token to the one that decodes.
    pub fn first_token_at_decode(&self) -> bool {
        let hand_over = self.joint.as_ref().and_then(|joint| joint.hand_over.as_ref());
        hand_over.is_some_and(|h| h.first_token == FirstToken::Decode)
    }

    /// A figure of each accelerator, summed over all of them.
    pub fn sum_over_gpus(&self, figure: impl Fn(&Accelerator) -> f64) -> f64 {
        match &self.groups[..] {
            [] => figure(&self.spec.accelerator) * f64::from(self.gpus),
            groups => groups.iter().map(|g| figure(&g.spec.accelerator) * f64::from(g.gpus)).sum(),
        }
    }

    /// What it draws with nothing to do and what it costs; none for `ideal`, whose requests have an accelerator each.
    pub fn running(&self) -> Option<Running> {
        if matches!(self.cluster.replica.scheduler, SchedulerConfig::Ideal(_)) {
            return None;
        }
        let price = self.sum_over_gpus(|a| a.usd_per_hour);
        let load_w = self.sum_over_gpus(|a| a.power.load.0);
        Some(Running { load_w, usd_per_hour: (price > 0.0).then_some(price) })
    }

    /// Usable KV blocks of all replicas together.
    pub fn kv_blocks(&self) -> u64 {
        let parts = self.deployment(0).groups;
        parts.iter().map(|g| u64::from(g.replicas) * u64::from(g.replica.kv.blocks)).sum()
    }

    /// Tokens that these blocks have room for.
    pub fn kv_slots(&self) -> u64 {
        let parts = self.deployment(0).groups;
        let slots = |g: &Group<'_>| u64::from(g.replica.kv.blocks) * u64::from(g.replica.kv.block);
        parts.iter().map(|g| u64::from(g.replicas) * slots(g)).sum()
    }

    /// Tokens that the host tiers of all prefix caches have room for.
    pub fn host_cache_slots(&self) -> u64 {
        let parts = self.deployment(0).groups;
        let slots = |g: &Group<'_>| u64::from(g.replica.host_cache) * u64::from(g.replica.kv.block);
        parts.iter().map(|g| u64::from(g.replicas) * slots(g)).sum()
    }

    /// Replicas of all groups.
    pub fn replicas(&self) -> u32 {
        self.deployment(0).groups.iter().map(|g| u32::from(g.replicas)).sum()
    }

    /// FLOPs and bytes of a unit of work; none for `ideal`, whose requests have an accelerator each, and where unequal
    /// replicas have different ones.
    pub fn unit_work(&self) -> Option<UnitWork> {
        match &self.groups[..] {
            _ if matches!(self.cluster.replica.scheduler, SchedulerConfig::Ideal(_)) => None,
            [] => UnitWork::of_deployment([(&self.spec, u32::from(self.cluster.replicas))]),
            groups => UnitWork::of_deployment(groups.iter().map(|g| (&g.spec, u32::from(g.replicas)))),
        }
    }

    /// Pipeline stages of all replicas together.
    pub fn stages(&self) -> u32 {
        match &self.groups[..] {
            [] => u32::from(self.cluster.replicas) * self.options.parallel.pp,
            groups => groups.iter().map(|g| u32::from(g.replicas) * g.stages).sum(),
        }
    }

    /// The accelerators, such as `4 × h100-sxm + 2 × a10`.
    pub fn hardware(&self) -> String {
        if self.groups.is_empty() {
            return format!("{} × {}", self.gpus, self.spec.accelerator.name);
        }
        let each = self.groups.iter().map(|g| format!("{} × {}", g.gpus, g.spec.accelerator.name));
        each.collect::<Vec<String>>().join(" + ")
    }
}

/// What the runs of one system differ in, besides the seed.
#[derive(Clone, Debug, PartialEq)]
pub enum Axis {
    /// The workload as it is.
    Natural,
    /// Mean arrival rates.
    Rates(Vec<RequestRate>),
    /// Shares of the reference system's capacity.
    Loads(Vec<f64>),
}

impl Axis {
    /// Number of points.
    pub fn len(&self) -> usize {
        match self {
            Axis::Natural => 1,
            Axis::Rates(rates) => rates.len(),
            Axis::Loads(loads) => loads.len(),
        }
    }

    /// Never: an axis has at least one point.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A whole study before its loads are turned into rates.
#[derive(Clone)]
pub struct StudyPlan {
    /// The scenario's name: folder of the results.
    pub name: String,
    /// The question.
    pub title: String,
    /// Folder of the scenario file, where relative paths start.
    pub folder: Option<PathBuf>,
    /// Seeds 1 … `seeds`.
    pub seeds: u32,
    /// Samples of the deployment's state per run.
    pub timeline_samples: u32,
    /// The limits.
    pub slo: Slo,
    /// Share of requests that must meet them where a capacity is searched.
    pub attainment: f64,
    /// What the requests are.
    pub workload: Requests,
    /// Load, rate or neither.
    pub axis: Axis,
    /// The systems, in the order of `compare`.
    pub systems: Vec<SystemPlan>,
    /// The grid whose combinations are among the systems; none without `[sweep]`.
    pub sweep: Option<SweepInfo>,
    /// Index of the reference system.
    pub reference: usize,
    /// What `[capacity]` asks for.
    pub capacity: Option<CapacityPlan>,
    /// Constants whose effect on the capacity is searched; none by default.
    pub sensitivity: Option<SensitivityPlan>,
    /// What is needed to compare the headline again; none by default.
    pub robustness: Option<RobustnessPlan>,
    /// What `check` lets become worse.
    pub check: CheckPlan,
    /// Values of the study itself (not of a system) with their origin.
    pub settings: Vec<Setting>,
    /// All texts that were read.
    pub sources: Sources,
    /// What the user should know although nothing is wrong.
    pub warnings: Vec<String>,
}

/// One run of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunPlan {
    /// Position in the results.
    pub index: usize,
    /// Which system.
    pub system: usize,
    /// Which point of the axis.
    pub point: usize,
    /// Which seed.
    pub seed: u64,
}

impl StudyPlan {
    /// The longest context that any system serves: what requests are prepared for.
    pub fn longest_context(&self) -> u32 {
        self.systems.iter().map(|s| s.cluster.replica.max_model_len).max().unwrap_or(1)
    }

    /// All runs: by point, then system, then seed.
    pub fn runs(&self) -> Vec<RunPlan> {
        let mut runs = Vec::new();
        for point in 0..self.axis.len() {
            for system in 0..self.systems.len() {
                for seed in 1..=u64::from(self.seeds) {
                    runs.push(RunPlan { index: runs.len(), system, point, seed });
                }
            }
        }
        runs
    }
}
