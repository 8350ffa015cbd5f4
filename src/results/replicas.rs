//! `timeline/<run>-replicas.csv` and `timeline/<run>-moves.csv`: one run replica by replica, written and read.

use std::fs;
use std::io;
use std::path::Path;

use super::error::ResultsError;
use super::render::{csv_bytes, run_file_names};
use super::study::Study;
use crate::metrics::{MoveRow, ReplicaRow, ReplicaTimeline};

/// The files of one run, by path in the result folder.
pub(super) fn files_of(name: &str) -> [String; 2] {
    ["replicas", "moves"].map(|what| format!("timeline/{name}-{what}.csv"))
}

/// Names of the runs of `study.replicas`, as files have them.
pub(super) fn names(study: &Study) -> Vec<String> {
    let runs = study.sorted_runs();
    let names = run_file_names(study, &runs);
    let name = |of: &ReplicaTimeline| {
        let is_it = |r: &&super::RunResult| (r.system, r.point, r.seed) == (of.system, of.point, of.seed);
        runs.iter().position(is_it).map_or_else(String::new, |at| names[at].clone())
    };
    study.replicas.iter().map(name).collect()
}

/// Shares of the KV blocks held, a column per replica; empty where it is not up. Numbers are written in full.
pub(super) fn replicas_csv(of: &ReplicaTimeline) -> Vec<u8> {
    let header: Vec<String> = (0..of.replicas()).map(|r| format!("kv_held_{r}")).collect();
    let header: Vec<&str> = ["at_s"].into_iter().chain(header.iter().map(String::as_str)).collect();
    let share = |held: &Option<f64>| held.map_or_else(String::new, |v| v.to_string());
    let cells = |row: &ReplicaRow| {
        let mut cells = vec![row.at_s.to_string()];
        cells.extend(row.held.iter().map(share));
        cells
    };
    csv_bytes(&header, of.rows.iter().map(cells))
}

/// One line per move.
pub(super) fn moves_csv(of: &ReplicaTimeline) -> Vec<u8> {
    let header = [
        "request",
        "source",
        "destination",
        "begun_s",
        "end_s",
        "arrived",
        "source_held",
        "destination_held",
    ];
    let cells = |m: &MoveRow| {
        vec![
            m.request.to_string(),
            m.source.to_string(),
            m.destination.to_string(),
            m.begun_s.to_string(),
            m.end_s.to_string(),
            m.arrived.to_string(),
            m.source_held.to_string(),
            m.destination_held.to_string(),
        ]
    };
    csv_bytes(&header, of.moves.iter().map(cells))
}

/// What was written for the runs of `study`; nothing for runs that have no such files.
pub(super) fn read(folder: &Path, study: &Study) -> Result<Vec<ReplicaTimeline>, ResultsError> {
    let runs = study.sorted_runs();
    let names = run_file_names(study, &runs);
    let mut found = Vec::new();
    for (run, name) in runs.iter().zip(&names) {
        let [replicas, moves] = files_of(name).map(|file| folder.join(file));
        let Some(rows) = rows(&replicas)? else { continue };
        let moves = records::<MoveRow>(&moves)?.unwrap_or_default();
        found.push(ReplicaTimeline { system: run.system, point: run.point, seed: run.seed, rows, moves });
    }
    Ok(found)
}

fn rows(path: &Path) -> Result<Option<Vec<ReplicaRow>>, ResultsError> {
    let Some(records) = records::<Vec<Option<f64>>>(path)? else { return Ok(None) };
    let row = |cells: Vec<Option<f64>>| {
        let (at, held) = cells.split_first()?;
        Some(ReplicaRow { at_s: (*at)?, held: held.to_vec() })
    };
    let rows: Option<Vec<ReplicaRow>> = records.into_iter().map(row).collect();
    let malformed = || ResultsError::Malformed {
        path: path.to_owned(),
        message: "a line has no `at_s`; run the study again".to_owned(),
    };
    rows.map(Some).ok_or_else(malformed)
}

/// The lines of a file; none where there is no such file.
fn records<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<Vec<T>>, ResultsError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(ResultsError::io("read", path, e)),
    };
    let lines = csv::Reader::from_reader(bytes.as_slice()).into_deserialize().collect::<Result<_, _>>();
    lines
        .map(Some)
        .map_err(|e: csv::Error| ResultsError::Malformed { path: path.to_owned(), message: e.to_string() })
}
