//! Data files by name: beside the scenario, in its ancestor folders, then embedded in the binary.
//!
//! The current folder is never searched, because it must not change a result.

mod check;

pub(crate) use check::Check;

use std::fs;
use std::path::{Path, PathBuf};

use crate::diagnostic::{InputError, Source, did_you_mean};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// A folder of data files, such as `hardware/accelerators`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// `hardware/accelerators/*.toml`
    Accelerators,
    /// `hardware/hosts/*.toml`
    Hosts,
    /// `hardware/links/*.toml`
    Links,
    /// `workloads/models/*.toml`
    Models,
    /// `workloads/*.toml`
    Recipes,
    /// `scenarios/systems/*.toml`
    Systems,
    /// `scenarios/engines/*.toml`
    Engines,
    /// `scenarios/*.toml`
    Scenarios,
    /// `scenarios/papers/*.toml`
    Papers,
}

impl Shelf {
    /// The folder, relative to the repository root.
    pub fn folder(self) -> &'static str {
        match self {
            Shelf::Accelerators => "hardware/accelerators",
            Shelf::Hosts => "hardware/hosts",
            Shelf::Links => "hardware/links",
            Shelf::Models => "workloads/models",
            Shelf::Recipes => "workloads",
            Shelf::Systems => "scenarios/systems",
            Shelf::Engines => "scenarios/engines",
            Shelf::Scenarios => "scenarios",
            Shelf::Papers => "scenarios/papers",
        }
    }

    /// What one file of this shelf describes, for messages: "accelerator", "model" …
    pub fn noun(self) -> &'static str {
        match self {
            Shelf::Accelerators => "accelerator",
            Shelf::Hosts => "host",
            Shelf::Links => "link",
            Shelf::Models => "model",
            Shelf::Recipes => "workload recipe",
            Shelf::Systems => "system",
            Shelf::Engines => "engine",
            Shelf::Scenarios => "scenario",
            Shelf::Papers => "paper",
        }
    }
}

/// Names of all embedded files of a shelf, sorted.
pub fn embedded_names(shelf: Shelf) -> Vec<&'static str> {
    FILES.iter().filter_map(|(path, _)| name_on(shelf, path)).collect()
}

/// The embedded file `name` of a shelf.
pub fn embedded(shelf: Shelf, name: &str) -> Option<Source> {
    FILES
        .iter()
        .find(|(path, _)| name_on(shelf, path) == Some(name))
        .map(|(path, text)| Source::new(format!("<embedded>/{path}"), *text))
}

/// Whether `name` is the path of a JSON file, such as a model's `config.json`, and no name on a shelf.
pub fn is_json(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

/// Finds `name` for a scenario in folder `beside` (none: embedded only). The model `x/config.json` is a file, relative
/// to that folder.
pub fn find(shelf: Shelf, name: &str, beside: Option<&Path>) -> Result<Source, InputError> {
    if shelf == Shelf::Models && is_json(name) {
        let path = beside.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let help = "name a `config.json`, relative to the scenario's folder, or a model of `list models`";
        return read_if_there(&path)?
            .ok_or_else(|| InputError::named(name, format!("there is no file `{name}`"), help));
    }
    for folder in beside.into_iter().flat_map(Path::ancestors) {
        for path in
            [folder.join(format!("{name}.toml")), folder.join(shelf.folder()).join(format!("{name}.toml"))]
        {
            if let Some(source) = read_if_there(&path)?.filter(|s| !is_scenario(s)) {
                return Ok(source);
            }
        }
    }
    embedded(shelf, name).ok_or_else(|| unknown(shelf, name))
}

/// A scenario may have the name of the recipe or system it uses: it is not what it means by that name.
fn is_scenario(source: &Source) -> bool {
    toml::from_str::<toml::Table>(&source.text).is_ok_and(|t| t.contains_key("systems"))
}

fn read_if_there(path: &PathBuf) -> Result<Option<Source>, InputError> {
    if !path.is_file() {
        return Ok(None);
    }
    let place = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Source::new(place, text))),
        Err(e) => Err(InputError::named(
            place,
            format!("cannot be read: {e}"),
            "make the file readable as UTF-8 text",
        )),
    }
}

/// The error for a name that is nowhere; the caller adds the place where it was written.
fn unknown(shelf: Shelf, name: &str) -> InputError {
    let names = embedded_names(shelf);
    let noun = shelf.noun();
    let help = did_you_mean(name, names.iter().copied())
        .unwrap_or_else(|| format!("known: {}; or put `{name}.toml` beside the scenario", names.join(", ")));
    InputError::named(format!("{noun} `{name}`"), format!("unknown {noun} `{name}`"), help)
}

fn name_on(shelf: Shelf, path: &'static str) -> Option<&'static str> {
    let rest = path.strip_prefix(shelf.folder())?.strip_prefix('/')?;
    let name = rest.strip_suffix(".toml")?;
    (!name.contains('/')).then_some(name)
}
