//! Result folders: what a study is, the files it becomes, writing them all or not at all, reading them back.

pub mod capacity;
mod commit;
pub mod comparison;
mod error;
pub mod extracts;
mod manifest;
mod read;
mod render;
pub mod study;
pub mod text;
mod timeline;
mod token_timeline;
mod warning;

pub use capacity::{CapacityCell, CapacityTable};
pub use commit::{Content, FileSet, commit, redraw};
pub use comparison::{Comparison, ComparisonRow, Exclusion, PointComparison};
pub use error::ResultsError;
pub use read::{SummaryFile, SummaryRun, read_study, read_summary};
pub use render::{RunFiles, SCHEMA, files, summary_json};
pub(crate) use render::{csv_bytes, json};
pub use study::{
    FailedRun, InputFile, PointInfo, Provenance, RunResult, Sensitivity, SensitivityRow, Study, SweepAxis,
    SweepInfo, SystemInfo,
};
pub use token_timeline::{GapCause, TokenRow, TokenTimeline};
pub use warning::{Warning, warnings};
