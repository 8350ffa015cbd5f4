//! The one call of the product under test.

use windtunnel::cluster::{
    Deployment, Outcome, RunOptions, StepEvent, StepObserver, Violation, simulate_deployment,
};
use windtunnel::workload::Trace;

/// One engine run.
pub fn engine_run(
    deployment: &Deployment<'_>,
    trace: &Trace,
    options: &RunOptions,
) -> Result<Outcome, Violation> {
    simulate_deployment(deployment, trace, options, &mut ())
}

/// The steps of an engine run, for a diff that can be read.
pub fn engine_log(deployment: &Deployment<'_>, trace: &Trace) -> String {
    let mut log = Log::default();
    let options = RunOptions { stepwise: true, ..RunOptions::default() };
    let _ = simulate_deployment(deployment, trace, &options, &mut log);
    log.0.join("\n")
}

#[derive(Default)]
struct Log(Vec<String>);

impl StepObserver for Log {
    fn step(&mut self, e: &StepEvent<'_>) {
        let (start, end) = (e.start.as_ps(), e.end.as_ps());
        let line = format!(
            "t={start} k{} P{:?} D{:?}({}) preempt{:?} pad{} kv {}/{} -> {end}",
            e.replica.0,
            e.plan.prefill,
            e.plan.decode,
            e.shape.decode.n,
            e.plan.preempt,
            e.shape.decode.padding,
            e.kv_held,
            e.kv_total,
        );
        self.0.push(line);
    }
}
