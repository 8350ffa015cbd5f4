//! `[check]`: which numbers `windtunnel check` looks at, and how much worse each may become.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, did_you_mean, from_tree};
use crate::metrics::{Column, column};

use super::document::Document;

/// Relative worsening that is let through where nothing is said.
const TOLERANCE: f64 = 0.01;
/// Chance of a false alarm of one scenario with fresh seeds.
const LEVEL: f64 = 0.001;
/// Numbers that are looked at where the scenario does not say.
const USUAL: [&str; 10] = [
    "ttft_p50_s",
    "ttft_p99_s",
    "tpot_p50_s",
    "tpot_p99_s",
    "gap_p99_s",
    "e2e_p99_s",
    "attainment",
    "goodput_per_s",
    "throughput_output_tok_per_s",
    "finished",
];

/// `[check]` as typed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct CheckOptions {
    /// How much worse a number may become, as a share of its baseline; default 0.01. What has no better direction may
    /// change by as much either way.
    tolerance: Option<f64>,
    /// With fresh seeds: chance of a false alarm of the whole scenario; default 0.001.
    level: Option<f64>,
    /// The numbers that are looked at (see `windtunnel list metrics`), each with its own tolerance.
    metrics: Option<BTreeMap<String, f64>>,
}

/// What `[check]` asks for, resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckPlan {
    /// With fresh seeds: chance of a false alarm of the whole scenario.
    pub level: f64,
    /// Numbers, each with the worsening that is let through, as a share.
    pub metrics: Vec<(&'static Column, f64)>,
}

impl Default for CheckPlan {
    fn default() -> Self {
        CheckPlan { level: LEVEL, metrics: usual(TOLERANCE) }
    }
}

fn usual(tolerance: f64) -> Vec<(&'static Column, f64)> {
    USUAL.iter().filter_map(|key| Some((column::find(key)?, tolerance))).collect()
}

impl CheckPlan {
    /// Reads `[check]`.
    pub(super) fn read(doc: &Document) -> Result<CheckPlan, InputErrors> {
        let node = &doc.check;
        if node.entries().is_none_or(|entries| entries.is_empty()) {
            return Ok(CheckPlan::default());
        }
        let options: CheckOptions = from_tree(node, "check", &doc.sources)?;
        let mut errors = InputErrors::default();
        let mut refuse = |path: &str, message: String, help: String| {
            let inner = path.strip_prefix("metrics.").zip(node.get("metrics"));
            let span = inner.map_or_else(|| node.value_span(path), |(key, metrics)| metrics.value_span(key));
            errors.0.push(doc.sources.error(span, message, help));
        };
        let tolerance = options.tolerance.unwrap_or(TOLERANCE);
        let share = |value: f64| value >= 0.0 && value.is_finite();
        let help = || "write a share from 0 up, such as 0.01 for 1 %".to_owned();
        if !share(tolerance) {
            refuse("tolerance", format!("`check.tolerance`: {tolerance} is no share"), help());
        }
        let level = options.level.unwrap_or(LEVEL);
        if !(level > 0.0 && level < 1.0) {
            let message = format!("`check.level`: {level} is no chance of a false alarm");
            refuse("level", message, format!("write a number between 0 and 1, such as {LEVEL}"));
        }
        let mut metrics = Vec::new();
        for (key, tolerance) in options.metrics.iter().flatten() {
            let path = format!("metrics.{key}");
            match column::find(key) {
                None => {
                    let near = did_you_mean(key, column::all().map(|c| c.key));
                    let help = near.unwrap_or_else(|| "see `windtunnel list metrics`".to_owned());
                    refuse(&path, format!("unknown number `{key}`"), help);
                }
                Some(_) if !share(*tolerance) => {
                    refuse(&path, format!("`check.metrics.{key}`: {tolerance} is no share"), help());
                }
                Some(column) => metrics.push((column, *tolerance)),
            }
        }
        let metrics = if options.metrics.is_some() { metrics } else { usual(tolerance) };
        errors.or(CheckPlan { level, metrics })
    }
}
