//! The load a router sees, also as it was at the last reporting instant, without any periodic event.

use crate::units::{SimDuration, SimTime};

use super::flight::Leap;

/// Outstanding work of a replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests queued and not yet gone.
    pub requests: u32,
    /// Their prompt and generated tokens.
    pub tokens: u64,
}

/// The present load, and the load at the last reporting instant before the first change after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadHistory {
    now: Load,
    changed: SimTime,
    /// Reporting period; zero: only the present is ever asked for.
    pub period: SimDuration,
    reported: Option<(SimTime, Load)>,
}

/// The last multiple of `period` at or before `t`; `t` itself for a period of zero.
pub(crate) fn last_multiple(period: SimDuration, t: SimTime) -> SimTime {
    SimTime::from_ps(t.as_ps().checked_div(period.as_ps()).map_or(t.as_ps(), |n| n * period.as_ps()))
}

/// Tokens that a leap on its way delivers before its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnderWay {
    /// Start of the leap and the leap, if one is on its way.
    pub leap: Option<(SimTime, Leap)>,
    /// Tokens per step.
    pub emitting: u64,
}

impl UnderWay {
    /// Tokens delivered by `t`.
    fn tokens_by(&self, t: SimTime) -> u64 {
        match self.leap {
            Some((start, leap)) if t >= start => leap.steps_within(t - start) * self.emitting,
            _ => 0,
        }
    }
}

impl LoadHistory {
    /// Last reporting instant at or before `t`.
    pub fn report_instant(&self, t: SimTime) -> SimTime {
        last_multiple(self.period, t)
    }

    /// Called before any change at `now`: keeps what a router may still be shown.
    pub fn before_change(&mut self, now: SimTime, under_way: UnderWay) {
        if self.period == SimDuration::ZERO || now == SimTime::ZERO {
            return;
        }
        let instant = self.report_instant(SimTime::from_ps(now.as_ps() - 1));
        if self.changed <= instant && self.reported.is_none_or(|(known, _)| known < instant) {
            self.reported = Some((instant, self.with(under_way.tokens_by(instant))));
        }
    }

    pub fn queued(&mut self, tokens: u64, now: SimTime) {
        self.now.requests += 1;
        self.now.tokens += tokens;
        self.changed = now;
    }

    pub fn delivered(&mut self, tokens: u64, now: SimTime) {
        self.now.tokens += tokens;
        self.changed = now;
    }

    pub fn left(&mut self, tokens: u64, now: SimTime) {
        self.now.requests -= 1;
        self.now.tokens -= tokens;
        self.changed = now;
    }

    /// The load at `at`: the present, or the report instant that the last change follows.
    pub fn at(&self, at: SimTime, under_way: UnderWay) -> Load {
        if self.changed <= at {
            return self.with(under_way.tokens_by(at));
        }
        let (instant, load) = self.reported.expect("the load is kept before it changes");
        assert_eq!(instant, at, "a router asks for the last reporting instant");
        load
    }

    fn with(&self, pending: u64) -> Load {
        Load { requests: self.now.requests, tokens: self.now.tokens + pending }
    }

    /// The load as of the last change.
    pub fn present(&self) -> Load {
        self.now
    }
}
