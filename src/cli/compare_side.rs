//! One side of `compare`: a result folder that is read, a scenario that is run, a commit that is built and run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::catalog::{self, Shelf};
use crate::diagnostic::InputError;
use crate::results::{Study, read_study};
use crate::scenario::execute::{Given, Options, point_labels, runs_given};
use crate::scenario::{Axis, Flags, StudyPlan, Target};
use crate::workload::RequestRate;

use super::context::{Context, Error};
use super::gate_args::CompareArgs;
use super::progress::Bars;

/// What the user named.
pub(super) enum Side {
    /// A result folder.
    Folder(PathBuf),
    /// A scenario.
    Scenario(String),
    /// A commit, and the scenario to run there.
    Commit { revision: String, scenario: String },
}

/// A side with its numbers.
pub(super) struct Loaded {
    pub study: Study,
}

impl Side {
    /// What `text`, the argument `name`, means.
    pub fn parse(name: &str, text: &str, args: &CompareArgs) -> Result<Side, InputError> {
        if let Some(revision) = text.strip_prefix("commit:") {
            let help = "name it: --scenario scenarios/quickstart.toml";
            let missing =
                || InputError::named("--scenario", "a commit needs a scenario to be run with", help);
            let scenario = args.scenario.clone().ok_or_else(missing)?;
            if revision.is_empty() || revision.starts_with('-') {
                return Err(InputError::named(
                    name,
                    format!("`{revision}` names no commit"),
                    "write `commit:HEAD~1`",
                ));
            }
            return Ok(Side::Commit { revision: revision.to_owned(), scenario });
        }
        let path = Path::new(text);
        if !path.is_dir() {
            let embedded = catalog::embedded_names(Shelf::Scenarios).contains(&text);
            if !embedded && !path.is_file() && !text.ends_with(".toml") {
                let message = format!("`{text}` is no result folder, no scenario and no commit");
                let help = "name a folder that `windtunnel run` wrote, a scenario file, one of `windtunnel list scenarios`, or \
                            `commit:HEAD~1`";
                return Err(InputError::named(name, message, help));
            }
            return Ok(Side::Scenario(text.to_owned()));
        }
        if path.join("manifest.json").is_file() {
            return Ok(Side::Folder(path.to_owned()));
        }
        let help = "name the folder that `windtunnel run` wrote, such as results/quickstart";
        Err(InputError::named(name, format!("`{text}` holds no results"), help))
    }

    pub fn is_folder(&self) -> bool {
        matches!(self, Side::Folder(_))
    }

    /// A name for a folder.
    pub fn short_name(&self) -> String {
        let text = match self {
            Side::Folder(path) => {
                path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Side::Scenario(text) => {
                Path::new(text).file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Side::Commit { revision, .. } => revision.clone(),
        };
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
        let name: String = text.chars().map(plain).collect();
        let name = name.trim_matches(['.', '-']);
        if name.is_empty() { "here".to_owned() } else { name.to_owned() }
    }

    /// Reads or runs it; at the rates of `other`, where it has points of the same name.
    pub fn load(&self, other: Option<&Loaded>, changes: &Flags, context: &Context) -> Result<Loaded, Error> {
        match self {
            Side::Folder(path) => Ok(Loaded { study: read_study(path)? }),
            Side::Scenario(text) => run_scenario(text, other, changes, context),
            Side::Commit { revision, scenario } => run_commit((revision, scenario), other, changes, context),
        }
    }
}

fn run_scenario(
    scenario: &str,
    other: Option<&Loaded>,
    changes: &Flags,
    context: &Context,
) -> Result<Loaded, Error> {
    let plan = StudyPlan::resolve(&Target::parse(scenario), changes)?;
    for warning in &plan.warnings {
        context.say(&format!("warning: {warning}"));
    }
    let rates = other.and_then(|other| rates_of(&other.study, &plan));
    let bars = Bars::new(context.shows_progress());
    let given = Given { first_seed: 1, rates: rates.as_deref() };
    let executed = runs_given(&plan, given, Options::default(), &bars);
    bars.clear();
    Ok(Loaded { study: executed?.into_study(&plan) })
}

/// The rates of `study` for the loads of `plan`, so that both offer the same; none unless it has all of them.
fn rates_of(study: &Study, plan: &StudyPlan) -> Option<Vec<Option<RequestRate>>> {
    let Axis::Loads(_) = plan.axis else { return None };
    let rate = |label: &String| {
        let point = study.points.iter().find(|p| p.label == *label)?;
        RequestRate::per_second(point.rate_per_s?).map(Some)
    };
    point_labels(plan).iter().map(rate).collect()
}

/// Builds a commit beside the working tree and runs the scenario with it.
fn run_commit(
    (revision, scenario): (&str, &str),
    other: Option<&Loaded>,
    changes: &Flags,
    context: &Context,
) -> Result<Loaded, Error> {
    let commit = format!("{revision}^{{commit}}");
    let hash = git(&["rev-parse", "--verify", "--quiet", &commit]).map_err(|_| {
        let help = "run it inside the repository, with a revision that `git log` shows";
        Error::from(InputError::named("commit", format!("`{revision}` names no commit"), help))
    })?;
    let top = PathBuf::from(git(&["rev-parse", "--show-toplevel"])?);
    let tree = top.join("target/compare").join(&hash);
    if !tree.is_dir() {
        git(&["worktree", "prune"])?;
        git(&["worktree", "add", "--detach", "--quiet", &tree.display().to_string(), &hash])?;
    }
    context.say(&format!("building {revision} in {} (kept for the next time)", tree.display()));
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--quiet"]).current_dir(&tree);
    finished(cargo.env("CARGO_TARGET_DIR", tree.join("target")), "cargo build")?;
    let results = tree.join("target/compare-results");
    let mut run = Command::new(tree.join("target/release/windtunnel"));
    run.args(["run", scenario, "--no-page", "--quiet", "--out"]).arg(&results);
    for set in &changes.sets {
        run.arg("--set").arg(set);
    }
    if let Some(seeds) = changes.seeds {
        run.args(["--seeds", &seeds.to_string()]);
    }
    // Loads are shares of a capacity, which another commit may find elsewhere: its points get the rates instead.
    if let Some(points) = other.map(|o| &o.study.points).filter(|p| p.iter().any(|p| p.load.is_some())) {
        let rates: Vec<String> =
            points.iter().filter_map(|p| p.rate_per_s).map(|r| format!("\"{r} req/s\"")).collect();
        run.args(["--set", "workload.load=", "--set", &format!("workload.rate=[{}]", rates.join(", "))]);
    }
    if results.exists() {
        std::fs::remove_dir_all(&results)
            .map_err(|e| Error::Environment(format!("`{}` cannot be removed: {e}", results.display())))?;
    }
    finished(&mut run, &format!("windtunnel run of {revision}"))?;
    let name = StudyPlan::resolve(&Target::parse(scenario), changes)?.name;
    Ok(Loaded { study: read_study(&results.join(name))? })
}

/// What git prints, trimmed.
fn git(arguments: &[&str]) -> Result<String, Error> {
    let failed = |e: String| Error::Environment(format!("git {} failed: {e}", arguments.join(" ")));
    let output = Command::new("git").args(arguments).output().map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Waits for a command that must succeed; its errors are shown as they come, its results are not.
fn finished(command: &mut Command, name: &str) -> Result<(), Error> {
    let failed = |e: String| Error::Environment(format!("{name} failed: {e}"));
    let status = command.stdout(std::process::Stdio::null()).status().map_err(|e| failed(e.to_string()))?;
    if status.success() { Ok(()) } else { Err(failed(status.to_string())) }
}
