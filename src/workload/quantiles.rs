//! A law of tokens by its quantiles, as papers publish them in a table.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lengths::tokens;
use crate::diagnostic::InputError;
use crate::rng::Draws;

/// Longest length of the law.
const MOST: f64 = 16_777_216.0;

/// A law through published quantiles; between two of them lengths are log-uniform (a piece of a power law), or
/// uniform with `linear`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quantiles {
    /// Shortest length in tokens; default 1.
    pub min: Option<f64>,
    /// 10th percentile in tokens.
    pub p10: Option<f64>,
    /// 25th percentile.
    pub p25: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 75th percentile.
    pub p75: Option<f64>,
    /// 80th percentile.
    pub p80: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Longest length.
    pub max: f64,
    /// Lengths between two quantiles are uniform instead of log-uniform.
    #[serde(default)]
    pub linear: bool,
}

/// The law ready to draw from: (share, length), rising in both.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    points: Vec<(f64, f64)>,
    linear: bool,
}

impl Quantiles {
    /// The law, ready to draw from; `key` is its place in messages.
    pub(super) fn build(&self, key: &str) -> Result<Curve, InputError> {
        let named = [
            (0.0, self.min.or(Some(1.0))),
            (0.1, self.p10),
            (0.25, self.p25),
            (0.5, self.p50),
            (0.75, self.p75),
            (0.8, self.p80),
            (0.9, self.p90),
            (0.95, self.p95),
            (0.99, self.p99),
            (1.0, Some(self.max)),
        ];
        let points: Vec<(f64, f64)> = named.into_iter().filter_map(|(p, x)| Some((p, x?))).collect();
        if points.len() < 3 {
            let message = "`quantiles` names no quantile between `min` and `max`";
            return Err(InputError::named(key, message, "write for example `p50 = 32, p95 = 1288`"));
        }
        if let Some((_, x)) = points.iter().find(|(_, x)| !(1.0..=MOST).contains(x)) {
            let message = format!("`quantiles`: {x} is no length");
            return Err(InputError::named(key, message, format!("write 1 to {MOST} tokens")));
        }
        if let Some(pair) = points.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            let message = format!("`quantiles` fall from {} to {}", pair[0].1, pair[1].1);
            return Err(InputError::named(key, message, "a higher quantile is at least the one before it"));
        }
        Ok(Curve { points, linear: self.linear })
    }
}

impl Curve {
    /// One number of tokens.
    pub fn draw(&self, draws: &mut Draws) -> u32 {
        tokens(self.at(draws.uniform()))
    }

    /// The length at a share below 1.
    fn at(&self, share: f64) -> f64 {
        let above = self.points.iter().position(|(p, _)| *p > share).unwrap_or(self.points.len() - 1);
        let ((p, x), (q, y)) = (self.points[above - 1], self.points[above]);
        let part = (share - p) / (q - p);
        if self.linear { x + part * (y - x) } else { x * libm::exp(part * libm::log(y / x)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    /// The lengths "Medium" of Llumnix, table 1: mean 256.
    fn medium() -> Quantiles {
        Quantiles {
            p50: Some(32.0),
            p80: Some(173.0),
            p95: Some(1288.0),
            p99: Some(4208.0),
            max: 6144.0,
            ..Quantiles::default()
        }
    }

    #[test]
    fn drawn_lengths_have_the_quantiles_and_the_mean_of_the_pieces() {
        let curve = medium().build("law").unwrap();
        let mut draws = stream(1, "quantiles", 0, 0);
        let mut all: Vec<u32> = (0..100_000).map(|_| curve.draw(&mut draws)).collect();
        all.sort_unstable();
        for (place, published) in [(50_000, 32.0), (80_000, 173.0), (95_000, 1288.0), (99_000, 4208.0)] {
            assert!((f64::from(all[place]) / published - 1.0).abs() < 0.05, "{place}: {}", all[place]);
        }
        // Log-uniform between a and b: mean (b − a) / ln(b / a); 262.7 over the five pieces.
        let mean = all.iter().map(|n| f64::from(*n)).sum::<f64>() / 1e5;
        assert!((mean / 262.7 - 1.0).abs() < 0.03, "{mean}");
        assert!(all[0] >= 1 && all[99_999] <= 6144);
        let linear = Quantiles { linear: true, p50: Some(100.0), max: 300.0, ..Quantiles::default() };
        let curve = linear.build("law").unwrap();
        assert!((curve.at(0.25) - 50.5).abs() < 1e-9 && (curve.at(0.75) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_no_law_is_refused() {
        let say = |law: Quantiles| law.build("law").unwrap_err().message;
        assert!(say(Quantiles { max: 100.0, ..Quantiles::default() }).contains("names no quantile"));
        assert!(say(Quantiles { p90: Some(7000.0), ..medium() }).contains("fall from 7000 to 1288"));
        assert!(say(Quantiles { max: f64::INFINITY, ..medium() }).contains("inf is no length"));
        assert!(say(Quantiles { min: Some(0.0), ..medium() }).contains("0 is no length"));
    }
}
