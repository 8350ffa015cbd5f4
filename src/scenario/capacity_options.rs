//! `[capacity]`: which capacities a scenario asks for, and how long a trial is.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, from_tree};
use crate::metrics::slo::Limit;
use crate::units::SimDuration;

use super::document::Document;
use super::plan::SystemPlan;
use super::slo::TokenLimit;

/// How long a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TrialRule {
    /// Least number of requests.
    pub requests: u32,
    /// Least length of the arrivals in P99 end-to-end latencies.
    pub spans: f64,
}

impl Default for TrialRule {
    fn default() -> Self {
        TrialRule { requests: 2_000, spans: 20.0 }
    }
}

/// `[capacity]` as typed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct CapacityOptions {
    /// Least number of requests of a trial; default 2000.
    requests: Option<u32>,
    /// Least length of a trial's arrivals in P99 end-to-end latencies; default 20.
    spans: Option<f64>,
    /// Rising limits on the time to first token: the capacity at each of them.
    ttft: Option<Vec<SimDuration>>,
    /// Rising limits on the mean interval between a request's tokens.
    tpot: Option<Vec<TokenLimit>>,
    /// Rising limits on a request's longest gap between tokens.
    gap_max: Option<Vec<TokenLimit>>,
    /// Rising limits on the 99th percentile of all gaps.
    gap_p99: Option<Vec<TokenLimit>>,
    /// Rising limits on the median end-to-end latency per output token.
    normalised_p50: Option<Vec<SimDuration>>,
    /// Rising limits on the mean end-to-end latency per output token.
    normalised_mean: Option<Vec<SimDuration>>,
}

/// What `[capacity]` asks for, resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CapacityPlan {
    /// How long a trial is.
    pub rule: TrialRule,
    /// The limit that is varied and its values; none: `[slo]` as it is.
    pub limits: Option<(Limit, Vec<SimDuration>)>,
}

impl CapacityPlan {
    /// Reads `[capacity]`; multiples are of steps of `reference`.
    pub(super) fn read(doc: &Document, reference: &SystemPlan) -> Result<Option<CapacityPlan>, InputErrors> {
        let Some(node) = doc.capacity.as_ref().filter(|n| n.entries().is_some()) else { return Ok(None) };
        let o: CapacityOptions = from_tree(node, "capacity", &doc.sources)?;
        let plain = |list: Option<Vec<SimDuration>>| list;
        let token = |list: Option<Vec<TokenLimit>>| {
            list.map(|list| list.into_iter().map(|l| l.resolve(reference)).collect::<Vec<SimDuration>>())
        };
        let lists = [
            ("ttft", Limit::Ttft, plain(o.ttft)),
            ("tpot", Limit::Tpot, token(o.tpot)),
            ("gap-max", Limit::GapMax, token(o.gap_max)),
            ("gap-p99", Limit::GapP99, token(o.gap_p99)),
            ("normalised-p50", Limit::NormalisedP50, plain(o.normalised_p50)),
            ("normalised-mean", Limit::NormalisedMean, plain(o.normalised_mean)),
        ];
        let mut errors = InputErrors::default();
        if doc.workload.get("load-by").and_then(|by| by.as_str()) == Some("users") {
            let message = "`[capacity]` sets rates by time, but `workload.load-by` says users".to_owned();
            let help = "remove `[capacity]`, or set `load-by = \"time\"`";
            errors.0.push(doc.sources.error(doc.workload.value_span("load-by"), message, help));
        }
        let mut refuse = |key: &str, message: String, help: &str| {
            errors.0.push(doc.sources.error(node.value_span(key), message, help));
        };
        let mut given = lists.into_iter().filter_map(|(key, limit, list)| Some((key, limit, list?)));
        let limits = given.next();
        if let (Some((first, ..)), Some((second, ..))) = (&limits, given.next()) {
            let message = format!("`capacity.{first}` and `capacity.{second}` both vary a limit");
            refuse(second, message, "keep one list; the other limits belong to `[slo]`");
        }
        if let Some((key, _, list)) = &limits {
            if list.is_empty() || list.contains(&SimDuration::ZERO) {
                let message = format!("`capacity.{key}` needs limits above zero");
                refuse(key, message, "write for example `[\"100 ms\", \"200 ms\"]`");
            } else if !list.is_sorted_by(|a, b| a < b) {
                let message = format!("`capacity.{key}`: limits do not rise");
                refuse(key, message, "write them in rising order, each once");
            }
        }
        let rule = TrialRule::default();
        let rule =
            TrialRule { requests: o.requests.unwrap_or(rule.requests), spans: o.spans.unwrap_or(rule.spans) };
        if rule.requests == 0 {
            refuse(
                "requests",
                "`capacity.requests`: a trial has requests".to_owned(),
                "write 2000, the rule",
            );
        }
        if !(rule.spans >= 0.0 && rule.spans.is_finite()) {
            let message = format!("`capacity.spans`: {} is no length", rule.spans);
            refuse("spans", message, "write 20, the rule, or another number from 0 up");
        }
        let limits = limits.map(|(_, limit, list)| (limit, list));
        errors.or(Some(CapacityPlan { rule, limits }))
    }
}
