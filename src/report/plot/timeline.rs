//! How the deployment fared over time.

use super::chart::{Axis, AxisUnit, Chart, Scale, Series};
use super::figures::Figure;
use super::style::Stroke;
use super::systems::{left_out, legend_name, off_scale, series_of, stroke};
use super::titles::{Wording, most_and_least};
use crate::metrics::TimelineRow;
use crate::metrics::series::coarse;
use crate::results::{Comparison, Study};

/// A chart of one quantity over time.
struct TimelineKind {
    file: &'static str,
    wording: Wording,
    axis: &'static str,
    unit: AxisUnit,
    value: fn(&TimelineRow) -> Option<f64>,
    without_overloaded: bool,
}

/// Requests waiting over time.
pub(super) fn waiting(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = TimelineKind {
        file: "timeline-waiting.svg",
        wording: Wording { key: "waiting_mean", name: "waiting requests" },
        axis: "requests waiting in replicas",
        unit: AxisUnit::Plain,
        value: |r| Some(f64::from(r.waiting)),
        // A queue that only grows would press all others to the ground.
        without_overloaded: true,
    };
    timeline_figure(study, comparison, &kind)
}

/// Requests running over time.
pub(super) fn running(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = TimelineKind {
        file: "timeline-running.svg",
        wording: Wording { key: "running_mean", name: "running requests" },
        axis: "requests running",
        unit: AxisUnit::Plain,
        value: |r| Some(f64::from(r.running)),
        without_overloaded: false,
    };
    timeline_figure(study, comparison, &kind)
}

/// KV blocks held over time.
pub(super) fn kv(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = TimelineKind {
        file: "timeline-kv.svg",
        wording: Wording { key: "kv_occupancy_mean", name: "KV blocks held" },
        axis: "KV blocks held by requests, share of capacity",
        unit: AxisUnit::Percent,
        value: |r| r.kv_occupancy,
        without_overloaded: false,
    };
    timeline_figure(study, comparison, &kind)
}

fn timeline_figure(study: &Study, comparison: &Comparison, kind: &TimelineKind) -> Option<Figure> {
    let point = comparison.headline()?;
    let end = timeline_end(study, point.point);
    let off = if kind.without_overloaded { off_scale(std::slice::from_ref(point)) } else { Vec::new() };
    let series = series_of(study, |system| {
        if off.contains(&system) {
            return None;
        }
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
        title,
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
         reference's run; saturated systems may go on.{}",
        point.name(),
        left_out(study, &off)
    );
    Some(Figure::new(kind.file, caption, chart))
}

/// Stretches a timeline is averaged over.
const TIMELINE_STRETCHES: usize = 100;

/// Where time axes end: saturated systems drain for long and would squeeze what matters.
fn timeline_end(study: &Study, point: usize) -> f64 {
    let runs = study.runs_of(point, study.reference_index());
    let last = runs.first().and_then(|r| r.timeline.last()).map(|row| row.at_s);
    last.map_or(f64::INFINITY, |s| s * 1.5)
}
