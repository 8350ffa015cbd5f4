//! Anything that yields requests in time order: real traces, generators, transforms.

mod trace;

pub use trace::{Closed, PrefixChains, Request, Trace};
