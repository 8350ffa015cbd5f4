//! Replicas behind a front end and a router; the entry points `simulate`, `simulate_deployment` and `simulate_with`.

mod alone;
mod api;
mod audit;
mod dispatch;
mod doorway;
mod early;
mod fetch;
mod fleet;
mod front_end;
mod hand_over;
mod ideal;
mod joint;
mod links;
mod migration;
mod mixed;
mod outcome;
mod run;
mod sample;
mod simulate;
mod turns;
mod watch;
mod wires;

pub use crate::engine::{Change, Moved, StageSpan, Stay, StepEvent, StepObserver, Transferred, Violation};
pub use crate::metrics::record::Outcome;
pub use api::{Changes, Deployment, Group, Joint, RunOptions};
pub use simulate::{simulate, simulate_deployment, simulate_with};
