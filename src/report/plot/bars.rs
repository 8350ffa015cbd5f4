//! Stacked horizontal bars: where the time went.

use super::backend::{Anchor, Canvas};
use super::chart::{AxisUnit, Scale};
use super::figures::Picture;
use super::layout::{Layout, draw_title};
use super::style::Ink;
use super::ticks::{range, ticks};
use crate::report::format;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct BarRow {
    /// What it stands for.
    pub label: String,
    /// Whether it stands for a bound.
    pub bound: bool,
    /// Whether a new group begins with it.
    pub group: bool,
    /// Whether it is hatched: its hardware profile is derived from a datasheet.
    pub hatched: bool,
    /// One length per part, in the unit of the chart.
    pub parts: Vec<f64>,
}

/// A chart of stacked bars.
#[derive(Clone, Debug, PartialEq)]
pub struct Bars {
    /// The finding, as a sentence.
    pub title: String,
    /// What the lengths are, with their unit.
    pub axis_label: String,
    /// How lengths are printed.
    pub unit: AxisUnit,
    /// Names of the parts, in the order they are stacked.
    pub parts: Vec<String>,
    /// Bars longer than this are cut, and say so.
    pub cut_at: Option<f64>,
    /// Bars from top to bottom.
    pub rows: Vec<BarRow>,
}

/// Where bars begin and end.
#[derive(Clone, Copy)]
struct Span {
    left: f64,
    right: f64,
    /// Seconds at the right end.
    end: f64,
}

impl Span {
    fn place(self, value: f64) -> f64 {
        self.left + (value / self.end).min(1.0) * (self.right - self.left)
    }
}

impl Bars {
    /// Parts that are visible in some bar: at least half a per cent of it.
    fn visible(&self) -> Vec<usize> {
        (0..self.parts.len())
            .filter(|&i| {
                self.rows.iter().any(|row| {
                    let total: f64 = row.parts.iter().sum();
                    row.parts.get(i).is_some_and(|part| *part >= total * 0.005 && *part > 0.0)
                })
            })
            .collect()
    }

    fn span(&self, layout: Layout) -> Span {
        let totals = self.rows.iter().map(|r| r.parts.iter().sum::<f64>());
        let longest = self.cut_at.filter(|cut| *cut > 0.0).unwrap_or(f64::INFINITY);
        let (_, end) = range(Scale::Linear, totals.map(|t| t.min(longest)));
        if layout.narrow() {
            // Labels stand above their bars.
            Span { left: layout.margin(), right: layout.width() - 70.0, end }
        } else {
            Span { left: 262.0, right: layout.width() - 96.0, end }
        }
    }

    /// Heights of all rows: a new group stands a little apart.
    fn row_places(&self, layout: Layout) -> (Vec<f64>, f64) {
        let step = if layout.narrow() { 33.0 } else { 25.0 };
        let mut y = 0.0;
        let mut places = Vec::new();
        for (i, row) in self.rows.iter().enumerate() {
            if row.group && i > 0 {
                y += 9.0;
            }
            places.push(y + step / 2.0);
            y += step;
        }
        (places, y.max(60.0))
    }

    /// What the pointer is told in the middle of each part of a row.
    fn draw_hints(&self, canvas: &mut Canvas, row: &BarRow, y: f64, span: Span) {
        let mut start = 0.0;
        for (part, length) in row.parts.iter().enumerate() {
            let (from, to) = (span.place(start), span.place(start + length));
            if to - from >= 2.0 {
                let text = format!("{} · {}: {}", row.label, self.parts[part], self.unit.text(*length));
                canvas.hint(((from + to) / 2.0, y), Ink::Cause(part), &text);
            }
            start += length;
        }
    }

    /// Entries in stacking order; the y below them.
    fn draw_legend(&self, canvas: &mut Canvas, layout: Layout, visible: &[usize], top: f64) -> f64 {
        let columns = if layout.narrow() { 2 } else { 4 };
        let width = (layout.width() - 2.0 * layout.margin()) / columns as f64;
        for (slot, &part) in visible.iter().enumerate() {
            let x = layout.margin() + (slot % columns) as f64 * width;
            let y = top + (slot / columns) as f64 * 24.0 + 8.0;
            canvas.rect((x, y - 7.0), (x + 16.0, y + 7.0), Ink::Cause(part));
            canvas.text((x + 23.0, y), &layout.label(&self.parts[part], Anchor::Start, Ink::Foreground));
        }
        top + visible.len().div_ceil(columns) as f64 * 24.0
    }
}

impl Picture for Bars {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let visible = self.visible();
        let columns = if layout.narrow() { 2 } else { 4 };
        let legend = visible.len().div_ceil(columns) as f64 * 24.0;
        let (places, rows) = self.row_places(layout);
        let height = layout.title_height(&self.title) + legend + rows + 84.0;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let title_end = draw_title(&mut canvas, layout, &self.title);
        let top = self.draw_legend(&mut canvas, layout, &visible, title_end + 6.0) + 8.0;
        let (bottom, span) = (top + rows, self.span(layout));
        let mut last_end = f64::NEG_INFINITY;
        for tick in ticks(Scale::Linear, self.unit, (0.0, span.end)) {
            let x = span.place(tick.at);
            canvas.line(&[(x, top), (x, bottom)], Ink::Grid, 1.0, 0);
            let half = tick.label.chars().count() as f64 * layout.text() * 0.276;
            if x - half > last_end + 6.0 {
                let label = layout.label(&tick.label, Anchor::Middle, Ink::Foreground);
                canvas.text((x.max(half), bottom + 17.0), &label);
                last_end = x + half;
            }
        }
        for (row, y) in self.rows.iter().zip(places) {
            draw_row(&mut canvas, layout, row, (top + y, self.unit), span);
            self.draw_hints(&mut canvas, row, top + y + if layout.narrow() { 6.0 } else { 0.0 }, span);
        }
        let middle = if layout.narrow() { layout.width() / 2.0 } else { (span.left + span.right) / 2.0 };
        canvas.text((middle, height - 20.0), &layout.label(&self.axis_label, Anchor::Middle, Ink::Muted));
        canvas.finish()
    }
}

/// Rising stripes of background over a rectangle between two corners.
fn hatch(canvas: &mut Canvas, (left, top): (f64, f64), (right, bottom): (f64, f64)) {
    const APART: f64 = 7.0;
    let height = bottom - top;
    let mut foot = left - height + APART / 2.0;
    while foot < right {
        // The stripe from (foot, bottom) to (foot + height, top), cut at both sides.
        let (from, to) = (foot.max(left), (foot + height).min(right));
        canvas.line(&[(from, bottom - (from - foot)), (to, bottom - (to - foot))], Ink::Card, 1.5, 0);
        foot += APART;
    }
}

fn draw_row(canvas: &mut Canvas, layout: Layout, row: &BarRow, (y, unit): (f64, AxisUnit), span: Span) {
    let ink = if row.bound { Ink::Muted } else { Ink::Foreground };
    let (y, thickness) = if layout.narrow() {
        let text = format::shorten(&row.label, layout.characters(layout.width() - 20.0));
        canvas.text((span.left, y - 9.0), &layout.label(&text, Anchor::Start, ink));
        (y + 6.0, 13.0)
    } else {
        let text = format::shorten(&row.label, 34);
        canvas.text((span.left - 10.0, y), &layout.label(&text, Anchor::End, ink));
        (y, 17.0)
    };
    let half = thickness / 2.0;
    let mut start = 0.0;
    for (part, length) in row.parts.iter().enumerate() {
        let (from, to) = (span.place(start), span.place(start + length));
        if to - from >= 0.25 {
            canvas.rect((from, y - half), (to, y + half), Ink::Cause(part));
            // A hair of background keeps neighbours apart for readers who see no colours.
            canvas.rect((to - 0.5, y - half), (to, y + half), Ink::Card);
        }
        start += length;
    }
    if row.hatched {
        hatch(canvas, (span.place(0.0), y - half), (span.place(start), y + half));
    }
    let cut = start * 0.999 >= span.end;
    if cut {
        let tip = [(span.right, y - half), (span.right + 9.0, y), (span.right, y + half)];
        canvas.polygon(&tip, Ink::Muted, 1.0);
    }
    let total = unit.text(start);
    let at = (span.place(start) + if cut { 15.0 } else { 8.0 }, y);
    canvas.text(at, &layout.label(&total, Anchor::Start, ink));
}
