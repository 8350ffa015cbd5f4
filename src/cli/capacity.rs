//! `capacity`: the highest rate within the limits, for every system of a scenario.

use std::time::Instant;

use crate::report;
use crate::results;
use crate::scenario::capacity_study::{SEEDS_LEAST, search_capacities};
use crate::scenario::execute::Options;
use crate::scenario::{StudyPlan, Target};

use super::args::{CapacityArgs, Format, ScenarioArgs};
use super::context::{Context, emit, write_stderr};
use super::progress::Bars;
use super::run::{flags, pool, results_folder, timing};
use super::{Outcome, exit};

pub(super) fn capacity(args: &CapacityArgs, context: &Context) -> Outcome {
    let started = Instant::now();
    let target = Target::parse(&args.scenario);
    let mut plan = StudyPlan::resolve(&target, &flags(&args.changes))?;
    if plan.seeds < SEEDS_LEAST && !says_seeds(&args.changes) {
        // Once more, so that the plan says where the number comes from.
        let changes = ScenarioArgs { seeds: Some(SEEDS_LEAST), ..args.changes.clone() };
        context.say(&format!(
            "{SEEDS_LEAST} seeds are used, the least for a capacity; `--seeds` says otherwise"
        ));
        plan = StudyPlan::resolve(&target, &flags(&changes))?;
    }
    for warning in &plan.warnings {
        context.say(&format!("warning: {warning}"));
    }
    let folder = results_folder(args.out.as_deref(), &plan.name)?.join("capacity");
    let resolved = started.elapsed();
    let pool = pool(args.jobs)?;
    let bars = Bars::new(context.shows_progress());
    let options = Options { audit: args.audit, ..Options::default() };
    let found = pool.install(|| search_capacities(&plan, options, &bars));
    bars.clear();
    let (study, detail) = found?;
    let simulated = started.elapsed();
    let mut files = report::capacity_folder(&study, &detail);
    let spans = [resolved, simulated - resolved, started.elapsed() - simulated];
    files.add("timing.json", timing(spans, pool.current_num_threads()));
    results::commit(&folder, &files)?;
    match args.format {
        Format::Table => emit(report::capacity::text(&study).trim_start().as_bytes())?,
        Format::Json => emit(files.bytes("capacity.json").unwrap_or_default())?,
        Format::Csv => emit(files.bytes("capacity.csv").unwrap_or_default())?,
    }
    if !context.quiet {
        write_stderr(&report::table::render_warnings(&study));
    }
    let page = folder.join("index.html");
    context.say(&format!("wrote {} in {:.1} s", page.display(), started.elapsed().as_secs_f64()));
    Ok(exit::DONE)
}

/// Whether the command line says how many seeds there are.
pub(super) fn says_seeds(changes: &ScenarioArgs) -> bool {
    changes.seeds.is_some()
        || changes.sets.iter().any(|s| s.split('=').next().map(str::trim) == Some("seeds"))
}
