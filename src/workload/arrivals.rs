//! Arrival laws that know no time of day: Poisson, Gamma renewal, constant.

use serde::{Deserialize, Serialize};

use super::rate::RequestRate;
use super::text::positive;
use crate::diagnostic::InputError;
use crate::rng::{Component, Draws, stream};

/// A renewal process of arrivals; the first request arrives at 0.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalsSpec {
    /// Exponential gaps.
    Poisson(SteadyRate),
    /// Gamma gaps: burstier than Poisson below shape 1.
    Gamma(GammaArrivals),
    /// Equal gaps.
    Constant(SteadyRate),
}

/// Parameters of `poisson` and `constant`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SteadyRate {
    /// Mean arrival rate.
    pub rate: RequestRate,
}

/// Parameters of `gamma`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GammaArrivals {
    /// Mean arrival rate.
    pub rate: RequestRate,
    /// Shape of the gaps; give this or `cv`.
    pub shape: Option<f64>,
    /// Coefficient of variation of the gaps, 1 / sqrt(shape).
    pub cv: Option<f64>,
}

/// An arrival law ready to draw from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrivals {
    law: Law,
    seed: u64,
    row: u64,
    now_ps: u64,
}

#[derive(Clone, Copy, Debug)]
enum Law {
    Exponential { mean_s: f64 },
    Gamma { shape: f64, scale_s: f64 },
    Constant { gap_s: f64 },
}

impl ArrivalsSpec {
    /// The law at `rate_scale` times its rate.
    pub(super) fn build(&self, rate_scale: f64, seed: u64) -> Result<Arrivals, InputError> {
        let law = match self {
            ArrivalsSpec::Poisson(p) => Law::Exponential { mean_s: p.rate.mean_gap_s() / rate_scale },
            ArrivalsSpec::Constant(c) => Law::Constant { gap_s: c.rate.mean_gap_s() / rate_scale },
            ArrivalsSpec::Gamma(g) => {
                let shape = match (g.shape, g.cv) {
                    (Some(shape), None) => shape,
                    (None, Some(cv)) => 1.0 / (cv * cv),
                    _ => {
                        let help = "write `gamma = { rate = \"4 req/s\", cv = 2.0 }`";
                        return Err(InputError::named(
                            "workload.arrivals.gamma",
                            "needs either `shape` or `cv`",
                            help,
                        ));
                    }
                };
                positive("workload.arrivals.gamma", shape)?;
                Law::Gamma { shape, scale_s: g.rate.mean_gap_s() / rate_scale / shape }
            }
        };
        Ok(Arrivals { law, seed, row: 0, now_ps: 0 })
    }
}

impl Iterator for Arrivals {
    /// Picoseconds from the first arrival.
    type Item = u64;

    /// Ends where simulated time does.
    fn next(&mut self) -> Option<u64> {
        const GAPS: Component = Component::named("workload/arrivals");
        if self.row > 0 {
            let gap_s = self.law.gap_s(&mut stream(self.seed, GAPS, self.row, 0));
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates; gaps are positive"
            )]
            let gap_ps = (gap_s * 1e12).round() as u64;
            self.now_ps = self.now_ps.checked_add(gap_ps)?;
        }
        self.row += 1;
        Some(self.now_ps)
    }
}

impl Law {
    fn gap_s(self, draws: &mut Draws) -> f64 {
        match self {
            Law::Exponential { mean_s } => draws.exponential(mean_s),
            Law::Gamma { shape, scale_s } => draws.gamma(shape, scale_s),
            Law::Constant { gap_s } => gap_s,
        }
    }
}
