//! Whether runs of one system at one load, with different seeds, meet the SLO together.

use super::slo::{Limit, Slo};
use super::summary::{RequestStats, RunStats, Summary};

/// The judgement over all seeds of a point: means over seeds against the target and the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Mean attainment reaches the target, and the mean of each limited statistic of a run its limit (the worst
    /// ten minutes: of every run).
    pub met: bool,
    /// Limits that are missed by themselves; empty if only all of them at once are.
    pub missed: Vec<Limit>,
}

/// Judges `summaries`, the runs of one system at one load.
pub fn verdict(summaries: &[&Summary], slo: &Slo, target: f64) -> Verdict {
    let runs: Vec<(&RequestStats, &RunStats)> = summaries.iter().map(|s| (&s.requests, &s.run)).collect();
    judge(&runs, slo, target)
}

/// The one judgement: of the statistics of one run, or of several with different seeds.
pub(super) fn judge(runs: &[(&RequestStats, &RunStats)], slo: &Slo, target: f64) -> Verdict {
    let mean = |f: fn(&RequestStats, &RunStats) -> Option<f64>| {
        let values: Vec<f64> = runs.iter().filter_map(|(requests, run)| f(requests, run)).collect();
        super::quantile::mean(&values)
    };
    let shares = [
        mean(|r, _| r.attainment_ttft),
        mean(|r, _| r.attainment_tpot),
        mean(|r, _| r.attainment_e2e),
        mean(|r, _| r.attainment_gap_max),
    ];
    let below = |share: Option<f64>| share.is_some_and(|s| s < target);
    let limits = Limit::PER_REQUEST.into_iter().zip(shares);
    let mut missed: Vec<Limit> = limits.filter(|(_, share)| below(*share)).map(|(limit, _)| limit).collect();
    let values = [
        mean(|_, run| run.gap_p99_s),
        // Its own bad ten minutes are what a run is judged by: a mean over seeds would average them away.
        runs.iter().filter_map(|(requests, _)| requests.ttft_p99_worst_10min_s).max_by(f64::total_cmp),
        mean(|r, _| r.scheduling_delay_p50_s),
        mean(|r, _| r.normalised_p50_s_per_token),
        mean(|r, _| r.normalised_mean_s_per_token),
    ];
    let above = |limit: Limit, value: Option<f64>| {
        slo.get(limit).zip(value).is_some_and(|(limit, value)| value > limit.as_secs_f64())
    };
    let of_runs = Limit::PER_RUN.into_iter().zip(values);
    missed.extend(of_runs.filter(|&(limit, value)| above(limit, value)).map(|(limit, _)| limit));
    Verdict { met: !below(mean(|r, _| r.attainment)) && missed.is_empty(), missed }
}
