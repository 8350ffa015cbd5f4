//! Where a picture stands, and so how wide it is and what is written in it.

use super::backend::{Anchor, Canvas, Label};
use super::style::Ink;
use crate::report::format;

/// A place for a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A file of its own: the title is in the picture.
    File,
    /// The page on a wide screen or on paper; the page has the title as text.
    Page,
    /// The page on a telephone: everything below each other.
    Narrow,
}

impl Layout {
    /// All layouts.
    pub const ALL: [Layout; 3] = [Layout::File, Layout::Page, Layout::Narrow];

    /// Width in shown units.
    pub(super) fn width(self) -> f64 {
        if self == Layout::Narrow { 380.0 } else { 960.0 }
    }

    /// Height of a picture that does not ask for more, title and legend below the picture not counted.
    pub(super) fn height(self) -> f64 {
        if self == Layout::Narrow { 300.0 } else { 470.0 }
    }

    /// Whether everything stands below each other.
    pub(super) fn narrow(self) -> bool {
        self == Layout::Narrow
    }

    /// Outer margin.
    pub(super) fn margin(self) -> f64 {
        if self.narrow() { 8.0 } else { 24.0 }
    }

    /// Size of all text but titles.
    pub(super) fn text(self) -> f64 {
        if self.narrow() { 12.5 } else { 14.5 }
    }

    /// A label in the size of this layout.
    pub(super) fn label(self, text: &str, anchor: Anchor, ink: Ink) -> Label<'_> {
        Label { text, size: self.text(), ink, anchor, bold: false }
    }

    /// About how many characters of labels fit into `width`.
    pub(super) fn characters(self, width: f64) -> usize {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "widths are small and positive"
        )]
        let count = (width.max(0.0) / (self.text() * 0.535)) as usize;
        count
    }

    /// The title's lines where the picture carries it, at most three.
    pub(super) fn title_lines(self, title: &str) -> Vec<String> {
        if self == Layout::File { format::wrap(title, 80).into_iter().take(3).collect() } else { Vec::new() }
    }

    /// Height of the title.
    pub(super) fn title_height(self, title: &str) -> f64 {
        match self.title_lines(title).len() {
            0 => 6.0,
            n => 26.0 + 25.0 * n as f64,
        }
    }
}

/// Draws the title where the layout has one; the y below it.
pub(super) fn draw_title(canvas: &mut Canvas, layout: Layout, title: &str) -> f64 {
    for (i, line) in layout.title_lines(title).iter().enumerate() {
        let label = Label { text: line, size: 19.0, ink: Ink::Foreground, anchor: Anchor::Start, bold: true };
        canvas.text((layout.margin(), 26.0 + 25.0 * i as f64), &label);
    }
    layout.title_height(title)
}
