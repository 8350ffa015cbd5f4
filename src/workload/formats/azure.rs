//! Azure LLM inference traces 2023 and 2024 (Patel et al., ISCA'24): a calendar time, with a zone in 2024.

use std::io;

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::super::trace::Trace;
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "Azure LLM inference CSV, 2023 and 2024",
    layout: Layout::Table(Table {
        arrival: Some(("TIMESTAMP", TimeUnit::Datetime)),
        prompt: "ContextTokens",
        output: "GeneratedTokens",
        class: &[],
        zero_output_is_failure: false,
        clock: Clock::Detect,
    }),
    write: Some(write),
};

/// Writes the first 31 days from 2023-11-01, in steps of 100 ns as the original has them.
fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "TIMESTAMP,ContextTokens,GeneratedTokens")?;
    for r in &trace.requests {
        let ticks = r.arrival.as_ps() / 100_000;
        let (s, fraction) = (ticks / 10_000_000, ticks % 10_000_000);
        let (day, hour, minute, second) = (s / 86_400 + 1, s / 3_600 % 24, s / 60 % 60, s % 60);
        if day > 30 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "more than 30 days: slice the trace first",
            ));
        }
        writeln!(
            out,
            "2023-11-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:07},{},{}",
            r.prompt, r.output
        )?;
    }
    Ok(())
}
