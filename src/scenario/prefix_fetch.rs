//! `prefix-fetch`: replicas fetch prefixes from each other where the router `conductor` says so. What that means stands in
//! `docs/semantics.md` §16.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, from_tree};
use crate::engine::config::{ReplicaConfig, Role, Sharing};
use crate::policy::router::RouterConfig;

use super::document::Document;
use super::migration::Stay;
use super::network::{self, Layout, MessageRule, Wiring};
use super::plan::{JointPlan, Setting, SystemPlan};

/// Whether replicas fetch prefixes from each other.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PrefixFetchOptions {
    /// Each has what it computed itself.
    None(Stay),
    /// They do.
    On(FetchLinks),
}

/// The links over which prefixes go; with pools they are those of the placement.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FetchLinks {
    /// Link between servers; else that of the node.
    pub network: Option<String>,
    /// NICs of a server; else those of the node.
    pub nics: Option<u32>,
    /// How fetches share a NIC.
    pub sharing: Sharing,
    /// Messages of a fetch.
    pub messages: MessageRule,
}

/// Takes `prefix-fetch` out of a system's layers, if it is on.
pub(super) fn take(doc: &Document, node: &mut Node) -> Result<Option<Node>, InputErrors> {
    let Some((_, fetch)) = node.take("prefix-fetch") else { return Ok(None) };
    let options = from_tree::<PrefixFetchOptions>(&fetch, "prefix-fetch", &doc.sources)?;
    Ok(matches!(options, PrefixFetchOptions::On(_)).then_some(fetch))
}

/// Lets the replicas of a system fetch prefixes; `node` is the value of `prefix-fetch`, where it is on.
pub(super) fn add(
    doc: &Document,
    mut plan: SystemPlan,
    node: Option<Node>,
) -> Result<SystemPlan, InputErrors> {
    let Some(node) = node else { return Ok(plan) };
    let table = node.get("on").expect("it is on").clone();
    let links = from_tree::<FetchLinks>(&table, "prefix-fetch.on", &doc.sources)?;
    check(doc, &plan, &node)?;
    let path = "prefix-fetch.on";
    match &mut plan.joint {
        Some(joint) => {
            if let Some((key, leaf)) = table.leaves().into_iter().next() {
                let message = format!("`{path}.{key}`: the pools have links of their own");
                let help = format!("write `{key}` in `placement.disaggregated`, and `{path} = {{}}`");
                return Err(doc.sources.error(leaf.span.clone(), message, &help).into());
            }
            joint.prefix_fetch = true;
            let (path, value, origin) = (path.to_owned(), "{}".to_owned(), doc.sources.origin(&table.span));
            plan.settings.push(Setting { path, value, origin });
        }
        None => {
            let FetchLinks { network, nics, sharing, messages } = links;
            let wiring = Wiring { layout: Layout::Packed, network, nics, sharing, messages };
            let network = network::build(&wiring, (&table, path), std::slice::from_ref(&plan), doc)?;
            plan.settings.extend(network::settings(&network, path));
            plan.joint = Some(JointPlan { network, hand_over: None, migration: None, prefix_fetch: true });
            for (key, leaf) in node.leaves() {
                let (path, origin) = (format!("prefix-fetch.{key}"), doc.sources.origin(&leaf.span));
                plan.settings.push(Setting { path, value: leaf.to_string(), origin });
            }
        }
    }
    plan.settings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(plan)
}

/// Where prefixes cannot be fetched.
fn check(doc: &Document, plan: &SystemPlan, node: &Node) -> Result<(), InputErrors> {
    let refuse = |message: &str, help: &str| {
        let message = format!("`prefix-fetch`: {message}");
        Err(doc.sources.error(node.span.clone(), message, help).into())
    };
    if !matches!(plan.cluster.router, RouterConfig::Conductor(_)) {
        let message = format!("`router.{}` does not say who fetches what", plan.cluster.router.key());
        return refuse(&message, "use `router.conductor = {}`, or remove `prefix-fetch`");
    }
    let pools = plan.has_pools();
    if plan.joint.is_some() && !pools {
        return refuse("it is not modelled together with `migration`", "remove one of the two");
    }
    if !pools && !plan.groups.is_empty() {
        return refuse("only replicas that are all alike fetch from each other", "remove it, or `groups`");
    }
    if pools && plan.groups.iter().any(|g| g.role == Role::Whole) {
        let help = "remove it, or `placement.disaggregated.mixed`";
        return refuse("it is not modelled together with a mixed pool", help);
    }
    let keeps = |r: &ReplicaConfig| r.kv.prefix_cache && r.host_cache > 0;
    let prompts = plan.groups.iter().filter(|g| g.role == Role::Prefill).map(|g| &g.replica);
    if !keeps(&plan.cluster.replica) || !prompts.into_iter().all(keeps) {
        let help = "write `prefix-cache = \"blocks\"` and a `host-cache`, such as `\"256 GiB\"`";
        return refuse("what is fetched is kept in host memory, and these replicas keep nothing there", help);
    }
    Ok(())
}
