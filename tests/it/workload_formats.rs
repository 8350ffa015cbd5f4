//! Every real file that is at hand is read, and its counts and means are those of the documents beside it.
#![expect(clippy::print_stderr, reason = "a test may panic, and prints what it measured")]

use std::collections::BTreeSet;
use std::time::Instant;

use windtunnel::ids::RequestId;
use windtunnel::workload::{
    Dequantise, Failures, LoadReport, OnBadRow, PrefixChains, PrepareContext, ReadOptions, Request, Rows,
    Trace, WorkloadSpec, formats, read_trace, read_trace_bytes, write_trace,
};

use crate::shared_data::shared;
use crate::trace_files::sample;

/// Reads one shared file and checks (format, rows kept, rounded mean prompt, rounded mean output).
#[track_caller]
fn check(file: &str, expected: (&str, usize, f64, f64)) -> Option<Rows> {
    let path = shared(&format!("traces/{file}"))?;
    let start = Instant::now();
    let rows = read_trace(&path, &ReadOptions::default()).unwrap_or_else(|e| panic!("{e}"));
    let bytes = std::fs::metadata(&path).map_or(0, |m| m.len());
    let mean = |pick: fn((u32, u32)) -> u32| {
        let sum: u64 = rows.lengths().map(|l| u64::from(pick(l))).sum();
        (sum as f64 / rows.len() as f64).round()
    };
    let got = (rows.report.format.unwrap_or(""), rows.len(), mean(|l| l.0), mean(|l| l.1));
    eprintln!("{file}: {got:?}, {bytes} bytes in {:?}", start.elapsed());
    assert_eq!(got, expected, "{file}");
    Some(rows)
}

#[test]
fn reads_every_real_file() {
    // Counts of README.md less 15 failed rows; means as an independent script
    // computes them (equal to generator.md §3.1 where it has the same set).
    if let Some(head) = check("burstgpt/burstgpt1_head_379.csv", ("burstgpt", 364, 559.0, 284.0)) {
        assert_eq!((head.report.rows_read, head.report.rows_failed, head.report.rows_dropped), (379, 15, 15));
        assert_eq!(head.coarse_grain(), Some(1_000_000_000_000));
    }
    check("burstgpt/burstgpt1_gpt4_conversation_days00-29.csv", ("burstgpt", 27_563, 752.0, 241.0));
    check("burstgpt/burstgpt2_chatgpt_conversation_days81-85.csv", ("burstgpt", 5_995, 649.0, 195.0));
    check("burstgpt/burstgpt2_gpt4_api_days81-87.csv", ("burstgpt", 4_818, 507.0, 378.0));
    check("burstgpt/burstgpt12_lengths_iid_4000.csv", ("burstgpt-lengths", 4_000, 353.0, 59.0));
    check("burstgpt/burstgpt3_first4rows_8col.csv", ("burstgpt", 4, 914.0, 194.0));
    check("azure/AzureLLMInferenceTrace_code.csv", ("azure", 8_819, 2_048.0, 28.0));
    check("azure/AzureLLMInferenceTrace_conv.csv", ("azure", 19_366, 1_155.0, 211.0));
    if let Some(rows) = check("mooncake/conversation_trace.jsonl", ("mooncake", 12_031, 12_035.0, 343.0)) {
        assert_eq!(rows.coarse_grain(), Some(3_000_000_000_000));
    }
    if let Some(rows) =
        check("mooncake/synthetic_trace_first1996.jsonl", ("mooncake", 1_996, 12_346.0, 192.0))
    {
        assert_eq!(rows.coarse_grain(), None);
    }
    check("lengths/sharegpt_val_10k_llama2.csv", ("lengths", 10_000, 246.0, 326.0));
    check("lengths/arxiv_summarization_llama2.csv", ("lengths", 28_257, 2_588.0, 291.0));
}

/// The known answer of README.md: leading block hits with an infinite cache.
#[test]
fn mooncake_prefixes_give_the_known_hits() {
    let cases = [
        ("traces/mooncake/conversation_trace.jsonl", (288_500, 182_790, 105_710)),
        ("traces/mooncake/synthetic_trace_first1996.jsonl", (49_401, 33_131, 16_270)),
    ];
    for (file, expected) in cases {
        let Some(path) = shared(file) else { return };
        // The order of the file matters for the hits: ties of the 3-s clock are not spread.
        let spec =
            WorkloadSpec { trace: Some(path), dequantise: Some(Dequantise::None), ..WorkloadSpec::default() };
        let trace = spec.prepare(&PrepareContext::default()).unwrap().trace;
        let chains = trace.prefixes.as_ref().unwrap();
        assert_eq!(chains.tokens_per_id, 512);
        let mut seen = BTreeSet::new();
        let (mut total, mut hits) = (0, 0);
        for (i, request) in (0u32..).zip(&trace.requests) {
            let ids = chains.of(RequestId(i));
            assert_eq!(ids.len(), request.prompt.div_ceil(512) as usize);
            total += ids.len();
            hits += ids.iter().take_while(|id| seen.contains(*id)).count();
            seen.extend(ids.iter().copied());
        }
        assert_eq!((total, seen.len(), hits), expected, "{file}");
    }
}

#[test]
fn coarse_clocks_are_spread_inside_their_grain() {
    let cases = [
        ("traces/mooncake/conversation_trace.jsonl", 3_000_000_000_000),
        ("traces/burstgpt/burstgpt1_gpt4_conversation_days00-29.csv", 1_000_000_000_000),
    ];
    for (file, grain) in cases {
        let Some(path) = shared(file) else { return };
        let spec = WorkloadSpec { trace: Some(path), ..WorkloadSpec::default() };
        let spread = spec.prepare(&PrepareContext { seed: 9, ..PrepareContext::default() }).unwrap();
        let raw = WorkloadSpec { dequantise: Some(Dequantise::None), ..spec.clone() };
        let raw = raw.prepare(&PrepareContext::default()).unwrap();
        assert_eq!(spread.report.dequantised_grain_ps, Some(grain));
        assert_eq!(raw.report.dequantised_grain_ps, None);
        assert_eq!(spread.trace.len(), raw.trace.len());
        let ties = |t: &Trace| t.requests.windows(2).filter(|w| w[0].arrival == w[1].arrival).count();
        assert_eq!(ties(&spread.trace), 0);
        assert!(ties(&raw.trace) > 0);
        for (a, b) in spread.trace.requests.iter().zip(&raw.trace.requests) {
            assert!(a.arrival.as_ps().abs_diff(b.arrival.as_ps()) <= grain);
        }
        assert_ne!(
            spread.trace.requests,
            spec.prepare(&PrepareContext { seed: 10, ..PrepareContext::default() }).unwrap().trace.requests
        );
    }
}

#[test]
fn slices_and_filters_of_a_real_trace_add_up() {
    let Some(path) = shared("traces/burstgpt/burstgpt1_head_379.csv") else { return };
    let text = format!(
        "trace = '{}'\nslice = {{ rows = [10, 300], from = '1 h' }}\nfilter = {{ model = ['GPT-4'], prompt = [50, 4000] }}",
        path.display()
    );
    let spec: WorkloadSpec = toml::from_str(&text).unwrap();
    let prepared = spec.prepare(&PrepareContext::default()).unwrap();
    assert!(prepared.trace.classes.iter().all(|c| c.ends_with(" / GPT-4")));
    assert_eq!(prepared.trace.requests[0].arrival.as_ps(), 0, "the origin is the first row of the run");
    accounted(&prepared.report);
}

/// Every row is kept or has a reason.
pub fn accounted(r: &LoadReport) {
    let out =
        r.rows_bad + r.rows_dropped + r.rows_outside_slice + r.rows_filtered + r.rows_thinned + r.rows_unused;
    assert_eq!(r.rows_read + r.rows_copied, out + r.rows_kept, "{r:?}");
}

#[test]
fn burstgpt_3_starts_at_day_225_and_has_eight_columns() {
    let text = "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                19440110.0,1722ac82,43,GPT-4,906,446,1352,Conversation log\n\
                19440110.5,,2,ChatGPT,36,29,65,API log\n";
    let rows = read_trace_bytes("three.csv", text.into(), &ReadOptions::default()).unwrap();
    assert_eq!(rows.coarse_grain(), None, "half seconds are no coarse clock");
    let (trace, _) = rows.into_trace().unwrap();
    assert_eq!(trace.classes, ["Conversation log / GPT-4", "API log / ChatGPT"]);
    let times: Vec<u64> = trace.requests.iter().map(|r| r.arrival.as_ps()).collect();
    assert_eq!(times, [0, 500_000_000_000]);
}

#[test]
fn failures_follow_the_option() {
    let text = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n\
                1,GPT-4,0,0,0,API log\n2,GPT-4,9,0,9,API log\n3,GPT-4,9,5,14,API log\n";
    let read = |failures| {
        let options = ReadOptions { failures, ..ReadOptions::default() };
        let rows = read_trace_bytes("f.csv", text.into(), &options).unwrap();
        (rows.lengths().collect::<Vec<_>>(), rows.report.rows_failed, rows.report.rows_dropped)
    };
    assert_eq!(read(Failures::Drop), (vec![(9, 5)], 2, 2));
    assert_eq!(read(Failures::PrefillOnly), (vec![(9, 1), (9, 5)], 2, 1));
}

#[test]
fn bad_rows_are_skipped_only_when_asked_and_then_counted() {
    let text = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.98,1,1\nx,1,1\n2023-11-16 18:17:04,0,1\n\
                2023-11-16 18:17:05+00:00,7,8\n";
    let options = ReadOptions { on_bad_row: OnBadRow::Skip, ..ReadOptions::default() };
    let rows = read_trace_bytes("a.csv", text.into(), &options).unwrap();
    assert_eq!((rows.len(), rows.report.rows_read, rows.report.rows_bad), (2, 4, 2));
    assert!(
        rows.report
            .first_bad
            .as_deref()
            .is_some_and(|b| b.starts_with("a.csv:3:1: the time `x` is not a date"))
    );
}

/// The text of a sample of a format that we do not write, with the rows of `trace`.
fn by_hand(format: &str, trace: &Trace) -> String {
    let seconds = |i: usize| trace.requests[i].arrival.as_ps() / 1_000_000_000_000;
    match format {
        "ragpulse" => (0..trace.len())
            .map(|i| {
                let (r, parts) = (trace.requests[i], 3 * i);
                format!(
                    "{{\"timestamp\": \"{}\", \"input_length\": {}, \"output_length\": {}, \"hash_ids\": \
                     {{\"sys_prompt\": [1, {}], \"passages_ids\": [{}, {}], \"history\": [], \"web_search\": [], \
                     \"user_input\": [{}]}}, \"session_id\": \"session-{}\"}}\n",
                    seconds(i), r.prompt, r.output, 2 + i / 20, 100 + parts % 40, 101 + parts % 50, 1_000 + i, i / 3,
                )
            })
            .collect(),
        "vllm-bench" => {
            let list = |number: fn(&Request) -> String| {
                trace.requests.iter().map(number).collect::<Vec<_>>().join(", ")
            };
            let (prompts, outputs) = (list(|r| r.prompt.to_string()), list(|r| r.output.to_string()));
            let starts = list(|r| format!("{:.6}", r.arrival.as_secs_f64() + 1_000.0));
            format!(
                "{{\"backend\": \"vllm\", \"num_prompts\": {}, \"input_lens\": [{prompts}], \
                 \"output_lens\": [{outputs}], \"start_times\": [{starts}]}}\n",
                trace.len()
            )
        }
        _ => panic!("no writer for {format}"),
    }
}

/// The identities that the shortened prompts of a trace still have.
fn cut_chains(all: &PrefixChains, trace: &Trace) -> PrefixChains {
    let mut cut = PrefixChains { tokens_per_id: all.tokens_per_id, starts: vec![0], ids: Vec::new() };
    for (i, r) in (0u32..).zip(&trace.requests) {
        let blocks = r.prompt.div_ceil(all.tokens_per_id) as usize;
        cut.ids.extend(all.of(RequestId(i)).iter().take(blocks));
        cut.starts.push(u32::try_from(cut.ids.len()).unwrap());
    }
    cut
}

/// `workloads/samples/` holds one small file per format, written by our own generator. `UPDATE_SAMPLES=1` renews them.
#[test]
fn samples_are_fresh_and_read_back() {
    let update = std::env::var_os("UPDATE_SAMPLES").is_some();
    for format in formats().filter(|f| f.readable) {
        let recipe = if format.name == "mooncake" { "mooncake-conv" } else { "burstgpt" };
        let spec: WorkloadSpec = toml::from_str(&format!("recipe = '{recipe}'\nrequests = 60")).unwrap();
        let mut trace = spec.prepare(&PrepareContext::default()).unwrap().trace;
        trace.requests.iter_mut().for_each(|r| r.prompt = r.prompt.min(9_000));
        trace.sessions = match format.name {
            "qwen-bailian" => {
                trace.requests.iter_mut().for_each(|r| r.prompt = r.prompt.min(400));
                Some((0..60).map(|i| if i % 7 == 0 { i } else { i / 3 }).collect())
            }
            _ => None,
        };
        trace.prefixes = trace.prefixes.clone().map(|all| cut_chains(&all, &trace).into());
        let mut bytes = Vec::new();
        if format.writable {
            write_trace(format.name, &trace, &mut bytes).unwrap().unwrap();
        } else {
            bytes = by_hand(format.name, &trace).into();
        }
        let path = sample(format.name);
        if update {
            std::fs::write(&path, &bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).ok().as_ref(), Some(&bytes), "{} is stale", path.display());
        let rows = read_trace(&path, &ReadOptions::default()).unwrap();
        assert_eq!(rows.report.format, Some(format.name));
        let pairs: Vec<(u32, u32)> = trace.requests.iter().map(|r| (r.prompt, r.output)).collect();
        assert_eq!(rows.lengths().collect::<Vec<_>>(), pairs, "{}", format.name);
        if rows.has_times() {
            // A millisecond, or the second that RAGPulse's sample is written in.
            let grain = if format.name == "ragpulse" { 1_000_000_000_000 } else { 1_000_000_000 };
            let back = rows.into_trace().unwrap().0;
            let error = back.requests.iter().zip(&trace.requests).map(|(a, b)| {
                a.arrival.as_ps().abs_diff(b.arrival.as_ps() - trace.requests[0].arrival.as_ps())
            });
            assert!(error.max().unwrap() <= grain, "{}: times are exact to the format's grain", format.name);
        }
    }
}
