//! Decisions: one file and one registry line per mechanism. A policy decides and never acts.

pub mod freeness;
pub mod order;
pub mod router;
pub mod scaling;
pub mod scheduler;
