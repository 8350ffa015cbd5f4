//! The data files a system names: accelerator, model, engine profile.

use std::ops::Range;
use std::path::Path;

use crate::catalog::{self, Shelf};
use crate::cost::EngineProfile;
use crate::diagnostic::{InputError, InputErrors, Node, Source, Sources};
use crate::hardware::{Accelerator, BatchClass, Host};
use crate::model::Model;

use super::document::Document;

/// Schedulers whose budget and batch an engine profile has defaults for.
const BUDGETED: [&str; 4] = ["unified", "chunked", "prefill-first", "clairvoyant"];

/// The data files a system names.
pub(super) struct Parts {
    /// All of a replica are equal.
    pub(super) accelerator: Accelerator,
    /// Served architecture.
    pub(super) model: Model,
    /// Host time, memory, limits.
    pub(super) engine: EngineProfile,
    /// The server around the accelerators.
    pub(super) node: Host,
    /// Its text, for the places of its limits.
    engine_source: Source,
}

impl Parts {
    /// Loads what the merged tree names; an unknown name is reported where it is written, an absent one at `place`.
    pub(super) fn load(
        doc: &mut Document,
        node: &mut Node,
        place: &Range<usize>,
    ) -> Result<Parts, InputErrors> {
        let mut errors = InputErrors::default();
        let beside = doc.folder.clone();
        let beside = beside.as_deref();
        let mut named = |node: &Node, key: &str, shelf: Shelf| -> Option<(String, Source)> {
            let value = node.get(key);
            let Some(text) = value.and_then(Node::as_str) else {
                // A wrong type is reported by the strict reader; only absence is a problem of its own.
                if value.is_none() {
                    let help = format!(
                        "add `{key} = \"…\"` to `[deployment]`; `windtunnel list {}` shows all",
                        list_name(shelf)
                    );
                    errors.0.push(doc.sources.error(
                        place.clone(),
                        format!("no {} is given", shelf.noun()),
                        help,
                    ));
                }
                return None;
            };
            let found = find(shelf, text, beside, node.value_span(key), &doc.sources);
            errors.note(found).map(|source| (text.to_owned(), source))
        };
        let accelerator = named(node, "accelerator", Shelf::Accelerators);
        let model = named(node, "model", Shelf::Models);
        let accelerator = accelerator.and_then(|(name, _)| errors.note(Accelerator::load(&name, beside)));
        let model = model.and_then(|(name, _)| errors.note(Model::load(&name, beside)));
        let (Some(accelerator), Some(model)) = (accelerator, model) else { return Err(errors) };
        defaults_of_accelerator(doc, node, &accelerator.name)?;
        let host = host(doc, node, beside)?;
        let Some(name) = node.get("engine").and_then(Node::as_str) else { return Err(errors) };
        let at = node.value_span("engine");
        let engine_source = find(Shelf::Engines, name, beside, at.clone(), &doc.sources)?;
        let engine = EngineProfile::load(name, beside)?;
        if let Err(found) = engine.for_simulation() {
            let placed = |e: InputError| {
                doc.sources.error(at.clone(), format!("engine `{name}` {}", e.message), e.help)
            };
            return Err(InputErrors(found.0.into_iter().map(placed).collect()));
        }
        errors.or(Parts { accelerator, model, engine, node: host, engine_source })
    }
}

/// Writes the accelerator's engine and node into the tree where no layer says them.
fn defaults_of_accelerator(doc: &mut Document, node: &mut Node, name: &str) -> Result<(), InputErrors> {
    let wanted = [("engine", "default-engine"), ("node", "links.host")];
    let absent: Vec<_> = wanted.into_iter().filter(|(key, _)| node.get(key).is_none()).collect();
    if absent.is_empty() {
        return Ok(());
    }
    let source = catalog::find(Shelf::Accelerators, name, doc.beside())?;
    let file = doc.sources.parse(&source, "accelerator")?;
    for (key, from) in absent {
        if let (Some(value), Some(entries)) = (file.get(from), node.entries_mut()) {
            entries.insert(key.to_owned(), (file.key_span(from), value.clone()));
        }
    }
    Ok(())
}

/// The host file of `node`; an unknown name is reported where it is written.
fn host(doc: &Document, node: &Node, beside: Option<&Path>) -> Result<Host, InputErrors> {
    // A wrong type is reported by the strict reader.
    let Some(name) = node.get("node").and_then(Node::as_str) else { return Err(InputErrors::default()) };
    find(Shelf::Hosts, name, beside, node.value_span("node"), &doc.sources)?;
    Host::load(name, beside)
}

/// How the `list` command calls a shelf.
fn list_name(shelf: Shelf) -> &'static str {
    match shelf {
        Shelf::Accelerators => "accelerators",
        Shelf::Models => "models",
        Shelf::Engines => "engines",
        Shelf::Hosts => "hosts",
        Shelf::Links => "links",
        Shelf::Systems => "systems",
        _ => "scenarios",
    }
}

/// Looks a name up; an unknown one is reported where it is written.
fn find(
    shelf: Shelf,
    name: &str,
    beside: Option<&Path>,
    place: Range<usize>,
    sources: &Sources,
) -> Result<Source, InputError> {
    catalog::find(shelf, name, beside).map_err(|e| sources.error(place, e.message, e.help))
}

/// Fills `token-budget` and `max-sequences` from the engine profile where no layer says them.
pub(super) fn engine_limits(node: &mut Node, parts: &Parts, sources: &mut Sources) {
    let Ok(profile) = sources.parse(&parts.engine_source, "engine profile") else { return };
    let class = match parts.accelerator.batch_class {
        BatchClass::Large => "limits.large",
        BatchClass::Small => "limits.small",
    };
    let Some(limits) = profile.get(class).and_then(Node::entries) else { return };
    let tables = node.entries_mut().and_then(|entries| entries.get_mut("scheduler"));
    let Some(tables) = tables.and_then(|(_, scheduler)| scheduler.entries_mut()) else { return };
    for key in BUDGETED {
        let Some(parameters) = tables.get_mut(key).and_then(|(_, table)| table.entries_mut()) else {
            continue;
        };
        for (name, value) in limits {
            parameters.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
}
