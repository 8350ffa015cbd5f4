//! LLMServingSim (Cho et al., IISWC'24) JSON lines: nanoseconds, lengths, and optionally the token ids of the prompt,
//! which become prefix ids of 16 tokens: equal leading tokens give equal leading ids.
//!
//! Lines with `sub_requests` (agentic sessions) are refused: their calls come when earlier ones are done, so they have
//! no arrival times.

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::bad_rows::Problem;
use super::json::{Object, cover, numbers};
use super::scan::{Feed, Parsed};
use super::write::{Carries, Put, Writer, put_decimal, session_text};
use super::{Format, JsonLines, Layout};
use crate::ids::ClassId;
use crate::rng::chain_hash;

pub(super) static FORMAT: Format = Format {
    about: "LLMServingSim JSON lines (flat requests); token ids become prefix ids of 16 tokens",
    layout: Layout::Lines(JsonLines {
        needs: &["arrival_time_ns"],
        not: &[],
        parts: false,
        keys: &[
            "arrival_time_ns",
            "input_toks",
            "output_toks",
            "input_tok_ids",
            "session_id",
            "sub_requests",
        ],
        sessions: false,
        tokens_per_id: Some(BLOCK),
        clock: Clock::Detect,
        read,
    }),
    write: Some(Writer { begin, times: true, classes: false, sessions: true, ids: None }),
};

/// Tokens of one prefix id; the usual block of vLLM.
const BLOCK: u32 = 16;

fn read(row: &Object<'_>, feed: &mut Feed<'_>) -> Result<Parsed, Problem> {
    if let Some(calls) = row.get(5) {
        let message =
            "the row is a session of calls that wait for one another (`sub_requests`), without arrival times";
        return Err(Problem { column: row.column(calls), message: message.to_owned() });
    }
    let time = row.time(0, TimeUnit::Ns)?;
    let (prompt, prompt_at) = row.tokens(1)?;
    let (output, output_at) = row.tokens(2)?;
    if let Some(list) = row.get(3) {
        let (mut hash, mut count) = (None, 0u32);
        let ids = &mut feed.ids;
        let take = |text: &str| {
            let chain = chain_hash(Some(chain_hash(hash, text.as_bytes())), b",");
            hash = Some(chain);
            count += 1;
            if count.is_multiple_of(BLOCK) {
                // The upper half of the numbers is for ids that nobody shares.
                ids.push(chain >> 1);
            }
            text.bytes().all(|b| b.is_ascii_digit())
        };
        let problem = |bad: &str| Problem {
            column: row.column(bad),
            message: format!("the `input_tok_ids` `{bad}` is not a list of whole numbers"),
        };
        numbers(list, take).map_err(problem)?;
        if count > prompt {
            let message = format!("the row has {count} token ids, but {prompt} prompt tokens");
            return Err(Problem { column: row.column(list), message });
        }
        cover(&mut feed.ids, prompt, BLOCK, &mut feed.private, row.column(list))?;
    }
    let session = feed.names.session(row.name(4).as_bytes());
    let columns = (prompt_at, output_at);
    Ok(Parsed { time, prompt, output, class: ClassId(0), session, columns, failed: false })
}

/// Whole nanoseconds.
fn begin(carries: Carries, _: &mut Vec<u8>) -> Put {
    Box::new(move |row, out| {
        let lengths = format!("{{\"input_toks\": {}, \"output_toks\": {}, ", row.prompt, row.output);
        out.extend_from_slice(lengths.as_bytes());
        out.extend_from_slice(b"\"arrival_time_ns\": ");
        put_decimal(out, row.arrival / 1_000, 0, 0);
        if carries.sessions {
            let session = session_text(row.session);
            out.extend_from_slice(format!(", \"session_id\": \"{session}\"").as_bytes());
        }
        out.extend_from_slice(b"}\n");
    })
}
