//! Runs of all seeds brought together: per point and system, every metric with its interval and its paired ratio
//! to the reference.

use serde::Serialize;

use super::study::{RunResult, Study};
use crate::metrics::column;
use crate::metrics::estimate::{Estimate, holds_up_to};
use crate::metrics::ledger::mean_over_runs;
use crate::metrics::series::{mean_curve, mean_shares};
use crate::metrics::slo::Limit;
use crate::metrics::{
    Better, ClassSummary, Curves, LedgerGroup, LedgerRow, RequestStats, Saturation, Summary, verdict,
};

/// One metric of one system at one point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricCell {
    /// Key of the column.
    pub key: &'static str,
    /// Mean over seeds; absent when no run has it.
    pub value: Option<Estimate>,
    /// Mean over seeds of the ratio to the reference with the same seed.
    pub ratio: Option<Estimate>,
}

/// One system at one point, all seeds together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// Position in `Study::systems`.
    pub system: usize,
    /// Name.
    pub name: String,
    /// Whether it is a bound.
    pub bound: bool,
    /// Whether it knows what no real system knows.
    pub oracle: bool,
    /// Whether it is the reference.
    pub reference: bool,
    /// Runs.
    pub runs: u32,
    /// The worst label of its runs.
    pub saturation: Saturation,
    /// Whether its runs together meet the SLO (means over seeds).
    pub slo_met: bool,
    /// Limits that they miss.
    pub slo_missed: Vec<Limit>,
    /// Every column.
    pub metrics: Vec<MetricCell>,
}

/// Why a design is left out: of every ranking, or of those by latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exclusion {
    /// Others meet the SLO and it does not: of every ranking.
    LimitsMissed,
    /// Its latencies depend on the length of the run.
    Overloaded,
    /// Its latencies are those of the requests that it takes.
    TurnsAway,
}

impl Exclusion {
    /// In words, behind a name.
    pub fn text(self) -> &'static str {
        match self {
            Exclusion::LimitsMissed => "limits missed",
            Exclusion::Overloaded => "latencies only: overloaded",
            Exclusion::TurnsAway => "latencies only: turns requests away",
        }
    }
}

impl ComparisonRow {
    /// Whether one could build it: neither a bound nor an oracle.
    pub fn is_design(&self) -> bool {
        !self.bound && !self.oracle
    }

    /// Whether at least 99 % of what arrived was finished.
    fn serves_nearly_all(&self) -> bool {
        let mean = |key: &str| self.value(key).map(|e| e.mean);
        let shares = mean("finished").zip(mean("arrived"));
        shares.is_none_or(|(finished, arrived)| finished >= 0.99 * arrived)
    }

    /// Why its latencies say nothing, whatever the others do.
    pub(super) fn by_itself(&self) -> Option<Exclusion> {
        if self.saturation == Saturation::Overloaded {
            Some(Exclusion::Overloaded)
        } else if !self.serves_nearly_all() {
            Some(Exclusion::TurnsAway)
        } else {
            None
        }
    }

    fn cell(&self, key: &str) -> Option<&MetricCell> {
        self.metrics.iter().find(|m| m.key == key)
    }

    /// Mean and interval of a column.
    pub fn value(&self, key: &str) -> Option<Estimate> {
        self.cell(key)?.value
    }

    /// Ratio of a column to the reference.
    pub fn ratio(&self, key: &str) -> Option<Estimate> {
        self.cell(key)?.ratio
    }
}

/// All systems at one point.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PointComparison {
    /// Position in `Study::points`.
    pub point: usize,
    /// Label.
    pub label: String,
    /// Offered rate in requests per second.
    pub rate_per_s: Option<f64>,
    /// Designs in the study's order, then bounds; systems without a run are left out.
    pub rows: Vec<ComparisonRow>,
}

impl PointComparison {
    /// The row of a system.
    pub fn row(&self, system: usize) -> Option<&ComparisonRow> {
        self.rows.iter().find(|r| r.system == system)
    }

    /// The row of the reference.
    pub fn reference(&self) -> Option<&ComparisonRow> {
        self.rows.iter().find(|r| r.reference)
    }

    /// Designs (no bounds, no oracles) that have the column, best mean first; ties keep the order of the study.
    ///
    /// Where any design meets the SLO, only those that do are ranked. Latencies of an overloaded design depend on the
    /// length of the run, and those of a design that turns requests away are of the rest: neither is ranked by them.
    pub fn ranked(&self, key: &str) -> Vec<&ComparisonRow> {
        let higher = column::find(key).is_some_and(|c| c.better == Better::Higher);
        let ranked = |r: &&ComparisonRow| match self.exclusion(r) {
            None => true,
            Some(Exclusion::LimitsMissed) => false,
            Some(Exclusion::Overloaded | Exclusion::TurnsAway) => higher,
        };
        let mut designs: Vec<(f64, &ComparisonRow)> = self
            .rows
            .iter()
            .filter(|r| r.is_design())
            .filter(ranked)
            .filter_map(|r| Some((r.value(key)?.mean, r)))
            .map(|(mean, row)| (if higher { -mean } else { mean }, row))
            .collect();
        designs.sort_by(|a, b| a.0.total_cmp(&b.0));
        designs.into_iter().map(|(_, row)| row).collect()
    }

    /// Designs but the reference that are left out of the ranking, or of that by latencies, each with the reason.
    pub fn left_out(&self) -> Vec<(&str, Exclusion)> {
        let designs = self.rows.iter().filter(|r| r.is_design() && !r.reference);
        designs.filter_map(|r| Some((r.name.as_str(), self.exclusion(r)?))).collect()
    }

    /// Why a design is left out of a ranking; the first reason of several.
    fn exclusion(&self, row: &ComparisonRow) -> Option<Exclusion> {
        let others_meet = !row.slo_met && self.rows.iter().any(|r| r.is_design() && r.slo_met);
        if others_meet { Some(Exclusion::LimitsMissed) } else { row.by_itself() }
    }

    /// `load 0.8 (3.1 req/s)`: label and rate, as sentences name the point.
    pub fn name(&self) -> String {
        match self.rate_per_s {
            Some(rate) if !self.label.contains("req/s") => format!("{} ({rate:.2} req/s)", self.label),
            _ => self.label.clone(),
        }
    }
}

/// The whole study, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Name of the reference system.
    pub reference: String,
    /// Points in the study's order.
    pub points: Vec<PointComparison>,
    /// Point that headlines and curves are about: the last at which the reference is stable and meets the SLO, else
    /// the last at which it is stable, else the first.
    pub headline_point: usize,
}

impl Comparison {
    /// Compares all runs of `study`.
    pub fn of(study: &Study) -> Comparison {
        let points: Vec<PointComparison> = (0..study.points.len()).map(|p| compare_point(study, p)).collect();
        let reference = study.reference_index();
        let stable =
            |p: &&PointComparison| p.row(reference).is_some_and(|r| r.saturation == Saturation::Stable);
        let meets = |p: &&PointComparison| stable(p) && p.row(reference).is_some_and(|r| r.slo_met);
        let headline = points.iter().rfind(meets).or_else(|| points.iter().rfind(stable));
        let headline_point = headline.map_or(0, |p| p.point);
        let reference = study.systems.get(reference).map_or_else(String::new, |s| s.name.clone());
        Comparison { reference, points, headline_point }
    }

    /// For each design, the last point up to which the mean of `key` stays at or below `limit`: (system, point).
    pub fn holding(&self, key: &str, limit: f64) -> Vec<(String, Option<usize>)> {
        let Some(first) = self.points.first() else { return Vec::new() };
        let designs = first.rows.iter().filter(|r| r.is_design());
        designs
            .map(|row| {
                let values: Vec<Option<f64>> =
                    self.points.iter().map(|p| Some(p.row(row.system)?.value(key)?.mean)).collect();
                (row.name.clone(), holds_up_to(&values, limit))
            })
            .collect()
    }

    /// Whether the reference is stable and meets the SLO at the headline point; if not, it does at none.
    pub fn reference_holds(&self) -> bool {
        let reference = self.headline().and_then(PointComparison::reference);
        reference.is_some_and(|r| r.saturation == Saturation::Stable && r.slo_met)
    }

    /// The comparison at the headline point.
    pub fn headline(&self) -> Option<&PointComparison> {
        self.points.get(self.headline_point)
    }
}

fn compare_point(study: &Study, point: usize) -> PointComparison {
    let reference_index = study.reference_index();
    let reference = study.runs_of(point, reference_index);
    let rows = study
        .display_order()
        .into_iter()
        .filter_map(|system| compare_system(study, &study.runs_of(point, system), &reference))
        .collect();
    let info = &study.points[point];
    PointComparison { point, label: info.label.clone(), rate_per_s: info.rate_per_s, rows }
}

pub(super) fn compare_system(
    study: &Study,
    runs: &[&RunResult],
    reference: &[&RunResult],
) -> Option<ComparisonRow> {
    let first = runs.first()?;
    let info = &study.systems[first.system];
    let pair = |key: &str| -> Vec<(f64, f64)> {
        runs.iter()
            .filter_map(|run| {
                let other = reference.iter().find(|r| r.seed == run.seed)?;
                Some((run.summary.get(key)?, other.summary.get(key)?))
            })
            .collect()
    };
    // One run has no other seeds: its interval is that of its blocks drawn again.
    let blocks_of = |runs: &[&RunResult]| match runs {
        [run] => run.extract.resampled.clone(),
        _ => None,
    };
    let (own, others) = (blocks_of(runs), blocks_of(reference));
    let (own, others) = (own.as_ref(), others.as_ref());
    let metrics = column::all()
        .map(|c| MetricCell {
            key: c.key,
            value: Estimate::of(runs.iter().filter_map(|r| r.summary.get(c.key)))
                .map(|v| own.and_then(|own| own.estimate(c.key, v.mean)).unwrap_or(v)),
            ratio: Estimate::of_ratios(pair(c.key)).map(|r| {
                own.zip(others).and_then(|(own, others)| own.ratio(others, c.key, r.mean)).unwrap_or(r)
            }),
        })
        .collect();
    let summaries: Vec<&Summary> = runs.iter().map(|r| &r.summary).collect();
    let verdict = verdict(&summaries, &study.slo, study.attainment_target);
    Some(ComparisonRow {
        system: first.system,
        name: info.name.clone(),
        bound: info.bound,
        oracle: info.oracle,
        reference: first.system == study.reference_index(),
        runs: u32::try_from(runs.len()).unwrap_or(u32::MAX),
        saturation: runs.iter().map(|r| r.summary.saturation).max()?,
        slo_met: verdict.met,
        slo_missed: verdict.missed,
        metrics,
    })
}

/// Quantile curves of a system at a point, averaged over seeds.
pub fn mean_curves(study: &Study, point: usize, system: usize) -> Curves {
    let runs = study.runs_of(point, system);
    let of = |f: fn(&Curves) -> &[f64]| mean_curve(runs.iter().map(|r| f(&r.curves)));
    Curves {
        ttft_s: of(|c| &c.ttft_s),
        tpot_s: of(|c| &c.tpot_s),
        e2e_s: of(|c| &c.e2e_s),
        gap_s: of(|c| &c.gap_s),
        step_tokens: mean_shares(runs.iter().map(|r| r.curves.step_tokens.as_slice())),
        step_sequences: mean_shares(runs.iter().map(|r| r.curves.step_sequences.as_slice())),
    }
}

/// Mean ledger of a group of a system at a point, averaged over seeds.
pub fn mean_ledger(study: &Study, point: usize, system: usize, group: LedgerGroup) -> Option<LedgerRow> {
    let runs = study.runs_of(point, system);
    mean_over_runs(runs.iter().flat_map(|r| &r.summary.ledger).filter(|l| l.group == group))
}

/// One number of one class of a system at a point, over seeds.
pub fn class_value(
    study: &Study,
    point: usize,
    system: usize,
    class: &str,
    of: fn(&RequestStats) -> Option<f64>,
) -> Option<Estimate> {
    let in_class = |r: &&RunResult| -> Option<f64> {
        let found: Option<&ClassSummary> = r.summary.classes.iter().find(|c| c.class == class);
        found.and_then(|c| of(&c.requests))
    };
    Estimate::of(study.runs_of(point, system).iter().filter_map(in_class))
}
