//! `sweep emit`: scripts for schedulers of jobs. Nothing is sent anywhere: what is printed can be read, changed and kept.

use crate::scenario::{StudyPlan, Target};

use super::context::{Context, emit as print};
use super::merge_args::{EmitArgs, EmitTarget, SweepArgs, SweepVerb};
use super::run::flags;
use super::{Outcome, exit};

pub(super) fn sweep(args: &SweepArgs, _: &Context) -> Outcome {
    let SweepVerb::Emit(args) = &args.verb;
    let plan = StudyPlan::resolve(&Target::parse(&args.scenario), &flags(&args.changes))?;
    let text = match args.target {
        EmitTarget::Slurm => slurm(args, &plan.name),
        EmitTarget::Kubernetes => kubernetes(args, &plan.name),
        EmitTarget::GnuParallel => gnu_parallel(args, &plan.name),
    };
    print(text.as_bytes())?;
    Ok(exit::DONE)
}

/// The cores of a task, as a script of Slurm knows them.
const SLURM_CORES: &str = "\"$SLURM_CPUS_PER_TASK\"";

/// The words behind `windtunnel`.
fn words(args: &EmitArgs, shard: &str, cores: &str) -> Vec<String> {
    let mut words =
        ["run", &args.scenario, "--shard", shard, "--jobs", cores, "--quiet"].map(str::to_owned).to_vec();
    for set in &args.changes.sets {
        words.extend(["--set".to_owned(), set.clone()]);
    }
    if let Some(seeds) = args.changes.seeds {
        words.extend(["--seeds".to_owned(), seeds.to_string()]);
    }
    words
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
    if word == SLURM_CORES || !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

fn line(words: &[String]) -> String {
    words.iter().map(|w| quoted(w)).collect::<Vec<String>>().join(" ")
}

/// A name that Slurm, Kubernetes and file systems take.
fn plain_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let name: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let name = name.trim_matches('-');
    let end = name.len().min(40);
    format!("windtunnel-{}", name[..end].trim_end_matches('-'))
}

/// What puts the shards together.
fn merge(args: &EmitArgs, name: &str) -> String {
    format!("windtunnel merge {}-of-{}", shards_of(name), args.shards)
}

/// The folders of the shards, as a pattern.
fn shards_of(name: &str) -> String {
    format!("results/{}.shard-*", quoted(name))
}

fn slurm(args: &EmitArgs, name: &str) -> String {
    let (job, shards, cores) = (plain_name(name), args.shards, args.cores);
    let run = line(&words(args, "auto", SLURM_CORES));
    let merge = merge(args, name);
    format!(
        "#!/bin/bash\n\
         # sbatch THIS_FILE, in the folder where `windtunnel run` would be started. A task that failed or was cut off is submitted\n\
         # again with the same --array index: it goes on where it stopped. When all are done:\n\
         #   {merge}\n\
         #SBATCH --job-name={job}\n\
         #SBATCH --array=1-{shards}\n\
         #SBATCH --ntasks=1\n\
         #SBATCH --cpus-per-task={cores}\n\
         #SBATCH --output={job}-%A-%a.log\n\
         set -euo pipefail\n\
         cd \"$SLURM_SUBMIT_DIR\"\n\
         windtunnel {run}\n"
    )
}

fn gnu_parallel(args: &EmitArgs, name: &str) -> String {
    let shards = args.shards;
    let run = line(&words(args, "SHARD", &args.cores.to_string()));
    let run = run.replacen("SHARD", &format!("{{}}/{shards}"), 1);
    let merge = merge(args, name);
    format!(
        "#!/bin/bash\n\
         # One machine; with --sshlogin several ones that share this folder. What was cut off goes on where it stopped.\n\
         set -euo pipefail\n\
         seq {shards} | parallel --halt soon,fail=1 {}\n\
         {merge}\n",
        quoted(&format!("windtunnel {run}"))
    )
}

fn kubernetes(args: &EmitArgs, name: &str) -> String {
    // A JSON string is a YAML string.
    let text = |word: &str| serde_json::Value::String(word.to_owned()).to_string();
    let command = words(args, "auto", &args.cores.to_string());
    let command: Vec<String> = ["windtunnel".to_owned()]
        .into_iter()
        .chain(command)
        .map(|w| format!("            - {}\n", text(&w)))
        .collect();
    let merge = merge(args, name);
    let (job, shards, cores) = (plain_name(name), args.shards, args.cores);
    let (image, claim) = (text(&args.image), text(&args.claim));
    format!(
        "# For Kubernetes 1.29 or newer: kubectl apply -f THIS_FILE. The image has `windtunnel` and, if it is a file, the scenario below /work; the claim is\n\
         # mounted at /work/results. A pod that fails is started again and goes on where it stopped. When the job is complete, in a pod with\n\
         # the same mounts: {merge}\n\
         apiVersion: batch/v1\n\
         kind: Job\n\
         metadata:\n  name: {job}\n\
         spec:\n  completions: {shards}\n  parallelism: {shards}\n  completionMode: Indexed\n  backoffLimitPerIndex: 3\n\
         \x20 template:\n    spec:\n      restartPolicy: Never\n      containers:\n        - name: windtunnel\n          image: {image}\n\
         \x20         workingDir: /work\n          command:\n{}\
         \x20         env:\n            - name: WINDTUNNEL_SHARDS\n              value: \"{shards}\"\n\
         \x20         resources:\n            requests:\n              cpu: {cores}\n              memory: 2Gi\n\
         \x20         volumeMounts:\n            - name: results\n              mountPath: /work/results\n\
         \x20     volumes:\n        - name: results\n          persistentVolumeClaim:\n            claimName: {claim}\n",
        command.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_one_word_in_a_shell() {
        assert_eq!(quoted("a.toml"), "a.toml");
        assert_eq!(quoted("workload.load=[0.5, 0.8]"), "'workload.load=[0.5, 0.8]'");
        assert_eq!(quoted("it's; rm -rf /"), "'it'\\''s; rm -rf /'");
        assert_eq!(quoted("\"$SLURM_CPUS_PER_TASK\""), "\"$SLURM_CPUS_PER_TASK\"");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn names_are_those_of_hosts() {
        assert_eq!(plain_name("My study: größer"), "windtunnel-my-study--gr--er");
        assert_eq!(plain_name("a.b"), "windtunnel-a-b");
    }
}
