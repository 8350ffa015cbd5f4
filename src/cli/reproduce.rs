//! `reproduce`: the claims of a paper, run again.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::catalog::{self, Shelf};
use crate::papers::{self, PaperPlan};
use crate::results;
use crate::scenario::Target;

use super::args::ReproduceArgs;
use super::context::{Context, Error, emit};
use super::progress::Bars;
use super::{Outcome, exit};

pub(super) fn reproduce(args: &ReproduceArgs, context: &Context) -> Outcome {
    let names: Vec<String> = match args.paper.as_str() {
        "all" => catalog::embedded_names(Shelf::Papers).into_iter().map(str::to_owned).collect(),
        one => vec![one.to_owned()],
    };
    let mut sets = args.changes.sets.clone();
    sets.extend(args.changes.seeds.map(|n| format!("seeds={n}")));
    // All files are read before anything is run.
    let plans = names
        .iter()
        .map(|name| PaperPlan::resolve(&Target::parse_paper(name), &sets))
        .collect::<Result<Vec<PaperPlan>, _>>()?;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(args.jobs.map_or(0, usize::from))
        .build()
        .map_err(|e| Error::Environment(format!("threads cannot be started: {e}")))?;
    let parent = args.out.clone().unwrap_or_else(|| PathBuf::from("results"));
    let mut lost = Vec::new();
    for plan in &plans {
        lost.extend(one(plan, &parent, &pool, context)?);
    }
    if !args.gate {
        return Ok(exit::DONE);
    }
    for claim in &lost {
        context.say(&format!("lost: {claim}"));
    }
    Ok(if lost.is_empty() { exit::DONE } else { exit::GATE })
}

/// Runs one paper, prints its page, writes its folder; the claims whose recorded verdict was lost.
fn one(
    plan: &PaperPlan,
    parent: &Path,
    pool: &rayon::ThreadPool,
    context: &Context,
) -> Result<Vec<String>, Error> {
    let started = Instant::now();
    let bars = Bars::new(context.shows_progress());
    let result = pool.install(|| papers::reproduce(plan, &bars));
    bars.clear();
    let result = result?;
    let files = papers::files(&result);
    let folder = parent.join("papers").join(&plan.name);
    results::commit(&folder, &files)?;
    emit(files.bytes("page.md").unwrap_or_default())?;
    emit(b"\n")?;
    let folder = folder.display();
    context.say(&format!("wrote {folder}/index.html in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(result.lost().into_iter().map(|claim| format!("{}: {claim}", plan.name)).collect())
}
