//! How large steps are, and of what kind.

use super::super::chart::{Axis, AxisUnit, Scale};
use super::super::figures::Figure;
use super::super::style::{Ink, Stroke};
use super::super::systems::{legend_name, off_scale, stroke};
use super::panel::{Fill, Grid, Layer, Panel, Swatch};
use super::{drawn, left_out, linear, mean};
use crate::metrics::Curves;
use crate::metrics::work::SizeBins;
use crate::report::format;
use crate::results::comparison::mean_curves;
use crate::results::{Comparison, ComparisonRow, PointComparison, Study};

/// Kinds of steps: name, column, fill.
const KINDS: [(&str, &str, Fill); 3] = [
    ("prompts only", "prefill_steps", Fill { ink: Ink::Series(1), hatch: 2 }),
    ("prompts and decodes", "mixed_steps", Fill { ink: Ink::Series(4), hatch: 1 }),
    ("decodes only", "decode_steps", Fill { ink: Ink::Series(0), hatch: 0 }),
];

/// The chart.
pub(in crate::report::plot) fn figure(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let point = comparison.headline()?;
    let shown = |r: &&ComparisonRow| {
        mean(r, "steps").is_some_and(|n| n > 0.0) && study.systems[r.system].name != "ideal"
    };
    let rows: Vec<&ComparisonRow> = drawn(study, point).into_iter().filter(shown).collect();
    if rows.is_empty() {
        return None;
    }
    let off = off_scale(std::slice::from_ref(point));
    let drawn = rows.iter().filter(|r| !off.contains(&r.system));
    let curves: Vec<(usize, Curves)> =
        drawn.map(|r| (r.system, mean_curves(study, point.point, r.system))).collect();
    let tokens = histogram(study, &curves, "tokens", |c| &c.step_tokens);
    let sequences = histogram(study, &curves, "sequences", |c| &c.step_sequences);
    let histograms: Vec<Panel> = [tokens, sequences].into_iter().flatten().collect();
    let kinds = kinds_panel(&rows);
    let mut grid_rows = Vec::new();
    if !histograms.is_empty() {
        grid_rows.push((180.0, histograms));
    }
    grid_rows.push((26.0 * rows.len() as f64, vec![kinds]));
    let mut legend: Vec<(Swatch, String)> =
        curves.iter().map(|(s, _)| (Swatch::Line(line(study, *s)), legend_name(study, *s))).collect();
    legend.extend(KINDS.iter().map(|(name, _, fill)| (Swatch::Fill(*fill), (*name).to_owned())));
    let title = title(point, &rows);
    let grid = Grid { title, rows: grid_rows, legend };
    let caption = "Steps at the headline load, all seeds. Above: share of the steps by their size, in bins of half an octave (1, 2, 3, 4, 5–6, \
                   7–8, 9–12, …), drawn at the largest size of each bin. Below: steps by what they compute; a decode \
                   that shares its step with prompts waits for them.";
    let caption = format!("{caption}{}", left_out(study, &off, " above"));
    Some(Figure::new("steps.svg", caption, grid))
}

/// Lines without markers: a histogram has many points.
fn line(study: &Study, system: usize) -> Stroke {
    stroke(study, system, false)
}

fn histogram(
    study: &Study,
    curves: &[(usize, Curves)],
    name: &str,
    shares: fn(&Curves) -> &[f64],
) -> Option<Panel> {
    let layers: Vec<Layer> = curves
        .iter()
        .rev()
        .filter(|(_, c)| !shares(c).is_empty())
        .map(|(system, c)| {
            let points =
                shares(c).iter().enumerate().map(|(bin, share)| (SizeBins::upper(bin) as f64, *share));
            Layer::Line(points.collect(), line(study, *system))
        })
        .collect();
    (!layers.is_empty()).then(|| Panel {
        name: format!("share of the steps, by {name} in a step"),
        x: Axis {
            label: format!("{name} in a step (log scale)"),
            scale: Scale::Log,
            unit: AxisUnit::Plain,
            range: None,
            marks: Vec::new(),
        },
        y: linear("", AxisUnit::Percent, None),
        rows: Vec::new(),
        layers,
    })
}

/// Shares of the kinds of steps of one system.
fn kinds_of(row: &ComparisonRow) -> [f64; 3] {
    let steps = mean(row, "steps").unwrap_or(0.0).max(1.0);
    KINDS.each_ref().map(|(_, key, _)| mean(row, key).unwrap_or(0.0) / steps)
}

/// One bar per system, the first on top.
fn kinds_panel(rows: &[&ComparisonRow]) -> Panel {
    let mut layers = Vec::new();
    for (i, row) in rows.iter().rev().enumerate() {
        let mut from = 0.0;
        for (share, (_, _, fill)) in kinds_of(row).into_iter().zip(KINDS) {
            let y = i as f64;
            layers.push(Layer::Box((from, y + 0.16), (from + share, y + 0.84), fill));
            from += share;
        }
    }
    Panel {
        name: "steps by kind".to_owned(),
        x: linear("share of the steps", AxisUnit::Percent, Some((0.0, 1.0))),
        y: linear("", AxisUnit::Plain, Some((0.0, rows.len() as f64))),
        rows: rows.iter().rev().map(|r| r.name.clone()).collect(),
        layers,
    }
}

/// The largest and the smallest mean step, and how often decodes share a step with prompts at the reference.
fn title(point: &PointComparison, rows: &[&ComparisonRow]) -> String {
    let sizes =
        rows.iter().filter(|r| r.is_design()).filter_map(|r| Some((mean(r, "step_tokens_mean")?, *r)));
    let mut sizes: Vec<(f64, &ComparisonRow)> = sizes.collect();
    sizes.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut text = format!("Steps at {}", point.name());
    if let (Some(large), Some(small)) = (sizes.first(), sizes.last()) {
        text.push_str(&format!(": {} computes {} tokens a step", large.1.name, format::digits(large.0)));
        if sizes.len() > 1 {
            text.push_str(&format!(", {} only {}", small.1.name, format::digits(small.0)));
        }
    }
    if let Some(reference) = point.reference() {
        let [prefill, mixed, _] = kinds_of(reference);
        text.push_str(&format!(
            "; {} of {}'s steps carry prompts, {} beside decodes",
            format::percent(prefill + mixed),
            reference.name,
            format::percent(mixed)
        ));
    }
    text
}
