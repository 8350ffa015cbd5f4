//! Lengths without arrivals (ShareGPT, arXiv-summarization as Vidur processes them): an empirical distribution.

use std::io;

use super::super::rows::Clock;
use super::super::trace::Trace;
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "lengths only: num_prefill_tokens,num_decode_tokens",
    layout: Layout::Table(Table {
        arrival: None,
        prompt: "num_prefill_tokens",
        output: "num_decode_tokens",
        class: &[],
        zero_output_is_failure: false,
        clock: Clock::Detect,
    }),
    write: Some(write),
};

fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "num_prefill_tokens,num_decode_tokens")?;
    for r in &trace.requests {
        writeln!(out, "{},{}", r.prompt, r.output)?;
    }
    Ok(())
}
