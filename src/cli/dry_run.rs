//! `run --dry-run`: what would be run, and about how long it would take.

use std::time::Instant;

use crate::scenario::execute::{Given, Options, prepare, runs_given};
use crate::scenario::{Flags, StudyPlan, Target};

use super::args::RunArgs;
use super::context::{Context, emit};
use super::run::{flags, pool};
use super::{Outcome, exit};

/// Requests of the runs that are timed.
const TIMED: usize = 500;

pub(super) fn dry_run(args: &RunArgs, plan: &StudyPlan, context: &Context) -> Outcome {
    let pool = pool(args.jobs)?;
    let prepared = pool.install(|| prepare(plan, &()))?;
    let requests = prepared[0].trace.len();
    let (systems, points, seeds) = (plan.systems.len(), plan.axis.len(), prepared.len());
    let mut out = String::new();
    for system in &plan.systems {
        out.push_str(&format!("{}\n", system.name.replace(char::is_control, " ")));
    }
    out.push_str(&format!(
        "{systems} systems × {points} points × {seeds} seeds = {} runs of {requests} requests\n",
        systems * points * seeds
    ));
    drop(prepared);
    emit(out.as_bytes())?;
    // A small copy of the study, the search of its loads included.
    let Flags { mut sets, .. } = flags(&args.changes);
    let few = requests.min(TIMED);
    sets.push(format!("workload.requests={few}"));
    let small = StudyPlan::resolve(&Target::parse(&args.scenario), &Flags { sets, seeds: Some(1) });
    let Ok(small) = small else {
        context.say("how long it would take is not known: `workload.requests` cannot be set here");
        return Ok(exit::DONE);
    };
    let started = Instant::now();
    let made =
        pool.install(|| runs_given(&small, Given { first_seed: 1, rates: None }, Options::default(), &()));
    let took = started.elapsed().as_secs_f64();
    let Ok(made) = made else {
        context.say("how long it would take is not known: so few requests have no capacity");
        return Ok(exit::DONE);
    };
    let few = made.prepared[0].trace.len().max(1);
    let estimate = took * seeds as f64 * requests as f64 / few as f64;
    let threads = pool.current_num_threads();
    let text = format!(
        "about {} on {threads} threads without page (one seed of {few} requests took {took:.2} s); searches of capacities, \
         sensitivity and robustness not counted\n",
        duration(estimate)
    );
    emit(text.as_bytes())?;
    Ok(exit::DONE)
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
