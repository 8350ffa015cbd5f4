//! BurstGPT (Wang et al., KDD'25): six columns, or eight with `Session ID` and `Elapsed time` (file 3), read by
//! name. Whole seconds, written `5` or `6998653.0`; a failed request has no response tokens.

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::write::{Carries, Put, Writer, put_field, put_seconds, session_text};
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "BurstGPT CSV, 6 or 8 columns; class = log type / model; sessions where the file has them",
    layout: Layout::Table(Table {
        arrival: Some(("Timestamp", TimeUnit::S)),
        prompt: "Request tokens",
        output: "Response tokens",
        class: &["Log Type", "Model"],
        session: Some("Session ID"),
        zero_output_is_failure: true,
        clock: Clock::Declared(1_000_000_000_000),
    }),
    write: Some(Writer { begin, times: true, classes: true, sessions: true, ids: None }),
};

/// Eight columns if there are sessions; the elapsed time is not known and left empty.
fn begin(carries: Carries, out: &mut Vec<u8>) -> Put {
    let header: &[u8] = if carries.sessions {
        b"Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    } else {
        b"Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    };
    out.extend_from_slice(header);
    Box::new(move |row, out| {
        let (log_type, model) = row.class.split_once(" / ").unwrap_or((row.class, ""));
        put_seconds(out, row.arrival);
        if carries.sessions {
            out.extend_from_slice(format!(",{},", session_text(row.session)).as_bytes());
        }
        out.push(b',');
        put_field(out, model);
        let total = u64::from(row.prompt) + u64::from(row.output);
        out.extend_from_slice(format!(",{},{},{total},", row.prompt, row.output).as_bytes());
        put_field(out, log_type);
        out.push(b'\n');
    })
}
