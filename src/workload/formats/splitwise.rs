//! splitwise-sim (Patel et al., ISCA'24) trace CSV: arrival in seconds, prompt and token sizes.

use super::super::clock::TimeUnit;
use super::write::{Carries, Put, Writer, put_seconds};
use super::{Format, Layout, Table};

pub(super) static FORMAT: Format = Format {
    about: "splitwise-sim trace CSV",
    layout: Layout::Table(Table {
        arrival: Some(("arrival_timestamp", TimeUnit::S)),
        prompt: "prompt_size",
        output: "token_size",
        ..Table::BARE
    }),
    write: Some(Writer { begin, times: true, classes: false, sessions: false, ids: None }),
};

fn begin(_: Carries, out: &mut Vec<u8>) -> Put {
    out.extend_from_slice(
        b"request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size\n",
    );
    let mut number = 0u64;
    Box::new(move |row, out| {
        out.extend_from_slice(format!("{number},2,0,").as_bytes());
        put_seconds(out, row.arrival);
        out.extend_from_slice(format!(",1,{},{}\n", row.prompt, row.output).as_bytes());
        number += 1;
    })
}
