//! Throughput–latency curves of the capacity searches, and factor chains.

use crate::metrics::slo::{Limit, Slo};
use crate::report::format;
use crate::report::plot::{
    Axis, AxisUnit, BarRow, Bars, Chart, Layout, Orientation, Picture, ReferenceLine, Scale, Series, Stroke,
};

use super::plan::Mode;
use super::run::{Measured, PaperResult};
use super::schema::Test;

/// Every picture by file name below `plots/`.
pub(super) fn all(result: &PaperResult) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for (i, experiment) in result.plan.experiments.iter().enumerate() {
        files.extend(curves(result, i).map(|svg| (format!("{}.svg", experiment.name), svg)));
    }
    for claim in &result.claims {
        if let Test::Chain(_) = claim.claim.test {
            files.push((format!("chain-{}.svg", claim.claim.name), chain(claim)));
        }
    }
    files
}

/// The limit that a curve is about, its column, and its value where all systems share it.
fn subject(slo: &Slo) -> Option<(Limit, &'static str, f64)> {
    let shown = [Limit::NormalisedP50, Limit::NormalisedMean, Limit::GapP99, Limit::SchedulingDelayP50];
    shown.into_iter().find_map(|l| Some((l, l.column()?, slo.get(l)?.as_secs_f64())))
}

/// Trials of the first seed in the mechanism run: rate against the limited latency.
fn curves(result: &PaperResult, experiment: usize) -> Option<String> {
    let of = &result.plan.experiments[experiment];
    let mut series = Vec::new();
    let mut line = None;
    let mut label = "";
    for (key, runs) in
        result.measured.iter().filter(|(k, _)| k.experiment == experiment && k.mode == Mode::Mechanism)
    {
        let Some(Measured::Capacity(capacity, slo)) = runs.first() else { continue };
        let Some((limit, column, value)) = subject(slo) else { continue };
        label = limit.name();
        if of.low_load.is_none() {
            line = Some(value);
        }
        let mut points: Vec<(f64, f64)> =
            capacity.trials.iter().filter_map(|t| Some((t.rate, t.summary.get(column)?))).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        series.push(Series {
            name: of.plans[0].systems[key.system].name.clone(),
            stroke: Stroke::design(series.len(), true, false),
            points,
            band: Vec::new(),
        });
    }
    if series.is_empty() {
        return None;
    }
    let lines = line.map(|at| ReferenceLine {
        orientation: Orientation::Horizontal,
        at,
        label: format!("limit {}", format::limit(at)),
    });
    let axis = |label: String, unit: AxisUnit| Axis {
        label,
        scale: Scale::Log,
        unit,
        range: None,
        marks: Vec::new(),
    };
    let chart = Chart {
        title: format!("{}: rate against {label}, every trial of the search with seed 1", of.title),
        x: axis("offered rate (req/s)".to_owned(), AxisUnit::Plain),
        y: axis(label.to_owned(), AxisUnit::Seconds),
        series,
        lines: lines.into_iter().collect(),
    };
    Some(chart.draw(Layout::File))
}

/// One bar per step of a factor chain.
fn chain(claim: &super::ClaimResult) -> String {
    let systems = &claim.of(Mode::Mechanism).systems;
    let rows = systems.iter().map(|s| BarRow {
        label: s.system.clone(),
        bound: false,
        group: false,
        parts: vec![s.mean.map_or(0.0, |m| m.mean)],
    });
    let metric = claim.claim.metric.as_deref().unwrap_or("capacity (req/s)");
    let bars = Bars {
        title: claim.claim.statement.clone(),
        axis_label: format!("{metric}, mean over seeds"),
        unit: AxisUnit::Plain,
        parts: vec![metric.to_owned()],
        cut_at: None,
        rows: rows.collect(),
    };
    bars.draw(Layout::File)
}
