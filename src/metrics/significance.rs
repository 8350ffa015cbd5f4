//! Telling a difference from noise: tests of two samples, and what is left of many of them.
//!
//! Runs with the same requests are paired (common random numbers; Law, Simulation Modeling and Analysis, 5th ed., §10.2); runs with
//! other requests are compared by Welch's test (ibid. §10.2.2). Where many numbers are compared at once, some look different by
//! chance: Holm's procedure keeps the chance that any of them is told apart wrongly below a level (Holm 1979, Scand. J. Statist. 6).

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::estimate::Estimate;
use super::quantile::mean;

/// Chance that Student's t with `degrees` degrees of freedom is further from 0 than `t`, on either side.
pub fn two_sided_p(t: f64, degrees: f64) -> f64 {
    if t.is_infinite() {
        return 0.0;
    }
    StudentsT::new(0.0, 1.0, degrees).map_or(1.0, |law| 2.0 * law.sf(t.abs()))
}

/// Chance of a ratio as far from 1 as `ratio`, were it 1; absent with a single pair, which cannot tell.
pub fn ratio_p(ratio: &Estimate) -> Option<f64> {
    let degrees = (ratio.n as usize).checked_sub(1)?;
    let error = ratio.half_width? / super::estimate::student_t_975(degrees)?;
    let away = ratio.mean - 1.0;
    Some(if away == 0.0 { 1.0 } else { two_sided_p(away / error, degrees as f64) })
}

/// Chance that two samples of one law have means as far apart as these, by Welch's test; absent where a sample has fewer
/// than two values. Samples without any spread differ for certain, or not at all.
pub fn welch_p(one: &[f64], other: &[f64]) -> Option<f64> {
    if one.len() < 2 || other.len() < 2 {
        return None;
    }
    let part = |values: &[f64]| -> Option<(f64, f64, f64)> {
        let (n, mean) = (values.len() as f64, mean(values)?);
        let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1.0);
        Some((mean, variance / n, n - 1.0))
    };
    let ((a, var_a, free_a), (b, var_b, free_b)) = (part(one)?, part(other)?);
    if a == b {
        return Some(1.0);
    }
    let variance = var_a + var_b;
    let degrees = variance * variance / (var_a * var_a / free_a + var_b * var_b / free_b);
    Some(if variance == 0.0 { 0.0 } else { two_sided_p((a - b) / variance.sqrt(), degrees) })
}

/// Which of several hypotheses Holm's procedure rejects so that the chance of any wrong rejection stays below `level`.
pub fn holm(p_values: &[f64], level: f64) -> Vec<bool> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut rejected = vec![false; p_values.len()];
    for (passed, &i) in order.iter().enumerate() {
        if p_values[i] > level / (p_values.len() - passed) as f64 {
            break;
        }
        rejected[i] = true;
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_match_the_table() {
        // NIST/SEMATECH e-Handbook §1.3.6.7.2: two-sided 5 % and 1 % points.
        for (t, degrees, p) in [(2.776, 4.0, 0.05), (2.228, 10.0, 0.05), (3.169, 10.0, 0.01)] {
            assert!((two_sided_p(t, degrees) - p).abs() < 1e-4, "{t} with {degrees}");
            assert!((two_sided_p(-t, degrees) - p).abs() < 1e-4);
        }
    }

    #[test]
    fn an_interval_that_touches_one_has_the_chance_of_its_level() {
        let touching = Estimate { mean: 1.2, half_width: Some(0.2), n: 5 };
        assert!((ratio_p(&touching).unwrap() - 0.05).abs() < 1e-4);
        assert_eq!(ratio_p(&Estimate { mean: 1.2, half_width: None, n: 1 }), None);
        assert_eq!(ratio_p(&Estimate { mean: 1.0, half_width: Some(0.0), n: 3 }), Some(1.0));
        assert_eq!(ratio_p(&Estimate { mean: 1.1, half_width: Some(0.0), n: 3 }), Some(0.0));
    }

    #[test]
    fn welch_as_in_a_textbook() {
        // Welch 1947 by hand: means 20 and 22, variances 4 and 16, n = 5 each: t = −2/√(0.8+3.2) = −1, ν = 16/(0.16+2.56) = 5.88.
        let one = [18.0, 18.0, 20.0, 22.0, 22.0];
        let other = [18.0, 18.0, 22.0, 26.0, 26.0];
        let p = welch_p(&one, &other).unwrap();
        assert!((p - two_sided_p(1.0, 100.0 / 17.0)).abs() < 1e-9, "{p}");
        assert_eq!(welch_p(&[1.0], &other), None);
        assert_eq!(welch_p(&[1.0, 1.0], &[2.0, 2.0]), Some(0.0));
        assert_eq!(welch_p(&[1.0, 1.0], &[1.0, 1.0]), Some(1.0));
    }

    #[test]
    fn holm_stops_at_the_first_that_is_not_rejected() {
        // 0.05/4, 0.05/3, 0.05/2, 0.05/1.
        assert_eq!(holm(&[0.03, 0.012, 0.016, 0.9], 0.05), [false, true, true, false]);
        assert_eq!(holm(&[0.02, 0.04], 0.05), [true, true]);
        assert_eq!(holm(&[0.03, 0.04], 0.05), [false, false]);
        assert!(holm(&[], 0.05).is_empty());
    }
}
