//! Result folders: what a study is, the files it becomes, writing them all or not at all, reading them back.

pub mod capacity;
mod capacity_files;
mod commit;
pub mod comparison;
pub mod difference;
mod error;
pub mod extracts;
mod manifest;
#[cfg(feature = "parquet")]
mod parquet;
pub mod plan;
mod plan_files;
mod read;
mod render;
mod replicas;
pub mod robustness;
mod stored_run;
pub mod study;
pub mod text;
mod timeline;
mod token_timeline;
mod warning;

pub use capacity::{CapacityCell, CapacityTable, CapacityTrial, Tie};
pub use capacity_files::{CapacityDetail, Curve, ScaledAttainment, capacity_files};
pub use commit::{CANDIDATES, Content, FileSet, Streamed, commit, redraw, refuse_foreign};
pub use comparison::{Comparison, ComparisonRow, Exclusion, MetricCell, PointComparison};
pub use difference::{Change, ChangeCell, Difference, DifferenceOptions, DifferenceRow};
pub use error::ResultsError;
#[cfg(feature = "parquet")]
pub use parquet::parquet_files;
pub use plan::{
    Chosen, Fate, Finding, Funnel, Launch, PlanDetail, PlanStage, Planned, PlannedPool, Ranked, Remembered,
};
pub use plan_files::plan_files;
pub use read::{SummaryFile, SummaryRun, read_study, read_summary};
pub use render::{RunFiles, SCHEMA, files, summary_json};
pub(crate) use render::{csv_bytes, json};
pub use robustness::{HEADLINES, Perturbation, RobustPair, Robustness, Shift, Soundness};
pub use stored_run::{read_run_line, run_line};
pub use study::{
    FailedRun, InputFile, PointInfo, Provenance, RunResult, Sensitivity, SensitivityRow, Study, SweepAxis,
    SweepInfo, SystemInfo,
};
pub use token_timeline::{GapCause, TokenRow, TokenTimeline};
pub use warning::{Warning, warnings};
