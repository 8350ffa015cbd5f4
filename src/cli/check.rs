//! `check`: scenarios held against their baselines.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::diagnostic::InputError;
use crate::gate::{self, Baseline, Found, Mode, github, judge, junit, markdown, text};
use crate::results::Study;
use crate::scenario::execute::{Given, Options, point_labels, runs_given};
use crate::scenario::{Axis, Flags, StudyPlan, Target};
use crate::workload::RequestRate;

use super::context::{Context, Error, emit};
use super::gate_args::{CheckArgs, CheckFormat};
use super::output::write_bytes;
use super::progress::Bars;
use super::run::pool;
use super::{Outcome, exit};

/// Where scenarios for the gate lie.
const SCENARIOS: &str = "scenarios/ci";

pub(super) fn check(args: &CheckArgs, context: &Context) -> Outcome {
    let scenarios = if args.scenarios.is_empty() { all_scenarios()? } else { args.scenarios.clone() };
    let pool = pool(args.jobs)?;
    if let Some(reason) = &args.reason {
        for scenario in &scenarios {
            pool.install(|| bless(scenario, reason, args, context))?;
        }
        return Ok(exit::DONE);
    }
    // All files are read before anything is run.
    let plans = scenarios.iter().map(|s| Gated::read(s, args)).collect::<Result<Vec<Gated>, Error>>()?;
    let mut all = Vec::new();
    for plan in &plans {
        let found = pool.install(|| plan.check(args, context))?;
        match args.format {
            CheckFormat::Text => emit(text::render(&found).as_bytes())?,
            CheckFormat::Github => emit(github::annotations(&found).as_bytes())?,
            CheckFormat::Markdown | CheckFormat::Json => {}
        }
        all.push(found);
    }
    write_reports(&all, args)?;
    let failed = all.iter().any(Found::fails);
    if failed {
        context.say(
            "help: mend what got worse, or, if it should be so: windtunnel check SCENARIO --bless --reason \"why\"",
        );
    }
    Ok(if failed { exit::GATE } else { exit::DONE })
}

/// Every scenario of the gate, by name.
fn all_scenarios() -> Result<Vec<String>, Error> {
    let missing = |message: String| {
        let help = "name scenario files, or go to the folder that holds `scenarios/ci`";
        Error::from(InputError::named(SCENARIOS, message, help))
    };
    let entries = fs::read_dir(SCENARIOS).map_err(|e| missing(format!("cannot be read: {e}")))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| missing(format!("cannot be read: {e}")))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            found.push(path.display().to_string());
        }
    }
    found.sort();
    if found.is_empty() { Err(missing("holds no scenario".to_owned())) } else { Ok(found) }
}

/// A scenario with its baseline.
struct Gated {
    file: String,
    plan: StudyPlan,
    baseline: Baseline,
    mode: Mode,
}

impl Gated {
    fn read(scenario: &str, args: &CheckArgs) -> Result<Gated, Error> {
        let plan = StudyPlan::resolve(&Target::parse(scenario), &flags(args))?;
        let path = baseline_path(&args.baselines, &plan);
        let name = path.display().to_string();
        let Some(text) = read_if_there(&path)? else {
            let help = format!("make one: windtunnel check {scenario} --bless --reason \"first baseline\"");
            return Err(InputError::named(name, "the scenario has no baseline", help).into());
        };
        let baseline = Baseline::read(&name, &text)?;
        let last = baseline.seeds.iter().copied().max().unwrap_or(0);
        if let Some(first) = args.fresh_seeds.filter(|&first| first <= last) {
            let message = format!("seed {first} is one of the baseline's");
            let help = format!("name a seed from {} on, or drop the flag", last + 1);
            return Err(InputError::named("--fresh-seeds", message, help).into());
        }
        let mode = args.fresh_seeds.map_or(Mode::Paired, Mode::Fresh);
        Ok(Gated { file: scenario.to_owned(), plan, baseline, mode })
    }

    /// The rates of the baseline, in the order of the points.
    fn rates(&self) -> Result<Vec<Option<RequestRate>>, Error> {
        if self.plan.axis == Axis::Natural {
            return Ok(vec![None]);
        }
        let rate = |label: &String| {
            let point = self.baseline.point(label).and_then(|p| RequestRate::per_second(p.rate_per_s?));
            let message = || format!("the baseline has no point `{label}`");
            point.map(Some).ok_or_else(|| self.other_requests(message()))
        };
        point_labels(&self.plan).iter().map(rate).collect()
    }

    fn other_requests(&self, message: String) -> Error {
        let help = format!(
            "undo what changed the requests, or: windtunnel check {} --bless --reason \"why\"",
            self.file
        );
        InputError::named(self.file.clone(), message, help).into()
    }

    fn check(&self, args: &CheckArgs, context: &Context) -> Result<Found, Error> {
        let first_seed = match self.mode {
            Mode::Paired => self.baseline.seeds.first().copied().unwrap_or(1),
            Mode::Fresh(first) => first,
        };
        let seeds = u32::try_from(self.baseline.seeds.len()).unwrap_or(u32::MAX);
        let plan = StudyPlan { seeds, ..self.plan.clone() };
        let rates = self.rates()?;
        let given = Given { first_seed, rates: Some(&rates) };
        let study = study(&plan, given, args.audit, context)?;
        match self.mode {
            Mode::Paired => self.expect_same_requests(&study)?,
            Mode::Fresh(_) if study.seed_count() < self.baseline.seeds.len() || study.seed_count() < 2 => {
                let message = "fresh seeds have the same requests, or there is one seed only";
                let help = "a real trace has nothing to draw: check it without `--fresh-seeds`; else bless with `--seeds 5`";
                return Err(InputError::named("--fresh-seeds", message, help).into());
            }
            Mode::Fresh(_) => {}
        }
        Ok(judge(&study, &self.file, &self.baseline, &self.plan.check, self.mode))
    }

    /// Paired runs are only exact with the very same requests.
    fn expect_same_requests(&self, study: &Study) -> Result<(), Error> {
        for run in &study.runs {
            let label = &study.points[run.point].label;
            let position = self.baseline.seeds.iter().position(|&s| s == run.seed);
            let hash = position.and_then(|i| self.baseline.point(label)?.requests.get(i));
            if hash != Some(&run.requests_hash) {
                let message =
                    format!("the requests of seed {} at `{label}` are not those of the baseline", run.seed);
                return Err(self.other_requests(message));
            }
        }
        Ok(())
    }
}

fn flags(args: &CheckArgs) -> Flags {
    Flags { sets: args.sets.clone(), seeds: args.seeds }
}

fn baseline_path(folder: &Path, plan: &StudyPlan) -> PathBuf {
    folder.join(format!("{}.toml", plan.name))
}

fn read_if_there(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::Environment(format!("`{}` cannot be read: {e}", path.display()))),
    }
}

/// The runs of a scenario.
fn study(plan: &StudyPlan, given: Given<'_>, audit: bool, context: &Context) -> Result<Study, Error> {
    let bars = Bars::new(context.shows_progress());
    let options = Options { audit, ..Options::default() };
    let executed = runs_given(plan, given, options, &bars);
    bars.clear();
    Ok(executed?.into_study(plan))
}

/// Makes what a scenario gives now its baseline.
fn bless(scenario: &str, reason: &str, args: &CheckArgs, context: &Context) -> Result<(), Error> {
    if reason.trim().is_empty() {
        let help = "say why the new numbers are right: the next reader will ask";
        return Err(InputError::named("--reason", "is empty", help).into());
    }
    let plan = StudyPlan::resolve(&Target::parse(scenario), &flags(args))?;
    let path = baseline_path(&args.baselines, &plan);
    let before = read_if_there(&path)?.map(|text| Baseline::read(&path.display().to_string(), &text));
    // What cannot be read any more is replaced: that is what one blesses for.
    let before = before.and_then(Result::ok);
    let study = study(&plan, Given { first_seed: 1, rates: None }, args.audit, context)?;
    let mut reasons = before.as_ref().map(|b| b.reasons.clone()).unwrap_or_default();
    reasons.push(reason.to_owned());
    let baseline = Baseline::of(&study, &plan.check.metrics, reasons);
    fs::create_dir_all(&args.baselines)
        .map_err(|e| Error::Environment(format!("`{}` cannot be made: {e}", args.baselines.display())))?;
    write_bytes(&path, baseline.text().as_bytes())?;
    if let Some(before) = before.filter(|b| b.seeds == baseline.seeds) {
        let found = judge(&study, scenario, &before, &plan.check, Mode::Paired);
        emit(format!("before it was blessed: {}", text::render(&found)).as_bytes())?;
    }
    context.say(&format!("wrote {}", path.display()));
    Ok(())
}

/// JSON and Markdown on stdout, files for servers.
fn write_reports(all: &[Found], args: &CheckArgs) -> Result<(), Error> {
    match args.format {
        CheckFormat::Json => emit(&gate::json(all))?,
        CheckFormat::Markdown => emit(markdown::markdown(all).as_bytes())?,
        CheckFormat::Text | CheckFormat::Github => {}
    }
    if let Some(file) = &args.junit {
        write_bytes(file, &junit::junit(all))?;
    }
    let step = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|_| args.format == CheckFormat::Github);
    match (&args.summary, step) {
        (Some(file), _) => write_bytes(file, markdown::markdown(all).as_bytes()),
        (None, Some(file)) if !file.is_empty() => append(Path::new(&file), &markdown::markdown(all)),
        _ => Ok(()),
    }
}

/// Other steps of a job may have written to the file before.
fn append(file: &Path, text: &str) -> Result<(), Error> {
    let failed =
        |e: std::io::Error| Error::Environment(format!("`{}` cannot be written: {e}", file.display()));
    let mut out = fs::OpenOptions::new().create(true).append(true).open(file).map_err(failed)?;
    out.write_all(text.as_bytes()).map_err(failed)
}
