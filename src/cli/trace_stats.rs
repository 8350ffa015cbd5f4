//! What `trace stats` prints.

use serde::Serialize;

use crate::report::format::{digits, percent, seconds};
use crate::workload::{ClassStats, Distance, Distribution, TracePass, TraceStats};

use super::list::table;

/// Most classes that are shown; all are in the JSON.
const CLASSES_SHOWN: usize = 20;

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    schema: &'static str,
    files: Vec<TraceStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<Against>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Against {
    file: TraceStats,
    /// One list for each file.
    distances: Vec<Vec<Distance>>,
}

/// One JSON document.
pub(super) fn json(passes: &[TracePass], against: Option<&TracePass>) -> String {
    let document = Document {
        schema: "windtunnel/trace-stats/1",
        files: passes.iter().map(TracePass::stats).collect(),
        against: against.map(|other| Against {
            file: other.stats(),
            distances: passes.iter().map(|p| p.against(other)).collect(),
        }),
    };
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

/// A page for people.
pub(super) fn text(passes: &[TracePass], against: Option<&TracePass>, width: usize) -> String {
    let mut out = String::new();
    for (i, pass) in passes.iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        out.push_str(&one(&pass.stats(), width));
    }
    if let Some(other) = against {
        let named = other.stats();
        out.push('\n');
        out.push_str(&one(&named, width));
        for pass in passes {
            out.push_str(&format!("\n{} against {}\n", pass.stats().file, named.file));
            out.push_str(&distances(&pass.against(other), width));
        }
    }
    out
}

fn one(s: &TraceStats, width: usize) -> String {
    let mut out = format!("{}: {}, {} requests", s.file, s.format, count(s.requests));
    let left_out = [
        (s.rows_dropped, "failed, left out"),
        (s.rows_failed - s.rows_dropped, "failed, kept as prompts"),
        (s.rows_bad, "unreadable, skipped"),
        (s.rows_reordered, "out of order, moved"),
    ];
    let left_out: Vec<String> =
        left_out.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{} {why}", count(*n))).collect();
    if !left_out.is_empty() {
        out.push_str(&format!(" of {} rows ({})", count(s.rows), left_out.join("; ")));
    }
    if let Some(span) = s.span_s {
        out.push_str(&format!(" over {}", long(span)));
    }
    if let Some(rate) = s.rate_per_s {
        out.push_str(&format!(", {} req/s", digits(rate)));
    }
    out.push_str("\n\n");
    out.push_str(&lengths(s, width));
    for line in times(s).into_iter().chain(side(s)) {
        out.push_str(&format!(" {line}\n"));
    }
    if s.classes.len() > 1 {
        out.push_str(&classes(&s.classes, width));
    }
    out
}

/// Tokens and gaps as one table.
fn lengths(s: &TraceStats, width: usize) -> String {
    let row = |name: &str, d: &Distribution| {
        let cells = [d.min, d.p50, d.p90, d.p99, d.max, d.sum as f64].map(tokens);
        [name.to_owned(), digits(d.mean), digits(d.cv)].into_iter().chain(cells).collect()
    };
    let mut rows: Vec<Vec<String>> =
        vec![row("prompt", &s.prompt), row("output", &s.output), row("total", &s.total)];
    if let Some(g) = &s.gaps {
        let [mean, p50, p90, p99, max] = [g.mean_s, g.p50_s, g.p90_s, g.p99_s, g.max_s].map(seconds);
        rows.push(
            ["gap".into(), mean, digits(g.cv), String::new(), p50, p90, p99, max, String::new()].into(),
        );
    }
    table(&["", "mean", "CV", "min", "p50", "p90", "p99", "max", "sum"], rows, width)
}

fn times(s: &TraceStats) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(g) = &s.gaps {
        let grain = match g.coarse_grain_s {
            Some(grain) => format!("; coarse: a run spreads arrivals inside {}", long(grain)),
            None => String::new(),
        };
        let clock = if g.clock_s > 0.0 { long(g.clock_s) } else { "one instant".to_owned() };
        lines.push(format!("clock: {clock}, {} ties{grain}", count(g.ties)));
    }
    let index = |d: &crate::workload::Dispersion| {
        format!("{} at {} s", d.index.map_or_else(|| "–".to_owned(), digits), d.window_s)
    };
    if !s.dispersion.is_empty() {
        let all: Vec<String> = s.dispersion.iter().map(index).collect();
        lines.push(format!("index of dispersion: {} (Poisson: 1)", all.join(", ")));
    }
    if let Some(b) = &s.burstiness {
        let (peak, ratio) = (count(b.peak_minute), digits(b.peak_by_mean));
        lines.push(format!("peak minute: {peak} requests, {ratio} times the mean"));
    }
    if s.gaps.is_some() {
        lines.push("quantiles of tokens are exact, those of gaps within 0.1 %".to_owned());
    }
    lines
}

fn side(s: &TraceStats) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(x) = &s.sessions {
        lines.push(format!(
            "sessions: {} with {} requests, {} each, at most {}",
            count(x.sessions),
            count(x.requests),
            digits(x.mean_turns),
            count(x.most_turns)
        ));
    }
    if let Some(p) = &s.prefixes {
        let unit = p.tokens_per_id.map_or("of unknown size".to_owned(), |n| format!("of {n} tokens"));
        let tokens = match (p.hit_tokens, p.hit_token_share) {
            (Some(n), Some(share)) => format!("; {} prompt tokens ({})", count(n), percent(share)),
            _ => String::new(),
        };
        lines.push(format!(
            "prefix ids {unit}: {} ({} distinct); an infinite cache hits {} ({}){tokens}",
            count(p.ids),
            count(p.distinct),
            count(p.hits),
            percent(p.hit_share)
        ));
    }
    lines
}

fn classes(classes: &[ClassStats], width: usize) -> String {
    let cells = |d: Option<&Distribution>| {
        d.map_or_else(|| vec!["–".to_owned(); 3], |d| vec![digits(d.mean), tokens(d.p50), tokens(d.p99)])
    };
    let row = |c: &ClassStats| {
        let mut row = vec![c.class.clone(), count(c.requests), percent(c.share)];
        row.extend(cells(c.prompt.as_ref()));
        row.extend(cells(c.output.as_ref()));
        row
    };
    let rows = classes.iter().take(CLASSES_SHOWN).map(row).collect();
    let header = ["class", "requests", "share", "prompt mean", "p50", "p99", "output mean", "p50", "p99"];
    let mut out = format!("\n{}", table(&header, rows, width));
    if classes.len() > CLASSES_SHOWN {
        out.push_str(&format!(" and {} more classes (`--json` has all)\n", classes.len() - CLASSES_SHOWN));
    }
    out
}

fn distances(distances: &[Distance], width: usize) -> String {
    let number = |x: Option<f64>| x.map_or_else(|| "–".to_owned(), digits);
    let row = |d: &Distance| {
        let mut row = vec![d.of.to_owned()];
        row.extend([d.ks, d.wasserstein_by_mean, d.mean, d.mean_against].map(number));
        row
    };
    table(
        &["", "KS", "Wasserstein / mean", "mean", "mean against"],
        distances.iter().map(row).collect(),
        width,
    )
}

/// A whole number with separators.
fn count(n: u64) -> String {
    tokens(n as f64)
}

/// A number that is often whole: then without decimals.
fn tokens(value: f64) -> String {
    let text = digits(value);
    if value.fract() == 0.0 { text.split('.').next().unwrap_or_default().to_owned() } else { text }
}

/// A time of any length.
fn long(s: f64) -> String {
    match s {
        s if s >= 2.0 * 86_400.0 => format!("{} d", digits(s / 86_400.0)),
        s if s >= 2.0 * 3_600.0 => format!("{} h", digits(s / 3_600.0)),
        s if s >= 120.0 => format!("{} min", digits(s / 60.0)),
        s => seconds(s),
    }
}
