//! The capacity of each system: as text, as a section of the page, and as a picture over the limit.

use maud::{Markup, html};

use super::format;
use super::plot::{Axis, AxisUnit, Chart, Figure, Scale, Series, Stroke, derived_mark};
use crate::metrics::Estimate;
use crate::results::capacity::CapacityTable;
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
    let unequal = unequal(study);
    let shares = if unequal && table.limit.is_none() { &PER[..] } else { &[] };
    let systems = study.display_order().into_iter().filter(|&s| table.cell(s, 0).is_some());
    systems
        .map(|s| {
            let info = &study.systems[s];
            let note = if info.bound || info.oracle { " (bound)" } else { "" };
            let mut cells: Vec<String> = (0..table.points()).map(|p| cell(s, p)).collect();
            cells.extend(shares.iter().map(|(_, per)| per_unit(table, s, per(info))));
            (format!("{}{note}", named(info)), cells)
        })
        .collect()
}

/// The name, and whether its hardware is derived.
fn named(info: &SystemInfo) -> String {
    format!("{}{}", info.name, derived_mark(info))
}

/// A unit that capacity is divided by: its heading, and how many of it a system has.
type Per = (&'static str, fn(&SystemInfo) -> Option<f64>);

/// What planners pay for.
const PER: [Per; 3] = [
    ("per GPU", |s| Some(f64::from(s.gpus))),
    ("per $/h", |s| s.usd_per_hour),
    ("per kW of TDP", |s| Some(s.tdp_kw).filter(|kw| *kw > 0.0)),
];

/// Whether the systems differ in what they cost.
fn unequal(study: &Study) -> bool {
    let cost = |s: &SystemInfo| (s.gpus, s.usd_per_hour.map(f64::to_bits), s.tdp_kw.to_bits());
    study.systems.windows(2).any(|pair| cost(&pair[0]) != cost(&pair[1]))
}

fn per_unit(table: &CapacityTable, system: usize, units: Option<f64>) -> String {
    let capacity = table.cell(system, 0).and_then(|cell| cell.value);
    format::or_dash(capacity.zip(units), |(capacity, units)| format::digits(capacity.mean / units))
}

fn value(cell: &CapacityCell) -> String {
    match cell.value {
        Some(v) if v.mean > 0.0 => with_interval(v),
        _ => "none".to_owned(),
    }
}

fn with_interval(value: Estimate) -> String {
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
        None if unequal(study) => {
            std::iter::once("at the SLO").chain(PER.map(|p| p.0)).map(str::to_owned).collect()
        }
        None => vec!["at the SLO".to_owned()],
    }
}

/// The rule in a sentence.
fn rule(table: &CapacityTable) -> String {
    format!(
        "Capacity in req/s: the highest rate with a stable queue that meets the limits, each seed searched apart to \
         2 %; trials of at least {} requests and {} P99 end-to-end latencies. ± is the 95 % interval over seeds; \
         systems whose intervals meet that of the best tie with it.",
        table.requests, table.spans
    )
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
    out
}

/// For the page; empty without capacities.
pub(super) fn section(study: &Study) -> Markup {
    let Some(table) = &study.capacity else { return html! {} };
    html! {
        h2 { "Capacity" }
        p.note { (rule(table)) }
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
