//! What changed between two studies: in words, as a table, as files for other programs.

use comfy_table::{ContentArrangement, LineStyle, Table, presets};
use serde::Serialize;

use super::format;
use super::plot::{RatioRow, Ratios, Tendency};
use crate::metrics::{Better, column};
use crate::results::difference::LEVEL;
use crate::results::text::cell as safe_cell;
use crate::results::{Change, ChangeCell, Difference, DifferenceRow};

/// Version of the layout of `difference.json`.
const SCHEMA: u32 = 1;
/// Numbers that are drawn, where they were compared.
const DRAWN: [&str; 6] =
    ["ttft_p99_s", "tpot_p99_s", "gap_p99_s", "e2e_p99_s", "goodput_per_s", "throughput_output_tok_per_s"];
/// Most rows of a picture.
const ROWS_MAX: usize = 60;

/// Heading of the tables.
pub(super) const HEADER: [&str; 5] = ["number", "before", "after", "after / before", "verdict"];

/// The cells of a number.
pub(super) fn cells(cell: &ChangeCell) -> [String; 5] {
    let title = column::find(cell.key).map_or(cell.key, |c| c.title);
    let value = |v: f64| format::in_unit(cell.key, v);
    [
        title.to_owned(),
        value(cell.before.mean),
        value(cell.after.mean),
        format::or_dash(cell.ratio, format::ratio),
        cell.change.text().to_owned(),
    ]
}

/// A system at a point.
pub(super) fn place(row: &DifferenceRow) -> String {
    let rate = row.rate_per_s.filter(|_| !row.point.contains("req/s"));
    let rate = rate.map_or_else(String::new, |r| format!(" ({r:.2} req/s)"));
    format!("{} at {}{rate}", row.system, row.point)
}

/// The answer in sentences: what changed most, or that nothing did.
pub fn answer(found: &Difference) -> String {
    let count = |change: Change| all(found).filter(|(_, c)| c.change == change).count();
    if found.compared == 0 {
        return "Nothing could be compared.".to_owned();
    }
    if count(Change::Same) == found.compared {
        return format!("Nothing changed: all {} numbers are the same to the bit.", found.compared);
    }
    let words = [
        (Change::Better, "better"),
        (Change::Worse, "worse"),
        (Change::Changed, "changed without a better direction"),
        (Change::Small, "changed by less than counts"),
        (Change::Noise, "not told from noise"),
        (Change::OneRun, "different in the one run there is"),
        (Change::Same, "the same to the bit"),
    ];
    let parts = words.map(|(change, text)| (count(change), text));
    let parts: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, t)| format!("{n} {t}")).collect();
    let mut text = format!("Of {} numbers: {}.", found.compared, parts.join(", "));
    for (change, word) in
        [(Change::Worse, "Worst"), (Change::Better, "Best"), (Change::OneRun, "Furthest apart")]
    {
        let of = all(found).filter(|(_, c)| c.change == change);
        let furthest = of.max_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
        if let Some((row, cell)) = furthest {
            let [title, before, after, ratio, _] = cells(cell);
            text.push_str(&format!(" {word}: {title} of {}, {before} → {after} ({ratio} ×).", place(row)));
        }
    }
    text
}

/// How far a ratio is from 1, as a factor.
fn distance(cell: &ChangeCell) -> f64 {
    cell.ratio.filter(|r| r.mean > 0.0).map_or(f64::MAX, |r| libm::log(r.mean).abs())
}

fn all(found: &Difference) -> impl Iterator<Item = (&DifferenceRow, &ChangeCell)> {
    found.rows.iter().flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
}

/// How to read the verdicts.
pub fn legend(found: &Difference) -> String {
    format!(
        "Only runs with the same requests are compared, seed by seed; ± is the 95 % interval of the ratio. A change is called one where \
         Holm's procedure over all {} numbers leaves a chance below {LEVEL} of calling any of them one wrongly, and where it is at \
         least {} %.",
        found.compared,
        found.minimum * 100.0
    )
}

/// All of it for a terminal; ends with a line feed.
pub fn render(found: &Difference, width: u16) -> String {
    let room = usize::from(width).max(40);
    let wrapped = |text: &str| format!("{}\n", format::wrap(text, room).join("\n").replace('\u{a0}', " "));
    let mut out = format!("before: {}\nafter:  {}\n", clean(&found.before.name), clean(&found.after.name));
    out.push_str(&wrapped(&clean(&answer(found))));
    for row in &found.rows {
        out.push_str(&format!("\n{}, {}\n", clean(&place(row)), seeds(row)));
        let mut table = Table::new();
        let rule = LineStyle::none().fill('─').junction('─');
        table.load_style(presets::NOTHING.header_separator(rule));
        table.set_content_arrangement(ContentArrangement::Disabled).set_header(HEADER);
        for cell in &row.cells {
            table.add_row(cells(cell));
        }
        out.push_str(&format!("{table}\n"));
    }
    if !found.not_compared.is_empty() {
        out.push_str("\nNot compared:\n");
    }
    for left in &found.not_compared {
        out.push_str(&wrapped(&format!("  {}: {}", clean(&left.what), clean(&left.reason))));
    }
    out.push('\n');
    out.push_str(&wrapped(&legend(found)));
    out
}

/// How many seeds a row is of.
pub(super) fn seeds(row: &DifferenceRow) -> String {
    if row.seeds.len() == 1 { "1 seed".to_owned() } else { format!("{} seeds", row.seeds.len()) }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// All of it as Markdown.
pub fn markdown(found: &Difference) -> String {
    let escape = format::markdown;
    let (before, after) = (escape(&found.before.name), escape(&found.after.name));
    let mut out = format!("## {before} → {after}\n\n{}\n", escape(&answer(found)));
    for row in &found.rows {
        out.push_str(&format!(
            "\n**{}**, {}\n\n| {} |\n",
            escape(&place(row)),
            seeds(row),
            HEADER.join(" | ")
        ));
        out.push_str("| --- | ---: | ---: | ---: | --- |\n");
        for cell in &row.cells {
            out.push_str(&format!("| {} |\n", cells(cell).join(" | ")));
        }
    }
    if !found.not_compared.is_empty() {
        out.push_str("\nNot compared:\n\n");
    }
    for left in &found.not_compared {
        out.push_str(&format!("- {}: {}\n", escape(&left.what), escape(&left.reason)));
    }
    out.push_str(&format!("\n{}\n", legend(found)));
    out
}

/// One row per system, point and number.
pub fn csv(found: &Difference) -> Vec<u8> {
    let header = [
        "point",
        "rate_per_s",
        "system",
        "metric",
        "runs",
        "before",
        "after",
        "ratio",
        "ratio_half_width_95",
        "p",
        "verdict",
    ];
    let number = |v: Option<f64>| v.map_or_else(String::new, |v| v.to_string());
    let rows = all(found).map(|(row, cell)| {
        vec![
            safe_cell(&row.point),
            number(row.rate_per_s),
            safe_cell(&row.system),
            cell.key.to_owned(),
            cell.before.n.to_string(),
            cell.before.mean.to_string(),
            cell.after.mean.to_string(),
            number(cell.ratio.map(|r| r.mean)),
            number(cell.ratio.and_then(|r| r.half_width)),
            number(cell.p),
            cell.change.text().to_owned(),
        ]
    });
    crate::results::csv_bytes(&header, rows)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: &'static str,
    answer: String,
    difference: &'a Difference,
}

/// All of it as one JSON document.
pub fn json(found: &Difference) -> Vec<u8> {
    crate::results::json(&Document {
        schema: SCHEMA,
        tool: "windtunnel",
        answer: answer(found),
        difference: found,
    })
}

/// The pictures, with their file names under `plots/`: one per number that matters and moved.
pub(super) fn pictures(found: &Difference) -> Vec<(String, Ratios)> {
    DRAWN.iter().filter_map(|key| Some((format!("ratio-{key}.svg"), picture(found, key)?))).collect()
}

fn picture(found: &Difference, key: &str) -> Option<Ratios> {
    let of = all(found).filter(|(_, c)| c.key == key && c.change != Change::Same);
    let row = |(row, cell): (&DifferenceRow, &ChangeCell)| {
        let ratio = cell.ratio.filter(|r| r.mean > 0.0)?;
        let tendency = match cell.change {
            Change::Better => Tendency::Better,
            Change::Worse => Tendency::Worse,
            _ => Tendency::Open,
        };
        Some(RatioRow { label: place(row), ratio, tendency, text: format::ratio(ratio) })
    };
    let rows: Vec<RatioRow> = of.filter_map(row).take(ROWS_MAX).collect();
    let column = column::find(key)?;
    let direction = if column.better == Better::Lower { "below 1 is better" } else { "above 1 is better" };
    let count = |tendency: Tendency| rows.iter().filter(|r| r.tendency == tendency).count();
    let words =
        [(Tendency::Better, "better"), (Tendency::Worse, "worse"), (Tendency::Open, "not told or too small")];
    let parts = words.map(|(tendency, word)| (count(tendency), word));
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let title = format!("{} where it moved: {}", column.title, parts.join(", "));
    let axis_label = format!("{}, after / before ({direction})", column.title);
    (!rows.is_empty()).then_some(Ratios { title, axis_label, rows })
}
