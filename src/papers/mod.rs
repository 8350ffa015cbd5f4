//! Published claims, run again: a paper file is a scenario with experiments and claims (`docs/papers.md`).
//!
//! Two runs per claim: *mechanism* gives all systems one engine profile, *as published* gives each its own. Only the
//! first may be called reproduced; the quotient of the two is the share of the engines.
//!
//! **Invariant:** nothing here simulates or measures by itself: runs are those of `scenario`, numbers those of `metrics`.

mod check;
mod claim;
mod csv;
mod html;
mod json_schema;
mod judge;
mod page;
mod plan;
mod plots;
mod run;
pub mod schema;
mod tables;
mod titles;

pub use claim::{ClaimResult, Numbers};
pub use json_schema::paper as json_schema;
pub use judge::Verdict;
pub use page::files;
pub use plan::{Experiment, Mode, PaperPlan};
pub use run::{PaperResult, reproduce};
