//! A study as files: everything but plots and page, which the report adds.

use serde::Serialize;

use super::capacity::CapacityTable;
use super::commit::{Content, FileSet};
use super::manifest::SloFile;
use super::replicas;
use super::robustness::{self, Robustness};
use super::study::{FailedRun, PointInfo, Provenance, RunResult, Sensitivity, Study, SweepInfo, SystemInfo};
use super::text::{cell, distinct_file_names};
use super::timeline::timeline_csv;
use super::token_timeline::TokenTimeline;
use super::warning::{Warning, warnings};
use crate::metrics::record::{Cause, Fate, Rejection, RequestRecord};
use crate::metrics::{ClassSummary, Curves, Extract, RequestStats, Summary, column};

/// Version of the layout of `manifest.json` and `summary.json`.
///
/// 2: what `report` needs to draw a study again (limits, notes, GPUs and prices, positions of runs, `distributions.json`).
pub const SCHEMA: u32 = 2;

/// Which optional files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFiles {
    /// `timeline/<run>.csv`.
    pub timeline: bool,
    /// `requests/<run>.csv`, for runs that carry their records.
    pub requests: bool,
}

impl Default for RunFiles {
    fn default() -> Self {
        RunFiles { timeline: true, requests: true }
    }
}

#[derive(Serialize)]
struct Manifest<'a> {
    schema: u32,
    tool: &'static str,
    tool_version: &'a str,
    title: &'a str,
    scenario: &'a str,
    scenario_text: &'a str,
    resolved_plan: &'a str,
    reference: &'a str,
    slo: SloFile,
    attainment_target: f64,
    systems: &'a [SystemInfo],
    sweep: Option<&'a SweepInfo>,
    points: &'a [PointInfo],
    provenance: &'a Provenance,
    runs: usize,
    failed: &'a [FailedRun],
    warnings: Vec<Warning>,
    notes: &'a [Warning],
    sensitivity: Option<&'a Sensitivity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    robustness: Option<&'a Robustness>,
    capacity: Option<&'a CapacityTable>,
}

#[derive(Serialize)]
struct SummaryHead<'a> {
    schema: u32,
    scenario: &'a str,
    title: &'a str,
    reference: &'a str,
    systems: &'a [SystemInfo],
    points: &'a [PointInfo],
}

#[derive(Serialize)]
struct RunOut<'a> {
    system: &'a str,
    system_index: usize,
    point: &'a str,
    point_index: usize,
    load: Option<f64>,
    seed: u64,
    requests_hash: &'a str,
    summary: &'a Summary,
}

#[derive(Serialize)]
struct DistributionsHead<'a> {
    schema: u32,
    token_timeline: Option<&'a TokenTimeline>,
}

#[derive(Serialize)]
struct DistributionsOut<'a> {
    system_index: usize,
    point_index: usize,
    seed: u64,
    curves: &'a Curves,
    extract: &'a Extract,
}

/// The content of `manifest.json`.
pub(super) fn manifest_json(study: &Study) -> Vec<u8> {
    json(&Manifest {
        schema: SCHEMA,
        tool: "windtunnel",
        tool_version: &study.provenance.tool_version,
        title: &study.title,
        scenario: &study.scenario_name,
        scenario_text: &study.scenario_text,
        resolved_plan: &study.resolved_plan,
        reference: &study.reference,
        slo: SloFile::of(&study.slo),
        attainment_target: study.attainment_target,
        systems: &study.systems,
        sweep: study.sweep.as_ref(),
        points: &study.points,
        provenance: &study.provenance,
        runs: study.runs.len(),
        failed: &study.failed,
        warnings: warnings(study),
        notes: &study.warnings,
        sensitivity: study.sensitivity.as_ref(),
        robustness: study.robustness.as_ref(),
        capacity: study.capacity.as_ref(),
    })
}

/// All data files of `study`, by path relative to the result folder. The same study gives the same bytes.
pub fn files<'a>(study: &'a Study, options: &RunFiles) -> FileSet<'a> {
    let mut set = FileSet::default();
    let runs = study.sorted_runs();
    set.add("manifest.json", manifest_json(study));
    set.add("summary.csv", summary_csv(study, &runs));
    set.add("summary.json", summary_json(study));
    set.add("distributions.json", distributions_json(study));
    set.add("classes.csv", classes_csv(study, &runs));
    if let Some(table) = &study.capacity {
        set.add("capacity.csv", super::capacity::csv(study, table));
    }
    if let Some(found) = &study.robustness {
        set.add("robustness.csv", robustness::csv(study, found));
    }
    set.add("ledger.csv", ledger_csv(study, &runs));
    if let Some(tokens) = study.token_timeline.as_ref().filter(|_| options.timeline) {
        set.add(&format!("timeline/{}", tokens.file()), tokens.csv());
    }
    for (of, name) in study.replicas.iter().zip(replicas::names(study)).filter(|_| options.timeline) {
        let [held, moves] = replicas::files_of(&name);
        set.add(&held, replicas::replicas_csv(of));
        set.add(&moves, replicas::moves_csv(of));
    }
    let names = run_file_names(study, &runs);
    for (run, name) in runs.iter().zip(&names) {
        if options.timeline && !run.timeline.is_empty() {
            set.add(&format!("timeline/{name}.csv"), timeline_csv(&run.timeline));
        }
        if let Some(records) = run.requests.as_ref().filter(|_| options.requests) {
            let classes = &study.provenance.classes;
            set.insert(&format!("requests/{name}.csv"), Content::Requests { records, classes });
        }
    }
    set
}

/// Names of the files of each run, without folder and ending.
pub(super) fn run_file_names(study: &Study, runs: &[&RunResult]) -> Vec<String> {
    let names: Vec<String> = runs.iter().map(|r| study.run_name(r)).collect();
    distinct_file_names(names.iter().map(String::as_str))
}

/// The content of `summary.json`: one run per line, so that a sweep stays small and two files can be compared.
pub fn summary_json(study: &Study) -> Vec<u8> {
    let head = json(&SummaryHead {
        schema: SCHEMA,
        scenario: &study.scenario_name,
        title: &study.title,
        reference: &study.reference,
        systems: &study.systems,
        points: &study.points,
    });
    let rows = study.sorted_runs().into_iter().map(|run| RunOut {
        system: &study.systems[run.system].name,
        system_index: run.system,
        point: &study.points[run.point].label,
        point_index: run.point,
        load: study.points[run.point].load,
        seed: run.seed,
        requests_hash: &run.requests_hash,
        summary: &run.summary,
    });
    with_rows(&head, "runs", rows)
}

/// The content of `distributions.json`: curves and extracts of each run and the tokens of one request, for plots.
fn distributions_json(study: &Study) -> Vec<u8> {
    let rows = study.sorted_runs().into_iter().map(|run| DistributionsOut {
        system_index: run.system,
        point_index: run.point,
        seed: run.seed,
        curves: &run.curves,
        extract: &run.extract,
    });
    let head = DistributionsHead { schema: SCHEMA, token_timeline: study.token_timeline.as_ref() };
    with_rows(&json(&head), "runs", rows)
}

/// A document with the array `name` as its last member, one row per line.
pub(super) fn with_rows<T: Serialize>(head: &[u8], name: &str, rows: impl Iterator<Item = T>) -> Vec<u8> {
    let mut bytes = head.trim_ascii_end().strip_suffix(b"\n}").map_or_else(Vec::new, <[u8]>::to_vec);
    bytes.extend_from_slice(format!(",\n  \"{name}\": [").as_bytes());
    for (i, row) in rows.enumerate() {
        bytes.extend_from_slice(if i > 0 { b",\n    " } else { b"\n    " });
        serde_json::to_writer(&mut bytes, &row).expect("our own types serialise");
    }
    bytes.extend_from_slice(b"\n  ]\n}\n");
    bytes
}

/// Pretty JSON with a final line feed. Our types have string keys only and no undefined numbers, so it cannot fail.
pub(crate) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(value).expect("our own types serialise");
    bytes.push(b'\n');
    bytes
}

/// CSV from rows of finished cells. Writing to memory cannot fail.
pub(crate) fn csv_bytes(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header).expect("memory accepts every row");
    for row in rows {
        writer.write_record(&row).expect("rows have as many cells as the header");
    }
    writer.into_inner().expect("memory needs no flush")
}

const RUN_KEYS: [&str; 7] = ["system", "bound", "point", "load", "rate_per_s", "seed", "saturation"];

/// The leading cells of a row about one run.
fn run_cells(study: &Study, run: &RunResult) -> Vec<String> {
    let (system, point) = (&study.systems[run.system], &study.points[run.point]);
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    vec![
        cell(&system.name),
        system.bound.to_string(),
        cell(&point.label),
        number(point.load),
        number(point.rate_per_s),
        run.seed.to_string(),
        run.summary.saturation.name().to_owned(),
    ]
}

fn summary_csv(study: &Study, runs: &[&RunResult]) -> Vec<u8> {
    let header: Vec<&str> = RUN_KEYS.into_iter().chain(column::all().map(|c| c.key)).collect();
    let row = |run: &&RunResult| {
        let mut cells = run_cells(study, run);
        cells.extend(run.summary.cells());
        cells
    };
    csv_bytes(&header, runs.iter().map(row))
}

fn classes_csv(study: &Study, runs: &[&RunResult]) -> Vec<u8> {
    let columns = RequestStats::COLUMNS.iter().map(|c| c.key);
    let header: Vec<&str> = RUN_KEYS.into_iter().chain(["class"]).chain(columns).collect();
    let row = |run: &RunResult, class: &ClassSummary| {
        let mut cells = run_cells(study, run);
        cells.push(cell(&class.class));
        cells.extend(class.requests.cells());
        cells
    };
    let rows = runs.iter().flat_map(|run| run.summary.classes.iter().map(move |class| row(run, class)));
    csv_bytes(&header, rows)
}

fn ledger_csv(study: &Study, runs: &[&RunResult]) -> Vec<u8> {
    let causes: Vec<String> =
        Cause::ALL.iter().map(|c| format!("{}_s", c.name().replace('-', "_"))).collect();
    let header: Vec<&str> =
        RUN_KEYS.into_iter().chain(["group", "requests"]).chain(causes.iter().map(String::as_str)).collect();
    let rows = runs.iter().flat_map(|run| {
        run.summary.ledger.iter().map(move |row| {
            let mut cells = run_cells(study, run);
            cells.push(row.group.name().to_owned());
            cells.push(row.requests.to_string());
            cells.extend(row.seconds.iter().map(f64::to_string));
            cells
        })
    });
    csv_bytes(&header, rows)
}

/// Header of `requests/<run>.csv`: exact instants and durations, in picoseconds.
pub(super) fn request_header() -> Vec<String> {
    let fixed = "id,class,replica,fate,prompt_tokens,output_tokens,arrival_ps,queued_ps,scheduled_ps,\
                 first_token_ps,finish_ps,gap_max_ps,preemptions,recomputed_tokens,cached_tokens,tokens_on_time,alone_ps";
    let causes = Cause::ALL.iter().map(|c| format!("{}_ps", c.name().replace('-', "_")));
    fixed.split(',').map(str::to_owned).chain(causes).collect()
}

/// One row of `requests/<run>.csv`.
pub(super) fn request_cells(r: &RequestRecord, classes: &[String]) -> Vec<String> {
    let fate = match r.fate {
        Fate::Finished => "finished",
        Fate::Rejected(Rejection::TooLong) => "rejected-too-long",
        Fate::Rejected(Rejection::Overloaded) => "rejected-overloaded",
        Fate::TimedOut => "timed-out",
        Fate::Unfinished => "unfinished",
    };
    let mut cells = vec![
        r.id.0.to_string(),
        classes.get(r.class.index()).map_or_else(|| r.class.0.to_string(), |name| cell(name)),
        r.replica.0.to_string(),
        fate.to_owned(),
        r.prompt.to_string(),
        r.output.to_string(),
    ];
    let instants = [r.arrival, r.queued, r.scheduled, r.first_token, r.finish];
    cells.extend(instants.iter().map(|t| t.as_ps().to_string()));
    cells.push(r.gap_max.as_ps().to_string());
    cells.extend([r.preemptions, r.recomputed, r.cached, r.on_time].iter().map(u32::to_string));
    cells.push(r.alone.as_ps().to_string());
    cells.extend(Cause::ALL.iter().map(|&c| r.ledger.get(c).as_ps().to_string()));
    cells
}
