//! How sure a ranking is: the bootstrap over seeds.
//!
//! Seeds are drawn with replacement, the same ones for all designs (they saw the same requests), and the means compared:
//! the share of the draws in which a design has the largest mean is its probability of being the best, and the mean of
//! what it lacks to that largest mean is its regret. Source: Efron & Tibshirani, An Introduction to the Bootstrap, §6.
//! With few seeds the bootstrap is optimistic; designs whose intervals meet are called ties all the same.

use crate::rng::stream;

/// Draws of the bootstrap.
const DRAWS: u64 = 4_000;

/// How sure the rank of one design is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sureness {
    /// Share of the draws in which it is the best; equal designs share a draw.
    pub best: f64,
    /// What it lacks to the best of a draw, as a share of that, on average.
    pub regret: f64,
}

/// For each design its values by seed (equally many for all).
pub fn bootstrap(values: &[Vec<f64>]) -> Vec<Sureness> {
    let seeds = values.iter().map(Vec::len).min().unwrap_or(0);
    let mut found = vec![Sureness { best: 0.0, regret: 0.0 }; values.len()];
    if seeds == 0 {
        return found;
    }
    for draw in 0..DRAWS {
        let mut draws = stream(draw, "planner/bootstrap", 0, 0);
        let chosen: Vec<usize> =
            (0..seeds).map(|_| usize::try_from(draws.below(seeds as u64)).unwrap_or(0)).collect();
        let sums: Vec<f64> = values.iter().map(|v| chosen.iter().map(|&i| v[i]).sum()).collect();
        let top = sums.iter().copied().fold(0.0, f64::max);
        if top <= 0.0 {
            continue;
        }
        let winners = sums.iter().filter(|s| **s == top).count() as f64;
        for (sure, sum) in found.iter_mut().zip(&sums) {
            sure.best += if *sum == top { 1.0 / winners } else { 0.0 };
            sure.regret += 1.0 - sum / top;
        }
    }
    for sure in &mut found {
        sure.best /= DRAWS as f64;
        sure.regret /= DRAWS as f64;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_best_at_every_seed_is_best_for_sure() {
        let sure = bootstrap(&[vec![10.0, 12.0, 11.0], vec![9.0, 10.8, 9.9]]);
        assert_eq!((sure[0].best, sure[0].regret), (1.0, 0.0));
        assert_eq!(sure[1].best, 0.0);
        assert!((sure[1].regret - 0.1).abs() < 1e-9, "{sure:?}");
    }

    #[test]
    fn equals_share_and_noise_decides_little() {
        let sure = bootstrap(&[vec![5.0, 5.0], vec![5.0, 5.0], vec![4.0, 4.0]]);
        assert_eq!((sure[0].best, sure[1].best, sure[2].best), (0.5, 0.5, 0.0));
        // Better at one of two seeds, by as much as worse at the other: (a,a) and (b,b) decide, (a,b) is equal.
        let sure = bootstrap(&[vec![4.0, 6.0], vec![6.0, 4.0]]);
        assert!((sure[0].best - 0.5).abs() < 0.03, "{sure:?}");
        assert!((sure[0].best + sure[1].best - 1.0).abs() < 1e-9);
        assert!((sure[0].regret - 0.25 / 3.0).abs() < 0.02, "{sure:?}");
        assert!(bootstrap(&[]).is_empty());
    }
}
