//! The one call of the product under test.

use windtunnel::cluster::{Outcome, RunOptions, Violation};
use windtunnel::cost::StepCost;
use windtunnel::engine::config::ClusterConfig;
use windtunnel::workload::Trace;

/// One engine run; `None` as long as there is no engine. To flip it, replace the body by
/// `Some(windtunnel::cluster::simulate(config, cost, trace, options, &mut ()))`.
pub fn engine_run(
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: &RunOptions,
) -> Option<Result<Outcome, Violation>> {
    let _ = (config, cost, trace, options);
    None
}
