//! RAGPulse (Wang et al., arXiv 2511.12979) JSON lines: seconds written as text, a session, and one id for every part
//! of the prompt (system prompt, passages, history, web search, user input).
//!
//! The trace does not say how long a part is, so the ids are kept in order as segments of unknown size: two requests
//! that begin with the same ids are known to share text, but a prefix cache of blocks cannot use it. One row of the
//! published file is out of time order: read it with `sort = true`.

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::bad_rows::Problem;
use super::json::Object;
use super::scan::{Feed, Parsed};
use super::{Format, JsonLines, Layout};
use crate::ids::ClassId;

pub(super) static FORMAT: Format = Format {
    about: "RAGPulse JSON lines with sessions and ids of the prompt's parts (sizes unknown); the full file needs `sort`",
    layout: Layout::Lines(JsonLines {
        needs: &["timestamp", "input_length", "output_length", "hash_ids"],
        not: &["chat_id"],
        parts: true,
        keys: &["timestamp", "input_length", "output_length", "hash_ids", "session_id"],
        sessions: true,
        tokens_per_id: Some(0),
        clock: Clock::Detect,
        read,
    }),
    write: None,
};

fn read(row: &Object<'_>, feed: &mut Feed<'_>) -> Result<Parsed, Problem> {
    let time = row.time(0, TimeUnit::S)?;
    let (prompt, prompt_at) = row.tokens(1)?;
    let (output, output_at) = row.tokens(2)?;
    row.ids_of_parts(3, &mut feed.ids)?;
    let session = feed.names.session(row.name(4).as_bytes());
    let columns = (prompt_at, output_at);
    Ok(Parsed { time, prompt, output, class: ClassId(0), session, columns, failed: false })
}
