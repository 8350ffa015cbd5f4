//! One system: its replicas (`resolve`, `groups` or `disaggregated`), and what stands around them.

use std::ops::Range;

use crate::diagnostic::InputErrors;

use super::document::Document;
use super::plan::SystemPlan;
use super::{disaggregated, groups, migration, prefix_fetch, resolve, scaling};

/// Resolves the system called `name`; `place` is where the scenario names it.
pub fn resolve_system(
    doc: &mut Document,
    name: &str,
    place: Range<usize>,
) -> Result<SystemPlan, InputErrors> {
    let mut node = doc.system(name, place.clone())?;
    let (migration, headroom) = migration::take(doc, &mut node)?;
    let fetch = prefix_fetch::take(doc, &mut node)?;
    let changes = scaling::take(&mut node);
    let placement = disaggregated::take(doc, &mut node)?;
    let groups = node.take("groups").map(|(_, list)| list);
    let plan = match (placement, groups) {
        (Some(_), Some(list)) => {
            let message =
                "`groups` and `placement.disaggregated` both say which replicas there are".to_owned();
            return Err(doc.sources.error(list.span, message, "remove one of the two").into());
        }
        (Some(placement), None) => disaggregated::system(doc, name, &node, &placement, &place),
        (None, Some(list)) => groups::system(doc, name, &node, &list, &place),
        (None, None) => resolve::equal_replicas(doc, name, node, &place),
    }?;
    let plan = migration::add(doc, plan, migration, headroom)?;
    let plan = prefix_fetch::add(doc, plan, fetch)?;
    scaling::add(doc, plan, &changes)
}
