//! Separated values with a header: one reader for every table format. Plain lines are split at their commas; a line
//! with double quotes takes the slow path of RFC 4180.

use super::super::clock::TimeUnit;
use super::super::input::Stream;
use super::super::lines::Lines;
use super::super::rows::Clock;
use super::super::trace::NO_SESSION;
use super::bad_rows::{Problem, tokens};
use super::scan::{Feed, Names, Parsed, Shape, Sink};
use super::{ReadOptions, Scanned};
use crate::diagnostic::{InputError, InputErrors, nearest};
use crate::ids::ClassId;

/// Which columns mean what.
pub(super) struct Columns<'a> {
    pub format: &'static str,
    pub arrival: Option<(&'a str, TimeUnit)>,
    pub prompt: &'a str,
    pub output: &'a str,
    pub class: Vec<&'a str>,
    pub session: Option<&'a str>,
    /// Whether the session's column may be missing.
    pub session_optional: bool,
    pub zero_output_is_failure: bool,
    pub clock: Clock,
}

/// The same as positions in a record.
struct Positions {
    arrival: Option<(usize, TimeUnit)>,
    prompt: usize,
    output: usize,
    class: Vec<usize>,
    session: Option<usize>,
    fields: usize,
}

/// The fields of one record.
#[derive(Default)]
pub(super) struct Record {
    /// End of each field in the line; fields are one byte (the comma) apart.
    ends: Vec<usize>,
    /// Fields of a record with quotes, without them.
    unquoted: Option<Vec<Vec<u8>>>,
}

impl Record {
    fn split(&mut self, line: &[u8]) {
        self.ends.clear();
        self.unquoted = None;
        let mut quotes = false;
        for (at, &byte) in line.iter().enumerate() {
            if byte == b',' {
                self.ends.push(at);
            }
            quotes |= byte == b'"';
        }
        self.ends.push(line.len());
        if quotes {
            self.unquoted = Some(unquote(line));
        }
    }

    fn len(&self) -> usize {
        self.unquoted.as_ref().map_or(self.ends.len(), Vec::len)
    }

    /// Field `i`, without blanks around it; empty if there is none.
    fn field<'l>(&'l self, line: &'l [u8], i: usize) -> &'l [u8] {
        match &self.unquoted {
            Some(fields) => fields.get(i).map_or(&[][..], |f| f.trim_ascii()),
            None => {
                let start = self.start(i);
                self.ends.get(i).and_then(|&end| line.get(start..end)).unwrap_or_default().trim_ascii()
            }
        }
    }

    fn start(&self, i: usize) -> usize {
        i.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| end + 1)
    }

    /// Column where field `i` starts, from 1.
    fn column(&self, i: usize) -> usize {
        match &self.unquoted {
            Some(fields) => 1 + fields.iter().take(i).map(|f| f.len() + 1).sum::<usize>(),
            None => 1 + self.start(i),
        }
    }

    fn problem(&self, line: &[u8], i: usize, name: &str, what: &str) -> Problem {
        let text = self.field(line, i).escape_ascii();
        Problem { column: self.column(i), message: format!("the {name} `{text}` {what}") }
    }
}

/// The fields of a record in which quotes stand.
fn unquote(line: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = vec![Vec::new()];
    let (mut quoted, mut bytes) = (false, line.iter().peekable());
    while let Some(&byte) = bytes.next() {
        let last = fields.len() - 1;
        match byte {
            b'"' if quoted && bytes.peek() == Some(&&b'"') => {
                fields[last].push(b'"');
                bytes.next();
            }
            b'"' => quoted = !quoted,
            b',' if !quoted => fields.push(Vec::new()),
            _ => fields[last].push(byte),
        }
    }
    fields
}

/// The names of the columns in a header line.
pub(super) fn names(header: &[u8]) -> Vec<String> {
    let mut record = Record::default();
    record.split(header);
    let name = |i| String::from_utf8_lossy(record.field(header, i)).into_owned();
    (0..record.len()).map(name).collect()
}

/// Reads all rows into `sink`; bad and failed rows follow the options.
pub(super) fn scan(
    input: &mut Stream,
    columns: &Columns<'_>,
    options: &ReadOptions,
    sink: &mut dyn Sink,
) -> Result<Scanned, InputErrors> {
    let file = input.name.clone();
    let header = match input.lines.next_record() {
        Ok(header) => header.map(|(_, line)| line.to_vec()).unwrap_or_default(),
        Err(e) => return Err(input.broken(&e).into()),
    };
    let positions = locate(&file, &names(&header), columns)?;
    let shape = Shape {
        format: columns.format,
        timed: columns.arrival.is_some(),
        sessions: positions.session.is_some(),
        tokens_per_id: None,
        header: Some(header),
        lines: true,
        clock: columns.clock,
    };
    let mut feed = Feed::new(&file, options, &shape, Names::new(columns.class.is_empty()), sink)?;
    if columns.zero_output_is_failure {
        feed.zero_output_is_failure();
    }
    rows(&mut input.lines, &positions, &mut feed)
        .map_err(|e| e.unwrap_or_else(|e| input.broken(&e).into()))?;
    let (report, classes) = feed.finish()?;
    Ok(Scanned { report, classes, shape })
}

type Stopped = Result<InputErrors, std::io::Error>;

fn rows(lines: &mut Lines, at: &Positions, feed: &mut Feed<'_>) -> Result<(), Stopped> {
    let (mut record, mut key) = (Record::default(), Vec::new());
    while let Some((number, line)) = lines.next_record().map_err(Err)? {
        record.split(line);
        let parsed = row(&record, line, at, &mut feed.names, &mut key);
        feed.row(number, line, parsed).map_err(Ok)?;
    }
    Ok(())
}

/// One record.
fn row(
    record: &Record,
    line: &[u8],
    at: &Positions,
    names: &mut Names,
    key: &mut Vec<u8>,
) -> Result<Parsed, Problem> {
    if record.len() != at.fields {
        let message = format!("the row has {} fields, the header has {}", record.len(), at.fields);
        return Err(Problem { column: 1, message });
    }
    let time = match at.arrival {
        Some((i, unit)) => {
            unit.parse(record.field(line, i)).map_err(|what| record.problem(line, i, "time", what))?
        }
        None => 0,
    };
    let count = |i: usize, name: &str| {
        tokens(record.field(line, i)).map_err(|what| record.problem(line, i, name, what))
    };
    let prompt = count(at.prompt, "prompt length")?;
    let output = count(at.output, "output length")?;
    let class = match at.class[..] {
        [] => Ok(ClassId(0)),
        [i] => names.class(record.field(line, i)),
        _ => {
            key.clear();
            for (n, &i) in at.class.iter().enumerate() {
                if n > 0 {
                    key.extend_from_slice(b" / ");
                }
                key.extend_from_slice(record.field(line, i));
            }
            names.class(key)
        }
    };
    let class = class.map_err(|what| record.problem(line, at.class[0], "class", what))?;
    let session = at.session.map_or(NO_SESSION, |i| names.session(record.field(line, i)));
    let columns = (record.column(at.prompt), record.column(at.output));
    Ok(Parsed { time, prompt, output, class, session, columns, failed: false })
}

/// Finds the columns by name; all missing ones are reported together.
fn locate(file: &str, names: &[String], columns: &Columns<'_>) -> Result<Positions, InputErrors> {
    let mut errors = Vec::new();
    let mut find = |column: &str| {
        let mut at = names.iter().enumerate().filter(|(_, n)| *n == column).map(|(i, _)| i);
        let (first, second) = (at.next(), at.next());
        let place = || format!("{file}:1:1");
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
    let session = columns.session.filter(|s| !columns.session_optional || names.iter().any(|n| n == s));
    let positions = Positions {
        arrival: columns.arrival.map(|(name, unit)| (find(name), unit)),
        prompt: find(columns.prompt),
        output: find(columns.output),
        class: columns.class.iter().map(|c| find(c)).collect(),
        session: session.map(&mut find),
        fields: names.len(),
    };
    if errors.is_empty() { Ok(positions) } else { Err(InputErrors(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_fields_are_split_as_rfc_4180_says() {
        let line = br#" a ,"b,c","d ""e""
f",,g"#;
        let mut record = Record::default();
        record.split(line);
        let fields: Vec<&[u8]> = (0..record.len()).map(|i| record.field(line, i)).collect();
        assert_eq!(fields, [&b"a"[..], b"b,c", b"d \"e\"\nf", b"", b"g"]);
        record.split(b"1,,3");
        assert_eq!((record.len(), record.field(b"1,,3", 1), record.column(2)), (3, &b""[..], 4));
    }
}
