//! The roofline as a plot: two roofs, one line of points per operator.

use super::{Bound, Steps};
use crate::cost::CostSpec;
use crate::report::plot::{Axis, AxisUnit, Chart, Scale, Series, Stroke};

/// Operators drawn, in the order of their markers.
const DRAWN: [&str; 7] = ["qkv", "attention", "o", "gate/up", "up", "down", "lm_head"];

/// A log-log chart: arithmetic intensity against the rate that each operator reaches.
pub fn chart(spec: &CostSpec, steps: &Steps) -> Chart {
    let mut series = Vec::new();
    let mut design = 0;
    for name in DRAWN {
        let points = points(steps, name);
        if !points.is_empty() {
            series.push(line(name, Stroke::design(design, true, false), points));
            design += 1;
        }
    }
    let xs: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    let low = xs.iter().copied().fold(1.0, f64::min) * 0.7;
    let high = xs.iter().copied().fold(1000.0, f64::max) * 1.5;
    let acc = &spec.accelerator;
    let sheet = roof(acc.datasheet.bf16.0, acc.datasheet.bandwidth.0, low, high);
    let (peak, bandwidth) = (acc.basis.peak.0 * acc.gemm.ec, acc.basis.bandwidth.0 * acc.gemm.eb);
    let fitted = roof(peak, bandwidth, low, high);
    series.insert(0, line("datasheet roof", Stroke { strong: true, ..Stroke::bound(1, false) }, sheet));
    series.insert(1, line("fitted GEMM roof", Stroke::bound(0, false), fitted));
    let batches: Vec<String> = steps.steps.iter().filter_map(|s| s.decode).map(|n| n.to_string()).collect();
    let axis = |label: String| Axis {
        label,
        scale: Scale::Log,
        unit: AxisUnit::Plain,
        range: None,
        marks: Vec::new(),
    };
    Chart {
        title: finding(spec, steps),
        x: axis(format!(
            "FLOP per byte; points of a line: decode of {} sequences, prefill",
            batches.join(", ")
        )),
        y: axis("TFLOP/s reached by one accelerator".to_owned()),
        series,
        lines: Vec::new(),
    }
}

fn line(name: &str, stroke: Stroke, points: Vec<(f64, f64)>) -> Series {
    Series { name: name.to_owned(), stroke, points, band: Vec::new() }
}

/// `min(peak, bandwidth * x)`, in TFLOP/s.
fn roof(peak: f64, bandwidth: f64, low: f64, high: f64) -> Vec<(f64, f64)> {
    let ridge = peak / bandwidth;
    [low, ridge, high.max(ridge * 1.2)].map(|x| (x, peak.min(bandwidth * x) / 1e12)).to_vec()
}

/// Points of one operator, from left to right.
fn points(steps: &Steps, name: &str) -> Vec<(f64, f64)> {
    let of = |step: &super::Step| {
        let operator = step.operators.iter().find(|o| o.name == name)?;
        Some((operator.intensity()?, operator.rate()? / 1e12))
    };
    let mut points: Vec<(f64, f64)> = steps.steps.iter().filter_map(of).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points
}

/// What the picture says, in a sentence.
fn finding(spec: &CostSpec, steps: &Steps) -> String {
    let head = format!("{} on {}", spec.model.name, spec.accelerator.name);
    let gemms = match steps.ridge_batch {
        Some(1) => "decode GEMMs are never bound by memory".to_owned(),
        Some(n) => format!("decode GEMMs are bound by compute from {n} sequences on"),
        None => "decode GEMMs are never bound by compute".to_owned(),
    };
    let decodes = || steps.steps.iter().filter(|s| s.decode.is_some());
    let attention: Vec<Bound> = decodes()
        .filter_map(|s| s.operators.iter().find(|o| o.name == "attention"))
        .map(|o| o.bound)
        .collect();
    let attention = if attention.contains(&Bound::Compute) {
        "decode attention too where most run"
    } else {
        "decode attention at no number"
    };
    let prefill = steps.steps.iter().find(|s| s.decode.is_none()).map_or_else(String::new, |s| {
        let share = s.flops() / s.seconds() / spec.accelerator.datasheet.bf16.0;
        format!("; a {} reaches {:.0} % of the peak", s.name, 100.0 * share)
    });
    format!("{head}: {gemms}, {attention}{prefill}")
}
