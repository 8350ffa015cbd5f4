//! The comparison on a terminal.

use super::{columns, format, headline, robustness};
use crate::metrics::column;
use crate::metrics::resample::BLOCKS;
use crate::metrics::slo::Limit;
use crate::metrics::{Estimate, Saturation};
use crate::results::{Comparison, ComparisonRow, PointComparison, Study, Warning, warnings};
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, presets};

pub use super::export::{csv, json};

/// How the table is printed; the caller knows the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// Columns of the terminal.
    pub width: u16,
    /// Whether colours and bold are used.
    pub colour: bool,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions { width: 120, colour: false }
    }
}

/// A column of the comparison: key, heading, and its rank when the terminal is narrow (0 stays longest).
struct Shown {
    key: &'static str,
    heading: &'static str,
    keep: u8,
    ratio: bool,
}

const fn shown(key: &'static str, heading: &'static str, keep: u8, ratio: bool) -> Shown {
    Shown { key, heading, keep, ratio }
}

const COLUMNS: [Shown; 14] = [
    shown("ttft_p50_s", "TTFT p50", 3, false),
    shown("ttft_p99_s", "TTFT p99", 0, true),
    shown("tpot_p50_s", "TPOT p50", 2, false),
    shown("tpot_mean_s", "TPOT mean", 6, false),
    shown("gap_p99_s", "gap p99", 1, true),
    shown("e2e_p99_s", "E2E p99", 2, true),
    shown("attainment", "in SLO", 0, false),
    shown("goodput_per_s", "goodput", 0, true),
    shown("goodput_per_gpu_per_s", "goodput/GPU", 1, true),
    shown("replicas_mean", "replicas", 1, false),
    shown("throughput_output_tok_per_s", "tok/s", 4, false),
    shown("run_preemptions", "preempt.", 5, false),
    shown("provisioned_j_per_token", "J/token", 4, false),
    shown("usd_per_mtok", "$/Mtok", 6, false),
];

/// The whole answer as text: one block per point, legend, warnings. Ends with a line feed.
pub fn render(study: &Study, comparison: &Comparison, options: &TableOptions) -> String {
    let mut out = format!("{}\n", clean(&study.title));
    if let Some(slo) = slo_sentence(study) {
        push_wrapped(&mut out, &slo, "", options.width);
    }
    let mut hidden = Hidden::default();
    for point in &comparison.points {
        out.push_str(&format!("\n{}\n", clean(&point.name())));
        let (table, left_out) = point_table(study, point, options);
        out.push_str(&table);
        hidden = hidden.max(left_out);
        out.push('\n');
    }
    if let Some(point) = comparison.headline() {
        out.push_str(&format!(
            "\nAt {}, the best design compared with {}:\n",
            clean(&point.name()),
            clean(&comparison.reference)
        ));
    }
    for finding in headline::findings(comparison) {
        let behind = robustness::behind(study, &finding);
        let text = format!("{}: {} – {}{behind}", finding.objective, finding.winner, finding.detail);
        push_wrapped(&mut out, &text, "  ", options.width);
    }
    if let Some(text) = headline::left_out(comparison) {
        push_wrapped(&mut out, &clean(&text), "  ", options.width);
    }
    for line in robustness::lines(study) {
        push_wrapped(&mut out, &line, "  ", options.width);
    }
    out.push_str(&robustness_table(study));
    out.push('\n');
    push_wrapped(&mut out, &legend(study, comparison), "", options.width);
    if hidden.0 > 0 {
        let text = format!("Not shown for want of width: {}; widen the terminal, or --format csv.", hidden.1);
        push_wrapped(&mut out, &text, "", options.width);
    }
    out
}

/// The headline's ratios before and after each perturbation; empty where they were not compared again.
fn robustness_table(study: &Study) -> String {
    let (header, rows) = robustness::table(study);
    if rows.is_empty() {
        return String::new();
    }
    let mut table = plain_table();
    table.set_header(header);
    for mut row in rows {
        row[0] = format::shorten(&clean(&row[0]), NAME_WIDTH);
        table.add_row(row);
    }
    format!("\n{table}\n")
}

/// A table without lines but that below its header.
fn plain_table() -> Table {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table
        .load_style(presets::NOTHING.header_separator(rule))
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The limits in words: what "met" means.
pub(in crate::report) fn slo_sentence(study: &Study) -> Option<String> {
    if study.slo.is_empty() {
        return None;
    }
    let of = |limit: Limit| Some((limit, study.slo.get(limit)?));
    let each: Vec<String> = Limit::PER_REQUEST
        .into_iter()
        .filter_map(of)
        .map(|(limit, value)| format!("{} ≤ {}", limit.name(), format::limit(value.as_secs_f64())))
        .collect();
    let share = 100.0 * study.attainment_target;
    let joint = if study.slo.joint && each.len() > 1 { ", together," } else { "" };
    let requests = format!("{}{joint} for {share:.0} % of the requests", each.join(" and "));
    let name = |limit: Limit| match limit {
        Limit::GapP99 => "P99 of all gaps",
        Limit::TtftP99Worst => "P99 TTFT of the worst 10 minutes of every seed",
        other => other.name(),
    };
    let of_runs = Limit::PER_RUN.into_iter().filter_map(of);
    let of_runs =
        of_runs.map(|(limit, value)| format!("{} ≤ {}", name(limit), format::limit(value.as_secs_f64())));
    let parts: Vec<String> = (!each.is_empty()).then_some(requests).into_iter().chain(of_runs).collect();
    Some(format!("SLO: {}.", parts.join("; ")))
}

/// Adds `text`, broken to the width of the terminal; later lines are indented twice.
fn push_wrapped(out: &mut String, text: &str, indent: &str, width: u16) {
    let room = usize::from(width).saturating_sub(2 * indent.len()).max(40);
    for (i, line) in format::wrap(&clean(text), room).iter().enumerate() {
        let more = if i > 0 { indent } else { "" };
        out.push_str(&format!("{indent}{more}{}\n", line.replace('\u{a0}', " ")));
    }
}

/// Warnings with advice, one per line; for stderr. Empty when there is none.
pub fn render_warnings(study: &Study) -> String {
    warnings(study)
        .iter()
        .map(|w: &Warning| format!("warning: {}\n  help: {}\n", clean(&w.message()), clean(w.advice())))
        .collect()
}

/// User text without control characters: no escape sequence reaches the terminal.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !Paint::ALL.iter().any(|p| p.mark() == *c)).collect()
}

/// How a cell is set apart. The table crate only counts widths: marks of width zero stand for escape sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Paint {
    End,
    Bold,
    Grey,
    Green,
    Red,
    Yellow,
}

impl Paint {
    const ALL: [Paint; 6] = [Paint::End, Paint::Bold, Paint::Grey, Paint::Green, Paint::Red, Paint::Yellow];

    fn mark(self) -> char {
        ['\u{2060}', '\u{2061}', '\u{2062}', '\u{2063}', '\u{2064}', '\u{200b}'][self as usize]
    }

    fn escape(self) -> &'static str {
        ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[90m", "\u{1b}[32m", "\u{1b}[31m", "\u{1b}[33m"][self as usize]
    }
}

fn painted(text: &str, paint: Option<Paint>, colour: bool) -> String {
    match paint {
        Some(paint) if colour => format!("{}{text}{}", paint.mark(), Paint::End.mark()),
        _ => text.to_owned(),
    }
}

pub(super) fn legend(study: &Study, comparison: &Comparison) -> String {
    let seeds = study.seed_count();
    let interval = match seeds {
        1 => format!("; ± 95 % interval by drawing {BLOCKS} blocks of them again"),
        _ => format!(", ± 95 % interval over {seeds} seeds"),
    };
    format!(
        "How to read it: the ratio in front of TTFT p99, gap p99, E2E p99 and goodput is to {} at the same \
         load (same requests at every seed{interval}); latencies below 1.00 and goodput above 1.00 are better. \
         TTFT at the client; gap: between tokens, all requests pooled; in SLO: share of all that arrived; \
         bounds are no designs: `ideal` serves every request alone, `clairvoyant` knows every answer's length.",
        clean(&comparison.reference)
    )
}

/// How many columns, and their headings.
type Hidden = (usize, String);

/// The table of a point, and the columns for which the terminal is too narrow.
fn point_table(study: &Study, point: &PointComparison, options: &TableOptions) -> (String, Hidden) {
    // Drop columns of least interest until the table fits: wrapped cells cannot be compared. What fails the SLO stays.
    let all: Vec<&Shown> = COLUMNS.iter().filter(|c| columns::says_something(c.key, study)).collect();
    let make = |(keep, room): (u8, Room), colour: bool| {
        let columns: Vec<&Shown> = all.iter().copied().filter(|c| c.keep <= keep).collect();
        build(study, point, &Form { columns, room, colour })
    };
    let wide = [6, 5, 4, 3, 2, 1].map(|keep| (keep, Room::Wide));
    let levels = wide.into_iter().chain([(1, Room::Tight), (0, Room::Tight), (0, Room::Tightest)]);
    let width = |table: &str| table.lines().map(|l| l.chars().count()).max().unwrap_or(0);
    let fits = |level: &(u8, Room)| width(&make(*level, false).to_string()) <= usize::from(options.width);
    let level = levels.into_iter().find(fits).unwrap_or((0, Room::Tightest));
    let text = make(level, options.colour).to_string();
    let text = Paint::ALL.iter().fold(text, |text, paint| text.replace(paint.mark(), paint.escape()));
    let hidden: Vec<&str> = all.iter().filter(|c| c.keep > level.0).map(|c| c.heading).collect();
    (text, (hidden.len(), hidden.join(", ")))
}

/// The table of a point without a terminal: its headings, and the cells of each system.
pub(super) fn text_cells(study: &Study, point: &PointComparison) -> (Vec<String>, Vec<Vec<String>>) {
    let columns: Vec<&Shown> = COLUMNS.iter().filter(|c| columns::says_something(c.key, study)).collect();
    let headings = columns.iter().map(|c| c.heading).chain(["SLO", "queue"]);
    let header = ["system"].into_iter().chain(headings).map(str::to_owned).collect();
    let form = Form { columns: columns.clone(), room: Room::Wide, colour: false };
    let text = |row: &ComparisonRow| cells(study, row, &form).iter().map(Cell::content).collect();
    (header, point.rows.iter().map(text).collect())
}

/// How much a terminal has room for, besides columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// Everything.
    Wide,
    /// No ratio of goodput, and only the names of missed limits.
    Tight,
    /// No intervals either.
    Tightest,
}

/// What a table shows.
struct Form<'a> {
    columns: Vec<&'a Shown>,
    room: Room,
    colour: bool,
}

fn build(study: &Study, point: &PointComparison, form: &Form<'_>) -> Table {
    let mut table = plain_table();
    let bold = |text: &str| Cell::new(painted(text, Some(Paint::Bold), form.colour));
    let mut header = vec![bold("system")];
    header.extend(form.columns.iter().map(|c| bold(c.heading).set_alignment(CellAlignment::Right)));
    header.push(bold(if form.room == Room::Wide { "SLO" } else { "misses" }));
    header.push(bold("queue"));
    table.set_header(header);
    for row in &point.rows {
        table.add_row(cells(study, row, form));
    }
    table
}

fn cells(study: &Study, row: &ComparisonRow, form: &Form<'_>) -> Vec<Cell> {
    let grey = row.bound.then_some(Paint::Grey);
    let mut cells = vec![Cell::new(painted(&system_name(row), grey, form.colour))];
    for column in &form.columns {
        let colour = grey.or_else(|| verdict(row, column.key));
        let text = painted(&value(row, column, form.room), colour, form.colour);
        cells.push(Cell::new(text).set_alignment(CellAlignment::Right));
    }
    let slo = if form.room == Room::Wide { slo_text(study, row) } else { missed_text(study, row) };
    cells.push(Cell::new(painted(&slo, grey, form.colour)));
    let unsteady = (row.saturation != Saturation::Stable).then_some(Paint::Yellow);
    cells.push(Cell::new(painted(row.saturation.name(), unsteady, form.colour)));
    cells
}

/// Longest system name in a table.
const NAME_WIDTH: usize = 32;

fn system_name(row: &ComparisonRow) -> String {
    let name = format::shorten(&clean(&row.name), NAME_WIDTH);
    match (row.reference, row.bound, row.oracle) {
        (true, _, _) => format!("{name} (reference)"),
        (_, true, _) => format!("{name} (bound)"),
        (_, _, true) => format!("{name} (oracle)"),
        _ => name,
    }
}

/// Which limits were missed, or that all were met.
pub(super) fn slo_text(study: &Study, row: &ComparisonRow) -> String {
    if study.slo.is_empty() {
        return "–".to_owned();
    }
    if row.slo_met {
        return "met".to_owned();
    }
    if row.slo_missed.is_empty() {
        return "no: together".to_owned();
    }
    let names: Vec<&str> = row.slo_missed.iter().map(|l| l.name()).collect();
    format!("no: {}", names.join(", "))
}

/// Names of the missed limits as short as they can be; empty when all are met.
fn missed_text(study: &Study, row: &ComparisonRow) -> String {
    if study.slo.is_empty() || row.slo_met {
        return String::new();
    }
    let short = |limit: &Limit| match limit {
        Limit::GapMax => "max gap",
        Limit::GapP99 => "gap",
        other => other.name(),
    };
    let names: Vec<&str> = row.slo_missed.iter().map(short).collect();
    if names.is_empty() { "together".to_owned() } else { names.join(", ") }
}

/// Green where the interval says better than the reference, red where it says worse.
fn verdict(row: &ComparisonRow, key: &str) -> Option<Paint> {
    let ratio = row.ratio(key).filter(|r| !row.reference && r.differs_from(1.0))?;
    match column::find(key)?.better {
        column::Better::Lower => Some(if ratio.mean < 1.0 { Paint::Green } else { Paint::Red }),
        column::Better::Higher => Some(if ratio.mean > 1.0 { Paint::Green } else { Paint::Red }),
        column::Better::Neither => None,
    }
}

fn value(row: &ComparisonRow, column: &Shown, room: Room) -> String {
    let absolute = format::or_dash(row.value(column.key), |v| format::in_unit(column.key, v.mean));
    let dropped = room != Room::Wide && column.key.starts_with("goodput");
    match row.ratio(column.key).filter(|_| column.ratio && !dropped) {
        Some(_) if row.reference => format!("1.00  {absolute}"),
        Some(ratio) if room == Room::Tightest => {
            format!("{}  {absolute}", format::ratio(Estimate { half_width: None, ..ratio }))
        }
        Some(ratio) => format!("{}  {absolute}", format::ratio(ratio)),
        None => absolute,
    }
}
