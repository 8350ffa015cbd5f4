//! Arrival laws that know no time of day: renewal processes, an on/off process, the arrivals of a file.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::formats::{ColumnMap, ReadOptions, read_trace};
use super::law::{weibull_mean, weibull_shape};
use super::prepare::Beside;
use super::rate::RequestRate;
use super::rows::Rows;
use super::text::duration;
use super::transform::Dequantise;
use crate::diagnostic::{InputError, InputErrors};
use crate::rng::{Component, Draws, stream};
use crate::units::SimDuration;

/// When requests arrive. In all but `replay` the first one arrives at 0.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalsSpec {
    /// Exponential gaps.
    Poisson(SteadyRate),
    /// Gamma gaps: burstier than Poisson below shape 1.
    Gamma(RenewalArrivals),
    /// Weibull gaps: burstier than Poisson below shape 1, with a heavier tail than Gamma.
    Weibull(RenewalArrivals),
    /// A two-state Markov-modulated Poisson process: exponential times on and off, Poisson arrivals in each.
    OnOff(OnOffArrivals),
    /// Equal gaps.
    Constant(SteadyRate),
    /// The arrival times of a trace file, with lengths from elsewhere.
    Replay(ReplayArrivals),
}

/// Parameters of `poisson` and `constant`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SteadyRate {
    /// Mean arrival rate.
    pub rate: RequestRate,
}

/// Parameters of `gamma` and `weibull`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewalArrivals {
    /// Mean arrival rate.
    pub rate: RequestRate,
    /// Shape of the gaps; give this or `cv`.
    pub shape: Option<f64>,
    /// Coefficient of variation of the gaps (Gamma: 1 / sqrt(shape)).
    pub cv: Option<f64>,
}

/// Parameters of `on-off`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OnOffArrivals {
    /// Arrival rate while on.
    pub on_rate: RequestRate,
    /// Arrival rate while off; none: silent.
    pub off_rate: Option<RequestRate>,
    /// Mean length of a time on.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub mean_on: SimDuration,
    /// Mean length of a time off.
    #[serde(with = "duration")]
    #[schemars(with = "SimDuration")]
    pub mean_off: SimDuration,
}

/// Parameters of `replay`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayArrivals {
    /// The file; relative to the scenario.
    pub file: PathBuf,
    /// Its format, where it shall not be detected.
    pub format: Option<String>,
    /// Its columns, for a generic table.
    pub columns: Option<ColumnMap>,
}

/// Arrivals whose file, if any, is read.
#[derive(Clone, Debug)]
pub(super) enum OpenArrivals {
    Law(Process),
    Replay(Box<Rows>),
}

/// An arrival law at its own rate.
#[derive(Clone, Copy, Debug)]
pub(super) enum Process {
    Renewal(Law),
    OnOff { per_s: [f64; 2], mean_ps: [f64; 2] },
}

/// A law of gaps.
#[derive(Clone, Copy, Debug)]
pub(super) enum Law {
    Exponential { mean_s: f64 },
    Gamma { shape: f64, scale_s: f64 },
    Weibull { shape: f64, scale_s: f64 },
    Constant { gap_s: f64 },
}

impl ArrivalsSpec {
    /// Checks the law and reads the file of `replay`.
    pub(super) fn open(&self, beside: Beside<'_>) -> Result<OpenArrivals, InputErrors> {
        let process = match self {
            ArrivalsSpec::Poisson(p) => Process::Renewal(Law::Exponential { mean_s: p.rate.mean_gap_s() }),
            ArrivalsSpec::Constant(c) => Process::Renewal(Law::Constant { gap_s: c.rate.mean_gap_s() }),
            ArrivalsSpec::Gamma(g) => {
                let shape = g.shape("gamma", |cv| 1.0 / (cv * cv))?;
                Process::Renewal(Law::Gamma { shape, scale_s: g.rate.mean_gap_s() / shape })
            }
            ArrivalsSpec::Weibull(w) => {
                let shape = w.shape("weibull", weibull_shape)?;
                Process::Renewal(Law::Weibull { shape, scale_s: w.rate.mean_gap_s() / weibull_mean(shape) })
            }
            ArrivalsSpec::OnOff(o) => o.process()?,
            ArrivalsSpec::Replay(replay) => return replay.read(beside),
        };
        Ok(OpenArrivals::Law(process))
    }

    /// Whether the arrivals end by themselves.
    pub(super) fn ends(&self) -> bool {
        matches!(self, ArrivalsSpec::Replay(_))
    }
}

impl RenewalArrivals {
    fn shape(&self, law: &str, of_cv: impl Fn(f64) -> f64) -> Result<f64, InputError> {
        let key = format!("workload.arrivals.{law}");
        let help = format!("write `{law} = {{ rate = \"4 req/s\", cv = 2.0 }}`");
        let inside = |x: f64| (0.01..=100.0).contains(&x);
        match (self.shape, self.cv) {
            (Some(shape), None) if inside(shape) => Ok(shape),
            (None, Some(cv)) if inside(cv) => Ok(of_cv(cv)),
            (Some(x), None) | (None, Some(x)) => {
                Err(InputError::named(key, format!("`{x}` is outside 0.01 to 100"), help))
            }
            _ => Err(InputError::named(key, "needs either `shape` or `cv`", help)),
        }
    }
}

impl OnOffArrivals {
    fn process(&self) -> Result<Process, InputError> {
        if self.mean_on == SimDuration::ZERO || self.mean_off == SimDuration::ZERO {
            let message = "`mean-on` and `mean-off` must be longer than zero";
            let help = "for one state only use `poisson`";
            return Err(InputError::named("workload.arrivals.on-off", message, help));
        }
        let off = self.off_rate.map_or(0.0, RequestRate::as_per_second);
        Ok(Process::OnOff {
            per_s: [self.on_rate.as_per_second(), off],
            mean_ps: [self.mean_on.as_ps() as f64, self.mean_off.as_ps() as f64],
        })
    }
}

impl ReplayArrivals {
    fn read(&self, beside: Beside<'_>) -> Result<OpenArrivals, InputErrors> {
        let options = ReadOptions {
            format: self.format.clone(),
            columns: self.columns.clone(),
            sort: true,
            ..ReadOptions::default()
        };
        let mut rows = read_trace(&beside.locate(&self.file), &options)?;
        if !rows.has_times() {
            let help = "name a trace with arrival times, or use another law";
            return Err(InputError::named(&*rows.report.source, "the file has no arrival times", help).into());
        }
        // Only the times are wanted.
        (rows.chains, rows.sessions) = (None, None);
        Ok(OpenArrivals::Replay(Box::new(rows)))
    }
}

/// Arrival times in picoseconds, in order; ends where simulated time does.
type Times = Box<dyn Iterator<Item = u64>>;

impl OpenArrivals {
    /// The arrivals of a seed at `rate_scale` times their rate.
    pub fn times(&self, rate_scale: f64, seed: u64) -> Result<Times, InputErrors> {
        Ok(match self {
            OpenArrivals::Law(Process::Renewal(law)) => {
                Box::new(Renewal { law: law.faster(rate_scale), seed, row: 0, now_ps: 0 })
            }
            OpenArrivals::Law(Process::OnOff { per_s, mean_ps }) => {
                let per_s = per_s.map(|rate| rate * rate_scale);
                Box::new(OnOff::new(per_s, *mean_ps, seed))
            }
            OpenArrivals::Replay(rows) => {
                let mut rows = Rows::clone(rows);
                rows.dequantise(Dequantise::Uniform, seed);
                if rate_scale != 1.0 {
                    rows.scale_rate(rate_scale, seed)?;
                }
                let origin = rows.rows.first().map_or(0, |r| r.time);
                Box::new(rows.rows.into_iter().map_while(move |r| u64::try_from(r.time - origin).ok()))
            }
        })
    }

    /// The file of `replay` and its hash.
    pub fn file(&self) -> Option<(&str, Option<&str>)> {
        match self {
            OpenArrivals::Law(_) => None,
            OpenArrivals::Replay(rows) => {
                Some((rows.report.source.as_str(), rows.report.content_hash.as_deref()))
            }
        }
    }
}

/// A renewal process.
#[derive(Clone, Copy, Debug)]
struct Renewal {
    law: Law,
    seed: u64,
    row: u64,
    now_ps: u64,
}

impl Iterator for Renewal {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        const GAPS: Component = Component::named("workload/arrivals");
        if self.row > 0 {
            let gap_s = self.law.gap_s(&mut stream(self.seed, GAPS, self.row, 0));
            self.now_ps = self.now_ps.checked_add(picoseconds(gap_s * 1e12))?;
        }
        self.row += 1;
        Some(self.now_ps)
    }
}

impl Law {
    /// The same law with gaps `factor` times shorter.
    pub fn faster(self, factor: f64) -> Law {
        match self {
            Law::Exponential { mean_s } => Law::Exponential { mean_s: mean_s / factor },
            Law::Gamma { shape, scale_s } => Law::Gamma { shape, scale_s: scale_s / factor },
            Law::Weibull { shape, scale_s } => Law::Weibull { shape, scale_s: scale_s / factor },
            Law::Constant { gap_s } => Law::Constant { gap_s: gap_s / factor },
        }
    }

    /// One gap in seconds.
    pub fn gap_s(self, draws: &mut Draws) -> f64 {
        match self {
            Law::Exponential { mean_s } => draws.exponential(mean_s),
            Law::Gamma { shape, scale_s } => draws.gamma(shape, scale_s),
            Law::Weibull { shape, scale_s } => draws.weibull(shape, scale_s),
            Law::Constant { gap_s } => gap_s,
        }
    }

    /// The time from an arbitrary instant to the next arrival (equilibrium forward recurrence): a uniform part of a
    /// length-biased gap, so that the mean number in any interval is the rate times its length.
    pub fn residual_s(self, draws: &mut Draws) -> f64 {
        match self {
            Law::Exponential { mean_s } => draws.exponential(mean_s),
            // Length-biased Gamma(k) is Gamma(k + 1).
            Law::Gamma { shape, scale_s } => draws.uniform() * draws.gamma(shape + 1.0, scale_s),
            // Length-biased Weibull(k): (x / scale)^k is Gamma(1 + 1/k).
            Law::Weibull { shape, scale_s } => {
                let power = draws.gamma(1.0 + 1.0 / shape, 1.0);
                draws.uniform() * scale_s * libm::pow(power, 1.0 / shape)
            }
            Law::Constant { gap_s } => draws.uniform() * gap_s,
        }
    }
}

/// The on/off process; begins on.
struct OnOff {
    per_s: [f64; 2],
    mean_ps: [f64; 2],
    seed: u64,
    phase: u64,
    phase_end_ps: u64,
    now_ps: u64,
    draws: Draws,
    first: bool,
}

impl OnOff {
    const PHASES: Component = Component::named("workload/arrivals-phase");
    const INSIDE: Component = Component::named("workload/arrivals-in-phase");

    fn new(per_s: [f64; 2], mean_ps: [f64; 2], seed: u64) -> Self {
        let phase_end_ps = picoseconds(stream(seed, Self::PHASES, 0, 0).exponential(mean_ps[0]));
        let draws = stream(seed, Self::INSIDE, 0, 0);
        OnOff { per_s, mean_ps, seed, phase: 0, phase_end_ps, now_ps: 0, draws, first: true }
    }
}

impl Iterator for OnOff {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if std::mem::take(&mut self.first) {
            return Some(0);
        }
        loop {
            let state = usize::from(self.phase % 2 == 1);
            if self.per_s[state] > 0.0 {
                let gap = picoseconds(self.draws.exponential(1e12 / self.per_s[state]));
                let at = self.now_ps.checked_add(gap)?;
                if at < self.phase_end_ps {
                    self.now_ps = at;
                    return Some(at);
                }
            }
            // Exponential gaps have no memory: the next phase starts afresh.
            self.now_ps = self.phase_end_ps;
            self.phase += 1;
            let state = usize::from(self.phase % 2 == 1);
            let length = stream(self.seed, Self::PHASES, self.phase, 0).exponential(self.mean_ps[state]);
            self.phase_end_ps = self.phase_end_ps.checked_add(picoseconds(length))?;
            self.draws = stream(self.seed, Self::INSIDE, self.phase, 0);
        }
    }
}

/// A not negative real number of picoseconds, rounded; saturates.
pub(super) fn picoseconds(ps: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates at both ends")]
    let whole = ps.round() as u64;
    whole
}
