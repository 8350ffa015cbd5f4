//! Reading a scenario: its file, the flags that write over it, and the presets and variants it names.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors, Node, Source, Sources, Value, from_tree, nearest};

use super::schema::{
    DEPLOYMENT_KEYS, DeploymentOptions, Head, RESERVED, SYSTEM_KEYS, SystemsOptions, TAGGED,
};

/// Longest chain of `base = …`; a longer one is a mistake even if it is no cycle.
const BASES_MAX: usize = 16;

/// Which scenario is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File(PathBuf),
    /// An embedded one, by name.
    Embedded(String),
}

impl Target {
    /// What the user typed: a path to a file, or the name of an embedded scenario.
    pub fn parse(text: &str) -> Target {
        let is_path = text.ends_with(".toml") || text.contains(std::path::MAIN_SEPARATOR);
        if is_path { Target::File(PathBuf::from(text)) } else { Target::Embedded(text.to_owned()) }
    }

    fn read(&self) -> Result<Source, InputError> {
        match self {
            Target::File(path) => {
                let place = path.display().to_string();
                let help = "name a scenario file, or one of `windtunnel list scenarios`";
                let text = std::fs::read_to_string(path).map_err(|e| {
                    InputError::named(&*place, format!("the scenario cannot be read: {e}"), help)
                })?;
                Ok(Source::new(place, text))
            }
            Target::Embedded(name) => catalog::embedded(Shelf::Scenarios, name).ok_or_else(|| {
                let names = catalog::embedded_names(Shelf::Scenarios);
                let help = match nearest(name, names.iter().copied()) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => format!("known: {}; or name a file that ends in .toml", names.join(", ")),
                };
                InputError::named("SCENARIO", format!("unknown scenario `{name}`"), help)
            }),
        }
    }
}

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
}

impl Document {
    /// Reads a scenario and writes the `--set` flags over it. Fails only if it is no TOML at all: sections with
    /// problems are left empty and the problems returned beside, so that later checks can add theirs.
    pub fn read(target: &Target, sets: &[String]) -> Result<(Document, InputErrors), InputErrors> {
        let source = target.read()?;
        let mut sources = Sources::default();
        let mut root = sources.parse(&source, "scenario")?;
        let mut errors = InputErrors::default();
        for set in sets {
            match errors.note(parse_set(set, &mut sources)) {
                Some(Change::Write(node)) => root.overlay(&node, "", &[]),
                Some(Change::Remove(path)) => {
                    errors.note(remove(&mut root, &path));
                }
                None => {}
            }
        }
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
        let folder = match target {
            Target::File(path) => absolute_folder(path),
            Target::Embedded(_) => None,
        };
        let name = study_name(&source.name);
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
        };
        Ok((doc, errors))
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
                let help = match nearest(name, names.iter().copied()) {
                    Some(best) => format!("did you mean `{best}`?"),
                    None => format!("known: {}; or add `[systems.{name}]` with a `base`", names.join(", ")),
                };
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
        if RESERVED.contains(&name) { None } else { self.systems_node.entries()?.get(name) }
    }

    /// Names of the variants of this scenario.
    pub fn variant_names(&self) -> Vec<&str> {
        let entries = self.systems_node.entries().into_iter().flatten();
        entries.map(|(name, _)| name.as_str()).filter(|name| !RESERVED.contains(name)).collect()
    }
}

/// The study's name: the stem of the file.
fn study_name(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| "study".to_owned(), |s| s.to_string_lossy().into_owned())
}

/// The folder of a scenario file, absolute so that its ancestors do not depend on the current folder.
fn absolute_folder(path: &Path) -> Option<PathBuf> {
    std::path::absolute(path).ok()?.parent().map(Path::to_path_buf)
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

/// What a `--set` does.
enum Change {
    /// Writes these values over the scenario.
    Write(Node),
    /// Removes the key at this path.
    Remove(String),
}

/// One `--set path=value`; a value that is not TOML is taken as text, an empty one removes the key.
fn parse_set(set: &str, sources: &mut Sources) -> Result<Change, InputErrors> {
    let name = format!("--set {set}");
    let Some((path, value)) = set.split_once('=') else {
        let help = "write for example `--set workload.requests=200`";
        return Err(InputError::named(name, "has no `=`", help).into());
    };
    let (path, value) = (path.trim(), value.trim());
    if value.is_empty() {
        return Ok(Change::Remove(path.to_owned()));
    }
    let as_typed = Source::new(&*name, format!("{path} = {value}\n"));
    let source = if toml::de::DeTable::parse(&as_typed.text).is_ok() {
        as_typed
    } else {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        Source::new(&*name, format!("{path} = \"{quoted}\"\n"))
    };
    Ok(Change::Write(sources.parse(&source, "flag")?))
}

/// Removes the key at a dotted path.
fn remove(root: &mut Node, path: &str) -> Result<(), InputError> {
    let (table, key) = path.rsplit_once('.').map_or((None, path), |(table, key)| (Some(table), key));
    let mut node = Some(root);
    for step in table.into_iter().flat_map(|t| t.split('.')) {
        node = node.and_then(|n| n.entries_mut()?.get_mut(step)).map(|(_, n)| n);
    }
    match node.and_then(|n| n.take(key)) {
        Some(_) => Ok(()),
        None => Err(InputError::named(
            format!("--set {path}="),
            format!("there is no `{path}` in the scenario to remove"),
            "an empty value removes a key; write a value after `=` to set it",
        )),
    }
}
