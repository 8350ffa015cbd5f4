//! Reading result folders back.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ResultsError;
use super::manifest::ManifestFile;
use super::render::{SCHEMA, run_file_names};
use super::study::{PointInfo, RunResult, Study, SystemInfo};
use super::timeline::TimelineLine;
use super::token_timeline::TokenTimeline;
use crate::metrics::{Curves, Extract, Summary, TimelineRow};

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
    read_json(path, 1)
}

/// A file of one of our layouts, from version `oldest` to the present.
fn read_json<T: DeserializeOwned>(path: &Path, oldest: u32) -> Result<T, ResultsError> {
    let text = fs::read_to_string(path).map_err(|e| ResultsError::io("read", path, e))?;
    let malformed =
        |e: serde_json::Error| ResultsError::Malformed { path: path.to_owned(), message: e.to_string() };
    let Versioned { schema } = serde_json::from_str(&text).map_err(malformed)?;
    if schema > SCHEMA {
        return Err(ResultsError::Newer { path: path.to_owned(), found: schema, known: SCHEMA });
    }
    if schema < oldest {
        return Err(ResultsError::Older { path: path.to_owned(), found: schema, needed: oldest });
    }
    serde_json::from_str(&text).map_err(malformed)
}

/// The first layout that holds everything a report shows.
const REPORTABLE: u32 = 2;

#[derive(Deserialize)]
struct SummaryRuns {
    runs: Vec<SummaryPart>,
}

#[derive(Deserialize)]
struct SummaryPart {
    system_index: usize,
    point_index: usize,
    seed: u64,
    #[serde(default)]
    requests_hash: String,
    summary: Summary,
}

#[derive(Deserialize)]
struct Distributions {
    #[serde(default)]
    token_timeline: Option<TokenTimeline>,
    runs: Vec<DistributionsPart>,
}

#[derive(Deserialize)]
struct DistributionsPart {
    system_index: usize,
    point_index: usize,
    seed: u64,
    curves: Curves,
    extract: Extract,
}

/// Reads a study back from its result folder: all that a report shows, and no request records.
///
/// The report of what is read is the report that was written, byte for byte.
pub fn read_study(folder: &Path) -> Result<Study, ResultsError> {
    let manifest: ManifestFile = read_json(&folder.join("manifest.json"), REPORTABLE)?;
    let summaries: SummaryRuns = read_json(&folder.join("summary.json"), REPORTABLE)?;
    let path = folder.join("distributions.json");
    let distributions: Distributions = read_json(&path, REPORTABLE)?;
    let (n_systems, n_points) = (manifest.systems.len(), manifest.points.len());
    let mut runs = Vec::new();
    let mut others = distributions.runs.into_iter();
    for part in summaries.runs {
        let known = part.system_index < n_systems && part.point_index < n_points;
        let same = |d: &DistributionsPart| {
            (d.system_index, d.point_index, d.seed) == (part.system_index, part.point_index, part.seed)
        };
        let Some(other) = others.next().filter(|d| known && same(d)) else {
            let message = "its runs are not those of summary.json".to_owned();
            return Err(ResultsError::Malformed { path, message });
        };
        runs.push(RunResult {
            system: part.system_index,
            point: part.point_index,
            seed: part.seed,
            requests_hash: part.requests_hash,
            summary: part.summary,
            curves: other.curves,
            extract: other.extract,
            timeline: Vec::new(),
            requests: None,
        });
    }
    let mut study = Study {
        title: manifest.title,
        scenario_name: manifest.scenario,
        scenario_text: manifest.scenario_text,
        resolved_plan: manifest.resolved_plan,
        reference: manifest.reference,
        slo: manifest.slo.slo(),
        attainment_target: manifest.attainment_target,
        systems: manifest.systems,
        sweep: manifest.sweep,
        points: manifest.points,
        runs,
        token_timeline: distributions.token_timeline,
        replicas: Vec::new(),
        failed: manifest.failed,
        warnings: manifest.notes,
        sensitivity: manifest.sensitivity,
        robustness: manifest.robustness,
        capacity: manifest.capacity,
        provenance: manifest.provenance,
    };
    let names = run_file_names(&study, &study.sorted_runs());
    let timelines = names.iter().map(|name| read_timeline(&folder.join(format!("timeline/{name}.csv"))));
    let timelines = timelines.collect::<Result<Vec<_>, _>>()?;
    // Files hold the runs in this order.
    for (run, timeline) in study.runs.iter_mut().zip(timelines) {
        run.timeline = timeline;
    }
    study.replicas = super::replicas::read(folder, &study)?;
    Ok(study)
}

/// A timeline; empty where the run has none.
fn read_timeline(path: &Path) -> Result<Vec<TimelineRow>, ResultsError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(ResultsError::io("read", path, e)),
    };
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let rows = reader.deserialize().map(|line| line.map(TimelineLine::row));
    let rows = rows.collect::<Result<Vec<TimelineRow>, csv::Error>>();
    rows.map_err(|e| ResultsError::Malformed { path: path.to_owned(), message: e.to_string() })
}
