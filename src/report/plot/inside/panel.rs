//! Several small charts in one picture, with one legend: areas, lines, points and boxes over two axes.

use super::super::backend::{Anchor, Canvas, Label};
use super::super::chart::Axis;
use super::super::figures::Picture;
use super::super::frame::Frame;
use super::super::layout::{Layout, draw_title};
use super::super::style::{Ink, Stroke};
use super::super::ticks::range;
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
    /// From one place to another, with a head at its end.
    Arrow((f64, f64), (f64, f64), Ink),
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
    Arrow(Ink),
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

/// Above a frame: its name.
const HEAD: f64 = 34.0;
/// Below a frame.
const FOOT: f64 = 56.0;
/// Left of a frame: numbers.
const NUMBERS: f64 = 64.0;
/// Left of a frame with names.
const NAMES: f64 = 170.0;
const LEGEND_STEP: f64 = 23.0;

/// Left of a frame: numbers.
fn numbers(layout: Layout) -> f64 {
    if layout.narrow() { 48.0 } else { NUMBERS }
}

/// Left of a frame with names.
fn names(layout: Layout) -> f64 {
    if layout.narrow() { 116.0 } else { NAMES }
}

impl Picture for Grid {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let rows = self.rows_in(layout);
        let legend = self.legend.len().div_ceil(columns(layout)) as f64 * LEGEND_STEP + 10.0;
        let panels: f64 = rows.iter().map(|(height, row)| height + HEAD + foot(row)).sum();
        let height = layout.title_height(&self.title) + legend + panels;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let mut y = draw_title(&mut canvas, layout, &self.title);
        y = self.draw_legend(&mut canvas, layout, y);
        for (height, row) in &rows {
            let width = (layout.width() - 2.0 * layout.margin()) / row.len() as f64;
            let gap = if row.len() > 1 { 12.0 } else { 4.0 };
            for (i, panel) in row.iter().enumerate() {
                let left = layout.margin() + i as f64 * width;
                panel.draw(&mut canvas, layout, (left, left + width - gap), (y + HEAD, y + HEAD + height));
            }
            y += height + HEAD + foot(row);
        }
        canvas.finish()
    }
}

/// Columns of the legend.
fn columns(layout: Layout) -> usize {
    if layout.narrow() { 2 } else { 4 }
}

impl Grid {
    /// The rows as they are, or one panel per row on a narrow screen. Panels that share the time axis of those below
    /// them stay above these.
    fn rows_in(&self, layout: Layout) -> Vec<(f64, Vec<&Panel>)> {
        if !layout.narrow() {
            return self.rows.iter().map(|(height, row)| (*height, row.iter().collect())).collect();
        }
        let mut single: Vec<(usize, f64, &Panel)> = Vec::new();
        for (height, row) in &self.rows {
            single.extend(row.iter().enumerate().map(|(column, panel)| (column, *height, panel)));
        }
        if self.rows.first().is_some_and(|(_, row)| row.iter().all(|p| p.x.label.is_empty())) {
            single.sort_by_key(|(column, ..)| *column);
        }
        single.into_iter().map(|(_, height, panel)| (height.min(190.0), vec![panel])).collect()
    }

    fn draw_legend(&self, canvas: &mut Canvas, layout: Layout, top: f64) -> f64 {
        let columns = columns(layout);
        let step = (layout.width() - 2.0 * layout.margin()) / columns as f64;
        let long = if layout.narrow() { 24.0 } else { 30.0 };
        for (slot, (swatch, name)) in self.legend.iter().enumerate() {
            let x = layout.margin() + (slot % columns) as f64 * step;
            let y = top + (slot / columns) as f64 * LEGEND_STEP + 10.0;
            match *swatch {
                Swatch::Line(stroke) => {
                    canvas.line(&[(x, y), (x + long, y)], stroke.ink, width(stroke), stroke.dash);
                    if let Some(kind) = stroke.marker {
                        canvas.marker((x + long / 2.0, y), kind, stroke.ink, 1.0);
                    }
                }
                Swatch::Fill(fill) => fill_box(canvas, (x, y - 7.0), (x + long, y + 7.0), fill),
                Swatch::Arrow(ink) => draw_arrow(canvas, (x, y), (x + long, y), ink),
                Swatch::Point(kind, ink) => canvas.marker((x + long / 2.0, y), kind, ink, 1.0),
            }
            let text = format::shorten(name, layout.characters(step - long - 18.0));
            canvas.text((x + long + 7.0, y), &layout.label(&text, Anchor::Start, Ink::Foreground));
        }
        top + self.legend.len().div_ceil(columns) as f64 * LEGEND_STEP + 6.0
    }
}

/// Room below the frames of a row: for numbers, and for axis labels where there are any.
fn foot(row: &[&Panel]) -> f64 {
    if row.iter().all(|p| p.x.label.is_empty()) { FOOT - 22.0 } else { FOOT }
}

fn width(stroke: Stroke) -> f64 {
    if stroke.strong { 3.0 } else { 1.9 }
}

impl Panel {
    fn draw(
        &self,
        canvas: &mut Canvas,
        layout: Layout,
        (left, right): (f64, f64),
        (top, bottom): (f64, f64),
    ) {
        let frame = self.frame(layout, (left, right), (top, bottom));
        let text = format::shorten(&self.name, layout.characters(right - left));
        let name = Label { bold: true, ..layout.label(&text, Anchor::Start, Ink::Foreground) };
        canvas.text((left, top - 16.0), &name);
        frame.draw_x(canvas, layout, &self.x);
        for (i, row) in self.rows.iter().enumerate() {
            let (_, y) = frame.at(frame.x.1, i as f64 + 0.5);
            let text = format::shorten(row, layout.characters(names(layout) - 9.0));
            canvas.text((frame.left - 9.0, y), &layout.label(&text, Anchor::End, Ink::Foreground));
        }
        if self.rows.is_empty() {
            frame.draw_y(canvas, layout, &self.y);
        }
        let middle = (frame.left + frame.right) / 2.0;
        let label = layout.label(&self.x.label, Anchor::Middle, Ink::Muted);
        canvas.text((middle, frame.bottom + 37.0), &label);
        for layer in &self.layers {
            draw_layer(canvas, layout, &frame, layer);
        }
        frame.draw_corner(canvas);
    }

    fn frame(&self, layout: Layout, (left, right): (f64, f64), (top, bottom): (f64, f64)) -> Frame {
        let points = || self.layers.iter().flat_map(Layer::extent);
        let x = self.x.range.unwrap_or_else(|| range(self.x.scale, points().map(|p| p.0)));
        let y = self.y.range.unwrap_or_else(|| range(self.y.scale, points().map(|p| p.1)));
        let room = if self.rows.is_empty() { numbers(layout) } else { names(layout) };
        Frame {
            x: (self.x.scale, x.0, x.1),
            y: (self.y.scale, y.0, y.1),
            left: left + room,
            right: right - 8.0,
            top,
            bottom,
        }
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
            Layer::Box(from, to, _) | Layer::Arrow(from, to, _) => vec![*from, *to],
            Layer::Mark(..) | Layer::Note(..) => Vec::new(),
        }
    }
}

fn draw_layer(canvas: &mut Canvas, layout: Layout, frame: &Frame, layer: &Layer) {
    match layer {
        Layer::Area(points, fill) => {
            let low: Vec<(f64, f64)> = points.iter().map(|&(x, low, _)| frame.at(x, low)).collect();
            let high: Vec<(f64, f64)> = points.iter().map(|&(x, _, high)| frame.at(x, high)).collect();
            if low.iter().zip(&high).all(|(l, h)| l.1 - h.1 < 0.2) {
                return;
            }
            let outline: Vec<(f64, f64)> = high.iter().copied().chain(low.iter().rev().copied()).collect();
            canvas.polygon(&outline, fill.ink, 1.0);
            hatch(canvas, &low, &high, fill.hatch);
        }
        Layer::Line(points, stroke) => {
            let places: Vec<(f64, f64)> = points.iter().map(|&(x, y)| frame.at(x, y)).collect();
            canvas.line(&places, stroke.ink, width(*stroke), stroke.dash);
            for &place in places.iter().filter(|_| stroke.marker.is_some()) {
                canvas.marker(place, stroke.marker.unwrap_or(0), stroke.ink, 1.0);
            }
        }
        Layer::Points(points, kind, ink) => {
            points.iter().for_each(|&(x, y)| canvas.marker(frame.at(x, y), *kind, *ink, 1.0));
        }
        Layer::Box(from, to, fill) => {
            let (a, b) = (frame.at(from.0, from.1), frame.at(to.0, to.1));
            if (b.0 - a.0).abs() >= 0.4 {
                fill_box(canvas, (a.0, b.1), (b.0, a.1), *fill);
            }
        }
        Layer::Arrow(from, to, ink) => {
            draw_arrow(canvas, frame.at(from.0, from.1), frame.at(to.0, to.1), *ink);
        }
        Layer::Mark(at, text, ink) => {
            let (x, _) = frame.at(*at, frame.y.1);
            canvas.line(&[(x, frame.top), (x, frame.bottom)], *ink, 1.75, 4);
            let (anchor, dx) =
                if x > (frame.left + frame.right) / 2.0 { (Anchor::End, -6.0) } else { (Anchor::Start, 6.0) };
            canvas.text((x + dx, frame.top + 9.0), &layout.label(text, anchor, *ink));
        }
        Layer::Note(at, text, anchor) => {
            let text = format::shorten(text, layout.characters(frame.right - frame.left));
            canvas.text(frame.at(at.0, at.1), &layout.label(&text, *anchor, Ink::Foreground));
        }
    }
}

/// Length and half the width of an arrow's head.
const HEAD_OF_ARROW: (f64, f64) = (6.5, 3.0);

fn draw_arrow(canvas: &mut Canvas, from: (f64, f64), to: (f64, f64), ink: Ink) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = libm::hypot(dx, dy);
    if length < 0.5 {
        return;
    }
    let (ux, uy) = (dx / length, dy / length);
    let (long, half) = (HEAD_OF_ARROW.0.min(length), HEAD_OF_ARROW.1);
    let neck = (to.0 - ux * long, to.1 - uy * long);
    canvas.line(&[from, neck], ink, 1.3, 0);
    let side = |sign: f64| (neck.0 - uy * half * sign, neck.1 + ux * half * sign);
    canvas.polygon(&[to, side(1.0), side(-1.0)], ink, 1.0);
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
