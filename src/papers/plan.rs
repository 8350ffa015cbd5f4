//! From a paper file to plans: one study per experiment and run, and the claims that refer to them.

use std::ops::Range;

use crate::diagnostic::{InputError, InputErrors, Node, Sources, Value, from_tree};
use crate::scenario::capacity::TrialRule;
use crate::scenario::schema::Paper;
use crate::scenario::{Document, RawScenario, StudyPlan, Target, dedupe};

use super::check::Check;
use super::schema::{Change, ClaimOptions, Engines, ExperimentOptions, LowLoad, SECTIONS};

/// The metric of a claim that names none.
pub const CAPACITY: &str = "capacity";

/// The same divided by the system's accelerators.
pub const PER_GPU: &str = "capacity-per-gpu";

/// Whether a metric is a capacity, and not a column of one run.
pub fn is_capacity(metric: Option<&str>) -> bool {
    metric.is_none_or(|m| m == CAPACITY || m == PER_GPU)
}

/// Tables of a workload that hold one mechanism: another one in an experiment replaces it whole.
const REPLACED: [&str; 2] = ["workload.lengths", "workload.arrivals"];

/// Which engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// All systems on one engine profile.
    Mechanism,
    /// Each system on the engine of its time.
    AsPublished,
}

impl Mode {
    /// Both.
    pub const ALL: [Mode; 2] = [Mode::Mechanism, Mode::AsPublished];

    /// Name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Mechanism => "mechanism",
            Mode::AsPublished => "as-published",
        }
    }
}

/// One experiment: the scenario, or the scenario with something written over it.
#[derive(Clone)]
pub struct Experiment {
    /// `scenario`, or the name below `[experiment]`.
    pub name: String,
    /// What differs, as a sentence.
    pub title: String,
    /// A limit by each system's own low-load latency.
    pub low_load: Option<LowLoad>,
    /// The study on the mechanism's engine, and on those of their time.
    pub plans: [StudyPlan; 2],
}

impl Experiment {
    /// The study of a run.
    pub fn plan(&self, mode: Mode) -> &StudyPlan {
        &self.plans[mode as usize]
    }

    /// Position of a system in `compare`.
    pub fn system(&self, name: &str) -> Option<usize> {
        self.plans[0].systems.iter().position(|s| s.name == name)
    }
}

/// A paper with everything resolved.
#[derive(Clone)]
pub struct PaperPlan {
    /// The file's stem: folder of the results.
    pub name: String,
    /// Where it was published.
    pub paper: Paper,
    /// The engines of the two runs.
    pub engines: Engines,
    /// How long a trial of a capacity is.
    pub rule: TrialRule,
    /// Seeds 1 … `seeds`.
    pub seeds: u32,
    /// The scenario first.
    pub experiments: Vec<Experiment>,
    /// The claims in the order of the file, each with the position of its experiment.
    pub claims: Vec<(ClaimOptions, usize)>,
    /// What was changed after the first run.
    pub changes: Vec<Change>,
    /// Flags that wrote over the file.
    pub flags: Vec<String>,
    /// The file.
    pub text: String,
}

impl PaperPlan {
    /// Reads and resolves a paper; `sets` are `--set` flags.
    ///
    /// # Errors
    /// All problems of the file.
    pub fn resolve(target: &Target, sets: &[String]) -> Result<PaperPlan, InputErrors> {
        let mut raw = RawScenario::read(target, sets)?;
        let mut errors = std::mem::take(&mut raw.errors);
        let own = Own::take(&mut raw, &mut errors);
        let Some((paper, engines)) = own.paper.zip(own.engines.clone()) else { return Err(errors) };
        let mut experiments = Vec::new();
        let mut places = Vec::new();
        for (name, span, node) in &own.experiments {
            let experiment = Experiment::read(name, node, &raw, &engines);
            places.push((name.clone(), span.clone()));
            experiments.extend(errors.note(experiment));
        }
        dedupe(&mut errors);
        if experiments.len() < own.experiments.len() {
            return Err(errors);
        }
        let mut claims = Vec::new();
        for (claim, node) in own.claims.iter().zip(&own.claim_nodes) {
            let check =
                Check { claim, node, all: &own.claims, experiments: &experiments, sources: &raw.sources };
            claims.extend(errors.note(check.experiment()).map(|e| (claim.clone(), e)));
        }
        let used = |i: usize| i == 0 || claims.iter().any(|(c, e)| *e == i && !c.test.is_about_claims());
        for (i, (name, span)) in places.iter().enumerate() {
            if !used(i) && errors.0.is_empty() {
                let message = format!("no claim is about experiment `{name}`");
                let help = "add a `[[claim]]` with it, or remove it";
                errors.0.push(raw.sources.error(span.clone(), message, help));
            }
        }
        let seeds = experiments[0].plans[0].seeds;
        errors.or(PaperPlan {
            name: raw.name(),
            paper,
            engines,
            rule: own.rule,
            seeds,
            experiments,
            claims,
            changes: own.changes,
            flags: sets.to_vec(),
            text: raw.source.text.to_string(),
        })
    }
}

/// The sections that only paper files have.
struct Own {
    paper: Option<Paper>,
    engines: Option<Engines>,
    rule: TrialRule,
    /// Name, place and content; the scenario itself first.
    experiments: Vec<(String, Range<usize>, Node)>,
    claims: Vec<ClaimOptions>,
    claim_nodes: Vec<Node>,
    changes: Vec<Change>,
}

impl Own {
    fn take(raw: &mut RawScenario, errors: &mut InputErrors) -> Own {
        let start = raw.root.span.start;
        let top = start..start + 1;
        let sources = raw.sources.clone();
        let mut table = |key: &str, needed: Option<&str>, errors: &mut InputErrors| {
            let found = raw.root.take(key).map(|(_, node)| node);
            if let (None, Some(help)) = (&found, needed) {
                let shown = if key == "claim" { "[[claim]]" } else { &format!("[{key}]") };
                let message = format!("the paper has no `{shown}`");
                errors.0.push(sources.error(top.clone(), message, help));
            }
            found
        };
        let help = "add `[paper]` with `title`, `venue`, `url` and `row`";
        let paper = table("paper", Some(help), errors);
        let paper = paper.and_then(|n| errors.note(from_tree::<Paper>(&n, "paper", &sources)));
        let help = "add `[engines]` with `mechanism = \"none\"`";
        let engines = table("engines", Some(help), errors);
        let engines = engines.and_then(|n| errors.note(from_tree::<Engines>(&n, "engines", &sources)));
        let rule = table("trial", None, errors);
        let rule = rule.and_then(|n| errors.note(from_tree::<TrialRule>(&n, "trial", &sources)));
        let nothing = Node::table(top.clone());
        let mut experiments = vec![("scenario".to_owned(), top.clone(), nothing)];
        if let Some(node) = table("experiment", None, errors) {
            match node.value {
                Value::Table(entries) => {
                    experiments.extend(entries.into_iter().map(|(name, (span, node))| (name, span, node)));
                }
                _ => errors.0.push(sources.error(
                    node.span,
                    "`experiment` is not a table",
                    "write each as `[experiment.NAME]`",
                )),
            }
        }
        let help = "add at least one `[[claim]]`";
        let claim_nodes = list(table("claim", Some(help), errors), "claim", &sources, errors);
        let mut claims = Vec::new();
        for node in &claim_nodes {
            let path =
                node.get("name").and_then(Node::as_str).map_or("claim".to_owned(), |n| format!("claim.{n}"));
            claims.extend(errors.note(from_tree::<ClaimOptions>(node, &path, &sources)));
        }
        let mut changes = Vec::new();
        for node in list(table("change", None, errors), "change", &sources, errors) {
            changes.extend(errors.note(from_tree::<Change>(&node, "change", &sources)));
        }
        // Nodes of claims that could not be read are of no use any more: the errors are there.
        let claim_nodes = if claims.len() == claim_nodes.len() { claim_nodes } else { Vec::new() };
        Own { paper, engines, rule: rule.unwrap_or_default(), experiments, claims, claim_nodes, changes }
    }
}

/// The tables of `[[key]]`.
fn list(node: Option<Node>, key: &str, sources: &Sources, errors: &mut InputErrors) -> Vec<Node> {
    match node {
        Some(Node { value: Value::Array(items), .. }) => items,
        Some(node) => {
            let help = format!("write `[[{key}]]`, once for each");
            errors.0.push(sources.error(node.span, format!("`{key}` is not a list of tables"), help));
            Vec::new()
        }
        None => Vec::new(),
    }
}

impl Experiment {
    fn read(
        name: &str,
        node: &Node,
        raw: &RawScenario,
        engines: &Engines,
    ) -> Result<Experiment, InputErrors> {
        let mut errors = InputErrors::default();
        let mut over = node.clone();
        let mut options = Node::table(node.span.clone());
        if let (Some(entries), Some(own)) = (over.entries_mut(), options.entries_mut()) {
            let keys: Vec<String> =
                entries.keys().filter(|k| !SECTIONS.contains(&k.as_str())).cloned().collect();
            for key in keys {
                own.extend(entries.remove(&key).map(|value| (key, value)));
            }
        }
        let path = format!("experiment.{name}");
        let is_scenario = name == "scenario";
        let options = if is_scenario {
            Some(ExperimentOptions {
                title: "the scenario as it stands".to_owned(),
                low_load: None,
                without: Vec::new(),
            })
        } else {
            errors.note(from_tree::<ExperimentOptions>(&options, &path, &raw.sources))
        };
        if let Some(low) = options.as_ref().and_then(|o| o.low_load)
            && !(low.times > 0.0 && low.times.is_finite() && low.requests > 0)
        {
            let message = format!("`{path}.low-load`: `times` and `requests` are above 0");
            let help = "write for example `times = 3, requests = 200`";
            errors.0.push(raw.sources.error(node.value_span("low-load"), message, help));
        }
        let mut root = raw.root.clone();
        for path in options.iter().flat_map(|o| &o.without) {
            if !drop_key(&mut root, path) {
                let message = format!("experiment `{name}`: the scenario has no `{path}` to leave out");
                let help = "name a key of the scenario with its section, such as `workload.arrivals`";
                errors.0.push(raw.sources.error(node.value_span("without"), message, help));
            }
        }
        root.overlay(&over, "", &REPLACED);
        if let Some((_, deployment)) = root.entries().and_then(|e| e.get("deployment"))
            && deployment.get("engine").is_some()
        {
            let message = "the engine of a paper's run belongs to `[engines]`";
            let help = "remove it here, and name it as `mechanism` in `[engines]`";
            errors.0.push(raw.sources.error(deployment.key_span("engine"), message, help));
        }
        let plan = |mode: Mode| {
            let mut root = root.clone();
            set(&mut root, &["deployment", "engine"], text(&engines.mechanism, node));
            if mode == Mode::AsPublished {
                for (system, profile) in &engines.as_published {
                    set(&mut root, &["systems", system, "engine"], text(profile, node));
                }
            }
            let (doc, found) = Document::of(RawScenario { root, ..raw.clone() })?;
            StudyPlan::of(doc, found)
        };
        let plans = (errors.note(plan(Mode::Mechanism)), errors.note(plan(Mode::AsPublished)));
        let (Some(mechanism), Some(as_published)) = plans else { return Err(errors) };
        let ours = engines.mechanism.as_str();
        for system in mechanism.systems.iter().filter(|s| s.spec.engine.name != ours) {
            let message = format!(
                "system `{}` of the mechanism run is on engine `{}`, the others on `{ours}`",
                system.name, system.spec.engine.name
            );
            let help = "remove `engine` from the system: only the as-published run has several";
            errors.0.push(InputError::named(format!("systems.{}.engine", system.name), message, help));
        }
        let Some(ExperimentOptions { title, low_load, .. }) = options else { return Err(errors) };
        errors.or(Experiment { name: name.to_owned(), title, low_load, plans: [mechanism, as_published] })
    }
}

/// A text value at the place of `node`.
fn text(value: &str, node: &Node) -> Node {
    Node { span: node.span.clone(), value: Value::String(value.to_owned()) }
}

/// Removes the key at a dotted path; whether it was there.
fn drop_key(root: &mut Node, path: &str) -> bool {
    let (above, key) = path.rsplit_once('.').unwrap_or(("", path));
    let mut node = root;
    for step in above.split('.').filter(|s| !s.is_empty()) {
        match node.entries_mut().and_then(|entries| entries.get_mut(step)) {
            Some((_, next)) => node = next,
            None => return false,
        }
    }
    node.take(key).is_some()
}

/// Writes a value at a path of keys (which may hold dots), making the tables on the way.
fn set(root: &mut Node, path: &[&str], value: Node) {
    let Some((key, above)) = path.split_last() else { return };
    let mut node = root;
    for step in above {
        let span = value.span.clone();
        let Some(entries) = node.entries_mut() else { return };
        let made = || (span.clone(), Node::table(span.clone()));
        node = &mut entries.entry((*step).to_owned()).or_insert_with(made).1;
    }
    if let Some(entries) = node.entries_mut() {
        entries.insert((*key).to_owned(), (value.span.clone(), value));
    }
}
