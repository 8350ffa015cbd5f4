//! The requests of a study: read once, prepared per seed, set to each rate; all systems share them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::diagnostic::{InputError, InputErrors, Node, Sources, from_tree};
use crate::workload::{
    LoadBy, Loads, OpenWorkload, Prepared, RequestRate, Trace, WorkloadSpec, rescale_to_rate,
};

use super::document::Document;
use super::plan::{Axis, StudyPlan};

/// What the requests are.
#[derive(Clone, Debug)]
pub struct Requests {
    /// `[workload]` as typed.
    pub spec: WorkloadSpec,
    /// Folder where relative paths start; none for an embedded scenario.
    pub folder: Option<PathBuf>,
    /// The section, for places.
    node: Node,
}

impl Requests {
    /// Reads `[workload]`, of which `load` and `rate` were taken out into `axis`.
    pub fn read(node: &Node, axis: Option<&Axis>, doc: &Document) -> Result<Requests, InputErrors> {
        let mut spec: WorkloadSpec = from_tree(node, "workload", &doc.sources)?;
        match axis {
            // With `duration`, one rate says how many requests there are; `load` is only checked for contradictions.
            Some(Axis::Rates(rates)) if rates.len() == 1 => spec.rate = rates.first().copied(),
            Some(Axis::Loads(loads)) => spec.load = Some(Loads(loads.clone())),
            _ => {}
        }
        let problems = spec.check();
        if !problems.is_empty() {
            return Err(InputErrors(
                problems.into_iter().map(|e| place(e, &doc.workload, &doc.sources)).collect(),
            ));
        }
        Ok(Requests { spec, folder: doc.folder.clone(), node: doc.workload.clone() })
    }

    /// Reads the files it needs.
    pub fn open(&self, sources: &Sources) -> Result<OpenWorkload<'_>, InputErrors> {
        self.spec.open(self.folder.as_deref()).map_err(|errors| self.placed(errors, sources))
    }

    /// Problems with their places in the scenario, where these are keys of `[workload]`.
    pub fn placed(&self, errors: InputErrors, sources: &Sources) -> InputErrors {
        InputErrors(errors.0.into_iter().map(|e| place(e, &self.node, sources)).collect())
    }

    /// A problem with the value of a key of `[workload]`.
    pub fn error(&self, key: &str, message: String, help: &str, sources: &Sources) -> InputError {
        sources.error(self.node.value_span(key), message, help)
    }

    /// Where the requests come from, as one line.
    pub fn describe(&self) -> String {
        match (&self.spec.recipe, &self.spec.trace) {
            (Some(recipe), _) => format!("recipe {recipe}"),
            (_, Some(trace)) => format!("trace {}", trace.display()),
            _ => "synthetic".to_owned(),
        }
    }
}

/// Gives a problem that is only named `workload.key`, or an unknown recipe, its place in the scenario.
fn place(error: InputError, node: &Node, sources: &Sources) -> InputError {
    if error.source.is_some() {
        return error;
    }
    let named = from_here(error.place.as_deref().unwrap_or_default());
    let span = if let Some(key) = named.strip_prefix("workload.") {
        node.value_span(key)
    } else if named == "workload" {
        node.span.clone()
    } else if error.message.starts_with("unknown workload recipe") {
        node.value_span("recipe")
    } else if let Some((key, noun)) = names_file(node, &named) {
        // A problem of a whole file is shown where the scenario names the file.
        let message = format!("{noun} `{named}`: {}", error.message);
        return sources.error(node.value_span(key), message, error.help);
    } else {
        return InputError { place: Some(named), ..error };
    };
    let message = if named.starts_with("workload.") && !error.message.contains('`') {
        format!("`{named}`: {}", error.message)
    } else {
        error.message
    };
    sources.error(span, message, error.help)
}

/// Keys that name a file, and what such a file is called.
const FILES: [(&str, &str); 5] = [
    ("trace", "trace"),
    ("arrivals.replay.file", "trace"),
    ("lengths.empirical.file", "lengths"),
    ("servegen.windows", "windows"),
    ("servegen.lengths", "histograms"),
];

/// The key that names the file `place`, unless the place is a position inside it.
fn names_file(node: &Node, place: &str) -> Option<(&'static str, &'static str)> {
    if ends_in_position(place) {
        return None;
    }
    let names = |(key, _): &&(&str, &str)| {
        let text = node.get(key).and_then(Node::as_str);
        // Of a trace all problems without a position are those of the file.
        *key == "trace" && text.is_some() || text.is_some_and(|t| Path::new(place).ends_with(t))
    };
    FILES.iter().find(names).copied()
}

/// A path as seen from the current folder, where it lies below it: shorter, and the same on every machine.
fn from_here(place: &str) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| Path::new(place).strip_prefix(here).ok().map(Path::to_path_buf));
    below.map_or_else(|| place.to_owned(), |path| path.display().to_string())
}

/// Whether a place already says line and column.
fn ends_in_position(place: &str) -> bool {
    let mut parts = place.rsplit(':');
    let number = |p: Option<&str>| p.is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    number(parts.next()) && number(parts.next())
}

/// The requests of a seed at a point of the study; no rate: as the workload says.
pub fn at_point<'a>(
    plan: &StudyPlan,
    prepared: &'a Prepared,
    seed: u64,
    rate: Option<RequestRate>,
) -> Result<Cow<'a, Trace>, InputErrors> {
    match rate {
        Some(rate) => of_seed_at(plan, prepared, seed, rate, usize::MAX).map(Cow::Owned),
        None => Ok(Cow::Borrowed(&prepared.trace)),
    }
}

/// At most `most` of the requests of a seed at another mean rate, as `workload.load-by` says.
///
/// By users, the rate of each seed is scaled by `rate` over its natural mean, so a seed reaches `rate` but for the
/// draws.
pub fn of_seed_at(
    plan: &StudyPlan,
    prepared: &Prepared,
    seed: u64,
    rate: RequestRate,
    most: usize,
) -> Result<Trace, InputErrors> {
    if plan.workload.spec.load_by == LoadBy::Time {
        if prepared.trace.len() <= most {
            return at_rate(&prepared.trace, rate);
        }
        let mut part = prepared.trace.clone();
        part.requests.truncate(most);
        return at_rate(&part, rate);
    }
    let natural = prepared.trace.mean_rate().ok_or_else(|| {
        let message = "the requests have no mean rate that more users could raise".to_owned();
        InputError::named("workload.load-by", message, "use more requests, or `load-by = \"time\"`")
    })?;
    let factor = rate.as_per_second() / natural.as_per_second();
    let mut spec = plan.workload.spec.clone();
    spec.rate_scale = Some(spec.rate_scale.unwrap_or(1.0) * factor);
    let workload = spec.open(plan.workload.folder.as_deref())?;
    let mut trace = workload.prepare(seed, Some(plan.longest_context()))?.trace;
    trace.requests.truncate(most);
    Ok(trace)
}

/// The same requests at another mean rate.
pub fn at_rate(trace: &Trace, rate: RequestRate) -> Result<Trace, InputErrors> {
    Ok(rescale_to_rate(trace, rate)?)
}
