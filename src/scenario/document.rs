//! Reading a scenario: its file, the flags that write over it, and the presets and variants it names.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors, Node, Source, Sources, from_tree, nearest};

use super::schema::{DEPLOYMENT_KEYS, DeploymentOptions, Head, RESERVED, SYSTEM_KEYS, SystemsOptions, TAGGED};

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
                let text = std::fs::read_to_string(path)
                    .map_err(|e| InputError::named(&*place, format!("the scenario cannot be read: {e}"), help))?;
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
    /// `[deployment]` as the scenario wrote it.
    deployment: Node,
    /// `[deployment]` of `defaults.toml`.
    defaults: Node,
    /// `reference` and `compare`.
    pub systems: SystemsOptions,
    /// The whole `[systems]` table, for places.
    pub systems_node: Node,
}

impl Document {
    /// Reads a scenario and writes the `--set` flags over it. Reports all problems of the layout at once.
    pub fn read(target: &Target, sets: &[String]) -> Result<Document, InputErrors> {
        let source = target.read()?;
        let mut sources = Sources::default();
        let mut root = sources.parse(&source, "scenario")?;
        let defaults = Source::new("src/scenario/defaults.toml", include_str!("defaults.toml"));
        let mut base = sources.parse(&defaults, "default")?;
        let mut errors = InputErrors::default();
        for set in sets {
            if let Some(node) = errors.note(parse_set(set, &mut sources)) {
                root.overlay(&node, "", &[]);
            }
        }
        let defaults = base.take("deployment").map_or_else(|| Node::table(0..0), |(_, node)| node);
        base.overlay(&root, "", &[]);
        let seeds_place = base.value_span("seeds");
        let head = errors.note(from_tree::<Head>(&base, "", &sources));
        let workload = errors.note(section(&root, "workload", &sources)).flatten();
        if workload.is_none() && root.get("workload").is_none() {
            errors.0.push(sources.error(
                first_line(&root),
                "the scenario has no `[workload]`",
                "add `[workload]` with `recipe = \"burstgpt\"` or `trace = \"file.csv\"`",
            ));
        }
        let slo = errors.note(section(&root, "slo", &sources)).flatten();
        let deployment = errors.note(section(&root, "deployment", &sources)).flatten();
        let deployment = deployment.map(|node| check_deployment(node, &sources, &mut errors));
        let systems_node = errors.note(section(&root, "systems", &sources)).flatten();
        let systems = systems_node.as_ref().map(|node| read_systems(node, &sources));
        let systems = match systems {
            Some(result) => errors.note(result),
            None => {
                if root.get("systems").is_none() {
                    errors.0.push(sources.error(
                        first_line(&root),
                        "the scenario has no `[systems]`",
                        "add `[systems]` with `reference = \"vllm-v1\"` and `compare = [\"vllm-v1\", \"orca\"]`",
                    ));
                }
                None
            }
        };
        let empty = || Node::table(root.span.clone());
        match (head, workload, systems, systems_node) {
            (Some(head), Some(workload), Some(systems), Some(systems_node)) => {
                let name = study_name(&source.name);
                let folder = match target {
                    Target::File(path) => path.parent().map(Path::to_path_buf),
                    Target::Embedded(_) => None,
                };
                let slo = slo.unwrap_or_else(empty);
                let deployment = deployment.unwrap_or_else(empty);
                errors.or(Document { name, folder, sources, head, seeds_place, workload, slo, deployment, defaults, systems, systems_node })
            }
            _ => Err(errors),
        }
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
                Some((_, Node { value: crate::diagnostic::Value::String(base), span })) if base != current => {
                    (current, at) = (base, span);
                }
                Some((_, Node { value: crate::diagnostic::Value::String(_), .. })) => break known?,
                Some((_, node)) => {
                    let message = format!("`systems.{current}.base` is not text");
                    return Err(self.sources.error(node.span, message, "name a preset or a variant in quotes").into());
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
        catalog::find(Shelf::Systems, name, self.beside()).map_err(|e| e.message.starts_with("cannot").then_some(e))
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

/// The first line of a document, where a missing section is reported.
fn first_line(root: &Node) -> Range<usize> {
    root.span.start..root.span.start + 1
}

/// A section that must be a table if it is there.
fn section(root: &Node, key: &str, sources: &Sources) -> Result<Option<Node>, InputError> {
    match root.get(key) {
        Some(node) if node.entries().is_none() => Err(sources.error(
            node.span.clone(),
            format!("`{key}` is not a table"),
            format!("write `[{key}]` on a line of its own, with its keys below"),
        )),
        other => Ok(other.cloned()),
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
                    None => "known here: reference, compare, and variants as tables `[systems.NAME]`".to_owned(),
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
    errors.note(from_tree::<DeploymentOptions>(&node, "deployment", sources));
    node
}

/// One `--set path=value`; a value that is not TOML is taken as text.
fn parse_set(set: &str, sources: &mut Sources) -> Result<Node, InputErrors> {
    let name = format!("--set {set}");
    let Some((path, value)) = set.split_once('=') else {
        let help = "write for example `--set workload.requests=200`";
        return Err(InputError::named(name, "has no `=`", help).into());
    };
    let (path, value) = (path.trim(), value.trim());
    let as_typed = Source::new(&*name, format!("{path} = {value}\n"));
    let source = if toml::de::DeTable::parse(&as_typed.text).is_ok() {
        as_typed
    } else {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        Source::new(&*name, format!("{path} = \"{quoted}\"\n"))
    };
    Ok(sources.parse(&source, "flag")?)
}
