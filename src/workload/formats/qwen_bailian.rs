//! Qwen-Bailian anonymous usage traces (Wang et al., ATC'25) JSON lines: seconds, lengths, a type, one hash per 16-token
//! block of the prompt, and the chat that a chat goes on from. A session is a chain of chats up to its root.

use super::super::clock::TimeUnit;
use super::super::rows::Clock;
use super::bad_rows::Problem;
use super::json::{Object, cover};
use super::scan::{Feed, Intern, Parsed};
use super::write::{Carries, Put, Writer, ids_or_private, put_list, put_seconds};
use super::{Format, JsonLines, Layout};
use crate::collections::LookupMap;
use crate::workload::NO_SESSION;

pub(super) static FORMAT: Format = Format {
    about: "Qwen-Bailian JSON lines with prefix block hashes (16 tokens each); class = type, session = chain of chats",
    layout: Layout::Lines(JsonLines {
        needs: &["chat_id", "timestamp", "input_length", "output_length"],
        not: &[],
        parts: false,
        keys: &[
            "timestamp",
            "input_length",
            "output_length",
            "hash_ids",
            "chat_id",
            "parent_chat_id",
            "type",
            "turn",
        ],
        sessions: true,
        tokens_per_id: Some(BLOCK),
        clock: Clock::Detect,
        read,
    }),
    write: Some(Writer { begin, times: true, classes: true, sessions: true, ids: Some(BLOCK) }),
};

/// Tokens that one hash stands for.
const BLOCK: u32 = 16;

fn read(row: &Object<'_>, feed: &mut Feed<'_>) -> Result<Parsed, Problem> {
    let time = row.time(0, TimeUnit::S)?;
    let (prompt, prompt_at) = row.tokens(1)?;
    let (output, output_at) = row.tokens(2)?;
    row.ids(3, &mut feed.ids)?;
    let at = row.get(3).map_or(1, |v| row.column(v));
    cover(&mut feed.ids, prompt, BLOCK, &mut feed.private, at)?;
    let kind = Some(row.name(6)).filter(|t| !t.is_empty()).unwrap_or("text");
    let class = feed.names.class(kind.as_bytes());
    let class = class.map_err(|what| Problem { column: 1, message: format!("the type `{kind}` {what}") })?;
    let session = session_of(row.name(4), row.name(5), &mut feed.names.sessions);
    let columns = (prompt_at, output_at);
    Ok(Parsed { time, prompt, output, class, session, columns, failed: false })
}

/// The session of a chat: that of its parent, else a new one. A parent that came before the file began still joins its
/// children.
fn session_of(chat: &str, parent: &str, sessions: &mut Intern) -> u32 {
    let root = parent.is_empty() || parent == "-1";
    let known = if root { sessions.get(chat.as_bytes()) } else { sessions.get(parent.as_bytes()) };
    let session = known.unwrap_or_else(|| sessions.anonymous());
    if !root && known.is_none() {
        sessions.alias(parent.as_bytes(), session);
    }
    if !chat.is_empty() {
        sessions.alias(chat.as_bytes(), session);
    }
    session
}

/// A chat for each row; rows of a session follow one another.
fn begin(carries: Carries, _: &mut Vec<u8>) -> Put {
    let (mut fresh, mut chat) = (0u64, 0u64);
    let mut latest: LookupMap<u32, (u64, u32)> = LookupMap::default();
    Box::new(move |row, out| {
        let before = Some(&row.session).filter(|s| **s != NO_SESSION).and_then(|s| latest.get(s)).copied();
        let turn = before.map_or(1, |(_, turn)| turn + 1);
        let parent = before.map_or("-1".to_owned(), |(chat, _)| chat.to_string());
        out.extend_from_slice(format!("{{\"chat_id\": {chat}, \"parent_chat_id\": {parent}, ").as_bytes());
        out.extend_from_slice(b"\"timestamp\": ");
        put_seconds(out, row.arrival);
        let kind = serde_json::to_string(row.class).unwrap_or_default();
        out.extend_from_slice(
            format!(
                ", \"input_length\": {}, \"output_length\": {}, \"type\": {kind}, \"turn\": {turn}, \"hash_ids\": ",
                row.prompt, row.output
            )
            .as_bytes(),
        );
        put_list(out, ids_or_private(row, carries, BLOCK, &mut fresh).into_iter());
        out.extend_from_slice(b"}\n");
        latest.insert(row.session, (chat, turn));
        chat += 1;
    })
}
