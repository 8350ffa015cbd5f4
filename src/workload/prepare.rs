//! From the `[workload]` section to the trace of a run.
//!
//! Order of the steps: read, dequantise, slice, filter, `rate-scale`, `time-scale`, `requests` and `duration`, origin,
//! `prefixes`, `closed`, `rate`, limits.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock::AbsolutePs;
use super::formats::read_trace;
use super::limits::apply_limits;
use super::priority;
use super::rate::rescale_to_rate;
use super::recipe::{Recipe, RecipeLaw};
use super::report::LoadReport;
use super::rows::{MOST_REQUESTS, Rows, too_many_requests};
use super::servegen::ServeGen;
use super::spec::{PrefixSharing, WorkloadSpec};
use super::synthetic::Synthetic;
use super::trace::{Closed, NO_SESSION, Trace, Turns};
use super::transform::Slice;
use super::twin::{self, TwinSpec, Window};
use crate::diagnostic::{InputError, InputErrors};
use crate::units::SimTime;

/// Folder that relative paths start from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside<'a>(pub Option<&'a Path>);

impl Beside<'_> {
    /// `file` beside the scenario or in the nearest of its ancestors that has it.
    pub fn locate(self, file: &Path) -> PathBuf {
        let mut folders = self.0.into_iter().flat_map(Path::ancestors).map(|folder| folder.join(file));
        let beside = self.0.map_or_else(|| file.to_owned(), |folder| folder.join(file));
        folders.find(|path| path.is_file()).unwrap_or(beside)
    }
}

/// What a workload is prepared for.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrepareContext<'a> {
    /// Folder of the scenario; none: relative paths are taken as they are, recipes are embedded ones.
    pub beside: Option<&'a Path>,
    /// Seed of all draws.
    pub seed: u64,
    /// Context length of the model in tokens; none: outputs and `max_tokens` stay as they are, so that `apply_limits`
    /// can be called for each model.
    pub max_model_len: Option<u32>,
}

/// The requests of a run and how they came about.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The requests.
    pub trace: Trace,
    /// Where they came from.
    pub report: LoadReport,
}

/// A workload whose files are read, so that several seeds share the reading.
#[derive(Clone, Debug)]
pub struct OpenWorkload<'a> {
    spec: &'a WorkloadSpec,
    source: Source,
    report: LoadReport,
}

#[derive(Clone, Debug)]
enum Source {
    File(Box<Rows>),
    Twin(TwinSpec),
    Synthetic(Synthetic),
    ServeGen(Box<ServeGen>),
}

impl WorkloadSpec {
    /// Reads what the workload needs and generates or transforms its requests.
    pub fn prepare(&self, context: &PrepareContext<'_>) -> Result<Prepared, InputErrors> {
        self.open(context.beside)?.prepare(context.seed, context.max_model_len)
    }

    /// Checks the section and reads its files; `beside` as in [`PrepareContext`].
    pub fn open(&self, beside: Option<&Path>) -> Result<OpenWorkload<'_>, InputErrors> {
        let problems = self.check();
        if !problems.is_empty() {
            return Err(InputErrors(problems));
        }
        let folder = Beside(beside);
        let mut report = LoadReport { source: "synthetic".to_owned(), ..LoadReport::default() };
        let source = if let Some(path) = &self.trace {
            let rows = read_trace(&folder.locate(path), &self.read_options())?;
            if !rows.has_times() && self.closed.is_none() {
                return Err(no_times(&rows).into());
            }
            report = rows.report.clone();
            Source::File(Box::new(rows))
        } else if let Some(name) = &self.recipe {
            let (recipe, hash) = Recipe::find(name, beside)?;
            report.source = format!("recipe {name}");
            report.content_hash = Some(hash);
            match recipe.law(name, folder)? {
                RecipeLaw::Twin(twin) => Source::Twin(twin),
                RecipeLaw::Synthetic(synthetic) => Source::Synthetic(synthetic),
            }
        } else if let Some(servegen) = &self.servegen {
            let servegen = ServeGen::open(servegen, self.lengths.as_ref(), folder)?;
            servegen.note(&mut report);
            Source::ServeGen(Box::new(servegen))
        } else if let Some(lengths) = &self.lengths {
            let synthetic = Synthetic::open(self.arrivals.as_ref(), lengths, self.sessions.as_ref(), folder)?;
            synthetic.note(&mut report);
            Source::Synthetic(synthetic)
        } else {
            return Err(InputErrors(self.check()));
        };
        Ok(OpenWorkload { spec: self, source, report })
    }

    /// How many requests are wanted: `requests`, or `rate` × `duration`.
    fn wanted(&self) -> Option<usize> {
        let by_rate = match (self.rate, self.duration) {
            (Some(rate), Some(duration)) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "positive; saturates"
                )]
                let count = (rate.as_per_second() * duration.as_secs_f64()).round() as usize;
                Some(count.max(1))
            }
            _ => None,
        };
        let asked = self.requests.map(|n| n as usize);
        asked.into_iter().chain(by_rate).min()
    }

    /// A span of arrivals in picoseconds before `rate` is set; with `rate` the span follows from the number.
    fn natural_span_ps(&self) -> Option<u64> {
        self.duration.filter(|_| self.rate.is_none()).map(|d| d.as_ps())
    }
}

impl OpenWorkload<'_> {
    /// The trace of one seed. `max_model_len`: as in [`PrepareContext`].
    pub fn prepare(&self, seed: u64, max_model_len: Option<u32>) -> Result<Prepared, InputErrors> {
        if self.spec.wanted().is_some_and(|n| n > MOST_REQUESTS) {
            return Err(too_many_requests().into());
        }
        let mut rows = match &self.source {
            Source::File(rows) => self.transformed(Rows::clone(rows), seed)?,
            generator => self.generated(generator, seed)?,
        };
        if let Some(factor) = self.spec.time_scale {
            rows.scale_time(factor)?;
        }
        self.cut(&mut rows)?;
        let levels = self.spec.priorities.as_ref().map(|levels| priority::label(levels, &mut rows, seed));
        let (mut trace, mut report) = rows.into_trace()?;
        if let Some(levels) = levels {
            let level = |class: &String| levels.iter().find(|(name, _)| name == class);
            trace.priorities =
                trace.classes.iter().filter_map(level).map(|(_, priority)| *priority).collect();
        }
        if self.spec.prefixes == PrefixSharing::Private {
            trace.prefixes = trace.prefixes.map(|chains| Arc::new(chains.made_private()));
        }
        if let Some(closed) = self.spec.closed {
            trace.closed = Some(Closed { clients: closed.clients, think: closed.think });
            for request in &mut trace.requests {
                request.arrival = SimTime::ZERO;
            }
        }
        if self.spec.turns == Turns::AfterAnswer {
            trace.turns = turns_of(&trace, &report)?;
        }
        report.natural_rate_per_s = trace.mean_rate().map(super::RequestRate::as_per_second);
        if let Some(rate) = self.spec.rate {
            trace = rescale_to_rate(&trace, rate)?;
        }
        report.rate_per_s = trace.mean_rate().map(super::RequestRate::as_per_second);
        report.span_ps = trace.span().as_ps();
        report.rows_kept = trace.len() as u64;
        if let Some(limit) = max_model_len {
            apply_limits(&mut trace, limit, self.spec.max_tokens).note(&mut report);
        }
        Ok(Prepared { trace, report })
    }

    fn transformed(&self, mut rows: Rows, seed: u64) -> Result<Rows, InputErrors> {
        if rows.has_times() {
            rows.dequantise(self.spec.dequantise.unwrap_or_default(), seed);
        }
        if let Some(slice) = &self.spec.slice {
            rows.slice(slice);
        }
        if let Some(filter) = &self.spec.filter {
            rows.filter(filter)?;
        }
        if let Some(factor) = self.spec.rate_scale {
            rows.scale_rate(factor, seed)?;
        }
        Ok(rows)
    }

    fn generated(&self, source: &Source, seed: u64) -> Result<Rows, InputErrors> {
        let slice = self.spec.slice.clone().unwrap_or_default();
        let from_ps = slice.from.map_or(0, |d| d.as_ps());
        let window = Window { from_ps, to_ps: self.generated_end_ps(&slice), requests: self.spec.wanted() };
        let rate_scale = self.spec.rate_scale.unwrap_or(1.0);
        let closed = self.spec.closed.is_some();
        let mut rows = match source {
            Source::File(rows) => Rows::clone(rows),
            Source::Twin(twin) => twin::generate(twin, window, rate_scale, seed)?,
            Source::Synthetic(synthetic) => synthetic.generate(window, rate_scale, closed, seed)?,
            Source::ServeGen(servegen) => servegen.generate(window, rate_scale, seed)?,
        };
        rows.report.source.clone_from(&self.report.source);
        rows.report.content_hash.clone_from(&self.report.content_hash);
        Ok(rows)
    }

    /// Where generated time stops: at `slice.to`, or after `duration`, which is counted after `time-scale`.
    fn generated_end_ps(&self, slice: &Slice) -> Option<u64> {
        let stretch = self.spec.time_scale.unwrap_or(1.0);
        let by_span = self.spec.natural_span_ps().map(|ps| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive; saturates"
            )]
            let natural = (ps as f64 * stretch) as u64;
            natural.saturating_add(slice.from.map_or(0, |d| d.as_ps()))
        });
        slice.to.map(|d| d.as_ps()).into_iter().chain(by_span).min()
    }

    /// Keeps the wanted number and duration; too few rows are an error.
    fn cut(&self, rows: &mut Rows) -> Result<(), InputErrors> {
        if let (Some(span), Some(first)) = (self.spec.natural_span_ps(), rows.rows.first()) {
            let end = first.time + AbsolutePs::from(span);
            let inside = rows.rows.partition_point(|r| r.time < end);
            rows.truncate(inside);
        }
        let Some(wanted) = self.spec.wanted() else { return Ok(()) };
        let bounded = self.spec.duration.is_some() && self.spec.rate.is_none()
            || self.spec.slice.as_ref().is_some_and(|s| s.to.is_some()) && self.spec.trace.is_none();
        if rows.len() < wanted && !bounded {
            let message =
                format!("{wanted} requests are wanted, but `{}` has {}", self.report.source, rows.len());
            return Err(InputError::named(
                "workload.requests",
                message,
                "ask for fewer, remove `requests` to take all, or widen the slice",
            )
            .into());
        }
        rows.truncate(wanted);
        Ok(())
    }
}

/// `after-answer`, where some request has a session.
fn turns_of(trace: &Trace, report: &LoadReport) -> Result<Turns, InputError> {
    let some = trace.sessions.as_ref().is_some_and(|of| of.iter().any(|&s| s != NO_SESSION));
    some.then_some(Turns::AfterAnswer).ok_or_else(|| {
        InputError::named(
            "workload.turns",
            format!("`after-answer` is about sessions, but no request of `{}` belongs to one", report.source),
            "remove it, or use a workload with sessions (`sessions = { … }`, or a trace that names them)",
        )
    })
}

fn no_times(rows: &Rows) -> InputError {
    InputError::named(
        &*rows.report.source,
        format!(
            "this is a `{}` file: lengths without arrival times",
            rows.report.format.unwrap_or("lengths")
        ),
        "use it as `lengths = { empirical = { file = … } }` with `arrivals` or `closed`",
    )
}
