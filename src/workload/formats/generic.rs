//! Any table with a header: the user names the columns.

use std::io;

use super::super::input::Input;
use super::super::rows::Clock;
use super::super::trace::Trace;
use super::registry::seconds;
use super::table::Columns;
use super::{ColumnMap, Format, Layout};
use crate::diagnostic::InputError;

pub(super) static FORMAT: Format = Format {
    about: "any CSV with a header; `columns = { arrival, unit, prompt, output, class }` names the columns",
    layout: Layout::Mapped,
    write: Some(write),
};

/// The columns of a map.
pub(super) fn columns(map: &ColumnMap) -> Columns<'_> {
    Columns {
        arrival: map.arrival.as_deref().map(|name| (name, map.unit)),
        prompt: &map.prompt,
        output: &map.output,
        class: map.class.as_deref().into_iter().collect(),
        zero_output_is_failure: false,
        clock: Clock::Detect,
    }
}

pub(super) fn no_columns(input: &Input) -> InputError {
    InputError::named(
        &*input.name,
        "the format `generic` needs to know the columns",
        "add `columns = { arrival = …, unit = \"s\", prompt = …, output = … }`",
    )
}

/// Writes `arrival_s,prompt_tokens,output_tokens,class`.
fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(out);
    table.write_record(["arrival_s", "prompt_tokens", "output_tokens", "class"])?;
    for r in &trace.requests {
        let class = trace.classes[r.class.index()].as_str();
        table.write_record([&*seconds(r.arrival), &*r.prompt.to_string(), &*r.output.to_string(), class])?;
    }
    table.flush()
}
