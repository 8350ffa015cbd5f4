//! One run of a study: simulated, then measured.

use crate::cluster::{Outcome, RunOptions, StepObserver, Violation, simulate_deployment};
use crate::metrics::{MeasureContext, Window, curves, extract, measure, timeline_of};
use crate::results::RunResult;
use crate::workload::{RequestRate, Trace, declare};

use super::execute::Failure;
use super::plan::{RunPlan, StudyPlan, SystemPlan};

thread_local! {
    static CURRENT: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

/// What this thread is simulating: scenario, system, point and seed, for the text of a panic.
pub fn current_run() -> Option<String> {
    CURRENT.with(|run| run.try_borrow().ok().and_then(|run| run.clone()))
}

fn set_current(run: Option<String>) {
    CURRENT.with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = run;
        }
    });
}

/// Simulates one run of a study and measures it; `spread`: on two threads.
pub(super) fn one_run(
    plan: &StudyPlan,
    run: &RunPlan,
    trace: &Trace,
    rate: Option<RequestRate>,
    options: &RunOptions,
    (keep_requests, spread): (bool, bool),
) -> Result<RunResult, Failure> {
    let system = &plan.systems[run.system];
    let name = format!(
        "scenario `{}`, system `{}`, point {} ({}), seed {}",
        plan.name,
        system.name,
        run.point,
        rate.map_or_else(|| "natural rate".to_owned(), |r| r.to_string()),
        run.seed
    );
    set_current(Some(name.clone()));
    let outcome = simulate_run(system, trace, options, run.seed)
        .map_err(|violation| Failure::Violation { run: name, violation })?;
    set_current(None);
    let context = measure_context(plan, system, rate);
    let measured = || measure(&outcome, trace, &context);
    let drawn = || (curves(&outcome, &context), extract(&outcome, trace, &context.slo));
    let (summary, (curves, extract)) =
        if spread { rayon::join(measured, drawn) } else { (measured(), drawn()) };
    Ok(RunResult {
        system: run.system,
        point: run.point,
        seed: run.seed,
        requests_hash: String::new(),
        summary,
        curves,
        extract,
        timeline: timeline_of(&outcome, &context),
        requests: keep_requests.then_some(outcome.records),
    })
}

/// A run that nobody watches.
pub(crate) fn simulate_run(
    system: &SystemPlan,
    trace: &Trace,
    options: &RunOptions,
    seed: u64,
) -> Result<Outcome, Violation> {
    observed_run(system, trace, options, seed, &mut ())
}

/// The one place where a run is simulated; the observer hears of every step or leap.
pub(crate) fn observed_run(
    system: &SystemPlan,
    trace: &Trace,
    options: &RunOptions,
    seed: u64,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    let declared = system.options.max_tokens.map(|rule| {
        let mut trace = trace.clone();
        declare(&mut trace, system.cluster.replica.max_model_len, rule);
        trace
    });
    let trace = declared.as_ref().unwrap_or(trace);
    simulate_deployment(&system.deployment(seed), trace, options, observer)
}

/// What the numbers of a run are judged against.
pub(crate) fn measure_context(
    plan: &StudyPlan,
    system: &SystemPlan,
    rate: Option<RequestRate>,
) -> MeasureContext {
    MeasureContext {
        slo: plan.slo,
        attainment_target: plan.attainment,
        window: Window::default(),
        stages: system.stages(),
        gpus: system.gpus,
        replicas: system.replicas(),
        kv_blocks: system.kv_blocks(),
        kv_slots: system.kv_slots(),
        unit: system.unit_work(),
        first_at_decode: system.first_token_at_decode(),
        offered_rate: rate.map(RequestRate::as_per_second),
        running: system.running(),
    }
}
