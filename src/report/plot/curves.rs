//! Charts of one number against load, and of whole distributions.

use super::chart::{Axis, AxisUnit, Chart, Orientation, ReferenceLine, Scale, Series};
use super::figures::Figure;
use super::systems::{left_out, legend_name, limit_seconds, off_scale, series_of, stroke};
use super::ticks::TAIL_END;
use super::titles::{Wording, best_at, holds, knees};
use crate::metrics::slo::Limit;
use crate::metrics::{Curves, curve_probability};
use crate::report::format;
use crate::results::comparison::mean_curves;
use crate::results::{Comparison, Study};

/// A chart of quantile curves.
struct CdfKind {
    file: &'static str,
    wording: Wording,
    axis: &'static str,
    limit: Option<Limit>,
    curve: fn(&Curves) -> &[f64],
}

const TTFT: CdfKind = CdfKind {
    file: "cdf-ttft.svg",
    wording: Wording { key: "ttft_p99_s", name: "P99 TTFT" },
    axis: "time to first token at the client (log scale)",
    limit: Some(Limit::Ttft),
    curve: |c| &c.ttft_s,
};

const GAP: CdfKind = CdfKind {
    file: "cdf-gap.svg",
    wording: Wording { key: "gap_p99_s", name: "P99 gap between tokens" },
    axis: "gap between consecutive tokens, pooled (log scale)",
    limit: Some(Limit::GapP99),
    curve: |c| &c.gap_s,
};

const TPOT: CdfKind = CdfKind {
    file: "cdf-tpot.svg",
    wording: Wording { key: "tpot_p99_s", name: "P99 TPOT" },
    axis: "mean time per output token of a request (log scale)",
    limit: Some(Limit::Tpot),
    curve: |c| &c.tpot_s,
};

const E2E: CdfKind = CdfKind {
    file: "cdf-e2e.svg",
    wording: Wording { key: "e2e_p99_s", name: "P99 end-to-end latency" },
    axis: "end-to-end latency (log scale)",
    limit: Some(Limit::E2e),
    curve: |c| &c.e2e_s,
};

/// Distribution of TTFT.
pub(super) fn cdf_ttft(study: &Study, comparison: &Comparison) -> Option<Figure> {
    cdf_figure(study, comparison, &TTFT)
}

/// Distribution of pooled gaps.
pub(super) fn cdf_gap(study: &Study, comparison: &Comparison) -> Option<Figure> {
    cdf_figure(study, comparison, &GAP)
}

/// Distribution of TPOT.
pub(super) fn cdf_tpot(study: &Study, comparison: &Comparison) -> Option<Figure> {
    cdf_figure(study, comparison, &TPOT)
}

/// Distribution of end-to-end latency.
pub(super) fn cdf_e2e(study: &Study, comparison: &Comparison) -> Option<Figure> {
    cdf_figure(study, comparison, &E2E)
}

/// A chart of one metric against load.
struct LoadKind {
    file: &'static str,
    wording: Wording,
    axis: &'static str,
    unit: AxisUnit,
    scale: Scale,
    limit: Option<Limit>,
    /// Whether the title names where each design's curve turns upwards.
    knee: bool,
}

const fn latency(
    file: &'static str,
    key: &'static str,
    name: &'static str,
    axis: &'static str,
    limit: Option<Limit>,
) -> LoadKind {
    LoadKind {
        file,
        wording: Wording { key, name },
        axis,
        unit: AxisUnit::Seconds,
        scale: Scale::Log,
        limit,
        knee: false,
    }
}

/// P99 TTFT against load.
pub(super) fn load_ttft(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let axis = "P99 time to first token (log scale)";
    let kind = latency("load-ttft-p99.svg", "ttft_p99_s", "P99 TTFT", axis, Some(Limit::Ttft));
    load_figure(study, comparison, &kind)
}

/// P99 of pooled gaps against load.
pub(super) fn load_gap(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let axis = "P99 of pooled gaps between tokens (log scale)";
    let kind = latency("load-gap-p99.svg", "gap_p99_s", "P99 gap between tokens", axis, Some(Limit::GapP99));
    load_figure(study, comparison, &kind)
}

/// Median normalised latency against load, as Orca and vLLM show it; the title names the knees.
pub(super) fn load_normalised(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let axis = "median of E2E per output token (log scale)";
    let key = "normalised_p50_s_per_token";
    let kind = latency("load-normalised.svg", key, "median normalised latency", axis, None);
    let figure = load_figure(study, comparison, &LoadKind { knee: true, ..kind })?;
    Some(figure)
}

/// Attainment against load.
pub(super) fn load_attainment(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = LoadKind {
        file: "load-attainment.svg",
        wording: Wording { key: "attainment", name: "SLO attainment" },
        axis: "requests within their limits, share of all that arrived",
        unit: AxisUnit::Percent,
        scale: Scale::Linear,
        limit: None,
        knee: false,
    };
    load_figure(study, comparison, &kind)
}

/// Goodput against load.
pub(super) fn load_goodput(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = LoadKind {
        file: "load-goodput.svg",
        wording: Wording { key: "goodput_per_s", name: "goodput" },
        axis: "requests within their limits (req/s)",
        unit: AxisUnit::Plain,
        scale: Scale::Linear,
        limit: None,
        knee: false,
    };
    load_figure(study, comparison, &kind)
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
            .filter(|(v, p)| *v > 0.0 && *p <= TAIL_END)
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
        title,
        x: Axis {
            label: kind.axis.to_owned(),
            scale: Scale::Log,
            unit: AxisUnit::Seconds,
            range: cdf_range(&series, line.as_ref()),
            marks: Vec::new(),
        },
        y: Axis {
            label: "requests at or below, scaled so that the tail can be read".to_owned(),
            scale: Scale::Tail,
            unit: AxisUnit::Percent,
            range: Some((0.0, TAIL_END)),
            marks: Vec::new(),
        },
        series,
        lines: line.into_iter().collect(),
    };
    let caption = format!(
        "Distribution at {}, quantiles averaged over seeds. Further left is better. \
         P99 is where a curve crosses 99 %: 90 %, 99 % and 99.9 % are equally far apart.{}",
        point.name(),
        left_out(study, &off)
    );
    Some(Figure::new(kind.file, caption, chart))
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
    if study.points.len() < 2 {
        return None;
    }
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
        None if kind.knee => knees(comparison, kind.wording)?,
        None => best_at(comparison.headline()?, kind.wording),
    };
    let range = (kind.unit == AxisUnit::Percent).then_some((0.0, 1.0));
    let chart = Chart {
        title,
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
    Some(Figure::new(kind.file, caption, chart))
}

/// A little room on both sides instead of an axis from zero.
pub(super) fn x_range(xs: &[f64]) -> Option<(f64, f64)> {
    let low = xs.iter().copied().min_by(f64::total_cmp)?;
    let high = xs.iter().copied().max_by(f64::total_cmp)?;
    let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.5 };
    Some(((low - room).max(0.0), high + room))
}
