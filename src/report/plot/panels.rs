//! Small multiples: one panel of points per system, all on the same axes.

use super::backend::{Anchor, Canvas, Label};
use super::chart::{Axis, Orientation, ReferenceLine};
use super::figures::Picture;
use super::frame::Frame;
use super::layout::{Layout, draw_title};
use super::style::Ink;
use super::ticks::range;
use crate::report::format;

/// One panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// Its heading.
    pub name: String,
    /// Colour of its points.
    pub ink: Ink,
    /// Its points.
    pub points: Vec<(f64, f64)>,
    /// What stands in its corners: lower left, lower right, upper left, upper right; empty: nothing.
    pub corners: [String; 4],
}

/// Panels in a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Panels {
    /// The finding, as a sentence.
    pub title: String,
    /// Horizontal axis of all panels.
    pub x: Axis,
    /// Vertical axis of all panels.
    pub y: Axis,
    /// Limits in all panels.
    pub lines: Vec<ReferenceLine>,
    /// The panels, row by row.
    pub panels: Vec<Panel>,
}

/// Columns, width and height of a panel.
fn grid(layout: Layout) -> (usize, f64, f64) {
    let columns = if layout.narrow() { 2 } else { 3 };
    let width = (layout.width() - 2.0 * layout.margin()) / columns as f64;
    (columns, width, if layout.narrow() { 176.0 } else { 226.0 })
}

impl Picture for Panels {
    fn title(&self) -> &str {
        &self.title
    }

    fn is_by_system(&self) -> bool {
        true
    }

    fn draw(&self, layout: Layout) -> String {
        let (columns, width, row) = grid(layout);
        let rows = self.panels.len().div_ceil(columns) as f64;
        let height = layout.title_height(&self.title) + rows * row + 66.0;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title);
        canvas.text((layout.margin(), top + 12.0), &layout.label(&self.y.label, Anchor::Start, Ink::Muted));
        for (i, panel) in self.panels.iter().enumerate() {
            let left = layout.margin() + (i % columns) as f64 * width;
            let top = top + 26.0 + (i / columns) as f64 * row;
            let numbers = if layout.narrow() { 46.0 } else { 54.0 };
            let frame = Frame {
                left: left + numbers,
                right: left + width - 10.0,
                top: top + 26.0,
                bottom: top + row - 26.0,
                ..self.frame()
            };
            self.draw_panel(&mut canvas, layout, &frame, panel);
        }
        let middle = layout.width() / 2.0;
        canvas.text((middle, height - 18.0), &layout.label(&self.x.label, Anchor::Middle, Ink::Muted));
        canvas.finish()
    }
}

impl Panels {
    /// A frame that has its axes and not yet its place.
    fn frame(&self) -> Frame {
        let points = || self.panels.iter().flat_map(|p| &p.points);
        let limits = |o: Orientation| self.lines.iter().filter(move |l| l.orientation == o).map(|l| l.at);
        let xs = points().map(|p| p.0).chain(limits(Orientation::Vertical));
        let ys = points().map(|p| p.1).chain(limits(Orientation::Horizontal));
        let x = self.x.range.unwrap_or_else(|| range(self.x.scale, xs));
        let y = self.y.range.unwrap_or_else(|| range(self.y.scale, ys));
        Frame {
            x: (self.x.scale, x.0, x.1),
            y: (self.y.scale, y.0, y.1),
            left: 0.0,
            right: 0.0,
            top: 0.0,
            bottom: 0.0,
        }
    }

    fn draw_panel(&self, canvas: &mut Canvas, layout: Layout, frame: &Frame, panel: &Panel) {
        frame.draw_axes(canvas, layout, &self.x, &self.y);
        let name = format::shorten(&panel.name, layout.characters(frame.right - frame.left));
        let heading = Label { bold: true, ..layout.label(&name, Anchor::Start, Ink::Foreground) };
        canvas.text((frame.left, frame.top - 11.0), &heading);
        let places: Vec<(f64, f64)> = panel.points.iter().map(|&(x, y)| frame.at(x, y)).collect();
        canvas.dots(&places, panel.ink, if layout.narrow() { 2.6 } else { 3.4 }, 0.7);
        for line in &self.lines {
            frame.draw_reference(canvas, line);
        }
        for (i, text) in panel.corners.iter().enumerate().filter(|(_, text)| !text.is_empty()) {
            let (right, upper) = (i % 2 == 1, i / 2 == 1);
            let x = if right { frame.right - 5.0 } else { frame.left + 6.0 };
            let y = if upper { frame.top + 11.0 } else { frame.bottom - 11.0 };
            let anchor = if right { Anchor::End } else { Anchor::Start };
            let ink = if i == 0 { Ink::Foreground } else { Ink::Limit };
            // On a plate of background, so that it can be read above the points.
            let wide = text.chars().count() as f64 * layout.text() * 0.6 + 4.0;
            let from = if right { x - wide } else { x - 2.0 };
            canvas.rect((from, y - 8.0), (from + wide + 2.0, y + 8.0), Ink::Card);
            canvas.text((x, y), &Label { bold: true, ..layout.label(text, anchor, ink) });
        }
    }
}
