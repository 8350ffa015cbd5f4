//! `trace/<run>.json`: what happened in a run, in the Trace Event Format that Perfetto and chrome://tracing open.
//!
//! A run is a pure function of its inputs, so that nothing is recorded while a study runs: the run is made again while its
//! file is written, and the file is never in memory.

mod lines;
mod writer;

use std::io::{self, Write};
use std::sync::OnceLock;

use crate::cluster::RunOptions;
use crate::policy::scheduler::SchedulerConfig;
use crate::results::text::file_name;
use crate::results::{Comparison, RunResult, Streamed, Study};

use super::plan::StudyPlan;
use super::single::observed_run;
use super::watch::trace;

pub use writer::{Cut, TraceWriter};

/// How much a file holds at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests that are followed, from the first one on.
    pub requests: u32,
    /// Events.
    pub events: u64,
}

/// A run that is made again when its file is written.
pub struct TracedRun<'a> {
    plan: &'a StudyPlan,
    study: &'a Study,
    run: &'a RunResult,
    limits: Limits,
    cut: OnceLock<Cut>,
}

/// The runs of a study that are traced: of each system the first seed at the headline point. A bound that serves every
/// request alone (`ideal`) has no steps and no trace.
pub fn of_study<'a>(
    plan: &'a StudyPlan,
    study: &'a Study,
    comparison: &Comparison,
    limits: Limits,
) -> Vec<TracedRun<'a>> {
    let Some(point) = comparison.headline().map(|p| p.point) else { return Vec::new() };
    let first = |system: usize| study.runs_of(point, system).into_iter().next();
    let runs = (0..plan.systems.len()).filter_map(first);
    let has_steps = |run: &&RunResult| {
        let replica = &plan.systems[run.system].cluster.replica;
        !matches!(replica.scheduler, SchedulerConfig::Ideal(_))
    };
    runs.filter(has_steps).map(|run| TracedRun { plan, study, run, limits, cut: OnceLock::new() }).collect()
}

impl std::fmt::Debug for TracedRun<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TracedRun").field("file", &self.file()).finish_non_exhaustive()
    }
}

impl TracedRun<'_> {
    /// Path of its file in the result folder.
    pub fn file(&self) -> String {
        format!("trace/{}.json", file_name(&self.study.run_name(self.run)))
    }

    /// What the limits left out of the file that was written last, if anything, and how to see it.
    pub fn left_out(&self) -> Option<String> {
        let at = self.cut.get()?.events_end_at?;
        Some(format!(
            "ends at {:.3} s, after {} events; see more with `--trace-limit`, or less of each moment with `--trace-requests`",
            at.as_secs_f64(),
            self.limits.events
        ))
    }
}

impl Streamed for TracedRun<'_> {
    fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
        let RunResult { system, point, seed, .. } = *self.run;
        let failed = |text: String| io::Error::other(format!("the run cannot be made again: {text}"));
        let requests =
            trace(self.plan, self.study, point, seed).map_err(|failure| failed(format!("{failure:?}")))?;
        let system = &self.plan.systems[system];
        let mut writer = TraceWriter::new(out, self.limits)?;
        let outcome = observed_run(system, &requests, &RunOptions::default(), seed, &mut writer)
            .map_err(|violation| failed(violation.to_string()))?;
        let cut = writer.finish(outcome.end)?;
        // Written twice it is the same.
        let _ = self.cut.set(cut);
        Ok(())
    }
}
