//! Heat maps of a swept grid: one cell per combination, its number written in it, the best outlined.

use super::Layout;
use super::backend::{Anchor, Canvas, Label};
use super::figures::{Figure, Picture};
use super::layout::draw_title;
use super::style::Ink;
use super::titles::{Wording, best_of};
use crate::metrics::{Better, Saturation, column};
use crate::report::format;
use crate::results::{Comparison, PointComparison, Study, SweepInfo};

const ROW: f64 = 46.0;
/// Opacity of the worst and of the best cell: text stays readable on both.
const SHADES: (f64, f64) = (0.04, 0.55);

/// One combination: its place, its mean, and how it is judged.
#[derive(Debug)]
pub(super) struct Cell {
    pub column: usize,
    pub row: usize,
    pub value: f64,
    pub slo_met: bool,
    pub overloaded: bool,
}

/// A map of one metric over a grid.
#[derive(Debug)]
pub(super) struct HeatMap {
    pub title: String,
    pub key: &'static str,
    pub cells: Vec<Cell>,
    /// Cells that are outlined.
    pub best: Vec<usize>,
    /// Cells that are outlined together, by a thinner line.
    pub region: Vec<usize>,
    pub columns: Vec<String>,
    pub rows: Vec<String>,
    pub column_axis: String,
    pub row_axis: String,
}

/// Goodput over the grid of `[sweep]`.
pub(super) fn goodput(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let wording = Wording { key: "goodput_per_s", name: "goodput" };
    map(study, comparison, "sweep-goodput.svg", wording)
}

/// P99 TTFT over the grid of `[sweep]`.
pub(super) fn ttft(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let wording = Wording { key: "ttft_p99_s", name: "P99 TTFT" };
    map(study, comparison, "sweep-ttft-p99.svg", wording)
}

/// P99 gap over the grid of `[sweep]`.
pub(super) fn gap(study: &Study, comparison: &Comparison) -> Option<Figure> {
    let wording = Wording { key: "gap_p99_s", name: "P99 gap between tokens" };
    map(study, comparison, "sweep-gap-p99.svg", wording)
}

fn map(study: &Study, comparison: &Comparison, file: &'static str, wording: Wording) -> Option<Figure> {
    let (sweep, point) = (study.sweep.as_ref()?, comparison.headline()?);
    let cells = cells(study, sweep, point, wording.key);
    let best = best_cells(&cells, wording.key);
    if best.is_empty() {
        return None;
    }
    let (columns, rows) = shape(sweep);
    let (last, others) = sweep.axes.split_last()?;
    let others: Vec<&str> = others.iter().map(|a| a.name.as_str()).collect();
    let picture = HeatMap {
        title: best_of(point, wording, |row| sweep.holds(&row.name)),
        key: wording.key,
        cells,
        best,
        region: Vec::new(),
        columns,
        rows,
        column_axis: last.key.clone(),
        row_axis: others.join(", "),
    };
    let caption = format!(
        "Every combination of the grid at {}, mean over seeds; darker is better; outlined: the best that meets the \
         limits, and what is within 1 % of it. Red numbers miss the SLO; ↯ marks an overloaded run, whose latencies \
         measure the length of the run.",
        point.name()
    );
    Some(Figure::new(file, caption, picture))
}

impl Picture for HeatMap {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let left = if layout.narrow() { 76.0 } else { 190.0 };
        let right = layout.width() - layout.margin();
        let height = layout.title_height(&self.title) + ROW * self.rows.len() as f64 + 76.0;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title) + 10.0;
        let width = (right - left) / self.columns.len().max(1) as f64;
        let shade = shades(&self.cells, self.key);
        for (i, cell) in self.cells.iter().enumerate() {
            let from = (left + cell.column as f64 * width, top + cell.row as f64 * ROW);
            let to = (from.0 + width - 2.0, from.1 + ROW - 2.0);
            let corners = [from, (to.0, from.1), to, (from.0, to.1)];
            canvas.polygon(&corners, Ink::Series(0), shade(cell));
            let bold = self.best.contains(&i);
            if bold {
                let outline = [corners[0], corners[1], corners[2], corners[3], corners[0]];
                canvas.line(&outline, Ink::Foreground, 2.5, 0);
            }
            let shown = format::in_unit(self.key, cell.value);
            let text = if cell.overloaded { format!("{shown} ↯") } else { shown };
            let ink = if cell.slo_met { Ink::Foreground } else { Ink::Limit };
            let middle = ((from.0 + to.0) / 2.0, (from.1 + to.1) / 2.0);
            let size = layout.text().min(width / (text.chars().count().max(1) as f64 * 0.6));
            canvas.text(middle, &Label { size, bold, ..layout.label(&text, Anchor::Middle, ink) });
        }
        self.outline_region(&mut canvas, (left, top), width);
        self.label_axes(&mut canvas, layout, (left, top), width);
        canvas.finish()
    }
}

impl HeatMap {
    /// A line along each side of a cell of the region beyond which there is none.
    fn outline_region(&self, canvas: &mut Canvas, (left, top): (f64, f64), width: f64) {
        let place = |i: &usize| (self.cells[*i].column, self.cells[*i].row);
        let places: Vec<(usize, usize)> = self.region.iter().map(place).collect();
        for &(column, row) in &places {
            let (x0, y0) = (left + column as f64 * width - 1.0, top + row as f64 * ROW - 1.0);
            let (x1, y1) = (x0 + width, y0 + ROW);
            let beyond = [
                (column.checked_sub(1).map(|c| (c, row)), [(x0, y0), (x0, y1)]),
                (Some((column + 1, row)), [(x1, y0), (x1, y1)]),
                (row.checked_sub(1).map(|r| (column, r)), [(x0, y0), (x1, y0)]),
                (Some((column, row + 1)), [(x0, y1), (x1, y1)]),
            ];
            for (_, side) in beyond.iter().filter(|(there, _)| there.is_none_or(|t| !places.contains(&t))) {
                canvas.line(side, Ink::Foreground, 1.2, 0);
            }
        }
    }

    fn label_axes(&self, canvas: &mut Canvas, layout: Layout, (left, top): (f64, f64), width: f64) {
        let bottom = top + ROW * self.rows.len() as f64;
        for (i, text) in self.columns.iter().enumerate() {
            let x = left + (i as f64 + 0.5) * width;
            let size = layout.text().min(width / (text.chars().count().max(1) as f64 * 0.6));
            let label = Label { size, ..layout.label(text, Anchor::Middle, Ink::Foreground) };
            canvas.text((x, bottom + 16.0), &label);
        }
        let room = layout.characters(left - 12.0);
        for (i, text) in self.rows.iter().enumerate() {
            let y = top + (i as f64 + 0.5) * ROW;
            let text = format::shorten(text, room);
            canvas.text((left - 10.0, y), &layout.label(&text, Anchor::End, Ink::Foreground));
        }
        let middle = (left + layout.width() - layout.margin()) / 2.0;
        canvas.text((middle, bottom + 42.0), &layout.label(&self.column_axis, Anchor::Middle, Ink::Muted));
        if !self.row_axis.is_empty() {
            let text = format::shorten(&format!("↑ {}", self.row_axis), room);
            canvas.text((left - 10.0, bottom + 16.0), &layout.label(&text, Anchor::End, Ink::Muted));
        }
    }
}

/// Words of the columns (last axis) and of the rows (all other axes together).
fn shape(sweep: &SweepInfo) -> (Vec<String>, Vec<String>) {
    let Some((last, others)) = sweep.axes.split_last() else { return (Vec::new(), Vec::new()) };
    let mut rows = vec![String::new()];
    for axis in others {
        let more = |head: &String| -> Vec<String> {
            axis.values
                .iter()
                .map(|v| if head.is_empty() { v.clone() } else { format!("{head}, {v}") })
                .collect()
        };
        rows = rows.iter().flat_map(more).collect();
    }
    (last.values.clone(), rows)
}

fn cells(study: &Study, sweep: &SweepInfo, point: &PointComparison, key: &str) -> Vec<Cell> {
    let columns = sweep.axes.last().map_or(1, |a| a.values.len()).max(1);
    let cell = |(i, name): (usize, &String)| {
        let system = study.systems.iter().position(|s| s.name == *name)?;
        let row = point.row(system)?;
        Some(Cell {
            column: i % columns,
            row: i / columns,
            value: row.value(key)?.mean,
            slo_met: row.slo_met,
            overloaded: row.saturation == Saturation::Overloaded,
        })
    };
    sweep.systems.iter().enumerate().filter_map(cell).collect()
}

fn higher_is_better(key: &str) -> bool {
    column::find(key).is_some_and(|c| c.better == Better::Higher)
}

/// The best cell and those within 1 % of it, among those that meet the SLO where there are any.
fn best_cells(cells: &[Cell], key: &str) -> Vec<usize> {
    let any_meets = cells.iter().any(|c| c.slo_met);
    let judged = || cells.iter().enumerate().filter(|(_, c)| c.slo_met || !any_meets);
    let values = judged().map(|(_, c)| c.value);
    let (low, high) = if higher_is_better(key) {
        let best = values.fold(f64::NEG_INFINITY, f64::max);
        (best * 0.99, best)
    } else {
        let best = values.fold(f64::INFINITY, f64::min);
        (best, best * 1.01)
    };
    judged().filter(|(_, c)| (low..=high).contains(&c.value)).map(|(i, _)| i).collect()
}

/// Opacity by value: logarithmic for latencies, which span decades, linear for rates.
fn shades(cells: &[Cell], key: &str) -> impl Fn(&Cell) -> f64 {
    let higher = higher_is_better(key);
    let scale = move |v: f64| if higher { v } else { -libm::log(v.max(1e-12)) };
    let values = || cells.iter().map(|c| scale(c.value));
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    move |cell: &Cell| {
        let share = if high > low { (scale(cell.value) - low) / (high - low) } else { 0.5 };
        SHADES.0 + share * (SHADES.1 - SHADES.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(value: f64, slo_met: bool) -> Cell {
        Cell { column: 0, row: 0, value, slo_met, overloaded: false }
    }

    #[test]
    fn the_best_cells_meet_the_slo_where_any_does() {
        let cells = [cell(0.1, false), cell(0.3, true), cell(0.2, true)];
        assert_eq!(best_cells(&cells, "ttft_p99_s"), [2]);
        assert_eq!(best_cells(&cells, "goodput_per_s"), [1]);
        assert_eq!(best_cells(&cells[..1], "ttft_p99_s"), [0]);
        assert_eq!(best_cells(&[cell(1.0, true), cell(1.005, true), cell(1.02, true)], "ttft_p99_s"), [0, 1]);
    }

    #[test]
    fn the_best_cell_is_the_darkest() {
        let cells = [cell(0.1, true), cell(0.4, true)];
        let shade = shades(&cells, "ttft_p99_s");
        assert!(shade(&cells[0]) > shade(&cells[1]));
    }
}
