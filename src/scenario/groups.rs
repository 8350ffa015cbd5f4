//! `deployment.groups`: replicas that are not alike. Each group is the system with a few keys of its own, resolved as a
//! deployment of equal replicas; together they stand behind one router.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, Value, from_tree};
use crate::engine::config::Role;

use super::document::Document;
use super::plan::{GroupPlan, Setting, SystemPlan};
use super::resolve;
use super::schema::{Parallel, TAGGED};

/// One group: what it says goes before the deployment's own keys. Read on its own so that a wrong key is an error.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "only its types matter: the values are merged as a tree")]
pub struct GroupOptions {
    /// Equal replicas of the group.
    replicas: Option<u16>,
    /// Accelerator type.
    accelerator: Option<String>,
    /// Engine profile.
    engine: Option<String>,
    /// Ranks of each replica.
    parallel: Option<Parallel>,
    /// Blocks per replica; else computed from the memory.
    kv_blocks: Option<u32>,
}

/// Resolves a system with groups. `node` is the system without them.
pub(super) fn system(
    doc: &mut Document,
    name: &str,
    node: &Node,
    groups: &Node,
    place: &Range<usize>,
) -> Result<SystemPlan, InputErrors> {
    from_tree::<Vec<GroupOptions>>(groups, "groups", &doc.sources)?;
    let Value::Array(items) = &groups.value else { return Err(InputErrors::default()) };
    let refuse = |message: &str, help: &str| {
        Err(doc.sources.error(groups.span.clone(), message.to_owned(), help).into())
    };
    if items.is_empty() {
        return refuse(
            "`groups` is an empty list",
            "remove it, or write `[{ replicas = 2, kv-blocks = 4000 }, …]`",
        );
    }
    let mut errors = InputErrors::default();
    let mut plans = Vec::new();
    for item in items {
        let mut merged = node.clone();
        merged.overlay(item, "", &TAGGED);
        plans.extend(errors.note(resolve::equal_replicas(doc, name, merged, place)));
    }
    if !errors.0.is_empty() {
        return Err(errors);
    }
    let total: u32 = plans.iter().map(|p| u32::from(p.cluster.replicas)).sum();
    if u16::try_from(total).is_err() {
        let message = format!("`groups` have {total} replicas together, more than {}", u16::MAX);
        return Err(doc.sources.error(groups.span.clone(), message, "write fewer replicas").into());
    }
    Ok(together(plans))
}

/// One plan for all groups: that of the first, with every group in it.
fn together(plans: Vec<SystemPlan>) -> SystemPlan {
    let names: Vec<String> = (0..plans.len()).map(|n| format!("groups.{n}")).collect();
    let settings = settings(&plans, &names);
    let gpus = plans.iter().map(|p| p.gpus).sum();
    let groups = plans.iter().map(|p| group_of(p, Role::Whole)).collect();
    let mut plans = plans.into_iter();
    let first = plans.next().expect("the list of groups is not empty");
    SystemPlan { settings, gpus, groups, ..first }
}

/// The equal replicas of a plan as a group.
pub(super) fn group_of(plan: &SystemPlan, role: Role) -> GroupPlan {
    GroupPlan {
        replica: plan.cluster.replica.clone(),
        replicas: plan.cluster.replicas,
        cost: plan.cost.clone(),
        spec: plan.spec.clone(),
        gpus: plan.gpus,
        stages: plan.options.parallel.pp,
        role,
    }
}

/// Settings that all groups share as they are, the others under the name of their group.
pub(super) fn settings(plans: &[SystemPlan], names: &[String]) -> Vec<Setting> {
    let mut all: Vec<Setting> = Vec::new();
    for (n, (plan, name)) in plans.iter().zip(names).enumerate() {
        for setting in &plan.settings {
            let shared = plans.iter().all(|p| p.settings.contains(setting));
            match (shared, n) {
                (true, 0) => all.push(setting.clone()),
                (true, _) => {}
                (false, _) => {
                    let path = format!("{name}.{}", setting.path);
                    all.push(Setting { path, ..setting.clone() });
                }
            }
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}
