//! What the KV memory holds over time, and which limit kept requests waiting.

use super::super::chart::AxisUnit;
use super::super::figures::Figure;
use super::super::style::Ink;
use super::panel::{Fill, Grid, Layer, Panel, Swatch};
use super::{first_run, linear, mean, most, preemption, stretches, time_end};
use crate::metrics::TimelineRow;
use crate::metrics::inside::MemoryShares;
use crate::metrics::work::Binding;
use crate::report::format;
use crate::results::{Comparison, ComparisonRow, Study};

/// A part of the memory: name, fill, its share.
type Part = (&'static str, Fill, fn(&MemoryShares) -> f64);

const PARTS: [Part; 5] = [
    ("live tokens", Fill { ink: Ink::Series(0), hatch: 0 }, |m| m.live),
    ("empty in last block", Fill { ink: Ink::Series(7), hatch: 0 }, |m| m.fragmented),
    ("reserved, unused", Fill { ink: Ink::Series(1), hatch: 2 }, |m| m.reserved),
    ("cached, evictable", Fill { ink: Ink::Series(5), hatch: 3 }, |m| m.cached),
    ("free", Fill { ink: Ink::Grid, hatch: 0 }, |m| m.free),
];

/// States in which somebody waits, and how the strip shows them.
const STATES: [(Binding, Fill); 6] = [
    (Binding::Memory, Fill { ink: Ink::Series(1), hatch: 2 }),
    (Binding::Sequences, Fill { ink: Ink::Series(2), hatch: 1 }),
    (Binding::Budget, Fill { ink: Ink::Series(3), hatch: 3 }),
    (Binding::Batch, Fill { ink: Ink::Series(4), hatch: 0 }),
    (Binding::Other, Fill { ink: Ink::Muted, hatch: 0 }),
    (Binding::Open, Fill { ink: Ink::Grid, hatch: 0 }),
];

const STRETCHES: usize = 140;

/// The chart: the reference and the design that wastes most.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let wasted =
        |r: &ComparisonRow| Some(mean(r, "kv_reserved_mean_ratio")? + mean(r, "kv_fragmented_mean_ratio")?);
    let shown: Vec<&ComparisonRow> = point.reference().into_iter().chain(most(point, wasted)).collect();
    let end = time_end(study, point.point);
    let (mut above, mut below, mut told) = (Vec::new(), Vec::new(), Vec::new());
    for row in &shown {
        let Some(run) = first_run(study, point.point, row.system) else { continue };
        let rows = stretches(run, STRETCHES, end);
        if rows.iter().all(|r| r.memory.is_none()) {
            continue;
        }
        above.push(stack_panel(&row.name, &rows));
        below.push(strip_panel(&rows));
        told.extend(finding(row));
    }
    if above.is_empty() {
        return None;
    }
    let mut legend: Vec<(Swatch, String)> =
        PARTS.iter().map(|(name, fill, _)| (Swatch::Fill(*fill), (*name).to_owned())).collect();
    let used = |state: Binding| shown.iter().any(|r| mean(r, key(state)).is_some_and(|v| v > 0.0005));
    let states = STATES.iter().filter(|(state, _)| used(*state) && *state != Binding::Open);
    legend.extend(states.map(|(state, fill)| (Swatch::Fill(*fill), format!("waits: {}", state.name()))));
    let title = format!("KV memory at {}: {}", point.label, told.join("; "));
    let grid = Grid { title, rows: vec![(230.0, above), (46.0, below)], legend };
    let caption = "Above: what the slots of the KV memory hold (a slot is one token), one run, means over short stretches. Below: \
                   the share of time in which requests waited, by the limit that kept them from being admitted; blank \
                   is idle time, grey time in which nobody waited. The second design is the one that holds most \
                   memory without a token in it.";
    let caption = format!("{caption}{}", preemption::absence(study, comparison));
    Some(Figure::new("kv-occupancy.svg", caption, grid))
}

fn key(state: Binding) -> &'static str {
    match state {
        Binding::Open => "bound_none_ratio",
        Binding::Memory => "bound_memory_ratio",
        Binding::Sequences => "bound_sequences_ratio",
        Binding::Budget => "bound_budget_ratio",
        Binding::Batch => "bound_batch_ratio",
        Binding::Other => "bound_other_ratio",
    }
}

/// `vllm-v1 18 % live, 0.2 % unused, 4 % of the time somebody waits for KV memory`.
fn finding(row: &ComparisonRow) -> Option<String> {
    let live = mean(row, "kv_live_mean_ratio")?;
    let unused = mean(row, "kv_reserved_mean_ratio")? + mean(row, "kv_fragmented_mean_ratio")?;
    let states = STATES.iter().filter(|(state, _)| *state != Binding::Open);
    let waits = states.filter_map(|(state, _)| Some((mean(row, key(*state))?, state.name())));
    let longest = waits.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|w| w.0 >= 0.0005);
    let waits = longest.map_or_else(
        || "nobody waits".to_owned(),
        |(share, name)| format!("{} of the time somebody waits for {name}", format::percent(share)),
    );
    Some(format!("{} {} live, {} unused, {waits}", row.name, format::percent(live), format::percent(unused)))
}

fn stack_panel(name: &str, rows: &[TimelineRow]) -> Panel {
    let filled: Vec<(f64, MemoryShares)> = rows.iter().filter_map(|r| Some((r.at_s, r.memory?))).collect();
    let mut floor = vec![0.0; filled.len()];
    let mut layers = Vec::new();
    for (_, fill, share) in &PARTS {
        let points = filled.iter().zip(&mut floor).map(|((x, memory), floor)| {
            let low = *floor;
            *floor += share(memory);
            (*x, low, *floor)
        });
        layers.push(Layer::Area(points.collect(), *fill));
    }
    Panel {
        name: format!("{}: share of KV slots", format::shorten(name, 28)),
        x: linear("", AxisUnit::Plain, ends(rows)),
        y: linear("", AxisUnit::Percent, Some((0.0, 1.0))),
        rows: Vec::new(),
        layers,
    }
}

fn strip_panel(rows: &[TimelineRow]) -> Panel {
    let mut floor = vec![0.0; rows.len()];
    let mut layers = Vec::new();
    for (state, fill) in &STATES {
        let points = rows.iter().zip(&mut floor).map(|(row, floor)| {
            let low = *floor;
            *floor += row.bound[*state as usize];
            (row.at_s, low, *floor)
        });
        layers.push(Layer::Area(points.collect(), *fill));
    }
    Panel {
        name: "share of time with requests waiting for a limit".to_owned(),
        x: linear("time since the first arrival (s)", AxisUnit::Plain, ends(rows)),
        y: linear("", AxisUnit::Percent, Some((0.0, 1.0))),
        rows: Vec::new(),
        layers,
    }
}

/// The two panels of a system share their time axis.
fn ends(rows: &[TimelineRow]) -> Option<(f64, f64)> {
    rows.last().map(|last| (0.0, last.at_s.max(1e-3)))
}
