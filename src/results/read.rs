//! Reading `summary.json` back.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::error::ResultsError;
use super::render::SCHEMA;
use super::study::{PointInfo, SystemInfo};
use crate::metrics::Summary;

/// The content of a `summary.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SummaryFile {
    /// Version of its layout.
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// The question.
    pub title: String,
    /// Name of the reference system.
    pub reference: String,
    /// Systems.
    pub systems: Vec<SystemInfo>,
    /// Points.
    pub points: Vec<PointInfo>,
    /// One entry per run.
    pub runs: Vec<SummaryRun>,
}

/// One run of a `summary.json`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SummaryRun {
    /// Name of the system.
    pub system: String,
    /// Label of the point.
    pub point: String,
    /// Load of the point.
    pub load: Option<f64>,
    /// Seed.
    pub seed: u64,
    /// Its numbers.
    pub summary: Summary,
}

#[derive(Deserialize)]
struct Versioned {
    schema: u32,
}

/// Reads the `summary.json` at `path`; a later schema or anything else is a clear error.
pub fn read_summary(path: &Path) -> Result<SummaryFile, ResultsError> {
    let text = fs::read_to_string(path).map_err(|e| ResultsError::io("read", path, e))?;
    let malformed =
        |e: serde_json::Error| ResultsError::Malformed { path: path.to_owned(), message: e.to_string() };
    let Versioned { schema } = serde_json::from_str(&text).map_err(malformed)?;
    if schema > SCHEMA {
        return Err(ResultsError::Newer { path: path.to_owned(), found: schema, known: SCHEMA });
    }
    serde_json::from_str(&text).map_err(malformed)
}
