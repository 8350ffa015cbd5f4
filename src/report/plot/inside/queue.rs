//! The queue over time and against load: who keeps up, and where the reference stops to.

use super::super::chart::{Axis, AxisUnit, Scale};
use super::super::curves::{abscissa, x_range};
use super::super::figures::Figure;
use super::super::style::{Ink, Stroke};
use super::super::systems::{legend_name, stroke};
use super::panel::{Grid, Layer, Panel, Swatch};
use super::{drawn, first_run, linear, mean, span, stretches, time_end};
use crate::metrics::Saturation;
use crate::results::{Comparison, PointComparison, Study};

const STRETCHES: usize = 120;

/// A hundredth of a request: below that a mean queue is none.
const FLOOR: f64 = 0.01;

/// The chart.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let over_time = time_panel(study, point)?;
    let mut panels = vec![over_time];
    let knee = knee(study, comparison);
    if study.points.len() > 1 {
        panels.push(load_panel(study, comparison, knee));
    }
    let legend: Vec<(Swatch, String)> = drawn(study, point)
        .into_iter()
        .filter(|r| study.systems[r.system].name != "ideal")
        .map(|r| (Swatch::Line(stroke(study, r.system, true)), legend_name(study, r.system)))
        .collect();
    let title = title(study, comparison, point, knee);
    let grid = Grid { title, rows: vec![(270.0, panels)], legend };
    let slopes: Vec<String> = drawn(study, point)
        .into_iter()
        .filter(|r| r.is_design())
        .filter_map(|r| {
            let slope = mean(r, "backlog_slope_per_s")?;
            Some(format!("{} {slope:+.2} req/s, {}", r.name, r.saturation.name()))
        })
        .collect();
    let caption = format!(
        "Left: requests waiting in replicas, one run at {}, cut at three times the most that a design that keeps up has. Growth of the \
         queue over the second half of the arrivals: {}. Right: mean queue by load (values below {FLOOR} are drawn there); {}.",
        point.name(),
        slopes.join("; "),
        if knee.is_some() {
            "the knee is the highest load up to which the reference is in a steady state"
        } else {
            "the reference has no knee inside these loads"
        }
    );
    Some(Figure::new("queue.svg", caption, grid))
}

/// The last point at which the reference is stable, if it is not stable at all of them.
fn knee(study: &Study, comparison: &Comparison) -> Option<usize> {
    let stable = |p: &PointComparison| {
        p.row(study.reference_index()).is_some_and(|r| r.saturation == Saturation::Stable)
    };
    let last = comparison.points.iter().take_while(|p| stable(p)).count();
    (last < comparison.points.len()).then_some(last).and_then(|n| n.checked_sub(1))
}

fn time_panel(study: &Study, point: &PointComparison) -> Option<Panel> {
    let end = time_end(study, point.point);
    let mut lines = Vec::new();
    let (mut calm, mut largest) = (0.0_f64, 0.0_f64);
    for row in drawn(study, point).into_iter().rev().filter(|r| study.systems[r.system].name != "ideal") {
        let Some(run) = first_run(study, point.point, row.system) else { continue };
        let points: Vec<(f64, f64)> =
            stretches(run, STRETCHES, end).iter().map(|r| (r.at_s, f64::from(r.waiting))).collect();
        let peak = points.iter().map(|p| p.1).fold(0.0, f64::max);
        largest = largest.max(peak);
        if row.saturation == Saturation::Stable {
            calm = calm.max(peak);
        }
        let strong = row.reference;
        lines.push(Layer::Line(points, Stroke { strong, ..stroke(study, row.system, false) }));
    }
    let cut = if calm > 0.0 { (calm * 3.0).max(12.0).min(largest) } else { largest };
    let top = super::super::ticks::range(Scale::Linear, [cut].into_iter());
    (!lines.is_empty()).then(|| Panel {
        name: format!("requests waiting over time at {}", point.label),
        x: linear("time since the first arrival (s)", AxisUnit::Plain, span(&lines)),
        y: linear("", AxisUnit::Plain, Some(top)),
        rows: Vec::new(),
        layers: lines,
    })
}

fn load_panel(study: &Study, comparison: &Comparison, knee: Option<usize>) -> Panel {
    let (xs, x_label) = abscissa(study);
    let mut layers = Vec::new();
    for system in study.drawn_order().into_iter().rev().filter(|&s| study.systems[s].name != "ideal") {
        let cells = comparison.points.iter().zip(&xs);
        let points = cells.filter_map(|(p, x)| Some((*x, mean(p.row(system)?, "waiting_mean")?.max(FLOOR))));
        let points: Vec<(f64, f64)> = points.collect();
        if !points.is_empty() {
            layers.push(Layer::Line(points, stroke(study, system, true)));
        }
    }
    if let Some(at) = knee.and_then(|i| xs.get(i)) {
        layers.push(Layer::Mark(*at, "knee of the reference".to_owned(), Ink::Limit));
    }
    let mut x = linear(x_label, AxisUnit::Plain, x_range(&xs));
    x.marks = xs;
    let y = Axis {
        label: String::new(),
        scale: Scale::Log,
        unit: AxisUnit::Plain,
        range: None,
        marks: Vec::new(),
    };
    Panel { name: "mean number waiting by load (log scale)".to_owned(), x, y, rows: Vec::new(), layers }
}

/// Who keeps up up to where.
fn title(study: &Study, comparison: &Comparison, point: &PointComparison, knee: Option<usize>) -> String {
    let reference = &study.systems[study.reference_index()].name;
    let place = |i: usize| comparison.points[i].name();
    let stable_at = |p: &PointComparison| {
        p.row(study.reference_index()).is_some_and(|r| r.saturation == Saturation::Stable)
    };
    let first = match (knee, comparison.points.iter().all(stable_at)) {
        (Some(i), _) => format!("{reference} keeps up to {} and not beyond", place(i)),
        (None, true) => format!("{reference} keeps up with every load of this study"),
        (None, false) => format!("{reference} keeps up with no load of this study"),
    };
    let named = |wanted: Saturation| {
        let rows = point.rows.iter().filter(move |r| r.is_design() && !r.reference && r.saturation == wanted);
        rows.map(|r| {
            let slope = mean(r, "backlog_slope_per_s").unwrap_or(0.0);
            format!("{} is {} ({slope:+.2} req/s)", r.name, r.saturation.name())
        })
    };
    let unsteady: Vec<String> = named(Saturation::Overloaded).chain(named(Saturation::Backlogged)).collect();
    if unsteady.is_empty() {
        format!("{first}; at {} no other design has a backlog", point.label)
    } else {
        format!("{first}; at {} {}", point.label, unsteady.join(", "))
    }
}
