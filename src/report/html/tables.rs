//! The comparison per load and per class.

use maud::{Markup, html};

use crate::metrics::{Better, RequestStats, Saturation, column};
use crate::report::plot::colour_of;
use crate::report::{columns, format, robustness, table};
use crate::results::comparison::class_value;
use crate::results::{Comparison, ComparisonRow, PointComparison, Study};

/// A column: key, heading, small heading, whether the ratio stands first.
struct Shown {
    key: &'static str,
    heading: &'static str,
    detail: &'static str,
    ratio: bool,
}

const fn shown(key: &'static str, heading: &'static str, detail: &'static str, ratio: bool) -> Shown {
    Shown { key, heading, detail, ratio }
}

const COLUMNS: [Shown; 13] = [
    shown("ttft_p50_s", "TTFT p50", "client", false),
    shown("ttft_p99_s", "TTFT p99", "client", true),
    shown("tpot_p50_s", "TPOT p50", "mean below", false),
    shown("gap_p99_s", "gap p99", "pooled", true),
    shown("e2e_p99_s", "E2E p99", "", true),
    shown("attainment", "in SLO", "of arrived", false),
    shown("goodput_per_s", "goodput", "req/s", true),
    shown("goodput_per_gpu_per_s", "goodput/GPU", "req/s", true),
    shown("replicas_mean", "replicas", "mean", false),
    shown("throughput_output_tok_per_s", "output", "tok/s", false),
    shown("run_preemptions", "preempted", "per run", false),
    shown("provisioned_j_per_token", "J/token", "with idle time", false),
    shown("usd_per_mtok", "$/Mtok", "answers", false),
];

/// One table per point, systems relative to the reference.
pub(super) fn by_point(study: &Study, comparison: &Comparison) -> Markup {
    html! {
        h2 { "Comparison at each load" }
        // Filled by the script; without one the tables are as they are.
        section #tools.tools hidden {}
        p.note {
            "First line of a cell: ratio to " (comparison.reference) " (1.00) or the value; latencies below 1 and \
             goodput above 1 are better. Green and red: the 95 % interval excludes 1. Bounds are in \
             italics: ideal serves every request alone, clairvoyant knows every answer's length."
        }
        @for point in &comparison.points {
            details.pt open[point.point == comparison.headline_point] {
                summary { (point.name()) }
                div.scroll { (point_table(study, point)) }
            }
        }
    }
}

/// Those that say something about this study.
fn shown_columns(study: &Study) -> Vec<&'static Shown> {
    COLUMNS.iter().filter(|c| columns::says_something(c.key, study)).collect()
}

fn point_table(study: &Study, point: &PointComparison) -> Markup {
    let columns = shown_columns(study);
    let inks = inks(study);
    html! {
        table data-systems {
            thead { tr {
                th scope="col" { "system" }
                @for c in &columns { th scope="col" { (c.heading) small { (c.detail) } } }
                th.l scope="col" { "SLO" small { "queue" } }
            } }
            tbody {
                @for row in &point.rows {
                    tr.bound[row.bound] data-system=(row.system) data-name=(row.name) data-ink=(inks[row.system]) {
                        th scope="row" { (row.name) @for tag in tags(study, row) { small { (tag) } } }
                        @for c in &columns { (cell(row, c)) }
                        td.l.wrap {
                            (table::slo_text(study, row))
                            small.b[row.saturation != Saturation::Stable] { (row.saturation.name()) }
                        }
                    }
                }
            }
        }
    }
}

/// The colour of every system in the charts, where no other system has it; else empty.
fn inks(study: &Study) -> Vec<String> {
    let inks: Vec<usize> = (0..study.systems.len()).map(|s| colour_of(study, s)).collect();
    let alone = |ink: &usize| inks.iter().filter(|other| *other == ink).count() == 1;
    inks.iter().map(|ink| if alone(ink) { ink.to_string() } else { String::new() }).collect()
}

/// What a reader must know of a row: its role, and hardware that was never measured.
fn tags(study: &Study, row: &ComparisonRow) -> Vec<&'static str> {
    let role = match (row.reference, row.bound, row.oracle) {
        (true, _, _) => Some("reference"),
        (_, true, _) => Some("bound"),
        (_, _, true) => Some("oracle"),
        _ => None,
    };
    role.into_iter().chain(study.systems[row.system].is_derived().then_some("[derived]")).collect()
}

fn cell(row: &ComparisonRow, shown: &Shown) -> Markup {
    let absolute = format::or_dash(row.value(shown.key), |v| format::in_unit(shown.key, v.mean));
    let ratio = row.ratio(shown.key).filter(|_| shown.ratio);
    let (good, bad) = verdict(row, shown.key);
    html! {
        td data-v=(row.value(shown.key).map_or_else(String::new, |v| v.mean.to_string())) {
            @match ratio {
                Some(_) if row.reference => { "1.00" small { (absolute) } }
                Some(ratio) => { span.good[good].bad[bad] { (format::ratio(ratio)) } small { (absolute) } }
                None => {
                    (absolute)
                    @if shown.key == "tpot_p50_s" { small { (mean_tpot(row)) } }
                }
            }
        }
    }
}

fn mean_tpot(row: &ComparisonRow) -> String {
    format::or_dash(row.value("tpot_mean_s"), |v| format::in_unit("tpot_mean_s", v.mean))
}

/// Whether the interval says better, and whether it says worse.
fn verdict(row: &ComparisonRow, key: &str) -> (bool, bool) {
    let Some(ratio) = row.ratio(key).filter(|r| !row.reference && !row.bound && r.differs_from(1.0)) else {
        return (false, false);
    };
    let better = column::find(key).map_or(Better::Neither, |c| c.better);
    let good = (better == Better::Higher) == (ratio.mean > 1.0);
    (good, !good)
}

/// A column of the class table: heading, key that fixes the unit, value.
type ClassColumn = (&'static str, &'static str, fn(&RequestStats) -> Option<f64>);

const CLASS_COLUMNS: [ClassColumn; 8] = [
    ("requests", "arrived", |s| Some(s.arrived as f64)),
    ("TTFT p50", "ttft_p50_s", |s| s.ttft_p50_s),
    ("TTFT p99", "ttft_p99_s", |s| s.ttft_p99_s),
    ("TPOT p50", "tpot_p50_s", |s| s.tpot_p50_s),
    ("normalised p50", "normalised_p50_s_per_token", |s| s.normalised_p50_s_per_token),
    ("E2E p99", "e2e_p99_s", |s| s.e2e_p99_s),
    ("in SLO", "attainment", |s| s.attainment),
    ("preemptions", "preemptions", |s| Some(s.preemptions as f64)),
];

/// Most classes on the page.
const CLASSES_MAX: usize = 12;

/// One table of all classes at the headline point.
pub(super) fn by_class(study: &Study, comparison: &Comparison) -> Markup {
    let Some(point) = comparison.headline() else { return html! {} };
    let mut classes: Vec<&str> = Vec::new();
    for class in study.runs.iter().filter(|r| r.point == point.point).flat_map(|r| &r.summary.classes) {
        if !classes.contains(&class.class.as_str()) {
            classes.push(&class.class);
        }
    }
    let more = classes.len().saturating_sub(CLASSES_MAX);
    classes.truncate(CLASSES_MAX);
    if classes.is_empty() {
        return html! {};
    }
    html! {
        h2 { "By class, at " (point.name()) }
        p.note { "Means over seeds. Classes with many short answers dominate the overall TPOT and normalised latency." }
        @if more > 0 { p.note { (more) " more classes are in classes.csv." } }
        div.scroll { table {
            thead { tr {
                th scope="col" { "class" }
                th.l scope="col" { "system" }
                @for (heading, _, _) in &CLASS_COLUMNS { th scope="col" { (heading) } }
            } }
            tbody {
                @for class in &classes {
                    @for (i, row) in point.rows.iter().enumerate() {
                        tr.bound[row.bound].first[i == 0] {
                            th scope="row" { @if i == 0 { (class) } }
                            td.l { (row.name) }
                            @for (_, key, value) in &CLASS_COLUMNS {
                                td { (class_cell(study, point, row, class, key, *value)) }
                            }
                        }
                    }
                }
            }
        } }
    }
}

fn class_cell(
    study: &Study,
    point: &PointComparison,
    row: &ComparisonRow,
    class: &str,
    key: &str,
    value: fn(&RequestStats) -> Option<f64>,
) -> String {
    let estimate = class_value(study, point.point, row.system, class, value);
    format::or_dash(estimate, |v| format::in_unit(key, v.mean))
}

/// The headline's ratios before and after each perturbation; nothing where they were not compared again.
pub(super) fn robustness(study: &Study) -> Markup {
    let (header, rows) = robustness::table(study);
    html! {
        @if !rows.is_empty() {
            h2 { "Does the headline hang on what should not matter?" }
            p.note {
                "The ratios of the headline point again, with the same seeds and one thing changed at a time. ! moves by 3 % or more and \
                 the seeds agree; ~ moves as much, but no more than the seeds differ. All intervals: robustness.csv."
            }
            div.scroll { table {
                thead { tr { @for (i, heading) in header.iter().enumerate() { th.l[i == 1] scope="col" { (heading) } } } }
                tbody {
                    @for cells in &rows {
                        tr {
                            th scope="row" { (cells[0]) }
                            @for (i, cell) in cells[1..].iter().enumerate() { td.l[i == 0] { (cell) } }
                        }
                    }
                }
            } }
            dl.kv { @for (name, what) in robustness::legend(study) { dt { (name) } dd { (what) } } }
        }
    }
}
