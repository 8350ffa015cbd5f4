//! A chart of lines over two axes, and how it is laid out.

use super::backend::{Anchor, Canvas, HEIGHT, Label, WIDTH};
use super::style::{Ink, Stroke};
use super::ticks::{Tick, range, ticks};
use crate::report::format;

/// How values map to places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps are equal differences.
    Linear,
    /// Equal steps are equal ratios.
    Log,
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

/// Width kept for the legend.
const LEGEND_WIDTH: f64 = 190.0;
/// Outer margin.
const MARGIN: f64 = 24.0;

/// Where values are in the picture.
struct Frame {
    x: (Scale, f64, f64),
    y: (Scale, f64, f64),
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    fn share((scale, low, high): (Scale, f64, f64), value: f64) -> f64 {
        match scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => libm::log(value.max(low * 1e-3) / low) / libm::log(high / low),
        }
    }

    /// The place of a point; values outside the axes are put on the frame's edge, where the line shows they leave.
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = Frame::share(self.x, x).clamp(0.0, 1.0);
        let up = Frame::share(self.y, y).clamp(0.0, 1.0);
        (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))
    }
}

/// Draws the title, at most three lines; the y below it.
pub(super) fn draw_title(canvas: &mut Canvas, title: &str) -> f64 {
    let mut y = 26.0;
    for line in format::wrap(title, 80).iter().take(3) {
        let label = Label { text: line, size: 19.0, ink: Ink::Foreground, anchor: Anchor::Start, bold: true };
        canvas.text((MARGIN, y), &label);
        y += 25.0;
    }
    y
}

impl Chart {
    /// The chart as a stand-alone SVG, 960 × 540.
    pub fn to_svg(&self) -> String {
        let mut canvas = Canvas::new(HEIGHT, &self.title);
        let top = draw_title(&mut canvas, &self.title);
        let frame = self.frame(top);
        self.draw_axes(&mut canvas, &frame);
        for series in &self.series {
            draw_band(&mut canvas, &frame, series);
        }
        for line in &self.lines {
            draw_reference(&mut canvas, &frame, line);
        }
        for series in &self.series {
            draw_series(&mut canvas, &frame, series);
        }
        self.draw_legend(&mut canvas, &frame);
        canvas.finish()
    }

    fn frame(&self, top: f64) -> Frame {
        let reference = |o: Orientation| self.lines.iter().filter(move |l| l.orientation == o).map(|l| l.at);
        let xs = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0));
        let ys = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.1));
        let xs = xs.chain(reference(Orientation::Vertical));
        let ys = ys.chain(reference(Orientation::Horizontal));
        let x = self.x.range.unwrap_or_else(|| range(self.x.scale, xs));
        let y = self.y.range.unwrap_or_else(|| range(self.y.scale, ys));
        Frame {
            x: (self.x.scale, x.0, x.1),
            y: (self.y.scale, y.0, y.1),
            left: 78.0,
            right: WIDTH - MARGIN - LEGEND_WIDTH - 18.0,
            top: top + 28.0,
            bottom: HEIGHT - 66.0,
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas, frame: &Frame) {
        let x_ticks: Vec<Tick> = match self.x.marks.as_slice() {
            [] => ticks(frame.x.0, self.x.unit, (frame.x.1, frame.x.2)),
            marks => marks.iter().map(|&at| Tick { at, label: format::digits(at) }).collect(),
        };
        let mut last_end = f64::NEG_INFINITY;
        for tick in &x_ticks {
            let (x, _) = frame.at(tick.at, frame.y.1);
            canvas.line(&[(x, frame.top), (x, frame.bottom)], Ink::Grid, 1.0, 0);
            let half = tick.label.chars().count() as f64 * 4.0;
            if x - half > last_end + 6.0 && !tick.label.is_empty() {
                canvas.text(
                    (x, frame.bottom + 17.0),
                    &axis_label(&tick.label, Anchor::Middle, Ink::Foreground),
                );
                last_end = x + half;
            }
        }
        for tick in ticks(frame.y.0, self.y.unit, (frame.y.1, frame.y.2)) {
            let (_, y) = frame.at(frame.x.1, tick.at);
            canvas.line(&[(frame.left, y), (frame.right, y)], Ink::Grid, 1.0, 0);
            canvas.text((frame.left - 9.0, y), &axis_label(&tick.label, Anchor::End, Ink::Foreground));
        }
        let corner = [(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)];
        canvas.line(&corner, Ink::Muted, 1.25, 0);
        let middle = (frame.left + frame.right) / 2.0;
        canvas.text((middle, HEIGHT - 20.0), &axis_label(&self.x.label, Anchor::Middle, Ink::Muted));
        canvas.text((MARGIN, frame.top - 18.0), &axis_label(&self.y.label, Anchor::Start, Ink::Muted));
    }

    /// Series and limits beside the frame, where no data is.
    fn draw_legend(&self, canvas: &mut Canvas, frame: &Frame) {
        let limit = Stroke { ink: Ink::Limit, dash: LIMIT_DASH, marker: None, strong: false };
        let series = self.series.iter().map(|s| (s.stroke, s.name.as_str()));
        let limits = self.lines.iter().map(|l| (limit, l.label.as_str()));
        let entries: Vec<(Stroke, &str)> = series.chain(limits).collect();
        let x = WIDTH - MARGIN - LEGEND_WIDTH;
        let step = (25.0_f64).min((frame.bottom - frame.top) / entries.len().max(1) as f64);
        for (i, (stroke, name)) in entries.into_iter().enumerate() {
            let y = frame.top + 8.0 + i as f64 * step;
            canvas.line(&[(x, y), (x + 34.0, y)], stroke.ink, width(stroke), stroke.dash);
            if let Some(kind) = stroke.marker {
                canvas.marker((x + 17.0, y), kind, stroke.ink);
            }
            let text = format::shorten(name, 21);
            let label = Label {
                text: &text,
                size: 14.5,
                ink: Ink::Foreground,
                anchor: Anchor::Start,
                bold: stroke.strong,
            };
            canvas.text((x + 42.0, y), &label);
        }
    }
}

/// Dash pattern of limits.
const LIMIT_DASH: usize = 4;

fn axis_label(text: &str, anchor: Anchor, ink: Ink) -> Label<'_> {
    Label { text, size: 14.5, ink, anchor, bold: false }
}

fn width(stroke: Stroke) -> f64 {
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
    canvas.line(&places, series.stroke.ink, width(series.stroke), series.stroke.dash);
    if let Some(kind) = series.stroke.marker {
        for place in &places {
            canvas.marker(*place, kind, series.stroke.ink);
        }
    }
}

fn draw_reference(canvas: &mut Canvas, frame: &Frame, line: &ReferenceLine) {
    let ends = match line.orientation {
        Orientation::Horizontal => {
            let (_, y) = frame.at(frame.x.1, line.at);
            [(frame.left, y), (frame.right, y)]
        }
        Orientation::Vertical => {
            let (x, _) = frame.at(line.at, frame.y.1);
            [(x, frame.top), (x, frame.bottom)]
        }
    };
    canvas.line(&ends, Ink::Limit, 2.0, LIMIT_DASH);
}
