//! Whether runs of one system at one load, with different seeds, meet the SLO together.

use super::slo::{Limit, Slo};
use super::summary::Summary;

/// The judgement over all seeds of a point: means over seeds against the target and the limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Mean attainment reaches the target, and the mean P99 gap its limit.
    pub met: bool,
    /// Limits that are missed by themselves; empty if only all of them at once are.
    pub missed: Vec<Limit>,
}

/// Judges `summaries`, the runs of one system at one load.
pub fn verdict(summaries: &[&Summary], slo: &Slo, target: f64) -> Verdict {
    let mean = |f: fn(&Summary) -> Option<f64>| {
        let values: Vec<f64> = summaries.iter().filter_map(|s| f(s)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let shares = [
        mean(|s| s.requests.attainment_ttft),
        mean(|s| s.requests.attainment_tpot),
        mean(|s| s.requests.attainment_e2e),
        mean(|s| s.requests.attainment_gap_max),
    ];
    let below = |share: Option<f64>| share.is_some_and(|s| s < target);
    let limits = Limit::PER_REQUEST.into_iter().zip(shares);
    let mut missed: Vec<Limit> = limits.filter(|(_, share)| below(*share)).map(|(limit, _)| limit).collect();
    let gap = slo.gap_p99.zip(mean(|s| s.run.gap_p99_s));
    if gap.is_some_and(|(limit, gap)| gap > limit.as_secs_f64()) {
        missed.push(Limit::GapP99);
    }
    Verdict { met: !below(mean(|s| s.requests.attainment)) && missed.is_empty(), missed }
}
