//! A scenario file as a tree, with the flags of the command line written over it.

use std::path::{Path, PathBuf};

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors, Node, Source, Sources, did_you_mean};

/// Which scenario is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file.
    File(PathBuf),
    /// An embedded one, by name.
    Embedded(String),
    /// An embedded paper, by name.
    EmbeddedPaper(String),
    /// A text of our own, with the name that messages show.
    Text(&'static str, &'static str),
}

impl Target {
    /// What the user typed: a path to a file, or the name of an embedded scenario.
    pub fn parse(text: &str) -> Target {
        let is_path = text.ends_with(".toml") || text.contains(std::path::MAIN_SEPARATOR);
        if is_path { Target::File(PathBuf::from(text)) } else { Target::Embedded(text.to_owned()) }
    }

    /// What the user typed: a path to a file, or the name of an embedded paper.
    pub fn parse_paper(text: &str) -> Target {
        match Target::parse(text) {
            Target::Embedded(name) => Target::EmbeddedPaper(name),
            target => target,
        }
    }

    fn read(&self) -> Result<Source, InputError> {
        match self {
            Target::Text(name, text) => Ok(Source::new(*name, *text)),
            Target::File(path) => {
                let place = path.display().to_string();
                let help = "name a scenario file, or one of `windtunnel list scenarios`";
                let text = std::fs::read_to_string(path).map_err(|e| {
                    InputError::named(&*place, format!("the scenario cannot be read: {e}"), help)
                })?;
                Ok(Source::new(place, text))
            }
            Target::Embedded(name) => embedded(Shelf::Scenarios, "SCENARIO", name),
            Target::EmbeddedPaper(name) => embedded(Shelf::Papers, "PAPER", name),
        }
    }
}

/// The file `name` of the binary; `word` is what the command line calls it.
fn embedded(shelf: Shelf, word: &str, name: &str) -> Result<Source, InputError> {
    catalog::embedded(shelf, name).ok_or_else(|| {
        let names = catalog::embedded_names(shelf);
        let help = did_you_mean(name, names.iter().copied())
            .unwrap_or_else(|| format!("known: {}; or name a file that ends in .toml", names.join(", ")));
        InputError::named(word, format!("unknown {} `{name}`", shelf.noun()), help)
    })
}

/// A scenario file with the flags written over it, before it is taken apart.
#[derive(Clone, Debug)]
pub struct RawScenario {
    /// The file.
    pub source: Source,
    /// Folder of the file; none for an embedded one.
    pub folder: Option<PathBuf>,
    /// All texts read so far.
    pub sources: Sources,
    /// The whole file as a tree.
    pub root: Node,
    /// Problems of the flags.
    pub errors: InputErrors,
}

impl RawScenario {
    /// Reads a scenario and writes the `--set` flags over it.
    ///
    /// # Errors
    /// The file cannot be read or is no TOML at all.
    pub fn read(target: &Target, sets: &[String]) -> Result<RawScenario, InputErrors> {
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
        let folder = match target {
            Target::File(path) => absolute_folder(path),
            Target::Embedded(_) | Target::EmbeddedPaper(_) | Target::Text(..) => None,
        };
        Ok(RawScenario { source, folder, sources, root, errors })
    }

    /// Name of the study: the stem of the file.
    pub fn name(&self) -> String {
        study_name(&self.source.name)
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
