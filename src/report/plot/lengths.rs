//! Latency by length: does a short request wait behind long ones?

use super::chart::{Axis, AxisUnit, Chart, Orientation, ReferenceLine, Scale, Series};
use super::figures::Figure;
use super::style::Stroke;
use super::systems::{left_out, legend_name, limit_seconds, off_scale, stroke};
use crate::metrics::slo::Limit;
use crate::metrics::{Extract, LengthBin};
use crate::report::format;
use crate::results::extracts::bins_of;
use crate::results::{Comparison, PointComparison, Study};

/// A chart of latency by length.
struct Kind {
    file: &'static str,
    /// Latency and length in the middle of a sentence.
    names: (&'static str, &'static str),
    axes: (&'static str, &'static str),
    limit: Limit,
    bins: fn(&Extract) -> &[LengthBin],
}

/// Fewest requests behind a drawn median, and behind a drawn P99.
const ENOUGH: (u64, u64) = (10, 100);

/// TTFT by prompt length.
pub(super) fn ttft_by_prompt(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = Kind {
        file: "ttft-by-prompt.svg",
        names: ("TTFT", "prompts"),
        axes: (
            "prompt length (tokens, log scale)",
            "TTFT at the client: P99 strong, median pale (log scale)",
        ),
        limit: Limit::Ttft,
        bins: |e| &e.ttft_by_prompt,
    };
    figure(study, comparison, &kind)
}

/// E2E by answer length.
pub(super) fn e2e_by_output(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let kind = Kind {
        file: "e2e-by-output.svg",
        names: ("end-to-end latency", "answers"),
        axes: ("answer length (tokens, log scale)", "end-to-end: P99 strong, median pale (log scale)"),
        limit: Limit::E2e,
        bins: |e| &e.e2e_by_output,
    };
    figure(study, comparison, &kind)
}

fn figure(study: &Study, comparison: &Comparison, kind: &Kind) -> Option<Figure> {
    let point = comparison.headline()?;
    let off = off_scale(std::slice::from_ref(point));
    let mut series = Vec::new();
    for system in study.display_order().into_iter().filter(|s| !off.contains(s)) {
        let bins = bins_of(study, point.point, system, kind.bins);
        let curve = |enough: u64, value: fn(&LengthBin) -> f64| -> Vec<(f64, f64)> {
            let used = bins.iter().filter(|b| b.requests >= enough && value(b) > 0.0);
            used.map(|b| (middle(b), value(b))).collect()
        };
        let stroke = Stroke { strong: false, ..stroke(study, system, true) };
        let faint = Stroke { pale: true, marker: None, ..stroke };
        let (median, tail) = (curve(ENOUGH.0, |b| b.p50_s), curve(ENOUGH.1, |b| b.p99_s));
        series.push(Series { name: String::new(), stroke: faint, points: median, band: Vec::new() });
        series.push(Series { name: legend_name(study, system), stroke, points: tail, band: Vec::new() });
    }
    series.retain(|s| !s.points.is_empty());
    if series.is_empty() {
        return None;
    }
    let limit = limit_seconds(study, Some(kind.limit)).map(|at| ReferenceLine {
        orientation: Orientation::Horizontal,
        at,
        label: format!("limit {}", format::limit(at)),
    });
    let chart = Chart {
        title: title(study, point, kind)?,
        x: axis(kind.axes.0, AxisUnit::Plain),
        y: axis(kind.axes.1, AxisUnit::Seconds),
        series,
        lines: limit.into_iter().collect(),
    };
    let caption = format!(
        "Requests at {}, grouped by length in half octaves (… 256, 384, 512 … tokens); quantiles averaged over seeds. A \
         median is drawn from {} requests on, a P99 from {} on. Flat at the left: short requests wait as long as middling \
         ones.{}",
        point.name(),
        ENOUGH.0,
        ENOUGH.1,
        left_out(study, &off)
    );
    Some(Figure::new(kind.file, caption, chart))
}

fn axis(label: &str, unit: AxisUnit) -> Axis {
    Axis { label: label.to_owned(), scale: Scale::Log, unit, range: None, marks: Vec::new() }
}

/// Geometric middle of a bin.
fn middle(bin: &LengthBin) -> f64 {
    (f64::from(bin.from) * f64::from(bin.to)).sqrt()
}

/// The shortest and the longest bin with a P99, for the reference and the best other.
fn title(study: &Study, point: &PointComparison, kind: &Kind) -> Option<String> {
    let others = point.ranked("e2e_p99_s").into_iter().filter(|r| !r.reference).take(1);
    let told = point.reference().into_iter().chain(others);
    let parts: Vec<String> = told
        .filter_map(|row| {
            let bins = bins_of(study, point.point, row.system, kind.bins);
            let used: Vec<&LengthBin> = bins.iter().filter(|b| b.requests >= ENOUGH.1).collect();
            let (short, long) = (used.first()?, used.last()?);
            Some(format!(
                "{} {} for {}, {} for {}",
                row.name,
                format::seconds(short.p99_s),
                lengths(short),
                format::seconds(long.p99_s),
                lengths(long)
            ))
        })
        .collect();
    if parts.is_empty() {
        return Some(format!("Median {} by length of {}, at {}", kind.names.0, kind.names.1, point.name()));
    }
    Some(format!(
        "P99 {} by tokens of {}, at {}: {}",
        kind.names.0,
        kind.names.1,
        point.name(),
        parts.join("; ")
    ))
}

fn lengths(bin: &LengthBin) -> String {
    if bin.to - bin.from == 1 { bin.from.to_string() } else { format!("{}–{}", bin.from, bin.to - 1) }
}
