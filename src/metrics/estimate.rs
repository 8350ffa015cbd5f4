//! A number over several seeds: mean and 95 % interval by independent replications.
//!
//! Source: Law, Simulation Modeling and Analysis (5th ed.), §9.4.1: `mean ± t(n−1; 0.975) · s / √n`. Systems of one
//! study see the same requests (common random numbers), so the interval of a ratio to the reference uses the pairing (§10.2).

use serde::{Deserialize, Serialize};

/// Two-sided 95 % quantiles of Student's t for 1 … 30 degrees of freedom (NIST/SEMATECH e-Handbook §1.3.6.7.2).
const T_975: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// 97.5 % quantile of the normal distribution.
const Z_975: f64 = 1.959_964;

/// 97.5 % quantile of Student's t; absent for no degree of freedom.
///
/// Above 30 degrees by the expansion of Abramowitz & Stegun 26.7.5 (error below 1e-4 there).
pub fn student_t_975(degrees: usize) -> Option<f64> {
    let index = degrees.checked_sub(1)?;
    if let Some(&t) = T_975.get(index) {
        return Some(t);
    }
    let (z, v) = (Z_975, degrees as f64);
    let (z3, z5) = (z * z * z, z * z * z * z * z);
    Some(z + (z3 + z) / (4.0 * v) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * v * v))
}

/// Mean over seeds with the half-width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Mean over the runs.
    pub mean: f64,
    /// Half-width of the 95 % interval; absent with a single run.
    pub half_width: Option<f64>,
    /// Number of runs.
    pub n: u32,
}

impl Estimate {
    /// From one value per seed; absent if there is none. Infinite and undefined values are left out.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Estimate> {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        let mean = super::quantile::mean(&values)?;
        let n = values.len();
        let half_width = student_t_975(n - 1).map(|t| {
            let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
            t * (squares / (n - 1) as f64 / n as f64).sqrt()
        });
        Some(Estimate { mean, half_width, n: u32::try_from(n).unwrap_or(u32::MAX) })
    }

    /// Ratio of the means of `value` and `reference`, paired by seed: the ratio of the absolute numbers that stand
    /// beside it. Interval by the ratio estimator, `t · √(Σ(yᵢ − R·xᵢ)² / (n(n−1))) / x̄` (Cochran, Sampling
    /// Techniques, 3rd ed., §6.4). Absent where the references sum to zero.
    pub fn of_ratios(pairs: impl IntoIterator<Item = (f64, f64)>) -> Option<Estimate> {
        let pairs: Vec<(f64, f64)> =
            pairs.into_iter().filter(|(y, x)| y.is_finite() && x.is_finite()).collect();
        let (values, references) = pairs.iter().fold((0.0, 0.0), |(v, r), (y, x)| (v + y, r + x));
        if references == 0.0 {
            return None;
        }
        let (n, mean) = (pairs.len(), values / references);
        let half_width = student_t_975(n - 1).map(|t| {
            let squares: f64 = pairs.iter().map(|(y, x)| (y - mean * x) * (y - mean * x)).sum();
            t * (squares / (n - 1) as f64 / n as f64).sqrt() / (references / n as f64).abs()
        });
        Some(Estimate { mean, half_width, n: u32::try_from(n).unwrap_or(u32::MAX) })
    }

    /// How ratios changed: mean over seeds of `(y'/x') / (y/x)`, with the pairs `(y, x)` of a seed at the same place in both
    /// lists. A seed whose change is not finite is left out; absent where none is left or the lists differ in length.
    pub fn of_changes(before: &[(f64, f64)], after: &[(f64, f64)]) -> Option<Estimate> {
        let change =
            |(&(y, x), &(later_y, later_x)): (&(f64, f64), &(f64, f64))| (later_y / later_x) / (y / x);
        (before.len() == after.len()).then(|| Estimate::of(before.iter().zip(after).map(change)))?
    }

    /// Lower end of the interval (the mean itself when there is no interval).
    pub fn low(&self) -> f64 {
        self.mean - self.half_width.unwrap_or(0.0)
    }

    /// Upper end of the interval (the mean itself when there is no interval).
    pub fn high(&self) -> f64 {
        self.mean + self.half_width.unwrap_or(0.0)
    }

    /// Whether `value` lies outside the interval; never with a single run, which cannot tell.
    pub fn differs_from(&self, value: f64) -> bool {
        self.half_width.is_some() && (self.low() > value || self.high() < value)
    }
}

/// The last of `values` (in order of load) up to which every one is at most `limit`: its position.
pub fn holds_up_to(values: &[Option<f64>], limit: f64) -> Option<usize> {
    values.iter().take_while(|v| v.is_some_and(|v| v <= limit)).count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_quantiles_match_the_table() {
        assert_eq!(student_t_975(0), None);
        assert_eq!(student_t_975(1), Some(12.706));
        assert_eq!(student_t_975(4), Some(2.776));
        // Same handbook: 2.021 at 40, 2.000 at 60, 1.984 at 100 degrees.
        for (degrees, expect) in [(40, 2.021), (60, 2.000), (100, 1.984), (1_000_000, 1.960)] {
            let t = student_t_975(degrees).unwrap_or(0.0);
            assert!((t - expect).abs() < 6e-4, "{degrees}: {t}");
        }
    }

    #[test]
    fn interval_of_five_runs() {
        // Mean 3, s² = 2.5, half-width 2.776·√(2.5/5) = 1.9629.
        let e =
            Estimate::of([1.0, 2.0, 3.0, 4.0, 5.0]).unwrap_or(Estimate { mean: 0.0, half_width: None, n: 0 });
        assert_eq!((e.mean, e.n), (3.0, 5));
        assert!((e.half_width.unwrap_or(0.0) - 1.9629).abs() < 1e-4);
        assert!(e.differs_from(0.9) && !e.differs_from(1.1));
    }

    #[test]
    fn changes_of_ratios_are_paired_by_seed() {
        // Ratios 0.5, 0.5 become 0.6, 0.7: changes 1.2, 1.4. Half-width 12.706 · 0.1·√2 / √2.
        let of = Estimate::of_changes(&[(1.0, 2.0), (2.0, 4.0)], &[(3.0, 5.0), (7.0, 10.0)]);
        let of = of.unwrap_or(Estimate { mean: 0.0, half_width: None, n: 0 });
        assert!(
            (of.mean - 1.3).abs() < 1e-12 && (of.half_width.unwrap_or(0.0) - 1.2706).abs() < 1e-9,
            "{of:?}"
        );
        assert_eq!(Estimate::of_changes(&[(1.0, 2.0)], &[]), None);
        assert_eq!(Estimate::of_changes(&[(1.0, 0.0)], &[(1.0, 0.0)]), None);
    }

    #[test]
    fn one_run_has_no_interval_and_none_has_no_mean() {
        assert_eq!(Estimate::of([2.0]), Some(Estimate { mean: 2.0, half_width: None, n: 1 }));
        assert_eq!(Estimate::of([f64::NAN]), None);
        assert_eq!(Estimate::of_ratios([(1.0, 0.0)]), None);
    }

    #[test]
    fn a_ratio_is_that_of_the_means_beside_it() {
        // R = 12/6 = 2; residuals 0, 1, −1; t(2)·√(2/(3·2))/2 = 4.303·0.57735/2 = 1.2422.
        let e = Estimate::of_ratios([(2.0, 1.0), (5.0, 2.0), (5.0, 3.0)]);
        let e = e.unwrap_or(Estimate { mean: 0.0, half_width: None, n: 0 });
        assert_eq!((e.mean, e.n), (2.0, 3));
        assert!((e.half_width.unwrap_or(0.0) - 1.2422).abs() < 1e-4);
        // The same factor at every seed: no width.
        let e = Estimate::of_ratios([(2.0, 1.0), (8.0, 4.0)]).and_then(|e| e.half_width);
        assert_eq!(e, Some(0.0));
    }

    #[test]
    fn a_limit_holds_up_to_the_last_point_before_it_breaks() {
        let values = [Some(0.2), Some(0.9), Some(1.4), Some(0.8)];
        assert_eq!(holds_up_to(&values, 1.0), Some(1));
        assert_eq!(holds_up_to(&values, 0.1), None);
        assert_eq!(holds_up_to(&[Some(0.2), None], 1.0), Some(0));
    }
}
