//! Request rates, and setting the mean rate of a trace exactly.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::{Serialize, Serializer};

use super::trace::Trace;
use crate::diagnostic::InputError;
use crate::units::{SimDuration, SimTime, UnitError, text_schema};

/// A mean arrival rate in requests per second; finite and positive.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct RequestRate(f64);

/// Unit symbols and their length in seconds.
const SYMBOLS: [(&str, f64); 4] =
    [("req/s", 1.0), ("req/min", 60.0), ("req/h", 3_600.0), ("req/d", 86_400.0)];

impl RequestRate {
    /// A rate in requests per second; none unless it is finite and positive.
    pub fn per_second(rate: f64) -> Option<Self> {
        (rate.is_finite() && rate > 0.0).then_some(RequestRate(rate))
    }

    /// Requests per second.
    pub fn as_per_second(self) -> f64 {
        self.0
    }

    /// Mean gap between requests in seconds.
    pub fn mean_gap_s(self) -> f64 {
        1.0 / self.0
    }
}

impl FromStr for RequestRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let fail = |problem: String| UnitError { problem, example: "4 req/s" };
        let trimmed = text.trim();
        let found =
            SYMBOLS.iter().find_map(|(symbol, s)| trimmed.strip_suffix(symbol).map(|n| (n.trim_end(), s)));
        let (number, seconds) = found.ok_or_else(|| {
            let known: Vec<String> = SYMBOLS.iter().map(|(s, _)| format!("`{s}`")).collect();
            fail(format!("`{text}` does not end in a unit of a rate (known: {})", known.join(", ")))
        })?;
        let value: f64 = number
            .replace('_', "")
            .parse()
            .map_err(|_| fail(format!("`{number}` in `{text}` is not a number")))?;
        RequestRate::per_second(value / seconds)
            .ok_or_else(|| fail(format!("a rate must be finite and above zero, got `{text}`")))
    }
}

impl fmt::Display for RequestRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} req/s", self.0)
    }
}

impl<'de> Deserialize<'de> for RequestRate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = RequestRate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rate with its unit in quotes, for example \"4 req/s\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<RequestRate, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_any(Text)
    }
}

impl schemars::JsonSchema for RequestRate {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RequestRate".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        text_schema("a rate", "4 req/s", SYMBOLS.iter().map(|(symbol, _)| *symbol))
    }
}

impl Serialize for RequestRate {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl Trace {
    /// From the first to the last arrival.
    pub fn span(&self) -> SimDuration {
        match (self.requests.first(), self.requests.last()) {
            (Some(first), Some(last)) => last.arrival.since(first.arrival),
            _ => SimDuration::ZERO,
        }
    }

    /// Gaps divided by span; none in a closed loop, for fewer than two requests, or if all arrive at once.
    pub fn mean_rate(&self) -> Option<RequestRate> {
        if self.closed.is_some() || self.len() < 2 {
            return None;
        }
        RequestRate::per_second((self.len() - 1) as f64 / self.span().as_secs_f64())
    }
}

/// The same requests with all gaps scaled by one factor, so that the mean rate is `rate`.
///
/// Exact: the new span is (n − 1) / rate rounded to a picosecond, and each arrival is ⌊t · new / old⌋ in 128 bits, so
/// order and ties stay. A closed loop has no rate and is returned as it is.
pub fn rescale_to_rate(trace: &Trace, rate: RequestRate) -> Result<Trace, InputError> {
    let mut scaled = trace.clone();
    if trace.closed.is_some() || trace.len() < 2 {
        return Ok(scaled);
    }
    let problem = |message: String, help: &str| Err(InputError::named("workload.rate", message, help));
    let old = trace.span().as_ps();
    if old == 0 {
        return problem(
            format!("all {} requests arrive at once, so no factor gives {rate}", trace.len()),
            "use a longer slice, or generate the arrivals",
        );
    }
    let wanted_ps = (trace.len() - 1) as f64 / rate.as_per_second() * 1e12;
    if wanted_ps >= u64::MAX as f64 {
        let days = wanted_ps / 86_400e12;
        return problem(
            format!("{} requests at {rate} span {days:.0} days, but simulated time holds 213", trace.len()),
            "raise the rate or ask for fewer requests",
        );
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
    let new = wanted_ps.round() as u64;
    let first = trace.requests.first().map_or(SimTime::ZERO, |r| r.arrival);
    for request in &mut scaled.requests {
        let t = u128::from(request.arrival.since(first).as_ps());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "t is at most `old`, so the quotient is at most `new`"
        )]
        let moved = (t * u128::from(new) / u128::from(old)) as u64;
        request.arrival = SimTime::from_ps(moved);
    }
    Ok(scaled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rates_and_says_what_is_wrong() {
        let rate = |text: &str| text.parse::<RequestRate>();
        assert_eq!(rate("4 req/s").map(RequestRate::as_per_second), Ok(4.0));
        assert_eq!(rate("120req/min").map(RequestRate::as_per_second), Ok(2.0));
        let message = |text: &str| rate(text).map_err(|e| e.to_string());
        assert_eq!(
            message("0 req/s"),
            Err("a rate must be finite and above zero, got `0 req/s`; write for example `4 req/s`".into())
        );
        assert!(message("4").is_err_and(|m| m.contains("does not end in a unit of a rate")));
        assert!(message("x req/s").is_err_and(|m| m.contains("`x` in `x req/s` is not a number")));
    }
}
