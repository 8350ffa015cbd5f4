//! From a scenario file to a list of runs: `Options` (what was typed) → `StudyPlan` (everything resolved, with the
//! origin of every value) → runs.

mod axes;
pub mod capacity;
mod capacity_options;
pub mod capacity_study;
mod cost;
pub mod deployments;
mod disaggregated;
mod document;
pub mod execute;
mod groups;
pub mod json_schema;
mod kv;
mod layouts;
pub mod load;
mod mechanisms;
mod migration;
mod network;
mod notes;
mod parts;
mod plan;
mod plan_options;
mod raw;
pub mod requests;
mod resolve;
mod scaling;
pub mod schema;
pub mod sensitivity;
pub mod single;
pub mod slo;
pub mod spread;
mod study;
mod study_results;
mod sweep;
mod system;
pub mod topology;
pub mod trace_events;
pub mod watch;

pub use axes::{AxisChoice, choices};
pub use document::Document;
pub use plan::{Axis, GroupPlan, RunPlan, Setting, StudyPlan, SystemPlan};
pub use raw::{RawScenario, Target};
pub use study::Flags;
pub(crate) use study::dedupe;
pub use study_results::{not_modelled, weakest_grade};
