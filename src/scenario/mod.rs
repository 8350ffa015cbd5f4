//! From a scenario file to a list of runs: `Options` (what was typed) → `StudyPlan` (everything resolved, with the
//! origin of every value) → runs.

mod document;
pub mod execute;
mod kv;
pub mod load;
mod notes;
mod parts;
mod plan;
pub mod requests;
mod resolve;
pub mod schema;
mod study;
mod study_results;
pub mod watch;

pub use document::{Document, Target};
pub use plan::{Axis, RunPlan, Setting, StudyPlan, SystemPlan};
pub use study::Flags;
