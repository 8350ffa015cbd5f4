//! A CSV file of measured step times, as a grid per phase.
//!
//! Header `phase,tp,tokens,sequences,context,time_us`. One row is one whole step as measured, engine included:
//!
//! * `decode`: `sequences` sequences get one token each (`tokens` repeats the number); `context` is the mean number of
//!   tokens each attends to, its own new one included.
//! * `prefill`: one chunk (`sequences` 1) of `tokens` prompt tokens after `context` tokens whose KV exists.
//!
//! For the deployment's `tp` both phases must be there, and each must be a full grid: every `sequences` (or `tokens`)
//! with every `context`. Rows of other `tp` are read, checked and left out.

use std::collections::BTreeMap;

use crate::diagnostic::{InputError, InputErrors};

const HEADER: [&str; 6] = ["phase", "tp", "tokens", "sequences", "context", "time_us"];

/// Problems shown at once.
const MOST_ERRORS: usize = 10;

/// Longest step that is taken for a measurement: beyond it the unit is wrong.
const LONGEST_US: f64 = 1e9;

/// Measured steps of one tensor parallelism.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTable {
    /// The file as messages name it.
    pub name: String,
    /// Tensor parallelism of the rows that were kept.
    pub tensor_parallel: u32,
    pub(super) decode: Grid,
    pub(super) prefill: Grid,
}

/// Times over (`x`, context): sequences or prompt tokens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    /// Rising.
    pub(super) x: Vec<u32>,
    /// Rising.
    pub(super) context: Vec<u32>,
    /// Seconds, by `x`, then context.
    pub(super) times: Vec<f64>,
    /// Line of each time in the file.
    pub(super) lines: Vec<u64>,
}

impl Grid {
    /// `v` moved into the range of the nodes.
    pub(super) fn clamp(nodes: &[u32], v: u32) -> u32 {
        match (nodes.first(), nodes.last()) {
            (Some(&low), Some(&high)) => v.clamp(low, high),
            _ => v,
        }
    }

    /// The time at a node.
    pub(super) fn at(&self, i: usize, j: usize) -> f64 {
        self.times[i * self.context.len() + j]
    }

    /// Linear in `x` at the context node `j`; `x` must be within the nodes.
    pub(super) fn along(&self, x: u32, j: usize) -> f64 {
        let (i, share) = bracket(&self.x, x);
        let low = self.at(i, j);
        if share == 0.0 { low } else { low + share * (self.at(i + 1, j) - low) }
    }

    /// Bilinear; both must be within the nodes.
    pub(super) fn inside(&self, x: u32, context: u32) -> f64 {
        let (j, share) = bracket(&self.context, context);
        let low = self.along(x, j);
        if share == 0.0 { low } else { low + share * (self.along(x, j + 1) - low) }
    }
}

/// The node at or below `v`, and how far `v` is towards the next one.
fn bracket(nodes: &[u32], v: u32) -> (usize, f64) {
    let i = nodes.partition_point(|&node| node <= v).saturating_sub(1);
    match (nodes.get(i), nodes.get(i + 1)) {
        (Some(&low), Some(&high)) if v > low => (i, f64::from(v - low) / f64::from(high - low)),
        _ => (i, 0.0),
    }
}

/// One row: its key in the grid and its time.
struct Row {
    decode: bool,
    tp: u32,
    x: u32,
    context: u32,
    seconds: f64,
    line: u64,
}

impl StepTable {
    /// Reads the rows of `tensor_parallel` from `text`; `name` is what messages call it.
    pub fn parse(name: &str, text: &str, tensor_parallel: u32) -> Result<StepTable, InputErrors> {
        let rows = rows(name, text)?;
        let mut known: Vec<u32> = rows.iter().map(|r| r.tp).collect();
        known.sort_unstable();
        known.dedup();
        if !known.contains(&tensor_parallel) {
            let known: Vec<String> = known.iter().map(u32::to_string).collect();
            let message =
                format!("no row has tp {tensor_parallel}; there are rows with tp {}", known.join(", "));
            let help = "add rows measured at this `parallel.tp`, or deploy as measured";
            return Err(InputError::named(format!("{name}:1:1"), message, help).into());
        }
        let of = |decode: bool| rows.iter().filter(move |r| r.tp == tensor_parallel && r.decode == decode);
        let mut errors = InputErrors::default();
        let decode = errors.note(grid(name, "decode", "sequences", of(true)));
        let prefill = errors.note(grid(name, "prefill", "tokens", of(false)));
        let (Some(decode), Some(prefill)) = (decode, prefill) else { return Err(errors) };
        Ok(StepTable { name: name.to_owned(), tensor_parallel, decode: rising(decode), prefill })
    }

    /// What the rows cover, for `explain`.
    pub fn hull(&self) -> String {
        let ends = |nodes: &[u32]| match (nodes.first(), nodes.last()) {
            (Some(low), Some(high)) => format!("{low} to {high}"),
            _ => "nothing".to_owned(),
        };
        format!(
            "decode {} sequences of {} tokens, prefill {} tokens after {}; beyond, the fitted model's ratio",
            ends(&self.decode.x),
            ends(&self.decode.context),
            ends(&self.prefill.x),
            ends(&self.prefill.context)
        )
    }
}

/// All rows of the file.
fn rows(name: &str, text: &str) -> Result<Vec<Row>, InputErrors> {
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).comment(Some(b'#')).from_reader(text.as_bytes());
    let header =
        reader.headers().map(|h| h.iter().map(str::to_owned).collect::<Vec<_>>()).unwrap_or_default();
    if header != HEADER {
        let message = format!("the header is `{}`, not `{}`", header.join(","), HEADER.join(","));
        let help = "one row is one measured step; docs/cost-model.md says what the columns mean";
        return Err(InputError::named(format!("{name}:1:1"), message, help).into());
    }
    let (mut rows, mut errors) = (Vec::new(), InputErrors::default());
    for record in reader.records() {
        let row = match &record {
            Ok(record) => row(name, record),
            Err(e) => Err(InputError::named(
                format!("{name}:1:1"),
                format!("the file cannot be read as CSV: {e}"),
                "save it as plain comma-separated text",
            )),
        };
        rows.extend(errors.note(row));
        if errors.0.len() >= MOST_ERRORS || record.is_err() {
            break;
        }
    }
    errors.or(rows)
}

/// One record; a problem names line and column.
fn row(name: &str, record: &csv::StringRecord) -> Result<Row, InputError> {
    let line = record.position().map_or(0, csv::Position::line);
    let problem = |column: usize, message: String, help: &str| {
        let at = 1 + record.iter().take(column).map(|field| field.len() + 1).sum::<usize>();
        InputError::named(format!("{name}:{line}:{at}"), message, help)
    };
    if record.len() != HEADER.len() {
        let message = format!("{} fields instead of {}", record.len(), HEADER.len());
        return Err(problem(0, message, "give one value for each column of the header"));
    }
    let count = |column: usize, least: u32| match record[column].trim().parse::<u32>() {
        Ok(value) if value >= least => Ok(value),
        _ => {
            let message =
                format!("{} `{}` is not a whole number from {least} up", HEADER[column], &record[column]);
            Err(problem(column, message, "correct the row"))
        }
    };
    let decode = match record[0].trim() {
        "decode" => true,
        "prefill" => false,
        other => {
            let help = "a row is a `decode` or a `prefill` step; mixed steps follow from both";
            return Err(problem(0, format!("unknown phase `{other}`"), help));
        }
    };
    let (tp, tokens, sequences) = (count(1, 1)?, count(2, 1)?, count(3, 1)?);
    let context = count(4, u32::from(decode))?;
    if decode && tokens != sequences {
        let message = format!("a decode step of {sequences} sequences has {tokens} tokens");
        return Err(problem(2, message, "each sequence of a decode step gets one token: repeat `sequences`"));
    }
    if !decode && sequences != 1 {
        let message = format!("a prefill step of {sequences} chunks");
        return Err(problem(
            3,
            message,
            "give steps of one chunk; several chunks follow from the fitted model",
        ));
    }
    let us = record[5].trim().parse::<f64>().ok().filter(|us| *us > 0.0 && *us < LONGEST_US);
    let Some(us) = us else {
        let message = format!("the time `{}` is not a number of microseconds above 0", &record[5]);
        return Err(problem(5, message, "write for example 12850.4"));
    };
    Ok(Row { decode, tp, x: tokens, context, seconds: us / 1e6, line })
}

/// The full grid of one phase.
fn grid<'a>(
    name: &str,
    phase: &str,
    x: &str,
    rows: impl Iterator<Item = &'a Row>,
) -> Result<Grid, InputErrors> {
    let mut cells: BTreeMap<(u32, u32), (f64, u64)> = BTreeMap::new();
    for row in rows {
        if let Some((_, first)) = cells.insert((row.x, row.context), (row.seconds, row.line)) {
            let message = format!("the same {phase} step is on line {first}");
            let help = "give each step once, for example the median of its repetitions";
            return Err(InputError::named(format!("{name}:{}:1", row.line), message, help).into());
        }
    }
    let mut nodes: [Vec<u32>; 2] = [cells.keys().map(|k| k.0).collect(), cells.keys().map(|k| k.1).collect()];
    for axis in &mut nodes {
        axis.sort_unstable();
        axis.dedup();
    }
    let [xs, contexts] = nodes;
    if xs.is_empty() {
        let help = "the table needs both phases for each tp";
        return Err(
            InputError::named(format!("{name}:1:1"), format!("no {phase} row for this tp"), help).into()
        );
    }
    let mut errors = InputErrors::default();
    let (mut times, mut lines) = (Vec::new(), Vec::new());
    for &x_node in &xs {
        for &context in &contexts {
            match cells.get(&(x_node, context)) {
                Some(&(seconds, line)) => {
                    times.push(seconds);
                    lines.push(line);
                }
                None if errors.0.len() < MOST_ERRORS => errors.0.push(InputError::named(
                    format!("{name}:1:1"),
                    format!("no {phase} row with {x} {x_node} and context {context}"),
                    "the rows of a phase must be a full grid: measure this step, or remove the others of its row or column",
                )),
                None => {}
            }
        }
    }
    errors.or(Grid { x: xs, context: contexts, times, lines })
}

/// More context never costs less: noise that says otherwise is raised to the running maximum.
fn rising(mut grid: Grid) -> Grid {
    for row in grid.times.chunks_mut(grid.context.len().max(1)) {
        let mut highest = 0.0_f64;
        for time in row {
            highest = highest.max(*time);
            *time = highest;
        }
    }
    grid
}
