//! The frame of a chart: where values are, its axes and limits.

use super::backend::{Anchor, Canvas};
use super::chart::{Axis, Orientation, ReferenceLine, Scale};
use super::layout::Layout;
use super::style::Ink;
use super::ticks::{Tick, ticks};
use crate::report::format;

/// Where values are in the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub x: (Scale, f64, f64),
    pub y: (Scale, f64, f64),
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// Dash pattern of limits.
pub(super) const LIMIT_DASH: usize = 4;

impl Frame {
    fn share((scale, low, high): (Scale, f64, f64), value: f64) -> f64 {
        match scale {
            Scale::Linear => (value - low) / (high - low),
            Scale::Log => libm::log(value.max(low * 1e-3) / low) / libm::log(high / low),
            Scale::Tail => {
                let place = |p: f64| -libm::log10((1.0 - p).max(1e-9));
                (place(value) - place(low)) / (place(high) - place(low))
            }
        }
    }

    /// The place of a point; values outside the axes are put on the frame's edge, where the line shows they leave.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let across = Frame::share(self.x, x).clamp(0.0, 1.0);
        let up = Frame::share(self.y, y).clamp(0.0, 1.0);
        (self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top))
    }

    /// Grid, numbers and the corner of the axes. Labels of the axes are left to the caller.
    pub fn draw_axes(&self, canvas: &mut Canvas, layout: Layout, x: &Axis, y: &Axis) {
        self.draw_x(canvas, layout, x);
        self.draw_y(canvas, layout, y);
        self.draw_corner(canvas);
    }

    /// Grid and numbers of the horizontal axis.
    pub fn draw_x(&self, canvas: &mut Canvas, layout: Layout, x: &Axis) {
        let x_ticks: Vec<Tick> = match x.marks.as_slice() {
            [] => ticks(self.x.0, x.unit, (self.x.1, self.x.2)),
            marks => marks.iter().map(|&at| Tick { at, label: format::digits(at) }).collect(),
        };
        let mut last_end = f64::NEG_INFINITY;
        for tick in &x_ticks {
            let (x, _) = self.at(tick.at, self.y.1);
            canvas.line(&[(x, self.top), (x, self.bottom)], Ink::Grid, 1.0, 0);
            let half = tick.label.chars().count() as f64 * layout.text() * 0.3;
            if x - half > last_end + 8.0 && x + half < canvas.width() && !tick.label.is_empty() {
                let label = layout.label(&tick.label, Anchor::Middle, Ink::Foreground);
                canvas.text((x, self.bottom + 17.0), &label);
                last_end = x + half;
            }
        }
    }

    /// Grid and numbers of the vertical axis.
    pub fn draw_y(&self, canvas: &mut Canvas, layout: Layout, y: &Axis) {
        let mut last_top = f64::INFINITY;
        for tick in ticks(self.y.0, y.unit, (self.y.1, self.y.2)) {
            let (_, y) = self.at(self.x.1, tick.at);
            canvas.line(&[(self.left, y), (self.right, y)], Ink::Grid, 1.0, 0);
            if y < last_top - layout.text() {
                canvas.text((self.left - 7.0, y), &layout.label(&tick.label, Anchor::End, Ink::Foreground));
                last_top = if tick.label.is_empty() { last_top } else { y };
            }
        }
    }

    /// Where the axes meet.
    pub fn draw_corner(&self, canvas: &mut Canvas) {
        let corner = [(self.left, self.top), (self.left, self.bottom), (self.right, self.bottom)];
        canvas.line(&corner, Ink::Muted, 1.25, 0);
    }

    /// A limit.
    pub fn draw_reference(&self, canvas: &mut Canvas, line: &ReferenceLine) {
        let ends = match line.orientation {
            Orientation::Horizontal => {
                let (_, y) = self.at(self.x.1, line.at);
                [(self.left, y), (self.right, y)]
            }
            Orientation::Vertical => {
                let (x, _) = self.at(line.at, self.y.1);
                [(x, self.top), (x, self.bottom)]
            }
        };
        canvas.line(&ends, Ink::Limit, 2.0, LIMIT_DASH);
    }
}
