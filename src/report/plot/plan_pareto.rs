//! Speed of one answer against output of one GPU, every deployment of a search at its own capacity.

use super::chart::{Axis, AxisUnit, Chart, Scale, Series};
use super::figures::Figure;
use super::style::{Ink, Stroke};
use crate::metrics::pareto;
use crate::report::format;
use crate::results::{PlanDetail, PlanStage, Planned};

/// A deployment in the picture.
struct Place<'a> {
    planned: &'a Planned,
    stage: PlanStage,
    x: f64,
    y: f64,
}

/// The front of all deployments that were tried; none where none has a capacity.
pub(in crate::report) fn figure(detail: &PlanDetail) -> Option<Figure> {
    let place = |planned: &'_ Planned| {
        let last = planned.findings.last().filter(|f| f.mean() > 0.0)?;
        Some((last.stage, last.tok_per_user_per_s?, last.tok_per_gpu_per_s?))
    };
    let places: Vec<Place<'_>> = detail
        .deployments
        .iter()
        .filter_map(|planned| place(planned).map(|(stage, x, y)| Place { planned, stage, x, y }))
        .collect();
    let points: Vec<(f64, f64)> = places.iter().map(|p| (p.x, p.y)).collect();
    let front: Vec<&Place<'_>> = pareto::front(&points).into_iter().map(|i| &places[i]).collect();
    let (slow, fast) = (front.first()?, front.last()?);
    let of = |stage: PlanStage| places.iter().filter(|p| p.stage == stage).map(|p| (p.x, p.y)).collect();
    let dots = |slot: usize, stage: PlanStage, pale: bool| Series {
        name: format!("after {}", stage.name()),
        stroke: Stroke { line: false, pale, marker: Some(slot), ..Stroke::plain(Ink::Series(slot)) },
        points: of(stage),
        band: Vec::new(),
    };
    let mut series = vec![
        dots(5, PlanStage::Short, true),
        dots(4, PlanStage::Middle, false),
        dots(0, PlanStage::Long, false),
    ];
    series.retain(|s| !s.points.is_empty());
    series.push(Series {
        name: "front".to_owned(),
        stroke: Stroke::plain(Ink::Foreground),
        points: steps(&front),
        band: Vec::new(),
    });
    let named = |p: &Place<'_>| {
        format!(
            "{} ({} tokens/s per user, {} per GPU)",
            p.planned.name,
            format::digits(p.x),
            format::digits(p.y)
        )
    };
    let title = if std::ptr::eq(*slow, *fast) {
        format!("{} is best in both", named(fast))
    } else {
        format!("From {} to {}", named(fast), named(slow))
    };
    let axis = |label: &str| Axis {
        label: label.to_owned(),
        scale: Scale::Linear,
        unit: AxisUnit::Plain,
        range: None,
        marks: Vec::new(),
    };
    let chart = Chart {
        title,
        x: axis("speed of one answer (tokens/s per user)"),
        y: axis("output of one GPU (tokens/s)"),
        series,
        lines: Vec::new(),
    };
    let caption = "Every deployment that was tried, at the highest rate at which it meets the limits, as found by its last pass; \
                   up and right is better. Short trials (pale) find too much: only those of the last pass are ranked. Speed is \
                   1 / median TPOT. Black: the front, which no other deployment beats in both directions."
        .to_owned();
    Some(Figure::new("pareto-deployments.svg", caption, chart))
}

/// The front as steps.
fn steps(front: &[&Place<'_>]) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    for (i, place) in front.iter().enumerate() {
        if let Some(before) = i.checked_sub(1).map(|i| front[i]) {
            points.push((before.x, place.y));
        }
        points.push((place.x, place.y));
    }
    points
}
