//! Replicas behind a front end and a router; the entry point `simulate`.

mod api;
mod audit;
mod dispatch;
mod front_end;
mod ideal;
mod run;
mod sample;

pub use api::{Outcome, RunOptions, StepEvent, StepObserver, Violation};
pub use run::simulate;
