//! Vidur (Agrawal et al., MLSys'24) request CSV: arrival in seconds, prefill and decode tokens.

use super::super::clock::TimeUnit;
use super::write::{Carries, Put, Writer, put_seconds};
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "Vidur request CSV with arrival times",
    layout: Layout::Table(Table {
        arrival: Some(("arrived_at", TimeUnit::S)),
        prompt: "num_prefill_tokens",
        output: "num_decode_tokens",
        ..Table::BARE
    }),
    write: Some(Writer { begin, times: true, classes: false, sessions: false, ids: None }),
};

fn begin(_: Carries, out: &mut Vec<u8>) -> Put {
    out.extend_from_slice(b"arrived_at,num_prefill_tokens,num_decode_tokens\n");
    Box::new(|row, out| {
        put_seconds(out, row.arrival);
        out.extend_from_slice(format!(",{},{}\n", row.prompt, row.output).as_bytes());
    })
}
