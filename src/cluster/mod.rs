//! Replicas behind a front end and a router; the entry points `simulate` and `simulate_with`.

mod api;
mod audit;
mod dispatch;
mod front_end;
mod ideal;
mod run;
mod sample;

pub use crate::engine::{StepEvent, StepObserver, Violation};
pub use crate::metrics::record::Outcome;
pub use api::RunOptions;
pub use run::{simulate, simulate_with};
