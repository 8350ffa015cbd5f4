//! Simulated time: integer picoseconds from the first row of the run.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};

use super::Seconds;

/// Picoseconds in one second.
const PS_PER_SECOND: u64 = 1_000_000_000_000;

/// An instant, in picoseconds since the first row of the run (span: 213 days).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SimTime(u64);

/// A span of simulated time, in picoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SimDuration(u64);

impl SimTime {
    /// The origin of the run.
    pub const ZERO: SimTime = SimTime(0);
    /// Later than every instant of a run.
    pub const MAX: SimTime = SimTime(u64::MAX);

    /// The instant `ps` picoseconds after the origin.
    pub const fn from_ps(ps: u64) -> Self {
        SimTime(ps)
    }

    /// Picoseconds since the origin.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Seconds since the origin, for printing.
    pub fn as_secs_f64(self) -> f64 {
        SimDuration(self.0).as_secs_f64()
    }

    /// Time since `earlier`; panics if `earlier` is later, which would be a clock that went back.
    pub fn since(self, earlier: SimTime) -> SimDuration {
        self - earlier
    }
}

impl SimDuration {
    /// No time at all.
    pub const ZERO: SimDuration = SimDuration(0);
    /// Longer than every duration of a run.
    pub const MAX: SimDuration = SimDuration(u64::MAX);

    /// `ps` picoseconds.
    pub const fn from_ps(ps: u64) -> Self {
        SimDuration(ps)
    }

    /// Whole seconds.
    pub const fn from_secs(s: u64) -> Self {
        SimDuration(s * PS_PER_SECOND)
    }

    /// Whole milliseconds.
    pub const fn from_ms(ms: u64) -> Self {
        SimDuration(ms * 1_000_000_000)
    }

    /// Whole microseconds.
    pub const fn from_us(us: u64) -> Self {
        SimDuration(us * 1_000_000)
    }

    /// The only place where real seconds become integer time: rounded to the nearest picosecond.
    ///
    /// Panics unless `seconds` is finite, not negative and below one year, because such a cost is our bug.
    pub fn from_seconds(seconds: Seconds) -> Self {
        let s = seconds.0;
        assert!(s.is_finite() && s >= 0.0, "a duration must be finite and not negative, got {s} s");
        assert!(s < 31_557_600.0, "a duration must be below one year, got {s} s");
        let ps = s * 1e12;
        // To the nearest, halves up, as `f64::round`, which is a call into the mathematics library on old processors.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
        let whole = ps as u64;
        SimDuration(whole.saturating_add(u64::from(ps - whole as f64 >= 0.5)))
    }

    /// Picoseconds.
    pub const fn as_ps(self) -> u64 {
        self.0
    }

    /// Seconds, for printing and statistics.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e12
    }

    /// Milliseconds, for printing and statistics.
    pub fn as_ms_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// Difference, or zero where `other` is longer.
    pub fn saturating_sub(self, other: SimDuration) -> SimDuration {
        SimDuration(self.0.saturating_sub(other.0))
    }
}

impl Add<SimDuration> for SimTime {
    type Output = SimTime;
    fn add(self, d: SimDuration) -> SimTime {
        SimTime(self.0.checked_add(d.0).expect("simulated time ends after 213 days"))
    }
}

impl AddAssign<SimDuration> for SimTime {
    fn add_assign(&mut self, d: SimDuration) {
        *self = *self + d;
    }
}

impl Sub for SimTime {
    type Output = SimDuration;
    fn sub(self, other: SimTime) -> SimDuration {
        SimDuration(self.0 - other.0)
    }
}

impl Add for SimDuration {
    type Output = SimDuration;
    fn add(self, d: SimDuration) -> SimDuration {
        SimDuration(self.0 + d.0)
    }
}

impl AddAssign for SimDuration {
    fn add_assign(&mut self, d: SimDuration) {
        self.0 += d.0;
    }
}

impl Sub for SimDuration {
    type Output = SimDuration;
    fn sub(self, d: SimDuration) -> SimDuration {
        SimDuration(self.0 - d.0)
    }
}

impl Mul<u64> for SimDuration {
    type Output = SimDuration;
    fn mul(self, k: u64) -> SimDuration {
        SimDuration(self.0 * k)
    }
}

impl Sum for SimDuration {
    fn sum<I: Iterator<Item = SimDuration>>(iter: I) -> SimDuration {
        iter.fold(SimDuration::ZERO, Add::add)
    }
}

impl fmt::Debug for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ps", self.0)
    }
}

impl fmt::Debug for SimDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ps", self.0)
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SimDuration(self.0).fmt(f)
    }
}

impl fmt::Display for SimDuration {
    /// Three significant decimals in the largest fitting unit: `1.250 s`, `38.066 ms`, `4.100 us`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ps = self.0 as f64;
        match self.0 {
            0 => write!(f, "0 s"),
            1..1_000_000 => write!(f, "{:.3} ns", ps / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.3} us", ps / 1e6),
            1_000_000_000..PS_PER_SECOND => write!(f, "{:.3} ms", ps / 1e9),
            _ => write!(f, "{:.3} s", ps / 1e12),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_in_the_largest_fitting_unit() {
        assert_eq!(SimDuration::from_us(38_066).to_string(), "38.066 ms");
        assert_eq!(SimDuration::from_ms(1_250).to_string(), "1.250 s");
        assert_eq!(SimDuration::ZERO.to_string(), "0 s");
    }

    #[test]
    fn rounding_is_that_of_the_standard_library() {
        let mut state = 7_u64;
        for _ in 0..100_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // From a few picoseconds to weeks; and exact halves.
            let ps = (state >> 11) as f64 / (1_u64 << (state % 53)) as f64;
            for s in [ps * 1e-12, ((state >> 40) as f64 + 0.5) * 1e-12] {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "small and positive"
                )]
                let expected = (s * 1e12).round() as u64;
                assert_eq!(SimDuration::from_seconds(Seconds(s)).as_ps(), expected, "{s} s");
            }
        }
    }

    #[test]
    fn seconds_are_rounded_to_the_nearest_picosecond() {
        assert_eq!(SimDuration::from_seconds(Seconds(1.0e-12 * 2.4)).as_ps(), 2);
        assert_eq!(SimDuration::from_seconds(Seconds(0.038_065_985)).as_ps(), 38_065_985_000);
    }
}
