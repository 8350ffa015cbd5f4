//! What preemption costs, by system and load.

use super::super::chart::{AxisUnit, Scale};
use super::super::curves::{abscissa, x_range};
use super::super::figures::Figure;
use super::super::systems::{legend_name, off_scale, stroke};
use super::panel::{Grid, Layer, Panel, Swatch};
use super::{left_out, linear, mean};
use crate::report::format;
use crate::results::{Comparison, Study};

/// Name, column, unit.
const PANELS: [(&str, &str, AxisUnit); 4] = [
    ("preemptions per request", "preemptions_per_request", AxisUnit::Plain),
    ("tokens computed again", "run_recomputed_tokens", AxisUnit::Plain),
    ("GPU time spent on that (GPU·s)", "recompute_gpu_s", AxisUnit::Plain),
    ("time lost per preempted request", "preemption_loss_per_victim_s", AxisUnit::Seconds),
];

/// Whether a system preempts at any point.
fn preempts(comparison: &Comparison, system: usize) -> bool {
    let rows = comparison.points.iter().filter_map(|p| p.row(system));
    rows.filter_map(|r| mean(r, "run_preemptions")).any(|n| n > 0.0)
}

/// Why there is no chart of preemption, as a sentence; nothing where there is one.
pub(super) fn absence(study: &Study, comparison: &Comparison) -> &'static str {
    if (0..study.systems.len()).any(|s| preempts(comparison, s)) {
        ""
    } else {
        " No system of this study preempts anybody, so there is no chart of preemption."
    }
}

/// The chart; none where nothing was preempted.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let preempts = |system: usize| preempts(comparison, system);
    let off = off_scale(&comparison.points);
    let systems: Vec<usize> =
        study.drawn_order().into_iter().filter(|s| preempts(*s) && !off.contains(s)).collect();
    if systems.is_empty() {
        return None;
    }
    let (xs, x_label) = abscissa(study);
    let panel = |(name, key, unit): &(&str, &str, AxisUnit)| {
        let layers = systems.iter().map(|&system| {
            let points = comparison.points.iter().zip(&xs);
            let points = points.filter_map(|(p, x)| Some((*x, mean(p.row(system)?, key)?)));
            Layer::Line(points.collect(), stroke(study, system, true))
        });
        let mut x = linear(x_label, AxisUnit::Plain, x_range(&xs));
        x.marks.clone_from(&xs);
        let mut y = linear("", *unit, None);
        y.scale = Scale::Linear;
        Panel { name: (*name).to_owned(), x, y, rows: Vec::new(), layers: layers.collect() }
    };
    let [a, b, c, d] = PANELS.each_ref().map(panel);
    let legend =
        systems.iter().map(|&s| (Swatch::Line(stroke(study, s, true)), legend_name(study, s))).collect();
    let title = title(study, comparison, &systems);
    let grid = Grid { title, rows: vec![(150.0, vec![a, b]), (150.0, vec![c, d])], legend };
    let never: Vec<String> = (0..study.systems.len())
        .filter(|&s| !preempts(s) && !study.systems[s].bound)
        .map(|s| study.systems[s].name.clone())
        .collect();
    let mut caption = "Means over seeds. A victim's tokens are computed again (or moved to host memory and back); the time lost runs from \
                       the preemption until the request has its next token."
        .to_owned();
    if !never.is_empty() {
        caption.push_str(&format!(" Without any preemption: {}.", never.join(", ")));
    }
    caption.push_str(&left_out(study, &off, ""));
    Some(Figure::new("preemption.svg", caption, grid))
}

/// Who loses most GPU time, where.
fn title(study: &Study, comparison: &Comparison, systems: &[usize]) -> String {
    let cells = comparison.points.iter().flat_map(|p| {
        systems.iter().filter_map(move |&s| {
            let row = p.row(s)?;
            Some((mean(row, "preemptions_per_request")?, p, row))
        })
    });
    let Some((rate, point, row)) = cells.max_by(|a, b| a.0.total_cmp(&b.0)) else {
        return "Preemption".to_owned();
    };
    let tokens = mean(row, "run_recomputed_tokens").unwrap_or(0.0);
    let lost = mean(row, "preemption_loss_per_victim_s");
    format!(
        "Preemption is worst with {} at {}: {} per request, {} tokens computed again, {} lost per victim",
        study.systems[row.system].name,
        point.name(),
        format::digits(rate),
        format::digits(tokens),
        format::or_dash(lost, format::seconds)
    )
}
