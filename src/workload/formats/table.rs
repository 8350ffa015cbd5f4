//! Separated values with a header: one reader for every table format.

use std::collections::BTreeMap;

use csv::ByteRecord;

use super::super::clock::{AbsolutePs, TimeUnit};
use super::super::input::Input;
use super::super::report::LoadReport;
use super::super::rows::{Clock, Row, Rows};
use super::bad_rows::{BadRows, Problem, tokens};
use super::{Failures, ReadOptions};
use crate::diagnostic::{InputError, InputErrors, nearest};
use crate::ids::ClassId;

/// Which columns mean what.
pub(super) struct Columns<'a> {
    pub arrival: Option<(&'a str, TimeUnit)>,
    pub prompt: &'a str,
    pub output: &'a str,
    pub class: Vec<&'a str>,
    pub zero_output_is_failure: bool,
    pub clock: Clock,
}

/// The same as positions in a record.
struct Positions {
    arrival: Option<(usize, TimeUnit)>,
    prompt: usize,
    output: usize,
    class: Vec<usize>,
    fields: usize,
}

fn reader(input: &Input) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::Headers).from_reader(input.bytes.as_slice())
}

/// The names of the columns.
pub(super) fn header(input: &Input) -> Result<Vec<String>, InputError> {
    let mut reader = reader(input);
    let header = reader.byte_headers().map_err(|e| unreadable(input, &e))?;
    Ok(header.iter().map(|h| String::from_utf8_lossy(h).into_owned()).collect())
}

fn unreadable(input: &Input, error: &csv::Error) -> InputError {
    InputError::named(
        &*input.name,
        format!("the table cannot be read: {error}"),
        "write plain CSV with a header",
    )
}

/// Reads all rows; bad and failed rows follow the options.
pub(super) fn read(input: &Input, columns: &Columns<'_>, options: &ReadOptions) -> Result<Rows, InputErrors> {
    let names = header(input)?;
    let positions = locate(input, &names, columns)?;
    let mut reader = reader(input);
    let mut collect = Collect {
        positions,
        zero_output_is_failure: columns.zero_output_is_failure,
        failures: options.failures,
        rows: Vec::with_capacity(input.bytes.len() / 32),
        classes: Classes::new(columns.class.is_empty()),
        report: LoadReport::default(),
    };
    let mut bad = BadRows::new(&input.name, options);
    let mut order = Order::new(&input.name, options.sort);
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| unreadable(input, &e))? {
        let line = record.position().map_or(0, csv::Position::line);
        match collect.row(&record) {
            Ok(Some(row)) => {
                order.next(line, row.time);
                collect.rows.push(row);
            }
            Ok(None) => {}
            Err(problem) => bad.add(line, problem),
        }
        collect.report.rows_read += 1;
    }
    let (rows_bad, first_bad) = bad.finish()?;
    let mut report = LoadReport { rows_bad, first_bad, ..collect.report };
    order.finish(&mut collect.rows, &mut report)?;
    if report.rows_read == 0 {
        return Err(InputError::named(&*input.name, "there is a header, but no row", "add rows").into());
    }
    let timed = columns.arrival.is_some();
    Ok(Rows {
        rows: collect.rows,
        classes: collect.classes.names,
        chains: None,
        sessions: None,
        timed,
        clock: columns.clock,
        report,
    })
}

/// Finds the columns by name; all missing ones are reported together.
fn locate(input: &Input, names: &[String], columns: &Columns<'_>) -> Result<Positions, InputErrors> {
    let mut errors = Vec::new();
    let mut find = |column: &str| {
        let mut at = names.iter().enumerate().filter(|(_, n)| *n == column).map(|(i, _)| i);
        let (first, second) = (at.next(), at.next());
        let place = || format!("{}:1:1", input.name);
        if first.is_none() {
            let help = match nearest(column, names.iter().map(String::as_str)) {
                Some(best) => format!("did you mean `{best}`?"),
                None => format!("columns of this file: {}", names.join(", ")),
            };
            errors.push(InputError::named(place(), format!("the header has no column `{column}`"), help));
        }
        if second.is_some() {
            let message = format!("the header has the column `{column}` twice");
            errors.push(InputError::named(place(), message, "rename one of them"));
        }
        first.unwrap_or(0)
    };
    let positions = Positions {
        arrival: columns.arrival.map(|(name, unit)| (find(name), unit)),
        prompt: find(columns.prompt),
        output: find(columns.output),
        class: columns.class.iter().map(|c| find(c)).collect(),
        fields: names.len(),
    };
    if errors.is_empty() { Ok(positions) } else { Err(InputErrors(errors)) }
}

/// Rows as they come in.
struct Collect {
    positions: Positions,
    zero_output_is_failure: bool,
    failures: Failures,
    rows: Vec<Row>,
    classes: Classes,
    report: LoadReport,
}

impl Collect {
    /// One record; none: a failed request that is dropped.
    fn row(&mut self, record: &ByteRecord) -> Result<Option<Row>, Problem> {
        let at = &self.positions;
        if record.len() != at.fields {
            let message = format!("the row has {} fields, the header has {}", record.len(), at.fields);
            return Err(Problem { column: 1, message });
        }
        let time = match at.arrival {
            Some((field, unit)) => {
                unit.parse(record[field].trim_ascii()).map_err(|what| problem(record, field, "time", what))?
            }
            None => 0,
        };
        let count = |field: usize, name: &str| {
            tokens(record[field].trim_ascii()).map_err(|what| problem(record, field, name, what))
        };
        let prompt = count(at.prompt, "prompt length")?;
        let mut output = count(at.output, "output length")?;
        if output == 0 && self.zero_output_is_failure {
            self.report.rows_failed += 1;
            if self.failures == Failures::Drop || prompt == 0 {
                self.report.rows_dropped += 1;
                return Ok(None);
            }
            output = 1;
        }
        for (tokens, field, name) in
            [(prompt, at.prompt, "prompt length"), (output, at.output, "output length")]
        {
            if tokens == 0 {
                return Err(problem(record, field, name, "is zero"));
            }
        }
        let class = self.classes.of(record, &self.positions.class)?;
        let number = u32::try_from(self.report.rows_read)
            .map_err(|_| Problem { column: 1, message: "there are more than 4294967295 rows".to_owned() })?;
        Ok(Some(Row { time, prompt, output, number, class }))
    }
}

fn problem(record: &ByteRecord, field: usize, name: &str, what: &str) -> Problem {
    let column = 1 + record.iter().take(field).map(|f| f.len() + 1).sum::<usize>();
    Problem { column, message: format!("the {name} `{}` {what}", record[field].trim_ascii().escape_ascii()) }
}

/// Class names by first appearance.
struct Classes {
    names: Vec<String>,
    ids: BTreeMap<Vec<u8>, u16>,
    key: Vec<u8>,
    last: Option<u16>,
    last_key: Vec<u8>,
}

impl Classes {
    fn new(single: bool) -> Self {
        let names = if single { vec!["all".to_owned()] } else { Vec::new() };
        Classes { names, ids: BTreeMap::new(), key: Vec::new(), last: None, last_key: Vec::new() }
    }

    fn of(&mut self, record: &ByteRecord, fields: &[usize]) -> Result<ClassId, Problem> {
        if fields.is_empty() {
            return Ok(ClassId(0));
        }
        self.key.clear();
        for (i, &field) in fields.iter().enumerate() {
            if i > 0 {
                self.key.extend_from_slice(b" / ");
            }
            self.key.extend_from_slice(record[field].trim_ascii());
        }
        if let Some(last) = self.last.filter(|_| self.key == self.last_key) {
            return Ok(ClassId(last));
        }
        let id = match self.ids.get(&self.key) {
            Some(&id) => id,
            None => {
                let id = u16::try_from(self.names.len())
                    .map_err(|_| problem(record, fields[0], "class", "is one of more than 65536 classes"))?;
                self.names.push(String::from_utf8_lossy(&self.key).into_owned());
                self.ids.insert(self.key.clone(), id);
                id
            }
        };
        self.last = Some(id);
        self.last_key.clone_from(&self.key);
        Ok(ClassId(id))
    }
}

/// Watches the time order of rows.
pub(super) struct Order<'a> {
    file: &'a str,
    sort: bool,
    latest: AbsolutePs,
    late: u64,
    first_late: Option<(u64, AbsolutePs, AbsolutePs)>,
}

impl<'a> Order<'a> {
    pub fn new(file: &'a str, sort: bool) -> Self {
        Order { file, sort, latest: 0, late: 0, first_late: None }
    }

    /// The next row is at `time`.
    pub fn next(&mut self, line: u64, time: AbsolutePs) {
        if time < self.latest {
            self.late += 1;
            self.first_late.get_or_insert((line, time, self.latest));
        }
        self.latest = self.latest.max(time);
    }

    /// Sorts if that is wanted and needed; else a row out of order is an error.
    pub fn finish(self, rows: &mut [Row], report: &mut LoadReport) -> Result<(), InputErrors> {
        let Some((line, time, latest)) = self.first_late else { return Ok(()) };
        if self.sort {
            rows.sort_by_key(|r| r.time);
            report.rows_reordered = self.late;
            return Ok(());
        }
        let back = (latest - time) as f64 / 1e12;
        Err(InputError::named(
            format!("{}:{line}:1", self.file),
            format!(
                "the time lies {back} s before that of an earlier row; {} rows are out of order",
                self.late
            ),
            "set `sort = true` to put the rows in time order",
        )
        .into())
    }
}
