//! `[plan]`: which deployments of a model `windtunnel plan` may choose from, each resolved like a variant.
//!
//! A deployment is a list of pools of equal replicas: one that computes whole requests (`Role::Whole`), or with
//! `[plan.disaggregated]` one for prefill and one for decode, whose GPUs are their sum.

use std::ops::Range;

use crate::diagnostic::{InputErrors, Node, Value};
use crate::engine::config::Role;
use crate::workload::RequestRate;

use super::document::Document;
use super::plan::{StudyPlan, SystemPlan};
use super::plan_options::{PlanOptions, check_knobs, check_limits, is_of_placement, read};
use super::raw::Target;
use super::study::Flags;
use super::sweep::{Axis, Sweep, axes, combination, plain, short_names, write};
use super::system::resolve_system;
use super::{dedupe, layouts};

pub use super::layouts::{Pool, Space};
pub use super::plan_options::{Objective, PlannerKind};

/// Most deployments of a search.
const DEPLOYMENTS_MAX: usize = 20_000;

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
    /// Who plans.
    pub planners: Vec<PlannerKind>,
    /// What DistServe's planners plan for; none: the highest rate whose plan fits.
    pub rate: Option<RequestRate>,
    /// What a prefill and a decode pool may be.
    pub spaces: Option<(Space, Space)>,
    /// What can be built, in the order of the lists; empty where no planner searches.
    pub candidates: Vec<Candidate>,
    /// What cannot.
    pub refused: Vec<Refused>,
    /// Builds pairs of pools that the lists do not have.
    workshop: Workshop,
}

/// The scenario, and the system that is deployed with prefill and decode apart.
#[derive(Clone)]
struct Workshop {
    doc: Document,
    span: Range<usize>,
    base: String,
}

/// A deployment before it is resolved.
struct Draft {
    name: String,
    pools: Vec<Pool>,
    knobs: Vec<(String, String)>,
    variant: Node,
}

impl Draft {
    /// Pools of a system.
    fn of(pools: Vec<Pool>, base: &str, span: &Range<usize>) -> Draft {
        let mut variant = Node::table(span.clone());
        let node = |value: Value| Node { span: span.clone(), value };
        write(&mut variant, "base", &node(Value::String(base.to_owned())));
        for pool in &pools {
            let at = match pool.role {
                Role::Whole => "",
                Role::Prefill => "placement.disaggregated.prefill.",
                Role::Decode => "placement.disaggregated.decode.",
            };
            let numbers = [("parallel.tp", pool.tp), ("parallel.pp", pool.pp), ("replicas", pool.replicas)];
            for (key, n) in numbers {
                write(&mut variant, &format!("{at}{key}"), &node(Value::Integer(i64::from(n))));
            }
        }
        if pools.iter().all(|p| p.role == Role::Whole) {
            write(&mut variant, "placement.colocated", &Node::table(span.clone()));
        }
        Draft { name: layouts::name(&pools), pools, knobs: Vec::new(), variant }
    }

    /// Sets a knob.
    fn set(&mut self, axis: &Axis<'_>, short: &str, value: &Node) {
        write(&mut self.variant, &axis.path, value);
        self.name.push_str(&format!(" {short}={}", plain(value)));
        self.knobs.push((axis.path.clone(), plain(value)));
    }
}

/// Resolves drafts: what can be built, what cannot, and all that is wrong.
fn build(
    doc: &mut Document,
    span: &Range<usize>,
    drafts: Vec<Draft>,
) -> (Vec<Candidate>, Vec<Refused>, InputErrors) {
    let variants = drafts.iter().map(|d| (d.name.clone(), d.variant.clone())).collect();
    doc.sweep = Some(Sweep::of_variants(String::new(), span.clone(), variants));
    let (mut candidates, mut refused, mut problems) = (Vec::new(), Vec::new(), InputErrors::default());
    for Draft { name, pools, knobs, .. } in drafts {
        match resolve_system(doc, &name, span.clone()) {
            Ok(system) if system.gpus != pools.iter().map(Pool::gpus).sum::<u32>() => {
                let reason = "its system has replicas beside those of the layout (a mixed pool, or `groups`)"
                    .to_owned();
                let help = "name a system without them in `plan.base` or `plan.disaggregated.base`";
                problems.0.push(doc.sources.error(span.clone(), format!("`plan`: {reason}"), help));
                refused.push(Refused { name, reason });
            }
            Ok(system) => candidates.push(Candidate { name, pools, knobs, system }),
            Err(errors) => {
                let reason = errors.0.first().map_or_else(String::new, |e| e.message.clone());
                refused.push(Refused { name, reason });
                problems.0.extend(errors.0);
            }
        }
    }
    (candidates, refused, problems)
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
        check_limits(&doc, &node, &options, &study.slo)?;
        let base = options.base.clone().unwrap_or_else(|| study.systems[study.reference].name.clone());
        let apart = options.disaggregated.as_ref().and_then(|a| a.base.clone());
        let apart = (apart.unwrap_or_else(|| base.clone()), node.value_span("disaggregated.base"));
        doc.sweep = None;
        for (name, span) in [(base.clone(), node.value_span("base")), apart.clone()] {
            doc.system(&name, span)?;
        }
        let span = node.value_span("base");
        let drafts = drafts(&doc, &node, &options, (&base, &apart.0))?;
        let (candidates, refused, mut problems) = build(&mut doc, &span, drafts);
        if candidates.is_empty() && options.searches() {
            // What is wrong with all of them is wrong with the scenario.
            dedupe(&mut problems);
            return Err(problems);
        }
        if !candidates.is_empty() {
            study.systems = candidates.iter().map(|c| c.system.clone()).collect();
            study.reference = 0;
        }
        study.sweep = None;
        study.sources = doc.sources.clone();
        Ok(DeploymentPlan {
            study,
            objective: options.objective,
            gpus: options.gpus,
            base,
            spaces: options.apart(),
            planners: options.planners,
            rate: options.rate,
            candidates,
            refused,
            workshop: Workshop { doc, span, base: apart.0 },
        })
    }

    /// A prefill and a decode pool; `on_one_server`: each prefill replica stands beside a decode replica, and hands over
    /// to those on its server. Else as `plan.disaggregated.base` says. Fails with the reason where it cannot be built.
    pub fn pair(&self, prefill: Pool, decode: Pool, on_one_server: bool) -> Result<Candidate, Refused> {
        let Workshop { doc, span, base } = self.workshop.clone();
        let mut doc = doc;
        let mut draft = Draft::of(vec![prefill, decode], &base, &span);
        if on_one_server {
            let at = "placement.disaggregated";
            let node = |value: Value| Node { span: span.clone(), value };
            write(&mut draft.variant, &format!("{at}.layout"), &node(Value::String("paired".to_owned())));
            write(&mut draft.variant, &format!("{at}.same-server"), &node(Value::Boolean(true)));
            draft.name.push_str(", in pairs on a server");
        }
        let (mut built, mut refused, _) = build(&mut doc, &span, vec![draft]);
        built.pop().ok_or_else(|| refused.pop().expect("what is not built is refused"))
    }
}

/// Every layout that fits, with every combination of the knobs; none where no planner searches.
fn drafts(
    doc: &Document,
    node: &Node,
    options: &PlanOptions,
    (base, apart_base): (&str, &str),
) -> Result<Vec<Draft>, InputErrors> {
    let knobs = node.get("knobs").filter(|k| k.entries().is_some_and(|e| !e.is_empty()));
    let axes = knobs.map_or(Ok(Vec::new()), |knobs| axes(knobs, "plan.knobs", &doc.sources))?;
    check_knobs(doc, node, options, &axes)?;
    if !options.searches() {
        return Ok(Vec::new());
    }
    let (whole, spaces) = (options.whole(), options.apart());
    let together = options.colocated.then(|| layouts::together(&whole, options.gpus)).into_iter().flatten();
    let apart = spaces.iter().flat_map(|(p, d)| layouts::apart(p, d, options.gpus));
    let all: Vec<Vec<Pool>> = together.chain(apart).take(DEPLOYMENTS_MAX + 1).collect();
    if all.is_empty() {
        let message = format!("no layout of `plan.tp` and `plan.pp` fits {} accelerators", options.gpus);
        let help = "write smaller numbers, or more `gpus`";
        return Err(doc.sources.error(node.value_span("gpus"), message, help).into());
    }
    let short = short_names(&axes);
    let of_placement = |pools: &[Pool]| pools.len() > 1;
    let combinations = |pools: &[Pool]| {
        let applies = |a: &&Axis<'_>| of_placement(pools) || !is_of_placement(a);
        axes.iter().filter(applies).map(|a| a.values.len()).fold(1, usize::saturating_mul)
    };
    let count = all.iter().map(|pools| combinations(pools)).fold(0, usize::saturating_add);
    if count > DEPLOYMENTS_MAX {
        let more = if all.len() > DEPLOYMENTS_MAX { "more than " } else { "" };
        let count = if more.is_empty() { count } else { DEPLOYMENTS_MAX };
        let message = format!("`plan` has {more}{count} deployments");
        let help = format!("at most {DEPLOYMENTS_MAX}; shorten a list");
        let at = if knobs.is_some() { "knobs" } else { "gpus" };
        return Err(doc.sources.error(node.value_span(at), message, help).into());
    }
    let mut drafts = Vec::with_capacity(count);
    for pools in all {
        let applies = |a: &Axis<'_>| of_placement(&pools) || !is_of_placement(a);
        let mine: Vec<usize> = (0..axes.len()).filter(|&i| applies(&axes[i])).collect();
        let chosen_from: Vec<Axis<'_>> = mine.iter().map(|&i| axes[i].clone()).collect();
        let base = if pools.len() > 1 { apart_base } else { base };
        for cell in 0..combinations(&pools) {
            let mut draft = Draft::of(pools.clone(), base, &node.value_span("base"));
            for (axis, (&i, value)) in
                chosen_from.iter().zip(mine.iter().zip(combination(&chosen_from, cell)))
            {
                draft.set(axis, &short[i], &value);
            }
            drafts.push(draft);
        }
    }
    Ok(drafts)
}
