//! Vidur (Agrawal et al., MLSys'24) request CSV: arrival in seconds, prefill and decode tokens.

use std::io;

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::super::trace::Trace;
use super::registry::seconds;
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "Vidur request CSV with arrival times",
    layout: Layout::Table(Table {
        arrival: Some(("arrived_at", TimeUnit::S)),
        prompt: "num_prefill_tokens",
        output: "num_decode_tokens",
        class: &[],
        zero_output_is_failure: false,
        clock: Clock::Detect,
    }),
    write: Some(write),
};

fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "arrived_at,num_prefill_tokens,num_decode_tokens")?;
    for r in &trace.requests {
        writeln!(out, "{},{},{}", seconds(r.arrival), r.prompt, r.output)?;
    }
    Ok(())
}
