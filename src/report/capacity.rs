//! The capacity of each system: as text, as a section of the page, and as a picture over the limit.

use maud::{Markup, html};

use super::format;
use super::plot::{Axis, AxisUnit, Chart, Figure, Scale, Series, Stroke, derived_mark};
use crate::metrics::Estimate;
use crate::results::capacity::{CapacityTable, Tie, Unit};
use crate::results::{CapacityCell, Comparison, Study, SystemInfo};

/// Rows of a table: the system, then one cell per limit. The best and its ties are marked.
fn rows(study: &Study, table: &CapacityTable) -> Vec<(String, Vec<String>)> {
    let best: Vec<Vec<usize>> = (0..table.points()).map(|p| table.best(study, p)).collect();
    let cell = |system: usize, point: usize| {
        let Some(cell) = table.cell(system, point) else { return "–".to_owned() };
        let mark = match (best[point].contains(&system), best[point].len()) {
            (true, 1) => " best",
            (true, _) => " tie for best",
            _ => "",
        };
        format!("{}{}{mark}", value(cell), if cell.short > 0 { " (short trials)" } else { "" })
    };
    let units = units(study, table);
    let systems = study.display_order().into_iter().filter(|&s| table.cell(s, 0).is_some());
    systems
        .map(|s| {
            let info = &study.systems[s];
            let note = if info.bound || info.oracle { " (bound)" } else { "" };
            let mut cells: Vec<String> = (0..table.points()).map(|p| cell(s, p)).collect();
            cells.extend(units.iter().map(|&unit| per_unit(study, table, s, unit)));
            (format!("{}{note}", named(info)), cells)
        })
        .collect()
}

/// The name, and whether its hardware is derived.
fn named(info: &SystemInfo) -> String {
    format!("{}{}", info.name, derived_mark(info))
}

/// What planners pay for, where the systems differ in it.
fn units(study: &Study, table: &CapacityTable) -> Vec<Unit> {
    let all = [Unit::Gpu, Unit::Dollar, Unit::Kilowatt];
    // Where one differs, all are shown: they are read together.
    let unequal = all.iter().any(|u| u.tells(study)) && table.limit.is_none();
    if unequal { all.to_vec() } else { Vec::new() }
}

fn per_unit(study: &Study, table: &CapacityTable, system: usize, unit: Unit) -> String {
    format::or_dash(table.per(study, system, 0, unit), with_interval)
}

fn value(cell: &CapacityCell) -> String {
    match cell.value {
        Some(v) if v.mean > 0.0 => with_interval(v),
        _ => "none".to_owned(),
    }
}

pub(super) fn with_interval(value: Estimate) -> String {
    match value.half_width {
        Some(half) if half > 0.0 => format!("{} ± {}", format::digits(value.mean), format::digits(half)),
        _ => format::digits(value.mean),
    }
}

fn header(study: &Study, table: &CapacityTable) -> Vec<String> {
    match table.limit {
        Some(limit) => {
            table.limits_s.iter().map(|s| format!("{} ≤ {}", limit.name(), format::limit(*s))).collect()
        }
        None => {
            let units = units(study, table).into_iter().map(Unit::heading);
            std::iter::once("at the SLO").chain(units).map(str::to_owned).collect()
        }
    }
}

/// The rule in a sentence.
fn rule(table: &CapacityTable) -> String {
    format!(
        "Capacity in req/s: the highest rate with a stable queue that meets the limits, each seed searched apart to \
         2 %; trials of at least {} requests and {} P99 end-to-end latencies. ± is the 95 % interval over seeds; \
         systems whose intervals, widened by those 2 %, meet that of the best tie with it.",
        table.requests, table.spans
    )
}

/// Designs whose intervals meet, one sentence each, in every unit that ranks them differently.
pub fn ties(study: &Study) -> Vec<String> {
    Unit::ALL.into_iter().filter(|u| u.tells(study)).flat_map(|unit| ties_per(study, unit)).collect()
}

/// The same in one unit.
pub(super) fn ties_per(study: &Study, unit: Unit) -> Vec<String> {
    let Some(table) = &study.capacity else { return Vec::new() };
    let mut sentences = Vec::new();
    for point in 0..table.points() {
        let ties = table.ties(study, point, unit);
        sentences.extend(ties.iter().map(|tie| tie_sentence(study, table, (point, unit), tie)));
    }
    sentences
}

fn tie_sentence(study: &Study, table: &CapacityTable, (point, unit): (usize, Unit), tie: &Tie) -> String {
    let name = |system: usize| &study.systems[system].name;
    let at = table
        .limit
        .zip(table.limits_s.get(point))
        .map_or_else(String::new, |(limit, s)| format!("At {} ≤ {}, ", limit.name(), format::limit(*s)));
    let values =
        format!("{} and {} {}", with_interval(tie.values.0), with_interval(tie.values.1), unit.heading());
    let (first, second) = (name(tie.systems.0), name(tie.systems.1));
    match tie.ratio.filter(|r| r.half_width.is_some()) {
        Some(ratio) if tie.is_resolved() => format!(
            "{at}{first} and {second} tie by their intervals: {values}; the seeds differ more than the designs do. On the \
             same requests {first} serves {} times as much.",
            format::ratio(ratio)
        ),
        Some(ratio) => format!(
            "{at}{first} and {second} cannot be told apart: {values}, the 95 % intervals over the seeds meet; on the same \
             requests the ratio is {}.",
            format::ratio(ratio)
        ),
        None => format!(
            "{at}{first} and {second} cannot be told apart: {values}, within the 2 % of the search; one set of requests \
             has no interval."
        ),
    }
}

/// Names as a sentence lists them.
pub(super) fn listed(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}

/// The answer, one sentence per limit and unit in which the systems differ.
pub fn lead(study: &Study) -> Vec<String> {
    let Some(table) = &study.capacity else { return Vec::new() };
    let mut lines = Vec::new();
    for point in 0..table.points() {
        let at = table
            .limit
            .zip(table.limits_s.get(point))
            .map_or_else(String::new, |(limit, s)| format!("At {} ≤ {}: ", limit.name(), format::limit(*s)));
        for unit in Unit::ALL.into_iter().filter(|u| u.tells(study)) {
            let best = table.best_per(study, point, unit);
            let names: Vec<&str> = best.iter().map(|&s| study.systems[s].name.as_str()).collect();
            let top = best.first().and_then(|&s| table.per(study, s, point, unit));
            lines.push(match (&names[..], top) {
                (&[one], Some(top)) => {
                    format!("{at}{one} serves most, {} {}", with_interval(top), unit.heading())
                }
                (many, Some(top)) => {
                    let tie = format!(
                        "{at}{} tie as the best, {} {}",
                        listed(many),
                        with_interval(top),
                        unit.heading()
                    );
                    let ahead = table.ahead(study, point, unit).map(|s| &study.systems[s].name);
                    ahead.map_or(tie.clone(), |a| {
                        format!("{tie}; on the same requests {a} is ahead of the others")
                    })
                }
                (_, None) => format!("{at}no design meets the limits at any rate"),
            });
        }
    }
    lines.dedup();
    lines
}

/// For the terminal; empty without capacities.
pub fn text(study: &Study) -> String {
    let Some(table) = &study.capacity else { return String::new() };
    let rows = rows(study, table);
    let names = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = format!("\n{}\n", rule(table));
    for (name, cells) in rows {
        let cells: Vec<String> =
            header(study, table).iter().zip(cells).map(|(h, c)| format!("{h}: {c}")).collect();
        out.push_str(&format!("  {name:names$}  {}\n", cells.join("  ·  ")));
    }
    out.extend(ties(study).iter().map(|tie| format!("  {tie}\n")));
    out
}

/// For the page; empty without capacities.
pub(super) fn section(study: &Study) -> Markup {
    let Some(table) = &study.capacity else { return html! {} };
    html! {
        h2 { "Capacity" }
        p.note { (rule(table)) }
        @let ties = ties(study);
        @if !ties.is_empty() { ul { @for tie in &ties { li { (tie) } } } }
        div.scroll {
            table {
                thead { tr { th { "system" } @for column in header(study, table) { th { (column) } } } }
                tbody {
                    @for (name, cells) in rows(study, table) {
                        tr { th scope="row" { (name) } @for cell in cells { td { (cell) } } }
                    }
                }
            }
        }
    }
}

/// Capacity against the limit that is varied.
pub(super) fn figure(study: &Study, _: &Comparison) -> Option<Figure> {
    let table = study.capacity.as_ref()?;
    let limit = table.limit.filter(|_| table.limits_s.len() > 1)?;
    let mut series = Vec::new();
    for system in study.display_order() {
        let points: Vec<(f64, Estimate)> = (0..table.points())
            .filter_map(|p| Some((table.limits_s[p], table.cell(system, p)?.value?)))
            .collect();
        if points.is_empty() {
            continue;
        }
        let bound = study.systems[system].bound;
        let stroke = if bound { Stroke::bound(0, true) } else { Stroke::design(series.len(), true, false) };
        series.push(Series {
            name: named(&study.systems[system]),
            stroke,
            points: points.iter().map(|(x, v)| (*x, v.mean)).collect(),
            band: points
                .iter()
                .filter(|(_, v)| v.half_width.is_some())
                .map(|(x, v)| (*x, v.low(), v.high()))
                .collect(),
        });
    }
    let names = |p: usize| {
        let best = table.best(study, p);
        best.iter().map(|&s| study.systems[s].name.as_str()).collect::<Vec<_>>().join(" = ")
    };
    let last = table.points() - 1;
    let title = format!(
        "Most capacity: {} at {} ≤ {}, {} at {}",
        names(0),
        limit.name(),
        format::limit(table.limits_s[0]),
        names(last),
        format::limit(table.limits_s[last])
    );
    let chart = Chart {
        title,
        x: Axis {
            label: format!("limit on {} (log scale)", limit.name()),
            scale: Scale::Log,
            unit: AxisUnit::Seconds,
            range: None,
            marks: table.limits_s.clone(),
        },
        y: Axis {
            label: "capacity (req/s)".to_owned(),
            scale: Scale::Linear,
            unit: AxisUnit::Plain,
            range: None,
            marks: Vec::new(),
        },
        series,
        lines: Vec::new(),
    };
    let caption = format!("{} 0: no rate meets the limit.", rule(table));
    Some(Figure::new("capacity.svg", caption, chart))
}
