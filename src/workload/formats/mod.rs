//! The registry of trace formats: one file and one line each. A format is detected from the content, never from
//! the file's name; tables are read by column name, never by position.

mod bad_rows;
mod collect;
mod detect;
mod json;
mod registry;
mod scan;
mod table;
mod write;

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::bad_rows::Problem;
use self::json::Object;
use self::scan::{Feed, Names, Parsed};
use self::table::Columns;
use self::write::Writer;
use super::clock::TimeUnit;
use super::input::{self, Stream};
use super::report::LoadReport;
use super::rows::{Clock, Rows};
use crate::diagnostic::{InputError, InputErrors};

pub(super) use self::registry::writer;
pub use self::registry::{FormatInfo, formats, write_trace};
pub use self::scan::{Item, Shape, Sink};
pub(super) use self::write::{Carries, OutRow, RowWriter};

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
    ragpulse = "ragpulse",
    qwen_bailian = "qwen-bailian",
    llmservingsim = "llmservingsim",
    vllm_bench = "vllm-bench",
    vidur = "vidur",
    splitwise = "splitwise",
    lengths = "lengths",
    burstgpt_lengths = "burstgpt-lengths",
    generic = "generic",
    servegen = "servegen",
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnBadRow {
    /// The file is refused, with the places of the first bad rows and their number.
    #[default]
    Error,
    /// The row is left out and counted.
    Skip,
}

/// What becomes of rows that record a failed request (BurstGPT: no response tokens).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Failures {
    /// The row is left out and counted.
    #[default]
    Drop,
    /// The prompt is processed and one token answered; a failed row without a prompt is left out.
    PrefillOnly,
}

/// Which columns of a generic table mean what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
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
    /// Column of the session; an empty field is a request of none.
    #[serde(default)]
    pub session: Option<String>,
}

/// One trace format.
pub(super) struct Format {
    /// One line for `list formats`.
    about: &'static str,
    layout: Layout,
    write: Option<Writer>,
}

enum Layout {
    /// Separated values with a header.
    Table(Table),
    /// One JSON object a line.
    Lines(JsonLines),
    /// One JSON object for the whole file.
    Document(Document),
    /// Separated values with a header, columns named by the user.
    Mapped,
    /// Known, but no trace.
    Elsewhere(Elsewhere),
}

/// A table with fixed column names.
struct Table {
    arrival: Option<(&'static str, TimeUnit)>,
    prompt: &'static str,
    output: &'static str,
    /// Columns whose values, joined by ` / `, name the class.
    class: &'static [&'static str],
    /// A column of sessions that a file may have.
    session: Option<&'static str>,
    /// Whether a row without output tokens records a failed request (else it is a bad row).
    zero_output_is_failure: bool,
    clock: Clock,
}

impl Table {
    /// A table of nothing: what most formats do not have.
    const BARE: Table = Table {
        arrival: None,
        prompt: "",
        output: "",
        class: &[],
        session: None,
        zero_output_is_failure: false,
        clock: Clock::Detect,
    };

    fn columns(&self, format: &'static str) -> Columns<'_> {
        Columns {
            format,
            arrival: self.arrival,
            prompt: self.prompt,
            output: self.output,
            class: self.class.to_vec(),
            session: self.session,
            session_optional: true,
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

/// JSON lines of one kind of object.
struct JsonLines {
    /// Keys by which a file is known, and one that it must not have.
    needs: &'static [&'static str],
    not: &'static [&'static str],
    /// Whether `hash_ids` is an object of lists instead of a list.
    parts: bool,
    /// Keys that are read, in the order that `read` knows.
    keys: &'static [&'static str],
    /// Whether rows name their session; a `session_id` in the first row says so too.
    sessions: bool,
    tokens_per_id: Option<u32>,
    clock: Clock,
    read: fn(&Object<'_>, &mut Feed<'_>) -> Result<Parsed, Problem>,
}

/// A JSON document known by any of these keys.
struct Document {
    any: &'static [&'static str],
    scan: fn(&mut Stream, &ReadOptions, &mut dyn Sink) -> Result<Scanned, InputErrors>,
}

/// A file of something else, known by its columns or its keys.
struct Elsewhere {
    columns: &'static [&'static str],
    keys: &'static [&'static str],
    message: &'static str,
    help: &'static str,
}

/// What a pass over a file found besides its rows.
#[derive(Clone, Debug)]
pub(super) struct Scanned {
    pub report: LoadReport,
    /// Names of the classes.
    pub classes: Vec<String>,
    pub shape: Shape,
}

/// Reads the file at `path`: rows in time order with absolute times, and the counts of what was left out.
pub fn read_trace(path: &Path, options: &ReadOptions) -> Result<Rows, InputErrors> {
    collect::read(input::stream(path, true)?, options)
}

/// Reads a trace that is already in memory; `name` is printed in messages.
pub fn read_trace_bytes(name: &str, bytes: Vec<u8>, options: &ReadOptions) -> Result<Rows, InputErrors> {
    collect::read(input::from_bytes(name.to_owned(), bytes)?, options)
}

/// One pass over a file, row by row; memory does not grow with its length. Rows out of order are an error unless
/// `options.sort` says that `sink` can have them so.
pub(super) fn scan(
    input: &mut Stream,
    options: &ReadOptions,
    sink: &mut dyn Sink,
) -> Result<Scanned, InputErrors> {
    let (name, format) = detect::choose(input, options)?;
    let mut scanned = match &format.layout {
        Layout::Mapped => {
            let own = match &options.columns {
                None => generic::own_map(&detect::header(input)?),
                Some(_) => None,
            };
            let map = options.columns.as_ref().or(own.as_ref());
            let map = map.ok_or_else(|| generic::no_columns(&input.name))?;
            table::scan(input, &generic::columns(map), options, sink)?
        }
        Layout::Table(table) => table::scan(input, &table.columns(name), options, sink)?,
        Layout::Lines(lines) => scan_lines(input, name, lines, options, sink)?,
        Layout::Document(document) => (document.scan)(input, options, sink)?,
        Layout::Elsewhere(other) => return Err(detect::elsewhere(&input.name, other).into()),
    };
    scanned.report.content_hash = input.hash();
    Ok(scanned)
}

fn scan_lines(
    input: &mut Stream,
    format: &'static str,
    layout: &JsonLines,
    options: &ReadOptions,
    sink: &mut dyn Sink,
) -> Result<Scanned, InputErrors> {
    let file = input.name.clone();
    let first = match input.lines.peek() {
        Ok(line) => line.and_then(json::keys_of).unwrap_or_default().0,
        Err(e) => return Err(InputErrors::from(input.broken(&e))),
    };
    let shape = Shape {
        format,
        timed: true,
        sessions: layout.sessions || first.iter().any(|key| key == "session_id"),
        tokens_per_id: layout.tokens_per_id,
        header: None,
        lines: true,
        clock: layout.clock,
    };
    let single = format != "qwen-bailian";
    let mut feed = Feed::new(&file, options, &shape, Names::new(single), sink)?;
    loop {
        match input.lines.next() {
            Ok(None) => break,
            Ok(Some((number, line))) => {
                let parsed = Object::parse(line, layout.keys).and_then(|o| (layout.read)(&o, &mut feed));
                feed.row(number, line, parsed)?;
            }
            Err(e) => return Err(InputErrors::from(input.broken(&e))),
        }
    }
    let (report, classes) = feed.finish()?;
    Ok(Scanned { report, classes, shape })
}

/// The error for a file without any text.
fn empty(file: &str) -> InputError {
    InputError::named(file, "the file is empty", "a trace needs at least one row")
}
