//! What each trace format keeps, and files that are packed, cut or damaged.

use std::path::{Path, PathBuf};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use windtunnel::ids::RequestId;
use windtunnel::workload::{
    NO_SESSION, PrefixChains, ReadOptions, Trace, WorkloadSpec, formats, read_trace, read_trace_bytes,
};

use crate::shared_data::shared;

fn read(text: &str) -> Trace {
    let rows = read_trace_bytes("t", text.into(), &ReadOptions::default()).unwrap();
    rows.into_trace().unwrap().0
}

fn refused(bytes: impl Into<Vec<u8>>) -> String {
    read_trace_bytes("t", bytes.into(), &ReadOptions::default()).unwrap_err().to_string()
}

/// (arrival in ns, prompt, output) of every request.
fn rows(trace: &Trace) -> Vec<(u64, u32, u32)> {
    trace.requests.iter().map(|r| (r.arrival.as_ps() / 1_000, r.prompt, r.output)).collect()
}

fn ids(trace: &Trace, request: u32) -> &[u64] {
    trace.prefixes.as_ref().unwrap().of(RequestId(request))
}

pub fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/samples")
}

/// The sample of a format.
pub fn sample(format: &str) -> PathBuf {
    let extension = match format {
        "mooncake" | "ragpulse" | "qwen-bailian" | "llmservingsim" => "jsonl",
        "vllm-bench" => "json",
        _ => "csv",
    };
    samples().join(format!("{format}.{extension}"))
}

#[test]
fn every_format_has_a_sample_that_is_detected() {
    let readable: Vec<&str> = formats().filter(|f| f.readable).map(|f| f.name).collect();
    assert!(readable.len() >= 12, "{readable:?}");
    for format in &readable {
        let rows = read_trace(&sample(format), &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(rows.report.format, Some(*format));
        assert!(rows.len() >= 10, "{format} has {} rows", rows.len());
    }
    // ServeGen's windows and lengths are no trace: a workload of their own reads them.
    let names = std::fs::read_dir(samples()).unwrap().map(|e| e.unwrap().file_name());
    let files = names.filter(|name| !name.to_string_lossy().starts_with("servegen-")).count();
    assert_eq!(files, readable.len(), "a sample without a format");
}

#[test]
fn burstgpt_keeps_its_sessions() {
    let trace = read(
        "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
         5,b,1,GPT-4,9,5,14,Conversation log\n6,,1,GPT-4,9,5,14,API log\n7,a,1,GPT-4,9,5,14,Conversation log\n\
         8,b,1,GPT-4,9,5,14,Conversation log\n",
    );
    assert_eq!(trace.sessions, Some(vec![0, NO_SESSION, 1, 0]));
    assert_eq!(trace.session(RequestId(1)), None);
    let Some(path) = shared("traces/burstgpt/burstgpt3_first4rows_8col.csv") else { return };
    let (real, _) = read_trace(&path, &ReadOptions::default()).unwrap().into_trace().unwrap();
    assert_eq!(real.sessions.map(|s| s.len()), Some(4));
}

#[test]
fn ragpulse_has_sessions_and_ids_of_unknown_size() {
    let row = |t: &str, user: u32, session: &str| {
        format!(
            "{{\"timestamp\": \"{t}\", \"input_length\": 300, \"output_length\": 19, \"hash_ids\": {{\"sys_prompt\": \
             [1, 2], \"history\": [], \"user_input\": [{user}]}}, \"session_id\": \"{session}\"}}\n"
        )
    };
    let trace = read(&[row("82", 9, "x"), row("82.25", 8, "y"), row("90", 7, "x")].concat());
    assert_eq!(rows(&trace), [(0, 300, 19), (250_000_000, 300, 19), (8_000_000_000, 300, 19)]);
    assert_eq!(trace.sessions, Some(vec![0, 1, 0]));
    assert_eq!((ids(&trace, 0), ids(&trace, 1)), (&[1, 2, 9][..], &[1, 2, 8][..]));
    assert_eq!(trace.prefixes.as_ref().unwrap().tokens_per_id, 0);
    // Rows out of order are put in order with their ids and sessions.
    let text = [row("82", 9, "x"), row("81", 8, "y")].concat();
    assert!(refused(&*text).contains("t:2:1: the time lies 1 s before"));
    let sort = ReadOptions { sort: true, ..ReadOptions::default() };
    let sorted = read_trace_bytes("t", text.into(), &sort).unwrap();
    assert_eq!(sorted.report.rows_reordered, 1);
    let sorted = sorted.into_trace().unwrap().0;
    assert_eq!((ids(&sorted, 0), sorted.sessions.clone()), (&[1, 2, 8][..], Some(vec![0, 1])));
}

/// Counts of an independent script over the same file.
#[test]
fn the_real_ragpulse_file() {
    let Some(path) = shared("traces/ragpulse/0_trace_first3553.jsonl") else { return };
    let rows = read_trace(&path, &ReadOptions::default()).unwrap();
    assert_eq!((rows.len(), rows.report.format), (3_553, Some("ragpulse")));
    let trace = rows.into_trace().unwrap().0;
    assert_eq!(trace.sessions.as_ref().and_then(|s| s.iter().max()).copied(), Some(2_079));
    let last = trace.requests.last().unwrap().arrival.as_secs_f64();
    assert_eq!((last, ids(&trace, 0).len()), (556_240.0 - 82.0, 3 + 6 + 1 + 1));
}

#[test]
fn qwen_bailian_sessions_are_chains_of_chats() {
    let row = |chat: u32, parent: &str, t: &str, ids: &str, kind: &str| {
        format!(
            "{{\"chat_id\": {chat}, \"parent_chat_id\": {parent}, \"timestamp\": {t}, \"input_length\": 33, \
             \"output_length\": 2, \"type\": \"{kind}\", \"turn\": 1, \"hash_ids\": {ids}}}\n"
        )
    };
    let trace = read(
        &[
            row(7, "-1", "61.114", "[5, 6, 7]", "text"),
            row(8, "-1", "61.1145", "[5, 9]", "image"),
            row(9, "7", "6.2e1", "[]", "text"),
            row(10, "9", "63", "[5, 6, 8]", "text"),
            row(12, "11", "64", "[]", "text"),
            row(13, "11", "65", "[]", "text"),
        ]
        .concat(),
    );
    assert_eq!(trace.sessions, Some(vec![0, 1, 0, 0, 2, 2]), "chat 11 came before the file");
    assert_eq!(trace.classes, ["text", "image"]);
    let times: Vec<u64> = rows(&trace).iter().map(|r| r.0).collect();
    assert_eq!(times[..4], [0, 500_000, 886_000_000, 1_886_000_000]);
    let padded = ids(&trace, 1);
    assert_eq!((&padded[..2], padded.len()), (&[5, 9][..], 3), "an id for every 16 tokens");
    assert!(padded[2] > u64::MAX / 2, "made up, so that nobody shares it");
    assert_eq!((ids(&trace, 2).len(), ids(&trace, 3)), (0, &[5, 6, 8][..]));
}

#[test]
fn token_ids_become_prefix_ids() {
    let row = |t: u64, tokens: &[u32]| {
        let list: Vec<String> = tokens.iter().map(u32::to_string).collect();
        let (n, list) = (tokens.len(), list.join(","));
        format!(
            "{{\"input_toks\":{n},\"output_toks\":7,\"arrival_time_ns\":{t},\"input_tok_ids\":[{list}]}}\n"
        )
    };
    let base: Vec<u32> = (0..40).collect();
    let (mut late, mut early) = (base.clone(), base.clone());
    (late[20], early[1]) = (99, 99);
    let no_ids = "{\"input_toks\": 5, \"output_toks\": 6, \"arrival_time_ns\": 9}\n";
    let text =
        [row(1, &base), row(2, &late), row(3, &early), row(4, &base[..32]), no_ids.to_owned()].concat();
    let trace = read(&text);
    assert_eq!(rows(&trace)[4], (8, 5, 6));
    let all: Vec<&[u64]> = (0..5).map(|i| ids(&trace, i)).collect();
    assert_eq!(all.iter().map(|ids| ids.len()).collect::<Vec<_>>(), [3, 3, 3, 2, 0]);
    assert!(all[1][0] == all[0][0] && all[1][1] != all[0][1], "token 20 differs");
    assert!(all[2].iter().zip(all[0]).all(|(a, b)| a != b), "token 1 differs, and so does every block after");
    assert_eq!(all[3], &all[0][..2]);
    assert_ne!(all[0][2], all[1][2], "half a block is shared with nobody");
}

#[test]
fn results_of_vllm_bench_are_traces() {
    let times = "\"start_times\": [1234.5, 1234.5000001, 1e4]";
    for line_end in [" ", "\n"] {
        let text = [
            "{\"backend\": \"vllm\", \"request_throughput\": 0.5,",
            "\"input_lens\": [5, 6, 7], \"output_lens\": [8, 0, 9],",
            times,
            ", \"itls\": [[0.1], [], [0.2]], \"errors\": [\"\", \"timeout\", \"\"]}",
        ]
        .join(line_end);
        let rows_read = read_trace_bytes("t", text.into(), &ReadOptions::default()).unwrap();
        assert_eq!((rows_read.report.rows_failed, rows_read.report.format), (1, Some("vllm-bench")));
        assert_eq!(rows_read.report.content_hash.as_ref().map(String::len), Some("xxh64:".len() + 16));
        let trace = rows_read.into_trace().unwrap().0;
        assert_eq!(rows(&trace), [(0, 5, 8), (8_765_500_000_000, 7, 9)]);
    }
    let old = "{\"input_lens\": [5, 6], \"output_lens\": [8, 1]}";
    let rows = read_trace_bytes("t", old.into(), &ReadOptions::default()).unwrap();
    assert!(!rows.has_times() && rows.lengths().eq([(5, 8), (6, 1)]));
}

#[test]
fn packed_files_give_the_same_rows() {
    let plain = std::fs::read(sample("burstgpt")).unwrap();
    let all = |bytes: Vec<u8>| {
        let rows = read_trace_bytes("t", bytes, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
        rows.lengths().collect::<Vec<_>>()
    };
    let expected = all(plain.clone());
    let zstd = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
    assert_eq!(all(zstd(&plain)), expected);
    // Frames one after the other, and a skippable one between them (RFC 8878, 3.1.2).
    let (a, b) = plain.split_at(plain.len() / 2);
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    assert_eq!(all([&zstd(a)[..], &skippable, &zstd(b)].concat()), expected);
    // Windows line ends, a byte order mark, blank lines, no last line end.
    let text = String::from_utf8(plain).unwrap();
    let odd = format!("\u{feff}{}\r\n\r\n", text.trim_end().replace('\n', "\r\n"));
    assert_eq!(all(odd.trim_end().into()), expected);
    assert_eq!(all(odd.into()), expected);
}

#[test]
fn damaged_archives_are_one_clear_error() {
    let mut text = String::from("num_prefill_tokens,num_decode_tokens\n");
    (0..20_000).for_each(|i| text.push_str(&format!("{},{}\n", i * 7919 % 4_001 + 1, i * 104_729 % 997 + 1)));
    let packed = compress_to_vec(text.as_bytes(), CompressionLevel::Fastest);
    let cut = refused(&packed[..packed.len() / 2]);
    assert!(cut.starts_with("t: the zstd data end early, after ") && cut.lines().count() == 1, "{cut}");
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    let damaged = refused(flipped);
    assert!(damaged.contains("t: the zstd data are damaged") || damaged.contains("end early"), "{damaged}");
    // The last four bytes are the checksum.
    let mut wrong_sum = packed.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    assert!(refused(wrong_sum).contains("the checksum is wrong"));
}

/// Copies of a trace stand for other users, and thinning takes whole users away.
#[test]
fn rate_scale_keeps_sessions_whole_and_apart() {
    let mut text = String::from("arrival_s,prompt_tokens,output_tokens,class,session\n");
    for i in 0..600u32 {
        text.push_str(&format!("{i},{},5,all,s{}\n", 100 + i, i % 150));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let scaled = |factor: f64| {
        let spec = WorkloadSpec {
            trace: Some(file.path().into()),
            rate_scale: Some(factor),
            ..WorkloadSpec::default()
        };
        spec.open(None).unwrap().prepare(3, None).unwrap().trace
    };
    let turns = |trace: &Trace| {
        let sessions = trace.sessions.as_ref().unwrap();
        assert_eq!(sessions.len(), trace.len());
        let mut turns = vec![Vec::new(); *sessions.iter().max().unwrap() as usize + 1];
        for (session, request) in sessions.iter().zip(&trace.requests) {
            turns[*session as usize].push(request.prompt);
        }
        turns
    };
    let whole = turns(&scaled(1.0));
    assert_eq!(whole.len(), 150);
    let half = turns(&scaled(0.5));
    assert!((50..100).contains(&half.len()), "{} of 150 sessions", half.len());
    assert!(half.iter().all(|t| t.len() == 4), "thinning cut a session");
    let double = scaled(2.0);
    assert_eq!(double.len(), 1_200);
    let double = turns(&double);
    // 150 of the file, 150 of the copy, and those that the end of the span cut are two.
    assert!((300..=450).contains(&double.len()), "{}", double.len());
    for session in &double {
        assert!(session.windows(2).all(|w| w[0] < w[1]), "turns out of order: {session:?}");
        assert!(session.iter().all(|p| (p - session[0]) % 150 == 0), "mixed: {session:?}");
    }
    assert_eq!(scaled(2.5).requests, scaled(2.5).requests);
}

/// Prefix ids of 512 tokens, written as 32 ids of 16 tokens, say the same about blocks.
#[test]
fn a_trace_of_prefixes_survives_another_block_size() {
    let chains = PrefixChains { tokens_per_id: 512, starts: vec![0, 2, 4], ids: vec![3, 4, 3, 5] };
    let mut trace = read("arrived_at,num_prefill_tokens,num_decode_tokens\n0,1000,1\n1,600,1\n");
    trace.prefixes = Some(std::sync::Arc::new(chains));
    let mut text = Vec::new();
    windtunnel::workload::write_trace("qwen-bailian", &trace, &mut text).unwrap().unwrap();
    let back = read(std::str::from_utf8(&text).unwrap());
    let (a, b) = (ids(&back, 0), ids(&back, 1));
    assert_eq!((a.len(), b.len()), (63, 38));
    assert_eq!(a.iter().zip(b).take_while(|(x, y)| x == y).count(), 32);
}
