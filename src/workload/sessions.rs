//! Sessions of a generated workload: how many turns, how long between them, and the side tables of their requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dialogue::{Dialogue, Growth, MOST_IDS, PrefixSpec};
use super::text::duration;
use super::trace::{NO_SESSION, PrefixChains};
use crate::diagnostic::InputError;
use crate::rng::Draws;
use crate::units::SimDuration;

/// Most turns of a session.
const MOST_TURNS: u32 = 1_000_000;

/// `sessions` of a workload of `lengths` and `arrivals`: each arrival starts a session. Open loop: pauses are counted
/// from one request to the next, not from the answer, so a slow system does not delay them.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionsSpec {
    /// Requests of a session.
    pub size: SizeLaw,
    /// Pause between the requests of a session.
    pub think: ThinkLaw,
    /// How prompts grow and what they share.
    #[serde(default)]
    pub prefix: PrefixSpec,
}

/// Number of requests of a session.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SizeLaw {
    /// Always this many.
    Constant(u32),
    /// Each number from the least to the greatest alike, both included.
    Uniform([u32; 2]),
    /// Log-series: P(k) ∝ p^k / k, cut to `max`.
    LogSeries(LogSeriesSize),
    /// Geometric from 1, cut to `max`.
    Geometric(GeometricSize),
}

/// Parameters of `log-series`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogSeriesSize {
    /// Parameter, inside 0 to 1.
    pub p: f64,
    /// Most requests of a session.
    pub max: u32,
}

/// Parameters of `geometric`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeometricSize {
    /// Mean before the cut, at least 1.
    pub mean: f64,
    /// Most requests of a session.
    pub max: u32,
}

/// Pause between two requests of a session.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ThinkLaw {
    /// Always this long.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    Constant(SimDuration),
    /// Exponential.
    Exponential(ExponentialThink),
    /// Lognormal.
    Lognormal(LognormalThink),
}

/// Parameters of `exponential`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExponentialThink {
    /// Mean pause.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub mean: SimDuration,
}

/// Parameters of `lognormal`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LognormalThink {
    /// Median pause.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub median: SimDuration,
    /// Standard deviation of the natural logarithm, 0 to 10.
    pub sigma: f64,
    /// Longer pauses are drawn again; none: no limit.
    #[serde(default, with = "duration::option")]
    #[schemars(with = "Option<SimDuration>")]
    pub cap: Option<SimDuration>,
}

/// Sessions ready to draw from.
#[derive(Clone, Debug)]
pub(super) struct Sessions {
    size: SizeLaw,
    think: ThinkLaw,
    pub growth: Growth,
    /// Mean requests of a session, before `max-prompt`.
    pub mean: f64,
}

impl SessionsSpec {
    /// The law, checked.
    pub(super) fn build(&self) -> Result<Sessions, InputError> {
        let wrong = |key: &str, message: &str, help: &str| {
            Err(InputError::named(format!("workload.sessions.{key}"), message, help))
        };
        let sane = match self.size {
            SizeLaw::Constant(n) => (1..=MOST_TURNS).contains(&n),
            SizeLaw::Uniform([a, b]) => 1 <= a && a <= b && b <= MOST_TURNS,
            SizeLaw::LogSeries(l) => l.p > 0.0 && l.p < 1.0 && (1..=MOST_TURNS).contains(&l.max),
            SizeLaw::Geometric(g) => g.mean >= 1.0 && g.mean.is_finite() && (1..=MOST_TURNS).contains(&g.max),
        };
        if !sane {
            return wrong(
                "size",
                "is no law of a number of requests (`p` inside 0 to 1, `mean` of at least 1, 1 to 1000000 requests)",
                "write for example `size = { log-series = { p = 0.6, max = 64 } }`",
            );
        }
        if let ThinkLaw::Lognormal(l) = self.think {
            let median = l.median.as_secs_f64();
            let possible = l.cap.is_none_or(|cap| cap.as_secs_f64() > median);
            if !(median > 0.0 && (0.0..10.0).contains(&l.sigma) && possible) {
                return wrong(
                    "think",
                    "needs a `median` above zero, a `sigma` of 0 to 10 and a `cap` above the median",
                    "write for example `think = { lognormal = { median = \"68 s\", sigma = 1.0, cap = \"600 s\" } }`",
                );
            }
        }
        let growth = self.prefix.build("workload.sessions.prefix")?;
        Ok(Sessions { size: self.size, think: self.think, growth, mean: self.size.mean() })
    }
}

impl SizeLaw {
    /// Exact mean of the cut law: the sum of P(size ≥ k) over k = 1 .. max.
    fn mean(self) -> f64 {
        match self {
            SizeLaw::Constant(n) => f64::from(n),
            SizeLaw::Uniform([a, b]) => f64::midpoint(f64::from(a), f64::from(b)),
            SizeLaw::LogSeries(LogSeriesSize { p, max }) => {
                let mut term = -p / libm::log1p(-p);
                let (mut left, mut mean) = (1.0, 0.0);
                for k in 1..=max {
                    mean += left;
                    left = (left - term).max(0.0);
                    term *= p * f64::from(k) / f64::from(k + 1);
                }
                mean
            }
            SizeLaw::Geometric(GeometricSize { mean, max }) => {
                let stay = 1.0 - 1.0 / mean;
                mean * (1.0 - libm::pow(stay, f64::from(max)))
            }
        }
    }
}

impl Sessions {
    /// Requests of one session.
    pub fn size(&self, draws: &mut Draws) -> u64 {
        match self.size {
            SizeLaw::Constant(n) => u64::from(n),
            SizeLaw::Uniform([a, b]) => u64::from(a) + draws.below(u64::from(b - a) + 1),
            SizeLaw::LogSeries(l) => draws.log_series(l.p).min(u64::from(l.max)),
            SizeLaw::Geometric(g) => (1 + draws.geometric(1.0 / g.mean)).min(u64::from(g.max)),
        }
    }

    /// One pause in picoseconds.
    pub fn pause_ps(&self, draws: &mut Draws) -> u128 {
        match self.think {
            ThinkLaw::Constant(pause) => u128::from(pause.as_ps()),
            ThinkLaw::Exponential(e) => whole(draws.exponential(e.mean.as_ps() as f64)),
            ThinkLaw::Lognormal(l) => {
                let cap = l.cap.map_or(u64::MAX, |cap| cap.as_ps()) as f64;
                lognormal_ps(draws, libm::log(l.median.as_secs_f64()), l.sigma, cap)
            }
        }
    }
}

/// A lognormal pause, drawn again until it is within the cap (whose check keeps at least half of the mass).
pub(super) fn lognormal_ps(draws: &mut Draws, mu: f64, sigma: f64, cap_ps: f64) -> u128 {
    loop {
        let pause = draws.lognormal(mu, sigma) * 1e12;
        if pause <= cap_ps {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "not negative; saturates"
            )]
            return pause as u128;
        }
    }
}

fn whole(ps: f64) -> u128 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; saturates")]
    let whole = ps.round() as u128;
    whole
}

/// Prefix identities and sessions of generated requests, by the number that each row carries.
#[derive(Debug, Default)]
pub(super) struct SideTables {
    chains: Option<PrefixChains>,
    sessions: Option<Vec<u32>>,
    count: u32,
}

impl SideTables {
    /// Tables for prompts of `block` tokens an id (none: no ids), and for sessions if some request has one.
    pub fn new(block: Option<u32>, sessions: bool) -> Self {
        SideTables {
            chains: block.map(|tokens_per_id| PrefixChains {
                tokens_per_id,
                starts: vec![0],
                ids: Vec::new(),
            }),
            sessions: sessions.then(Vec::new),
            count: 0,
        }
    }

    /// The number of the next row: one of `session`, whose prompt is that of `dialogue`.
    pub fn add(&mut self, session: Option<u32>, dialogue: Option<(&Dialogue, &Growth)>) -> u32 {
        if let Some(chains) = &mut self.chains {
            if let Some((dialogue, growth)) = dialogue {
                dialogue.ids(growth, &mut chains.ids);
            }
            chains.starts.push(u32::try_from(chains.ids.len()).unwrap_or(u32::MAX));
        }
        if let Some(sessions) = &mut self.sessions {
            sessions.push(session.unwrap_or(NO_SESSION));
        }
        let number = self.count;
        self.count = self.count.saturating_add(1);
        number
    }

    /// Whether there are more identities than a workload may have.
    pub fn full(&self) -> bool {
        self.chains.as_ref().is_some_and(|c| c.ids.len() > MOST_IDS)
    }

    /// Both tables.
    pub fn finish(self) -> (Option<PrefixChains>, Option<Vec<u32>>) {
        (self.chains, self.sessions)
    }
}

/// The error for more identities than [`MOST_IDS`].
pub(super) fn too_many_ids() -> InputError {
    InputError::named(
        "workload.requests",
        format!("the prompts have more than {MOST_IDS} prefix identities"),
        "ask for fewer requests, or use a larger `block`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn means_are_those_of_the_draws() {
        let think = ThinkLaw::Constant(SimDuration::from_secs(1));
        for size in [
            SizeLaw::Constant(3),
            SizeLaw::Uniform([2, 9]),
            SizeLaw::LogSeries(LogSeriesSize { p: 0.9, max: 7 }),
            SizeLaw::Geometric(GeometricSize { mean: 4.0, max: 9 }),
        ] {
            let spec = SessionsSpec { size, think, prefix: PrefixSpec::default() };
            let sessions = spec.build().unwrap_or_else(|e| panic!("{}", e.message));
            let mut draws = stream(1, "sessions", 0, 0);
            let sum: u64 = (0..100_000).map(|_| sessions.size(&mut draws)).sum();
            let mean = sum as f64 / 100_000.0;
            assert!((mean / sessions.mean - 1.0).abs() < 0.01, "{size:?}: {mean} against {}", sessions.mean);
        }
    }
}
