//! Which format a file has, and the list of formats.

use std::io;

use super::super::input::Input;
use super::{ALL, Format, Layout, ReadOptions, Table, Trace, table};
use crate::diagnostic::{InputError, nearest};
use crate::units::SimTime;

/// A format as `list formats` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FormatInfo {
    /// The value of `format = …`.
    pub name: &'static str,
    /// One line of description.
    pub about: &'static str,
    /// Whether `write_trace` can write it.
    pub writable: bool,
}

/// All formats that can be read.
pub fn formats() -> impl Iterator<Item = FormatInfo> {
    ALL.iter().map(|(name, f)| FormatInfo { name, about: f.about, writable: f.write.is_some() })
}

/// Writes `trace` in the format called `name`; the inner error is that of the writer.
pub fn write_trace(name: &str, trace: &Trace, out: &mut dyn io::Write) -> Result<io::Result<()>, InputError> {
    let format = by_name(name)?;
    let write = format.1.write.ok_or_else(|| {
        let known: Vec<&str> = formats().filter(|f| f.writable).map(|f| f.name).collect();
        InputError::named(
            "format",
            format!("`{name}` can be read, but not written"),
            format!("can be written: {}", known.join(", ")),
        )
    })?;
    Ok(write(trace, out))
}

/// The format of `input`: as asked for, or the one whose columns or keys are all there.
pub(super) fn choose(
    input: &Input,
    options: &ReadOptions,
) -> Result<(&'static str, &'static Format), InputError> {
    match (&options.format, &options.columns) {
        (Some(name), Some(_)) if name != "generic" => Err(InputError::named(
            "workload.columns",
            format!("`columns` is for `format = \"generic\"`, but the format is `{name}`"),
            "remove one of the two",
        )),
        (Some(name), _) => by_name(name),
        (None, Some(_)) => by_name("generic"),
        (None, None) if input.bytes.trim_ascii_start().first() == Some(&b'{') => detect_lines(input),
        (None, None) => detect_table(input),
    }
}

fn by_name(name: &str) -> Result<(&'static str, &'static Format), InputError> {
    let found = ALL.iter().find(|(n, _)| *n == name);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|(n, _)| *n).collect();
        let help = match nearest(name, names.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None => format!("known: {}", names.join(", ")),
        };
        InputError::named("workload.format", format!("unknown trace format `{name}`"), help)
    })
}

fn detect_lines(input: &Input) -> Result<(&'static str, &'static Format), InputError> {
    let line = input.bytes.trim_ascii_start().split(|&b| b == b'\n').next().unwrap_or_default();
    let place = format!("{}:1:1", input.name);
    let value: serde_json::Value = serde_json::from_slice(line).map_err(|e| {
        InputError::named(
            &*place,
            format!("the first line starts like JSON, but is not: {e}"),
            "write one object a line",
        )
    })?;
    let has = |key: &&str| value.get(*key).is_some();
    let fits = ALL.iter().find(|(_, f)| match &f.layout {
        Layout::Lines { keys, .. } => keys.iter().all(has),
        _ => false,
    });
    fits.copied().ok_or_else(|| {
        let keys: Vec<&str> =
            value.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default();
        let known: Vec<String> = ALL
            .iter()
            .filter_map(|(name, f)| match &f.layout {
                Layout::Lines { keys, .. } => Some(format!("{name} ({})", keys.join(", "))),
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

fn detect_table(input: &Input) -> Result<(&'static str, &'static Format), InputError> {
    let header = table::header(input)?;
    let tables = || {
        ALL.iter().filter_map(|entry| match &entry.1.layout {
            Layout::Table(table) => Some((*entry, table)),
            _ => None,
        })
    };
    let has = |column: &&str| header.iter().any(|h| h == column);
    let fits = tables().filter(|(_, t)| t.needs().all(|c| has(&c))).max_by_key(|(_, t)| t.needs().count());
    if let Some((entry, _)) = fits {
        return Ok(entry);
    }
    let likeness = |t: &Table| 2 * t.needs().filter(|c| has(c)).count() >= t.needs().count();
    match tables().filter(|(_, t)| likeness(t)).max_by_key(|(_, t)| t.needs().filter(|c| has(c)).count()) {
        Some(((name, _), table)) => Err(looks_like(input, &header, name, table)),
        None => Err(unknown_header(input, &header)),
    }
}

/// The error for a header that has most, but not all columns of a format.
fn looks_like(input: &Input, header: &[String], name: &str, table: &Table) -> InputError {
    let missing: Vec<&str> = table.needs().filter(|c| !header.iter().any(|h| h == c)).collect();
    let help = missing.iter().find_map(|c| {
        let spare = header.iter().map(String::as_str).filter(|h| !table.needs().any(|n| n == *h));
        nearest(c, spare).map(|found| format!("rename the column `{found}` to `{c}`"))
    });
    InputError::named(
        format!("{}:1:1", input.name),
        format!("the header looks like `{name}`, but has no column `{}`", missing.join("`, `")),
        help.unwrap_or_else(|| "add it, or name the columns with `columns = { … }`".to_owned()),
    )
}

fn unknown_header(input: &Input, header: &[String]) -> InputError {
    let known: Vec<String> = ALL
        .iter()
        .filter_map(|(name, f)| match &f.layout {
            Layout::Table(t) => Some(format!("{name} ({})", t.needs().collect::<Vec<_>>().join(","))),
            _ => None,
        })
        .collect();
    InputError::named(
        format!("{}:1:1", input.name),
        format!("the header `{}` is of no known format", header.join(",")),
        format!(
            "name the columns with `columns = {{ arrival = …, unit = \"s\", prompt = …, output = … }}`; known: {}",
            known.join("; ")
        ),
    )
}

/// An instant as exact decimal seconds: `0.1`, `27`.
pub(super) fn seconds(time: SimTime) -> String {
    let (whole, fraction) = (time.as_ps() / 1_000_000_000_000, time.as_ps() % 1_000_000_000_000);
    if fraction == 0 {
        return whole.to_string();
    }
    format!("{whole}.{}", format!("{fraction:012}").trim_end_matches('0'))
}
