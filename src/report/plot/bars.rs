//! Stacked horizontal bars: where the time went, per system.

use super::backend::{Anchor, Canvas, HEIGHT, Label, WIDTH};
use super::chart::{AxisUnit, Scale, draw_title};
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
    /// One length per part.
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

const LEFT: f64 = 262.0;
const RIGHT: f64 = WIDTH - 96.0;
const ROW_MIN: f64 = 24.0;

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

    /// The chart as a stand-alone SVG: 960 × 540, higher when there are many bars.
    pub fn to_svg(&self) -> String {
        let visible = self.visible();
        let legend_rows = visible.len().div_ceil(4) as f64;
        let frame_height = (self.rows.len() as f64 * ROW_MIN).max(60.0);
        let height = HEIGHT.max(frame_height + legend_rows * 24.0 + 170.0);
        let mut canvas = Canvas::new(height, &self.title);
        let title_end = draw_title(&mut canvas, &self.title);
        let legend_end = self.draw_legend(&mut canvas, &visible, title_end + 6.0);
        let (top, bottom) = (legend_end + 8.0, height - 66.0);
        let totals = self.rows.iter().map(|r| r.parts.iter().sum::<f64>());
        let longest = self.cut_at.filter(|cut| *cut > 0.0).unwrap_or(f64::INFINITY);
        let (_, end) = range(Scale::Linear, totals.map(|t| t.min(longest)));
        let place = |value: f64| LEFT + (value / end).min(1.0) * (RIGHT - LEFT);
        for tick in ticks(Scale::Linear, self.unit, (0.0, end)) {
            let x = place(tick.at);
            canvas.line(&[(x, top), (x, bottom)], Ink::Grid, 1.0, 0);
            let label = Label {
                text: &tick.label,
                size: 14.5,
                ink: Ink::Foreground,
                anchor: Anchor::Middle,
                bold: false,
            };
            canvas.text((x, bottom + 17.0), &label);
        }
        let step = (bottom - top) / self.rows.len().max(1) as f64;
        for (i, row) in self.rows.iter().enumerate() {
            draw_row(
                &mut canvas,
                row,
                self.unit,
                (top + (i as f64 + 0.5) * step, step.min(46.0) * 0.7),
                &place,
            );
        }
        let axis = Label {
            text: &self.axis_label,
            size: 14.5,
            ink: Ink::Muted,
            anchor: Anchor::Middle,
            bold: false,
        };
        canvas.text(((LEFT + RIGHT) / 2.0, height - 20.0), &axis);
        canvas.finish()
    }

    /// Entries in stacking order, four in a row.
    fn draw_legend(&self, canvas: &mut Canvas, visible: &[usize], top: f64) -> f64 {
        for (slot, &part) in visible.iter().enumerate() {
            let x = 24.0 + (slot % 4) as f64 * 228.0;
            let y = top + (slot / 4) as f64 * 24.0 + 8.0;
            canvas.rect((x, y - 7.0), (x + 16.0, y + 7.0), Ink::Cause(part));
            let text = self.parts[part].as_str();
            let label = Label { text, size: 14.5, ink: Ink::Foreground, anchor: Anchor::Start, bold: false };
            canvas.text((x + 23.0, y), &label);
        }
        top + visible.len().div_ceil(4) as f64 * 24.0
    }
}

fn draw_row(
    canvas: &mut Canvas,
    row: &BarRow,
    unit: AxisUnit,
    (y, thickness): (f64, f64),
    place: &dyn Fn(f64) -> f64,
) {
    let ink = if row.bound { Ink::Muted } else { Ink::Foreground };
    let text = format::shorten(&row.label, 34);
    let size = if thickness < 14.0 { 12.0 } else { 14.5 };
    canvas.text((LEFT - 10.0, y), &Label { text: &text, size, ink, anchor: Anchor::End, bold: false });
    let mut start = 0.0;
    for (part, length) in row.parts.iter().enumerate() {
        let (from, to) = (place(start), place(start + length));
        if to - from >= 0.25 {
            canvas.rect((from, y - thickness / 2.0), (to, y + thickness / 2.0), Ink::Cause(part));
            // A hair of background keeps neighbours apart for readers who see no colours.
            canvas.rect((to - 0.5, y - thickness / 2.0), (to, y + thickness / 2.0), Ink::Card);
        }
        start += length;
    }
    let cut = place(start * 0.999) >= RIGHT;
    if cut {
        let half = thickness / 2.0;
        canvas.polygon(&[(RIGHT, y - half), (RIGHT + 9.0, y), (RIGHT, y + half)], Ink::Muted, 1.0);
    }
    let total = match unit {
        AxisUnit::Seconds => format::seconds(start),
        AxisUnit::Plain => format::digits(start),
        AxisUnit::Percent => format::percent(start),
    };
    let at = (place(start) + if cut { 15.0 } else { 8.0 }, y);
    canvas.text(at, &Label { text: &total, size, ink, anchor: Anchor::Start, bold: false });
}
