//! `plan`: the deployment that serves most within the limits.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use crate::cluster::RunOptions;
use crate::planner::{self, Store};
use crate::report;
use crate::results::{self, CANDIDATES, Finding, Remembered};
use crate::scenario::Target;
use crate::scenario::capacity_study::SEEDS_LEAST;
use crate::scenario::deployments::DeploymentPlan;

use super::args::{Format, PlanArgs, ScenarioArgs};
use super::capacity::says_seeds;
use super::context::{Context, Error, emit, write_stderr};
use super::progress::Bars;
use super::run::{flags, pool, results_folder, timing};
use super::{Outcome, exit};

pub(super) fn plan(args: &PlanArgs, context: &Context) -> Outcome {
    let started = Instant::now();
    let target = Target::parse(&args.scenario);
    let mut plan = DeploymentPlan::resolve(&target, &flags(&args.changes))?;
    if plan.study.seeds < SEEDS_LEAST && !says_seeds(&args.changes) {
        let changes = ScenarioArgs { seeds: Some(SEEDS_LEAST), ..args.changes.clone() };
        context.say(&format!(
            "{SEEDS_LEAST} seeds are used, the least for a capacity; `--seeds` says otherwise"
        ));
        plan = DeploymentPlan::resolve(&target, &flags(&changes))?;
    }
    for warning in &plan.study.warnings {
        context.say(&format!("warning: {warning}"));
    }
    let folder = results_folder(args.out.as_deref(), &plan.study.name)?.join("plan");
    results::refuse_foreign(&folder)?;
    let resolved = started.elapsed();
    let pool = pool(args.jobs)?;
    let journal = Journal::open(&folder, args.fresh)?;
    let before = journal.known()?.len();
    if before > 0 {
        context.say(&format!("{before} findings of an earlier search are at hand; `--fresh` forgets them"));
    }
    let bars = Bars::new(context.shows_progress());
    let options = RunOptions { audit: args.audit, ..RunOptions::default() };
    let found = pool.install(|| planner::search(&plan, options, &journal, &bars));
    bars.clear();
    let (study, detail) = found?;
    let simulated = started.elapsed();
    let used = journal.finish()?;
    let mut files = report::plan_folder(&study, &detail, &used);
    let spans = [resolved, simulated - resolved, started.elapsed() - simulated];
    files.add("timing.json", timing(spans, pool.current_num_threads()));
    results::commit(&folder, &files)?;
    match args.format {
        Format::Table => emit(report::plan::text(&detail).as_bytes())?,
        Format::Json => emit(files.bytes("plan.json").unwrap_or_default())?,
        Format::Csv => emit(files.bytes("plan.csv").unwrap_or_default())?,
    }
    if !context.quiet {
        write_stderr(&report::table::render_warnings(&study));
    }
    let page = folder.join("index.html");
    context.say(&format!("wrote {} in {:.1} s", page.display(), started.elapsed().as_secs_f64()));
    Ok(exit::DONE)
}

/// `candidates.jsonl`: a line for each finding, written as soon as it is known.
struct Journal {
    state: Mutex<State>,
}

struct State {
    file: File,
    /// Of earlier searches and this one.
    known: BTreeMap<String, Finding>,
    /// What this search asked for or found: all that is kept at the end.
    used: BTreeMap<String, Finding>,
    /// The first thing that could not be written.
    failed: Option<String>,
}

impl Journal {
    fn open(folder: &Path, fresh: bool) -> Result<Journal, Error> {
        let path = folder.join(CANDIDATES);
        let cannot = |what: &str, e: std::io::Error| {
            Error::Environment(format!("{} cannot be {what}: {e}", path.display()))
        };
        fs::create_dir_all(folder).map_err(|e| cannot("made", e))?;
        let text = match fs::read_to_string(&path) {
            Ok(text) if !fresh => text,
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot("read", e)),
            _ => String::new(),
        };
        let known = Remembered::read(&text);
        // Whole lines only: a search that was cut off may have left half of one.
        let whole: Vec<u8> = known
            .iter()
            .flat_map(|(fingerprint, finding)| {
                Remembered { fingerprint: fingerprint.clone(), finding: finding.clone() }.line()
            })
            .collect();
        fs::write(&path, whole).map_err(|e| cannot("written", e))?;
        let file = OpenOptions::new().append(true).open(&path).map_err(|e| cannot("opened", e))?;
        Ok(Journal { state: Mutex::new(State { file, known, used: BTreeMap::new(), failed: None }) })
    }

    fn known(&self) -> Result<BTreeMap<String, Finding>, Error> {
        let state = self.state.lock().map_err(|_| Error::Bug("the journal is poisoned".to_owned()))?;
        Ok(state.known.clone())
    }

    /// What this search used, if all of it could be written.
    fn finish(self) -> Result<BTreeMap<String, Finding>, Error> {
        let state = self.state.into_inner().map_err(|_| Error::Bug("the journal is poisoned".to_owned()))?;
        match state.failed {
            Some(text) => Err(Error::Environment(format!("{CANDIDATES} cannot be written: {text}"))),
            None => Ok(state.used),
        }
    }
}

impl Store for Journal {
    fn find(&self, fingerprint: &str) -> Option<Finding> {
        let mut state = self.state.lock().ok()?;
        let found = state.known.get(fingerprint).cloned()?;
        state.used.insert(fingerprint.to_owned(), found.clone());
        Some(found)
    }

    fn keep(&self, fingerprint: &str, finding: &Finding) {
        let Ok(mut state) = self.state.lock() else { return };
        let line = Remembered { fingerprint: fingerprint.to_owned(), finding: finding.clone() }.line();
        if let Err(e) = state.file.write_all(&line) {
            state.failed.get_or_insert(e.to_string());
        }
        state.used.insert(fingerprint.to_owned(), finding.clone());
    }
}
