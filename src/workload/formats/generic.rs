//! Any table with a header: the user names the columns. The columns that we write ourselves are known.

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::table::Columns;
use super::write::{Carries, Put, Writer, put_field, put_seconds, session_text};
use super::{ColumnMap, Format, Layout};
use crate::diagnostic::InputError;

pub(super) static FORMAT: Format = Format {
    about: "any CSV with a header; `columns = { arrival, unit, prompt, output, class, session }` names the columns",
    layout: Layout::Mapped,
    write: Some(Writer { begin, times: true, classes: true, sessions: true, ids: None }),
};

/// The columns that every generic table of ours has.
pub(super) const OWN: [&str; 3] = ["arrival_s", "prompt_tokens", "output_tokens"];

/// The columns of a map.
pub(super) fn columns(map: &ColumnMap) -> Columns<'_> {
    Columns {
        format: "generic",
        arrival: map.arrival.as_deref().map(|name| (name, map.unit)),
        prompt: &map.prompt,
        output: &map.output,
        class: map.class.as_deref().into_iter().collect(),
        session: map.session.as_deref(),
        session_optional: false,
        zero_output_is_failure: false,
        clock: Clock::Detect,
    }
}

/// The map of a table that we wrote, if `header` is that of one.
pub(super) fn own_map(header: &[String]) -> Option<ColumnMap> {
    let has = |column: &str| header.iter().any(|h| h == column);
    let [arrival, prompt, output] = OWN;
    let optional = |column: &str| has(column).then(|| column.to_owned());
    (has(arrival) && has(prompt) && has(output)).then(|| ColumnMap {
        arrival: Some(arrival.to_owned()),
        unit: TimeUnit::S,
        prompt: prompt.to_owned(),
        output: output.to_owned(),
        class: optional("class"),
        session: optional("session"),
    })
}

pub(super) fn no_columns(file: &str) -> InputError {
    InputError::named(
        file,
        "the format `generic` needs to know the columns",
        "add `columns = { arrival = …, unit = \"s\", prompt = …, output = … }`",
    )
}

/// Writes `arrival_s,prompt_tokens,output_tokens,class`, and `session` if there are sessions.
fn begin(carries: Carries, out: &mut Vec<u8>) -> Put {
    out.extend_from_slice(b"arrival_s,prompt_tokens,output_tokens,class");
    out.extend_from_slice(if carries.sessions { b",session\n" } else { b"\n" });
    Box::new(move |row, out| {
        put_seconds(out, row.arrival);
        out.extend_from_slice(format!(",{},{},", row.prompt, row.output).as_bytes());
        put_field(out, row.class);
        if carries.sessions {
            out.extend_from_slice(format!(",{}", session_text(row.session)).as_bytes());
        }
        out.push(b'\n');
    })
}
