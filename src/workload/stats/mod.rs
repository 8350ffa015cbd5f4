//! Statistics of a trace in one pass, without keeping its rows.
//!
//! Memory grows with the longest length, the classes, the sessions and the distinct prefix ids of a file, not with its
//! rows.

mod arrivals;
mod counts;
mod prefixes;

use std::path::Path;

use serde::Serialize;

use self::arrivals::Arrivals;
pub use self::arrivals::{Burstiness, Dispersion, GapStats};
pub use self::counts::{Counts, Distribution};
pub use self::prefixes::PrefixStats;
use self::prefixes::Prefixes;
use super::clock::PS_PER_S;
use super::distance::{Sample, kolmogorov_smirnov, wasserstein};
use super::formats::{Item, ReadOptions, Shape, Sink};
use super::report::LoadReport;
use super::rows::Clock;
use super::stream::pass;
use super::trace::NO_SESSION;
use crate::diagnostic::InputErrors;

/// Classes with a table of their own lengths; rows of further ones are counted only.
const CLASSES_IN_FULL: usize = 1_000;

/// What a pass over a trace found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TraceStats {
    /// The file.
    pub file: String,
    /// Its format.
    pub format: &'static str,
    /// Data rows, all of them.
    pub rows: u64,
    /// Requests: rows that are good and did not fail (or whose failure is a prompt alone).
    pub requests: u64,
    /// Rows that could not be read and were skipped.
    pub rows_bad: u64,
    /// The first of them.
    pub first_bad: Option<String>,
    /// Rows that record a failed request.
    pub rows_failed: u64,
    /// Failed rows that were left out.
    pub rows_dropped: u64,
    /// Rows that were out of time order and were moved.
    pub rows_reordered: u64,
    /// From first to last arrival; none for lengths.
    pub span_s: Option<f64>,
    /// Gaps by span in requests per second; none for lengths or without a span.
    pub rate_per_s: Option<f64>,
    /// Prompt tokens.
    pub prompt: Distribution,
    /// Output tokens.
    pub output: Distribution,
    /// Both together.
    pub total: Distribution,
    /// Gaps between arrivals; none for lengths.
    pub gaps: Option<GapStats>,
    /// Dispersion of counts at 1, 10 and 60 s.
    pub dispersion: Vec<Dispersion>,
    /// Peak minute by mean; none below a minute.
    pub burstiness: Option<Burstiness>,
    /// Sessions, where the file has them.
    pub sessions: Option<SessionStats>,
    /// Hits of an infinite prefix cache, where the file has ids.
    pub prefixes: Option<PrefixStats>,
    /// Each class by itself, in order of first appearance.
    pub classes: Vec<ClassStats>,
}

/// Sessions of a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SessionStats {
    /// Different sessions.
    pub sessions: u64,
    /// Requests that belong to one.
    pub requests: u64,
    /// Mean requests of a session.
    pub mean_turns: f64,
    /// Most requests of a session.
    pub most_turns: u64,
}

/// One class of a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClassStats {
    /// Its name.
    pub class: String,
    /// Its requests.
    pub requests: u64,
    /// Their share of all.
    pub share: f64,
    /// Prompt tokens; none beyond the first 1,000 classes.
    pub prompt: Option<Distribution>,
    /// Output tokens; likewise.
    pub output: Option<Distribution>,
}

/// How far two traces are apart in one quantity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distance {
    /// What is compared.
    pub of: &'static str,
    /// Largest distance of the cumulative distributions, 0 to 1; none where a trace has no such quantity.
    pub ks: Option<f64>,
    /// Area between them by the mean of the second trace.
    pub wasserstein_by_mean: Option<f64>,
    /// Mean of the first trace.
    pub mean: Option<f64>,
    /// Mean of the second trace.
    pub mean_against: Option<f64>,
}

/// A pass over a trace, to be shown or compared.
pub struct TracePass {
    tally: Tally,
    report: LoadReport,
    names: Vec<String>,
    shape: Shape,
}

impl TracePass {
    /// Reads the file at `path` (`-`: standard input) once. Only `options.sort` needs its rows in memory.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<TracePass, InputErrors> {
        let mut tally = Tally::default();
        let scanned = pass(path, options, &mut tally)?;
        Ok(TracePass { tally, report: scanned.report, names: scanned.classes, shape: scanned.shape })
    }

    /// What became of the rows.
    pub fn report(&self) -> &LoadReport {
        &self.report
    }

    /// The statistics.
    pub fn stats(&self) -> TraceStats {
        let (tally, report) = (&self.tally, &self.report);
        let requests = tally.prompt.count();
        let arrivals = tally.arrivals.as_ref();
        let span_s = arrivals.map(|a| a.span_ps() as f64 / PS_PER_S as f64);
        let rate = |s: f64| (requests.saturating_sub(1)) as f64 / s;
        TraceStats {
            file: report.source.clone(),
            format: self.shape.format,
            rows: report.rows_read,
            requests,
            rows_bad: report.rows_bad,
            first_bad: report.first_bad.clone(),
            rows_failed: report.rows_failed,
            rows_dropped: report.rows_dropped,
            rows_reordered: report.rows_reordered,
            span_s,
            rate_per_s: span_s.filter(|s| *s > 0.0).map(rate),
            prompt: tally.prompt.distribution().unwrap_or_default(),
            output: tally.output.distribution().unwrap_or_default(),
            total: tally.total.distribution().unwrap_or_default(),
            gaps: arrivals.and_then(|a| a.gaps(tally.clock)),
            dispersion: arrivals.map(Arrivals::dispersion).unwrap_or_default(),
            burstiness: arrivals.and_then(Arrivals::burstiness),
            sessions: tally.session_stats(),
            prefixes: tally.prefixes.as_ref().and_then(Prefixes::stats),
            classes: tally.class_stats(&self.names),
        }
    }

    /// How far this trace is from `other`, in lengths, gaps and counts.
    pub fn against(&self, other: &TracePass) -> Vec<Distance> {
        let lengths = |t: &Tally| [t.prompt.sample(), t.output.sample(), t.total.sample()];
        let times = |t: &Tally| match &t.arrivals {
            Some(a) => [a.gap_sample(), a.counts_20min()],
            None => [Sample::default(), Sample::default()],
        };
        let all = |t: &Tally| lengths(t).into_iter().chain(times(t));
        let names = ["prompt", "output", "total", "gap", "count per 20 min"];
        let pairs = all(&self.tally).zip(all(&other.tally)).zip(names);
        let distance = |((a, b), of): ((Sample, Sample), &'static str)| Distance {
            of,
            ks: kolmogorov_smirnov(&a, &b),
            wasserstein_by_mean: b.mean().filter(|m| *m > 0.0).and_then(|m| Some(wasserstein(&a, &b)? / m)),
            mean: a.mean(),
            mean_against: b.mean(),
        };
        pairs.map(distance).collect()
    }
}

/// What is counted while rows pass.
#[derive(Default)]
struct Tally {
    prompt: Counts,
    output: Counts,
    total: Counts,
    classes: Vec<(u64, Counts, Counts)>,
    arrivals: Option<Arrivals>,
    prefixes: Option<Prefixes>,
    /// Requests of each session, where rows may name one.
    turns: Option<Vec<u32>>,
    clock: Clock,
}

impl Sink for Tally {
    fn begin(&mut self, shape: &Shape) -> Result<(), InputErrors> {
        self.arrivals = shape.timed.then(Arrivals::new);
        self.prefixes = shape.tokens_per_id.map(Prefixes::new);
        self.turns = shape.sessions.then(Vec::new);
        self.clock = shape.clock;
        Ok(())
    }

    fn row(&mut self, item: &Item<'_>, _: &[String]) -> Result<(), InputErrors> {
        let (prompt, output) = (u64::from(item.prompt), u64::from(item.output));
        self.prompt.add(prompt);
        self.output.add(output);
        self.total.add(prompt + output);
        let class = item.class.index();
        if class >= self.classes.len() {
            self.classes.resize_with(class + 1, Default::default);
        }
        let of_class = &mut self.classes[class];
        of_class.0 += 1;
        if class < CLASSES_IN_FULL {
            of_class.1.add(prompt);
            of_class.2.add(output);
        }
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.add(item.time);
        }
        if let Some(prefixes) = &mut self.prefixes {
            prefixes.add(item.prompt, item.ids);
        }
        if let Some(turns) = self.turns.as_mut().filter(|_| item.session != NO_SESSION) {
            let session = item.session as usize;
            if session >= turns.len() {
                turns.resize(session + 1, 0);
            }
            turns[session] += 1;
        }
        Ok(())
    }
}

impl Tally {
    fn session_stats(&self) -> Option<SessionStats> {
        let turns = self.turns.as_ref()?;
        let sessions = turns.iter().filter(|t| **t > 0).count() as u64;
        let requests = turns.iter().map(|t| u64::from(*t)).sum();
        (sessions > 0).then(|| SessionStats {
            sessions,
            requests,
            mean_turns: requests as f64 / sessions as f64,
            most_turns: turns.iter().max().map_or(0, |t| u64::from(*t)),
        })
    }

    fn class_stats(&self, names: &[String]) -> Vec<ClassStats> {
        let all = self.prompt.count().max(1) as f64;
        let of = |((requests, prompt, output), name): (&(u64, Counts, Counts), &String)| ClassStats {
            class: name.clone(),
            requests: *requests,
            share: *requests as f64 / all,
            prompt: prompt.distribution(),
            output: output.distribution(),
        };
        self.classes.iter().zip(names).map(of).collect()
    }
}
