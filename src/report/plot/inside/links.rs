//! What goes between replicas: how much of the ports is used, how long KV waits for them, and what users feel of it.

use super::super::chart::{Axis, AxisUnit, Scale};
use super::super::curves::{abscissa, x_range};
use super::super::figures::Figure;
use super::super::style::Stroke;
use super::super::systems::{legend_name, stroke};
use super::panel::{Grid, Layer, Panel, Swatch};
use super::{drawn, linear, mean, most};
use crate::report::format;
use crate::results::{Comparison, ComparisonRow, Study};

/// One panel: column and heading.
struct Kind {
    key: &'static str,
    name: &'static str,
    unit: AxisUnit,
}

const fn kind(key: &'static str, name: &'static str, unit: AxisUnit) -> Kind {
    Kind { key, name, unit }
}

const KINDS: [[Kind; 2]; 3] = [
    [
        kind("port_used_peak_ratio", "busiest port: share of its rate used", AxisUnit::Percent),
        kind("port_used_mean_ratio", "mean of the ports with traffic", AxisUnit::Percent),
    ],
    [
        kind("transfer_mean_s", "time of a transfer, mean (log scale)", AxisUnit::Seconds),
        kind("transfer_wait_mean_s", "of it, waiting for other transfers", AxisUnit::Seconds),
    ],
    [
        kind("transfer_ttft_ratio", "transfers' share of TTFT", AxisUnit::Percent),
        kind("transfer_tpot_ratio", "transfers' share of TPOT", AxisUnit::Percent),
    ],
];

/// The chart; none where no KV goes between replicas.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let sends =
        |row: &&ComparisonRow| comparison.points.iter().any(|p| p.row(row.system).is_some_and(has_transfers));
    let systems: Vec<usize> = drawn(study, point).into_iter().filter(sends).map(|r| r.system).collect();
    if systems.is_empty() {
        return None;
    }
    let row = |kinds: &[Kind; 2]| {
        let panels: Vec<Panel> =
            kinds.iter().filter_map(|kind| panel(study, comparison, &systems, kind)).collect();
        (!panels.is_empty()).then_some((150.0, panels))
    };
    let rows: Vec<(f64, Vec<Panel>)> = KINDS.iter().filter_map(row).collect();
    let legend =
        systems.iter().map(|&s| (Swatch::Line(stroke(study, s, true)), legend_name(study, s))).collect();
    let reference = point.reference().filter(|row| has_transfers(row));
    let longest = most(point, |row| mean(row, "transfer_mean_s").filter(|_| has_transfers(row)));
    let told: Vec<String> = reference.into_iter().chain(longest).filter_map(sentence).collect();
    let title = if told.is_empty() {
        format!("At {} no KV went between replicas", point.name())
    } else {
        format!("At {}, {}", point.name(), told.join("; "))
    };
    let caption = "By load, mean over seeds. Ports: bytes through a port over what it carries at its full rate, over the whole run. A \
                   transfer is timed from setting out to its last byte; it waits where others share its ports. TTFT and TPOT: \
                   the share in hand-over (waiting for room included) or moves, all finished requests together; a hand-over is part of TTFT where the decode \
                   replica gives the first token, else of TPOT, as are moves; fetched prefixes are part of TTFT. Systems that send no KV are left out."
        .to_owned();
    Some(Figure::new("links.svg", caption, Grid { title, rows, legend }))
}

fn has_transfers(row: &ComparisonRow) -> bool {
    mean(row, "transfers").is_some_and(|n| n > 0.0)
}

/// `distserve: busiest port 45 % used, a transfer takes 12 ms (8 ms of it waiting), 3 % of TPOT`.
fn sentence(row: &ComparisonRow) -> Option<String> {
    let (used, time) = (mean(row, "port_used_peak_ratio")?, mean(row, "transfer_mean_s")?);
    let waited = mean(row, "transfer_wait_mean_s").filter(|w| *w > 0.005 * time);
    let waited = waited.map_or_else(String::new, |w| format!(" ({} of it waiting)", format::seconds(w)));
    let share = |key: &str, name: &str| {
        let share = mean(row, key).filter(|s| *s >= 0.0005)?;
        Some(format!(", {} of {name}", format::percent(share)))
    };
    Some(format!(
        "{}: busiest port {} used, a transfer takes {}{waited}{}{}",
        row.name,
        format::percent(used),
        format::seconds(time),
        share("transfer_ttft_ratio", "TTFT").unwrap_or_default(),
        share("transfer_tpot_ratio", "TPOT").unwrap_or_default()
    ))
}

/// One column by load; none where it is zero for all.
fn panel(study: &Study, comparison: &Comparison, systems: &[usize], kind: &Kind) -> Option<Panel> {
    let (xs, x_label) = abscissa(study);
    let points = |system: usize| -> Vec<(f64, f64)> {
        let cells = comparison.points.iter().zip(&xs);
        cells.filter_map(|(p, x)| Some((*x, mean(p.row(system)?, kind.key)?))).collect()
    };
    let log = kind.key == "transfer_mean_s";
    let line = |&system: &usize| {
        let mut points = points(system);
        points.retain(|p| !log || p.1 > 0.0);
        Layer::Line(points, Stroke { strong: false, ..stroke(study, system, true) })
    };
    let mut layers: Vec<Layer> = systems.iter().rev().map(line).collect();
    layers.retain(|layer| matches!(layer, Layer::Line(points, _) if !points.is_empty()));
    let above = |layer: &Layer| matches!(layer, Layer::Line(points, _) if points.iter().any(|p| p.1 > 0.0));
    if !layers.iter().any(above) {
        return None;
    }
    let scale = if log { Scale::Log } else { Scale::Linear };
    let y = Axis { label: String::new(), scale, unit: kind.unit, range: None, marks: Vec::new() };
    let mut x = linear(x_label, AxisUnit::Plain, x_range(&xs));
    x.marks = xs;
    Some(Panel { name: kind.name.to_owned(), x, y, rows: Vec::new(), layers })
}
