//! The latency ledger: where the time of typical, slow and slowest requests went, per system and per load.

use super::bars::{BarRow, Bars};
use super::chart::AxisUnit;
use super::figures::Figure;
use super::titles::largest_cause;
use crate::metrics::LedgerGroup;
use crate::metrics::record::Cause;
use crate::results::comparison::mean_ledger;
use crate::results::{Comparison, PointComparison, Study};

/// The bands of requests by E2E, and how bars name them.
const BANDS: [(LedgerGroup, &str); 3] =
    [(LedgerGroup::E2eP50, "P50"), (LedgerGroup::E2eP90, "P90"), (LedgerGroup::E2eP99, "slowest 1 %")];

const CAPTION: &str = "Every request's end-to-end time is split exactly into its causes, so a bar is as long as the \
                       mean E2E of its requests: the tenth around the median (P50), the tenth around P90, and the slowest hundredth. A \
                       bar that ends in an arrow is longer than the axis; its length is written at its end.";

/// Bars of all bands of every system at the headline load.
pub(super) fn by_system(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let rows = study.drawn_order().into_iter().flat_map(|system| {
        let info = &study.systems[system];
        bars(study, point, system, info.bound, &info.name)
    });
    let chart = Bars {
        unit: AxisUnit::Seconds,
        title: system_title(study, point),
        cut_at: cut(study, point),
        axis_label: "mean end-to-end latency of the band, split by cause".to_owned(),
        parts: Cause::ALL.iter().map(|c| c.name().to_owned()).collect(),
        rows: rows.collect(),
    };
    (!chart.rows.is_empty()).then(|| Figure::new("ledger.svg", caption(&chart.rows), chart))
}

/// Bars of all bands of the reference at every load.
pub(super) fn by_load(study: &Study, comparison: &Comparison) -> Option<Figure> {
    if comparison.points.len() < 2 {
        return None;
    }
    let reference = study.reference_index();
    let rows: Vec<BarRow> =
        comparison.points.iter().flat_map(|p| bars(study, p, reference, false, &p.label)).collect();
    let causes: Vec<String> = comparison
        .points
        .iter()
        .filter_map(|p| {
            let ledger = mean_ledger(study, p.point, reference, LedgerGroup::E2eP99)?;
            Some(format!("{} at {}", largest_cause(&ledger)?, p.label))
        })
        .collect();
    let chart = Bars {
        unit: AxisUnit::Seconds,
        title: format!(
            "What the slowest 1 % of {} wait for most: {}",
            comparison.reference,
            causes.join("; ")
        ),
        cut_at: None,
        axis_label: "mean end-to-end latency of the band, split by cause".to_owned(),
        parts: Cause::ALL.iter().map(|c| c.name().to_owned()).collect(),
        rows,
    };
    (!causes.is_empty()).then(|| Figure::new("ledger-load.svg", caption(&chart.rows), chart))
}

/// What is drawn, and what hatching means where there is any.
fn caption(rows: &[BarRow]) -> String {
    let hatched = rows.iter().any(|row| row.hatched);
    let note =
        " Hatched: the profile of the hardware is derived from its datasheet, not fitted to measurements.";
    format!("{CAPTION}{}", if hatched { note } else { "" })
}

fn bars(study: &Study, point: &PointComparison, system: usize, bound: bool, name: &str) -> Vec<BarRow> {
    let ledgers = BANDS
        .iter()
        .filter_map(|(group, band)| Some((mean_ledger(study, point.point, system, *group)?, band)));
    ledgers
        .enumerate()
        .map(|(i, (ledger, band))| BarRow {
            label: format!("{name} · {band}"),
            bound,
            group: i == 0,
            hatched: study.systems[system].is_derived(),
            parts: ledger.seconds.to_vec(),
        })
        .collect()
}

/// Saturated systems would squeeze all others into a corner: their bars are cut, with their length written out.
fn cut(study: &Study, point: &PointComparison) -> Option<f64> {
    let reference = mean_ledger(study, point.point, study.reference_index(), LedgerGroup::E2eP99);
    reference.map(|l| l.total_s() * 2.0)
}

/// The title speaks about the reference and the two best of the others.
fn system_title(study: &Study, point: &PointComparison) -> String {
    let others = point.ranked("e2e_p99_s").into_iter().filter(|r| !r.reference).take(2);
    let told = point.reference().into_iter().chain(others);
    let causes: Vec<String> = told
        .filter_map(|row| {
            let ledger = mean_ledger(study, point.point, row.system, LedgerGroup::E2eP99)?;
            Some(format!("{} {}", row.name, largest_cause(&ledger)?))
        })
        .collect();
    format!("What the slowest 1 % wait for most at {}: {}", point.name(), causes.join("; "))
}
