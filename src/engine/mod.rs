//! One replica: request state machine, population, pipeline; applies a `StepPlan` and advances time.

mod apply;
mod audit;
mod bound;
mod cancel;
mod clock;
mod cohort;
mod complete;
pub mod config;
mod contract;
mod count;
mod deadlines;
mod event;
mod failure;
mod flight;
mod gaps;
mod handover;
mod late_stop;
mod launch;
mod live;
mod load;
mod membership;
mod moves;
mod order;
mod replica;
mod request;
mod sample;
pub mod view;
mod world;

pub use crate::policy::router::Load;
pub use event::{StepEvent, StepObserver, Violation};
pub(crate) use flight::line_sum;
pub(crate) use load::last_multiple;
pub(crate) use replica::{Planned, Replica};
pub(crate) use request::Phase;
pub(crate) use world::World;
