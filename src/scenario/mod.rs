//! From a scenario file to a list of runs: `Options` (what was typed) → `StudyPlan` (everything resolved, with the
//! origin of every value) → runs.

mod document;
mod kv;
mod plan;
mod resolve;
pub mod schema;

pub use document::{Document, Target};
pub use plan::{Axis, RunPlan, Setting, StudyPlan, SystemPlan};
