//! Mooncake (Qin et al., FAST'25) JSON lines: milliseconds, lengths, and one hash per 512-token block of the prompt.

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::bad_rows::Problem;
use super::json::Object;
use super::scan::{Feed, Parsed};
use super::write::{Carries, Put, Writer, ids_or_private, put_decimal, put_list};
use super::{Format, JsonLines, Layout};
use crate::ids::ClassId;

pub(super) static FORMAT: Format = Format {
    about: "Mooncake JSON lines with prefix block hashes (512 tokens each)",
    layout: Layout::Lines(JsonLines {
        needs: &["timestamp", "input_length", "output_length", "hash_ids"],
        not: &["chat_id"],
        parts: false,
        keys: &["timestamp", "input_length", "output_length", "hash_ids", "session_id"],
        sessions: false,
        tokens_per_id: Some(BLOCK),
        clock: Clock::Jittered,
        read,
    }),
    write: Some(Writer { begin, times: true, classes: false, sessions: false, ids: Some(BLOCK) }),
};

/// Tokens that one hash stands for.
const BLOCK: u32 = 512;

fn read(row: &Object<'_>, feed: &mut Feed<'_>) -> Result<Parsed, Problem> {
    let time = row.time(0, TimeUnit::Ms)?;
    let (prompt, prompt_at) = row.tokens(1)?;
    let (output, output_at) = row.tokens(2)?;
    row.ids(3, &mut feed.ids)?;
    let blocks = prompt.div_ceil(BLOCK) as usize;
    if prompt > 0 && feed.ids.len() != blocks {
        let found = feed.ids.len();
        let message = format!(
            "the row has {found} hash ids, but {prompt} prompt tokens are {blocks} blocks of {BLOCK}"
        );
        return Err(Problem { column: row.get(3).map_or(1, |v| row.column(v)), message });
    }
    let session = feed.names.session(row.name(4).as_bytes());
    let columns = (prompt_at, output_at);
    Ok(Parsed { time, prompt, output, class: ClassId(0), session, columns, failed: false })
}

/// Milliseconds; rows without ids of 512 tokens get ones that nobody shares.
fn begin(carries: Carries, _: &mut Vec<u8>) -> Put {
    let mut fresh = 0u64;
    Box::new(move |row, out| {
        out.extend_from_slice(b"{\"timestamp\": ");
        put_decimal(out, row.arrival / 1_000_000_000, 0, 0);
        let lengths = format!(", \"input_length\": {}, \"output_length\": {}, ", row.prompt, row.output);
        out.extend_from_slice(lengths.as_bytes());
        out.extend_from_slice(b"\"hash_ids\": ");
        put_list(out, ids_or_private(row, carries, BLOCK, &mut fresh).into_iter());
        out.extend_from_slice(b"}\n");
    })
}
