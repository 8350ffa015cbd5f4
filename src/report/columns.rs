//! Which columns of a comparison say something about a study; the others are left out of its tables.

use crate::metrics::RunStats;
use crate::results::Study;

/// Whether a table of `study` shows the column `key`.
pub(super) fn says_something(key: &str, study: &Study) -> bool {
    match key {
        "goodput_per_gpu_per_s" => gpus_differ(study) || replicas_change(study),
        "replicas_mean" => replicas_change(study),
        "provisioned_j_per_token" | "usd_per_mtok" => {
            study.runs.iter().any(|run| run.summary.get(key).is_some())
        }
        _ => true,
    }
}

/// Whether a comparison of totals would compare different amounts of hardware.
fn gpus_differ(study: &Study) -> bool {
    let mut gpus = study.systems.iter().filter(|s| !s.bound).map(|s| s.gpus);
    let first = gpus.next();
    gpus.any(|n| Some(n) != first)
}

/// Whether replicas come and go somewhere.
fn replicas_change(study: &Study) -> bool {
    let changes = |run: &RunStats| run.scaled_out + run.scaled_in + run.failures > 0;
    study.runs.iter().any(|run| changes(&run.summary.run))
}
