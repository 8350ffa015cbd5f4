//! Exact quantiles of a sample, type 7 of Hyndman & Fan (1996): linear between the two nearest order statistics.

use std::cmp::Ordering;

/// Mean and quantiles of one quantity over the requests that have it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Sample size.
    pub n: u64,
    /// Arithmetic mean; absent for an empty sample, like all that follow.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
}

impl Quantiles {
    /// Mean and quantiles of `values`, which are reordered (selected, not sorted). O(n).
    pub fn of(values: &mut [f64]) -> Quantiles {
        Quantiles {
            n: values.len() as u64,
            mean: mean(values),
            p50: quantile(values, 0.50),
            p90: quantile(values, 0.90),
            p99: quantile(values, 0.99),
            max: values.iter().copied().max_by(f64::total_cmp),
        }
    }
}

/// Arithmetic mean, summed in the order given; absent for an empty sample.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The quantile at `p` in [0, 1], type 7; `values` is reordered. Expected O(n); absent for an empty sample.
pub fn quantile(values: &mut [f64], p: f64) -> Option<f64> {
    let (low, share) = position(values.len(), p)?;
    let (_, &mut at_low, above) = values.select_nth_unstable_by(low, f64::total_cmp);
    let next = above.iter().copied().min_by(f64::total_cmp);
    Some(between(at_low, next, share))
}

/// The quantile at `p` of values that are sorted already.
pub fn quantile_sorted(sorted: &[f64], p: f64) -> Option<f64> {
    debug_assert!(sorted.windows(2).all(|w| w[0].total_cmp(&w[1]) != Ordering::Greater));
    let (low, share) = position(sorted.len(), p)?;
    Some(between(sorted[low], sorted.get(low + 1).copied(), share))
}

/// Type 7: `h = (n − 1)·p`, split into its whole part and the rest.
fn position(n: usize, p: f64) -> Option<(usize, f64)> {
    assert!((0.0..=1.0).contains(&p), "a quantile lies in [0, 1], got {p}");
    let h = n.checked_sub(1)? as f64 * p;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ h ≤ n − 1")]
    let low = h.floor() as usize;
    Some((low, h - h.floor()))
}

fn between(low: f64, next: Option<f64>, share: f64) -> f64 {
    match next {
        Some(high) if share > 0.0 => low + share * (high - low),
        _ => low,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpolates_like_type_7() {
        // numpy.quantile([1, 2, 4, 8], [0, .5, .9, 1]) = 1, 3, 6.8, 8.
        let mut values = [8.0, 1.0, 4.0, 2.0];
        assert_eq!(quantile(&mut values, 0.0), Some(1.0));
        assert_eq!(quantile(&mut values, 0.5), Some(3.0));
        assert!((quantile(&mut values, 0.9).unwrap_or(0.0) - 6.8).abs() < 1e-12);
        assert_eq!(quantile(&mut values, 1.0), Some(8.0));
        assert_eq!(quantile(&mut [5.0], 0.99), Some(5.0));
        assert_eq!(quantile(&mut [], 0.99), None);
    }

    #[test]
    fn selecting_equals_sorting() {
        let mut state = 12_345_u64;
        for n in 1..200_usize {
            let mut values: Vec<f64> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (state >> 50) as f64
                })
                .collect();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            for p in [0.0, 0.1, 0.5, 0.9, 0.99, 1.0] {
                assert_eq!(quantile(&mut values, p), quantile_sorted(&sorted, p), "n {n} p {p}");
            }
        }
    }

    #[test]
    fn an_empty_sample_has_no_numbers() {
        assert_eq!(Quantiles::of(&mut []), Quantiles::default());
    }
}
