//! The day-one studies in small (`scenarios/ci/`): each finds what its large one finds, at every seed or in the mean.

use std::path::{Path, PathBuf};

use windtunnel::metrics::Summary;
use windtunnel::results::Study;
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

#[track_caller]
fn plan(path: &Path) -> StudyPlan {
    let plan = StudyPlan::resolve(&Target::File(path.to_owned()), &Flags::default());
    plan.unwrap_or_else(|errors| panic!("{}: {errors}", path.display()))
}

#[track_caller]
fn study(name: &str) -> Study {
    let plan = plan(&folder().join("ci").join(format!("{name}.toml")));
    let executed = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    executed.into_study(&plan)
}

/// One number of a system, by seed.
#[track_caller]
fn by_seed(study: &Study, system: &str, of: impl Fn(&Summary) -> f64) -> Vec<f64> {
    let position = study.systems.iter().position(|s| s.name == system).expect("a system of the study");
    let values: Vec<f64> = study.runs_of(0, position).iter().map(|r| of(&r.summary)).collect();
    assert_eq!(values.len(), 3, "three seeds of {system}");
    values
}

fn column(key: &'static str) -> impl Fn(&Summary) -> f64 {
    move |s| s.get(key).unwrap_or_else(|| panic!("no {key}"))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// `less` is below `factor` times `more` at every seed.
#[track_caller]
fn below(less: &[f64], factor: f64, more: &[f64]) {
    assert!(less.iter().zip(more).all(|(l, m)| *l < factor * m), "{less:?} against {factor} x {more:?}");
}

#[test]
fn every_study_and_its_miniature_resolves() {
    for place in [folder(), folder().join("ci")] {
        let files = std::fs::read_dir(&place).unwrap().map(|e| e.unwrap().path());
        let files: Vec<PathBuf> = files.filter(|p| p.extension().is_some_and(|e| e == "toml")).collect();
        assert!(files.len() >= 5, "{}: {files:?}", place.display());
        for file in files {
            assert!(!plan(&file).systems.is_empty(), "{}", file.display());
        }
    }
}

#[test]
fn static_batches_carry_a_fraction_of_what_iterations_carry() {
    let study = study("which-scheduler");
    let goodput = |system| by_seed(&study, system, column("goodput_per_s"));
    below(&goodput("fastertransformer"), 0.1, &goodput("orca"));
    let ttft = |system| by_seed(&study, system, column("ttft_p50_s"));
    for system in ["orca", "sarathi-serve", "vllm-v1"] {
        below(&ttft("ideal"), 1.0, &ttft(system));
    }
}

#[test]
fn reservations_for_what_is_never_said_cost_most_of_the_goodput() {
    let study = study("kv-pressure");
    let goodput = |system| by_seed(&study, system, column("goodput_per_s"));
    below(&goodput("reserve 2048"), 0.7, &goodput("on demand"));
    below(&goodput("reserve 2048"), 0.8, &goodput("reserve true"));
    let preempted = |system| by_seed(&study, system, column("run_preemptions"));
    assert!(mean(&preempted("on demand")) > 0.0, "memory was short");
    assert_eq!(mean(&preempted("reserve 2048")), 0.0, "reservations never preempt");
}

#[test]
fn a_threshold_on_long_prompts_protects_the_short_ones() {
    let study = study("long-prompt-mix");
    let chat = |system| {
        by_seed(&study, system, |s| {
            let class = s.classes.iter().find(|c| c.class == "chat").expect("a class of short prompts");
            class.requests.ttft_mean_s.expect("some finished")
        })
    };
    below(&chat("threshold"), 0.6, &chat("vllm-v1"));
}

#[test]
fn routers_that_read_loads_help_unless_they_read_old_ones_blindly() {
    let study = study("router-shootout");
    let ttft = |system| mean(&by_seed(&study, system, column("ttft_p99_s")));
    assert!(ttft("least-requests") < ttft("round-robin"));
    assert!(ttft("2 s old and blind") > ttft("round-robin"));
}

#[test]
fn a_router_that_knows_the_caches_finds_more_in_them() {
    let study = study("prefix-cache");
    let cached = |system| by_seed(&study, system, column("run_cached_tokens"));
    assert_eq!(mean(&cached("no cache")), 0.0);
    below(&cached("random"), 1.0, &cached("global"));
    let ttft = |system| mean(&by_seed(&study, system, column("ttft_mean_s")));
    assert!(ttft("global") < ttft("no cache"), "{} against {}", ttft("global"), ttft("no cache"));
}

#[test]
fn prompts_apart_do_not_disturb_answers_and_come_later() {
    let study = study("chunk-vs-disagg");
    let of = |system: &str, key: &'static str| by_seed(&study, system, column(key));
    below(&of("apart", "gap_p99_s"), 0.3, &of("chunked", "gap_p99_s"));
    below(&of("apart", "tpot_p99_s"), 0.8, &of("chunked", "tpot_p99_s"));
    // Half of the GPUs compute prompts, and one after the other.
    below(&of("chunked", "ttft_p50_s"), 0.95, &of("apart", "ttft_p50_s"));
}

#[test]
fn dispatch_by_freeness_beats_turns_and_moves_happen_without_loss() {
    let study = study("migration-worth");
    let of = |system: &str, key: &'static str| by_seed(&study, system, column(key));
    assert!(mean(&of("no moves", "ttft_p50_s")) < 0.8 * mean(&of("round-robin", "ttft_p50_s")));
    assert!(mean(&of("no moves", "attainment")) > mean(&of("round-robin", "attainment")));
    for system in ["live", "recompute"] {
        assert!(of(system, "moves").iter().all(|&moves| moves >= 10.0), "{system}");
        assert_eq!(of(system, "finished"), of("no moves", "finished"), "{system}");
    }
    assert!(of("no moves", "moves").iter().all(|&moves| moves == 0.0));
}

#[test]
fn an_agent_whose_kv_is_dropped_while_its_tool_runs_waits_longest() {
    let study = study("agents");
    let of = |system: &str, key: &'static str| by_seed(&study, system, column(key));
    below(&of("own replica", "prefill_tokens"), 0.8, &of("kept", "prefill_tokens"));
    below(&of("kept", "prefill_tokens"), 0.2, &of("dropped", "prefill_tokens"));
    below(&of("own replica", "session_mean_s"), 0.95, &of("dropped", "session_mean_s"));
    for system in ["dropped", "kept", "own replica"] {
        assert!(of(system, "sessions").iter().all(|&n| n >= 5.0), "{system}");
    }
}
