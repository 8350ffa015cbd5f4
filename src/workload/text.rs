//! Small pieces of the scenario text: durations as text both ways, and checks of plain numbers.

use crate::diagnostic::InputError;

/// `"3 s"` to and from a duration.
pub(super) mod duration {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::units::SimDuration;

    pub fn serialize<S: Serializer>(d: &SimDuration, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{} ps", d.as_ps()))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SimDuration, D::Error> {
        SimDuration::deserialize(d)
    }

    /// The same for a key that may be missing.
    pub mod option {
        use super::*;

        pub fn serialize<S: Serializer>(d: &Option<SimDuration>, s: S) -> Result<S::Ok, S::Error> {
            match d {
                Some(d) => super::serialize(d, s),
                None => s.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<SimDuration>, D::Error> {
            SimDuration::deserialize(d).map(Some)
        }
    }
}

/// A number that must be finite and above zero.
pub(super) fn positive(key: &str, value: f64) -> Result<(), InputError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(InputError::named(
        key,
        format!("must be finite and above zero, got `{value}`"),
        "write a positive number",
    ))
}
