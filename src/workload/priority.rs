//! `workload.priorities`: how urgent requests are. Each level becomes a class, so that the tables show it apart.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rows::{Row, Rows};
use super::text::duration;
use super::trace::Priority;
use crate::diagnostic::InputError;
use crate::ids::ClassId;
use crate::rng::{Component, stream};
use crate::units::SimDuration;

/// One level of `priorities`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrioritySpec {
    /// What the tables call it.
    pub name: String,
    /// Share of the requests, by weight; drawn by request.
    pub share: f64,
    /// 0 is the most urgent.
    #[serde(default)]
    pub priority: u32,
    /// When its requests are due after their arrival, for `order = "edf"`.
    #[serde(default, with = "duration::option", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<SimDuration>")]
    pub deadline: Option<SimDuration>,
}

/// Problems of `workload.priorities`.
pub(super) fn check(levels: &[PrioritySpec]) -> Vec<InputError> {
    let mut problems = Vec::new();
    let mut add = |message: String, help: &str| {
        problems.push(InputError::named("workload.priorities", message, help));
    };
    if levels.is_empty() {
        add(
            "`priorities` is an empty list".to_owned(),
            "write `[{ name = \"paid\", share = 0.1, priority = 0 }, …]`",
        );
    }
    for (i, level) in levels.iter().enumerate() {
        if !(level.share.is_finite() && level.share > 0.0) {
            let message =
                format!("`priorities`: the share {} of `{}` is not above 0", level.share, level.name);
            add(message, "write a positive weight, such as `share = 0.1`");
        }
        if level.name.is_empty() || levels[..i].iter().any(|l| l.name == level.name) {
            let message = format!("`priorities`: `{}` does not name one level", level.name);
            add(message, "give each level a name of its own");
        }
        if level.deadline == Some(SimDuration::ZERO) {
            let message = format!("`priorities`: the deadline of `{}` is zero", level.name);
            add(message, "write a duration, such as `deadline = \"2 s\"`");
        }
    }
    problems
}

/// Gives each row the class of a level drawn for it. Returns the levels by the names of their classes.
pub(super) fn label(levels: &[PrioritySpec], rows: &mut Rows, seed: u64) -> Vec<(String, Priority)> {
    const LEVELS: Component = Component::named("workload/priorities");
    let mut sum = 0.0;
    let cumulative: Vec<f64> = levels
        .iter()
        .map(|level| {
            sum += level.share;
            sum
        })
        .collect();
    let before = std::mem::take(&mut rows.classes);
    let mut named = Vec::with_capacity(before.len() * levels.len());
    for class in &before {
        for level in levels {
            let priority = Priority { level: level.priority, deadline: level.deadline };
            let name =
                if before.len() == 1 { level.name.clone() } else { format!("{class}, {}", level.name) };
            named.push((name, priority));
        }
    }
    let class_of = |row: &Row| {
        let drawn = stream(seed, LEVELS, u64::from(row.number), 0).pick(&cumulative);
        let class = row.class.index() * levels.len() + drawn;
        ClassId(u16::try_from(class).unwrap_or(u16::MAX))
    };
    for row in &mut rows.rows {
        row.class = class_of(row);
    }
    rows.classes = named.iter().map(|(name, _)| name.clone()).collect();
    named
}
