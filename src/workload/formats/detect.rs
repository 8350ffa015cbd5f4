//! Which format a file has: the one whose columns or keys are all there.

use serde::de::IgnoredAny;

use super::super::input::Stream;
use super::registry::by_name;
use super::{ALL, Elsewhere, Format, Layout, ReadOptions, Table, empty, generic, json, table};
use crate::diagnostic::{InputError, nearest};

type Named = (&'static str, &'static Format);

/// The format of `input`: as asked for, or as its first line says.
pub(super) fn choose(input: &mut Stream, options: &ReadOptions) -> Result<Named, InputError> {
    let first = match input.lines.peek() {
        Ok(Some(line)) => line.trim_ascii_start().first().copied(),
        Ok(None) => return Err(empty(&input.name)),
        Err(e) => return Err(input.broken(&e)),
    };
    match (&options.format, &options.columns) {
        (Some(name), Some(_)) if name != "generic" => Err(InputError::named(
            "workload.columns",
            format!("`columns` is for `format = \"generic\"`, but the format is `{name}`"),
            "remove one of the two",
        )),
        (Some(name), _) => by_name(name),
        (None, Some(_)) => by_name("generic"),
        (None, None) if first == Some(b'{') => detect_json(input),
        (None, None) if first == Some(b'[') => Err(InputError::named(
            format!("{}:1:1", input.name),
            "the file is one JSON list, but rows stand one object a line",
            "unpack the list, for example with `jq -c '.[]' FILE`",
        )),
        (None, None) => detect_table(input),
    }
}

/// The names of the columns of a table.
pub(super) fn header(input: &mut Stream) -> Result<Vec<String>, InputError> {
    match input.lines.peek() {
        Ok(line) => Ok(line.map(table::names).unwrap_or_default()),
        Err(e) => Err(input.broken(&e)),
    }
}

/// The error for a file that belongs elsewhere.
pub(super) fn elsewhere(file: &str, other: &Elsewhere) -> InputError {
    InputError::named(format!("{file}:1:1"), other.message, other.help)
}

fn detect_json(input: &mut Stream) -> Result<Named, InputError> {
    let place = format!("{}:1:1", input.name);
    let line = input.lines.peek().map(|l| l.map(<[u8]>::to_vec).unwrap_or_default());
    let line = line.map_err(|e| input.broken(&e))?;
    let Some((keys, true)) = json::keys_of(&line) else {
        // An object of several lines: a document, or a row that was cut.
        let text = input.lines.peek_all();
        let keys = text.map(json::keys_of).map_err(|e| input.broken(&e))?;
        let document = keys.filter(|(_, whole)| *whole).and_then(|(keys, _)| document(&keys));
        return document.ok_or_else(|| {
            let error = serde_json::from_slice::<IgnoredAny>(&line).err();
            let why = error.map_or_else(String::new, |e| format!(": {e}"));
            InputError::named(
                place,
                format!("the first line starts like JSON, but is not{why}"),
                "write one object a line",
            )
        });
    };
    let has = |key: &&str| keys.iter().any(|k| k == key);
    let parts = json::Object::parse(&line, &["hash_ids"])
        .ok()
        .and_then(|o| o.get(0).map(|ids| ids.starts_with('{')))
        .unwrap_or(false);
    let fits = ALL.iter().find(|(_, f)| match &f.layout {
        Layout::Lines(l) => l.needs.iter().all(has) && !l.not.iter().any(has) && l.parts == parts,
        Layout::Elsewhere(other) => other.keys.iter().all(has),
        _ => false,
    });
    fits.copied().or_else(|| document(&keys)).ok_or_else(|| {
        let known: Vec<String> = ALL
            .iter()
            .filter_map(|(name, f)| match &f.layout {
                Layout::Lines(l) => Some(format!("{name} ({})", l.needs.join(", "))),
                _ => None,
            })
            .collect();
        InputError::named(
            place,
            format!("rows with the keys `{}` are of no known format", keys.join("`, `")),
            format!("known: {}", known.join("; ")),
        )
    })
}

fn document(keys: &[String]) -> Option<Named> {
    let has = |key: &&str| keys.iter().any(|k| k == key);
    let fits = |f: &&Named| matches!(&f.1.layout, Layout::Document(d) if d.any.iter().any(has));
    ALL.iter().find(fits).copied()
}

fn detect_table(input: &mut Stream) -> Result<Named, InputError> {
    let header = header(input)?;
    let has = |column: &&str| header.iter().any(|h| h == column);
    let other = ALL.iter().find(|(_, f)| match &f.layout {
        Layout::Elsewhere(other) => other.columns.iter().all(has),
        Layout::Mapped => generic::OWN.iter().all(has),
        _ => false,
    });
    if let Some(other) = other {
        return Ok(*other);
    }
    let tables = || {
        ALL.iter().filter_map(|entry| match &entry.1.layout {
            Layout::Table(table) => Some((*entry, table)),
            _ => None,
        })
    };
    let fits = tables().filter(|(_, t)| t.needs().all(|c| has(&c))).max_by_key(|(_, t)| t.needs().count());
    if let Some((entry, _)) = fits {
        return Ok(entry);
    }
    let likeness = |t: &Table| 2 * t.needs().filter(|c| has(c)).count() >= t.needs().count();
    match tables().filter(|(_, t)| likeness(t)).max_by_key(|(_, t)| t.needs().filter(|c| has(c)).count()) {
        Some(((name, _), table)) => Err(looks_like(&input.name, &header, name, table)),
        None => Err(unknown_header(&input.name, &header)),
    }
}

/// The error for a header that has most, but not all columns of a format.
fn looks_like(file: &str, header: &[String], name: &str, table: &Table) -> InputError {
    let missing: Vec<&str> = table.needs().filter(|c| !header.iter().any(|h| h == c)).collect();
    let help = missing.iter().find_map(|c| {
        let spare = header.iter().map(String::as_str).filter(|h| !table.needs().any(|n| n == *h));
        nearest(c, spare).map(|found| format!("rename the column `{found}` to `{c}`"))
    });
    InputError::named(
        format!("{file}:1:1"),
        format!("the header looks like `{name}`, but has no column `{}`", missing.join("`, `")),
        help.unwrap_or_else(|| "add it, or name the columns with `columns = { … }`".to_owned()),
    )
}

fn unknown_header(file: &str, header: &[String]) -> InputError {
    let known: Vec<String> = ALL
        .iter()
        .filter_map(|(name, f)| match &f.layout {
            Layout::Table(t) => Some(format!("{name} ({})", t.needs().collect::<Vec<_>>().join(","))),
            _ => None,
        })
        .collect();
    InputError::named(
        format!("{file}:1:1"),
        format!("the header `{}` is of no known format", header.join(",")),
        format!(
            "name the columns with `columns = {{ arrival = …, unit = \"s\", prompt = …, output = … }}`; known: {}",
            known.join("; ")
        ),
    )
}
