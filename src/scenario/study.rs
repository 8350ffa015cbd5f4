//! From a document to a study: the systems, the limits, the axis; all problems of the scenario in one go.

use std::ops::Range;

use crate::diagnostic::{InputError, InputErrors, Node, Sources, Value, from_tree};
use crate::workload::RequestRate;

use super::capacity::CapacityPlan;
use super::check_options::CheckPlan;
use super::document::Document;
use super::plan::{Axis, Setting, StudyPlan, SystemPlan};
use super::raw::Target;
use super::requests::Requests;
use super::robustness::RobustnessPlan;
use super::schema::SystemsOptions;
use super::system;

/// Most seeds of one point.
const SEEDS_MAX: u32 = 1_000;
/// Largest load: beyond ten times its capacity nothing is learned about a system.
const LOAD_MAX: f64 = 10.0;
/// Share of requests that must meet their limits where the scenario does not say.
const ATTAINMENT: f64 = 0.9;

/// What the command line adds to a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--set path=value`, in order.
    pub sets: Vec<String>,
    /// `--seeds N`.
    pub seeds: Option<u32>,
}

impl StudyPlan {
    /// Reads and resolves a scenario.
    pub fn resolve(target: &Target, flags: &Flags) -> Result<StudyPlan, InputErrors> {
        StudyPlan::resolve_at_most(target, flags, usize::MAX)
    }

    /// As [`StudyPlan::resolve`]; a study with more than `most` points (systems × loads) is more likely a slip than a wish.
    pub fn resolve_at_most(target: &Target, flags: &Flags, most: usize) -> Result<StudyPlan, InputErrors> {
        let mut sets = flags.sets.clone();
        sets.extend(flags.seeds.map(|n| format!("seeds={n}")));
        let (doc, errors) = Document::read(target, &sets)?;
        let sweep = doc.sweep.as_ref().map(|s| s.span.clone());
        let place = sweep.unwrap_or_else(|| doc.systems_node.value_span("compare"));
        let plan = StudyPlan::of(doc, errors)?;
        let points = plan.systems.len() * plan.axis.len();
        if points > most {
            let message = format!("the study has {points} points (systems × loads), and {most} are allowed");
            let help = format!("shorten a list, or allow them: --max-points {points}");
            return Err(plan.sources.error(place, message, help).into());
        }
        Ok(plan)
    }

    /// Resolves a document; `errors` are those of reading it.
    pub fn of(mut doc: Document, mut errors: InputErrors) -> Result<StudyPlan, InputErrors> {
        let seeds = doc.head.seeds;
        if seeds == 0 || seeds > SEEDS_MAX {
            let message = format!("`seeds`: {seeds} is not a number of seeds");
            errors.0.push(doc.sources.error(
                doc.seeds_place.clone(),
                message,
                format!("write 1 to {SEEDS_MAX}"),
            ));
        }
        let slo = errors.note(super::slo::read(&doc));
        let mut workload_node = doc.workload.clone();
        let axis = errors.note(read_axis(&mut workload_node, &doc.sources));
        let systems = read_systems(&mut doc, &mut errors);
        let reference = read_reference(&doc, &mut errors);
        let sensitivity = errors.note(super::sensitivity::read(&doc)).flatten();
        let workload = if workload_node.entries().is_some() {
            errors.note(Requests::read(&workload_node, axis.as_ref(), &doc))
        } else {
            None
        };
        let check = errors.note(CheckPlan::read(&doc));
        let of_reference = reference.and_then(|i| systems.get(i));
        let capacity = of_reference.map(|r| errors.note(CapacityPlan::read(&doc, r)).flatten());
        if let Some(node) = &doc.plan {
            errors.note(super::plan_options::read(&doc, node));
        }
        dedupe(&mut errors);
        let asked = doc.head.robustness && errors.0.is_empty();
        let robustness = asked.then(|| RobustnessPlan { doubled: super::doubled::systems(&doc, &systems) });
        let warnings = unused_variants(&doc);
        let mut settings = study_settings(&doc);
        settings.extend(slo.iter().zip(of_reference).flat_map(|(slo, r)| slo.computed(r)));
        let limits = slo.as_ref().zip(of_reference).map(|(slo, r)| slo.limits(r));
        match (slo, axis, workload, reference) {
            (Some(slo), Some(axis), Some(workload), Some(reference)) => errors.or(StudyPlan {
                name: doc.name,
                title: doc.head.title,
                folder: doc.folder,
                seeds,
                timeline_samples: doc.head.timeline_samples,
                slo: limits.unwrap_or_default(),
                attainment: slo.attainment.unwrap_or(ATTAINMENT),
                workload,
                axis,
                systems,
                sweep: doc.sweep.map(|s| s.info),
                reference,
                capacity: capacity.flatten(),
                sensitivity,
                robustness,
                check: check.unwrap_or_default(),
                settings,
                sources: doc.sources,
                warnings,
            }),
            _ => Err(errors),
        }
    }
}

/// The systems of `compare`, in order.
fn read_systems(doc: &mut Document, errors: &mut InputErrors) -> Vec<SystemPlan> {
    let place = doc.systems_node.value_span("compare");
    let items: Vec<Range<usize>> = match doc.systems_node.get("compare").map(|node| &node.value) {
        Some(Value::Array(items)) => items.iter().map(|node| node.span.clone()).collect(),
        _ => Vec::new(),
    };
    let Some(names) = doc.systems.as_ref().map(|s| s.compare.clone()) else { return Vec::new() };
    if names.is_empty() {
        let help = "name at least one system, such as `compare = [\"vllm-v1\", \"orca\"]`";
        errors.0.push(doc.sources.error(place.clone(), "`systems.compare` is empty", help));
    }
    let mut systems = Vec::new();
    for (i, name) in names.iter().enumerate() {
        let at = items.get(i).cloned().unwrap_or_else(|| place.clone());
        if names[..i].contains(name) {
            let message = format!("`systems.compare` names `{name}` twice");
            errors.0.push(doc.sources.error(at, message, "remove one of the two"));
            continue;
        }
        if let Some(system) = errors.note(system::resolve_system(doc, name, at)) {
            systems.push(system);
        }
    }
    let swept = doc.sweep.as_ref().map(|s| (s.names().cloned().collect::<Vec<String>>(), s.span.clone()));
    for (name, at) in
        swept.into_iter().flat_map(|(names, at)| names.into_iter().map(move |n| (n, at.clone())))
    {
        systems.extend(errors.note(system::resolve_system(doc, &name, at)));
    }
    systems
}

/// The position of `reference` in `compare`.
fn read_reference(doc: &Document, errors: &mut InputErrors) -> Option<usize> {
    let SystemsOptions { reference, compare } = doc.systems.as_ref()?;
    let position = compare.iter().position(|name| name == reference);
    if position.is_none() && !compare.is_empty() {
        let compare = compare.join(", ");
        let message = format!("`systems.reference`: `{reference}` is not in `compare` ({compare})");
        let help = "add it to `compare`, or choose one of those as the reference";
        errors.0.push(doc.sources.error(doc.systems_node.value_span("reference"), message, help));
    }
    position
}

/// Takes `load` and `rate` out of `[workload]`.
fn read_axis(workload: &mut Node, sources: &Sources) -> Result<Axis, InputErrors> {
    let (load, rate) = (workload.take("load"), workload.take("rate"));
    match (load, rate) {
        (None, None) => Ok(Axis::Natural),
        (Some((key, _)), Some((other, _))) => {
            let other = sources.origin(&other);
            let message = format!("`workload.load` and `workload.rate` ({other}) both set the arrival rate");
            Err(sources.error(key, message, "remove one of the two").into())
        }
        (Some((_, node)), None) => {
            let loads = list::<f64>(&node, "workload.load", sources)?;
            let valid = |&load: &f64| load > 0.0 && load <= LOAD_MAX;
            check_points(
                &node,
                &loads,
                valid,
                "load",
                "write shares of the capacity, such as `[0.5, 0.8]`",
                sources,
            )?;
            Ok(Axis::Loads(loads))
        }
        (None, Some((_, node))) => {
            let rates = list::<RequestRate>(&node, "workload.rate", sources)?;
            check_points(
                &node,
                &rates,
                |_| true,
                "rate",
                "write rates, such as `[\"2 req/s\", \"4 req/s\"]`",
                sources,
            )?;
            Ok(Axis::Rates(rates))
        }
    }
}

/// One value or a list of them.
fn list<T: serde::de::DeserializeOwned>(
    node: &Node,
    path: &str,
    sources: &Sources,
) -> Result<Vec<T>, InputErrors> {
    match &node.value {
        Value::Array(_) => from_tree(node, path, sources),
        _ => from_tree(node, path, sources).map(|value| vec![value]),
    }
}

/// Points must be there, in range, and different.
fn check_points<T: PartialEq + std::fmt::Debug>(
    node: &Node,
    values: &[T],
    valid: impl Fn(&T) -> bool,
    key: &str,
    help: &str,
    sources: &Sources,
) -> Result<(), InputErrors> {
    let mut errors = InputErrors::default();
    let place = |i: usize| match &node.value {
        Value::Array(items) => items.get(i).map_or(node.span.clone(), |item| item.span.clone()),
        _ => node.span.clone(),
    };
    if values.is_empty() {
        errors.0.push(sources.error(node.span.clone(), format!("`workload.{key}` is an empty list"), help));
    }
    for (i, value) in values.iter().enumerate() {
        if !valid(value) {
            let message = format!("`workload.{key}`: {value:?} is not above 0 and at most {LOAD_MAX}");
            errors.0.push(sources.error(place(i), message, help));
        } else if values[..i].contains(value) {
            let message = format!("`workload.{key}`: {value:?} stands twice");
            errors.0.push(sources.error(place(i), message, "remove one of the two"));
        }
    }
    errors.or(())
}

/// One problem per place, because a wrong `[deployment]` is found again by every system; in the order of the file.
pub(crate) fn dedupe(errors: &mut InputErrors) {
    let at = |e: &InputError| (e.source.as_ref().map(|s| s.name.clone()), e.span.as_ref().map(|s| s.start));
    errors.0.sort_by_key(at);
    let mut seen: Vec<(Option<Range<usize>>, String, String)> = Vec::new();
    errors.0.retain(|e: &InputError| {
        let name = e.source.as_ref().map_or_else(String::new, |s| s.name.to_string());
        let text = if e.span.is_some() { String::new() } else { e.to_string() };
        let key = (e.span.clone(), name, text);
        let new = !seen.contains(&key);
        seen.push(key);
        new
    });
}

/// Variants that nothing uses are worth a word.
fn unused_variants(doc: &Document) -> Vec<String> {
    // Not by a dotted path: names such as `vllm-0.2` hold dots.
    let base_of = |name: &str| doc.systems_node.entries()?.get(name)?.1.get("base")?.as_str();
    let names = doc.variant_names();
    let compared = |name: &str| doc.systems.as_ref().is_some_and(|s| s.compare.iter().any(|n| n == name));
    let used = |name: &str| compared(name) || names.iter().any(|n| *n != name && base_of(n) == Some(name));
    names
        .iter()
        .filter(|name| !used(name))
        .map(|name| format!("system `{name}` is defined but not compared"))
        .collect()
}

/// Checkpoints that are published with fewer bits than the study costs.
pub(super) fn published_formats(systems: &[SystemPlan]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for spec in systems.iter().map(|s| &s.spec) {
        let Some(format) = spec.model.weight_format.filter(|f| f.bytes() < spec.weights.bytes()) else {
            continue;
        };
        let text = format!(
            "model `{}` is published with {} weights, but its weights are costed with {} bytes each",
            spec.model.name,
            format.name(),
            spec.weights.bytes()
        );
        if !found.contains(&text) {
            found.push(text);
        }
    }
    found
}

/// Values of the study itself, for `explain`.
fn study_settings(doc: &Document) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (section, node) in [
        ("workload", &doc.workload),
        ("slo", &doc.slo),
        ("sensitivity", &doc.sensitivity),
        ("systems", &doc.systems_node),
    ] {
        for (path, leaf) in node.leaves() {
            let shown = section != "systems" || super::schema::RESERVED.contains(&path.as_str());
            if shown && !path.is_empty() {
                let origin = doc.sources.origin(&leaf.span);
                settings.push(Setting { path: format!("{section}.{path}"), value: leaf.to_string(), origin });
            }
        }
    }
    let seeds = doc.head.seeds.to_string();
    settings.push(Setting {
        path: "seeds".to_owned(),
        value: seeds,
        origin: doc.sources.origin(&doc.seeds_place),
    });
    settings
}
