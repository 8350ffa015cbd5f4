//! `run --shard` and `merge`: a study in parts, on machines that know nothing of each other.

use std::fs;
use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::diagnostic::InputError;
use crate::scenario::execute::{Options, execute_shard};
use crate::scenario::fingerprint::PROGRAM;
use crate::scenario::runs::Shard;
use crate::scenario::{Flags, StudyPlan, Target};

use super::args::{MergeArgs, RunArgs};
use super::context::{Context, Error};
use super::output::write_bytes;
use super::progress::Bars;
use super::run::{complete, pool, results_folder};
use super::run_journal::{Gathered, RunJournal, read_runs};
use super::{Outcome, exit};

/// What says of a folder that it holds a shard.
const HEAD: &str = "shard.json";
const RUNS: &str = "runs.jsonl";

/// `shard.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Head {
    schema: u32,
    tool: String,
    /// Names the sources of the program.
    program: String,
    scenario: String,
    sets: Vec<String>,
    seeds: Option<u32>,
    shard: u32,
    of: u32,
    /// Whether all runs of the shard are there.
    finished: bool,
}

impl Head {
    /// What all shards of a study have in common.
    fn study(&self) -> (&str, &str, &[String], Option<u32>, u32) {
        (&self.program, &self.scenario, &self.sets, self.seeds, self.of)
    }
}

/// Reads `--shard`: `2/8`, or `auto` from the variables of Slurm or Kubernetes.
pub(super) fn parse(text: &str) -> Result<Shard, InputError> {
    let wrong = |message: String, help: &str| Err(InputError::named("--shard", message, help));
    let help = "write `2/8` for the second of eight, or `auto` inside a Slurm job array or an indexed Kubernetes Job";
    if text == "auto" {
        return from_environment(&|name| std::env::var(name).ok());
    }
    let numbers =
        text.split_once('/').and_then(|(i, n)| Some((i.parse::<u32>().ok()?, n.parse::<u32>().ok()?)));
    match numbers {
        Some((number, of)) if number >= 1 && number <= of => Ok(Shard { number, of }),
        _ => wrong(format!("`{text}` names no shard"), help),
    }
}

/// The shard that a scheduler of jobs says.
fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Shard, InputError> {
    let number = |name: &str| get(name).and_then(|v| v.trim().parse::<u32>().ok());
    let slurm = || {
        let (id, count) = (number("SLURM_ARRAY_TASK_ID")?, number("SLURM_ARRAY_TASK_COUNT")?);
        let first = number("SLURM_ARRAY_TASK_MIN").unwrap_or(0);
        let step = number("SLURM_ARRAY_TASK_STEP").filter(|&s| s > 0).unwrap_or(1);
        Some(Shard { number: id.checked_sub(first)? / step + 1, of: count })
    };
    let kubernetes =
        || Some(Shard { number: number("JOB_COMPLETION_INDEX")? + 1, of: number("WINDTUNNEL_SHARDS")? });
    let found = slurm().or_else(kubernetes).filter(|s| s.number <= s.of);
    found.ok_or_else(|| {
        let message = "`auto` finds neither SLURM_ARRAY_TASK_ID with SLURM_ARRAY_TASK_COUNT nor JOB_COMPLETION_INDEX with \
                       WINDTUNNEL_SHARDS";
        InputError::named("--shard", message, "write the shard as `2/8`")
    })
}

/// `run --shard`: makes its runs and leaves them in a folder for `merge`.
pub(super) fn run(args: &RunArgs, shard: Shard, plan: &StudyPlan, context: &Context) -> Outcome {
    let started = Instant::now();
    if args.requests || args.trace_events {
        let flag = if args.requests { "--requests" } else { "--trace-events" };
        let help = "drop it: a shard leaves what tables, plots and the page need";
        return Err(InputError::named(flag, "a shard does not leave that", help).into());
    }
    let name = format!("{}.shard-{}-of-{}", plan.name, shard.number, shard.of);
    let folder = results_folder(args.out.as_deref(), &name)?;
    let mut head = Head {
        schema: 1,
        tool: "windtunnel".to_owned(),
        program: PROGRAM.to_owned(),
        scenario: args.scenario.clone(),
        sets: args.changes.sets.clone(),
        seeds: args.changes.seeds,
        shard: shard.number,
        of: shard.of,
        finished: false,
    };
    claim(&folder)?;
    write_bytes(&folder.join(HEAD), &crate::results::json(&head))?;
    let journal = RunJournal::of_shard(folder.join(RUNS))?;
    if journal.known() > 0 {
        context.say(&format!("{} runs were there already", journal.known()));
    }
    let bars = Bars::new(context.shows_progress());
    let options = Options { stepwise: args.stepwise, audit: args.audit, keep_requests: false };
    let runs = pool(args.jobs)?.install(|| execute_shard(plan, shard, options, &journal, &bars));
    bars.clear();
    let runs = runs?;
    journal.finish()?;
    head.finished = true;
    write_bytes(&folder.join(HEAD), &crate::results::json(&head))?;
    let seconds = started.elapsed().as_secs_f64();
    context.say(&format!("wrote {}: {runs} runs in {seconds:.1} s", folder.display()));
    Ok(exit::DONE)
}

/// Makes the folder of a shard; one that holds something else is left alone.
fn claim(folder: &Path) -> Result<(), Error> {
    let failed =
        |e: std::io::Error| Error::Environment(format!("`{}` cannot be made: {e}", folder.display()));
    fs::create_dir_all(folder).map_err(failed)?;
    // A file that was being written when the command was killed has a hidden name.
    let is_other = |name: std::ffi::OsString| !name.to_string_lossy().starts_with('.');
    let mut entries = fs::read_dir(folder).map_err(failed)?.filter_map(Result::ok).map(|e| e.file_name());
    if !folder.join(HEAD).is_file() && entries.any(is_other) {
        let message = "the folder is not empty and holds no shard";
        let help = "choose another folder with `--out`, or empty it";
        return Err(InputError::named(format!("--out: {}", folder.display()), message, help).into());
    }
    Ok(())
}

/// `merge`: the results of a study whose runs were made in shards.
pub(super) fn merge(args: &MergeArgs, context: &Context) -> Outcome {
    let shards = args.folders.iter().map(|f| read(f)).collect::<Result<Vec<Head>, Error>>()?;
    let Some(first) = shards.first() else {
        return Err(InputError::named("merge", "no shard is named", "name the folders of all shards").into());
    };
    for (head, folder) in shards.iter().zip(&args.folders) {
        if head.study() != first.study() {
            let (one, other) = (args.folders[0].display(), folder.display());
            let message =
                format!("`{one}` and `{other}` are shards of different studies, or of different programs");
            return Err(InputError::named("merge", message, "name the shards of one study").into());
        }
    }
    if first.program != PROGRAM {
        let help = "merge with the program that made the shards";
        return Err(
            InputError::named("merge", "another version of windtunnel made these shards", help).into()
        );
    }
    expect_all(&shards, first.of)?;
    let mut runs = std::collections::BTreeMap::new();
    for folder in &args.folders {
        runs.extend(read_runs(&folder.join(RUNS))?);
    }
    let started = Instant::now();
    let flags = Flags { sets: first.sets.clone(), seeds: first.seeds };
    let plan = StudyPlan::resolve(&Target::parse(&first.scenario), &flags)?;
    let plan = (&plan, started.elapsed());
    complete(&args.as_run(first.scenario.clone()), plan, &Gathered(runs), context)
}

/// Every shard once, and finished.
fn expect_all(shards: &[Head], of: u32) -> Result<(), InputError> {
    let has = |number: u32| shards.iter().filter(|s| s.shard == number).count();
    let missing: Vec<String> = (1..=of).filter(|&n| has(n) == 0).map(|n| n.to_string()).collect();
    let cut: Vec<String> = shards.iter().filter(|s| !s.finished).map(|s| s.shard.to_string()).collect();
    let list = |numbers: &[String]| numbers.join(", ");
    if !missing.is_empty() {
        let message = format!("of {of} shards these are missing: {}", list(&missing));
        return Err(InputError::named(
            "merge",
            message,
            "make them with `run --shard`, and name all folders",
        ));
    }
    if !cut.is_empty() {
        let message = format!("of {of} shards these are not finished: {}", list(&cut));
        let help = "run them again: they go on where they stopped";
        return Err(InputError::named("merge", message, help));
    }
    Ok(())
}

fn read(folder: &Path) -> Result<Head, Error> {
    let path = folder.join(HEAD);
    let help = "name folders that `windtunnel run --shard` wrote";
    let text = fs::read_to_string(&path)
        .map_err(|e| InputError::named(folder.display().to_string(), format!("holds no shard: {e}"), help))?;
    let head: Head = serde_json::from_str(&text).map_err(|e| {
        InputError::named(path.display().to_string(), format!("is no head of a shard: {e}"), help)
    })?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_come_from_schedulers_of_jobs() {
        let of = |variables: &'static [(&str, &str)]| {
            let get = move |name: &str| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            };
            from_environment(&get).ok().map(|s| (s.number, s.of))
        };
        assert_eq!(of(&[]), None);
        let zero =
            &[("SLURM_ARRAY_TASK_ID", "3"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "0")];
        assert_eq!(of(zero), Some((4, 4)));
        let from_ten = &[
            ("SLURM_ARRAY_TASK_ID", "14"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "10"),
            ("SLURM_ARRAY_TASK_STEP", "2"),
        ];
        assert_eq!(of(from_ten), Some((3, 3)));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "0"), ("WINDTUNNEL_SHARDS", "2")]), Some((1, 2)));
        assert_eq!(of(&[("JOB_COMPLETION_INDEX", "2"), ("WINDTUNNEL_SHARDS", "2")]), None);
    }

    #[test]
    fn a_shard_is_written_as_a_fraction() {
        assert_eq!(parse("2/8").ok(), Some(Shard { number: 2, of: 8 }));
        for wrong in ["0/8", "9/8", "2", "2/", "a/b", "-1/2"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
