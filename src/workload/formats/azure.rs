//! Azure LLM inference traces 2023 and 2024 (Patel et al., ISCA'24): a calendar time, with a zone in 2024.

use super::super::clock::{TimeUnit, put_datetime};
use super::super::rows::Clock;
use super::write::{Carries, Put, Writer};
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "Azure LLM inference CSV, 2023 and 2024",
    layout: Layout::Table(Table {
        arrival: Some(("TIMESTAMP", TimeUnit::Datetime)),
        prompt: "ContextTokens",
        output: "GeneratedTokens",
        clock: Clock::Detect,
        ..Table::BARE
    }),
    write: Some(Writer { begin, times: true, classes: false, sessions: false, ids: None }),
};

/// 2023-11-01 0:00 in seconds since 1970.
const START: u128 = 1_698_796_800;

/// Counts from 2023-11-01, in steps of 100 ns as the original has them.
fn begin(_: Carries, out: &mut Vec<u8>) -> Put {
    out.extend_from_slice(b"TIMESTAMP,ContextTokens,GeneratedTokens\n");
    Box::new(|row, out| {
        let ticks = row.arrival / 100_000;
        put_datetime(out, START + ticks / 10_000_000);
        out.extend_from_slice(
            format!(".{:07},{},{}\n", ticks % 10_000_000, row.prompt, row.output).as_bytes(),
        );
    })
}
