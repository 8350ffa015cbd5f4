//! A study as files: everything but plots and page, which the report adds.

use serde::Serialize;

use super::commit::{Content, FileSet};
use super::study::{FailedRun, PointInfo, Provenance, RunResult, Study, SystemInfo};
use super::text::{cell, distinct_file_names};
use super::warning::{Warning, warnings};
use crate::metrics::record::{Cause, Fate, Rejection, RequestRecord};
use crate::metrics::work::Binding;
use crate::metrics::{ClassSummary, RequestStats, Summary, TimelineRow, column};

/// Version of the layout of `manifest.json` and `summary.json`.
pub const SCHEMA: u32 = 1;

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
    systems: &'a [SystemInfo],
    points: &'a [PointInfo],
    provenance: &'a Provenance,
    runs: usize,
    failed: &'a [FailedRun],
    warnings: Vec<Warning>,
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
    point: &'a str,
    load: Option<f64>,
    seed: u64,
    summary: &'a Summary,
}

/// All data files of `study`, by path relative to the result folder. The same study gives the same bytes.
pub fn files<'a>(study: &'a Study, options: &RunFiles) -> FileSet<'a> {
    let mut set = FileSet::default();
    let runs = study.sorted_runs();
    let manifest = Manifest {
        schema: SCHEMA,
        tool: "windtunnel",
        tool_version: &study.provenance.tool_version,
        title: &study.title,
        scenario: &study.scenario_name,
        scenario_text: &study.scenario_text,
        resolved_plan: &study.resolved_plan,
        reference: &study.reference,
        systems: &study.systems,
        points: &study.points,
        provenance: &study.provenance,
        runs: runs.len(),
        failed: &study.failed,
        warnings: warnings(study),
    };
    set.add("manifest.json", json(&manifest));
    set.add("summary.csv", summary_csv(study, &runs));
    set.add("summary.json", summary_json(study));
    set.add("classes.csv", classes_csv(study, &runs));
    set.add("ledger.csv", ledger_csv(study, &runs));
    if let Some(tokens) = study.token_timeline.as_ref().filter(|_| options.timeline) {
        set.add(&format!("timeline/{}", tokens.file()), tokens.csv());
    }
    let names: Vec<String> = runs.iter().map(|r| study.run_name(r)).collect();
    let names = distinct_file_names(names.iter().map(String::as_str));
    for (run, name) in runs.iter().zip(&names) {
        if options.timeline && !run.timeline.is_empty() {
            set.add(&format!("timeline/{name}.csv"), timeline_csv(&run.timeline));
        }
        if let Some(records) = run.requests.as_deref().filter(|_| options.requests) {
            let classes = &study.provenance.classes;
            set.insert(&format!("requests/{name}.csv"), Content::Requests { records, classes });
        }
    }
    set
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
    let mut bytes = head.trim_ascii_end().strip_suffix(b"\n}").map_or_else(Vec::new, <[u8]>::to_vec);
    bytes.extend_from_slice(b",\n  \"runs\": [");
    for (i, run) in study.sorted_runs().into_iter().enumerate() {
        bytes.extend_from_slice(if i > 0 { b",\n    " } else { b"\n    " });
        let row = RunOut {
            system: &study.systems[run.system].name,
            point: &study.points[run.point].label,
            load: study.points[run.point].load,
            seed: run.seed,
            summary: &run.summary,
        };
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

fn timeline_csv(rows: &[TimelineRow]) -> Vec<u8> {
    let mut header: Vec<String> =
        ["at_s", "waiting", "running", "kv_occupancy", "tok_per_s", "finished"].map(str::to_owned).into();
    let inside = "kv_live,kv_fragmented,kv_reserved,kv_cached,kv_free,mfu,mfu_useful,mbu,mbu_useful";
    header.extend(inside.split(',').map(str::to_owned));
    let bound = Binding::ALL.iter().map(|b| format!("bound_{}", b.name().to_lowercase().replace(' ', "_")));
    header.extend(bound);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    let cells = |r: &TimelineRow| {
        let memory = [
            r.memory.map(|m| m.live),
            r.memory.map(|m| m.fragmented),
            r.memory.map(|m| m.reserved),
            r.memory.map(|m| m.cached),
            r.memory.map(|m| m.free),
            r.raw.map(|u| u.flops),
            r.useful.map(|u| u.flops),
            r.raw.map(|u| u.bytes),
            r.useful.map(|u| u.bytes),
        ];
        let mut cells = vec![
            r.at_s.to_string(),
            r.waiting.to_string(),
            r.running.to_string(),
            r.kv_occupancy.map_or_else(String::new, |v| v.to_string()),
            r.tok_per_s.to_string(),
            r.finished.to_string(),
        ];
        cells.extend(memory.map(number));
        cells.extend(r.bound.map(|share| share.to_string()));
        cells
    };
    csv_bytes(&header, rows.iter().map(cells))
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
