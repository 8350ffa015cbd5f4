//! One pass over a trace: what a format's parser gives, what is judged for every format alike, and who receives it.

use super::super::clock::AbsolutePs;
use super::super::report::LoadReport;
use super::super::rows::Clock;
use super::super::trace::NO_SESSION;
use super::bad_rows::{BadRows, Problem};
use super::{Failures, ReadOptions};
use crate::collections::LookupMap;
use crate::diagnostic::{InputError, InputErrors};
use crate::ids::ClassId;

/// What all rows of a file have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Name of the format.
    pub format: &'static str,
    /// Whether there are arrival times.
    pub timed: bool,
    /// Whether rows may name a session.
    pub sessions: bool,
    /// Tokens of each prefix id, where rows may have such; 0: segments of unknown size.
    pub tokens_per_id: Option<u32>,
    /// The line before the first row, where the format has a header.
    pub header: Option<Vec<u8>>,
    /// Whether each row is a line (or a quoted record) of its own.
    pub lines: bool,
    pub(in crate::workload) clock: Clock,
}

/// One request as it is read, after failures were dealt with.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Data row, from 0; rows that are left out count.
    pub number: u32,
    /// Picoseconds from the zero of the file's own clock; 0 without times.
    pub time: AbsolutePs,
    /// Prompt tokens, at least 1.
    pub prompt: u32,
    /// Output tokens, at least 1.
    pub output: u32,
    /// Index of the class's name.
    pub class: ClassId,
    /// Dense number of the session; `NO_SESSION`: none.
    pub session: u32,
    /// Prefix ids of the prompt.
    pub ids: &'a [u64],
    /// The row as it stands in the file.
    pub raw: &'a [u8],
}

/// Receives the rows of a pass in file order.
pub trait Sink {
    /// The shape of the file, before the first row.
    fn begin(&mut self, shape: &Shape) -> Result<(), InputErrors>;

    /// One row; `names` are those of the classes seen so far.
    fn row(&mut self, item: &Item<'_>, names: &[String]) -> Result<(), InputErrors>;
}

/// One row as a parser gives it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parsed {
    pub time: AbsolutePs,
    pub prompt: u32,
    pub output: u32,
    pub class: ClassId,
    pub session: u32,
    /// Columns of the two lengths, from 1.
    pub columns: (usize, usize),
    /// The row says that the request failed.
    pub failed: bool,
}

/// Names as dense numbers in order of first appearance.
#[derive(Default)]
pub(super) struct Intern {
    ids: LookupMap<Vec<u8>, u32>,
    /// The name that was asked for last, and its number if it has one.
    key: Vec<u8>,
    last: Option<u32>,
    next: u32,
}

impl Intern {
    /// The number of `name`, if it has one.
    pub fn get(&mut self, name: &[u8]) -> Option<u32> {
        if self.last.is_none() || self.key != name {
            self.key.clear();
            self.key.extend_from_slice(name);
            self.last = self.ids.get(&self.key).copied();
        }
        self.last
    }

    /// The number of `name` and whether it is new.
    pub fn of(&mut self, name: &[u8]) -> (u32, bool) {
        if let Some(id) = self.get(name) {
            return (id, false);
        }
        let id = self.anonymous();
        self.alias(name, id);
        (id, true)
    }

    /// A number that no name has.
    pub fn anonymous(&mut self) -> u32 {
        self.next = self.next.saturating_add(1);
        self.next - 1
    }

    /// Gives `name` the number `id`.
    pub fn alias(&mut self, name: &[u8], id: u32) {
        self.last = None;
        self.ids.insert(name.to_vec(), id);
    }
}

/// The names that the rows of a file mention.
pub(super) struct Names {
    /// Names of the classes.
    pub classes: Vec<String>,
    class_ids: Intern,
    /// Sessions, or chats of sessions.
    pub sessions: Intern,
}

impl Names {
    /// `single`: all rows are of one class.
    pub fn new(single: bool) -> Self {
        let classes = if single { vec!["all".to_owned()] } else { Vec::new() };
        Names { classes, class_ids: Intern::default(), sessions: Intern::default() }
    }

    /// The class called `name`.
    pub fn class(&mut self, name: &[u8]) -> Result<ClassId, &'static str> {
        let (id, is_new) = self.class_ids.of(name);
        let id = u16::try_from(id).map_err(|_| "is one of more than 65536 classes")?;
        if is_new {
            self.classes.push(String::from_utf8_lossy(name).into_owned());
        }
        Ok(ClassId(id))
    }

    /// The session called `name`; an empty name is none.
    pub fn session(&mut self, name: &[u8]) -> u32 {
        if name.is_empty() { NO_SESSION } else { self.sessions.of(name).0 }
    }
}

/// Judges rows and hands the good ones on.
pub(super) struct Feed<'a> {
    pub names: Names,
    /// Prefix ids of the row that is being parsed.
    pub ids: Vec<u64>,
    /// The last prefix id that was made up for tokens that the file has none for.
    pub private: u64,
    file: &'a str,
    bad: BadRows<'a>,
    order: Order<'a>,
    failures: Failures,
    /// Whether a row without output tokens records a failed request.
    zero_output_is_failure: bool,
    timed: bool,
    report: LoadReport,
    sink: &'a mut dyn Sink,
}

impl<'a> Feed<'a> {
    pub fn new(
        file: &'a str,
        options: &ReadOptions,
        shape: &Shape,
        names: Names,
        sink: &'a mut dyn Sink,
    ) -> Result<Self, InputErrors> {
        sink.begin(shape)?;
        Ok(Feed {
            names,
            ids: Vec::new(),
            private: u64::MAX,
            file,
            bad: BadRows::new(file, options),
            order: Order::new(file, options.sort),
            failures: options.failures,
            zero_output_is_failure: false,
            timed: shape.timed,
            report: LoadReport { format: Some(shape.format), ..LoadReport::default() },
            sink,
        })
    }

    /// Rows without output tokens are failed requests.
    pub fn zero_output_is_failure(&mut self) {
        self.zero_output_is_failure = true;
    }

    /// The row at `line`, with its prefix ids in `self.ids`.
    pub fn row(&mut self, line: u64, raw: &[u8], parsed: Result<Parsed, Problem>) -> Result<(), InputErrors> {
        let number = u32::try_from(self.report.rows_read).map_err(|_| {
            InputError::named(self.file, "there are more than 4294967295 rows", "split the file")
        })?;
        self.report.rows_read += 1;
        match parsed.and_then(|p| self.judge(p)) {
            Ok(Some(row)) => {
                if self.timed {
                    self.order.next(line, row.time);
                }
                let Parsed { time, prompt, output, class, session, .. } = row;
                let item = Item { number, time, prompt, output, class, session, ids: &self.ids, raw };
                self.sink.row(&item, &self.names.classes)?;
            }
            Ok(None) => {}
            Err(problem) => self.bad.add(line, problem),
        }
        self.ids.clear();
        Ok(())
    }

    /// None: a failed request that is dropped.
    fn judge(&mut self, mut row: Parsed) -> Result<Option<Parsed>, Problem> {
        if row.failed || (row.output == 0 && self.zero_output_is_failure) {
            self.report.rows_failed += 1;
            if self.failures == Failures::Drop || row.prompt == 0 {
                self.report.rows_dropped += 1;
                return Ok(None);
            }
            row.output = 1;
        }
        let zero = |column, name| Err(Problem { column, message: format!("the {name} `0` is zero") });
        if row.prompt == 0 {
            return zero(row.columns.0, "prompt length");
        }
        if row.output == 0 {
            return zero(row.columns.1, "output length");
        }
        Ok(Some(row))
    }

    /// The counts of the pass and the names of the classes; an error if rows were bad or out of order.
    pub fn finish(self) -> Result<(LoadReport, Vec<String>), InputErrors> {
        let mut report = self.report;
        (report.rows_bad, report.first_bad) = self.bad.finish()?;
        report.rows_reordered = self.order.finish()?;
        report.source = self.file.to_owned();
        if report.rows_read == 0 {
            return Err(InputError::named(self.file, "there is a header, but no row", "add rows").into());
        }
        Ok((report, self.names.classes))
    }
}

/// Watches the time order of rows.
struct Order<'a> {
    file: &'a str,
    sort: bool,
    latest: AbsolutePs,
    late: u64,
    first_late: Option<(u64, AbsolutePs, AbsolutePs)>,
}

impl<'a> Order<'a> {
    fn new(file: &'a str, sort: bool) -> Self {
        Order { file, sort, latest: 0, late: 0, first_late: None }
    }

    /// The next row is at `time`.
    fn next(&mut self, line: u64, time: AbsolutePs) {
        if time < self.latest {
            self.late += 1;
            self.first_late.get_or_insert((line, time, self.latest));
        } else {
            self.latest = time;
        }
    }

    /// How many rows are late; an error unless they will be sorted.
    fn finish(self) -> Result<u64, InputErrors> {
        let Some((line, time, latest)) = self.first_late.filter(|_| !self.sort) else { return Ok(self.late) };
        let back = (latest - time) as f64 / 1e12;
        Err(InputError::named(
            format!("{}:{line}:1", self.file),
            format!(
                "the time lies {back} s before that of an earlier row; {} rows are out of order",
                self.late
            ),
            "set `sort = true` (`--sort`) to put the rows in time order",
        )
        .into())
    }
}
