//! Several small charts in one picture, with one legend: areas, lines, points and boxes over two axes.

use super::super::backend::{Anchor, Canvas, Label, WIDTH};
use super::super::chart::{Axis, Scale, draw_title};
use super::super::style::{Ink, Stroke};
use super::super::ticks::{Tick, range, ticks};
use crate::report::format;

/// How an area is filled: a colour, and lines that tell it apart without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fill {
    pub ink: Ink,
    /// 0 plain, 1 upright lines, 2 close lines, 3 dotted lines.
    pub hatch: usize,
}

/// What a panel shows, in drawing order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layer {
    /// Between two curves: (x, low, high).
    Area(Vec<(f64, f64, f64)>, Fill),
    Line(Vec<(f64, f64)>, Stroke),
    /// Single points: marker kind and colour.
    Points(Vec<(f64, f64)>, usize, Ink),
    /// A filled box between two corners, in values.
    Box((f64, f64), (f64, f64), Fill),
    /// A line at an x with a text at its top.
    Mark(f64, String, Ink),
    /// A text at a place.
    Note((f64, f64), String, Anchor),
}

/// One small chart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Panel {
    /// What it is, above its frame.
    pub name: String,
    pub x: Axis,
    pub y: Axis,
    /// Names at y = 0.5, 1.5, … from the bottom, instead of numbers.
    pub rows: Vec<String>,
    pub layers: Vec<Layer>,
}

/// A sample in the legend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Swatch {
    Line(Stroke),
    Fill(Fill),
    Point(usize, Ink),
}

/// The picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Grid {
    /// The finding, as a sentence.
    pub title: String,
    /// Rows of panels, with the height of their frames.
    pub rows: Vec<(f64, Vec<Panel>)>,
    pub legend: Vec<(Swatch, String)>,
}

/// Outer margin.
const MARGIN: f64 = 24.0;
/// Above a frame: its name.
const HEAD: f64 = 34.0;
/// Below a frame.
const FOOT: f64 = 56.0;
/// Left of a frame: numbers.
const NUMBERS: f64 = 64.0;
/// Left of a frame with names.
const NAMES: f64 = 170.0;
const LEGEND_COLUMNS: usize = 4;
const LEGEND_STEP: f64 = 23.0;

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
        let share = match scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => libm::log(value.max(low * 1e-3) / low) / libm::log(high / low),
        };
        share.clamp(0.0, 1.0)
    }

    /// The place of a point; values outside the axes are put on the frame's edge.
    fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (
            self.left + Frame::share(self.x, x) * (self.right - self.left),
            self.bottom - Frame::share(self.y, y) * (self.bottom - self.top),
        )
    }
}

fn label(text: &str, anchor: Anchor, ink: Ink) -> Label<'_> {
    Label { text, size: 14.0, ink, anchor, bold: false }
}

impl Grid {
    /// The picture as a stand-alone SVG, 960 wide.
    pub fn to_svg(&self) -> String {
        let lines = format::wrap(&self.title, 80).len().min(3) as f64;
        let legend = self.legend.len().div_ceil(LEGEND_COLUMNS) as f64 * LEGEND_STEP + 10.0;
        let panels: f64 = self.rows.iter().map(|(height, row)| height + HEAD + foot(row)).sum();
        let mut canvas = Canvas::new(lines * 25.0 + 16.0 + legend + panels, &self.title);
        let mut y = draw_title(&mut canvas, &self.title) - 6.0;
        y = self.draw_legend(&mut canvas, y);
        for (height, row) in &self.rows {
            let width = (WIDTH - 2.0 * MARGIN) / row.len() as f64;
            for (i, panel) in row.iter().enumerate() {
                let left = MARGIN + i as f64 * width;
                panel.draw(&mut canvas, (left, left + width - 12.0), (y + HEAD, y + HEAD + height));
            }
            y += height + HEAD + foot(row);
        }
        canvas.finish()
    }

    fn draw_legend(&self, canvas: &mut Canvas, top: f64) -> f64 {
        let step = (WIDTH - 2.0 * MARGIN) / LEGEND_COLUMNS as f64;
        for (slot, (swatch, name)) in self.legend.iter().enumerate() {
            let x = MARGIN + (slot % LEGEND_COLUMNS) as f64 * step;
            let y = top + (slot / LEGEND_COLUMNS) as f64 * LEGEND_STEP + 10.0;
            match *swatch {
                Swatch::Line(stroke) => {
                    canvas.line(&[(x, y), (x + 30.0, y)], stroke.ink, width(stroke), stroke.dash);
                    if let Some(kind) = stroke.marker {
                        canvas.marker((x + 15.0, y), kind, stroke.ink);
                    }
                }
                Swatch::Fill(fill) => fill_box(canvas, (x, y - 7.0), (x + 30.0, y + 7.0), fill),
                Swatch::Point(kind, ink) => canvas.marker((x + 15.0, y), kind, ink),
            }
            let text = format::shorten(name, 25);
            canvas.text((x + 37.0, y), &label(&text, Anchor::Start, Ink::Foreground));
        }
        top + self.legend.len().div_ceil(LEGEND_COLUMNS) as f64 * LEGEND_STEP + 6.0
    }
}

/// Room below the frames of a row: for numbers, and for axis labels where there are any.
fn foot(row: &[Panel]) -> f64 {
    if row.iter().all(|p| p.x.label.is_empty()) { FOOT - 22.0 } else { FOOT }
}

fn width(stroke: Stroke) -> f64 {
    if stroke.strong { 3.0 } else { 1.9 }
}

impl Panel {
    fn draw(&self, canvas: &mut Canvas, (left, right): (f64, f64), (top, bottom): (f64, f64)) {
        let frame = self.frame((left, right), (top, bottom));
        let name = Label { bold: true, ..label(&self.name, Anchor::Start, Ink::Foreground) };
        canvas.text((left, top - 16.0), &name);
        self.draw_axes(canvas, &frame);
        for layer in &self.layers {
            draw_layer(canvas, &frame, layer);
        }
        let corner = [(frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom)];
        canvas.line(&corner, Ink::Muted, 1.25, 0);
    }

    fn frame(&self, (left, right): (f64, f64), (top, bottom): (f64, f64)) -> Frame {
        let points = || self.layers.iter().flat_map(Layer::extent);
        let x = self.x.range.unwrap_or_else(|| range(self.x.scale, points().map(|p| p.0)));
        let y = self.y.range.unwrap_or_else(|| range(self.y.scale, points().map(|p| p.1)));
        let numbers = if self.rows.is_empty() { NUMBERS } else { NAMES };
        Frame {
            x: (self.x.scale, x.0, x.1),
            y: (self.y.scale, y.0, y.1),
            left: left + numbers,
            right: right - 8.0,
            top,
            bottom,
        }
    }

    fn draw_axes(&self, canvas: &mut Canvas, frame: &Frame) {
        let x_ticks: Vec<Tick> = match self.x.marks.as_slice() {
            [] => ticks(frame.x.0, self.x.unit, (frame.x.1, frame.x.2)),
            marks => marks.iter().map(|&at| Tick { at, label: format::digits(at) }).collect(),
        };
        let mut last_end = f64::NEG_INFINITY;
        for tick in &x_ticks {
            let (x, _) = frame.at((tick.at, frame.y.1));
            canvas.line(&[(x, frame.top), (x, frame.bottom)], Ink::Grid, 1.0, 0);
            let half = tick.label.chars().count() as f64 * 4.0;
            if x - half > last_end + 6.0 && !tick.label.is_empty() {
                canvas.text((x, frame.bottom + 15.0), &label(&tick.label, Anchor::Middle, Ink::Foreground));
                last_end = x + half;
            }
        }
        for (i, row) in self.rows.iter().enumerate() {
            let (_, y) = frame.at((frame.x.1, i as f64 + 0.5));
            let text = format::shorten(row, 20);
            canvas.text((frame.left - 9.0, y), &label(&text, Anchor::End, Ink::Foreground));
        }
        let y_ticks = if self.rows.is_empty() {
            ticks(frame.y.0, self.y.unit, (frame.y.1, frame.y.2))
        } else {
            Vec::new()
        };
        let mut last = f64::INFINITY;
        for tick in y_ticks {
            let (_, y) = frame.at((frame.x.1, tick.at));
            canvas.line(&[(frame.left, y), (frame.right, y)], Ink::Grid, 1.0, 0);
            if last - y >= 16.0 && !tick.label.is_empty() {
                canvas.text((frame.left - 8.0, y), &label(&tick.label, Anchor::End, Ink::Foreground));
                last = y;
            }
        }
        let middle = (frame.left + frame.right) / 2.0;
        canvas.text((middle, frame.bottom + 37.0), &label(&self.x.label, Anchor::Middle, Ink::Muted));
    }
}

impl Layer {
    /// Values that the axes must hold.
    fn extent(&self) -> Vec<(f64, f64)> {
        match self {
            Layer::Area(points, _) => {
                points.iter().flat_map(|&(x, low, high)| [(x, low), (x, high)]).collect()
            }
            Layer::Line(points, _) | Layer::Points(points, ..) => points.clone(),
            Layer::Box(from, to, _) => vec![*from, *to],
            Layer::Mark(..) | Layer::Note(..) => Vec::new(),
        }
    }
}

fn draw_layer(canvas: &mut Canvas, frame: &Frame, layer: &Layer) {
    match layer {
        Layer::Area(points, fill) => {
            let low: Vec<(f64, f64)> = points.iter().map(|&(x, low, _)| frame.at((x, low))).collect();
            let high: Vec<(f64, f64)> = points.iter().map(|&(x, _, high)| frame.at((x, high))).collect();
            if low.iter().zip(&high).all(|(l, h)| l.1 - h.1 < 0.2) {
                return;
            }
            let outline: Vec<(f64, f64)> = high.iter().copied().chain(low.iter().rev().copied()).collect();
            canvas.polygon(&outline, fill.ink, 1.0);
            hatch(canvas, &low, &high, fill.hatch);
        }
        Layer::Line(points, stroke) => {
            let places: Vec<(f64, f64)> = points.iter().map(|&p| frame.at(p)).collect();
            canvas.line(&places, stroke.ink, width(*stroke), stroke.dash);
            for &place in places.iter().filter(|_| stroke.marker.is_some()) {
                canvas.marker(place, stroke.marker.unwrap_or(0), stroke.ink);
            }
        }
        Layer::Points(points, kind, ink) => {
            points.iter().for_each(|&p| canvas.marker(frame.at(p), *kind, *ink));
        }
        Layer::Box(from, to, fill) => {
            let (a, b) = (frame.at(*from), frame.at(*to));
            if (b.0 - a.0).abs() >= 0.4 {
                fill_box(canvas, (a.0, b.1), (b.0, a.1), *fill);
            }
        }
        Layer::Mark(at, text, ink) => {
            let (x, _) = frame.at((*at, frame.y.1));
            canvas.line(&[(x, frame.top), (x, frame.bottom)], *ink, 1.75, 4);
            let (anchor, dx) =
                if x > (frame.left + frame.right) / 2.0 { (Anchor::End, -6.0) } else { (Anchor::Start, 6.0) };
            canvas.text((x + dx, frame.top + 9.0), &label(text, anchor, *ink));
        }
        Layer::Note(at, text, anchor) => {
            canvas.text(frame.at(*at), &label(text, *anchor, Ink::Foreground));
        }
    }
}

fn fill_box(canvas: &mut Canvas, from: (f64, f64), to: (f64, f64), fill: Fill) {
    canvas.rect(from, to, fill.ink);
    let side = |y: f64| [(from.0, y), (to.0, y)];
    hatch(canvas, &side(to.1), &side(from.1), fill.hatch);
}

/// Upright lines in the colour of the background between two curves.
fn hatch(canvas: &mut Canvas, low: &[(f64, f64)], high: &[(f64, f64)], kind: usize) {
    let (step, dash) = match kind {
        1 => (10.0, 0),
        2 => (5.0, 0),
        3 => (6.0, 2),
        _ => return,
    };
    let (Some(first), Some(last)) = (low.first(), low.last()) else { return };
    let mut x = first.0 + step / 2.0;
    while x < last.0 {
        let (bottom, top) = (height_at(low, x), height_at(high, x));
        if bottom - top >= 1.0 {
            canvas.line(&[(x, bottom), (x, top)], Ink::Card, 1.2, dash);
        }
        x += step;
    }
}

/// The y of a curve at `x`, straight between its points.
fn height_at(curve: &[(f64, f64)], x: f64) -> f64 {
    let after = curve.partition_point(|p| p.0 < x);
    match (after.checked_sub(1).and_then(|i| curve.get(i)), curve.get(after)) {
        (Some(a), Some(b)) if b.0 > a.0 => a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0),
        (Some(a), _) => a.1,
        (None, Some(b)) => b.1,
        (None, None) => 0.0,
    }
}
