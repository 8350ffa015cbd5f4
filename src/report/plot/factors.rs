//! A chain of factors: each step starts where the one before ended, on an axis where equal lengths are equal factors.

use super::backend::{Anchor, Canvas, Label};
use super::chart::{AxisUnit, Scale};
use super::figures::Picture;
use super::layout::{Layout, draw_title};
use super::style::Ink;
use super::ticks::{range, ticks};
use crate::report::format;

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is reached with it.
    pub label: String,
    /// The value reached, above zero.
    pub value: f64,
    /// Its factor as printed; empty for the start.
    pub factor: String,
}

/// A chart of steps, with all of them together below.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// The finding, as a sentence.
    pub title: String,
    /// What the values are, with their unit.
    pub axis_label: String,
    /// From the start to the end.
    pub steps: Vec<Step>,
    /// The factor of all steps together, as printed.
    pub total: String,
}

/// A row as it is drawn: label, start, end, text beside it, colour.
type Row<'a> = (&'a str, f64, f64, String, Ink);

const UP: Ink = Ink::Series(0);
const DOWN: Ink = Ink::Series(1);
const TOGETHER: Ink = Ink::Muted;

impl Factors {
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut before = None;
        for step in &self.steps {
            let start = before.unwrap_or(step.value);
            let ink = if step.value < start { DOWN } else { UP };
            let value = format::digits(step.value);
            let text = if before.is_none() { value } else { format!("{} → {value}", step.factor) };
            rows.push((&step.label, start, step.value, text, ink));
            before = Some(step.value);
        }
        if let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) {
            rows.push(("all together", first.value, last.value, self.total.clone(), TOGETHER));
        }
        rows
    }
}

impl Picture for Factors {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let rows = self.rows();
        let step = if layout.narrow() { 40.0 } else { 31.0 };
        let height = layout.title_height(&self.title) + rows.len() as f64 * step + 78.0;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title) + 14.0;
        let bottom = top + rows.len() as f64 * step;
        let (left, right) = if layout.narrow() {
            (layout.margin() + 8.0, layout.width() - 20.0)
        } else {
            (214.0, layout.width() - 210.0)
        };
        let (low, high) = range(Scale::Log, self.steps.iter().map(|s| s.value));
        let place = |value: f64| {
            let share = libm::log(value.clamp(low, high) / low) / libm::log(high / low);
            left + share * (right - left)
        };
        let mut last_end = f64::NEG_INFINITY;
        for tick in ticks(Scale::Log, AxisUnit::Plain, (low, high)) {
            let x = place(tick.at);
            canvas.line(&[(x, top), (x, bottom)], Ink::Grid, 1.0, 0);
            let half = tick.label.chars().count() as f64 * layout.text() * 0.3;
            if x - half > last_end + 6.0 {
                canvas.text((x, bottom + 15.0), &layout.label(&tick.label, Anchor::Middle, Ink::Foreground));
                last_end = x + half;
            }
        }
        for (i, row) in rows.iter().enumerate() {
            let y = top + (i as f64 + 0.5) * step;
            draw_row(&mut canvas, layout, row, y, &place);
            // Where this step ended, the next one starts.
            if i + 2 < rows.len() {
                let x = place(row.2);
                let below = y + step + if layout.narrow() { 8.0 } else { 0.0 };
                canvas.line(&[(x, y), (x, below)], Ink::Muted, 1.0, 2);
            }
        }
        let middle = f64::midpoint(left, right);
        canvas.text((middle, height - 20.0), &layout.label(&self.axis_label, Anchor::Middle, Ink::Muted));
        canvas.finish()
    }
}

fn draw_row(
    canvas: &mut Canvas,
    layout: Layout,
    (name, start, end, text, ink): &Row<'_>,
    y: f64,
    place: &dyn Fn(f64) -> f64,
) {
    let bold = *ink == TOGETHER;
    let (from, to) = (place(start.min(*end)), place(start.max(*end)));
    let value = Label { bold, ..layout.label(text, Anchor::Start, Ink::Foreground) };
    let (y, half) = if layout.narrow() {
        let room = layout.characters(layout.width() * 0.5);
        let shown = format::shorten(name, room);
        let label = layout.label(&shown, Anchor::Start, Ink::Foreground);
        canvas.text((layout.margin(), y - 9.0), &Label { bold, ..label });
        let at = (layout.width() - layout.margin(), y - 9.0);
        canvas.text(at, &Label { anchor: Anchor::End, ..value });
        (y + 8.0, 7.0)
    } else {
        let shown = format::shorten(name, 24);
        let label = layout.label(&shown, Anchor::End, Ink::Foreground);
        canvas.text((204.0, y), &Label { bold, ..label });
        canvas.text((to + 10.0, y), &value);
        (y, 9.0)
    };
    canvas.rect((from - 1.5, y - half), (to.max(from + 1.5), y + half), *ink);
}
