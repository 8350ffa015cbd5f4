//! The samplers: textbook methods over `libm`, so that the bits are the same on every platform.

use std::f64::consts::TAU;

use rand::Rng;

use super::Draws;

impl Draws {
    /// Uniform in [0, 1), 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in (0, 1]: safe to take the logarithm of.
    pub fn uniform_positive(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A uniform integer below `n` (Lemire's multiplication; bias below n / 2^64). Panics if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        assert!(n > 0, "a draw below 0 has no value");
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Two independent standard normals (Box and Muller 1958).
    pub fn normal_pair(&mut self) -> (f64, f64) {
        let radius = (-2.0 * libm::log(self.uniform_positive())).sqrt();
        let (sin, cos) = libm::sincos(TAU * self.uniform());
        (radius * cos, radius * sin)
    }

    /// A standard normal.
    pub fn normal(&mut self) -> f64 {
        self.normal_pair().0
    }

    /// exp(N(mu, sigma)).
    pub fn lognormal(&mut self, mu: f64, sigma: f64) -> f64 {
        libm::exp(mu + sigma * self.normal())
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(self.uniform_positive())
    }

    /// Gamma with this shape and scale (Marsaglia and Tsang 2000; shapes below 1 by their boost).
    pub fn gamma(&mut self, shape: f64, scale: f64) -> f64 {
        assert!(shape > 0.0, "a gamma shape must be positive, got {shape}");
        if shape < 1.0 {
            let boost = libm::pow(self.uniform_positive(), 1.0 / shape);
            return self.gamma(shape + 1.0, scale) * boost;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let t = 1.0 + c * x;
            let v = t * t * t;
            if v > 0.0 && libm::log(self.uniform_positive()) < 0.5 * x * x + d - d * v + d * libm::log(v) {
                return d * v * scale;
            }
        }
    }

    /// Weibull with this shape and scale: P(X > x) = exp(−(x / scale)^shape), by inversion.
    pub fn weibull(&mut self, shape: f64, scale: f64) -> f64 {
        scale * libm::pow(-libm::log(self.uniform_positive()), 1.0 / shape)
    }

    /// Failures before the first success of probability `p` in (0, 1]: 0, 1, 2 …, mean (1 − p) / p.
    pub fn geometric(&mut self, p: f64) -> u64 {
        if p >= 1.0 {
            return 0;
        }
        floor_count(libm::log(self.uniform_positive()) / libm::log1p(-p))
    }

    /// Log-series: P(k) = −p^k / (k ln(1 − p)) for k = 1, 2 …; `p` in (0, 1) (inversion by search).
    pub fn log_series(&mut self, p: f64) -> u64 {
        let target = self.uniform();
        let mut term = -p / libm::log1p(-p);
        let (mut k, mut sum) = (1.0, term);
        while sum <= target && term > f64::MIN_POSITIVE {
            term *= p * k / (k + 1.0);
            k += 1.0;
            sum += term;
        }
        floor_count(k)
    }

    /// Poisson with this mean: products below 30, above that Hörmann's transformed rejection (PTRS, 1993).
    pub fn poisson(&mut self, mean: f64) -> u64 {
        assert!(
            mean.is_finite() && mean >= 0.0,
            "a Poisson mean must be finite and not negative, got {mean}"
        );
        if mean < 30.0 { self.poisson_small(mean) } else { self.poisson_large(mean) }
    }

    fn poisson_small(&mut self, mean: f64) -> u64 {
        let limit = libm::exp(-mean);
        let (mut k, mut product) = (0, self.uniform_positive());
        while product > limit {
            k += 1;
            product *= self.uniform_positive();
        }
        k
    }

    fn poisson_large(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let accept = 0.9277 - 3.6224 / (b - 2.0);
        let log_mean = libm::log(mean);
        loop {
            let u = self.uniform() - 0.5;
            let v = self.uniform_positive();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= accept {
                return floor_count(k);
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let left = libm::log(v * inverse_alpha / (a / (us * us) + b));
            if left <= -mean + k * log_mean - libm::lgamma(k + 1.0) {
                return floor_count(k);
            }
        }
    }

    /// Index of the first entry of `cumulative` (rising, last = total) above a uniform share of the total.
    pub fn pick(&mut self, cumulative: &[f64]) -> usize {
        let total = cumulative.last().copied().unwrap_or(0.0);
        let target = self.uniform() * total;
        cumulative.partition_point(|&c| c <= target).min(cumulative.len().saturating_sub(1))
    }
}

/// A finite, not negative number rounded down to a count (saturating).
fn floor_count(x: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; negative is 0")]
    let count = x as u64;
    count
}

#[cfg(test)]
mod tests {
    use super::super::stream;
    use super::*;

    fn mean_and_variance(n: u32, mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let all: Vec<f64> = (0..n).map(|_| draw()).collect();
        let mean = all.iter().sum::<f64>() / f64::from(n);
        (mean, all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / f64::from(n))
    }

    #[track_caller]
    fn check(name: &str, expected: (f64, f64), draw: impl FnMut() -> f64) {
        let (mean, variance) = mean_and_variance(200_000, draw);
        let near = |a: f64, b: f64, rel: f64| (a - b).abs() <= rel * b.abs().max(0.5);
        assert!(near(mean, expected.0, 0.02), "{name}: mean {mean}, expected {}", expected.0);
        assert!(near(variance, expected.1, 0.06), "{name}: variance {variance}, expected {}", expected.1);
    }

    #[test]
    fn means_and_variances_are_those_of_the_laws() {
        let mut d = stream(7, "test", 0, 0);
        check("uniform", (0.5, 1.0 / 12.0), || d.uniform());
        check("normal", (0.0, 1.0), || d.normal());
        check("exponential", (3.0, 9.0), || d.exponential(3.0));
        check("gamma 2.5", (5.0, 10.0), || d.gamma(2.5, 2.0));
        check("gamma .25", (0.5, 1.0), || d.gamma(0.25, 2.0));
        // scale Γ(1 + 1/k), scale² (Γ(1 + 2/k) − Γ(1 + 1/k)²) for k 2, scale 3.
        check("weibull", (2.6587, 1.9314), || d.weibull(2.0, 3.0));
        check("geometric", (4.0, 20.0), || d.geometric(0.2) as f64);
        check("poisson 3", (3.0, 3.0), || d.poisson(3.0) as f64);
        check("poisson 871", (871.0, 871.0), || d.poisson(871.0) as f64);
        check("poisson 31", (31.0, 31.0), || d.poisson(31.0) as f64);
        // E = -p / ((1-p) ln(1-p)) = 1.5306, Var = -p (p + ln(1-p)) / ((1-p) ln(1-p))^2 = 1.0587.
        check("log-series", (1.5306, 1.0587), || d.log_series(0.55) as f64);
        // exp(mu + s^2/2) and (exp(s^2) - 1) exp(2 mu + s^2) for mu 1, sigma .5.
        check("lognormal", (3.0802, 2.6948), || d.lognormal(1.0, 0.5));
    }

    #[test]
    fn picks_by_weight() {
        let mut d = stream(1, "pick", 0, 0);
        let mut seen = [0u32; 3];
        for _ in 0..30_000 {
            seen[d.pick(&[1.0, 1.0, 4.0])] += 1;
        }
        assert_eq!(seen[1], 0, "a weight of zero is never picked");
        assert!((seen[0].abs_diff(7_500)) < 400, "{seen:?}");
    }

    /// A change here moves every generated workload: it needs a line in CHANGELOG.md under "Model changes".
    #[test]
    fn first_eight_draws_of_each_sampler_are_pinned() {
        fn row(name: &str, mut draw: impl FnMut(&mut Draws) -> f64) -> String {
            let mut d = stream(42, name, 1, 2);
            let bits: Vec<String> = (0..8).map(|_| format!("{:.12e}", draw(&mut d))).collect();
            format!("{name}: {}\n", bits.join(" "))
        }
        let all = [
            row("uniform", |d| d.uniform()),
            row("below-1000", |d| d.below(1000) as f64),
            row("normal", |d| d.normal()),
            row("lognormal", |d| d.lognormal(1.0, 0.5)),
            row("exponential", |d| d.exponential(1.0)),
            row("gamma-0.25", |d| d.gamma(0.25, 2.0)),
            row("gamma-3", |d| d.gamma(3.0, 1.0)),
            row("weibull-0.45", |d| d.weibull(0.45, 2.0)),
            row("geometric", |d| d.geometric(0.2) as f64),
            row("log-series", |d| d.log_series(0.77) as f64),
            row("poisson-3", |d| d.poisson(3.0) as f64),
            row("poisson-871", |d| d.poisson(871.0) as f64),
        ];
        insta::assert_snapshot!(all.concat());
    }
}
