//! `[plan]` as typed, and what no search can work with.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, from_tree};
use crate::engine::config::Role;
use crate::metrics::slo::Slo;
use crate::workload::RequestRate;

use super::document::Document;
use super::layouts::{PoolLists, Space};
use super::sweep::Axis;

/// What is to be large.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Requests per second within the limits, per accelerator.
    #[default]
    GoodputPerGpu,
    /// Requests within the limits per US dollar.
    GoodputPerDollar,
}

/// How a deployment is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlannerKind {
    /// Every deployment is simulated whole, in passes of ever longer trials.
    Search,
    /// DistServe's Algorithm 1: the best prefill and the best decode instance, each searched alone.
    DistserveHigh,
    /// DistServe's Algorithm 2: the best pair of instances on one server, simulated together.
    DistserveLow,
}

impl fmt::Display for PlannerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PlannerKind::Search => "search",
            PlannerKind::DistserveHigh => "distserve-high",
            PlannerKind::DistserveLow => "distserve-low",
        })
    }
}

/// `[plan]` as typed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PlanOptions {
    /// Accelerators there are; a deployment may use fewer.
    pub gpus: u32,
    /// What is to be large; default `goodput-per-gpu`.
    #[serde(default)]
    pub objective: Objective,
    /// The system that is deployed: a preset or a variant; default `systems.reference`.
    pub base: Option<String>,
    /// Tensor parallel ranks of a replica.
    #[serde(default = "powers")]
    pub tp: Vec<u32>,
    /// Pipeline stages of a replica.
    #[serde(default = "one_stage")]
    pub pp: Vec<u32>,
    /// Numbers of replicas; default: all that fit.
    pub replicas: Option<Vec<u32>>,
    /// Whether deployments whose replicas compute whole requests are searched; default yes.
    #[serde(default = "yes")]
    pub colocated: bool,
    /// Deployments with prefill and decode on pools of their own are searched too.
    pub disaggregated: Option<ApartOptions>,
    /// Who plans; default `["search"]`.
    #[serde(default = "search")]
    pub planners: Vec<PlannerKind>,
    /// Requests per second that DistServe's planners plan for; default: the highest rate whose plan fits `gpus`.
    pub rate: Option<RequestRate>,
    /// Lists of values for keys of a system; every combination of them is tried with every layout.
    #[serde(default, rename = "knobs")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    _knobs: Option<serde::de::IgnoredAny>,
}

/// `[plan.disaggregated]` as typed.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(super) struct ApartOptions {
    /// The system whose placement, first token and layout are taken: a preset or a variant; default `plan.base`.
    pub base: Option<String>,
    /// The prefill pool.
    pub prefill: PoolLists,
    /// The decode pool.
    pub decode: PoolLists,
}

fn powers() -> Vec<u32> {
    vec![1, 2, 4, 8]
}

fn one_stage() -> Vec<u32> {
    vec![1]
}

fn yes() -> bool {
    true
}

fn search() -> Vec<PlannerKind> {
    vec![PlannerKind::Search]
}

impl PlanOptions {
    /// What replicas that compute whole requests may be.
    pub fn whole(&self) -> Space {
        Space { role: Role::Whole, tp: self.tp.clone(), pp: self.pp.clone(), replicas: self.replicas.clone() }
    }

    /// What a prefill and a decode pool may be.
    pub fn apart(&self) -> Option<(Space, Space)> {
        let of = |role: Role, lists: &PoolLists| Space {
            role,
            tp: lists.tp.clone().unwrap_or_else(|| self.tp.clone()),
            pp: lists.pp.clone().unwrap_or_else(|| self.pp.clone()),
            replicas: lists.replicas.clone(),
        };
        let apart = self.disaggregated.as_ref()?;
        Some((of(Role::Prefill, &apart.prefill), of(Role::Decode, &apart.decode)))
    }

    /// The first planner that does not search.
    fn algorithm(&self) -> Option<PlannerKind> {
        self.planners.iter().copied().find(|p| *p != PlannerKind::Search)
    }

    /// Whether all deployments are simulated.
    pub fn searches(&self) -> bool {
        self.planners.contains(&PlannerKind::Search)
    }
}

/// Reads and checks `[plan]`; knobs are read with the drafts.
pub(super) fn read(doc: &Document, node: &Node) -> Result<PlanOptions, InputErrors> {
    let options: PlanOptions = from_tree(node, "plan", &doc.sources)?;
    let mut errors = InputErrors::default();
    let mut refuse = |key: &str, message: String, help: &str| {
        errors.0.push(doc.sources.error(node.value_span(key), message, help));
    };
    if options.gpus == 0 {
        refuse("gpus", "`plan.gpus`: a deployment has accelerators".to_owned(), "write for example 16");
    }
    for (key, list) in lists(&options) {
        let twice = list.iter().enumerate().any(|(i, n)| list[..i].contains(n));
        if list.is_empty() || list.contains(&0) || twice {
            let message = format!("`plan.{key}` needs different numbers from 1 up");
            refuse(&key, message, "write for example `[1, 2, 4]`");
        }
    }
    if !options.colocated && options.disaggregated.is_none() {
        let message = "`plan.colocated = false` leaves no deployment".to_owned();
        refuse("colocated", message, "add `[plan.disaggregated]`, or remove the key");
    }
    let planners = &options.planners;
    let twice = planners.iter().enumerate().any(|(i, p)| planners[..i].contains(p));
    if planners.is_empty() || twice {
        let message = "`plan.planners` needs different planners".to_owned();
        refuse("planners", message, "write for example `[\"search\", \"distserve-high\"]`");
    }
    match options.algorithm() {
        Some(planner) if options.disaggregated.is_none() => {
            let message = format!("`plan.planners`: `{planner}` plans prefill and decode apart");
            refuse("planners", message, "add `[plan.disaggregated]` with the system in `base`");
        }
        None if options.rate.is_some() => {
            let message = "`plan.rate` is what DistServe's planners plan for".to_owned();
            refuse("rate", message, "remove it, or add `distserve-high` to `plan.planners`");
        }
        _ => {}
    }
    errors.or(options)
}

/// DistServe's planners need a limit for each phase.
pub(super) fn check_limits(
    doc: &Document,
    node: &Node,
    options: &PlanOptions,
    slo: &Slo,
) -> Result<(), InputErrors> {
    let decode = slo.tpot.is_some() || slo.gap_max.is_some() || slo.gap_p99.is_some();
    let Some(planner) = options.algorithm().filter(|_| slo.ttft.is_none() || !decode) else { return Ok(()) };
    let message = format!("`plan.planners`: `{planner}` judges prefill by TTFT and decode by its intervals");
    let help = "write `slo.ttft`, and `slo.tpot`, `slo.gap-max` or `slo.gap-p99`";
    Err(doc.sources.error(node.value_span("planners"), message, help).into())
}

/// All lists of numbers with their keys.
fn lists(options: &PlanOptions) -> Vec<(String, &Vec<u32>)> {
    let mut lists = vec![("tp".to_owned(), &options.tp), ("pp".to_owned(), &options.pp)];
    lists.extend(options.replicas.as_ref().map(|list| ("replicas".to_owned(), list)));
    for (pool, of) in
        options.disaggregated.iter().flat_map(|a| [("prefill", &a.prefill), ("decode", &a.decode)])
    {
        for (key, list) in [("tp", &of.tp), ("pp", &of.pp), ("replicas", &of.replicas)] {
            lists.extend(list.as_ref().map(|list| (format!("disaggregated.{pool}.{key}"), list)));
        }
    }
    lists
}

/// Keys that say the layout.
const OF_THE_LAYOUT: [&str; 3] = ["replicas", "parallel.tp", "parallel.pp"];

/// Whether a knob is about the placement, and so only for prefill and decode apart.
pub(super) fn is_of_placement(axis: &Axis<'_>) -> bool {
    axis.path.starts_with("placement.")
}

/// Knobs that belong elsewhere.
pub(super) fn check_knobs(
    doc: &Document,
    node: &Node,
    options: &PlanOptions,
    axes: &[Axis<'_>],
) -> Result<(), InputErrors> {
    let of_pool = |path: &str| {
        let path = path.strip_prefix("placement.disaggregated.")?;
        path.strip_prefix("prefill.").or_else(|| path.strip_prefix("decode.")).map(str::to_owned)
    };
    for axis in axes {
        let (message, help) = if OF_THE_LAYOUT.contains(&axis.path.as_str()) {
            (
                format!("`plan.knobs.{}` belongs to the layout", axis.path),
                "use `plan.tp`, `plan.pp` and `plan.replicas`",
            )
        } else if of_pool(&axis.path).is_some_and(|path| OF_THE_LAYOUT.contains(&path.as_str())) {
            (
                format!("`plan.knobs.{}` belongs to the layout", axis.path),
                "use `plan.disaggregated.prefill` and `.decode`",
            )
        } else if axis.path == "placement" {
            (
                "`plan.knobs.placement` belongs to the layout".to_owned(),
                "use `plan.colocated` and `[plan.disaggregated]`",
            )
        } else if is_of_placement(axis) && options.disaggregated.is_none() {
            (
                format!("`plan.knobs.{}` is about prefill and decode apart", axis.path),
                "add `[plan.disaggregated]`, or remove it",
            )
        } else {
            continue;
        };
        return Err(doc.sources.error(node.value_span("knobs"), message, help).into());
    }
    Ok(())
}
