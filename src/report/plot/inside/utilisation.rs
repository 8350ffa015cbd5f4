//! MFU and MBU against load and over time, raw and useful.

use super::super::chart::AxisUnit;
use super::super::curves::{abscissa, x_range};
use super::super::figures::Figure;
use super::super::style::{Ink, Stroke};
use super::super::systems::{legend_name, stroke};
use super::panel::{Grid, Layer, Panel, Swatch};
use super::{drawn, first_run, linear, mean, most, span, stretches, time_end};
use crate::metrics::TimelineRow;
use crate::report::format;
use crate::results::{Comparison, ComparisonRow, PointComparison, Study};

const STRETCHES: usize = 80;

/// A kind of utilisation.
struct Kind {
    name: &'static str,
    raw: &'static str,
    useful: &'static str,
    over_time: fn(&TimelineRow) -> Option<(f64, f64)>,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "MFU",
        raw: "mfu_ratio",
        useful: "mfu_useful_ratio",
        over_time: |r| Some((r.raw?.flops, r.useful?.flops)),
    },
    Kind {
        name: "MBU",
        raw: "mbu_ratio",
        useful: "mbu_useful_ratio",
        over_time: |r| Some((r.raw?.bytes, r.useful?.bytes)),
    },
];

/// What only the raw line counts.
const WASTE: Stroke =
    Stroke { ink: Ink::Limit, dash: 2, marker: None, strong: false, line: true, pale: false };

/// The chart.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let wasted = |r: &ComparisonRow| Some(mean(r, "mfu_ratio")? - mean(r, "mfu_useful_ratio")?);
    let told: Vec<&ComparisonRow> = point.reference().into_iter().chain(most(point, wasted)).collect();
    let mut rows = Vec::new();
    if study.points.len() > 1 {
        rows.push((150.0, KINDS.iter().map(|kind| load_panel(study, comparison, kind)).collect()));
    }
    let over_time: Vec<Panel> = KINDS.iter().filter_map(|kind| time_panel(study, point, kind)).collect();
    if !over_time.is_empty() {
        rows.push((150.0, over_time));
    }
    let used = |s: &usize| point.row(*s).is_some_and(|r| mean(r, "mfu_ratio").is_some());
    let systems: Vec<usize> = study.drawn_order().into_iter().filter(used).collect();
    if systems.is_empty() || rows.is_empty() {
        return None;
    }
    let mut legend: Vec<(Swatch, String)> =
        systems.iter().map(|&s| (Swatch::Line(line(study, s)), legend_name(study, s))).collect();
    legend.push((Swatch::Line(WASTE), "raw, if above useful".to_owned()));
    let finding: Vec<String> = told.iter().filter_map(|row| sentence(row)).collect();
    let title = format!("Utilisation at {}: {}", point.label, finding.join("; "));
    let grid = Grid { title, rows, legend };
    let caption = "Share of the datasheet's 16-bit peak (MFU) and memory bandwidth (MBU) of all GPUs, over the whole run or over \
                   stretches of one run. Lines are useful work; dotted red lines above them add what nobody needed: \
                   recomputed tokens, padding, slots of finished sequences. Counted are GEMMs and causal attention, \
                   weights once a step and KV once a sequence and step."
        .to_owned();
    Some(Figure::new("utilisation.svg", caption, grid))
}

/// `vllm-v1 16.4 % MFU and 55.2 % MBU, 0.1 % of its FLOPs for nothing`.
fn sentence(row: &ComparisonRow) -> Option<String> {
    let share = |key: &str| mean(row, key);
    let lost = 1.0 - share("mfu_useful_ratio")? / share("mfu_ratio")?.max(1e-12);
    Some(format!(
        "{} {} MFU and {} MBU, {} of its FLOPs for nothing",
        row.name,
        format::percent(share("mfu_ratio")?),
        format::percent(share("mbu_ratio")?),
        format::percent(lost)
    ))
}

/// Lines without markers: they would hide the difference of raw and useful.
fn line(study: &Study, system: usize) -> Stroke {
    Stroke { strong: false, ..stroke(study, system, false) }
}

/// Raw lines only where one could see them.
fn apart(raw: &[(f64, f64)], useful: &[(f64, f64)]) -> bool {
    raw.iter().zip(useful).any(|(r, u)| r.1 - u.1 > 0.003)
}

fn load_panel(study: &Study, comparison: &Comparison, kind: &Kind) -> Panel {
    let (xs, x_label) = abscissa(study);
    let mut layers = Vec::new();
    for system in study.drawn_order().into_iter().rev() {
        let points = |key: &str| -> Vec<(f64, f64)> {
            let cells = comparison.points.iter().zip(&xs);
            cells.filter_map(|(p, x)| Some((*x, mean(p.row(system)?, key)?))).collect()
        };
        let (raw, useful) = (points(kind.raw), points(kind.useful));
        if apart(&raw, &useful) {
            layers.push(Layer::Line(raw, WASTE));
        }
        layers.push(Layer::Line(useful, stroke(study, system, true)));
    }
    let mut x = linear(x_label, AxisUnit::Plain, x_range(&xs));
    x.marks = xs;
    let name = format!("{} of the whole run, by load", kind.name);
    Panel { name, x, y: linear("", AxisUnit::Percent, None), rows: Vec::new(), layers }
}

fn time_panel(study: &Study, point: &PointComparison, kind: &Kind) -> Option<Panel> {
    let end = time_end(study, point.point);
    let mut layers = Vec::new();
    for row in drawn(study, point).into_iter().filter(|r| r.is_design()) {
        let Some(run) = first_run(study, point.point, row.system) else { continue };
        let rows = stretches(run, STRETCHES, end);
        let values: Vec<(f64, (f64, f64))> =
            rows.iter().skip(1).filter_map(|r| Some((r.at_s, (kind.over_time)(r)?))).collect();
        let raw: Vec<(f64, f64)> = values.iter().map(|(x, v)| (*x, v.0)).collect();
        let useful: Vec<(f64, f64)> = values.iter().map(|(x, v)| (*x, v.1)).collect();
        if apart(&raw, &useful) {
            layers.push(Layer::Line(raw, WASTE));
        }
        layers.push(Layer::Line(useful, line(study, row.system)));
    }
    layers.retain(|l| !matches!(l, Layer::Line(points, _) if points.is_empty()));
    (!layers.is_empty()).then(|| Panel {
        name: format!("{} over time at {}", kind.name, point.label),
        x: linear("time since the first arrival (s)", AxisUnit::Plain, span(&layers)),
        y: linear("", AxisUnit::Percent, None),
        rows: Vec::new(),
        layers,
    })
}
