//! The systems of a study with KV blocks twice as large, and as much memory: what `robustness = true` compares with.

use crate::diagnostic::{Node, Value};
use crate::policy::scaling::Rule;

use super::document::Document;
use super::plan::SystemPlan;
use super::schema::Paged;
use super::system::resolve_system;

/// Each of `systems` again with blocks twice as large, or why there is none.
pub(super) fn systems(doc: &Document, systems: &[SystemPlan]) -> Vec<Result<SystemPlan, String>> {
    let mut doc = doc.clone();
    doc.doubled_blocks = true;
    systems.iter().map(|system| doubled(&mut doc, system)).collect()
}

fn doubled(doc: &mut Document, system: &SystemPlan) -> Result<SystemPlan, String> {
    let place = system.places.0.clone();
    let mut plan = resolve_system(doc, &system.name, place).map_err(|errors| {
        let first = errors.0.first().map_or_else(String::new, |e| e.message.clone());
        format!("`{}` cannot be built with larger blocks: {first}", system.name)
    })?;
    let block = |of: &SystemPlan| of.deployment(0).groups.iter().map(|g| g.replica.kv.block).max();
    if block(&plan) == block(system) {
        return Err(format!("`{}` has slots of one token and no blocks", system.name));
    }
    // Thresholds that count blocks mean as many tokens as before.
    if let Some(moves) = plan.joint.as_mut().and_then(|joint| joint.migration.as_mut()) {
        (moves.out_below, moves.in_above) = (moves.out_below / 2, moves.in_above / 2);
        moves.last_stage_blocks = moves.last_stage_blocks.div_ceil(2);
    }
    if let Some(scaling) = &mut plan.scaling
        && let Rule::Freeness { out_below, in_above } = &mut scaling.rule
    {
        (*out_below, *in_above) = (*out_below / 2, *in_above / 2);
    }
    Ok(plan)
}

/// Doubles every block size in the merged layers of a system, and halves every number of blocks.
pub(super) fn double(node: &mut Node) {
    match &mut node.value {
        Value::Array(items) => items.iter_mut().for_each(double),
        Value::Table(entries) => {
            for (key, (_, inner)) in entries.iter_mut() {
                match (key.as_str(), &mut inner.value) {
                    ("kv-blocks", Value::Integer(blocks)) => *blocks /= 2,
                    ("kv", Value::Table(_)) => double_block(inner),
                    _ => double(inner),
                }
            }
        }
        _ => {}
    }
}

/// `kv.paged.block`, by default too; `kv.reserve.block` where it is not a slot of one token.
fn double_block(kv: &mut Node) {
    let Some(entries) = kv.entries_mut() else { return };
    for (rule, default) in [("paged", i64::from(Paged::default().block)), ("reserve", 1)] {
        let Some((_, node)) = entries.get_mut(rule) else { continue };
        let span = node.span.clone();
        let Some(keys) = node.entries_mut() else { continue };
        let place = (span.clone(), Node { span, value: Value::Integer(default) });
        if let (_, Node { value: Value::Integer(block), .. }) =
            keys.entry("block".to_owned()).or_insert(place)
            && *block > 1
        {
            *block *= 2;
        }
    }
}
