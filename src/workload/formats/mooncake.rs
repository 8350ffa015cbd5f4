//! Mooncake (Qin et al., FAST'25) JSON lines: milliseconds, lengths, and one hash per 512-token block of the prompt.

use std::fmt;
use std::io;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use super::super::clock::{AbsolutePs, TimeUnit};
use super::super::input::Input;
use super::super::report::LoadReport;
use super::super::rows::{Clock, Row, Rows};
use super::super::trace::{PrefixChains, Trace};
use super::bad_rows::{BadRows, Problem};
use super::table::Order;
use super::{Format, Layout, ReadOptions};
use crate::diagnostic::{InputError, InputErrors};
use crate::ids::{ClassId, RequestId};

pub(super) static FORMAT: Format = Format {
    about: "Mooncake JSON lines with prefix block hashes (512 tokens each)",
    layout: Layout::Lines { keys: &["timestamp", "input_length", "output_length", "hash_ids"], read },
    write: Some(write),
};

/// Tokens that one hash stands for.
const BLOCK: u32 = 512;

#[derive(Deserialize)]
struct Line {
    timestamp: Milliseconds,
    input_length: u32,
    output_length: u32,
    hash_ids: Vec<u64>,
}

fn read(input: &Input, options: &ReadOptions) -> Result<Rows, InputErrors> {
    let mut rows = Vec::with_capacity(input.bytes.len() / 256);
    let mut chains = PrefixChains { tokens_per_id: BLOCK, starts: vec![0], ids: Vec::new() };
    let mut report = LoadReport::default();
    let mut bad = BadRows::new(&input.name, options);
    let mut order = Order::new(&input.name, options.sort);
    for (line_number, text) in (1u64..).zip(input.bytes.split(|&b| b == b'\n')) {
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let number = u32::try_from(report.rows_read).map_err(|_| too_many(input))?;
        report.rows_read += 1;
        match parse(text) {
            Ok(line) => {
                order.next(line_number, line.timestamp.0);
                rows.push(Row {
                    time: line.timestamp.0,
                    prompt: line.input_length,
                    output: line.output_length,
                    number,
                    class: ClassId(0),
                });
                chains.ids.extend_from_slice(&line.hash_ids);
            }
            Err(problem) => bad.add(line_number, problem),
        }
        chains.starts.push(u32::try_from(chains.ids.len()).map_err(|_| too_many(input))?);
    }
    (report.rows_bad, report.first_bad) = bad.finish()?;
    order.finish(&mut rows, &mut report)?;
    Ok(Rows {
        rows,
        classes: vec!["all".to_owned()],
        chains: Some(chains),
        sessions: None,
        timed: true,
        clock: Clock::Jittered,
        report,
    })
}

fn parse(text: &[u8]) -> Result<Line, Problem> {
    let line: Line = serde_json::from_slice(text).map_err(|e| {
        let full = e.to_string();
        let message = full.split(" at line ").next().unwrap_or_default().to_owned();
        Problem { column: e.column().max(1), message }
    })?;
    let wrong = |message: String| Err(Problem { column: 1, message });
    if line.input_length == 0 {
        return wrong("the prompt length `0` is zero".to_owned());
    }
    if line.output_length == 0 {
        return wrong("the output length `0` is zero".to_owned());
    }
    let blocks = line.input_length.div_ceil(BLOCK) as usize;
    if line.hash_ids.len() != blocks {
        return wrong(format!(
            "the row has {} hash ids, but {} prompt tokens are {blocks} blocks of {BLOCK}",
            line.hash_ids.len(),
            line.input_length
        ));
    }
    Ok(line)
}

fn too_many(input: &Input) -> InputErrors {
    InputError::named(&*input.name, "there are more than 4294967295 rows or hash ids", "split the file")
        .into()
}

/// Writes milliseconds; a trace without prefixes gets hashes that nobody shares.
fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    let mut fresh = 0u64;
    for (i, r) in (0u32..).zip(&trace.requests) {
        let ids: Vec<String> = match trace.prefixes.as_ref().filter(|p| p.tokens_per_id == BLOCK) {
            Some(chains) => chains.of(RequestId(i)).iter().map(u64::to_string).collect(),
            None => {
                let first = fresh;
                fresh += u64::from(r.prompt.div_ceil(BLOCK));
                (first..fresh).map(|id| id.to_string()).collect()
            }
        };
        let ms = r.arrival.as_ps() / 1_000_000_000;
        writeln!(
            out,
            "{{\"timestamp\": {ms}, \"input_length\": {}, \"output_length\": {}, \"hash_ids\": [{}]}}",
            r.prompt,
            r.output,
            ids.join(", ")
        )?;
    }
    Ok(())
}

/// A time in milliseconds: a JSON number, or a string with one.
struct Milliseconds(AbsolutePs);

impl<'de> Deserialize<'de> for Milliseconds {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(MillisecondsVisitor)
    }
}

struct MillisecondsVisitor;

impl Visitor<'_> for MillisecondsVisitor {
    type Value = Milliseconds;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in milliseconds")
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Milliseconds, E> {
        Ok(Milliseconds(u128::from(ms) * 1_000_000_000))
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Milliseconds, E> {
        self.visit_str(&ms.to_string())
    }

    /// The shortest decimal text of the float is what the file had, up to 17 digits.
    fn visit_f64<E: de::Error>(self, ms: f64) -> Result<Milliseconds, E> {
        self.visit_str(&ms.to_string())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Milliseconds, E> {
        let time = TimeUnit::Ms.parse(text.as_bytes());
        time.map(Milliseconds).map_err(|what| E::custom(format!("the time `{text}` {what}")))
    }
}
