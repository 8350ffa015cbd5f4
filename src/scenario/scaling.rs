//! `scaling` and `failures`: replicas that come and go. What that means stands in `docs/semantics.md` §15.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{InputErrors, Node, Value, from_tree};
use crate::engine::config::Failure;
use crate::ids::ReplicaId;
use crate::policy::scaling::{Range, Rule, Scaling};
use crate::policy::scheduler::SchedulerConfig;
use crate::units::{SimDuration, SimTime};

use super::document::Document;
use super::migration::Stay;
use super::plan::{Setting, SystemPlan};

/// When replicas are added and taken away, if they are.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ScalingOptions {
    /// All replicas are there from beginning to end.
    None(Stay),
    /// By a range of the mean load of a replica.
    Threshold(Threshold),
    /// By a range of the mean freeness (Llumnix).
    Freeness(FreenessRange),
}

/// A load of which the mean over replicas is kept in a range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadMeasure {
    /// Requests queued or running, per replica.
    #[default]
    Requests,
    /// Share of the KV memory that is held or queued for.
    Memory,
}

/// Parameters of `threshold`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Threshold {
    /// What is looked at.
    #[serde(default)]
    pub measure: LoadMeasure,
    /// A replica is added while the mean is above this.
    pub out_above: f64,
    /// One is taken away while it is below this.
    pub in_below: f64,
    /// Replicas that stay.
    #[serde(default = "one")]
    pub min: u16,
    /// Replicas at the beginning; else `min`.
    pub initial: Option<u16>,
    /// Time between two looks.
    #[serde(default = "ten_seconds")]
    pub period: SimDuration,
    /// From the decision until a replica is sent requests.
    pub cold_start: SimDuration,
    /// Looks in a row that must want the same.
    #[serde(default = "three")]
    pub hold: u32,
    /// How many may be starting at once.
    #[serde(default = "one")]
    pub max_starting: u16,
}

/// Parameters of `freeness`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FreenessRange {
    /// A replica is added while the mean is below this, in blocks per request.
    #[serde(default = "ten")]
    pub out_below: i64,
    /// One is taken away while it is above this.
    #[serde(default = "sixty")]
    pub in_above: i64,
    /// Replicas that stay.
    #[serde(default = "one")]
    pub min: u16,
    /// Replicas at the beginning; else `min`.
    pub initial: Option<u16>,
    /// Time between two looks.
    #[serde(default = "ten_seconds")]
    pub period: SimDuration,
    /// From the decision until a replica is sent requests.
    pub cold_start: SimDuration,
    /// Looks in a row that must want the same.
    #[serde(default = "three")]
    pub hold: u32,
    /// How many may be starting at once.
    #[serde(default = "one")]
    pub max_starting: u16,
}

fn one() -> u16 {
    1
}

fn three() -> u32 {
    3
}

fn ten() -> i64 {
    10
}

fn sixty() -> i64 {
    60
}

fn ten_seconds() -> SimDuration {
    SimDuration::from_secs(10)
}

/// A replica that fails.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FailureOptions {
    /// Which one, counted from 0.
    pub replica: u16,
    /// From when on it does nothing, since the beginning of the run.
    pub at: SimDuration,
    /// How long after that its requests are sent elsewhere.
    #[serde(default = "ten_seconds")]
    pub detection: SimDuration,
    /// How long it takes until it is up again.
    pub repair: SimDuration,
}

/// `scaling` and `failures` of a system's layers.
pub(super) struct Written {
    scaling: Option<Node>,
    failures: Option<Node>,
}

/// Takes both out of a system's layers.
pub(super) fn take(node: &mut Node) -> Written {
    let mut take = |key: &str| node.take(key).map(|(_, value)| value);
    Written { scaling: take("scaling"), failures: take("failures") }
}

/// Lets the replicas of a system come and go as its layers say.
pub(super) fn add(
    doc: &Document,
    mut plan: SystemPlan,
    written: &Written,
) -> Result<SystemPlan, InputErrors> {
    let mut errors = InputErrors::default();
    if let Some(node) = &written.scaling {
        let scaling = errors.note(scaling(doc, &plan, node));
        plan.scaling = scaling.flatten();
        if plan.scaling.is_some() {
            settings(doc, &mut plan, "scaling", node);
        }
    }
    if let Some(node) = &written.failures {
        plan.failures = errors.note(failures(doc, &plan, node)).unwrap_or_default();
        settings(doc, &mut plan, "failures", node);
    }
    if !errors.0.is_empty() {
        return Err(errors);
    }
    plan.settings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(plan)
}

fn settings(doc: &Document, plan: &mut SystemPlan, key: &str, node: &Node) {
    for (inside, leaf) in node.leaves() {
        let path = if inside.is_empty() { key.to_owned() } else { format!("{key}.{inside}") };
        plan.settings.push(Setting { path, value: leaf.to_string(), origin: doc.sources.origin(&leaf.span) });
    }
}

/// Where replicas cannot come and go.
fn check(doc: &Document, plan: &SystemPlan, node: &Node, key: &str) -> Result<(), InputErrors> {
    let refuse = |message: &str, help: &str| {
        Err(doc.sources.error(node.span.clone(), format!("`{key}`: {message}"), help).into())
    };
    if matches!(plan.cluster.replica.scheduler, SchedulerConfig::Ideal(_)) {
        let help = "remove it, or write it in the systems that have replicas (`[systems.NAME]`) instead";
        return refuse("`ideal` has an accelerator for every request, and no replicas", help);
    }
    if plan.has_pools() {
        let message = "replicas of pools do not come and go yet: a prompt would lose its KV on both sides";
        return refuse(message, "remove it, or `placement.disaggregated`");
    }
    Ok(())
}

fn scaling(doc: &Document, plan: &SystemPlan, node: &Node) -> Result<Option<Scaling>, InputErrors> {
    let options = from_tree::<ScalingOptions>(node, "scaling", &doc.sources)?;
    let (rule, range) = match options {
        ScalingOptions::None(_) => return Ok(None),
        ScalingOptions::Freeness(range) => {
            (Rule::Freeness { out_below: range.out_below, in_above: range.in_above }, range)
        }
        ScalingOptions::Threshold(t) => {
            let limits = Range { out_above: thousandths(t.out_above), in_below: thousandths(t.in_below) };
            let rule = match t.measure {
                LoadMeasure::Requests => Rule::Requests(limits),
                LoadMeasure::Memory => Rule::Memory(limits),
            };
            let Threshold { min, initial, period, cold_start, hold, max_starting, .. } = t;
            let rest = FreenessRange {
                out_below: 0,
                in_above: 0,
                min,
                initial,
                period,
                cold_start,
                hold,
                max_starting,
            };
            (rule, rest)
        }
    };
    check(doc, plan, node, "scaling")?;
    let key = node.only_key().unwrap_or("threshold").to_owned();
    let table = node.get(&key).expect("it has the key that it was read by");
    let errors = problems(plan, rule, &range, table);
    if let Some((field, message, help)) = errors {
        let message = format!("`scaling.{key}.{field}`: {message}");
        return Err(doc.sources.error(table.value_span(field), message, help).into());
    }
    let FreenessRange { min, initial, period, cold_start, hold, max_starting, .. } = range;
    let initial = initial.unwrap_or(min);
    Ok(Some(Scaling { rule, initial, min, period, cold_start, hold, max_starting }))
}

/// The first value that cannot be: its key, what is wrong, and what to write.
fn problems(
    plan: &SystemPlan,
    rule: Rule,
    range: &FreenessRange,
    table: &Node,
) -> Option<(&'static str, String, &'static str)> {
    let most = plan.replicas();
    let first = |a: &'static str, b: &'static str| if table.get(a).is_some() { a } else { b };
    let both = match rule {
        Rule::Requests(r) | Rule::Memory(r) => {
            (r.in_below > r.out_above).then(|| first("in-below", "out-above"))
        }
        Rule::Freeness { out_below, in_above } => {
            (out_below > in_above).then(|| first("out-below", "in-above"))
        }
    };
    if let Some(field) = both {
        let message = "between the two limits a replica would be added and taken away at once".to_owned();
        return Some((field, message, "write limits between which nothing happens"));
    }
    let initial = range.initial.unwrap_or(range.min);
    if range.min == 0 {
        return Some(("min", "without a replica nobody is served".to_owned(), "write 1 or more"));
    }
    if u32::from(range.min) > most {
        let message = format!("{} replicas stay, but there are {most} at most (`replicas`)", range.min);
        return Some(("min", message, "write fewer, or more `replicas`"));
    }
    if initial < range.min || u32::from(initial) > most {
        let message = format!("{initial} replicas at the beginning, but from {} to {most} can be", range.min);
        return Some(("initial", message, "write a number between `min` and `replicas`"));
    }
    if range.period.as_ps() == 0 {
        let message = "replicas cannot be looked at all the time".to_owned();
        return Some(("period", message, "write a duration above 0, such as `\"10 s\"`"));
    }
    let zero = |n: u32| n == 0;
    if zero(range.hold) {
        return Some(("hold", "no look would decide".to_owned(), "write 1 or more"));
    }
    zero(u32::from(range.max_starting))
        .then(|| ("max-starting", "no replica could ever start".to_owned(), "write 1 or more"))
}

/// A load in thousandths; the type of the key admits any number.
fn thousandths(load: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; checked where it matters"
    )]
    let rounded = (load * 1000.0).round() as u64;
    rounded
}

fn failures(doc: &Document, plan: &SystemPlan, node: &Node) -> Result<Vec<Failure>, InputErrors> {
    let list = from_tree::<Vec<FailureOptions>>(node, "failures", &doc.sources)?;
    if list.is_empty() {
        return Ok(Vec::new());
    }
    check(doc, plan, node, "failures")?;
    let scheduler = &plan.cluster.replica.scheduler;
    let Value::Array(items) = &node.value else { return Ok(Vec::new()) };
    if !scheduler.allows_order() {
        let message = format!(
            "`failures`: requests cannot leave the batches of `scheduler.{}` one by one",
            scheduler.key()
        );
        let help = "use `unified`, `chunked`, `prefill-first` or `iteration`";
        return Err(doc.sources.error(node.span.clone(), message, help).into());
    }
    let mut errors = InputErrors::default();
    for (failure, item) in list.iter().zip(items) {
        if u32::from(failure.replica) >= plan.replicas() {
            let message = format!(
                "`failures.replica`: there is no replica {}; they are numbered from 0 to {}",
                failure.replica,
                plan.replicas() - 1
            );
            errors.0.push(doc.sources.error(item.value_span("replica"), message, "write the number of one"));
        }
    }
    if !errors.0.is_empty() {
        return Err(errors);
    }
    let mut failures: Vec<Failure> = list.iter().map(failure).collect();
    failures.sort_by_key(|f| (f.at, f.replica));
    Ok(failures)
}

fn failure(written: &FailureOptions) -> Failure {
    Failure {
        replica: ReplicaId(written.replica),
        at: SimTime::ZERO + written.at,
        detection: written.detection,
        repair: written.repair,
    }
}
