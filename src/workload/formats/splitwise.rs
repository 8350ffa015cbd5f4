//! splitwise-sim (Patel et al., ISCA'24) trace CSV: arrival in seconds, prompt and token sizes.

use std::io;

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::super::trace::Trace;
use super::registry::seconds;
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "splitwise-sim trace CSV",
    layout: Layout::Table(Table {
        arrival: Some(("arrival_timestamp", TimeUnit::S)),
        prompt: "prompt_size",
        output: "token_size",
        class: &[],
        zero_output_is_failure: false,
        clock: Clock::Detect,
    }),
    write: Some(write),
};

fn write(trace: &Trace, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(
        out,
        "request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size"
    )?;
    for (i, r) in trace.requests.iter().enumerate() {
        writeln!(out, "{i},2,0,{},1,{},{}", seconds(r.arrival), r.prompt, r.output)?;
    }
    Ok(())
}
