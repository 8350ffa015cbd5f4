//! Quantities with their unit in the type, and the one place where text such as `"3.35 TB/s"` becomes a quantity.
//!
//! Only operators that mean something exist: two instants cannot be added, bytes divide by bytes per second.

mod parse;
mod quantity;
mod schema;
mod time;

pub use parse::UnitError;
pub use quantity::{Bytes, BytesPerSecond, FlopsPerSecond, Seconds, Watts};
pub(crate) use schema::text_schema;
pub use time::{SimDuration, SimTime};
