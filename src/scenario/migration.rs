//! `migration`: running requests move between equal replicas. What a move is stands in `docs/semantics.md` §14.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, from_tree};
use crate::engine::config::{Migration, MigrationKind, Sharing};
use crate::units::SimDuration;

use super::document::Document;
use super::network::{self, Layout, MessageRule, Wiring};
use super::plan::{JointPlan, Setting, SystemPlan};

/// How running requests get to other replicas, if they do.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum MigrationOptions {
    /// They stay.
    None(Stay),
    /// KV is copied while they decode; they stand still for the last blocks.
    Live(Moves),
    /// They stand still while their KV is copied.
    Blocking(Moves),
    /// Their KV is dropped and computed again.
    Recompute(Moves),
}

/// Nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stay {}

/// Parameters of a migration.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Moves {
    /// How often replicas are paired.
    pub period: SimDuration,
    /// Requests leave replicas with fewer free blocks per request than this.
    pub out_below: i64,
    /// They go to replicas with more free blocks per request than this.
    pub in_above: i64,
    /// A live move stops its request when at most so many blocks are left to copy.
    pub last_stage_blocks: u32,
    /// A live move is given up after so many copies that left more than that.
    pub max_stages: u32,
    /// Link between servers; else that of the node.
    pub network: Option<String>,
    /// NICs of a server; else those of the node.
    pub nics: Option<u32>,
    /// How copies share a NIC.
    pub sharing: Sharing,
    /// Messages of a copy.
    pub messages: MessageRule,
}

impl Default for Moves {
    fn default() -> Self {
        Moves {
            period: SimDuration::from_ms(50),
            out_below: 0,
            in_above: 10,
            last_stage_blocks: 2,
            max_stages: 3,
            network: None,
            nics: None,
            sharing: Sharing::Fair,
            messages: MessageRule::Whole,
        }
    }
}

/// Takes `migration` and `priority-headroom` out of a system's layers.
pub(super) fn take(doc: &Document, node: &mut Node) -> Result<(Option<Node>, Option<Node>), InputErrors> {
    let headroom = node.take("priority-headroom").map(|(_, list)| list);
    let Some((_, migration)) = node.take("migration") else { return Ok((None, headroom)) };
    let options = from_tree::<MigrationOptions>(&migration, "migration", &doc.sources)?;
    let moves = !matches!(options, MigrationOptions::None(_));
    Ok((moves.then_some(migration), headroom))
}

/// Lets the running requests of a system move; `node` is the value of `migration`.
pub(super) fn add(
    doc: &Document,
    plan: SystemPlan,
    migration: Option<Node>,
    headroom: Option<Node>,
) -> Result<SystemPlan, InputErrors> {
    let mut plan = plan;
    if let Some(list) = headroom {
        let tokens = from_tree::<Vec<u32>>(&list, "priority-headroom", &doc.sources)?;
        let block = plan.cluster.replica.kv.block;
        plan.headroom = tokens.iter().map(|tokens| tokens.div_ceil(block)).collect();
        let origin = doc.sources.origin(&list.span);
        let path = "priority-headroom".to_owned();
        plan.settings.push(Setting { path, value: list.to_string(), origin });
    }
    if let Some(node) = migration {
        check(doc, &plan, &node)?;
        let options = from_tree::<MigrationOptions>(&node, "migration", &doc.sources)?;
        plan = moving(doc, plan, &node, &options)?;
    }
    plan.settings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(plan)
}

/// Where requests cannot move.
fn check(doc: &Document, plan: &SystemPlan, node: &Node) -> Result<(), InputErrors> {
    let refuse = |message: String, help: &str| {
        Err(doc.sources.error(node.span.clone(), format!("`migration`: {message}"), help).into())
    };
    let scheduler = &plan.cluster.replica.scheduler;
    if !scheduler.allows_order() {
        let message = format!("requests cannot leave the batches of `scheduler.{}`", scheduler.key());
        return refuse(message, "use `unified`, `chunked`, `prefill-first` or `iteration`");
    }
    if plan.joint.is_some() || !plan.groups.is_empty() {
        let message = "only replicas that are all alike and compute whole requests exchange them".to_owned();
        return refuse(message, "remove it, or `groups` and `placement.disaggregated`");
    }
    Ok(())
}

fn moving(
    doc: &Document,
    mut plan: SystemPlan,
    node: &Node,
    options: &MigrationOptions,
) -> Result<SystemPlan, InputErrors> {
    let (kind, moves) = match options {
        MigrationOptions::None(_) => return Ok(plan),
        MigrationOptions::Live(moves) => (MigrationKind::Live, moves),
        MigrationOptions::Blocking(moves) => (MigrationKind::Blocking, moves),
        MigrationOptions::Recompute(moves) => (MigrationKind::Recompute, moves),
    };
    let key = node.only_key().unwrap_or("live").to_owned();
    let path = format!("migration.{key}");
    let table = node.get(&key).expect("it has the key that it was read by");
    if moves.period.as_ps() == 0 {
        let message = format!("`{path}.period`: replicas cannot be paired all the time");
        let help = "write a duration above 0, such as `\"50 ms\"`";
        return Err(doc.sources.error(table.value_span("period"), message, help).into());
    }
    if moves.in_above < moves.out_below {
        let message = format!(
            "`{path}`: a replica with between {} and {} free blocks per request would both give and take",
            moves.in_above, moves.out_below
        );
        let at = if table.get("out-below").is_some() { "out-below" } else { "in-above" };
        return Err(doc
            .sources
            .error(table.value_span(at), message, "write `in-above` at least as large as `out-below`")
            .into());
    }
    let Moves { network, nics, sharing, messages, .. } = moves.clone();
    let wiring = Wiring { layout: Layout::Packed, network, nics, sharing, messages };
    let network = network::build(&wiring, (table, &path), std::slice::from_ref(&plan), doc)?;
    for (key, leaf) in node.leaves() {
        let (path, origin) = (format!("migration.{key}"), doc.sources.origin(&leaf.span));
        plan.settings.push(Setting { path, value: leaf.to_string(), origin });
    }
    plan.settings.extend(network::settings(&network, &path));
    let migration = Migration {
        kind,
        period: moves.period,
        out_below: moves.out_below,
        in_above: moves.in_above,
        last_stage_blocks: moves.last_stage_blocks,
        max_stages: moves.max_stages,
    };
    plan.joint =
        Some(JointPlan { network, hand_over: None, migration: Some(migration), prefix_fetch: false });
    Ok(plan)
}
