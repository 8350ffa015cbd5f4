//! The `[workload]` section: every mistake has its place and message, and the same seed gives the same requests.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test may panic, and prints what it measured"
)]

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use windtunnel::diagnostic::{Source, from_toml};
use windtunnel::units::SimDuration;
use windtunnel::workload::{
    Closed, LoadReport, MaxTokens, PrepareContext, Prepared, ReadOptions, RequestRate, Trace, WorkloadSpec,
    apply_limits, read_trace_bytes, rescale_to_rate,
};

use crate::workload_formats::accounted;

fn spec(text: &str) -> WorkloadSpec {
    from_toml(&Source::new("test.toml", text)).unwrap_or_else(|e| panic!("{e}"))
}

fn prepare(text: &str, seed: u64) -> Prepared {
    let prepared = spec(text).prepare(&PrepareContext { seed, ..PrepareContext::default() });
    prepared.unwrap_or_else(|e| panic!("{e}"))
}

fn times_ps(trace: &Trace) -> Vec<u64> {
    trace.requests.iter().map(|r| r.arrival.as_ps()).collect()
}

/// The message of a workload that cannot be prepared; `trace.csv` lies beside it with this content.
fn refusal(section: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("trace.csv"), content).unwrap();
    let read: Result<WorkloadSpec, _> = from_toml(&Source::new("test.toml", section));
    let outcome = match read {
        Ok(spec) => {
            let context = PrepareContext { beside: Some(folder.path()), seed: 1, max_model_len: Some(8_192) };
            spec.prepare(&context).map_err(|e| e.to_string())
        }
        Err(e) => Err(e.to_string()),
    };
    let message = outcome.map(|p| format!("accepted: {:?}", p.report)).unwrap_or_else(|e| e);
    message.replace(&format!("{}/", folder.path().display()), "")
}

fn gz(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

const BURSTGPT: &str = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n";
const TRACE: &str = "trace = 'trace.csv'";

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_mistake_in_a_file_has_its_place_and_message() {
    let burst = |rows: &str| format!("{BURSTGPT}{rows}").into_bytes();
    let mut truncated = gz(&format!("{BURSTGPT}{}", "1,GPT-4,9,5,14,API log\n".repeat(2_000)));
    truncated.truncate(truncated.len() / 2);
    let many: String = (0..9).map(|_| "x,GPT-4,9,5,14,API log\n").collect();
    let cases: Vec<(&str, &str, Vec<u8>)> = vec![
        ("missing file", "trace = 'none.csv'", vec![]),
        ("empty file", TRACE, b" \n".to_vec()),
        ("header only", TRACE, burst("")),
        ("unknown header", TRACE, b"a,b\n1,2\n".to_vec()),
        ("misspelt column", TRACE, BURSTGPT.replace("Response tokens", "Response token").into()),
        ("missing column", "trace = 'trace.csv'\nformat = 'azure'", burst("1,GPT-4,9,5,14,API log\n")),
        ("unknown format", "trace = 'trace.csv'\nformat = 'azur'", burst("")),
        ("bad time", TRACE, burst("1,GPT-4,9,5,14,API log\nsoon,GPT-4,9,5,14,API log\n")),
        ("negative time", TRACE, burst("-1,GPT-4,9,5,14,API log\n")),
        ("huge time", TRACE, burst("99999999999999999999999999999999,GPT-4,9,5,14,API log\n")),
        ("too long a span", TRACE, burst("1,GPT-4,9,5,14,API log\n99999999,GPT-4,9,5,14,API log\n")),
        ("negative tokens", TRACE, burst("1,GPT-4,-9,5,14,API log\n")),
        ("fraction of a token", TRACE, burst("1,GPT-4,9.5,5,14,API log\n")),
        ("zero prompt", TRACE, burst("1,GPT-4,0,5,14,API log\n")),
        ("overflow", TRACE, burst("1,GPT-4,9,4294967296,14,API log\n")),
        ("short row", TRACE, burst("1,GPT-4,9\n")),
        ("unsorted", TRACE, burst("5,GPT-4,9,5,14,API log\n3,GPT-4,9,5,14,API log\n")),
        ("many bad rows", TRACE, burst(&many)),
        ("only failures", TRACE, burst("1,GPT-4,0,0,0,API log\n")),
        ("bad date", TRACE, b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-13-01 00:00:00,1,1\n".to_vec()),
        (
            "zero output",
            TRACE,
            b"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-12-01 00:00:00,1,0\n".to_vec(),
        ),
        ("lengths only", TRACE, b"num_prefill_tokens,num_decode_tokens\n1,1\n".to_vec()),
        ("truncated gz", TRACE, truncated),
        ("zstd", TRACE, vec![0x28, 0xb5, 0x2f, 0xfd, 0]),
        ("not JSON", TRACE, b"{nope\n".to_vec()),
        ("unknown JSON", TRACE, b"{\"ts\": 1}\n".to_vec()),
        (
            "bad JSON row",
            TRACE,
            b"{\"timestamp\": 0, \"input_length\": \"x\", \"output_length\": 1, \"hash_ids\": [0]}\n"
                .to_vec(),
        ),
        (
            "wrong number of hashes",
            TRACE,
            b"{\"timestamp\": 0, \"input_length\": 600, \"output_length\": 1, \"hash_ids\": [0]}\n".to_vec(),
        ),
        ("generic without columns", "trace = 'trace.csv'\nformat = 'generic'", b"a,b\n1,2\n".to_vec()),
        (
            "unknown generic column",
            "trace = 'trace.csv'\ncolumns = { arrival = 'at', prompt = 'promt', output = 'out' }",
            b"at,prompt,out\n1,2,3\n".to_vec(),
        ),
        (
            "unknown class",
            "trace = 'trace.csv'\nfilter = { model = ['GPT4'] }",
            burst("1,GPT-4,9,5,14,API log\n"),
        ),
        ("nothing left", "trace = 'trace.csv'\nslice = { rows = [5, 9] }", burst("1,GPT-4,9,5,14,API log\n")),
        ("too few rows", "trace = 'trace.csv'\nrequests = 2", burst("1,GPT-4,9,5,14,API log\n")),
        (
            "no rate to scale",
            "trace = 'trace.csv'\nrate = '4 req/s'\ndequantise = 'none'",
            burst("1,GPT-4,9,5,14,API log\n1,GPT-4,9,5,14,API log\n"),
        ),
    ];
    let mut all = String::new();
    for (name, section, content) in cases {
        writeln!(all, "{name}:\n{}", refusal(section, &content)).unwrap();
    }
    assert!(!all.contains("accepted"), "{all}");
    insta::assert_snapshot!("mistakes_in_files", all);
}

#[test]
fn every_mistake_in_the_section_has_its_key_and_message() {
    let cases = [
        "",
        "recipe = 'burstgpt'\ntrace = 'trace.csv'",
        "recipe = 'burstgbt'\nrequests = 10",
        "recipe = 'burstgpt'",
        "recipe = 'burstgpt'\nrequests = 0\nsort = true\ndequantise = 'none'",
        "recipe = 'burstgpt'\nrequests = 10\narrivals.poisson.rate = '4 req/s'",
        "recipe = 'burstgpt'\nrequests = 10\nrate = 4",
        "recipe = 'burstgpt'\nrequests = 10\nrate = '4 req/sec'",
        "recipe = 'burstgpt'\nrequests = 10\ntime-scale = 0.0\nrate-scale = -1.0",
        "recipe = 'burstgpt'\nduration = '300 d'\nrate = '1000 req/s'",
        "recipe = 'burstgpt'\nrequests = 10\nmax-tokens = { fixed = 0 }",
        "recipe = 'burstgpt'\nrequests = 10\nmax-tokens = 'rest'",
        "recipe = 'burstgpt'\nrequest = 10",
        "recipe = 'burstgpt'\nduration = '0 s'",
        "lengths.fixed = { prompt = 10, output = 10 }\nrequests = 10",
        "lengths.fixed = { prompt = 0, output = 10 }\narrivals.poisson.rate = '1 req/s'\nrequests = 10",
        "lengths.uniform = { prompt = [9, 2], output = [1, 2] }\narrivals.poisson.rate = '1 req/s'\nrequests = 10",
        "lengths.lognormal = { prompt = { mean = 9 }, output = { mean = 9, cv = 1 } }\narrivals.poisson.rate = '1 req/s'\nrequests = 10",
        "lengths.fixed = { prompt = 1, output = 1 }\narrivals.gamma = { rate = '1 req/s' }\nrequests = 10",
        "lengths.fixed = { prompt = 1, output = 1 }\narrivals.poisson.rate = '1 req/s'\nclosed.clients = 4\nrequests = 10",
        "lengths.fixed = { prompt = 1, output = 1 }\nclosed.clients = 0\nrequests = 10\nrate = '1 req/s'",
        "trace = 'trace.csv'\nslice = { rows = [3, 3], from = '2 h', to = '1 h' }\nfilter.prompt = [5, 4]",
    ];
    let mut all = String::new();
    for section in cases {
        writeln!(all, "{}:\n{}", section.replace('\n', " · "), refusal(section, b"")).unwrap();
    }
    assert!(!all.contains("accepted"), "{all}");
    insta::assert_snapshot!("mistakes_in_sections", all);
}

#[test]
fn every_recipe_of_the_repository_can_be_generated() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let prepared = prepare(&format!("recipe = '{name}'\nrequests = 500\nrate = '4 req/s'"), 1);
            assert_eq!(prepared.trace.len(), 500, "{name}");
            assert_eq!(prepared.report.rate_per_s.map(|r| (r * 1e9).round()), Some(4e9), "{name}");
            assert!(prepared.trace.requests.iter().all(|r| r.prompt > 0 && r.output > 0), "{name}");
            accounted(&prepared.report);
            seen += 1;
        }
    }
    assert!(seen >= 7);
}

#[test]
fn the_same_seed_gives_the_same_requests() {
    for section in [
        "recipe = 'burstgpt'\nrequests = 3_000\nslice.from = '9 h'",
        "recipe = 'burstgpt-perf'\nduration = '1 h'",
        "lengths.lognormal = { prompt = { mean = 500, cv = 1.2 }, output = { median = 100, p90 = 400 } }\narrivals.gamma = { rate = '3 req/s', cv = 2 }\nrequests = 1_000",
    ] {
        let (a, b, c) = (prepare(section, 7), prepare(section, 7), prepare(section, 8));
        assert_eq!((&a.trace.requests, &a.report), (&b.trace.requests, &b.report));
        assert_ne!(a.trace.requests, c.trace.requests);
    }
}

#[test]
fn generated_laws_have_their_means() {
    let section = "lengths.lognormal = { prompt = { mean = 500, cv = 1.2 }, output = { median = 100, p90 = 400 } }\narrivals.poisson.rate = '3 req/s'\nrequests = 100_000";
    let trace = prepare(section, 1).trace;
    let mean = trace.requests.iter().map(|r| f64::from(r.prompt)).sum::<f64>() / trace.len() as f64;
    assert!((mean / 500.0 - 1.0).abs() < 0.02, "{mean}");
    let rate = trace.mean_rate().unwrap().as_per_second();
    assert!((rate / 3.0 - 1.0).abs() < 0.02, "{rate}");
    let mut outputs: Vec<u32> = trace.requests.iter().map(|r| r.output).collect();
    outputs.sort_unstable();
    assert!(outputs[50_000].abs_diff(100) <= 3 && outputs[90_000].abs_diff(400) <= 12);
    // The baseline of BurstGPT's own generator: lengths below 1,024 and the gaps' CV 1 / sqrt(.25) = 2.
    let perf = prepare("recipe = 'burstgpt-perf'\nrequests = 50_000", 1).trace;
    assert!(perf.requests.iter().all(|r| r.prompt < 1_024 && r.output < 1_024));
    let gaps: Vec<f64> = times_ps(&perf).windows(2).map(|w| (w[1] - w[0]) as f64).collect();
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let variance = gaps.iter().map(|g| (g - mean) * (g - mean)).sum::<f64>() / gaps.len() as f64;
    assert!((variance.sqrt() / mean - 2.0).abs() < 0.1, "{}", variance.sqrt() / mean);
}

#[test]
fn time_is_exact_and_counts_from_the_first_row() {
    let text =
        "arrived_at,num_prefill_tokens,num_decode_tokens\n0.1,1,1\n0.3,2,1\n1000000.000000000001,3,1\n";
    let rows = read_trace_bytes("v.csv", text.into(), &ReadOptions::default()).unwrap();
    let (trace, _) = rows.into_trace().unwrap();
    assert_eq!(times_ps(&trace), [0, 200_000_000_000, 999_999_900_000_000_001]);
}

#[test]
fn gz_is_read_directly_and_the_hash_names_the_stored_file() {
    let text = format!("{BURSTGPT}1,GPT-4,9,5,14,API log\n2,GPT-4,9,6,15,API log\n");
    let plain = read_trace_bytes("t", text.clone().into(), &ReadOptions::default()).unwrap();
    let packed = read_trace_bytes("t", gz(&text), &ReadOptions::default()).unwrap();
    assert!(plain.lengths().eq(packed.lengths()));
    assert_ne!(plain.report.content_hash, packed.report.content_hash);
    assert_eq!(plain.report.content_hash.as_ref().map(String::len), Some("xxh64:".len() + 16));
}

#[test]
fn closed_loops_and_empirical_lengths() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("l.csv"), "num_prefill_tokens,num_decode_tokens\n7,70\n9,90\n")
        .unwrap();
    let section = "closed = { clients = 4, think = '2 s' }\nlengths.empirical.file = 'l.csv'\nrequests = 100";
    let context = PrepareContext { beside: Some(folder.path()), seed: 1, max_model_len: Some(64) };
    let Prepared { trace, report } = spec(section).prepare(&context).unwrap();
    assert_eq!(trace.closed, Some(Closed { clients: 4, think: SimDuration::from_secs(2) }));
    assert!(trace.requests.iter().all(|r| matches!((r.prompt, r.output), (7, 57) | (9, 55))));
    assert!(trace.requests.iter().any(|r| r.prompt == 7) && trace.requests.iter().any(|r| r.prompt == 9));
    assert_eq!((report.outputs_truncated, report.rate_per_s), (100, None));
    assert!(report.source.starts_with("lengths ") && report.content_hash.is_some());
}

#[test]
fn scales_change_time_and_users() {
    let plain = prepare("recipe = 'burstgpt-conv'\nduration = '10 d'", 1);
    let users = prepare("recipe = 'burstgpt-conv'\nduration = '10 d'\nrate-scale = 3.0", 1);
    let ratio = users.trace.len() as f64 / plain.trace.len() as f64;
    assert!((ratio / 3.0 - 1.0).abs() < 0.05, "{ratio}");
    let fast = prepare("recipe = 'burstgpt-conv'\nduration = '5 d'\ntime-scale = 2.0", 1);
    assert_eq!(fast.trace.len(), plain.trace.len());
    assert!(fast.trace.span().as_ps().abs_diff(plain.trace.span().as_ps() / 2) <= 1);

    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..4_000).map(|i| format!("{i}.5,GPT-4,{},5,14,API log\n", i + 1)).collect();
    std::fs::write(folder.path().join("t.csv"), format!("{BURSTGPT}{rows}")).unwrap();
    let context = PrepareContext { beside: Some(folder.path()), seed: 1, max_model_len: None };
    for (factor, expected) in [(0.25, 1_000), (1.0, 4_000), (2.5, 10_000)] {
        let section = format!("trace = 't.csv'\nrate-scale = {factor:?}");
        let Prepared { trace, report } = spec(&section).prepare(&context).unwrap();
        assert!(trace.len().abs_diff(expected) < 150, "{factor}: {}", trace.len());
        assert!(trace.requests.is_sorted_by_key(|r| r.arrival));
        accounted(&report);
    }
}

/// The manifest holds the section as typed; reading it back gives the same.
#[test]
fn the_section_survives_writing_and_reading() {
    for text in [
        "recipe = 'burstgpt'\nrequests = 10\nload = [0.5, 0.8]\nmax-tokens = { fixed = 9 }",
        "recipe = 'burstgpt'\nduration = '2 h'\nload = 1\nslice = { from = '1 h' }\nclosed = { clients = 2, think = '1 s' }",
        "trace = 'a.csv'\ncolumns = { arrival = 't', unit = 'ms', prompt = 'p', output = 'o' }\ndequantise = { grain = '1 s' }\nfilter = { log-type = ['x'] }\nrate = '4 req/s'",
        "lengths.lognormal = { prompt = { mean = 500, cv = 1.2 }, output = { median = 100, p90 = 400 } }\narrivals.gamma = { rate = '3 req/s', cv = 2 }",
    ] {
        let first = spec(text);
        let written = toml::to_string(&first).unwrap();
        assert_eq!(spec(&written), first, "{written}");
    }
}

#[test]
fn a_duration_with_a_rate_fixes_the_number_of_requests() {
    let prepared = prepare("recipe = 'burstgpt'\nduration = '1 h'\nrate = '2 req/s'", 1);
    assert_eq!(prepared.trace.len(), 7_200);
    let span = prepared.trace.span().as_secs_f64();
    assert!((span - 7_199.0 / 2.0).abs() < 1e-9, "{span}");
}

/// Printed, not gated: a gate on wall time would fail on a busy machine.
#[test]
fn speed_is_printed() {
    let time = |what: &str, section: &str| {
        let best = (0..3).map(|seed| {
            let start = Instant::now();
            assert_eq!(prepare(section, seed).trace.len(), 100_000);
            start.elapsed()
        });
        eprintln!("100,000 requests, {what}: {:?}", best.min().unwrap());
    };
    let law = "lengths.lognormal = { prompt = { mean = 500, cv = 1.2 }, output = { mean = 200, cv = 1 } }";
    time("Poisson + lognormal", &format!("requests = 100_000\narrivals.poisson.rate = '3 req/s'\n{law}"));
    time("burstgpt twin", "recipe = 'burstgpt'\nrequests = 100_000");
    time("burstgpt-conv twin", "recipe = 'burstgpt-conv'\nrequests = 100_000");
    let mut text = BURSTGPT.to_owned();
    for i in 0..1_429_737u32 {
        writeln!(
            text,
            "{},ChatGPT,{},{},{},Conversation log",
            i * 3,
            i % 4_000 + 1,
            i % 500 + 1,
            i % 4_500 + 2
        )
        .unwrap();
    }
    let (bytes, start) = (text.len(), Instant::now());
    let rows = read_trace_bytes("big.csv", text.into_bytes(), &ReadOptions::default()).unwrap();
    eprintln!("parsed {} rows, {bytes} bytes in {:?}", rows.len(), start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn spreading_and_scaling_keep_order_and_counts(
        gaps in prop::collection::vec(0u32..5, 1..60),
        rate in 0.001f64..1_000.0,
        limit in 1u32..600,
    ) {
        let mut now = 0;
        let rows: String = gaps.iter().enumerate().map(|(i, gap)| {
            now += gap;
            format!("{now},GPT-4,{},{},0,API log\n", i + 1, 2 * i + 1)
        }).collect();
        let read = || read_trace_bytes("p.csv", format!("{BURSTGPT}{rows}").into(), &ReadOptions::default()).unwrap();
        let plain = read().into_trace().unwrap().0;
        let mut spread = read();
        spread.dequantise(windtunnel::workload::Dequantise::Uniform, 3);
        let mut spread = spread.into_trace().unwrap().0;
        prop_assert_eq!(spread.len(), plain.len());
        prop_assert!(spread.requests.is_sorted_by_key(|r| r.arrival));
        let mut lengths: Vec<u32> = spread.requests.iter().map(|r| r.prompt).collect();
        lengths.sort_unstable();
        prop_assert!(lengths.iter().copied().eq(1..=u32::try_from(plain.len()).unwrap()));

        let rate = RequestRate::per_second(rate).unwrap();
        if spread.span() > SimDuration::ZERO {
            let scaled = rescale_to_rate(&spread, rate).unwrap();
            prop_assert!(scaled.requests.is_sorted_by_key(|r| r.arrival));
            prop_assert!(scaled.requests.iter().map(|r| r.prompt).eq(spread.requests.iter().map(|r| r.prompt)));
            let wanted = ((plain.len() - 1) as f64 / rate.as_per_second() * 1e12).round();
            prop_assert_eq!(scaled.span().as_ps() as f64, wanted);
        }
        for rule in [MaxTokens::ContextRest, MaxTokens::Fixed(9), MaxTokens::True, MaxTokens::Pow2] {
            let before: u64 = spread.requests.iter().filter(|r| r.prompt >= limit).count() as u64;
            let counts = apply_limits(&mut spread, limit, rule);
            prop_assert_eq!(counts.prompts_too_long, before);
            let fits = |r: &windtunnel::workload::Request| {
                r.output >= 1 && r.output <= r.max_tokens && (r.prompt >= limit || r.prompt + r.max_tokens <= limit)
            };
            prop_assert!(spread.requests.iter().all(fits));
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), head in 0usize..4) {
        let start = ["", BURSTGPT, "TIMESTAMP,ContextTokens,GeneratedTokens\n", "{\"timestamp\": "][head];
        let mut content = start.as_bytes().to_vec();
        content.extend(bytes);
        let report: Result<LoadReport, _> =
            read_trace_bytes("f", content, &ReadOptions::default()).map(|rows| rows.report);
        if let Err(e) = report {
            prop_assert!(!e.0.is_empty());
        }
    }
}
