//! Charts that look inside a run: where the time went, and how the deployment fared over time.

use super::bars::{BarRow, Bars};
use super::chart::{Axis, AxisUnit, Chart, Scale, Series};
use super::figures::{Figure, legend_name, series_of, stroke};
use super::style::Stroke;
use super::titles::{Wording, largest_cause, most_and_least};
use crate::metrics::record::Cause;
use crate::metrics::series::coarse;
use crate::metrics::{LedgerGroup, TimelineRow};
use crate::report::format;
use crate::results::comparison::mean_ledger;
use crate::results::{Comparison, Study};

/// A chart of one quantity over time.
struct TimelineKind {
    file: &'static str,
    wording: Wording,
    axis: &'static str,
    unit: AxisUnit,
    value: fn(&TimelineRow) -> Option<f64>,
}

const TIMELINES: [TimelineKind; 3] = [
    TimelineKind {
        file: "timeline-waiting.svg",
        wording: Wording { key: "waiting_mean", name: "waiting requests" },
        axis: "requests waiting in replicas",
        unit: AxisUnit::Plain,
        value: |r| Some(f64::from(r.waiting)),
    },
    TimelineKind {
        file: "timeline-running.svg",
        wording: Wording { key: "running_mean", name: "running requests" },
        axis: "requests running",
        unit: AxisUnit::Plain,
        value: |r| Some(f64::from(r.running)),
    },
    TimelineKind {
        file: "timeline-kv.svg",
        wording: Wording { key: "kv_occupancy_mean", name: "KV blocks held" },
        axis: "KV blocks held by requests, share of capacity",
        unit: AxisUnit::Percent,
        value: |r| r.kv_occupancy,
    },
];

/// Stacked bars: where the time of typical and of slow requests went.
pub(super) fn ledger_figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let mut rows = Vec::new();
    let mut finding = Vec::new();
    // The title speaks about the reference and the two best of the others.
    let others = point.ranked("e2e_p99_s").into_iter().filter(|r| !r.reference).take(2);
    let told: Vec<usize> = point.reference().into_iter().chain(others).map(|r| r.system).collect();
    for system in study.display_order() {
        let info = &study.systems[system];
        for (group, name) in [(LedgerGroup::All, "mean"), (LedgerGroup::E2eP99, "slowest 1 %")] {
            let Some(ledger) = mean_ledger(study, point.point, system, group) else { continue };
            let wanted = group == LedgerGroup::E2eP99 && told.contains(&system);
            if let Some(cause) = largest_cause(&ledger).filter(|_| wanted) {
                finding.push(format!("{} {cause}", info.name));
            }
            rows.push(BarRow {
                label: format!("{} · {name}", format::shorten(&info.name, 19)),
                bound: info.bound,
                parts: ledger.seconds.to_vec(),
            });
        }
    }
    if rows.is_empty() {
        return None;
    }
    let title = format!("What the slowest 1 % wait for most at {}: {}", point.name(), finding.join("; "));
    // Saturated systems would squeeze all others into a corner: their bars are cut, with their length written out.
    let reference = mean_ledger(study, point.point, study.reference_index(), LedgerGroup::E2eP99);
    let chart = Bars {
        unit: AxisUnit::Seconds,
        title: title.clone(),
        cut_at: reference.map(|l| l.total_s() * 2.0),
        axis_label: "mean end-to-end latency, split by cause".to_owned(),
        parts: Cause::ALL.iter().map(|c| c.name().to_owned()).collect(),
        rows,
    };
    let caption = "Every request's end-to-end time is split exactly into its causes: here the mean over all \
                   finished requests and over the slowest hundredth by E2E. A bar that ends in an arrow is longer than the \
                   axis; its length is written at its end."
        .to_owned();
    Some(Figure { file: "ledger.svg", title, caption, svg: chart.to_svg() })
}

/// Waiting, running and KV over time, one chart each.
pub(super) fn timeline_figures(study: &Study, comparison: &Comparison) -> Vec<Figure> {
    TIMELINES.iter().filter_map(|kind| timeline_figure(study, comparison, kind)).collect()
}

fn timeline_figure(study: &Study, comparison: &Comparison, kind: &TimelineKind) -> Option<Figure> {
    let point = comparison.headline()?;
    let end = timeline_end(study, point.point);
    let series = series_of(study, |system| {
        let run = study.runs_of(point.point, system).into_iter().next()?;
        let rows = coarse(&run.timeline, TIMELINE_STRETCHES).into_iter().filter(|row| row.at_s <= end);
        let points = rows.filter_map(|row| Some((row.at_s, (kind.value)(&row)?))).collect();
        let stroke = Stroke { strong: false, ..stroke(study, system, false) };
        Some(Series { name: legend_name(study, system), stroke, points, band: Vec::new() })
    });
    if series.is_empty() {
        return None;
    }
    let seed = study.runs.iter().filter(|r| r.point == point.point).map(|r| r.seed).min()?;
    let title = most_and_least(point, kind.wording);
    let chart = Chart {
        title: title.clone(),
        x: Axis {
            label: "time since the first arrival (s)".to_owned(),
            scale: Scale::Linear,
            unit: AxisUnit::Plain,
            range: end.is_finite().then_some((0.0, end.max(1e-3))),
            marks: Vec::new(),
        },
        y: Axis {
            label: kind.axis.to_owned(),
            scale: Scale::Linear,
            unit: kind.unit,
            range: (kind.unit == AxisUnit::Percent).then_some((0.0, 1.0)),
            marks: Vec::new(),
        },
        series,
        lines: Vec::new(),
    };
    let caption = format!(
        "One run (seed {seed}) at {}, means over short stretches. The axis ends at one and a half times the \
         reference's run; saturated systems may go on.",
        point.name()
    );
    Some(Figure { file: kind.file, title, caption, svg: chart.to_svg() })
}

/// Stretches a timeline is averaged over.
const TIMELINE_STRETCHES: usize = 100;

/// Where time axes end: saturated systems drain for long and would squeeze what matters.
fn timeline_end(study: &Study, point: usize) -> f64 {
    let runs = study.runs_of(point, study.reference_index());
    let last = runs.first().and_then(|r| r.timeline.last()).map(|row| row.at_s);
    last.map_or(f64::INFINITY, |s| s * 1.5)
}
