//! `run`: a scenario into tables, files and a page.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::diagnostic::InputError;
use crate::report::{self, TableOptions};
use crate::results::{self, Comparison, Content, RunFiles, Study};
use crate::scenario::execute::{Options, execute_with};
use crate::scenario::runs::RunStore;
use crate::scenario::trace_events::{self, Limits, TracedRun};
use crate::scenario::{Flags, StudyPlan, Target, robustness, spread, watch};

use super::args::{Format, RunArgs, ScenarioArgs};
use super::context::{Context, Error, emit, write_stderr};
use super::progress::Bars;
use super::run_journal::RunJournal;
use super::shard;
use super::{Outcome, dry_run, exit};

/// Flags in the words of the library.
pub(super) fn flags(changes: &ScenarioArgs) -> Flags {
    Flags { sets: changes.sets.clone(), seeds: changes.seeds }
}

pub(super) fn run(args: &RunArgs, context: &Context) -> Outcome {
    let started = Instant::now();
    let shard = args.shard.as_deref().map(shard::parse).transpose()?;
    let (target, most) = (Target::parse(&args.scenario), args.max_points as usize);
    let plan = StudyPlan::resolve_at_most(&target, &flags(&args.changes), most)?;
    for warning in &plan.warnings {
        context.say(&format!("warning: {warning}"));
    }
    if args.dry_run {
        return dry_run::dry_run(args, &plan, context);
    }
    if let Some(shard) = shard {
        return shard::run(args, shard, &plan, context);
    }
    let folder = results_folder(args.out.as_deref(), &plan.name)?;
    let journal = RunJournal::of_run(folder.with_file_name(format!(".{}.runs.jsonl", plan.name)))?;
    if journal.known() > 0 && !args.requests {
        context.say(&format!("{} runs of a command that was interrupted are there already", journal.known()));
    }
    let code = complete(args, (&plan, started.elapsed()), &journal, context)?;
    journal.remove();
    Ok(code)
}

/// Everything from the plan, resolved in some time, to the last file; runs that `store` has are not made again.
pub(super) fn complete(
    args: &RunArgs,
    (plan, resolved): (&StudyPlan, Duration),
    store: &dyn RunStore,
    context: &Context,
) -> Outcome {
    let started = Instant::now();
    let folder = results_folder(args.out.as_deref(), &plan.name)?;
    let pool = pool(args.jobs)?;
    let bars = Bars::new(context.shows_progress());
    let options = Options { stepwise: args.stepwise, audit: args.audit, keep_requests: args.requests };
    let executed = pool.install(|| execute_with(plan, options, store, &bars));
    bars.clear();
    let executed = executed?;
    let simulated = started.elapsed();
    if let Some(text) = executed.capacity_text(plan) {
        context.say(&text);
    }
    let mut study = executed.into_study(plan);
    let comparison = Comparison::of(&study);
    study.robustness = pool.install(|| robustness::check(plan, &study, &comparison, options, &bars))?;
    bars.clear();
    let data = RunFiles { timeline: true, requests: args.requests };
    let mut files = if args.no_page {
        results::files(&study, &data)
    } else {
        study.token_timeline = watch::headline(plan, &study, &comparison)?;
        study.replicas = pool.install(|| spread::headline(plan, &study, &comparison))?;
        report::folder(&study, &comparison, &data)
    };
    let spans = [resolved, simulated, started.elapsed() - simulated];
    files.add("timing.json", timing(spans, pool.current_num_threads()));
    let traced = traced_runs(args, plan, &study, &comparison);
    for run in &traced {
        files.insert(&run.file(), Content::Streamed(run));
    }
    results::commit(&folder, &files)?;
    for run in &traced {
        if let Some(text) = run.left_out() {
            context.say(&format!("warning: {}: {text}", folder.join(run.file()).display()));
        }
    }
    print(args.format, &study, &comparison, context)?;
    if !context.quiet {
        write_stderr(&report::table::render_warnings(&study));
    }
    let first = folder.join(if args.no_page { "summary.csv" } else { "index.html" });
    context.say(&format!("wrote {} in {:.1} s", first.display(), started.elapsed().as_secs_f64()));
    Ok(exit::DONE)
}

/// The runs that `--trace-events` asks for.
fn traced_runs<'a>(
    args: &RunArgs,
    plan: &'a StudyPlan,
    study: &'a Study,
    comparison: &Comparison,
) -> Vec<TracedRun<'a>> {
    let limits = Limits { requests: args.trace_requests, events: args.trace_limit };
    if args.trace_events { trace_events::of_study(plan, study, comparison, limits) } else { Vec::new() }
}

/// `timing.json`: the only file with values of the clock.
pub(super) fn timing([resolve, simulate, report]: [Duration; 3], threads: usize) -> String {
    format!(
        "{{\n  \"resolve_s\": {:.6},\n  \"simulate_s\": {:.6},\n  \"report_s\": {:.6},\n  \"threads\": {threads}\n}}\n",
        resolve.as_secs_f64(),
        simulate.as_secs_f64(),
        report.as_secs_f64(),
    )
}

pub(super) fn print(
    format: Format,
    study: &Study,
    comparison: &Comparison,
    context: &Context,
) -> Result<(), Error> {
    match format {
        Format::Table => {
            let width = u16::try_from(context.width()).unwrap_or(u16::MAX);
            let options = TableOptions { width, colour: context.color_out() };
            emit(report::table::render(study, comparison, &options).as_bytes())?;
            emit(report::capacity::text(study).as_bytes())
        }
        Format::Json => emit(&report::table::json(study, comparison)),
        Format::Csv => emit(&report::table::csv(study, comparison)),
    }
}

/// The threads of a command; none said: one per core.
pub(super) fn pool(jobs: Option<u16>) -> Result<rayon::ThreadPool, Error> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(jobs.map_or(0, usize::from))
        .build()
        .map_err(|e| Error::Environment(format!("threads cannot be started: {e}")))
}

/// The folder of the results of the scenario `name`, in `parent` (none said: `results`).
pub(super) fn results_folder(parent: Option<&Path>, name: &str) -> Result<PathBuf, InputError> {
    let parent = parent.unwrap_or(Path::new("results"));
    if parent.is_file() {
        let place = format!("--out {}", parent.display());
        return Err(InputError::named(place, "is a file", "name a folder; it is made if it is not there"));
    }
    Ok(parent.join(name))
}
