//! Speed of one answer against output of the accelerators, over all systems and loads: the Pareto front.

use super::chart::{Axis, AxisUnit, Chart, Scale, Series};
use super::figures::Figure;
use super::style::{Ink, Stroke};
use super::systems::{legend_name, stroke};
use crate::metrics::{Saturation, pareto};
use crate::report::format;
use crate::results::{Comparison, ComparisonRow, PointComparison, Study};

/// One system at one load.
struct Place {
    system: usize,
    /// Whether the front may hold it: a design that keeps up.
    eligible: bool,
    label: String,
    x: f64,
    y: f64,
}

/// Tokens per second of one user against tokens per second of one GPU.
pub(super) fn per_gpu(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let places = places(study, comparison, |row| Some(row.value("output_tok_per_gpu_per_s")?.mean));
    let chart = chart(study, &places, false, "output of one GPU (tokens/s)", |y| {
        format!("{} tok/s per GPU", format::digits(y))
    })?;
    let caption = format!("{CAPTION} Up and right is better.");
    Some(Figure::new("pareto-gpu.svg", caption, chart))
}

/// Tokens per second of one user against the price of a million output tokens.
pub(super) fn per_dollar(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let places = places(study, comparison, |row| {
        let usd_per_s = study.systems.get(row.system)?.usd_per_hour? / 3600.0;
        let tokens = row.value("throughput_output_tok_per_s")?.mean;
        (tokens > 0.0).then(|| usd_per_s / tokens * 1e6)
    });
    let label = "US dollars per million output tokens (log scale)";
    let chart = chart(study, &places, true, label, |y| format!("${} per Mtok", format::digits(y)))?;
    let caption = format!(
        "{CAPTION} Down and right is better. Accelerators only, at the price per hour of their files: [M], typical prices \
         on demand from memory, to be checked; replace `[price]` by yours."
    );
    Some(Figure::new("pareto-price.svg", caption, chart))
}

const CAPTION: &str = "Every system at every load of the study; lines join the loads of one system. Black: the front, \
                       which no other design beats in both directions. Pale: beaten, or overloaded and so no steady state. Speed is 1 / \
                       median TPOT.";

fn places(
    study: &Study,
    comparison: &Comparison,
    value: impl Fn(&ComparisonRow) -> Option<f64>,
) -> Vec<Place> {
    let place = |point: &PointComparison, row: &ComparisonRow| {
        let tpot = row.value("tpot_p50_s").map(|v| v.mean).filter(|v| *v > 0.0)?;
        let eligible = row.is_design() && row.saturation != Saturation::Overloaded;
        let name = &study.systems[row.system].name;
        let label = format!("{name} at {}", point.label);
        Some(Place { system: row.system, eligible, label, x: 1.0 / tpot, y: value(row)? })
    };
    comparison.points.iter().flat_map(|p| p.rows.iter().filter_map(move |r| place(p, r))).collect()
}

/// The chart; `cheap`: small y is better.
fn chart(
    study: &Study,
    places: &[Place],
    cheap: bool,
    y_label: &str,
    show: impl Fn(f64) -> String,
) -> Option<Chart> {
    let sign = if cheap { -1.0 } else { 1.0 };
    let eligible: Vec<&Place> = places.iter().filter(|p| p.eligible).collect();
    let points: Vec<(f64, f64)> = eligible.iter().map(|p| (p.x, sign * p.y)).collect();
    let front: Vec<&Place> = pareto::front(&points).into_iter().map(|i| eligible[i]).collect();
    let (slow, fast) = (front.first()?, front.last()?);
    let mut series = Vec::new();
    for system in study.display_order() {
        let of: Vec<&Place> = places.iter().filter(|p| p.system == system).collect();
        let on_front = |p: &&Place| front.iter().any(|f| std::ptr::eq(*f, *p));
        let all: Vec<(f64, f64)> = of.iter().map(|p| (p.x, p.y)).collect();
        let best: Vec<(f64, f64)> = of.iter().copied().filter(on_front).map(|p| (p.x, p.y)).collect();
        let drawn = Stroke { strong: false, ..stroke(study, system, true) };
        let faint = Stroke { pale: true, ..drawn };
        let full = Stroke { line: false, ..drawn };
        series.push(Series { name: String::new(), stroke: faint, points: all, band: Vec::new() });
        if !of.is_empty() {
            series.push(Series {
                name: legend_name(study, system),
                stroke: full,
                points: best,
                band: Vec::new(),
            });
        }
    }
    let line = Stroke::plain(Ink::Foreground);
    series.push(Series { name: "front".to_owned(), stroke: line, points: steps(&front), band: Vec::new() });
    let title = if std::ptr::eq(*slow, *fast) {
        format!("{} is best in both: {:.0} tokens/s per user, {}", fast.label, fast.x, show(fast.y))
    } else {
        format!(
            "From {} ({:.0} tokens/s per user, {}) to {} ({:.0}, {})",
            fast.label,
            fast.x,
            show(fast.y),
            slow.label,
            slow.x,
            show(slow.y)
        )
    };
    let axis = |label: &str, scale| Axis {
        label: label.to_owned(),
        scale,
        unit: AxisUnit::Plain,
        range: None,
        marks: Vec::new(),
    };
    Some(Chart {
        title,
        x: axis("speed of one answer (tokens/s per user)", Scale::Linear),
        y: axis(y_label, if cheap { Scale::Log } else { Scale::Linear }),
        series,
        lines: Vec::new(),
    })
}

/// The front as steps: between two designs one has the worse of both, unless traffic is split.
fn steps(front: &[&Place]) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    for (i, place) in front.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).map(|i| front[i]) {
            points.push((before.x, place.y));
        }
        points.push((place.x, place.y));
    }
    points
}
