//! Round numbers for axes.

use super::chart::{AxisUnit, Scale};
use crate::report::format;

/// A mark on an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    /// Where.
    pub at: f64,
    /// What stands there; empty for a grid line only.
    pub label: String,
}

/// Where axes of probability end: curves know the quantiles to a half per mille.
pub(super) const TAIL_END: f64 = 0.9995;

/// Powers of ten as the platform-independent library gives them.
fn pow10(exponent: i32) -> f64 {
    libm::pow(10.0, f64::from(exponent))
}

#[expect(clippy::cast_possible_truncation, reason = "logarithms of finite numbers are small")]
fn exponent(value: f64) -> i32 {
    libm::floor(libm::log10(value) + 1e-9) as i32
}

/// The range of an axis that holds all `values`: rounded outwards, zero included on linear axes.
pub(super) fn range(scale: Scale, values: impl Iterator<Item = f64>) -> (f64, f64) {
    let usable = values.filter(|v| v.is_finite() && (scale != Scale::Log || *v > 0.0));
    let (low, high) = usable.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return match scale {
            Scale::Linear => (0.0, 1.0),
            Scale::Log => (0.1, 10.0),
            Scale::Tail => (0.0, TAIL_END),
        };
    }
    match scale {
        Scale::Linear => {
            let high = if high > 0.0 { high } else { 1.0 };
            let step = linear_step(high);
            (low.min(0.0), libm::ceil(high / step - 1e-9) * step)
        }
        Scale::Log => log_range(low, high),
        Scale::Tail => (0.0, TAIL_END),
    }
}

/// A step of 1, 2 or 5 times a power of ten that cuts `span` into four to eight parts.
fn linear_step(span: f64) -> f64 {
    let raw = span / 5.0;
    let base = pow10(exponent(raw));
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * base).find(|step| *step >= raw * 0.999).unwrap_or(base)
}

/// Outwards to 1, 2 or 5 times a power of ten; at least a factor of four apart.
fn log_range(low: f64, high: f64) -> (f64, f64) {
    let steps = |e: i32| [1.0, 2.0, 5.0].map(|m| m * pow10(e));
    let below = steps(exponent(low)).into_iter().rfind(|v| *v <= low * 0.97);
    let above = steps(exponent(high)).into_iter().find(|v| *v >= high * 1.03);
    let low = below.unwrap_or(0.5 * pow10(exponent(low)));
    let high = above.unwrap_or(10.0 * pow10(exponent(high)));
    if high / low < 4.0 { (low / 2.0, high * 2.0) } else { (low, high) }
}

/// Marks for a range.
pub(super) fn ticks(scale: Scale, unit: AxisUnit, (low, high): (f64, f64)) -> Vec<Tick> {
    match scale {
        Scale::Linear => {
            let step = linear_step(high - low);
            let first = libm::ceil(low / step - 1e-9);
            (0..20)
                .map(|i| (first + f64::from(i)) * step)
                .take_while(|at| *at <= high + step * 1e-6)
                .map(|at| Tick { at, label: label(unit, at) })
                .collect()
        }
        Scale::Log => log_ticks(unit, low, high),
        Scale::Tail => [0.0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999]
            .into_iter()
            .filter(|at| (low..=high).contains(at))
            .map(|at| Tick { at, label: label(unit, at) })
            .collect(),
    }
}

/// Every decade with a label; 2 and 5 with one when there are few decades, else as grid lines.
fn log_ticks(unit: AxisUnit, low: f64, high: f64) -> Vec<Tick> {
    let few = high / low < 2.0e3;
    let inside = |at: &f64| *at >= low * 0.999 && *at <= high * 1.001;
    (exponent(low)..=exponent(high))
        .flat_map(|e| [1.0, 2.0, 5.0].map(|m| (m * pow10(e), m)))
        .filter(|(at, _)| inside(at))
        .map(|(at, m)| {
            let labelled = few || m == 1.0;
            Tick { at, label: if labelled { label(unit, at) } else { String::new() } }
        })
        .collect()
}

/// A number on an axis: no trailing zeros.
fn label(unit: AxisUnit, at: f64) -> String {
    let plain = |v: f64| {
        let rounded = format!("{v:.4}");
        rounded.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match unit {
        AxisUnit::Plain if at.abs() >= 1000.0 => format::digits(at),
        AxisUnit::Plain => plain(at),
        AxisUnit::Percent => format!("{} %", plain(at * 100.0)),
        AxisUnit::Seconds => match at.abs() {
            0.0 => "0".to_owned(),
            v if v < 0.000_999_5 => format!("{} µs", plain(at * 1e6)),
            v if v < 0.999_5 => format!("{} ms", plain(at * 1e3)),
            v if v >= 10_000.0 => format!("{} s", format::digits(at)),
            _ => format!("{} s", plain(at)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, unit: AxisUnit, values: [f64; 2]) -> Vec<String> {
        let range = range(scale, values.into_iter());
        ticks(scale, unit, range).into_iter().map(|t| t.label).filter(|l| !l.is_empty()).collect()
    }

    #[test]
    fn linear_axes_start_at_zero_and_end_round() {
        assert_eq!(labels(Scale::Linear, AxisUnit::Plain, [1.0, 3.9]), ["0", "1", "2", "3", "4"]);
        assert_eq!(
            labels(Scale::Linear, AxisUnit::Percent, [0.2, 1.0]),
            ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]
        );
    }

    #[test]
    fn log_axes_name_decades() {
        assert_eq!(
            labels(Scale::Log, AxisUnit::Seconds, [0.03, 1.2]),
            ["20 ms", "50 ms", "100 ms", "200 ms", "500 ms", "1 s", "2 s"]
        );
        assert_eq!(
            labels(Scale::Log, AxisUnit::Seconds, [0.001, 100.0]),
            ["1 ms", "10 ms", "100 ms", "1 s", "10 s", "100 s"]
        );
    }

    #[test]
    fn a_single_value_or_none_still_gives_an_axis() {
        for scale in [Scale::Linear, Scale::Log] {
            for values in [vec![], vec![0.0], vec![5.0]] {
                let (low, high) = range(scale, values.into_iter());
                assert!(low < high && low.is_finite() && high.is_finite());
                assert!(ticks(scale, AxisUnit::Plain, (low, high)).len() >= 2);
            }
        }
    }
}
