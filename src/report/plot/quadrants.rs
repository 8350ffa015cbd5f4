//! TTFT against TPOT of single requests, with the limits: which of the two is missed, and by whom.

use super::chart::{Axis, AxisUnit, Orientation, ReferenceLine, Scale};
use super::figures::Figure;
use super::panels::{Panel, Panels};
use super::systems::{legend_name, limit_seconds, off_scale, stroke};
use super::ticks::range;
use crate::metrics::Quadrants;
use crate::metrics::slo::Limit;
use crate::report::format;
use crate::results::extracts::{quadrants_of, sample_of};
use crate::results::{Comparison, PointComparison, Study};

/// Points in one panel at most.
const POINTS_MAX: usize = 400;

/// One panel per system at the headline load.
pub(super) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let line = |limit, orientation| {
        let at = limit_seconds(study, Some(limit))?;
        Some(ReferenceLine { orientation, at, label: String::new() })
    };
    let lines: Vec<ReferenceLine> =
        [line(Limit::Ttft, Orientation::Vertical), line(Limit::Tpot, Orientation::Horizontal)]
            .into_iter()
            .flatten()
            .collect();
    let panels: Vec<Panel> = study
        .display_order()
        .into_iter()
        .map(|system| panel(study, point, system))
        .filter(|p| !p.points.is_empty())
        .collect();
    if panels.is_empty() {
        return None;
    }
    let (x, y) = axes(study, point, &lines);
    let chart = Panels { title: title(study, point)?, x, y, lines, panels };
    let caption = format!(
        "At most {POINTS_MAX} requests of each system at {}. Red lines are the limits; per cents are of all requests \
         that arrived: lower left (black) within both limits, right of the vertical line too late a first token, above the \
         horizontal line too slow. Points beyond the axes stand on their edge. Systems whose answers come at once have no TPOT \
         and no panel.",
        point.name()
    );
    Some(Figure::new("quadrants.svg", caption, chart))
}

fn panel(study: &Study, point: &PointComparison, system: usize) -> Panel {
    let counts = quadrants_of(study, point.point, system);
    let share = |count: u64, needed: bool| {
        let share = count as f64 / counts.arrived().max(1) as f64;
        if needed || share >= 0.000_5 { format::percent(share) } else { String::new() }
    };
    let lost = if counts.lost > 0 { format!(" ({} lost)", share(counts.lost, true)) } else { String::new() };
    Panel {
        name: format!("{}{lost}", legend_name(study, system)),
        ink: stroke(study, system, false).ink,
        points: sample_of(study, point.point, system, POINTS_MAX),
        corners: [
            share(counts.met, true),
            share(counts.ttft, false),
            share(counts.tpot, false),
            share(counts.both, false),
        ],
    }
}

/// Axes that hold the points of all systems that keep up, and the limits.
fn axes(study: &Study, point: &PointComparison, lines: &[ReferenceLine]) -> (Axis, Axis) {
    let off = off_scale(std::slice::from_ref(point));
    let kept = (0..study.systems.len()).filter(|s| !off.contains(s));
    let points: Vec<(f64, f64)> =
        kept.flat_map(|system| sample_of(study, point.point, system, POINTS_MAX)).collect();
    let limit = |o: Orientation| lines.iter().filter(move |l| l.orientation == o).map(|l| l.at);
    let x = range(Scale::Log, points.iter().map(|p| p.0).chain(limit(Orientation::Vertical)));
    let y = range(Scale::Log, points.iter().map(|p| p.1).chain(limit(Orientation::Horizontal)));
    let axis = |label: &str, range| Axis {
        label: label.to_owned(),
        scale: Scale::Log,
        unit: AxisUnit::Seconds,
        range: Some(range),
        marks: Vec::new(),
    };
    // Room at the bottom for the per cents.
    let y = (y.0 / 2.0, y.1);
    (axis("TTFT at the client (log scale)", x), axis("TPOT (log scale)", y))
}

/// Which limit fails, for the reference and the best two others.
fn title(study: &Study, point: &PointComparison) -> Option<String> {
    let others = point.ranked("attainment").into_iter().filter(|r| !r.reference).take(2);
    let told = point.reference().into_iter().chain(others);
    let parts: Vec<String> = told
        .map(|row| {
            let counts = quadrants_of(study, point.point, row.system);
            format!("{} {}", row.name, missed(&counts))
        })
        .collect();
    (!parts.is_empty()).then(|| format!("What requests miss at {}: {}", point.name(), parts.join("; ")))
}

fn missed(counts: &Quadrants) -> String {
    let share = |n: u64| format::percent(n as f64 / counts.arrived().max(1) as f64);
    let named = [(counts.ttft, "TTFT"), (counts.tpot, "TPOT"), (counts.both, "both"), (counts.lost, "lost")];
    let parts: Vec<String> = named
        .iter()
        .filter(|(n, _)| *n * 2000 >= counts.arrived().max(1))
        .map(|(n, name)| format!("{name} {}", share(*n)))
        .collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}
