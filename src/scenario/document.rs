//! Reading a scenario: its file, the flags that write over it, and the presets and variants it names.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::catalog::{self, Shelf};
use crate::diagnostic::{
    InputError, InputErrors, Node, Source, Sources, Value, did_you_mean, from_tree, nearest,
};

use super::raw::{RawScenario, Target};
use super::schema::{
    DEPLOYMENT_KEYS, DeploymentOptions, Head, RESERVED, SYSTEM_KEYS, SystemsOptions, TAGGED,
};
use super::sweep::Sweep;

/// Longest chain of `base = …`; a longer one is a mistake even if it is no cycle.
const BASES_MAX: usize = 16;

/// A scenario with all flags applied, still as a tree with places.
#[derive(Clone, Debug)]
pub struct Document {
    /// Name of the study: the file's stem.
    pub name: String,
    /// Folder of the file; none for an embedded one.
    pub folder: Option<PathBuf>,
    /// All texts read so far.
    pub sources: Sources,
    /// The scalar keys.
    pub head: Head,
    /// Where `seeds` is said.
    pub seeds_place: Range<usize>,
    /// `[workload]`.
    pub workload: Node,
    /// `[slo]`.
    pub slo: Node,
    /// `[sensitivity]`.
    pub sensitivity: Node,
    /// `[deployment]` as the scenario wrote it.
    deployment: Node,
    /// `[deployment]` of `defaults.toml`.
    defaults: Node,
    /// `reference` and `compare`; none if they could not be read.
    pub systems: Option<SystemsOptions>,
    /// The whole `[systems]` table, for places.
    pub systems_node: Node,
    /// `[sweep]`, spread out.
    pub sweep: Option<Sweep>,
    /// `[capacity]`, if it is there.
    pub capacity: Option<Node>,
    /// `[plan]`, if it is there.
    pub plan: Option<Node>,
    /// `[check]`, empty if it is not there.
    pub check: Node,
    /// Whether systems are read with KV blocks twice as large.
    pub(super) doubled_blocks: bool,
}

impl Document {
    /// Reads a scenario and writes the `--set` flags over it. Fails only if it is no TOML at all: sections with
    /// problems are left empty and the problems returned beside, so that later checks can add theirs.
    pub fn read(target: &Target, sets: &[String]) -> Result<(Document, InputErrors), InputErrors> {
        let raw = RawScenario::read(target, sets)?;
        if raw.root.get("paper").is_some() {
            let help = "write `windtunnel reproduce FILE` for it";
            let message = "this file holds the claims of a paper, it is no plain study";
            return Err(raw.sources.error(raw.root.key_span("paper"), message, help).into());
        }
        Document::of(raw)
    }

    /// Takes a scenario apart; see [`Document::read`].
    pub fn of(raw: RawScenario) -> Result<(Document, InputErrors), InputErrors> {
        let name = raw.name();
        let RawScenario { source: _, folder, mut sources, root, mut errors } = raw;
        let defaults = Source::new("<embedded>/src/scenario/defaults.toml", include_str!("defaults.toml"));
        let mut base = sources.parse(&defaults, "default")?;
        let defaults = base.take("deployment").map_or_else(|| Node::table(0..0), |(_, node)| node);
        let fallback = base.clone();
        base.overlay(&root, "", &[]);
        let seeds_place = base.value_span("seeds");
        let head = match errors.note(from_tree::<Head>(&base, "", &sources)) {
            Some(head) => head,
            None => from_tree::<Head>(&fallback, "", &sources)?,
        };
        let slo = section(&root, "slo", None, &sources, &mut errors);
        let sensitivity = section(&root, "sensitivity", None, &sources, &mut errors);
        let deployment = section(&root, "deployment", None, &sources, &mut errors);
        let deployment = check_deployment(deployment, &sources, &mut errors);
        let help = "add `[workload]` with `recipe = \"burstgpt\"` or `trace = \"file.csv\"`";
        let workload = section(&root, "workload", Some(help), &sources, &mut errors);
        let help = "add `[systems]` with `reference = \"vllm-v1\"` and `compare = [\"vllm-v1\", \"orca\"]`";
        let systems_node = section(&root, "systems", Some(help), &sources, &mut errors);
        let systems = match systems_node.entries() {
            Some(_) => errors.note(read_systems(&systems_node, &sources)),
            None => None,
        };
        let sweep = match root.get("sweep") {
            Some(node) => errors.note(Sweep::read(node, &sources)),
            None => None,
        };
        let capacity = section(&root, "capacity", None, &sources, &mut errors);
        let has_capacity = root.get("capacity").is_some();
        let plan = section(&root, "plan", None, &sources, &mut errors);
        let has_plan = root.get("plan").is_some();
        let check = section(&root, "check", None, &sources, &mut errors);
        let doc = Document {
            name,
            folder,
            sources,
            head,
            seeds_place,
            workload,
            slo,
            sensitivity,
            deployment,
            defaults,
            systems,
            systems_node,
            sweep,
            capacity: has_capacity.then_some(capacity),
            plan: has_plan.then_some(plan).filter(|node| node.entries().is_some()),
            check,
            doubled_blocks: false,
        };
        Ok((doc, errors))
    }

    /// The same scenario without the combinations of its grid.
    pub(super) fn without_sweep(&self) -> Document {
        let mut doc = self.clone();
        doc.sweep = None;
        doc
    }

    /// Folder for look-ups by name.
    pub fn beside(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// The merged tree of one system: defaults < preset < `[deployment]` < variant. `place` is where it was named.
    pub fn system(&mut self, name: &str, place: Range<usize>) -> Result<Node, InputErrors> {
        let mut variants = Vec::new();
        let mut chain: Vec<String> = Vec::new();
        let mut current = name.to_owned();
        let mut at = place;
        let preset = loop {
            let known = self.preset(&current, &at);
            let Some((key_span, variant)) = self.variant(&current) else { break known? };
            if chain.contains(&current) || chain.len() >= BASES_MAX {
                chain.push(current);
                let message = format!("`base` goes in a circle: {}", chain.join(" → "));
                return Err(self.sources.error(at, message, "let one of them name a preset").into());
            }
            chain.push(current.clone());
            let mut node = variant.clone();
            let key_span = key_span.clone();
            if node.entries().is_none() {
                let message = format!("`systems.{current}` is not a table");
                let help = "write a variant as `[systems.NAME]` with `base = \"…\"`";
                return Err(self.sources.error(node.span.clone(), message, help).into());
            }
            let base = node.take("base");
            variants.push(node);
            match base {
                Some((_, Node { value: Value::String(base), span })) if base != current => {
                    (current, at) = (base, span);
                }
                Some((_, Node { value: Value::String(_), .. })) => break known?,
                Some((_, node)) => {
                    let message = format!("`systems.{current}.base` is not text");
                    return Err(self
                        .sources
                        .error(node.span, message, "name a preset or a variant in quotes")
                        .into());
                }
                None => match known {
                    Ok(preset) => break preset,
                    Err(_) => {
                        let message = format!("variant `{current}` has no `base`");
                        let names = catalog::embedded_names(Shelf::Systems).join(", ");
                        let help = format!("add `base = \"…\"` with a preset ({names}) or another variant");
                        return Err(self.sources.error(key_span, message, help).into());
                    }
                },
            }
        };
        let mut merged = self.defaults.clone();
        merged.overlay(&preset, "", &TAGGED);
        merged.overlay(&self.deployment, "", &TAGGED);
        for variant in variants.iter().rev() {
            merged.overlay(variant, "", &TAGGED);
        }
        if self.doubled_blocks {
            super::doubled::double(&mut merged);
        }
        Ok(merged)
    }

    /// The preset called `name`, parsed; an unknown name is reported at `place`.
    fn preset(&mut self, name: &str, place: &Range<usize>) -> Result<Node, InputErrors> {
        let found = if name.contains(['/', '\\']) { Err(None) } else { self.find_preset(name) };
        match found {
            Ok(source) => Ok(self.sources.parse(&source, "preset")?),
            Err(Some(broken)) => Err(broken.into()),
            Err(None) => {
                let mut names = catalog::embedded_names(Shelf::Systems);
                names.extend(self.variant_names());
                let help = did_you_mean(name, names.iter().copied()).unwrap_or_else(|| {
                    format!("known: {}; or add `[systems.{name}]` with a `base`", names.join(", "))
                });
                Err(self.sources.error(place.clone(), format!("unknown system `{name}`"), help).into())
            }
        }
    }

    /// `Err(None)`: there is none of this name.
    fn find_preset(&self, name: &str) -> Result<Source, Option<InputError>> {
        catalog::find(Shelf::Systems, name, self.beside())
            .map_err(|e| e.message.starts_with("cannot").then_some(e))
    }

    fn variant(&self, name: &str) -> Option<&(Range<usize>, Node)> {
        let swept = self.sweep.as_ref().and_then(|s| s.variant(name));
        let written = || self.systems_node.entries()?.get(name).filter(|_| !RESERVED.contains(&name));
        swept.or_else(written)
    }

    /// Names of the variants of this scenario.
    pub fn variant_names(&self) -> Vec<&str> {
        let entries = self.systems_node.entries().into_iter().flatten();
        entries.map(|(name, _)| name.as_str()).filter(|name| !RESERVED.contains(name)).collect()
    }
}

/// The first line of a document, where a missing section is reported.
fn first_line(root: &Node) -> Range<usize> {
    root.span.start..root.span.start + 1
}

/// A section, which must be a table; where it is not there, an empty one. A section with `needed` has to be there, and
/// is something else than a table where it is not, so that nothing more is said about it.
fn section(
    root: &Node,
    key: &str,
    needed: Option<&str>,
    sources: &Sources,
    errors: &mut InputErrors,
) -> Node {
    let nothing = Node { span: first_line(root), value: Value::Boolean(false) };
    match (root.get(key), needed) {
        (Some(node), _) if node.entries().is_some() => node.clone(),
        (Some(node), _) => {
            let help = format!("write `[{key}]` on a line of its own, with its keys below");
            errors.0.push(sources.error(node.span.clone(), format!("`{key}` is not a table"), help));
            nothing
        }
        (None, Some(help)) => {
            errors.0.push(sources.error(first_line(root), format!("the scenario has no `[{key}]`"), help));
            nothing
        }
        (None, None) => Node::table(root.span.clone()),
    }
}

/// Reads `reference` and `compare`, leaving the variants aside.
fn read_systems(node: &Node, sources: &Sources) -> Result<SystemsOptions, InputErrors> {
    let mut reserved = node.clone();
    let mut errors = InputErrors::default();
    if let Some(entries) = reserved.entries_mut() {
        let scalar = |key: &str, node: &Node| !RESERVED.contains(&key) && node.entries().is_none();
        for (key, (span, node)) in entries.iter() {
            if scalar(key, node) {
                let help = match nearest(key, RESERVED) {
                    Some(best) => format!("did you mean `{best}`? variants are tables: `[systems.NAME]`"),
                    None => {
                        "known here: reference, compare, and variants as tables `[systems.NAME]`".to_owned()
                    }
                };
                errors.0.push(sources.error(span.clone(), format!("`systems`: unknown key `{key}`"), help));
            }
        }
        entries.retain(|key, _| RESERVED.contains(&key.as_str()));
    }
    let options = errors.note(from_tree::<SystemsOptions>(&reserved, "systems", sources));
    match options {
        Some(options) => errors.or(options),
        None => Err(errors),
    }
}

/// `[deployment]` holds what is the same for all systems; the axes of a system belong to presets and variants.
fn check_deployment(mut node: Node, sources: &Sources, errors: &mut InputErrors) -> Node {
    for (key, (span, _)) in node.entries().into_iter().flatten() {
        if DEPLOYMENT_KEYS.contains(&key.as_str()) {
            continue;
        }
        let help = if SYSTEM_KEYS.contains(&key.as_str()) {
            format!("`{key}` belongs to a system: write `[systems.NAME]` with `base = \"…\"` and `{key}`")
        } else {
            match nearest(key, DEPLOYMENT_KEYS) {
                Some(best) => format!("did you mean `{best}`?"),
                None => format!("known here: {}", DEPLOYMENT_KEYS.join(", ")),
            }
        };
        errors.0.push(sources.error(span.clone(), format!("`deployment`: unknown key `{key}`"), help));
    }
    if let Some(entries) = node.entries_mut() {
        entries.retain(|key, _| DEPLOYMENT_KEYS.contains(&key.as_str()));
    }
    if node.entries().is_some() {
        errors.note(from_tree::<DeploymentOptions>(&node, "deployment", sources));
        node
    } else {
        Node::table(node.span)
    }
}
