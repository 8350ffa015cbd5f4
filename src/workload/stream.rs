//! From one trace file to another, row by row: converting and cutting. Memory does not grow with the rows, unless they
//! have to be sorted.

use std::io::{self, Write};
use std::path::Path;

use super::clock::AbsolutePs;
use super::formats::{
    Carries, Item, OutRow, ReadOptions, RowWriter, Scanned, Shape, Sink, read_trace, scan, writer,
};
use super::input;
use super::report::LoadReport;
use super::rows::Rows;
use super::trace::NO_SESSION;
use super::transform::{Slice, known};
use crate::diagnostic::{InputError, InputErrors};

/// Why rows could not be passed on.
#[derive(Debug)]
pub enum StreamError {
    /// The trace or what was asked is wrong.
    Input(InputErrors),
    /// The output cannot be written.
    Output(io::Error),
}

impl From<InputErrors> for StreamError {
    fn from(errors: InputErrors) -> Self {
        StreamError::Input(errors)
    }
}

impl From<InputError> for StreamError {
    fn from(error: InputError) -> Self {
        StreamError::Input(error.into())
    }
}

/// What was written, and what was not.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The rows of the input.
    pub report: LoadReport,
    /// Rows written.
    pub rows_written: u64,
    /// What the input has and the output cannot hold.
    pub lost: Vec<&'static str>,
}

/// One pass over the file at `path` into `sink`; with `options.sort` by way of memory, in time order.
pub(super) fn pass(path: &Path, options: &ReadOptions, sink: &mut dyn Sink) -> Result<Scanned, InputErrors> {
    if options.sort {
        return replay(read_trace(path, options)?, sink);
    }
    scan(&mut input::stream(path, false)?, options, sink)
}

/// Rows in memory, as if they were read.
fn replay(rows: Rows, sink: &mut dyn Sink) -> Result<Scanned, InputErrors> {
    let shape = Shape {
        format: rows.report.format.unwrap_or("generic"),
        timed: rows.timed,
        sessions: rows.sessions.is_some(),
        tokens_per_id: rows.chains.as_ref().map(|c| c.tokens_per_id),
        header: None,
        lines: false,
        clock: rows.clock,
    };
    sink.begin(&shape)?;
    for row in &rows.rows {
        let at = row.number as usize;
        let ids = rows
            .chains
            .as_ref()
            .map_or(&[][..], |c| &c.ids[c.starts[at] as usize..c.starts[at + 1] as usize]);
        let item = Item {
            number: row.number,
            time: row.time,
            prompt: row.prompt,
            output: row.output,
            class: row.class,
            session: rows.sessions.as_ref().map_or(NO_SESSION, |s| s[at]),
            ids,
            raw: &[],
        };
        sink.row(&item, &rows.classes)?;
    }
    Ok(Scanned { report: rows.report, classes: rows.classes, shape })
}

/// Writes the trace at `path` in `format` to `out`; times count from its first row.
pub fn convert_trace(
    path: &Path,
    options: &ReadOptions,
    format: &'static str,
    out: &mut dyn Write,
) -> Result<Converted, StreamError> {
    let mut sink =
        Convert { format, out, rows: None, first: None, written: 0, lost: Vec::new(), failed: None };
    sink.check()?;
    let scanned = pass(path, options, &mut sink);
    if let Some(error) = sink.failed {
        return Err(StreamError::Output(error));
    }
    let scanned = scanned?;
    if let Some(rows) = &mut sink.rows {
        rows.flush(sink.out).map_err(StreamError::Output)?;
    }
    if scanned.classes.len() > 1 && !writer(format)?.classes {
        sink.lost.push("classes");
    }
    nothing_left(&scanned.report, sink.written)?;
    Ok(Converted { report: scanned.report, rows_written: sink.written, lost: sink.lost })
}

/// Writes the lines of the trace at `path` that `slice` and `classes` (none: all) name, as they stand, to `out`. Rows
/// keep their order and their times; those that cannot be read or failed are left out as `options` says.
pub fn slice_trace(
    path: &Path,
    options: &ReadOptions,
    slice: &Slice,
    classes: &[String],
    out: &mut dyn Write,
) -> Result<Converted, StreamError> {
    let file = path.display().to_string();
    let mut sink =
        Cut { file, slice, classes, out, first: None, written: 0, outside: 0, filtered: 0, failed: None };
    // A slice changes no order, so that it has no quarrel with one.
    let options = ReadOptions { sort: true, ..options.clone() };
    let scanned = scan(&mut input::stream(path, false)?, &options, &mut sink);
    if let Some(error) = sink.failed {
        return Err(StreamError::Output(error));
    }
    let scanned = scanned?;
    known(&scanned.report.source, "--class", "class", classes, &scanned.classes)?;
    let mut report = scanned.report;
    (report.rows_outside_slice, report.rows_filtered) = (sink.outside, sink.filtered);
    nothing_left(&report, sink.written)?;
    Ok(Converted { report, rows_written: sink.written, lost: Vec::new() })
}

/// A file without a row helps nobody.
fn nothing_left(report: &LoadReport, written: u64) -> Result<(), InputError> {
    if written > 0 {
        return Ok(());
    }
    let help = "widen them; `windtunnel trace stats` shows the span and the classes of a file";
    Err(InputError::named(&*report.source, report.why_nothing_is_left(), help))
}

/// Ends a pass whose output failed; the real error is kept beside it.
fn stop() -> InputErrors {
    InputError::named("output", "cannot be written", "check the disk").into()
}

struct Convert<'a> {
    format: &'static str,
    out: &'a mut dyn Write,
    rows: Option<RowWriter>,
    first: Option<AbsolutePs>,
    written: u64,
    lost: Vec<&'static str>,
    failed: Option<io::Error>,
}

impl Convert<'_> {
    /// Whether the format can be written at all.
    fn check(&self) -> Result<(), InputError> {
        writer(self.format).map(|_| ())
    }
}

impl Sink for Convert<'_> {
    fn begin(&mut self, shape: &Shape) -> Result<(), InputErrors> {
        let writer = writer(self.format)?;
        if writer.times && !shape.timed {
            let message =
                format!("a `{}` file has no arrival times, but `{}` needs them", shape.format, self.format);
            return Err(InputError::named("--format", message, "write `--format lengths`").into());
        }
        let from = shape.tokens_per_id;
        let losses = [
            (shape.timed && !writer.times, "arrival times"),
            (shape.sessions && !writer.sessions, "sessions"),
            (from.is_some() && !writer.keeps_ids(from), "prefix ids"),
        ];
        self.lost.extend(losses.iter().filter(|(lost, _)| *lost).map(|(_, what)| *what));
        let carries = Carries { sessions: shape.sessions, tokens_per_id: from };
        self.rows = Some(RowWriter::new(writer, carries));
        Ok(())
    }

    fn row(&mut self, item: &Item<'_>, names: &[String]) -> Result<(), InputErrors> {
        let first = *self.first.get_or_insert(item.time);
        let row = OutRow {
            arrival: item.time.saturating_sub(first),
            prompt: item.prompt,
            output: item.output,
            class: names.get(item.class.index()).map_or("all", String::as_str),
            session: item.session,
            ids: item.ids,
        };
        let Some(rows) = &mut self.rows else { return Ok(()) };
        self.written += 1;
        rows.row(&row, self.out).map_err(|error| {
            self.failed = Some(error);
            stop()
        })
    }
}

struct Cut<'a> {
    file: String,
    slice: &'a Slice,
    classes: &'a [String],
    out: &'a mut dyn Write,
    first: Option<AbsolutePs>,
    written: u64,
    outside: u64,
    filtered: u64,
    failed: Option<io::Error>,
}

impl Cut<'_> {
    fn line(&mut self, line: &[u8]) -> Result<(), InputErrors> {
        self.out.write_all(line).and_then(|()| self.out.write_all(b"\n")).map_err(|error| {
            self.failed = Some(error);
            stop()
        })
    }
}

impl Sink for Cut<'_> {
    fn begin(&mut self, shape: &Shape) -> Result<(), InputErrors> {
        if !shape.lines {
            let message =
                format!("a `{}` file is one document, so that its lines cannot be cut", shape.format);
            let help = "convert it first: `windtunnel trace convert FILE --format generic -o FILE.csv`";
            return Err(InputError::named(&*self.file, message, help).into());
        }
        if !shape.timed && (self.slice.from.is_some() || self.slice.to.is_some()) {
            let message = format!("a `{}` file has no times to cut at", shape.format);
            return Err(InputError::named(&*self.file, message, "cut it by rows: `--rows 0..1000`").into());
        }
        match &shape.header {
            Some(header) => self.line(header),
            None => Ok(()),
        }
    }

    fn row(&mut self, item: &Item<'_>, names: &[String]) -> Result<(), InputErrors> {
        let first = *self.first.get_or_insert(item.time);
        let after = item.time.saturating_sub(first);
        let inside = self.slice.from.is_none_or(|from| after >= u128::from(from.as_ps()))
            && self.slice.to.is_none_or(|to| after < u128::from(to.as_ps()))
            && self.slice.rows.is_none_or(|[a, b]| (a..b).contains(&u64::from(item.number)));
        let wanted = self.classes.is_empty()
            || names.get(item.class.index()).is_some_and(|name| self.classes.contains(name));
        if !inside {
            self.outside += 1;
        } else if !wanted {
            self.filtered += 1;
        } else {
            self.written += 1;
            return self.line(item.raw);
        }
        Ok(())
    }
}
