//! `placement.disaggregated`: prefill and decode on replicas of their own. Each pool is the system with a few keys of its
//! own, resolved as a deployment of equal replicas; what joins them is `engine::config::HandOver` and a network.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, Value, from_tree};
use crate::engine::config::{FirstToken, HandOver, Network, Overlap, Role, Sharing};
use crate::policy::router::RouterConfig;
use crate::policy::scheduler::SchedulerConfig;
use crate::units::Bytes;

use super::document::Document;
use super::groups::{group_of, settings};
use super::network::{self, Layout, MessageRule, Wiring};
use super::plan::{JointPlan, Setting, SystemPlan};
use super::resolve;
use super::schema::{KvOptions, Parallel, PrefixCache, TAGGED};

/// Which replicas compute which phase of a request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PlacementOptions {
    /// Every replica computes whole requests.
    Colocated(Colocated),
    /// Prefill and decode have replicas of their own.
    Disaggregated(Box<Disaggregated>),
}

/// Nothing to say.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Colocated {}

/// One pool: what it says goes before the system's own keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolOptions {
    /// Equal replicas of the pool.
    replicas: Option<u16>,
    /// Accelerator type.
    accelerator: Option<String>,
    /// Engine profile.
    engine: Option<String>,
    /// Server around the accelerators (a host file).
    node: Option<String>,
    /// Ranks of each replica.
    parallel: Option<Parallel>,
    /// Batch formation.
    scheduler: Option<SchedulerConfig>,
    /// KV memory: block size and rule are those of the other pool.
    kv: Option<KvOptions>,
    /// Prefix reuse.
    prefix_cache: Option<PrefixCache>,
    /// Host memory per accelerator that keeps evicted prefix blocks.
    host_cache: Option<Bytes>,
    /// Blocks per replica; else computed from the memory.
    kv_blocks: Option<u32>,
    /// Share of the visible memory the engine takes.
    gpu_memory_utilization: Option<f64>,
}

/// Parameters of `placement.disaggregated`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Disaggregated {
    /// Replicas that compute prompts.
    #[serde(default)]
    pub prefill: PoolOptions,
    /// Replicas that compute answers.
    #[serde(default)]
    pub decode: PoolOptions,
    /// Replicas that compute whole requests, for what is too much for the pools.
    pub mixed: Option<PoolOptions>,
    /// A prompt goes to a mixed replica where its prefill replica has more than so many prompt tokens to compute.
    #[serde(default = "splitwise_tokens")]
    pub mixed_above: u64,
    /// Which decode replica gets a request whose prompt is complete.
    #[serde(default = "least_requests")]
    pub router: RouterConfig,
    /// Who samples the first token.
    #[serde(default)]
    pub first_token: FirstToken,
    /// Share of its blocks that a decode replica gives to requests it has taken and that do not run yet, in (0, 1].
    #[serde(default = "whole")]
    pub queue_share: f64,
    /// Only decode replicas on the prefill replica's server are chosen from, where there is one.
    #[serde(default)]
    pub same_server: bool,
    /// How replicas stand on servers.
    #[serde(default)]
    pub layout: Layout,
    /// KV of prompts of at least so many tokens is sent layer by layer while their last chunk is computed; else, and
    /// without this, when the prompt is complete.
    pub layer_wise_from: Option<u32>,
    /// Link between servers; else that of the node.
    pub network: Option<String>,
    /// NICs of a server; else those of the node.
    pub nics: Option<u32>,
    /// How transfers share a NIC.
    #[serde(default)]
    pub sharing: Sharing,
    /// Messages of a transfer.
    #[serde(default)]
    pub messages: MessageRule,
}

impl Disaggregated {
    fn wiring(&self) -> Wiring {
        let Disaggregated { layout, network, nics, sharing, messages, .. } = self.clone();
        Wiring { layout, network, nics, sharing, messages }
    }
}

fn least_requests() -> RouterConfig {
    RouterConfig::all().into_iter().find(|r| r.key() == "least-requests").unwrap_or_default()
}

/// `prompt_max_pending_batch_tokens` of splitwise-sim.
fn splitwise_tokens() -> u64 {
    8192
}

fn whole() -> f64 {
    1.0
}

/// Resolves a system whose `placement` says `disaggregated`. `node` is the system without that key.
pub(super) fn system(
    doc: &mut Document,
    name: &str,
    node: &Node,
    placement: &Node,
    place: &Range<usize>,
) -> Result<SystemPlan, InputErrors> {
    let table = placement.get("disaggregated").expect("the caller looked").clone();
    let options = from_tree::<Disaggregated>(&table, "placement.disaggregated", &doc.sources)?;
    let mut errors = InputErrors::default();
    let mut pools = Vec::new();
    for &(key, _) in pools_of(&options) {
        let mut merged = node.clone();
        if let Some(pool) = table.get(key) {
            merged.overlay(pool, "", &TAGGED);
        }
        pools.extend(errors.note(resolve::equal_replicas(doc, name, merged, place)));
    }
    if !errors.0.is_empty() {
        return Err(errors);
    }
    check(&options, &table, &pools, doc)?;
    let path = "placement.disaggregated";
    let network = network::build(&options.wiring(), (&table, path), &pools, doc)?;
    Ok(together(pools, &options, network, &table, doc))
}

/// The pools, in the order of their replicas' ids.
const POOLS: [(&str, Role); 3] =
    [("prefill", Role::Prefill), ("decode", Role::Decode), ("mixed", Role::Whole)];

/// Those that a placement has.
fn pools_of(options: &Disaggregated) -> &'static [(&'static str, Role)] {
    if options.mixed.is_some() { &POOLS } else { &POOLS[..2] }
}

/// What no run can work with although each pool is sound.
fn check(
    options: &Disaggregated,
    table: &Node,
    pools: &[SystemPlan],
    doc: &Document,
) -> Result<(), InputErrors> {
    let mut errors = InputErrors::default();
    let mut refuse = |path: &str, message: String, help: &str| {
        let span = table.value_span(path);
        let message = format!("`placement.disaggregated.{path}`: {message}");
        errors.0.push(doc.sources.error(span, message, help));
    };
    if !(options.queue_share > 0.0 && options.queue_share <= 1.0) {
        let message = format!("{} is not a share of the blocks", options.queue_share);
        refuse("queue-share", message, "write a number above 0, at most 1");
    }
    if let Err((key, message, help)) = options.router.validate() {
        refuse(&format!("router.{}.{key}", options.router.key()), message, &help);
    }
    if let RouterConfig::Conductor(_) = options.router {
        let message = "`conductor` knows prompts, and those of decode replicas are done".to_owned();
        refuse("router", message, "use another router, such as `least-requests`");
    }
    for (&(key, _), pool) in POOLS.iter().zip(pools) {
        let scheduler = &pool.cluster.replica.scheduler;
        if !scheduler.allows_order() {
            let message = format!("`scheduler.{}` computes whole requests only", scheduler.key());
            let help = "use `unified`, `chunked`, `prefill-first` or `iteration` for this pool";
            refuse(&format!("{key}.scheduler"), message, help);
        }
    }
    let p = &pools[0].cluster.replica.kv;
    for (&(key, _), pool) in POOLS.iter().zip(pools).skip(1) {
        let d = &pool.cluster.replica.kv;
        if (p.block, p.allocation.rule()) != (d.block, d.allocation.rule()) {
            let message = format!(
                "the pools have blocks of {} and {} tokens, or reserve by different rules",
                p.block, d.block
            );
            let own = format!("{key}.kv");
            let place = if table.get("prefill.kv").is_some() { "prefill.kv" } else { &own };
            refuse(place, message, "give all pools the same `kv` but for its preemption");
        }
    }
    if errors.0.is_empty() { Ok(()) } else { Err(errors) }
}

/// One plan for all pools: that of the prefill pool, with all in it.
fn together(
    pools: Vec<SystemPlan>,
    options: &Disaggregated,
    network: Network,
    table: &Node,
    doc: &Document,
) -> SystemPlan {
    let of = pools_of(options);
    let names: Vec<String> = of.iter().map(|(pool, _)| format!("placement.disaggregated.{pool}")).collect();
    let mut settings = settings(&pools, &names);
    for (path, leaf) in table.leaves() {
        if of.iter().all(|(pool, _)| !path.starts_with(&format!("{pool}."))) {
            let path = format!("placement.disaggregated.{path}");
            settings.push(Setting { path, value: leaf.to_string(), origin: doc.sources.origin(&leaf.span) });
        }
    }
    settings.extend(network::settings(&network, "placement.disaggregated"));
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    let layers = pools[0].spec.model.layers.max(1);
    let hand_over = HandOver {
        router: options.router.clone(),
        first_token: options.first_token,
        same_server: options.same_server,
        queue_share: thousandths(options.queue_share),
        mixed_above: options.mixed_above,
        overlap: options.layer_wise_from.map(|from_tokens| Overlap { from_tokens, layers }),
    };
    let groups = pools.iter().zip(of).map(|(pool, &(_, role))| group_of(pool, role)).collect();
    let (gpus, oracle) = (pools.iter().map(|p| p.gpus).sum(), pools.iter().any(|p| p.oracle));
    let mut pools = pools.into_iter();
    let first = pools.next().expect("there are pools");
    let joint = Some(JointPlan { network, hand_over: Some(hand_over), migration: None, prefix_fetch: false });
    SystemPlan { settings, gpus, oracle, groups, joint, ..first }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in (0, 1]")]
fn thousandths(share: f64) -> u32 {
    ((share * 1000.0).round() as u32).max(1)
}

/// Takes `placement` out of a system's layers: the disaggregated one, or nothing.
pub(super) fn take(doc: &Document, node: &mut Node) -> Result<Option<Node>, InputErrors> {
    let Some((_, placement)) = node.take("placement") else { return Ok(None) };
    if let (Value::Table(_), Some(_)) = (&placement.value, placement.get("disaggregated")) {
        return Ok(Some(placement));
    }
    from_tree::<PlacementOptions>(&placement, "placement", &doc.sources).map(|_| None)
}
