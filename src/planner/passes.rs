//! What stands between two passes of a search: who goes on, and what is kept of a pass.

use crate::metrics::Summary;
use crate::metrics::quantile::mean;
use crate::results::{Fate, Finding, Funnel, PlanStage, Planned, PlannedPool};
use crate::scenario::capacity::SeedCapacity;
use crate::scenario::deployments::Pool;

use super::{ALIKE_MAX, Entry, Stage};

/// A deployment of which nothing is known yet.
pub(super) fn planned(entry: &Entry<'_>) -> Planned {
    let candidate = entry.candidate;
    let pool = |p: &Pool| PlannedPool { role: role(p), tp: p.tp, pp: p.pp, replicas: p.replicas };
    Planned {
        name: candidate.name.clone(),
        pools: candidate.pools.iter().map(pool).collect(),
        knobs: candidate.knobs.clone(),
        gpus: candidate.system.gpus,
        units: entry.units,
        bound_per_s: entry.bound.is_finite().then_some(entry.bound),
        fate: Fate::Pruned,
        findings: Vec::new(),
    }
}

/// The role of a pool as the results say it.
pub(super) fn role(pool: &Pool) -> String {
    format!("{:?}", pool.role).to_lowercase()
}

/// Where a search begins: near what is known, else at 1 req/s.
pub(super) fn start(entry: &Entry<'_>, near: f64) -> f64 {
    let rate = if near.is_finite() && near > 0.0 { near } else { entry.units.max(1.0) };
    rate.clamp(1e-3, 1e5)
}

/// Who goes on after a stage: those near the best, best first, of one layout only a few before the long trials.
pub(super) fn keep(stage: &Stage, entries: &[Entry<'_>], found: &mut [Planned]) -> Vec<usize> {
    let value = |i: usize| {
        let finding = found[i].findings.last().filter(|f| f.stage == stage.stage)?;
        Some(finding.mean() / entries[i].units)
    };
    let mut tried: Vec<(usize, f64)> = (0..found.len()).filter_map(|i| Some((i, value(i)?))).collect();
    tried.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let best = tried.first().map_or(0.0, |t| t.1);
    let alike = if stage.stage == PlanStage::Middle { ALIKE_MAX } else { usize::MAX };
    let mut kept: Vec<usize> = Vec::new();
    for &(i, value) in &tried {
        let same = kept.iter().filter(|&&k| found[k].pools == found[i].pools).count();
        let goes_on =
            value > 0.0 && value >= stage.keep.0 * best && kept.len() < stage.keep.1 && same < alike;
        if goes_on {
            kept.push(i);
        }
    }
    for (i, _) in tried {
        found[i].fate = if kept.contains(&i) { Fate::Ranked } else { Fate::Left(stage.stage) };
    }
    kept
}

/// How many deployments got how far.
pub(super) fn funnel(found: &[Planned], refused: usize) -> Funnel {
    let reached =
        |stage: PlanStage| found.iter().filter(|p| p.findings.iter().any(|f| f.stage == stage)).count();
    Funnel {
        deployments: found.len() + refused,
        refused,
        pruned: found.iter().filter(|p| p.findings.is_empty()).count(),
        short: reached(PlanStage::Short),
        middle: reached(PlanStage::Middle),
        long: reached(PlanStage::Long),
        trials: found.iter().flat_map(|p| &p.findings).map(|f| f.trials).sum(),
    }
}

/// The capacities of all seeds as the results keep them.
pub(super) fn finding(stage: PlanStage, found: &[SeedCapacity]) -> Finding {
    let at = |value: fn(&Summary) -> Option<f64>| {
        let values: Vec<f64> =
            found.iter().filter_map(|c| value(&c.at_capacity()?.summary)).filter(|v| v.is_finite()).collect();
        mean(&values)
    };
    Finding {
        stage,
        rates: found.iter().map(|c| c.rate).collect(),
        short: u32::try_from(found.iter().filter(|c| c.short).count()).unwrap_or(u32::MAX),
        trials: found.iter().map(|c| c.trials.len()).sum(),
        tok_per_user_per_s: at(|s| Some(1.0 / s.requests.tpot_p50_s?)),
        tok_per_gpu_per_s: at(|s| s.run.output_tok_per_gpu_per_s),
        ttft_p99_s: at(|s| s.requests.ttft_p99_s),
        tpot_p50_s: at(|s| s.requests.tpot_p50_s),
        gap_p99_s: at(|s| s.run.gap_p99_s),
    }
}
