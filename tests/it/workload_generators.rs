//! The generators that are no twin: laws of arrivals, sessions with growing prompts, ServeGen windows; and Mooncake's
//! prefix layer against the trace.
#![expect(clippy::print_stderr, reason = "a test prints what it measured")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use windtunnel::ids::RequestId;
use windtunnel::kv::{BlockKey, PrefixIndex};
use windtunnel::workload::{PrepareContext, Prepared, Trace, WorkloadSpec};

use crate::shared_data::shared;
use crate::workload_baseline::{counts, gaps, ks};

fn prepare_beside(text: &str, seed: u64, beside: Option<&Path>) -> Prepared {
    let spec: WorkloadSpec = toml::from_str(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let context = PrepareContext { seed, beside, max_model_len: None };
    spec.prepare(&context).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn prepare(text: &str, seed: u64) -> Trace {
    prepare_beside(text, seed, None).trace
}

fn seconds(trace: &Trace) -> Vec<f64> {
    trace.requests.iter().map(|r| r.arrival.as_secs_f64()).collect()
}

/// Mean and coefficient of variation.
fn moments(x: &[f64]) -> (f64, f64) {
    let mean = x.iter().sum::<f64>() / x.len() as f64;
    let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / x.len() as f64;
    (mean, variance.sqrt() / mean)
}

#[test]
fn renewal_arrivals_have_their_rate_and_spread() {
    let lengths = "lengths.fixed = { prompt = 1, output = 1 }\nrequests = 100_000";
    for (law, cv) in [
        ("poisson = { rate = '4 req/s' }", 1.0),
        ("gamma = { rate = '4 req/s', cv = 2.0 }", 2.0),
        ("weibull = { rate = '4 req/s', cv = 2.0 }", 2.0),
        ("weibull = { rate = '4 req/s', shape = 1.0 }", 1.0),
        ("constant = { rate = '4 req/s' }", 0.0),
    ] {
        let (mean, got) = moments(&gaps(&seconds(&prepare(&format!("{lengths}\narrivals.{law}"), 1))));
        assert!((mean * 4.0 - 1.0).abs() < 0.02, "{law}: mean gap {mean} s");
        assert!((got - cv).abs() < 0.06, "{law}: cv {got}");
    }
}

#[test]
fn on_off_arrivals_are_a_modulated_poisson_process() {
    let text = "lengths.fixed = { prompt = 1, output = 1 }\nduration = '40000 s'\narrivals.on-off = { on-rate = '10 req/s', off-rate = '1 req/s', mean-on = '10 s', mean-off = '30 s' }";
    let times = seconds(&prepare(text, 1));
    // On a quarter of the time: (10 + 3 · 1) / 4 requests a second.
    assert!((times.len() as f64 / 40_000.0 / 3.25 - 1.0).abs() < 0.05, "{}", times.len());
    // Variance of counts in w seconds over their mean: 1 + 2 p q (a − b)² / (m r) · (1 − (1 − e^{−rw}) / (rw)), with
    // r = 1/10 + 1/30, p q = 3/16, a − b = 9, m = 3.25 (a two-state MMPP; Fischer and Meier-Hellstern 1993).
    for width in [1.0, 30.0] {
        let (mean, cv) = moments(&counts(&times, width, 40_000.0));
        let r = 1.0 / 10.0 + 1.0 / 30.0;
        let part = 1.0 - (1.0 - libm::exp(-r * width)) / (r * width);
        let expected = 1.0 + 2.0 * (3.0 / 16.0) * 81.0 / (3.25 * r) * part;
        let got = cv * cv * mean;
        assert!((got / expected - 1.0).abs() < 0.12, "{width} s: {got}, expected {expected}");
    }
    let silent = "lengths.fixed = { prompt = 1, output = 1 }\nrequests = 2000\narrivals.on-off = { on-rate = '10 req/s', mean-on = '1 s', mean-off = '100 s' }";
    assert!(gaps(&seconds(&prepare(silent, 1))).iter().any(|g| *g > 100.0));
}

#[test]
fn replayed_arrivals_are_those_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..50).map(|i| format!("{},{},1\n", i * i, 5 + i)).collect();
    fs::write(
        folder.path().join("t.csv"),
        format!("arrived_at,num_prefill_tokens,num_decode_tokens\n{rows}"),
    )
    .unwrap();
    let text = "arrivals.replay.file = 't.csv'\nlengths.fixed = { prompt = 9, output = 3 }";
    let Prepared { trace, report } = prepare_beside(text, 1, Some(folder.path()));
    assert!(seconds(&trace).iter().enumerate().all(|(i, t)| *t == (i * i) as f64));
    assert!(trace.requests.iter().all(|r| (r.prompt, r.output) == (9, 3)) && trace.len() == 50);
    assert!(report.source.contains("arrivals ") && report.content_hash.is_some());
    let sliced = prepare_beside(&format!("{text}\nslice.to = '100 s'"), 1, Some(folder.path()));
    assert_eq!(sliced.trace.len(), 10);
}

/// Log-series sessions with lognormal pauses and growing prompts.
const SESSIONS: &str = "arrivals.poisson.rate = '2 req/s'\nlengths.independent = { prompt = { gamma = { mean = 400, cv = 0.8 } }, output = { weibull = { mean = 100, cv = 1.2 } } }\nsessions = { size = { log-series = { p = 0.6, max = 64 } }, think = { lognormal = { median = '60 s', sigma = 1.0, cap = '600 s' } }, prefix = { block = 16, shared = 64, new = { constant = 20 } } }";

#[test]
fn sessions_grow_by_prompt_answer_and_new_tokens() {
    let trace = prepare(&format!("{SESSIONS}\nrequests = 30_000\nslice.from = '30 min'"), 1);
    let sessions = trace.sessions.as_ref().expect("sessions");
    let chains = trace.prefixes.as_ref().expect("prefixes");
    assert_eq!((trace.len(), sessions.len(), chains.starts.len()), (30_000, 30_000, 30_001));
    let rate = trace.mean_rate().unwrap().as_per_second();
    assert!((rate / 2.0 - 1.0).abs() < 0.03, "{rate}");
    let mut last: BTreeMap<u32, usize> = BTreeMap::new();
    let (mut turns, mut pauses) = (0, Vec::new());
    for (i, session) in sessions.iter().enumerate() {
        let r = &trace.requests[i];
        let ids = chains.of(RequestId(u32::try_from(i).unwrap()));
        assert_eq!(ids.len(), r.prompt.div_ceil(16) as usize);
        if let Some(before) = last.insert(*session, i) {
            let old = &trace.requests[before];
            assert_eq!(r.prompt, old.prompt + old.output + 20);
            let kept = (old.prompt / 16) as usize;
            let old_ids = chains.of(RequestId(u32::try_from(before).unwrap()));
            assert_eq!(ids[..kept], old_ids[..kept]);
            pauses.push(r.arrival.since(old.arrival).as_secs_f64());
            turns += 1;
        }
    }
    // Mean size .6 / (.4 · ln 2.5) = 1.637: 39 % of the requests are no first turn (a few began before the slice).
    let share = f64::from(turns) / 30_000.0;
    assert!((share - 0.389).abs() < 0.02, "{share}");
    pauses.sort_by(f64::total_cmp);
    let median = pauses[pauses.len() / 2];
    assert!((median / 60.0 - 1.0).abs() < 0.05 && pauses.last().is_some_and(|p| *p <= 600.0), "{median}");
    // The first 64 tokens are those of everybody.
    let roots = |i: u32| &chains.of(RequestId(i))[..4];
    let long: Vec<u32> = (0..1_000).filter(|&i| trace.requests[i as usize].prompt >= 64).collect();
    assert!(long.windows(2).all(|w| roots(w[0]) == roots(w[1])));
    // The same seed gives the same requests, and a longer run begins with the shorter one.
    let short = prepare(&format!("{SESSIONS}\nrequests = 5_000\nslice.from = '30 min'"), 1);
    assert_eq!(short.requests[..], trace.requests[..5_000]);
    assert_eq!(short.sessions.as_ref().map(|s| s[..].to_vec()), Some(sessions[..5_000].to_vec()));
}

/// What prefix caches make of a trace: percentages of blocks, of tokens, of requests with hits beyond the root.
#[derive(Debug)]
struct Reuse {
    blocks: f64,
    tokens: f64,
    beyond: f64,
    /// Requests that hit all full blocks of an earlier prompt and are longer.
    extend: f64,
    /// Block hits of an LRU cache of 1k, 5k, 10k, 30k, 50k blocks.
    lru: [f64; 5],
}

fn reuse(trace: &Trace) -> Reuse {
    let chains = trace.prefixes.as_ref().expect("prefixes");
    let (mut blocks, mut hits, mut tokens, mut hit_tokens, mut beyond, mut extend) = (0, 0, 0, 0, 0, 0);
    // Of each id: the prompts of which it is the last full block.
    let mut known: BTreeMap<u64, bool> = BTreeMap::new();
    for (i, r) in (0u32..).zip(&trace.requests) {
        let ids = chains.of(RequestId(i));
        let hit = ids.iter().take_while(|id| known.contains_key(id)).count();
        (blocks, hits) = (blocks + ids.len() as u64, hits + hit as u64);
        tokens += u64::from(r.prompt);
        hit_tokens += u64::from(r.prompt).min(512 * hit as u64);
        beyond += u64::from(hit > 1);
        let ends = hit > 1 && known.get(&ids[hit - 1]) == Some(&true);
        extend += u64::from(ends && hit < ids.len());
        for id in ids {
            known.entry(*id).or_insert(false);
        }
        if let Some(last) = ((r.prompt / 512) as usize).checked_sub(1) {
            known.insert(ids[last], true);
        }
    }
    let percent = |part: u64, of: u64| 100.0 * part as f64 / of as f64;
    Reuse {
        blocks: percent(hits, blocks),
        tokens: percent(hit_tokens, tokens),
        beyond: percent(beyond, trace.len() as u64),
        extend: percent(extend, trace.len() as u64),
        lru: [1_000, 5_000, 10_000, 30_000, 50_000].map(|size| percent(lru(trace, size), blocks)),
    }
}

/// Leading hits of an LRU cache; every block of a request is touched after its hits are counted.
fn lru(trace: &Trace, size: usize) -> u64 {
    let chains = trace.prefixes.as_ref().expect("prefixes");
    let (mut at, mut order, mut clock, mut hits) = (BTreeMap::new(), BTreeMap::new(), 0u64, 0);
    for i in 0..u32::try_from(trace.len()).unwrap() {
        let ids = chains.of(RequestId(i));
        hits += ids.iter().take_while(|id| at.contains_key(*id)).count() as u64;
        for id in ids {
            clock += 1;
            if let Some(before) = at.insert(*id, clock) {
                order.remove(&before);
            }
            order.insert(clock, *id);
        }
        while order.len() > size {
            let Some((_, id)) = order.pop_first() else { break };
            at.remove(&id);
        }
    }
    hits
}

/// Percentages of generator.md §3.6 and of the trace by the same code; the twin's mean over six seeds must be within
/// 3 points (LRU 5), a tenth of what a twin without prefixes would be off by.
#[test]
fn mooncakes_prefix_layer_is_that_of_the_trace() {
    let Some(path) = shared("traces/mooncake/conversation_trace.jsonl") else { return };
    let spec = WorkloadSpec { trace: Some(path), ..WorkloadSpec::default() };
    let real_trace = spec.prepare(&PrepareContext::default()).unwrap().trace;
    let real = reuse(&real_trace);
    eprintln!("Mooncake, trace: {real:.1?}");
    assert!((real.blocks - 36.6).abs() < 0.1 && (real.tokens - 37.4).abs() < 0.1, "published counts");
    assert!((real.beyond - 38.7).abs() < 0.1 && (real.extend - 31.8).abs() < 1.0, "published shares");
    let seeds = 6;
    let all: Vec<Reuse> = (1..=seeds)
        .map(|seed| reuse(&prepare("recipe = 'mooncake-conv'\nduration = '3537 s'", seed)))
        .collect();
    let mean = |pick: &dyn Fn(&Reuse) -> f64| all.iter().map(pick).sum::<f64>() / seeds as f64;
    let twin = Reuse {
        blocks: mean(&|r| r.blocks),
        tokens: mean(&|r| r.tokens),
        beyond: mean(&|r| r.beyond),
        extend: mean(&|r| r.extend),
        lru: [0, 1, 2, 3, 4].map(|i| mean(&|r| r.lru[i])),
    };
    eprintln!("Mooncake, twin:  {twin:.1?}");
    for (what, got, expected, limit) in [
        ("blocks", twin.blocks, real.blocks, 3.0),
        ("tokens", twin.tokens, real.tokens, 3.0),
        ("beyond the root", twin.beyond, real.beyond, 4.0),
        ("extend", twin.extend, real.extend, 4.0),
    ] {
        assert!((got - expected).abs() <= limit, "{what}: {got:.1} % against {expected:.1} %");
    }
    for (got, expected) in twin.lru.iter().zip(real.lru) {
        assert!((got - expected).abs() <= 5.0, "LRU {got:.1} % against {expected:.1} %");
    }
}

/// The product's prefix index reads generated identities as it reads those of a file.
#[test]
fn generated_identities_are_found_by_the_prefix_index() {
    let trace = prepare("recipe = 'mooncake-conv'\nduration = '10 min'", 1);
    let chains = trace.prefixes.as_ref().expect("prefixes");
    assert_eq!(chains.tokens_per_id, 512);
    let mut index = PrefixIndex::default();
    let mut found = 0;
    for i in 0..u32::try_from(trace.len()).unwrap() {
        let keys: Vec<BlockKey> =
            chains.of(RequestId(i)).iter().map(|&id| BlockKey { id, part: 0 }).collect();
        found += keys.iter().take_while(|k| index.find(**k).is_some()).count();
        for key in keys {
            index.enter(key);
        }
    }
    assert!(found > trace.len(), "{found} hits of {} requests", trace.len());
}

const MODELS: [(&str, f64, [f64; 4]); 4] = [
    ("m-small", 1_174.0, [1.10, 1.22, 2.16, 9.75]),
    ("m-large", 196.0, [1.03, 1.19, 2.2, 10.3]),
    ("deepseek-r1", 16.0, [0.94, 1.02, 1.9, 9.0]),
    ("mm-image", 9.5, [0.93, 1.01, 3.96, 5.33]),
];

/// (client, start in s, rate per s, cv) of the rows of a windows file with requests.
fn windows_of(path: &Path) -> Vec<(u32, u64, f64, f64)> {
    let mut text = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap()),
        &mut text,
    )
    .unwrap();
    let row = |line: &str| {
        let f: Vec<&str> = line.split(',').collect();
        (f[0].parse().unwrap(), f[1].parse().unwrap(), f[2].parse().unwrap(), f[3].parse().unwrap())
    };
    text.lines().skip(1).map(row).filter(|w: &(u32, u64, f64, f64)| w.2 > 0.0).collect()
}

/// The rates of windows and clients of the published files, and the spread of gaps that their shapes give.
#[test]
fn servegen_windows_give_their_rates_and_spreads() {
    for (model, rate, quantiles) in MODELS {
        let Some(path) = shared(&format!("traces/servegen/{model}_client_windows.csv.gz")) else { return };
        let windows = windows_of(&path);
        let spans = windows.iter().map(|w| w.1).max().unwrap() / 600 + 1;
        let total = windows.iter().map(|w| w.2).sum::<f64>() / spans as f64;
        assert!((total / rate - 1.0).abs() < 0.01, "{model}: {total} req/s");
        let mut by_cv: Vec<(f64, f64)> = windows.iter().map(|w| (w.3, w.2)).collect();
        by_cv.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (share, expected) in [0.25, 0.5, 0.75, 0.95].into_iter().zip(quantiles) {
            let mut left = share * by_cv.iter().map(|w| w.1).sum::<f64>();
            let got = by_cv.iter().find(|w| {
                left -= w.1;
                left <= 0.0
            });
            let got = got.unwrap().0;
            assert!((got / expected - 1.0).abs() < 0.05, "{model}: cv quantile {share}: {got}");
        }
        // Two hours from noon of the first day; the busy models by their 20 busiest clients at a tenth of the rate.
        let busy = rate > 100.0;
        let scale = if busy { 0.1 } else { 1.0 };
        let clients = if busy { ", clients = 20" } else { "" };
        let text = format!(
            "servegen = {{ windows = '{}'{clients} }}\nlengths.fixed = {{ prompt = 1, output = 1 }}\nslice = {{ from = '12 h', to = '14 h' }}\nrate-scale = {scale}",
            path.display()
        );
        let mut rates = BTreeMap::<u32, f64>::new();
        for w in &windows {
            *rates.entry(w.0).or_default() += w.2;
        }
        let mut order: Vec<(u32, f64)> = rates.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        order.truncate(if busy { 20 } else { usize::MAX });
        let kept: Vec<u32> = order.iter().map(|c| c.0).collect();
        let mine = |start: u64| {
            let of = windows.iter().filter(move |w| w.1 == start);
            of.filter(|w| kept.contains(&w.0)).map(|w| (w.2 * 600.0 * scale, w.3))
        };
        // Counts of a window, pooled over clients, against rate × 600 s in units of the renewal error √(Σ cv² n).
        let (mut errors, mut got, mut expected, mut worst) = (0.0, 0.0, 0.0, 0.0);
        for seed in 1..=4 {
            let times = seconds(&prepare(&text, seed));
            let origin = times.len();
            assert!(origin > 1_000, "{model}: {origin} requests");
            let found = times.len() as f64;
            let wanted: f64 = (0..12).map(|k| mine(43_200 + 600 * k).map(|w| w.0).sum::<f64>()).sum();
            let variance: f64 =
                (0..12).map(|k| mine(43_200 + 600 * k).map(|w| w.0 * w.1 * w.1).sum::<f64>()).sum();
            let error = (found - wanted) / variance.sqrt();
            errors += error * error;
            worst = f64::max(worst, error.abs());
            got += found;
            expected += wanted;
        }
        eprintln!(
            "ServeGen {model}: {:.0} requests for {expected:.0}; deviation of two hours in renewal errors, rms {:.2}, worst {worst:.2}",
            got,
            (errors / 4.0_f64).sqrt()
        );
        assert!(worst < 4.0, "{model}: {worst}");
    }
}

#[test]
fn servegen_histograms_give_their_lengths() {
    let Some(windows) = shared("traces/servegen/deepseek-r1_client_windows.csv.gz") else { return };
    let Some(lengths) = shared("traces/servegen/deepseek-r1_client_lengths.jsonl.gz") else { return };
    let text = format!(
        "servegen = {{ windows = '{}', lengths = '{}' }}\nslice.to = '6 h'",
        windows.display(),
        lengths.display()
    );
    let Prepared { trace, report } = prepare_beside(&text, 1, None);
    let prompts: Vec<f64> = trace.requests.iter().map(|r| f64::from(r.prompt)).collect();
    let outputs: Vec<f64> = trace.requests.iter().map(|r| f64::from(r.output)).collect();
    let (prompt, output) = (moments(&prompts).0, moments(&outputs).0);
    eprintln!(
        "ServeGen deepseek-r1, first 6 h: mean prompt {prompt:.0}, output {output:.0} (whole day 1377, 1502)"
    );
    assert!((prompt / 1_377.0 - 1.0).abs() < 0.35 && (output / 1_502.0 - 1.0).abs() < 0.25);
    assert!(report.content_hash.is_some_and(|h| h.contains('+')));
}

/// The sample in the repository: two clients, one steady and one in bursts.
#[test]
fn a_servegen_sample_is_generated_window_by_window() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/samples");
    let text = "servegen = { windows = 'servegen-windows.csv', lengths = 'servegen-lengths.jsonl' }";
    let all: Vec<Trace> = (1..=30).map(|seed| prepare_beside(text, seed, Some(&folder)).trace).collect();
    let mean = all.iter().map(Trace::len).sum::<usize>() as f64 / 30.0;
    // .5 + 1 + .2 req/s for 600 s each.
    assert!((mean / 1_020.0 - 1.0).abs() < 0.06, "{mean}");
    assert!(
        all[0].requests.iter().any(|r| r.prompt == 100) && all[0].requests.iter().any(|r| r.prompt == 2_000)
    );
    let one = prepare_beside(&format!("{text}\n").replace(" }", ", clients = 1 }"), 1, Some(&folder)).trace;
    assert!(one.requests.iter().all(|r| r.prompt <= 200), "the busiest client only");
    assert!(ks(&gaps(&seconds(&all[0])), &gaps(&seconds(&all[1]))) < 0.1);
    assert_ne!(all[0].requests, all[1].requests);
}
