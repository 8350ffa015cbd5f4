//! Trace timestamps as exact integers: decimal text or a calendar date becomes picoseconds without a float.
//!
//! Absolute times are `u128`, because BurstGPT_3 starts at day 225 and Azure at a date: both exceed `u64`
//! picoseconds until the origin of the run is subtracted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An absolute time of a trace file, in picoseconds from the file's own zero.
pub(super) type AbsolutePs = u128;

/// Picoseconds in a second.
pub(super) const PS_PER_S: u128 = 1_000_000_000_000;

/// How the arrival column of a table is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Decimal seconds.
    #[default]
    S,
    /// Decimal milliseconds.
    Ms,
    /// Decimal microseconds.
    Us,
    /// Decimal nanoseconds.
    Ns,
    /// `2023-11-16 18:17:03.9799600`, optionally with `T`, and `Z` or `+00:00` at the end.
    Datetime,
}

impl TimeUnit {
    /// Reads one timestamp; the error is what is wrong with the text, without the text.
    pub(super) fn parse(self, text: &[u8]) -> Result<AbsolutePs, &'static str> {
        match self {
            TimeUnit::S => decimal(text, 12),
            TimeUnit::Ms => decimal(text, 9),
            TimeUnit::Us => decimal(text, 6),
            TimeUnit::Ns => decimal(text, 3),
            TimeUnit::Datetime => datetime(text),
        }
    }
}

/// A non-negative decimal number times 10^`shift`, digits beyond that cut off; `1.5e-3` is exact too.
pub(super) fn decimal(text: &[u8], shift: usize) -> Result<u128, &'static str> {
    const WRONG: &str = "is not a decimal number";
    let (mut value, mut digits, mut point) = (0u64, 0usize, None);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if digits < 19 => {
                value = value * 10 + u64::from(byte - b'0');
                digits += usize::from(value > 0);
            }
            b'.' if point.is_none() => point = Some(at),
            _ => return long_decimal(text, shift),
        }
    }
    let fraction = point.map_or(0, |at| text.len() - at - 1);
    if text.is_empty() || text.len() == usize::from(point.is_some()) {
        return Err(WRONG);
    }
    match shift.checked_sub(fraction) {
        Some(more) => Ok(u128::from(value) * power(more)),
        None => {
            let cut = u32::try_from(fraction - shift).ok().and_then(|n| 10u64.checked_pow(n));
            Ok(cut.map_or(0, |cut| u128::from(value / cut)))
        }
    }
}

/// 10^`n`; `n` is at most 12, the digits from seconds to picoseconds.
fn power(n: usize) -> u128 {
    const POWERS: [u64; 13] = {
        let mut powers = [1; 13];
        let mut i = 1;
        while i < 13 {
            powers[i] = powers[i - 1] * 10;
            i += 1;
        }
        powers
    };
    u128::from(POWERS[n.min(12)])
}

/// The same for a number with many digits, an exponent, or a mistake.
fn long_decimal(text: &[u8], shift: usize) -> Result<u128, &'static str> {
    const WRONG: &str = "is not a decimal number";
    const LARGE: &str = "is too large for a time";
    if text.first() == Some(&b'-') {
        return Err("is negative");
    }
    let exponent_at = text.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, exponent) = match exponent_at {
        Some(at) => {
            let digits = std::str::from_utf8(&text[at + 1..]).map_err(|_| WRONG)?;
            (&text[..at], digits.parse::<i32>().map_err(|_| WRONG)?)
        }
        None => (text, 0),
    };
    let dot = mantissa.iter().position(|&b| b == b'.');
    let (whole, fraction) = match dot {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &b""[..]),
    };
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(WRONG);
    }
    // Digits before the point of the number times 10^shift.
    let places = i64::try_from(whole.len()).map_err(|_| LARGE)? + i64::try_from(shift).unwrap_or(0);
    let places = usize::try_from(places + i64::from(exponent)).unwrap_or(0);
    let padding = std::iter::repeat(&b'0');
    let mut value: u128 = 0;
    for &digit in whole.iter().chain(fraction).chain(padding).take(places) {
        // 10^30 ps is 3 * 10^10 years: enough for any clock, and far from the limit of u128.
        if value > 1_000_000_000_000_000_000_000_000_000_000 {
            return Err(LARGE);
        }
        value = value * 10 + u128::from(digit - b'0');
        if value == 0 && places > text.len() + 64 {
            return if whole.iter().chain(fraction).all(|d| *d == b'0') { Ok(0) } else { Err(LARGE) };
        }
    }
    Ok(value)
}

/// A calendar date and time to picoseconds since 1970-01-01 00:00 UTC.
fn datetime(text: &[u8]) -> Result<AbsolutePs, &'static str> {
    const WRONG: &str = "is not a date and time such as `2023-11-16 18:17:03.9799600`";
    let (body, offset_s) = split_zone(text).ok_or(WRONG)?;
    let number = |at: std::ops::Range<usize>| -> Option<u64> {
        let part = body.get(at)?;
        part.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
    };
    let separators = [(4, b"-"), (7, b"-"), (13, b":"), (16, b":")];
    let separated = separators.iter().all(|&(at, s)| body.get(at) == s.first())
        && matches!(body.get(10), Some(b' ' | b'T'));
    if !separated {
        return Err(WRONG);
    }
    let (year, month, day) =
        (number(0..4).ok_or(WRONG)?, number(5..7).ok_or(WRONG)?, number(8..10).ok_or(WRONG)?);
    let (hour, minute) = (number(11..13).ok_or(WRONG)?, number(14..16).ok_or(WRONG)?);
    let seconds = decimal(body.get(17..).ok_or(WRONG)?, 12).map_err(|_| WRONG)?;
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && seconds < 61 * PS_PER_S;
    if !in_range {
        return Err(WRONG);
    }
    let local_s = i128::from(days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60);
    let utc_s = u128::try_from(local_s - i128::from(offset_s)).map_err(|_| "lies before 1970")?;
    Ok(utc_s * PS_PER_S + seconds)
}

/// `2023-11-16 18:17:03` of seconds since 1970.
pub(super) fn put_datetime(out: &mut Vec<u8>, seconds: u128) {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let days = u64::try_from(days).unwrap_or(u64::MAX).min(2_900_000);
    // At most one year too late, because no year is shorter than 365 days.
    let mut year = 1970 + days / 365;
    while days_since_1970(year, 1, 1) > days {
        year -= 1;
    }
    let mut day = days - days_since_1970(year, 1, 1);
    let mut month = 1;
    while day >= days_in_month(year, month) {
        day -= days_in_month(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let text = format!("{year}-{month:02}-{:02} {hour:02}:{minute:02}:{second:02}", day + 1);
    out.extend_from_slice(text.as_bytes());
}

/// Splits a trailing `Z` or `±HH:MM` off; the offset is in seconds east of UTC.
fn split_zone(text: &[u8]) -> Option<(&[u8], i64)> {
    if let Some(body) = text.strip_suffix(b"Z") {
        return Some((body, 0));
    }
    let at = text.len().checked_sub(6)?;
    let (body, zone) = text.split_at(at);
    let sign = match zone[0] {
        b'+' => 1,
        b'-' if at > 10 => -1,
        _ => return Some((text, 0)),
    };
    let digit = |i: usize| zone[i].is_ascii_digit().then(|| i64::from(zone[i] - b'0'));
    if zone[3] != b':' {
        return None;
    }
    let minutes = (digit(1)? * 10 + digit(2)?) * 60 + digit(4)? * 10 + digit(5)?;
    Some((body, sign * minutes * 60))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

fn days_in_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let leaps = |y: u64| y / 4 - y / 100 + y / 400;
    let years = (year - 1970) * 365 + leaps(year - 1) - leaps(1969);
    let months: u64 = (1..month).map(|m| days_in_month(year, m)).sum();
    years + months + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_seconds_become_exact_picoseconds() {
        let s = |text: &str| TimeUnit::S.parse(text.as_bytes());
        assert_eq!(s("0.1"), Ok(100_000_000_000));
        assert_eq!(s("5"), Ok(5 * PS_PER_S));
        assert_eq!(s("6998653.0"), Ok(6_998_653 * PS_PER_S));
        assert_eq!(s("19440110.0"), Ok(19_440_110 * PS_PER_S));
        assert_eq!(s(".000000000001"), Ok(1));
        assert_eq!(s("0.0000000000019"), Ok(1), "digits below a picosecond are cut off");
        assert_eq!(TimeUnit::Ms.parse(b"27000"), Ok(27 * PS_PER_S));
        assert_eq!(s("-1"), Err("is negative"));
        assert_eq!(s("1e3"), Ok(1_000 * PS_PER_S));
        assert_eq!(s("1.5e-05"), Ok(15_000_000));
        assert_eq!(s("9e-13"), Ok(0));
        assert_eq!(s("0e999999999"), Ok(0));
        assert_eq!(s("1e999999999"), Err("is too large for a time"));
        assert_eq!(s("1e"), Err("is not a decimal number"));
        assert_eq!(s("1.2.3"), Err("is not a decimal number"));
        assert_eq!(s(""), Err("is not a decimal number"));
        assert_eq!(s("1700158623.979960123456"), Ok(1_700_158_623_979_960_123_456));
        assert_eq!(s("0.30000000000000004"), Ok(300_000_000_000));
        assert_eq!(s("."), Err("is not a decimal number"));
        assert_eq!(s("99999999999999999999999999999999999999"), Err("is too large for a time"));
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        for day in [0, 58, 59, 60, 364, 365, 789, 1_154, 11_015, 11_016, 19_677, 19_782, 19_852, 40_000] {
            let seconds = day * 86_400 + 5_025;
            let mut text = Vec::new();
            put_datetime(&mut text, seconds);
            let read = TimeUnit::Datetime.parse(&text);
            assert_eq!(read, Ok(seconds * PS_PER_S), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn dates_become_exact_picoseconds() {
        let t = |text: &str| TimeUnit::Datetime.parse(text.as_bytes());
        // `date -ud '2023-11-16 18:17:03' +%s` = 1700158623
        assert_eq!(t("2023-11-16 18:17:03.9799600"), Ok(1_700_158_623_979_960_000_000));
        assert_eq!(t("2023-11-16T18:17:03Z"), Ok(1_700_158_623 * PS_PER_S));
        // `date -ud '2024-05-10' +%s` = 1715299200
        assert_eq!(t("2024-05-10 00:00:00.009930+00:00"), Ok(1_715_299_200_009_930_000_000));
        assert_eq!(t("2024-05-10 02:00:00+02:00"), Ok(1_715_299_200 * PS_PER_S));
        // `date -ud '2024-02-29' +%s` = 1709164800
        assert_eq!(t("2024-02-29 00:00:00"), Ok(1_709_164_800 * PS_PER_S));
        for wrong in ["", "2023-11-16", "2023-02-29 00:00:00", "2023-11-16 25:00:00", "12:00", "x+00:00"] {
            assert!(t(wrong).is_err(), "{wrong}");
        }
    }
}
