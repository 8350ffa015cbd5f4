//! Capacity of every system as bars with their intervals: per GPU, per dollar, per kW. Bounds are grey.

use super::backend::{Anchor, Canvas};
use super::chart::{AxisUnit, Scale};
use super::figures::{Figure, Picture};
use super::layout::{Layout, draw_title};
use super::style::Ink;
use super::systems::{derived_mark, stroke};
use super::ticks::{range, ticks};
use crate::metrics::Estimate;
use crate::report::format;
use crate::results::Study;
use crate::results::capacity::{CapacityTable, Unit};

/// Most bars of a picture: the best of a large sweep.
const BARS_MAX: usize = 40;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
struct Bar {
    label: String,
    ink: Ink,
    value: Estimate,
    /// What stands behind its number: best, tie.
    mark: &'static str,
}

/// Bars from zero, each with a whisker of its 95 % interval.
#[derive(Clone, Debug, PartialEq)]
struct Goodput {
    title: String,
    axis_label: String,
    bars: Vec<Bar>,
}

/// Per GPU, per dollar, and per kW where that ranks the systems differently; at the last limit of a list.
pub(in crate::report) fn figures(study: &Study) -> Vec<Figure> {
    let Some(table) = &study.capacity else { return Vec::new() };
    let files = [
        (Unit::Gpu, "goodput-per-gpu.svg"),
        (Unit::Dollar, "goodput-per-dollar.svg"),
        (Unit::Kilowatt, "goodput-per-kw.svg"),
    ];
    let shown = |unit: Unit| unit != Unit::Kilowatt || unit.tells(study);
    files
        .into_iter()
        .filter(|f| shown(f.0))
        .filter_map(|(unit, file)| figure(study, table, unit, file))
        .collect()
}

fn figure(study: &Study, table: &CapacityTable, unit: Unit, file: &'static str) -> Option<Figure> {
    let point = table.points() - 1;
    let best = table.best_per(study, point, unit);
    let bar = |system: usize| {
        let info = &study.systems[system];
        let role = if info.bound {
            " (bound)"
        } else if info.oracle {
            " (oracle)"
        } else {
            ""
        };
        let mark = match (best.contains(&system), best.len()) {
            (true, 1) => " best",
            (true, _) => " tie",
            _ => "",
        };
        Some(Bar {
            label: format!("{}{role}{}", info.name, derived_mark(info)),
            ink: stroke(study, system, false).ink,
            value: table.per(study, system, point, unit)?,
            mark,
        })
    };
    let mut bars: Vec<Bar> = study.display_order().into_iter().filter_map(bar).collect();
    bars.sort_by(|a, b| b.value.mean.total_cmp(&a.value.mean));
    let all = bars.len();
    bars.truncate(BARS_MAX);
    let names: Vec<&str> = best.iter().map(|&s| study.systems[s].name.as_str()).collect();
    let top = best.first().and_then(|&s| table.per(study, s, point, unit))?;
    let what = unit.heading();
    let title = match names[..] {
        [one] => format!("{one} serves most: {} {what} within the limits", format::digits(top.mean)),
        _ => {
            format!("{} cannot be told apart as the best in {what}", format::shorten(&names.join(", "), 120))
        }
    };
    let limit = table
        .limit
        .zip(table.limits_s.last())
        .map_or_else(String::new, |(limit, s)| format!(" At {} ≤ {}.", limit.name(), format::limit(*s)));
    let cut =
        if all > bars.len() { format!(" The {BARS_MAX} best of {all} systems.") } else { String::new() };
    let caption = format!(
        "The highest rate within the limits and with a stable queue, mean over the seeds with its 95 % interval. Grey: bounds, \
         which nobody could build.{limit}{cut}"
    );
    Some(Figure::new(file, caption, Goodput { title, axis_label: format!("capacity ({what})"), bars }))
}

impl Picture for Goodput {
    fn title(&self) -> &str {
        &self.title
    }

    fn draw(&self, layout: Layout) -> String {
        let step = if layout.narrow() { 36.0 } else { 27.0 };
        let height = layout.title_height(&self.title) + self.bars.len() as f64 * step + 84.0;
        let mut canvas = Canvas::new((layout.width(), height), &self.title);
        let top = draw_title(&mut canvas, layout, &self.title) + 10.0;
        let bottom = top + self.bars.len() as f64 * step;
        let (left, right) = if layout.narrow() {
            (layout.margin(), layout.width() - 108.0)
        } else {
            (262.0, layout.width() - 210.0)
        };
        let (_, end) = range(Scale::Linear, self.bars.iter().map(|b| b.value.high()));
        let place = |value: f64| left + (value / end).clamp(0.0, 1.0) * (right - left);
        for tick in ticks(Scale::Linear, AxisUnit::Plain, (0.0, end)) {
            let x = place(tick.at);
            canvas.line(&[(x, top), (x, bottom)], Ink::Grid, 1.0, 0);
            canvas.text((x, bottom + 15.0), &layout.label(&tick.label, Anchor::Middle, Ink::Foreground));
        }
        for (i, bar) in self.bars.iter().enumerate() {
            draw_bar(&mut canvas, layout, bar, top + (i as f64 + 0.5) * step, &place);
        }
        let middle = f64::midpoint(left, right);
        canvas.text((middle, height - 20.0), &layout.label(&self.axis_label, Anchor::Middle, Ink::Muted));
        canvas.finish()
    }
}

fn draw_bar(canvas: &mut Canvas, layout: Layout, bar: &Bar, y: f64, place: &dyn Fn(f64) -> f64) {
    let (y, half) = if layout.narrow() {
        let text = format::shorten(&bar.label, layout.characters(layout.width() - 20.0));
        canvas.text((layout.margin(), y - 10.0), &layout.label(&text, Anchor::Start, Ink::Foreground));
        (y + 7.0, 6.0)
    } else {
        let text = format::shorten(&bar.label, 30);
        canvas.text((place(0.0) - 10.0, y), &layout.label(&text, Anchor::End, Ink::Foreground));
        (y, 8.0)
    };
    let (value, low, high) = (place(bar.value.mean), place(bar.value.low()), place(bar.value.high()));
    if value - place(0.0) >= 0.25 {
        canvas.rect((place(0.0), y - half), (value, y + half), bar.ink);
    }
    if high - low >= 0.5 {
        for (from, to) in
            [((low, y), (high, y)), ((low, y - 4.0), (low, y + 4.0)), ((high, y - 4.0), (high, y + 4.0))]
        {
            canvas.line(&[from, to], Ink::Foreground, 1.5, 0);
        }
    }
    let interval = bar.value.half_width.filter(|h| *h > 0.0);
    let interval = interval.map_or_else(String::new, |h| format!(" ± {}", format::digits(h)));
    let text = format!("{}{interval}{}", format::digits(bar.value.mean), bar.mark);
    let shown = if bar.value.mean > 0.0 { text.as_str() } else { "none" };
    canvas.text((high.max(value) + 8.0, y), &layout.label(shown, Anchor::Start, Ink::Foreground));
}
