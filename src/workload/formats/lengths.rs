//! Lengths without arrivals (ShareGPT, arXiv-summarization as Vidur processes them): an empirical distribution.

use super::write::{Carries, Put, Writer};
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "lengths only (ShareGPT and others as Vidur writes them): num_prefill_tokens,num_decode_tokens",
    layout: Layout::Table(Table { prompt: "num_prefill_tokens", output: "num_decode_tokens", ..Table::BARE }),
    write: Some(Writer { begin, times: false, classes: false, sessions: false, ids: None }),
};

fn begin(_: Carries, out: &mut Vec<u8>) -> Put {
    out.extend_from_slice(b"num_prefill_tokens,num_decode_tokens\n");
    Box::new(|row, out| {
        out.extend_from_slice(format!("{},{}\n", row.prompt, row.output).as_bytes());
    })
}
