//! Writing rows in a format, one after the other.

use std::io;

use super::super::clock::PS_PER_S;
use super::super::trace::{NO_SESSION, Trace};
use crate::ids::RequestId;

/// What is known of the rows before the first one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::workload) struct Carries {
    pub sessions: bool,
    /// Tokens of each prefix id; 0: segments of unknown size.
    pub tokens_per_id: Option<u32>,
}

/// One row to write.
#[derive(Clone, Copy, Debug)]
pub(in crate::workload) struct OutRow<'a> {
    /// Picoseconds after the first row.
    pub arrival: u128,
    pub prompt: u32,
    pub output: u32,
    pub class: &'a str,
    pub session: u32,
    pub ids: &'a [u64],
}

/// Appends one row to a text.
pub(super) type Put = Box<dyn FnMut(&OutRow<'_>, &mut Vec<u8>)>;

/// Appends a header to a text and gives the writer of rows.
pub(super) type Begin = fn(Carries, &mut Vec<u8>) -> Put;

/// What a format keeps besides times (if it is not one of lengths alone) and lengths.
#[derive(Clone, Copy)]
pub(in crate::workload) struct Writer {
    pub(super) begin: Begin,
    pub times: bool,
    pub classes: bool,
    pub sessions: bool,
    /// Tokens of each prefix id that it writes.
    pub ids: Option<u32>,
}

impl Writer {
    /// Whether prefix ids of so many tokens are kept: as they are, or each as several of fewer tokens.
    pub fn keeps_ids(&self, tokens_per_id: Option<u32>) -> bool {
        matches!((tokens_per_id, self.ids), (Some(from), Some(to)) if from > 0 && from % to == 0)
    }
}

/// A time as exact decimal seconds: `0.1`, `27`.
pub(super) fn put_seconds(out: &mut Vec<u8>, ps: u128) {
    put_decimal(out, ps / PS_PER_S, ps % PS_PER_S, 12);
}

/// `whole.fraction` with `digits` digits of fraction, trailing zeros cut off.
pub(super) fn put_decimal(out: &mut Vec<u8>, whole: u128, fraction: u128, digits: usize) {
    out.extend_from_slice(whole.to_string().as_bytes());
    if fraction > 0 {
        let text = format!("{fraction:0digits$}");
        out.push(b'.');
        out.extend_from_slice(text.trim_end_matches('0').as_bytes());
    }
}

/// A field of a table, in quotes where it needs them.
pub(super) fn put_field(out: &mut Vec<u8>, field: &str) {
    if !field.contains([',', '"', '\n', '\r']) {
        out.extend_from_slice(field.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// A list of numbers as JSON.
pub(super) fn put_list(out: &mut Vec<u8>, ids: impl Iterator<Item = u64>) {
    out.push(b'[');
    for (i, id) in ids.enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(id.to_string().as_bytes());
    }
    out.push(b']');
}

/// The session as the text of a table's field; empty: none.
pub(super) fn session_text(session: u32) -> String {
    if session == NO_SESSION { String::new() } else { format!("session-{session}") }
}

/// Prefix ids for formats that have one for every `per_id` tokens: those of the row (each as several, where it stands
/// for more tokens), or else ones that no other row has.
pub(super) fn ids_or_private(row: &OutRow<'_>, carries: Carries, per_id: u32, fresh: &mut u64) -> Vec<u64> {
    let wanted = row.prompt.div_ceil(per_id);
    let from = carries.tokens_per_id.unwrap_or(0);
    if from > 0 && from.is_multiple_of(per_id) && !row.ids.is_empty() {
        let parts = u64::from(from / per_id);
        let several = |id: &u64| {
            let id = *id;
            (0..parts).map(move |part| id.wrapping_mul(parts).wrapping_add(part))
        };
        return row.ids.iter().flat_map(several).take(wanted as usize).collect();
    }
    let first = *fresh;
    *fresh += u64::from(wanted);
    (first..*fresh).collect()
}

/// Writes rows of any source in one format.
pub(in crate::workload) struct RowWriter {
    put: Put,
    text: Vec<u8>,
}

impl RowWriter {
    pub fn new(writer: Writer, carries: Carries) -> Self {
        let mut text = Vec::with_capacity(1 << 17);
        let put = (writer.begin)(carries, &mut text);
        RowWriter { put, text }
    }

    /// Writes one row.
    pub fn row(&mut self, row: &OutRow<'_>, out: &mut dyn io::Write) -> io::Result<()> {
        (self.put)(row, &mut self.text);
        if self.text.len() > 1 << 16 { self.flush(out) } else { Ok(()) }
    }

    /// Writes what is left.
    pub fn flush(&mut self, out: &mut dyn io::Write) -> io::Result<()> {
        out.write_all(&self.text)?;
        self.text.clear();
        Ok(())
    }
}

/// Writes a whole trace.
pub(super) fn write_all(writer: Writer, trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    let carries = Carries {
        sessions: trace.sessions.is_some(),
        tokens_per_id: trace.prefixes.as_ref().map(|p| p.tokens_per_id),
    };
    let mut rows = RowWriter::new(writer, carries);
    for (i, r) in (0u32..).zip(&trace.requests) {
        let id = RequestId(i);
        let row = OutRow {
            arrival: u128::from(r.arrival.as_ps()),
            prompt: r.prompt,
            output: r.output,
            class: &trace.classes[r.class.index()],
            session: trace.session(id).unwrap_or(NO_SESSION),
            ids: trace.prefixes.as_ref().map_or(&[], |p| p.of(id)),
        };
        rows.row(&row, out)?;
    }
    rows.flush(out)
}
