//! BurstGPT's token columns alone: an empirical length distribution.

use super::write::{Carries, Put, Writer};
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "lengths only: Request tokens,Response tokens",
    layout: Layout::Table(Table {
        prompt: "Request tokens",
        output: "Response tokens",
        zero_output_is_failure: true,
        ..Table::BARE
    }),
    write: Some(Writer { begin, times: false, classes: false, sessions: false, ids: None }),
};

fn begin(_: Carries, out: &mut Vec<u8>) -> Put {
    out.extend_from_slice(b"Request tokens,Response tokens\n");
    Box::new(|row, out| {
        out.extend_from_slice(format!("{},{}\n", row.prompt, row.output).as_bytes());
    })
}
