//! Text to quantity: `"80 GiB"`, `"3.35 TB/s"`, `"989 TFLOP/s"`, `"4.1 us"`, `"700 W"`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use super::schema::text_schema;
use super::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds, SimDuration, Watts};

/// Why a text is not a quantity; the message carries an example that works.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{problem}; write for example `{example}`")]
pub struct UnitError {
    /// What is wrong, in lower case, with the text found.
    pub problem: String,
    /// A text of this quantity that parses.
    pub example: &'static str,
}

/// A quantity that is written as `number unit`.
trait Unit: Sized {
    const NAME: &'static str;
    const EXAMPLE: &'static str;
    /// (symbol, value of one such unit in the base unit)
    const SYMBOLS: &'static [(&'static str, f64)];
    fn from_base(value: f64) -> Self;
}

macro_rules! units {
    ($($ty:ty, $name:literal, $example:literal, $from:expr, [$(($symbol:literal, $factor:expr)),+ $(,)?];)+) => {$(
        impl Unit for $ty {
            const NAME: &'static str = $name;
            const EXAMPLE: &'static str = $example;
            const SYMBOLS: &'static [(&'static str, f64)] = &[$(($symbol, $factor)),+];
            fn from_base(value: f64) -> Self { $from(value) }
        }
        impl std::str::FromStr for $ty {
            type Err = UnitError;
            fn from_str(text: &str) -> Result<Self, UnitError> { parse(text) }
        }
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                d.deserialize_any(UnitVisitor(PhantomData))
            }
        }
        impl JsonSchema for $ty {
            fn schema_name() -> Cow<'static, str> { stringify!($ty).into() }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                text_schema($name, $example, [$($symbol),+])
            }
        }
    )+};
}

units! {
    Bytes, "a size", "80 GiB", Bytes, [
        ("B", 1.0), ("KB", 1e3), ("MB", 1e6), ("GB", 1e9), ("TB", 1e12),
        ("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0), ("TiB", 1_099_511_627_776.0)];
    BytesPerSecond, "a bandwidth", "3.35 TB/s", BytesPerSecond, [
        ("B/s", 1.0), ("KB/s", 1e3), ("MB/s", 1e6), ("GB/s", 1e9), ("TB/s", 1e12), ("Gb/s", 0.125e9), ("Tb/s", 0.125e12)];
    FlopsPerSecond, "a compute rate", "989 TFLOP/s", FlopsPerSecond, [
        ("GFLOP/s", 1e9), ("TFLOP/s", 1e12), ("PFLOP/s", 1e15), ("TOP/s", 1e12)];
    Seconds, "a time", "4.1 us", Seconds, [
        ("ps", 1e-12), ("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)];
    SimDuration, "a duration", "200 ms", |s| SimDuration::from_seconds(Seconds(s)), [
        ("ps", 1e-12), ("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)];
    Watts, "a power", "700 W", Watts, [("mW", 1e-3), ("W", 1.0), ("kW", 1e3), ("MW", 1e6)];
}

/// Splits `text` into number and unit symbol and scales to the base unit.
fn parse<U: Unit>(text: &str) -> Result<U, UnitError> {
    let fail = |problem: String| UnitError { problem, example: U::EXAMPLE };
    let trimmed = text.trim();
    let split = trimmed
        .char_indices()
        .find(|&(i, c)| {
            c.is_ascii_whitespace()
                || (c.is_alphabetic() && !(matches!(c, 'e' | 'E') && follows_exponent(trimmed, i)))
        })
        .map(|(i, _)| i)
        .ok_or_else(|| fail(format!("`{text}` has no unit, but {} needs one", U::NAME)))?;
    let (number, symbol) = (&trimmed[..split], trimmed[split..].trim());
    let value: f64 = number.replace('_', "").parse().map_err(|_| match number {
        "" => fail(format!("`{text}` is not a number with a unit")),
        _ => fail(format!("`{number}` in `{text}` is not a number")),
    })?;
    if !value.is_finite() || value < 0.0 {
        return Err(fail(format!("{} must be finite and not negative, got `{text}`", U::NAME)));
    }
    let known = || U::SYMBOLS.iter().map(|(s, _)| format!("`{s}`")).collect::<Vec<_>>().join(", ");
    let (_, factor) = U::SYMBOLS
        .iter()
        .find(|(s, _)| *s == symbol)
        .ok_or_else(|| fail(format!("`{symbol}` is not a unit of {} (known: {})", U::NAME, known())))?;
    let base = value * factor;
    if U::NAME == "a duration" && base >= 31_557_600.0 {
        return Err(fail(format!("`{text}` is a year or longer")));
    }
    Ok(U::from_base(base))
}

/// Whether the `e` at `at` belongs to a number such as `1.5e9`.
fn follows_exponent(text: &str, at: usize) -> bool {
    let mut rest = text[at + 1..].chars();
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let first = rest.next();
    at > 0 && (digit(first) || (matches!(first, Some('+' | '-')) && digit(rest.next())))
}

struct UnitVisitor<U>(PhantomData<U>);

impl<U: Unit> Visitor<'_> for UnitVisitor<U> {
    type Value = U;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with its unit in quotes, for example \"{}\"", U::NAME, U::EXAMPLE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<U, E> {
        parse(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_numbers_with_units() {
        assert_eq!("80 GiB".parse(), Ok(Bytes(85_899_345_920.0)));
        assert_eq!("3.35 TB/s".parse(), Ok(BytesPerSecond(3.35e12)));
        assert_eq!("1e3GB/s".parse(), Ok(BytesPerSecond(1e12)));
        assert_eq!("200 ms".parse(), Ok(SimDuration::from_ms(200)));
        assert_eq!("400 Gb/s".parse(), Ok(BytesPerSecond(50e9)));
    }

    #[test]
    fn says_what_is_wrong_and_shows_an_example() {
        let message = |text: &str| text.parse::<SimDuration>().map_err(|e| e.to_string());
        assert_eq!(
            message("200"),
            Err("`200` has no unit, but a duration needs one; write for example `200 ms`".into())
        );
        assert!(message("2 parsecs").is_err_and(|m| m.contains("`parsecs` is not a unit of a duration")));
        assert!(message("-3 s").is_err_and(|m| m.contains("not negative")));
        assert!(message("x ms").is_err_and(|m| m.contains("is not a number") || m.contains("is not a unit")));
    }
}
