//! Laws of one number of tokens, for lengths whose prompt and output are independent and for what a turn adds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lengths::{Lognormal, ZipfLengths, tokens, zipf};
use super::quantiles::{Curve, Quantiles};
use crate::diagnostic::InputError;
use crate::rng::Draws;

/// Least and greatest coefficient of variation of a Gamma or Weibull law: beyond them no draw is a number of tokens.
const CV: (f64, f64) = (0.01, 100.0);

/// A law of a number of tokens; every draw is at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenLaw {
    /// Always this many.
    Constant(u32),
    /// Uniform over [least, greatest], both included.
    Uniform([u32; 2]),
    /// Lognormal.
    Lognormal(Lognormal),
    /// Gamma.
    Gamma(Spread),
    /// Weibull.
    Weibull(Spread),
    /// Zipf below a limit.
    Zipf(ZipfLengths),
    /// Through published quantiles.
    Quantiles(Quantiles),
}

/// A law by its mean and coefficient of variation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// Mean in tokens, before `max`.
    pub mean: f64,
    /// Standard deviation divided by the mean.
    pub cv: f64,
    /// Longer draws are cut to this; default 131072 tokens.
    pub max: Option<u32>,
}

/// A token law ready to draw from.
#[derive(Clone, Debug)]
pub(super) enum Tokens {
    Constant(u32),
    Uniform([u32; 2]),
    Lognormal { mu: f64, sigma: f64, max: u32 },
    Gamma { shape: f64, scale: f64, max: u32 },
    Weibull { shape: f64, scale: f64, max: u32 },
    Zipf(Vec<f64>),
    Quantiles(Curve),
}

impl TokenLaw {
    /// The law, ready to draw from; `key` is its place in messages.
    pub(super) fn build(&self, key: &str) -> Result<Tokens, InputError> {
        let wrong =
            |message: String, help: &str| Err(InputError::named(key.to_owned(), message, help.to_owned()));
        match *self {
            TokenLaw::Constant(0) => wrong("`0` tokens are no length".to_owned(), "write 1 or more"),
            TokenLaw::Constant(n) => Ok(Tokens::Constant(n)),
            TokenLaw::Uniform([low, high]) if low == 0 || low > high => {
                wrong(format!("`[{low}, {high}]` is no range of lengths"), "write [least, greatest]")
            }
            TokenLaw::Uniform(range) => Ok(Tokens::Uniform(range)),
            TokenLaw::Lognormal(law) => {
                let (mu, sigma, max) = law.parameters(key)?;
                Ok(Tokens::Lognormal { mu, sigma, max })
            }
            TokenLaw::Gamma(law) => {
                let max = law.check(key)?;
                let shape = 1.0 / (law.cv * law.cv);
                Ok(Tokens::Gamma { shape, scale: law.mean / shape, max })
            }
            TokenLaw::Weibull(law) => {
                let max = law.check(key)?;
                let shape = weibull_shape(law.cv);
                Ok(Tokens::Weibull { shape, scale: law.mean / weibull_mean(shape), max })
            }
            TokenLaw::Zipf(law) => Ok(Tokens::Zipf(zipf(&law, key)?)),
            TokenLaw::Quantiles(law) => Ok(Tokens::Quantiles(law.build(key)?)),
        }
    }
}

impl Spread {
    fn check(&self, key: &str) -> Result<u32, InputError> {
        let sane = self.mean > 0.0 && self.mean.is_finite() && (CV.0..=CV.1).contains(&self.cv);
        if sane && self.max != Some(0) {
            return Ok(self.max.unwrap_or(131_072));
        }
        Err(InputError::named(
            key,
            format!("`mean = {}, cv = {}` is no law of lengths", self.mean, self.cv),
            "write a mean above zero, a cv of 0.01 to 100, and a `max` of at least 1",
        ))
    }
}

impl Tokens {
    /// One number of tokens, at least 1.
    pub fn draw(&self, draws: &mut Draws) -> u32 {
        match self {
            Tokens::Constant(n) => *n,
            Tokens::Uniform([low, high]) => {
                low + u32::try_from(draws.below(u64::from(high - low) + 1)).unwrap_or(0)
            }
            Tokens::Lognormal { mu, sigma, max } => tokens(draws.lognormal(*mu, *sigma)).min(*max),
            Tokens::Gamma { shape, scale, max } => tokens(draws.gamma(*shape, *scale)).min(*max),
            Tokens::Weibull { shape, scale, max } => tokens(draws.weibull(*shape, *scale)).min(*max),
            Tokens::Quantiles(curve) => curve.draw(draws),
            Tokens::Zipf(cumulative) => u32::try_from(draws.pick(cumulative) + 1).unwrap_or(u32::MAX),
        }
    }
}

/// Mean of a Weibull law of scale 1: Γ(1 + 1/shape).
pub(super) fn weibull_mean(shape: f64) -> f64 {
    libm::exp(libm::lgamma(1.0 + 1.0 / shape))
}

/// The shape of the Weibull law with this coefficient of variation: cv² = Γ(1 + 2/k) / Γ(1 + 1/k)² − 1 falls with k.
pub(super) fn weibull_shape(cv: f64) -> f64 {
    let log_ratio = |k: f64| libm::lgamma(1.0 + 2.0 / k) - 2.0 * libm::lgamma(1.0 + 1.0 / k);
    let target = libm::log1p(cv * cv);
    let (mut low, mut high) = (-5.0, 7.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if log_ratio(libm::exp(middle)) > target { low = middle } else { high = middle }
    }
    libm::exp(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn weibull_shapes_have_their_cv() {
        // Shape 1 is the exponential law (cv 1); shape 1/2 has cv √5; shape 2 (Rayleigh) √(4/π − 1).
        for (cv, shape) in [(1.0, 1.0), (5f64.sqrt(), 0.5), ((4.0 / std::f64::consts::PI - 1.0).sqrt(), 2.0)]
        {
            assert!((weibull_shape(cv) / shape - 1.0).abs() < 1e-9, "{cv}");
        }
        assert!((weibull_mean(1.0) - 1.0).abs() < 1e-12);
    }

    #[track_caller]
    fn check(law: TokenLaw, mean: f64, cv: f64) {
        let law = law.build("law").unwrap_or_else(|e| panic!("{}", e.message));
        let mut draws = stream(1, "token-law", 0, 0);
        let all: Vec<f64> = (0..100_000).map(|_| f64::from(law.draw(&mut draws))).collect();
        let got = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|x| (x - got) * (x - got)).sum::<f64>() / all.len() as f64;
        assert!((got / mean - 1.0).abs() < 0.02, "mean {got}, expected {mean}");
        assert!((variance.sqrt() / got - cv).abs() < 0.04, "cv {}, expected {cv}", variance.sqrt() / got);
        assert!(all.iter().all(|n| *n >= 1.0));
    }

    #[test]
    fn laws_have_their_means_and_spreads() {
        check(TokenLaw::Constant(7), 7.0, 0.0);
        check(TokenLaw::Uniform([1, 1_000]), 500.5, 0.577);
        check(TokenLaw::Gamma(Spread { mean: 800.0, cv: 0.7, max: None }), 800.0, 0.7);
        check(TokenLaw::Weibull(Spread { mean: 800.0, cv: 1.3, max: None }), 800.0, 1.3);
        let lognormal = Lognormal { mean: Some(600.0), cv: Some(0.8), ..Lognormal::default() };
        check(TokenLaw::Lognormal(lognormal), 600.0, 0.8);
        // Zipf with exponent 0 is uniform on 1 .. below.
        check(TokenLaw::Zipf(ZipfLengths { theta: 0.0, below: 101 }), 50.5, 0.5716);
    }
}
