//! Our own samplers (bit-stable across platforms) against rand_distr's, by the two-sample Kolmogorov–Smirnov distance.

use rand::RngExt;
use rand_distr::{Exp, Gamma, LogNormal, Normal, Poisson, Weibull};
use windtunnel::rng::{Draws, stream};

const DRAWS: usize = 200_000;

/// Largest difference of the two empirical distributions; with equal laws below 1.95·√(2/n) in 99.9 % of the cases.
fn distance(mut a: Vec<f64>, mut b: Vec<f64>) -> f64 {
    a.sort_by(f64::total_cmp);
    b.sort_by(f64::total_cmp);
    let (mut i, mut j, mut worst) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        while i < a.len() && a[i] <= x {
            i += 1;
        }
        while j < b.len() && b[j] <= x {
            j += 1;
        }
        worst = worst.max((i as f64 - j as f64).abs() / DRAWS as f64);
    }
    worst
}

fn check<T: Into<f64>>(
    name: &str,
    ours: impl Fn(&mut Draws) -> f64,
    theirs: impl rand_distr::Distribution<T>,
) {
    let mut draws = stream(1, "samplers-ours", 0, 0);
    let own: Vec<f64> = (0..DRAWS).map(|_| ours(&mut draws)).collect();
    let mut draws = stream(1, "samplers-theirs", 0, 0);
    let other: Vec<f64> = (0..DRAWS).map(|_| draws.sample(&theirs).into()).collect();
    let found = distance(own, other);
    assert!(found < 1.95 * (2.0 / DRAWS as f64).sqrt(), "{name}: distance {found:.4}");
}

#[test]
fn our_samplers_draw_from_the_laws_they_name() {
    check("normal", |d| d.normal(), Normal::new(0.0, 1.0).unwrap());
    check("lognormal", |d| d.lognormal(4.0, 0.7), LogNormal::new(4.0, 0.7).unwrap());
    check("exponential", |d| d.exponential(2.5), Exp::new(1.0 / 2.5).unwrap());
    check("gamma above 1", |d| d.gamma(2.3, 1.7), Gamma::new(2.3, 1.7).unwrap());
    check("gamma below 1", |d| d.gamma(0.25, 2.0), Gamma::new(0.25, 2.0).unwrap());
    check("weibull", |d| d.weibull(0.45, 3.0), Weibull::new(3.0, 0.45).unwrap());
    check("poisson", |d| d.poisson(6.5) as f64, Poisson::new(6.5).unwrap());
}
