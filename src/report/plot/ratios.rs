//! Ratios with their intervals around 1, on an axis where equal lengths are equal factors.

use super::backend::{Anchor, Canvas};
use super::chart::{AxisUnit, Scale};
use super::figures::Picture;
use super::layout::{Layout, draw_title};
use super::style::Ink;
use super::ticks::{range, ticks};
use crate::metrics::Estimate;
use crate::report::format;

/// What is known about a ratio, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tendency {
    /// An improvement.
    Better,
    /// A worsening.
    Worse,
    /// Neither, or not told.
    Open,
}

impl Tendency {
    fn ink(self) -> Ink {
        match self {
            Tendency::Better => Ink::Series(2),
            Tendency::Worse => Ink::Series(1),
            Tendency::Open => Ink::Muted,
        }
    }
}

/// One ratio.
#[derive(Clone, Debug, PartialEq)]
pub struct RatioRow {
    /// Of what.
    pub label: String,
    /// The ratio, above zero.
    pub ratio: Estimate,
    /// What is said of it.
    pub tendency: Tendency,
    /// What is printed beside it.
    pub text: String,
}

/// A chart of ratios, one below the other.
#[derive(Clone, Debug, PartialEq)]
pub struct Ratios {
    /// The finding, as a sentence.
    pub title: String,
    /// What is divided by what.
    pub axis_label: String,
    /// From the top.
    pub rows: Vec<RatioRow>,
}

impl Picture for Ratios {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let step = if layout.narrow() { 40.0 } else { 27.0 };
        let height = layout.title_height(&self.title) + self.rows.len() as f64 * step + 78.0;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title) + 14.0;
        let bottom = top + self.rows.len() as f64 * step;
        let (left, right) = if layout.narrow() {
            (layout.margin() + 8.0, layout.width() - 20.0)
        } else {
            (330.0, layout.width() - 170.0)
        };
        let (low, high, scale) = self.window();
        let place = |value: f64| {
            let share = libm::log(value.clamp(low, high) / low) / libm::log(high / low);
            left + share * (right - left)
        };
        let mut last_end = f64::NEG_INFINITY;
        for tick in ticks(scale, AxisUnit::Plain, (low, high)) {
            let x = place(tick.at);
            if !layout.narrow() {
                canvas.line(&[(x, top), (x, bottom)], Ink::Grid, 1.0, 0);
            }
            let half = tick.label.chars().count() as f64 * layout.text() * 0.3;
            if x - half > last_end + 6.0 {
                canvas.text((x, bottom + 15.0), &layout.label(&tick.label, Anchor::Middle, Ink::Foreground));
                last_end = x + half;
            }
        }
        if !layout.narrow() {
            canvas.line(&[(place(1.0), top - 4.0), (place(1.0), bottom)], Ink::Foreground, 1.5, 0);
        }
        for (i, row) in self.rows.iter().enumerate() {
            draw_row(&mut canvas, layout, row, top + (i as f64 + 0.5) * step, &place);
        }
        let middle = f64::midpoint(left, right);
        canvas.text((middle, height - 20.0), &layout.label(&self.axis_label, Anchor::Middle, Ink::Muted));
        canvas.finish()
    }
}

impl Ratios {
    /// What the axis shows, and how its ticks lie.
    fn window(&self) -> (f64, f64, Scale) {
        let ends = self.rows.iter().flat_map(|r| [r.ratio.low(), r.ratio.high()]).filter(|&v| v > 0.0);
        // The smallest window is a tenth to each side: what is smaller shall look small.
        let (low, high) = ends.fold((1.0 / 1.1, 1.1), |(l, h): (f64, f64), v| (l.min(v), h.max(v)));
        if high / low < 4.0 {
            return (low * 0.98, high * 1.02, Scale::Linear);
        }
        let (low, high) = range(Scale::Log, [low, high].into_iter());
        (low, high, Scale::Log)
    }
}

fn draw_row(canvas: &mut Canvas, layout: Layout, row: &RatioRow, y: f64, place: &dyn Fn(f64) -> f64) {
    let ink = row.tendency.ink();
    let y = if layout.narrow() {
        let shown = format::shorten(&row.label, layout.characters(layout.width() * 0.6));
        canvas.text((layout.margin(), y - 9.0), &layout.label(&shown, Anchor::Start, Ink::Foreground));
        let at = (layout.width() - layout.margin(), y - 9.0);
        canvas.text(at, &layout.label(&row.text, Anchor::End, Ink::Foreground));
        let y = y + 8.0;
        // Lines from top to bottom would cross the labels.
        canvas.line(&[(place(1.0), y - 8.0), (place(1.0), y + 8.0)], Ink::Foreground, 1.5, 0);
        y
    } else {
        let shown = format::shorten(&row.label, 40);
        canvas.text((318.0, y), &layout.label(&shown, Anchor::End, Ink::Foreground));
        let at = (layout.width() - 156.0, y);
        canvas.text(at, &layout.label(&row.text, Anchor::Start, Ink::Foreground));
        y
    };
    canvas.line(&[(place(row.ratio.low()), y), (place(row.ratio.high()), y)], ink, 2.5, 0);
    canvas.marker((place(row.ratio.mean), y), 0, ink, 1.0);
}
