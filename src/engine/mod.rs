//! One replica: request state machine, population, pipeline; applies a `StepPlan` and advances time.

pub mod config;
pub mod view;
