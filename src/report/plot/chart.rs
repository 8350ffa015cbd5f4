//! A chart of lines over two axes, and how it is laid out.

use super::backend::{Anchor, Canvas, Label};
use super::figures::Picture;
use super::frame::{Frame, LIMIT_DASH};
use super::layout::{Layout, draw_title};
use super::style::{Ink, Stroke};
use super::ticks::range;
use crate::report::format;

/// How values map to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences.
    Linear,
    /// Equal steps are equal ratios.
    Log,
    /// Probabilities in [0, 1): equal steps are equal ratios of what lies beyond, so that 90 %, 99 % and 99.9 % are
    /// equally far apart.
    Tail,
}

/// How numbers on an axis are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AxisUnit {
    /// As they are.
    Plain,
    /// As µs, ms or s.
    Seconds,
    /// As per cent.
    Percent,
}

impl AxisUnit {
    /// A value with three digits.
    pub(super) fn text(self, value: f64) -> String {
        match self {
            AxisUnit::Plain => format::digits(value),
            AxisUnit::Seconds => format::seconds(value),
            AxisUnit::Percent => format::percent(value),
        }
    }
}

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// Linear or logarithmic.
    pub scale: Scale,
    /// How numbers are printed.
    pub unit: AxisUnit,
    /// The range; `None`: from the data.
    pub range: Option<(f64, f64)>,
    /// Where its marks are; empty: at round numbers.
    pub marks: Vec<f64>,
}

/// One line with its legend entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Legend entry.
    pub name: String,
    /// How it is drawn.
    pub stroke: Stroke,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
    /// Interval at each x: (x, low, high).
    pub band: Vec<(f64, f64, f64)>,
}

/// Direction of a reference line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    /// At a fixed y.
    Horizontal,
    /// At a fixed x.
    Vertical,
}

/// A line at a fixed value, such as a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct ReferenceLine {
    /// Its direction.
    pub orientation: Orientation,
    /// Its value.
    pub at: f64,
    /// What it stands for.
    pub label: String,
}

/// A chart of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct Chart {
    /// The finding, as a sentence.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Lines, later ones on top.
    pub series: Vec<Series>,
    /// Limits and the like.
    pub lines: Vec<ReferenceLine>,
}

/// Points of a series at most that tell what they are.
const HINTS: usize = 20;
/// Width kept for the legend where it stands beside the frame.
const LEGEND_WIDTH: f64 = 190.0;
/// Height of a line of the legend.
const LEGEND_LINE: f64 = 25.0;
/// Height of a line of the legend below the frame, which has two columns.
const NARROW_LINE: f64 = 21.0;

impl Picture for Chart {
    fn title(&self) -> &str {
        &self.title
    }

    fn is_by_system(&self) -> bool {
        true
    }

    fn draw(&self, layout: Layout) -> String {
        let entries = self.entries();
        let below = if layout.narrow() { entries.len().div_ceil(2) as f64 * NARROW_LINE } else { 0.0 };
        let height = layout.title_height(&self.title) + layout.height() + below;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title);
        let bottom = height - below;
        let frame = self.frame(layout, top, bottom);
        frame.draw_axes(&mut canvas, layout, &self.x, &self.y);
        let middle = (frame.left + frame.right) / 2.0;
        canvas.text((middle, bottom - 16.0), &layout.label(&self.x.label, Anchor::Middle, Ink::Muted));
        let label = layout.label(&self.y.label, Anchor::Start, Ink::Muted);
        canvas.text((layout.margin(), frame.top - 18.0), &label);
        for series in &self.series {
            draw_band(&mut canvas, &frame, series);
        }
        for line in &self.lines {
            frame.draw_reference(&mut canvas, line);
        }
        for series in &self.series {
            draw_series(&mut canvas, &frame, series);
        }
        for series in &self.series {
            self.draw_hints(&mut canvas, &frame, series);
        }
        for (i, (stroke, name)) in entries.into_iter().enumerate() {
            draw_entry(&mut canvas, layout, legend_place(layout, &frame, bottom, i), stroke, name);
        }
        canvas.finish()
    }
}

impl Chart {
    fn frame(&self, layout: Layout, top: f64, bottom: f64) -> Frame {
        let reference = |o: Orientation| self.lines.iter().filter(move |l| l.orientation == o).map(|l| l.at);
        let xs = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
        let ys = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
        let xs = xs.chain(reference(Orientation::Vertical));
        let ys = ys.chain(reference(Orientation::Horizontal));
        let x = self.x.range.unwrap_or_else(|| range(self.x.scale, xs));
        let y = self.y.range.unwrap_or_else(|| range(self.y.scale, ys));
        let beside = if layout.narrow() { 12.0 } else { layout.margin() + LEGEND_WIDTH + 18.0 };
        Frame {
            x: (self.x.scale, x.0, x.1),
            y: (self.y.scale, y.0, y.1),
            left: if layout.narrow() { 54.0 } else { 78.0 },
            right: layout.width() - beside,
            top: top + 30.0,
            bottom: bottom - 54.0,
        }
    }

    /// What the pointer is told at the points of a series, at some of them where there are many.
    fn draw_hints(&self, canvas: &mut Canvas, frame: &Frame, series: &Series) {
        let every = series.points.len().div_ceil(HINTS).max(1);
        for &(x, y) in series.points.iter().step_by(every).filter(|_| !series.name.is_empty()) {
            let text = format!(
                "{} · {}: {} · {}: {}",
                series.name,
                plain(&self.y.label),
                self.y.unit.text(y),
                plain(&self.x.label),
                self.x.unit.text(x)
            );
            canvas.hint(frame.at(x, y), series.stroke.ink, &text);
        }
    }

    /// Series and limits as the legend names them; series without a name are told by their neighbours.
    fn entries(&self) -> Vec<(Stroke, &str)> {
        let limit = Stroke { ink: Ink::Limit, dash: LIMIT_DASH, marker: None, ..Stroke::plain(Ink::Limit) };
        let series = self.series.iter().map(|s| (s.stroke, s.name.as_str()));
        let limits = self.lines.iter().map(|l| (limit, l.label.as_str()));
        series.chain(limits).filter(|(_, name)| !name.is_empty()).collect()
    }
}

/// The label of an axis without how it is drawn.
fn plain(label: &str) -> &str {
    label.trim_end_matches(" (log scale)")
}

/// Beside the frame where no data is, or in two columns below it.
fn legend_place(layout: Layout, frame: &Frame, bottom: f64, i: usize) -> (f64, f64) {
    if layout.narrow() {
        let column = (layout.width() - 2.0 * layout.margin()) / 2.0;
        let row = (i / 2) as f64;
        (layout.margin() + (i % 2) as f64 * column, bottom + 8.0 + row * NARROW_LINE)
    } else {
        let x = layout.width() - layout.margin() - LEGEND_WIDTH;
        (x, frame.top + 8.0 + i as f64 * LEGEND_LINE)
    }
}

fn draw_entry(canvas: &mut Canvas, layout: Layout, (x, y): (f64, f64), stroke: Stroke, name: &str) {
    let length = if layout.narrow() { 26.0 } else { 34.0 };
    if stroke.line {
        canvas.line(&[(x, y), (x + length, y)], stroke.ink, width(stroke), stroke.dash);
    }
    if let Some(kind) = stroke.marker {
        canvas.marker((x + length / 2.0, y), kind, stroke.ink, 1.0);
    }
    let room = if layout.narrow() { layout.width() / 2.0 - 44.0 } else { LEGEND_WIDTH - length - 8.0 };
    let text = format::shorten(name, layout.characters(room));
    let label = Label { bold: stroke.strong, ..layout.label(&text, Anchor::Start, Ink::Foreground) };
    canvas.text((x + length + 8.0, y), &label);
}

pub(super) fn width(stroke: Stroke) -> f64 {
    if stroke.strong { 3.25 } else { 2.25 }
}

fn draw_band(canvas: &mut Canvas, frame: &Frame, series: &Series) {
    let upper = series.band.iter().map(|&(x, _, high)| frame.at(x, high));
    let lower = series.band.iter().rev().map(|&(x, low, _)| frame.at(x, low));
    let outline: Vec<(f64, f64)> = upper.chain(lower).collect();
    canvas.polygon(&outline, series.stroke.ink, 0.16);
}

fn draw_series(canvas: &mut Canvas, frame: &Frame, series: &Series) {
    let places: Vec<(f64, f64)> = series.points.iter().map(|&(x, y)| frame.at(x, y)).collect();
    let opacity = if series.stroke.pale { 0.4 } else { 1.0 };
    if series.stroke.line {
        let width = width(series.stroke) * if series.stroke.pale { 0.6 } else { 1.0 };
        canvas.faint_line(&places, series.stroke.ink, width, series.stroke.dash, opacity);
    }
    if let Some(kind) = series.stroke.marker {
        for place in &places {
            canvas.marker(*place, kind, series.stroke.ink, opacity);
        }
    }
}
