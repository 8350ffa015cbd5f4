//! What happens inside a run: memory and what binds, preemption, utilisation, steps, the tokens of one request, queues.

pub(super) mod links;
pub(super) mod memory;
mod panel;
pub(super) mod preemption;
pub(super) mod queue;
pub(super) mod replicas;
pub(super) mod steps;
pub(super) mod tokens;
pub(super) mod utilisation;

use super::chart::{Axis, AxisUnit, Scale};
use crate::metrics::TimelineRow;
use crate::results::{ComparisonRow, PointComparison, RunResult, Study};
use panel::Layer;

/// A linear axis that starts at 0, or at the data.
fn linear(label: &str, unit: AxisUnit, range: Option<(f64, f64)>) -> Axis {
    Axis { label: label.to_owned(), scale: Scale::Linear, unit, range, marks: Vec::new() }
}

/// The first run of a system at a point, if it has a timeline.
fn first_run(study: &Study, point: usize, system: usize) -> Option<&RunResult> {
    study.runs_of(point, system).into_iter().find(|r| !r.timeline.is_empty())
}

/// Where time axes end: a little after the reference's run; saturated systems drain for long.
fn time_end(study: &Study, point: usize) -> f64 {
    let run = first_run(study, point, study.reference_index());
    run.and_then(|r| r.timeline.last()).map_or(f64::INFINITY, |row| row.at_s * 1.1)
}

/// From 0 to the last point of these lines: a rounded end would leave a time axis half empty.
fn span(layers: &[Layer]) -> Option<(f64, f64)> {
    let ends = layers.iter().filter_map(|l| match l {
        Layer::Line(points, _) => points.last().map(|p| p.0),
        _ => None,
    });
    ends.max_by(f64::total_cmp).map(|end| (0.0, end.max(1e-3)))
}

/// The timeline of a run as means over stretches, up to `end`.
fn stretches(run: &RunResult, n: usize, end: f64) -> Vec<TimelineRow> {
    crate::metrics::series::coarse(&run.timeline, n).into_iter().filter(|row| row.at_s <= end).collect()
}

/// Rows of the systems that curves show, in the order of the comparison.
fn drawn<'a>(study: &Study, point: &'a PointComparison) -> Vec<&'a ComparisonRow> {
    let order = study.drawn_order();
    point.rows.iter().filter(|r| order.contains(&r.system)).collect()
}

/// The design, other than the reference, for which `weight` of its row is largest; ties keep the study's order.
fn most(point: &PointComparison, weight: impl Fn(&ComparisonRow) -> Option<f64>) -> Option<&ComparisonRow> {
    let others = point.rows.iter().filter(|r| r.is_design() && !r.reference);
    let weighed = others.filter_map(|r| Some((weight(r)?, r)));
    weighed
        .fold(None, |best: Option<(f64, &ComparisonRow)>, next| match best {
            Some(best) if best.0 >= next.0 => Some(best),
            _ => Some(next),
        })
        .map(|(_, row)| row)
}

/// Says which designs an axis leaves out because they are overloaded; `place` says where.
fn left_out(study: &Study, off: &[usize], place: &str) -> String {
    let names: Vec<&str> = off.iter().map(|&s| study.systems[s].name.as_str()).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" Left out{place}, because overloaded: {}.", names.join(", "))
    }
}

/// Mean of a column of a row.
fn mean(row: &ComparisonRow, key: &str) -> Option<f64> {
    row.value(key).map(|v| v.mean)
}
