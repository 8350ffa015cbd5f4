//! The registry of trace formats: one file and one line each. A format is detected from the content, never from
//! the file's name; tables are read by column name, never by position.

mod bad_rows;
mod registry;
mod table;

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::table::Columns;
use super::clock::TimeUnit;
use super::input::{self, Input};
use super::rows::{Clock, Rows};
use super::trace::Trace;
use crate::diagnostic::InputErrors;

pub use self::registry::{FormatInfo, formats, write_trace};

macro_rules! formats {
    ($($module:ident = $name:literal),+ $(,)?) => {
        $(mod $module;)+
        /// Every format, in the order in which they are listed and tried.
        pub(super) const ALL: &[(&str, &Format)] = &[$(($name, &$module::FORMAT)),+];
    };
}

formats! {
    burstgpt = "burstgpt",
    azure = "azure",
    mooncake = "mooncake",
    vidur = "vidur",
    splitwise = "splitwise",
    lengths = "lengths",
    burstgpt_lengths = "burstgpt-lengths",
    generic = "generic",
}

/// How to read a trace file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Name of the format; none: detected from the content.
    pub format: Option<String>,
    /// Which columns of a generic table mean what; implies the format `generic`.
    pub columns: Option<ColumnMap>,
    /// Put rows in time order instead of refusing a file that is not.
    pub sort: bool,
    /// What a row that cannot be read does.
    pub on_bad_row: OnBadRow,
    /// What becomes of rows that record a failed request.
    pub failures: Failures,
}

/// What a row that cannot be read does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadRow {
    /// The file is refused, with the places of the first bad rows and their number.
    #[default]
    Error,
    /// The row is left out and counted.
    Skip,
}

/// What becomes of rows that record a failed request (BurstGPT: no response tokens).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failures {
    /// The row is left out and counted.
    #[default]
    Drop,
    /// The prompt is processed and one token answered; a failed row without a prompt is left out.
    PrefillOnly,
}

/// Which columns of a generic table mean what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ColumnMap {
    /// Column of the arrival time; none: the file has lengths only.
    #[serde(default)]
    pub arrival: Option<String>,
    /// How the arrival time is written.
    #[serde(default)]
    pub unit: TimeUnit,
    /// Column of the prompt tokens.
    pub prompt: String,
    /// Column of the output tokens.
    pub output: String,
    /// Column of the class, for tables apart.
    #[serde(default)]
    pub class: Option<String>,
}

/// Writes a trace as text of one format.
type Write = fn(&Trace, &mut dyn io::Write) -> io::Result<()>;

/// One trace format.
pub(super) struct Format {
    /// One line for `list formats`.
    about: &'static str,
    layout: Layout,
    write: Option<Write>,
}

enum Layout {
    /// Separated values with a header.
    Table(Table),
    /// One JSON object a line, with at least these keys.
    Lines { keys: &'static [&'static str], read: fn(&Input, &ReadOptions) -> Result<Rows, InputErrors> },
    /// Separated values with a header, columns named by the user.
    Mapped,
}

/// A table with fixed column names.
struct Table {
    arrival: Option<(&'static str, TimeUnit)>,
    prompt: &'static str,
    output: &'static str,
    /// Columns whose values, joined by ` / `, name the class; the last ones may be missing in a file.
    class: &'static [&'static str],
    /// Whether a row without output tokens records a failed request (else it is a bad row).
    zero_output_is_failure: bool,
    clock: Clock,
}

impl Table {
    fn columns(&self) -> Columns<'_> {
        Columns {
            arrival: self.arrival,
            prompt: self.prompt,
            output: self.output,
            class: self.class.to_vec(),
            zero_output_is_failure: self.zero_output_is_failure,
            clock: self.clock,
        }
    }

    /// Names of the columns this format needs.
    fn needs(&self) -> impl Iterator<Item = &'static str> {
        let arrival = self.arrival.map(|(name, _)| name);
        arrival.into_iter().chain([self.prompt, self.output]).chain(self.class.iter().copied())
    }
}

/// Reads the file at `path`: rows in time order with absolute times, and the counts of what was left out.
pub fn read_trace(path: &Path, options: &ReadOptions) -> Result<Rows, InputErrors> {
    read_input(&input::open(path)?, options)
}

/// Reads a trace that is already in memory; `name` is printed in messages.
pub fn read_trace_bytes(name: &str, bytes: Vec<u8>, options: &ReadOptions) -> Result<Rows, InputErrors> {
    read_input(&input::from_bytes(name.to_owned(), bytes)?, options)
}

fn read_input(input: &Input, options: &ReadOptions) -> Result<Rows, InputErrors> {
    let (name, format) = registry::choose(input, options)?;
    let mut rows = match (&format.layout, &options.columns) {
        (Layout::Mapped, Some(map)) => table::read(input, &generic::columns(map), options)?,
        (Layout::Mapped, None) => return Err(generic::no_columns(input).into()),
        (Layout::Table(table), _) => table::read(input, &table.columns(), options)?,
        (Layout::Lines { read, .. }, _) => read(input, options)?,
    };
    rows.report.source.clone_from(&input.name);
    rows.report.format = Some(name);
    rows.report.content_hash = Some(input.hash.clone());
    Ok(rows)
}
