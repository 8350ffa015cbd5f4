//! `claims.csv` and `capacity.csv`: every number of the page by seed.

use crate::results::csv_bytes;

use super::plan::{Mode, PaperPlan};
use super::run::{Key, Measured, PaperResult};

/// One row per claim, run and seed.
pub(super) fn claims(result: &PaperResult) -> Vec<u8> {
    let header = ["claim", "role", "experiment", "run", "seed", "value", "holds", "published", "verdict"];
    let mut rows = Vec::new();
    for claim in &result.claims {
        for mode in Mode::ALL {
            let numbers = claim.of(mode);
            for seed in 0..numbers.by_seed.len().max(numbers.holds.len()) {
                rows.push(vec![
                    claim.claim.name.clone(),
                    format!("{:?}", claim.claim.role).to_lowercase(),
                    result.plan.experiments[claim.experiment].name.clone(),
                    mode.name().to_owned(),
                    (seed + 1).to_string(),
                    numbers.by_seed.get(seed).map_or_else(String::new, f64::to_string),
                    numbers.holds.get(seed).map_or_else(String::new, bool::to_string),
                    claim.claim.published.map_or_else(String::new, |p| p.to_string()),
                    claim.verdict.word().to_owned(),
                ]);
            }
        }
    }
    csv_bytes(&header, rows)
}

/// One row per trial of every capacity.
pub(super) fn trials(result: &PaperResult) -> Vec<u8> {
    let header = [
        "run",
        "experiment",
        "system",
        "engine",
        "seed",
        "capacity_per_s",
        "trial_rate_per_s",
        "requests",
        "passed",
        "saturation",
        "e2e_p99_s",
        "gap_p99_s",
        "normalised_p50_s_per_token",
        "normalised_mean_s_per_token",
        "scheduling_delay_p50_s",
    ];
    let mut rows = Vec::new();
    for (key, runs) in &result.measured {
        for (seed, measured) in runs.iter().enumerate() {
            let Measured::Capacity(capacity, _) = measured else { continue };
            for trial in &capacity.trials {
                let (system, engine) = names(&result.plan, key);
                let column = |name: &str| trial.summary.get(name).map_or_else(String::new, |v| v.to_string());
                rows.push(vec![
                    key.mode.name().to_owned(),
                    result.plan.experiments[key.experiment].name.clone(),
                    system,
                    engine,
                    (seed + 1).to_string(),
                    capacity.rate.to_string(),
                    trial.rate.to_string(),
                    trial.requests.to_string(),
                    trial.passed.to_string(),
                    trial.summary.saturation.name().to_owned(),
                    column("e2e_p99_s"),
                    column("gap_p99_s"),
                    column("normalised_p50_s_per_token"),
                    column("normalised_mean_s_per_token"),
                    column("scheduling_delay_p50_s"),
                ]);
            }
        }
    }
    csv_bytes(&header, rows)
}

/// System and engine of a measurement.
pub(super) fn names(plan: &PaperPlan, key: &Key) -> (String, String) {
    let system = &plan.experiments[key.experiment].plan(key.mode).systems[key.system];
    (system.name.clone(), system.spec.engine.name.clone())
}
