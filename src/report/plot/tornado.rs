//! The tornado: how far the capacity of the reference moves with each uncertain constant.

use super::backend::{Anchor, Canvas, Label};
use super::figures::{Figure, Picture};
use super::layout::{Layout, draw_title};
use super::style::Ink;
use crate::report::format;
use crate::results::{Comparison, Sensitivity, SensitivityRow, Study};

/// Bars around the capacity, the longest on top.
#[derive(Clone, Debug, PartialEq)]
struct Tornado {
    title: String,
    rows: Vec<Bar>,
    axis_label: String,
}

/// A constant and how far the capacity moves, in shares of it.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    label: String,
    meaning: String,
    /// Change with the smaller constant: its factor and the change.
    below: Option<(f64, f64)>,
    /// Change with the larger constant.
    above: (f64, f64),
}

/// The figure; none where the scenario asks for no sensitivity.
pub(super) fn figure(study: &Study, _: &Comparison) -> Option<Figure> {
    let found = study.sensitivity.as_ref()?;
    let change = |capacity: f64| capacity / found.capacity_per_s - 1.0;
    let bar = |row: &SensitivityRow| Bar {
        label: row.constant.clone(),
        meaning: row.meaning.clone(),
        below: row.below.map(|(factor, capacity)| (factor, change(capacity))),
        above: (row.above.0, change(row.above.1)),
    };
    let picture = Tornado {
        title: title(found)?,
        rows: found.rows.iter().map(bar).collect(),
        axis_label: format!(
            "change of the capacity of {} ({} req/s)",
            found.system,
            format::digits(found.capacity_per_s)
        ),
    };
    let caption = "Each constant of the cost model changed alone, with the same requests: the capacity is searched again to \
                   0.2 %. A constant without a bar does not matter here. Attention of mixed steps is only changed upwards, \
                   because no public data on it exist."
        .to_owned();
    Some(Figure::new("tornado.svg", caption, picture))
}

fn signed(change: f64) -> String {
    let text = format!("{:+.1} %", change * 100.0).replace('-', "−");
    if text == "+0.0 %" || text == "−0.0 %" { "0 %".to_owned() } else { text }
}

fn title(found: &Sensitivity) -> Option<String> {
    let first = found.rows.first()?;
    let change = |capacity: f64| signed(capacity / found.capacity_per_s - 1.0);
    let below = first.below.map(|(factor, c)| format!("{} with {}, ", change(c), signed(factor - 1.0)));
    let still: Vec<&str> = found
        .rows
        .iter()
        .filter(|r| r.swing(found.capacity_per_s) < 0.0005)
        .map(|r| r.constant.as_str())
        .collect();
    let rest = if still.is_empty() { String::new() } else { format!("; not on {}", still.join(", ")) };
    Some(format!(
        "Capacity of {} depends most on {} ({}): {}{} with {}{rest}",
        found.system,
        first.constant,
        first.meaning,
        below.unwrap_or_default(),
        change(first.above.1),
        signed(first.above.0 - 1.0),
    ))
}

const BELOW: Ink = Ink::Series(4);
const ABOVE: Ink = Ink::Series(0);

impl Picture for Tornado {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let step = if layout.narrow() { 42.0 } else { 30.0 };
        let height = layout.title_height(&self.title)
            + self.rows.len() as f64 * step
            + if layout.narrow() { 112.0 } else { 96.0 };
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title);
        for (i, (ink, text)) in self.legend().into_iter().enumerate() {
            let (right, down) = if layout.narrow() { (0.0, 20.0) } else { (160.0, 0.0) };
            let (x, y) = (layout.margin() + i as f64 * right, top + 14.0 + i as f64 * down);
            canvas.rect((x, y - 7.0), (x + 16.0, y + 7.0), ink);
            canvas.text((x + 23.0, y), &layout.label(&text, Anchor::Start, Ink::Foreground));
        }
        let (left, right) = if layout.narrow() {
            (layout.margin() + 56.0, layout.width() - 64.0)
        } else {
            (420.0, layout.width() - 84.0)
        };
        let all = self.rows.iter().flat_map(|r| r.below.map(|b| b.1).into_iter().chain([r.above.1]));
        let far = all.map(f64::abs).fold(0.005, f64::max);
        let place = |change: f64| (left + right) / 2.0 + change / far * (right - left) / 2.0;
        let rows_top = top + if layout.narrow() { 52.0 } else { 34.0 };
        let bottom = rows_top + self.rows.len() as f64 * step;
        for (i, bar) in self.rows.iter().enumerate() {
            draw_bar(&mut canvas, layout, bar, rows_top + (i as f64 + 0.5) * step, &place);
        }
        let label = layout.label("0", Anchor::Middle, Ink::Foreground);
        canvas.text((place(0.0), bottom + 14.0), &label);
        let middle = if layout.narrow() { layout.width() / 2.0 } else { place(0.0) };
        canvas.text((middle, height - 18.0), &layout.label(&self.axis_label, Anchor::Middle, Ink::Muted));
        canvas.finish()
    }
}

impl Tornado {
    /// What the colours stand for, with the factors of most constants and the exceptions.
    fn legend(&self) -> [(Ink, String); 2] {
        let with_both = self.rows.iter().find_map(|b| Some((b.below?.0, b.above.0)));
        let (below, above) = with_both.unwrap_or((1.0, self.rows.first().map_or(1.0, |b| b.above.0)));
        let whole = |factor: f64| signed(factor - 1.0).replace(".0 %", " %");
        let others = self.rows.iter().filter(|b| (b.above.0 - above).abs() > 1e-9);
        let others: Vec<String> = others.map(|b| format!("; {} {}", b.label, whole(b.above.0))).collect();
        [
            (BELOW, format!("constant {}", whole(below))),
            (ABOVE, format!("constant {}{}", whole(above), others.concat())),
        ]
    }
}

fn draw_bar(canvas: &mut Canvas, layout: Layout, bar: &Bar, y: f64, place: &dyn Fn(f64) -> f64) {
    let name = Label { bold: true, ..layout.label(&bar.label, Anchor::Start, Ink::Foreground) };
    let meaning = layout.label(&bar.meaning, Anchor::Start, Ink::Muted);
    let after_name = layout.margin() + layout.text() * 0.62 * bar.label.chars().count() as f64 + 10.0;
    let (y, half) = if layout.narrow() {
        canvas.text((layout.margin(), y - 11.0), &name);
        canvas.text((after_name, y - 11.0), &meaning);
        (y + 7.0, 7.0)
    } else {
        canvas.text((layout.margin(), y), &name);
        canvas.text((after_name, y), &meaning);
        (y, 9.0)
    };
    let changes = [bar.below.map(|b| (b.1, BELOW)), Some((bar.above.1, ABOVE))];
    let mut ends: Vec<f64> = vec![0.0];
    for (change, ink) in changes.into_iter().flatten() {
        let (from, to) = (place(change.min(0.0)), place(change.max(0.0)));
        if to - from >= 0.25 {
            canvas.rect((from, y - half), (to, y + half), ink);
        }
        ends.push(change);
    }
    canvas.line(&[(place(0.0), y - half - 3.0), (place(0.0), y + half + 3.0)], Ink::Foreground, 1.25, 0);
    let least = ends.iter().copied().fold(0.0, f64::min);
    let most = ends.iter().copied().fold(0.0, f64::max);
    if least < 0.0 {
        canvas.text((place(least) - 6.0, y), &layout.label(&signed(least), Anchor::End, Ink::Foreground));
    }
    if most > 0.0 || least >= 0.0 {
        canvas.text((place(most) + 6.0, y), &layout.label(&signed(most), Anchor::Start, Ink::Foreground));
    }
}
