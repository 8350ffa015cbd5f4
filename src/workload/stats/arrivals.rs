//! Gaps and counts of arrivals in one pass, in memory that does not grow with the number of rows.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::super::clock::{AbsolutePs, PS_PER_S};
use super::super::distance::Sample;
use super::super::rows::Clock;
use super::counts::Counts;

/// Digits of a gap that the histogram keeps: its quantiles are within 0.1 %.
const DIGITS: u8 = 3;
/// Relative error of the gaps' quantiles.
pub const GAP_ERROR: f64 = 1e-3;
/// Picoseconds in a second.
const SECOND: u64 = 1_000_000_000_000;

/// Arrivals as they come in.
pub(super) struct Arrivals {
    first: Option<AbsolutePs>,
    last: AbsolutePs,
    rows: u64,
    gaps: Histogram<u64>,
    /// Mean and sum of squared deviations of the gaps so far (Welford 1962), in seconds.
    mean_s: f64,
    deviations: f64,
    ties: u64,
    divisor: u64,
    bins: [Bins; 4],
}

/// Counts in windows of equal length, aligned at the first arrival.
struct Bins {
    width: u64,
    end: u64,
    current: u64,
    counts: Counts,
    peak: u64,
}

impl Bins {
    fn new(seconds: u64) -> Self {
        let width = seconds * SECOND;
        Bins { width, end: width, current: 0, counts: Counts::default(), peak: 0 }
    }

    fn add(&mut self, after_first: u64) {
        while after_first >= self.end {
            self.counts.add(self.current);
            self.current = 0;
            let Some(end) = self.end.checked_add(self.width) else {
                self.end = u64::MAX;
                break;
            };
            self.end = end;
        }
        self.current += 1;
        self.peak = self.peak.max(self.current);
    }
}

/// Gaps between arrivals, in seconds; the quantiles are within 0.1 %.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct GapStats {
    /// Mean gap.
    pub mean_s: f64,
    /// Standard deviation by mean; 1 for a Poisson process.
    pub cv: f64,
    /// Median.
    pub p50_s: f64,
    /// 90th percentile.
    pub p90_s: f64,
    /// 99th percentile.
    pub p99_s: f64,
    /// Greatest gap.
    pub max_s: f64,
    /// Relative error of the quantiles.
    pub quantile_error: f64,
    /// Gaps of zero: arrivals at the same time as the one before.
    pub ties: u64,
    /// The largest time that divides all gaps, in seconds: what the clock of the file can tell apart.
    pub clock_s: f64,
    /// The grain of a coarse clock that a run would spread (`dequantise`), in seconds.
    pub coarse_grain_s: Option<f64>,
}

/// Index of dispersion of counts: variance by mean over whole windows; 1 for a Poisson process.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Dispersion {
    /// Length of a window.
    pub window_s: u64,
    /// Whole windows in the file.
    pub windows: u64,
    /// Mean count of a window.
    pub mean: f64,
    /// Variance of the counts by their mean; none without a whole window.
    pub index: Option<f64>,
}

/// How uneven minutes are.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Burstiness {
    /// Most arrivals in one minute (counted from the first arrival).
    pub peak_minute: u64,
    /// Mean arrivals a minute.
    pub mean_minute: f64,
    /// The first by the second.
    pub peak_by_mean: f64,
}

impl Arrivals {
    pub fn new() -> Self {
        // Three digits over all of u64 are a fixed half megabyte.
        let gaps = Histogram::new_with_bounds(1, u64::MAX, DIGITS);
        Arrivals {
            first: None,
            last: 0,
            rows: 0,
            gaps: gaps.expect("three digits of any number are allowed"),
            mean_s: 0.0,
            deviations: 0.0,
            ties: 0,
            divisor: 0,
            bins: [1, 10, 60, 1_200].map(Bins::new),
        }
    }

    /// One arrival; times do not fall.
    pub fn add(&mut self, time: AbsolutePs) {
        self.rows += 1;
        let Some(first) = self.first else {
            (self.first, self.last) = (Some(time), time);
            self.bins.iter_mut().for_each(|b| b.add(0));
            return;
        };
        let gap = saturate(time.saturating_sub(self.last));
        self.last = self.last.max(time);
        let after_first = saturate(time.saturating_sub(first));
        self.bins.iter_mut().for_each(|b| b.add(after_first));
        self.gaps.saturating_record(gap);
        let gap_s = gap as f64 / PS_PER_S as f64;
        let off = gap_s - self.mean_s;
        self.mean_s += off / (self.rows - 1) as f64;
        self.deviations += off * (gap_s - self.mean_s);
        if gap == 0 {
            self.ties += 1;
        } else if self.divisor == 0 || !gap.is_multiple_of(self.divisor) {
            self.divisor = gcd(gap, self.divisor);
        }
    }

    /// From the first to the last arrival in picoseconds.
    pub fn span_ps(&self) -> AbsolutePs {
        self.last - self.first.unwrap_or(self.last)
    }

    pub fn gaps(&self, clock: Clock) -> Option<GapStats> {
        let count = self.rows.checked_sub(1).filter(|n| *n > 0)? as f64;
        let mean = self.span_ps() as f64 / PS_PER_S as f64 / count;
        let at = |q: f64| self.gaps.value_at_quantile(q) as f64 / PS_PER_S as f64;
        Some(GapStats {
            mean_s: mean,
            cv: if mean > 0.0 { (self.deviations / count).sqrt() / mean } else { 0.0 },
            p50_s: at(0.5),
            p90_s: at(0.9),
            p99_s: at(0.99),
            max_s: at(1.0),
            quantile_error: GAP_ERROR,
            ties: self.ties,
            clock_s: self.divisor as f64 / PS_PER_S as f64,
            coarse_grain_s: self.coarse_grain(clock).map(|g| g as f64 / PS_PER_S as f64),
        })
    }

    /// The same rules as `Rows::coarse_grain`, from what a pass keeps.
    fn coarse_grain(&self, clock: Clock) -> Option<u64> {
        let common = (self.ties > 0 && self.divisor >= SECOND).then_some(self.divisor);
        match clock {
            Clock::Declared(grain) => {
                let first = self.first? % u128::from(grain) == 0;
                (first && self.divisor.is_multiple_of(grain)).then_some(grain)
            }
            Clock::Detect => common,
            Clock::Jittered => common.or_else(|| self.jittered_grain()),
        }
    }

    fn jittered_grain(&self) -> Option<u64> {
        let positive = self.gaps.len() - self.gaps.count_at(0);
        if positive == 0 || positive * 2 > self.rows {
            return None;
        }
        let values = || self.gaps.iter_recorded().filter(|v| v.value_iterated_to() > 0);
        let mut seen = 0;
        let median = values().find(|v| {
            seen += v.count_at_value();
            seen * 2 > positive
        })?;
        let grain = self.gaps.median_equivalent(median.value_iterated_to());
        let near = |gap: u64| (gap % grain).min(grain - gap % grain) <= grain / 100 + grain / 500;
        let middle = |v: u64| self.gaps.median_equivalent(v);
        let regular: u64 =
            values().filter(|v| near(middle(v.value_iterated_to()))).map(|v| v.count_at_value()).sum();
        let coarse = grain >= SECOND && regular * 10 >= positive * 9;
        // To a hundredth of the grain: more than the histogram can tell would be noise.
        let step = grain / 100;
        coarse.then(|| (grain + step / 2) / step * step)
    }

    pub fn dispersion(&self) -> Vec<Dispersion> {
        let of = |b: &Bins| {
            let d = b.counts.distribution();
            Dispersion {
                window_s: b.width / SECOND,
                windows: b.counts.count(),
                mean: d.as_ref().map_or(0.0, |d| d.mean),
                index: d.map(|d| d.cv * d.cv * d.mean),
            }
        };
        self.bins[..3].iter().map(of).collect()
    }

    pub fn burstiness(&self) -> Option<Burstiness> {
        let minutes = self.span_ps() as f64 / (60 * PS_PER_S) as f64;
        let mean_minute = self.rows as f64 / minutes;
        (minutes >= 1.0).then(|| Burstiness {
            peak_minute: self.bins[2].peak,
            mean_minute,
            peak_by_mean: self.bins[2].peak as f64 / mean_minute,
        })
    }

    /// Gaps in seconds, as the histogram has them.
    pub fn gap_sample(&self) -> Sample {
        let value = |v: u64| self.gaps.median_equivalent(v) as f64 / PS_PER_S as f64;
        Sample::counted(self.gaps.iter_recorded().map(|v| {
            let middle = if v.value_iterated_to() == 0 { 0.0 } else { value(v.value_iterated_to()) };
            (middle, v.count_at_value())
        }))
    }

    /// Counts of whole windows of 20 minutes.
    pub fn counts_20min(&self) -> Sample {
        self.bins[3].counts.sample()
    }
}

fn saturate(ps: u128) -> u64 {
    u64::try_from(ps).unwrap_or(u64::MAX)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
