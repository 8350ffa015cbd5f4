//! How full each replica is over time, and requests that move between them as arrows.

use super::super::chart::AxisUnit;
use super::super::figures::Figure;
use super::super::style::{Ink, Stroke};
use super::super::systems::stroke;
use super::linear;
use super::panel::{Fill, Grid, Layer, Panel, Swatch};
use crate::metrics::{ReplicaRow, ReplicaTimeline};
use crate::report::format;
use crate::results::{Comparison, Study};

/// Up to so many replicas each has a line of its own; beyond, bands show where they are.
const LINES_MAX: usize = 8;
/// Most arrows of a panel.
const ARROWS_MAX: usize = 60;
/// A title with more systems names the extremes and those in which requests move.
const NAMED_MAX: usize = 4;
/// Stretches that lines and bands are averaged over.
const STRETCHES: usize = 120;
/// Stretches of the spread, which is compared and not read off.
const SPREAD_STRETCHES: usize = 60;

const ARROW: Ink = Ink::Limit;
const OUTER: Fill = Fill { ink: Ink::Grid, hatch: 0 };
const INNER: Fill = Fill { ink: Ink::Series(5), hatch: 0 };
/// Which replica is which does not matter.
const REPLICA: Stroke =
    Stroke { ink: Ink::Series(5), dash: 0, marker: None, strong: false, line: true, pale: false };
const MEDIAN: Stroke =
    Stroke { ink: Ink::Series(0), dash: 0, marker: None, strong: false, line: true, pale: false };

/// The chart; none where no system with several whole replicas was watched.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let shown: Vec<&ReplicaTimeline> =
        study.replicas.iter().filter(|of| of.mean_spread().is_some()).collect();
    let point = comparison.points.get(shown.first()?.point)?;
    let moves = shown.iter().any(|of| of.moved() > 0);
    let panels: Vec<Panel> = shown.iter().map(|of| panel(study, of, moves)).collect();
    let mut rows: Vec<(f64, Vec<Panel>)> = Vec::new();
    for panel in panels {
        match rows.last_mut() {
            Some((_, row)) if row.len() < 2 => row.push(panel),
            _ => rows.push((150.0, vec![panel])),
        }
    }
    rows.push((150.0, vec![spread_panel(study, &shown)]));
    let most = shown.iter().map(|of| of.replicas()).max()?;
    let grid = Grid { title: title(study, &point.name(), &shown), rows, legend: legend(study, &shown) };
    let lines = if most > LINES_MAX {
        "the emptiest to the fullest replica (grey), the half in the middle (blue) and the median"
    } else {
        "a line per replica"
    };
    let arrows = if moves {
        " Arrows: a running request moved from the level of its source to that of its destination, both when the move began; \
         downwards it leaves the fuller one."
    } else {
        ""
    };
    let (seed, thinned) = (shown.first()?.seed, thinned(study, &shown));
    let caption = format!(
        "Share of its KV blocks that requests hold on each replica, one run (seed {seed}) until the last arrival, means over short \
         stretches: {lines}.{arrows} Below: the fullest less the emptiest replica. All samples and moves: \
         timeline/*-replicas.csv and *-moves.csv.{thinned}"
    );
    Some(Figure::new("replicas.svg", caption, grid))
}

/// Says of which moves only some are drawn.
fn thinned(study: &Study, shown: &[&ReplicaTimeline]) -> String {
    let each: Vec<String> = shown
        .iter()
        .filter_map(|of| {
            let (step, moved) = (stride(of), of.moved());
            let name = &study.systems[of.system].name;
            (step > 1)
                .then(|| format!("{name}: one of {step} moves of {} is drawn", format::digits(moved as f64)))
        })
        .collect();
    if each.is_empty() { String::new() } else { format!(" Thinned: {}.", each.join("; ")) }
}

/// `At rate 6 req/s the fullest and the emptiest replica differ by 25 % of a KV memory on average with infaas-plus-plus, 31 % with
/// llumnix …`.
fn title(study: &Study, point: &str, shown: &[&ReplicaTimeline]) -> String {
    let mut told: Vec<(f64, &ReplicaTimeline)> =
        shown.iter().filter_map(|of| Some((of.mean_spread()?, *of))).collect();
    told.sort_by(|a, b| a.0.total_cmp(&b.0));
    if told.len() > NAMED_MAX {
        let last = told.len() - 1;
        let kept = |i: usize, of: &ReplicaTimeline| i == 0 || i == last || of.moved() > 0;
        told = told.into_iter().enumerate().filter(|(i, (_, of))| kept(*i, of)).map(|(_, one)| one).collect();
    }
    let each = |(i, &(spread, of)): (usize, &(f64, &ReplicaTimeline))| {
        let what = if i == 0 { " of a KV memory on average" } else { "" };
        format!("{:.0} %{what} with {}", spread * 100.0, study.systems[of.system].name)
    };
    let told: Vec<String> = told.iter().enumerate().map(each).collect();
    format!("At {point} the fullest and the emptiest replica differ by {}", told.join(", "))
}

/// Every how many moves there is an arrow.
fn stride(of: &ReplicaTimeline) -> usize {
    of.moved().div_ceil(ARROWS_MAX).max(1)
}

/// How full the replicas of one run are; `moves`: whether requests move in any of those shown.
fn panel(study: &Study, of: &ReplicaTimeline, moves: bool) -> Panel {
    let rows = of.coarse(STRETCHES);
    let mut layers = if of.replicas() > LINES_MAX { bands(&rows) } else { lines(&rows, of.replicas()) };
    for moved in of.moves.iter().filter(|m| m.arrived).step_by(stride(of)) {
        let (from, to) = (moved.source_held, moved.destination_held);
        layers.push(Layer::Arrow((moved.begun_s, from), (moved.begun_s, to), ARROW));
    }
    let moves = match (of.moved(), of.downhill()) {
        (n, Some(down)) => format!(": {n} moves, {:.0} % to an emptier replica", down * 100.0),
        _ if moves => ": no moves".to_owned(),
        _ => String::new(),
    };
    Panel {
        name: format!("{}{moves}", format::shorten(&study.systems[of.system].name, 22)),
        x: linear("time since the first arrival (s)", AxisUnit::Plain, ends(&rows)),
        y: linear("", AxisUnit::Percent, Some((0.0, 1.0))),
        rows: Vec::new(),
        layers,
    }
}

fn ends(rows: &[ReplicaRow]) -> Option<(f64, f64)> {
    rows.last().map(|last| (0.0, last.at_s.max(1e-3)))
}

fn bands(rows: &[ReplicaRow]) -> Vec<Layer> {
    let found: Vec<_> = rows.iter().filter_map(|row| Some((row.at_s, row.band()?))).collect();
    vec![
        Layer::Area(found.iter().map(|(x, b)| (*x, b.min, b.max)).collect(), OUTER),
        Layer::Area(found.iter().map(|(x, b)| (*x, b.p25, b.p75)).collect(), INNER),
        Layer::Line(found.iter().map(|(x, b)| (*x, b.p50)).collect(), MEDIAN),
    ]
}

/// A line per replica, broken where it is not up.
fn lines(rows: &[ReplicaRow], replicas: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    for replica in 0..replicas {
        let held = |row: &ReplicaRow| row.held.get(replica).copied().flatten();
        for part in rows.split(|row| held(row).is_none()).filter(|part| !part.is_empty()) {
            let points = part.iter().filter_map(|row| Some((row.at_s, held(row)?))).collect();
            layers.push(Layer::Line(points, REPLICA));
        }
    }
    layers
}

/// The spread of all systems, for comparison.
fn spread_panel(study: &Study, shown: &[&ReplicaTimeline]) -> Panel {
    let line = |of: &&ReplicaTimeline| {
        let stretch = of.rows.len().div_ceil(SPREAD_STRETCHES).max(1);
        let mean = |rows: &[ReplicaRow]| {
            let part = ReplicaTimeline { rows: rows.to_vec(), ..ReplicaTimeline::default() };
            Some((rows[rows.len() / 2].at_s, part.mean_spread()?))
        };
        Layer::Line(of.rows.chunks(stretch).filter_map(mean).collect(), system_stroke(study, of.system))
    };
    let layers: Vec<Layer> = shown.iter().map(line).collect();
    Panel {
        name: "fullest less emptiest replica, share of KV".to_owned(),
        x: linear("time since the first arrival (s)", AxisUnit::Plain, super::span(&layers)),
        y: linear("", AxisUnit::Percent, None),
        rows: Vec::new(),
        layers,
    }
}

fn system_stroke(study: &Study, system: usize) -> Stroke {
    Stroke { strong: false, ..stroke(study, system, false) }
}

fn legend(study: &Study, shown: &[&ReplicaTimeline]) -> Vec<(Swatch, String)> {
    let mut legend: Vec<(Swatch, String)> = Vec::new();
    if shown.iter().any(|of| of.replicas() <= LINES_MAX) {
        legend.push((Swatch::Line(REPLICA), "each replica".to_owned()));
    }
    if shown.iter().any(|of| of.replicas() > LINES_MAX) {
        legend.push((Swatch::Fill(OUTER), "emptiest to fullest".to_owned()));
        legend.push((Swatch::Fill(INNER), "half in the middle".to_owned()));
        legend.push((Swatch::Line(MEDIAN), "median replica".to_owned()));
    }
    if shown.iter().any(|of| of.moved() > 0) {
        legend.push((Swatch::Arrow(ARROW), "a request moves".to_owned()));
    }
    let spread = |of: &&ReplicaTimeline| {
        let name = format!("below: {}", study.systems[of.system].name);
        (Swatch::Line(system_stroke(study, of.system)), name)
    };
    legend.extend(shown.iter().map(spread));
    legend
}
