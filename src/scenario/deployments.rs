//! `[plan]`: which deployments of a model `windtunnel plan` may choose from, each resolved like a variant.
//!
//! A deployment is a list of pools of equal replicas. Today there is one pool that computes whole requests
//! (`Role::Whole`); a placement with prefill and decode apart has one pool per role, and its GPUs are their sum.

use std::ops::Range;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, Value, from_tree};
use crate::engine::config::Role;

use super::document::Document;
use super::plan::{StudyPlan, SystemPlan};
use super::raw::Target;
use super::study::Flags;
use super::sweep::{Sweep, axes, combination, plain, short_names, write};
use super::{dedupe, system};

/// Most deployments of a search.
const DEPLOYMENTS_MAX: usize = 20_000;

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

/// `[plan]` as typed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PlanOptions {
    /// Accelerators there are; a deployment may use fewer.
    gpus: u32,
    /// What is to be large; default `goodput-per-gpu`.
    #[serde(default)]
    objective: Objective,
    /// The system that is deployed: a preset or a variant; default `systems.reference`.
    base: Option<String>,
    /// Tensor parallel ranks of a replica.
    #[serde(default = "powers")]
    tp: Vec<u32>,
    /// Pipeline stages of a replica.
    #[serde(default = "one_stage")]
    pp: Vec<u32>,
    /// Numbers of replicas; default: all that fit.
    replicas: Option<Vec<u32>>,
    /// Lists of values for keys of a system; every combination of them is tried with every layout.
    #[serde(default, rename = "knobs")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    _knobs: Option<serde::de::IgnoredAny>,
}

fn powers() -> Vec<u32> {
    vec![1, 2, 4, 8]
}

fn one_stage() -> Vec<u32> {
    vec![1]
}

/// Equal replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which phases of a request they compute.
    pub role: Role,
    /// Tensor parallel ranks of each.
    pub tp: u32,
    /// Pipeline stages of each.
    pub pp: u32,
    /// How many.
    pub replicas: u32,
}

impl Pool {
    /// Accelerators of all of them.
    pub fn gpus(&self) -> u32 {
        self.tp * self.pp * self.replicas
    }
}

/// A deployment of the search.
#[derive(Clone)]
pub struct Candidate {
    /// What it sets, such as `tp4 pp1 x2 token-budget=2048`.
    pub name: String,
    /// Its pools.
    pub pools: Vec<Pool>,
    /// Keys it sets beyond its pools, with their values.
    pub knobs: Vec<(String, String)>,
    /// What is simulated.
    pub system: SystemPlan,
}

/// A deployment that cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What it sets.
    pub name: String,
    /// Why, in one line.
    pub reason: String,
}

/// What `windtunnel plan` searches.
#[derive(Clone)]
pub struct DeploymentPlan {
    /// Requests, limits and seeds; its systems are the candidates.
    pub study: StudyPlan,
    /// What is to be large.
    pub objective: Objective,
    /// Accelerators there are.
    pub gpus: u32,
    /// The system that is deployed.
    pub base: String,
    /// What can be built, in the order of the lists.
    pub candidates: Vec<Candidate>,
    /// What cannot.
    pub refused: Vec<Refused>,
}

/// A deployment before it is resolved.
struct Draft {
    name: String,
    pools: Vec<Pool>,
    knobs: Vec<(String, String)>,
    variant: Node,
}

impl DeploymentPlan {
    /// Reads a scenario with a `[plan]` and resolves every deployment of it.
    pub fn resolve(target: &Target, flags: &Flags) -> Result<DeploymentPlan, InputErrors> {
        let mut sets = flags.sets.clone();
        sets.extend(flags.seeds.map(|n| format!("seeds={n}")));
        let (mut doc, errors) = Document::read(target, &sets)?;
        // The scenario itself must be sound: its reference is what is deployed, where nothing else is said.
        let mut study = StudyPlan::of(doc.without_sweep(), errors)?;
        let Some(node) = doc.plan.clone() else {
            let help =
                "add `[plan]` with `gpus = 16` and lists such as `tp = [2, 4, 8]` (`docs/scenarios.md`)";
            return Err(doc
                .sources
                .error(doc.seeds_place.clone(), "the scenario has no `[plan]`", help)
                .into());
        };
        let options = read(&doc, &node)?;
        let base = options.base.clone().unwrap_or_else(|| study.systems[study.reference].name.clone());
        let drafts = drafts(&doc, &node, &options, &base)?;
        let span = node.value_span("base");
        let variants = drafts.iter().map(|d| (d.name.clone(), d.variant.clone())).collect();
        doc.sweep = Some(Sweep::of_variants(base.clone(), span.clone(), variants));
        let (mut candidates, mut refused, mut problems) = (Vec::new(), Vec::new(), InputErrors::default());
        for draft in drafts {
            match system::resolve_system(&mut doc, &draft.name, span.clone()) {
                Ok(system) => candidates.push(Candidate {
                    name: draft.name,
                    pools: draft.pools,
                    knobs: draft.knobs,
                    system,
                }),
                Err(errors) => {
                    let reason = errors.0.first().map_or_else(String::new, |e| e.message.clone());
                    refused.push(Refused { name: draft.name, reason });
                    problems.0.extend(errors.0);
                }
            }
        }
        if candidates.is_empty() {
            // What is wrong with all of them is wrong with the scenario.
            dedupe(&mut problems);
            return Err(problems);
        }
        study.systems = candidates.iter().map(|c| c.system.clone()).collect();
        study.reference = 0;
        study.sweep = None;
        study.sources = doc.sources;
        Ok(DeploymentPlan {
            study,
            objective: options.objective,
            gpus: options.gpus,
            base,
            candidates,
            refused,
        })
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
    let mut lists = vec![("tp", &options.tp), ("pp", &options.pp)];
    lists.extend(options.replicas.as_ref().map(|list| ("replicas", list)));
    for (key, list) in lists {
        let twice = list.iter().enumerate().any(|(i, n)| list[..i].contains(n));
        if list.is_empty() || list.contains(&0) || twice {
            let message = format!("`plan.{key}` needs different numbers from 1 up");
            refuse(key, message, "write for example `[1, 2, 4]`");
        }
    }
    errors.or(options)
}

/// Every pool that fits, with every combination of the knobs.
fn drafts(doc: &Document, node: &Node, options: &PlanOptions, base: &str) -> Result<Vec<Draft>, InputErrors> {
    let pools = pools(options);
    if pools.is_empty() {
        let message = format!("no layout of `plan.tp` and `plan.pp` fits {} accelerators", options.gpus);
        let help = "write smaller numbers, or more `gpus`";
        return Err(doc.sources.error(node.value_span("gpus"), message, help).into());
    }
    let knobs = node.get("knobs").filter(|k| k.entries().is_some_and(|e| !e.is_empty()));
    let axes = knobs.map_or(Ok(Vec::new()), |knobs| axes(knobs, "plan.knobs", &doc.sources))?;
    if let Some(axis) =
        axes.iter().find(|a| ["replicas", "parallel.tp", "parallel.pp"].contains(&a.path.as_str()))
    {
        let message = format!("`plan.knobs.{}` belongs to the layout", axis.path);
        let help = "use `plan.tp`, `plan.pp` and `plan.replicas`";
        return Err(doc.sources.error(node.value_span("knobs"), message, help).into());
    }
    let cells = axes.iter().map(|a| a.values.len()).fold(1, usize::saturating_mul);
    let all = cells.saturating_mul(pools.len());
    if all > DEPLOYMENTS_MAX {
        let message = format!("`plan` has {all} deployments");
        let help = format!("at most {DEPLOYMENTS_MAX}; shorten a list");
        return Err(doc.sources.error(node.value_span("knobs"), message, help).into());
    }
    let short = short_names(&axes);
    let mut drafts = Vec::new();
    for pool in pools {
        for cell in 0..cells {
            let chosen = combination(&axes, cell);
            let mut variant = Node::table(node.span.clone());
            let number = |n: u32| integer(n, node.span.clone());
            for (path, n) in [("parallel.tp", pool.tp), ("parallel.pp", pool.pp), ("replicas", pool.replicas)]
            {
                write(&mut variant, path, &number(n));
            }
            let base = Node { span: node.value_span("base"), value: Value::String(base.to_owned()) };
            write(&mut variant, "base", &base);
            let mut name = format!("tp{} pp{} x{}", pool.tp, pool.pp, pool.replicas);
            let mut knobs = Vec::new();
            for ((axis, value), short) in axes.iter().zip(&chosen).zip(&short) {
                write(&mut variant, &axis.path, value);
                name.push_str(&format!(" {short}={}", plain(value)));
                knobs.push((axis.path.clone(), plain(value)));
            }
            drafts.push(Draft { name, pools: vec![pool], knobs, variant });
        }
    }
    Ok(drafts)
}

fn integer(n: u32, span: Range<usize>) -> Node {
    Node { span, value: Value::Integer(i64::from(n)) }
}

/// Every layout of whole replicas that fits.
fn pools(options: &PlanOptions) -> Vec<Pool> {
    let mut pools = Vec::new();
    for &tp in &options.tp {
        for &pp in &options.pp {
            let most = tp.checked_mul(pp).map_or(0, |one| options.gpus / one);
            let all: Vec<u32> = match &options.replicas {
                Some(list) => list.iter().copied().filter(|&n| n <= most).collect(),
                None => (1..=most).collect(),
            };
            pools.extend(all.into_iter().map(|replicas| Pool { role: Role::Whole, tp, pp, replicas }));
        }
    }
    pools
}
