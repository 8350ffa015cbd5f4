//! BurstGPT (Wang et al., KDD'25): six columns, or eight with `Session ID` and `Elapsed time` (file 3), read by
//! name. Whole seconds, written `5` or `6998653.0`; a failed request has no response tokens.

use std::io;

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::super::trace::Trace;
use super::registry::seconds;
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "BurstGPT CSV, 6 or 8 columns; class = log type / model",
    layout: Layout::Table(Table {
        arrival: Some(("Timestamp", TimeUnit::S)),
        prompt: "Request tokens",
        output: "Response tokens",
        class: &["Log Type", "Model"],
        zero_output_is_failure: true,
        clock: Clock::Declared(1_000_000_000_000),
    }),
    write: Some(write),
};

fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type")?;
    for r in &trace.requests {
        let class = trace.classes[r.class.index()].as_str();
        let (log_type, model) = class.split_once(" / ").unwrap_or((class, ""));
        let (time, total) = (seconds(r.arrival), u64::from(r.prompt) + u64::from(r.output));
        writeln!(out, "{time},{model},{},{},{total},{log_type}", r.prompt, r.output)?;
    }
    Ok(())
}
