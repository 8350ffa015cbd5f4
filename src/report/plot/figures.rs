//! The charts of a study: one line here per chart.

use super::breakdown::{ledger_figure, timeline_figures};
use super::chart::{Axis, AxisUnit, Chart, Orientation, ReferenceLine, Scale, Series};
use super::inside::inside_figures;
use super::style::Stroke;
use super::titles::{Wording, best_at, holds};
use crate::metrics::slo::Limit;
use crate::metrics::{Curves, Saturation, curve_probability};
use crate::report::format;
use crate::results::comparison::mean_curves;
use crate::results::{Comparison, PointComparison, Study};

/// A finished chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// File name under `plots/`.
    pub file: &'static str,
    /// Its title: the finding.
    pub title: String,
    /// What is drawn, in one or two sentences.
    pub caption: String,
    /// The picture, stand-alone.
    pub svg: String,
}

/// A chart of quantile curves.
struct CdfKind {
    file: &'static str,
    wording: Wording,
    axis: &'static str,
    limit: Option<Limit>,
    curve: fn(&Curves) -> &[f64],
}

const CDFS: [CdfKind; 4] = [
    CdfKind {
        file: "cdf-ttft.svg",
        wording: Wording { key: "ttft_p99_s", name: "P99 TTFT" },
        axis: "time to first token at the client (log scale)",
        limit: Some(Limit::Ttft),
        curve: |c| &c.ttft_s,
    },
    CdfKind {
        file: "cdf-gap.svg",
        wording: Wording { key: "gap_p99_s", name: "P99 gap between tokens" },
        axis: "gap between consecutive tokens, all requests pooled (log scale)",
        limit: Some(Limit::GapP99),
        curve: |c| &c.gap_s,
    },
    CdfKind {
        file: "cdf-tpot.svg",
        wording: Wording { key: "tpot_p99_s", name: "P99 TPOT" },
        axis: "mean time per output token of a request (log scale)",
        limit: Some(Limit::Tpot),
        curve: |c| &c.tpot_s,
    },
    CdfKind {
        file: "cdf-e2e.svg",
        wording: Wording { key: "e2e_p99_s", name: "P99 end-to-end latency" },
        axis: "end-to-end latency (log scale)",
        limit: Some(Limit::E2e),
        curve: |c| &c.e2e_s,
    },
];

/// A chart of one metric against load.
struct LoadKind {
    file: &'static str,
    wording: Wording,
    axis: &'static str,
    unit: AxisUnit,
    scale: Scale,
    limit: Option<Limit>,
}

const fn latency(
    file: &'static str,
    key: &'static str,
    name: &'static str,
    axis: &'static str,
    limit: Option<Limit>,
) -> LoadKind {
    LoadKind { file, wording: Wording { key, name }, axis, unit: AxisUnit::Seconds, scale: Scale::Log, limit }
}

const LOADS: [LoadKind; 5] = [
    latency(
        "load-ttft-p99.svg",
        "ttft_p99_s",
        "P99 TTFT",
        "P99 time to first token (log scale)",
        Some(Limit::Ttft),
    ),
    latency(
        "load-gap-p99.svg",
        "gap_p99_s",
        "P99 gap between tokens",
        "P99 of pooled gaps between tokens (log scale)",
        Some(Limit::GapP99),
    ),
    latency(
        "load-normalised.svg",
        "normalised_p50_s_per_token",
        "median normalised latency",
        "median normalised latency: E2E per output token (log scale)",
        None,
    ),
    LoadKind {
        file: "load-attainment.svg",
        wording: Wording { key: "attainment", name: "SLO attainment" },
        axis: "requests that met their limits, share of all that arrived",
        unit: AxisUnit::Percent,
        scale: Scale::Linear,
        limit: None,
    },
    LoadKind {
        file: "load-goodput.svg",
        wording: Wording { key: "goodput_per_s", name: "goodput" },
        axis: "goodput: requests within their limits (req/s)",
        unit: AxisUnit::Plain,
        scale: Scale::Linear,
        limit: None,
    },
];

/// All charts of the study, in page order. Charts without data are left out.
pub fn figures(study: &Study, comparison: &Comparison) -> Vec<Figure> {
    let mut figures = Vec::new();
    if study.points.len() > 1 {
        figures.extend(LOADS.iter().filter_map(|kind| load_figure(study, comparison, kind)));
    }
    figures.extend(ledger_figure(study, comparison));
    figures.extend(CDFS.iter().filter_map(|kind| cdf_figure(study, comparison, kind)));
    figures.extend(timeline_figures(study, comparison));
    figures.extend(inside_figures(study, comparison));
    figures
}

/// Stroke of every system: designs coloured in their order, bounds grey, the reference strong.
pub(super) fn stroke(study: &Study, system: usize, markers: bool) -> Stroke {
    let bound = study.systems[system].bound;
    let position = study.systems[..system].iter().filter(|s| s.bound == bound).count();
    if bound {
        Stroke::bound(position, markers)
    } else {
        Stroke::design(position, markers, system == study.reference_index())
    }
}

pub(super) fn legend_name(study: &Study, system: usize) -> String {
    let info = &study.systems[system];
    match (info.bound, info.oracle) {
        (true, _) => format!("{} (bound)", info.name),
        (_, true) => format!("{} (oracle)", info.name),
        _ => info.name.clone(),
    }
}

/// Bounds first, so that designs are drawn on top; the legend keeps designs first.
pub(super) fn series_of(study: &Study, make: impl Fn(usize) -> Option<Series>) -> Vec<Series> {
    study.display_order().into_iter().filter_map(make).filter(|s| !s.points.is_empty()).collect()
}

/// Designs that are overloaded at every one of `points`, unless all are: their latencies measure the length of the
/// run, and would stretch an axis until nothing else can be seen.
pub(super) fn off_scale(points: &[PointComparison]) -> Vec<usize> {
    let overloaded = |system: usize| {
        points.iter().all(|p| p.row(system).is_none_or(|r| r.saturation == Saturation::Overloaded))
    };
    let Some(first) = points.first() else { return Vec::new() };
    let all: Vec<usize> = first.rows.iter().filter(|r| r.is_design()).map(|r| r.system).collect();
    let off: Vec<usize> = all.iter().copied().filter(|&s| overloaded(s)).collect();
    if off.len() == all.len() { Vec::new() } else { off }
}

/// Says in a caption which designs `off_scale` took out.
fn left_out(study: &Study, off: &[usize]) -> String {
    if off.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = off.iter().map(|&s| study.systems[s].name.as_str()).collect();
    format!(" Left out, because overloaded: {}.", names.join(", "))
}

fn limit_seconds(study: &Study, limit: Option<Limit>) -> Option<f64> {
    limit.and_then(|l| study.slo.get(l)).map(crate::units::SimDuration::as_secs_f64)
}

fn cdf_figure(study: &Study, comparison: &Comparison, kind: &CdfKind) -> Option<Figure> {
    let point = comparison.headline()?;
    let off = off_scale(std::slice::from_ref(point));
    let series = series_of(study, |system| {
        if off.contains(&system) {
            return None;
        }
        let curves = mean_curves(study, point.point, system);
        let points: Vec<(f64, f64)> = (kind.curve)(&curves)
            .iter()
            .enumerate()
            .map(|(i, v)| (*v, curve_probability(i)))
            .filter(|(v, _)| *v > 0.0)
            .collect();
        let stroke = stroke(study, system, false);
        Some(Series { name: legend_name(study, system), stroke, points, band: Vec::new() })
    });
    if series.is_empty() {
        return None;
    }
    let line = limit_seconds(study, kind.limit).map(|at| ReferenceLine {
        orientation: Orientation::Vertical,
        at,
        label: format!("limit {}", format::limit(at)),
    });
    let title = best_at(point, kind.wording);
    let chart = Chart {
        title: title.clone(),
        x: Axis {
            label: kind.axis.to_owned(),
            scale: Scale::Log,
            unit: AxisUnit::Seconds,
            range: cdf_range(&series, line.as_ref()),
            marks: Vec::new(),
        },
        y: Axis {
            label: "share at or below".to_owned(),
            scale: Scale::Linear,
            unit: AxisUnit::Percent,
            range: Some((0.0, 1.0)),
            marks: Vec::new(),
        },
        series,
        lines: line.into_iter().collect(),
    };
    let caption = format!(
        "Distribution at {}, quantiles averaged over seeds. Further left is better; a curve that bends right near \
         the top has a long tail.{}",
        point.name(),
        left_out(study, &off)
    );
    Some(Figure { file: kind.file, title, caption, svg: chart.to_svg() })
}

/// From the 1 % quantile on: the fastest few requests would stretch a log axis over empty decades.
fn cdf_range(series: &[Series], line: Option<&ReferenceLine>) -> Option<(f64, f64)> {
    let kept = series.iter().flat_map(|s| s.points.iter().filter(|p| p.1 >= 0.01).map(|p| p.0));
    let limit = line.map(|l| l.at);
    Some(super::ticks::range(Scale::Log, kept.chain(limit)))
}

/// Where a point stands on the load axis: its rate, else its load, else its position.
pub(super) fn abscissa(study: &Study) -> (Vec<f64>, &'static str) {
    if let Some(rates) = study.points.iter().map(|p| p.rate_per_s).collect::<Option<Vec<f64>>>() {
        return (rates, "offered rate (req/s)");
    }
    if let Some(loads) = study.points.iter().map(|p| p.load).collect::<Option<Vec<f64>>>() {
        return (loads, "load, share of the reference's capacity");
    }
    ((1..=study.points.len()).map(|i| i as f64).collect(), "point, in the order of the tables")
}

fn load_figure(study: &Study, comparison: &Comparison, kind: &LoadKind) -> Option<Figure> {
    let (xs, x_label) = abscissa(study);
    let off = off_scale(&comparison.points);
    let series = series_of(study, |system| {
        if off.contains(&system) {
            return None;
        }
        let values = comparison.points.iter().zip(&xs).filter_map(|(point, x)| {
            let value = point.row(system)?.value(kind.wording.key)?;
            (kind.scale == Scale::Linear || value.mean > 0.0).then_some((*x, value))
        });
        let values: Vec<_> = values.collect();
        Some(Series {
            name: legend_name(study, system),
            stroke: stroke(study, system, true),
            points: values.iter().map(|(x, v)| (*x, v.mean)).collect(),
            band: values
                .iter()
                .filter(|v| v.1.half_width.is_some() && (kind.scale == Scale::Linear || v.1.low() > 0.0))
                .map(|(x, v)| (*x, v.low(), v.high()))
                .collect(),
        })
    });
    if series.is_empty() {
        return None;
    }
    let limit = limit_seconds(study, kind.limit);
    let title = match limit {
        Some(limit) => holds(comparison, kind.wording, limit),
        None => best_at(comparison.headline()?, kind.wording),
    };
    let range = (kind.unit == AxisUnit::Percent).then_some((0.0, 1.0));
    let chart = Chart {
        title: title.clone(),
        x: Axis {
            label: x_label.to_owned(),
            scale: Scale::Linear,
            unit: AxisUnit::Plain,
            range: x_range(&xs),
            marks: xs.clone(),
        },
        y: Axis { label: kind.axis.to_owned(), scale: kind.scale, unit: kind.unit, range, marks: Vec::new() },
        series,
        lines: limit
            .map(|at| ReferenceLine {
                orientation: Orientation::Horizontal,
                at,
                label: format!("limit {}", format::limit(at)),
            })
            .into_iter()
            .collect(),
    };
    let caption = format!(
        "Mean over seeds at each simulated load; bands are 95 % intervals (none where one reaches zero on a log axis). \
         Between points nothing was simulated. Grey: \
         ideal serves every request alone, so no latency can be lower; clairvoyant knows every answer's length.{}",
        left_out(study, &off)
    );
    Some(Figure { file: kind.file, title, caption, svg: chart.to_svg() })
}

/// A little room on both sides instead of an axis from zero.
pub(super) fn x_range(xs: &[f64]) -> Option<(f64, f64)> {
    let low = xs.iter().copied().min_by(f64::total_cmp)?;
    let high = xs.iter().copied().max_by(f64::total_cmp)?;
    let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.5 };
    Some(((low - room).max(0.0), high + room))
}
