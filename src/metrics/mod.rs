//! From per-request records to the numbers people quote.

pub mod record;
