//! Replicas behind a front end and a router; the entry point `simulate`.

mod api;

pub use api::{Outcome, RunOptions, StepEvent, StepObserver, Violation};
