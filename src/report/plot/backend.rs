//! The only file that talks to plotters.
//!
//! Its SVG backend has integer coordinates, so curves wobble at normal size (plotters issue 128): everything is drawn
//! four times as large and the header scaled down. It knows neither dashes nor style sheets, so inks and dashes
//! travel as marked colours and stroke widths and are replaced in the finished text.

use std::fmt::Write as _;

use plotters::prelude::{DrawingBackend, IntoFont, RGBColor, SVGBackend, ShapeStyle, TextStyle};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::style::{DASHES, Ink, STYLE_SHEET, light};

/// Drawn units per shown unit.
const ZOOM: f64 = 4.0;
/// Red and green of a marked colour; blue is the palette position.
const MARK: (u8, u8) = (1, 254);

/// Where a text stands relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A text and how it is set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label<'a> {
    pub text: &'a str,
    pub size: f64,
    pub ink: Ink,
    pub anchor: Anchor,
    pub bold: bool,
}

/// A picture in shown coordinates; the y axis points down. Drawing to memory cannot fail.
pub(super) struct Canvas {
    svg: String,
    size: (f64, f64),
    title: String,
    /// Circles that nobody sees and that tell what is below the pointer; above everything else.
    hints: String,
}

impl Canvas {
    /// An empty card; `title` is what screen readers say.
    pub fn new(size: (f64, f64), title: &str) -> Canvas {
        let size = (size.0.round(), size.1.round());
        let mut canvas = Canvas { svg: String::new(), size, title: title.to_owned(), hints: String::new() };
        canvas.rect((0.0, 0.0), size, Ink::Card);
        canvas
    }

    /// Its width.
    pub fn width(&self) -> f64 {
        self.size.0
    }

    fn draw(&mut self, f: impl FnOnce(&mut SVGBackend<'_>)) {
        let mut text = String::new();
        {
            let mut backend = SVGBackend::with_string(&mut text, (1, 1));
            f(&mut backend);
            // Dropping it closes its tags.
        }
        // Each call makes a document of its own: keep what stands between its tags.
        let inner = text.split_once(">\n").map_or("", |(_, rest)| rest);
        self.svg.push_str(inner.trim_end().trim_end_matches("</svg>"));
    }

    /// A line through `points`, `width` wide.
    pub fn line(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: usize) {
        self.faint_line(points, ink, width, dash, 1.0);
    }

    /// A line, `opacity` in [0, 1].
    pub fn faint_line(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: usize, opacity: f64) {
        let style = ShapeStyle { stroke_width: marked_width(width, dash), ..shape(ink, opacity) };
        if points.len() > 1 {
            self.draw(|b| drop(b.draw_path(points.iter().map(|p| zoom(*p)), &style)));
        }
    }

    /// A filled polygon, `opacity` in [0, 1].
    pub fn polygon(&mut self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        if points.len() > 2 {
            self.draw(|b| drop(b.fill_polygon(points.iter().map(|p| zoom(*p)), &shape(ink, opacity))));
        }
    }

    /// Many small round points as one path, which is a tenth of the size of as many circles.
    pub fn dots(&mut self, points: &[(f64, f64)], ink: Ink, diameter: f64, opacity: f64) {
        let mut path = String::new();
        for (x, y) in points.iter().map(|p| zoom(*p)) {
            let _ = write!(path, "M{x} {y}h0");
        }
        let RGBColor(r, g, b) = colour(ink);
        let width = rounded(diameter * ZOOM);
        if !path.is_empty() {
            let _ = writeln!(
                self.svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"#{r:02X}{g:02X}{b:02X}\" stroke-width=\"{width}\" \
                 stroke-linecap=\"round\" opacity=\"{opacity}\"/>"
            );
        }
    }

    /// A filled rectangle between two corners.
    pub fn rect(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink) {
        self.draw(|b| drop(b.draw_rect(zoom(from), zoom(to), &shape(ink, 1.0), true)));
    }

    /// A marker of the given kind; kinds repeat after six. `opacity` in [0, 1].
    pub fn marker(&mut self, (x, y): (f64, f64), kind: usize, ink: Ink, opacity: f64) {
        let r = 4.5;
        let corners: &[(f64, f64)] = match kind % 6 {
            0 => {
                self.draw(|b| drop(b.draw_circle(zoom((x, y)), 18, &shape(ink, opacity), true)));
                return;
            }
            1 => &[(-4.0, -4.0), (4.0, -4.0), (4.0, 4.0), (-4.0, 4.0)],
            2 => &[(0.0, -r - 1.0), (r + 0.5, r - 0.5), (-r - 0.5, r - 0.5)],
            3 => &[(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)],
            4 => &[(0.0, r + 1.0), (r + 0.5, 0.5 - r), (-r - 0.5, 0.5 - r)],
            _ => {
                for slope in [-r, r] {
                    self.faint_line(&[(x - r, y + slope), (x + r, y - slope)], ink, 2.5, 0, opacity);
                }
                return;
            }
        };
        let corners: Vec<(f64, f64)> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        self.polygon(&corners, ink, opacity);
    }

    /// What the pointer is told near a point of the given ink; works without scripts.
    pub fn hint(&mut self, at: (f64, f64), ink: Ink, text: &str) {
        let ((x, y), radius) = (zoom(at), rounded(8.0 * ZOOM));
        let _ = writeln!(
            self.hints,
            "<circle class=\"s{}\" cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" fill=\"none\" stroke-width=\"0\" \
             pointer-events=\"all\"><title>{}</title></circle>",
            ink.index(),
            escape(text)
        );
    }

    /// A text, centred vertically on its point. Control characters are left out.
    pub fn text(&mut self, at: (f64, f64), label: &Label<'_>) {
        let clean: String = label.text.chars().filter(|c| !c.is_control()).collect();
        let h = match label.anchor {
            Anchor::Start => HPos::Left,
            Anchor::Middle => HPos::Center,
            Anchor::End => HPos::Right,
        };
        let font = ("system-ui, sans-serif", label.size * ZOOM * 1.24).into_font();
        let font = if label.bold { font.style(plotters::style::FontStyle::Bold) } else { font };
        let ink = colour(label.ink);
        let style = TextStyle::from(font).color(&ink).pos(Pos::new(h, VPos::Center));
        self.draw(|b| drop(b.draw_text(&clean, &style, zoom(at))));
    }

    /// The finished picture, with its style sheet inside.
    pub fn finish(self) -> String {
        let mut out = String::new();
        let (width, height) = self.size;
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"wt\" role=\"img\" width=\"{width}\" \
             height=\"{height}\" viewBox=\"0 0 {} {}\"><title>{}</title>\n<style>{}</style>\n",
            width * ZOOM,
            height * ZOOM,
            escape(&self.title),
            *STYLE_SHEET
        );
        out.push_str(&unmark(&self.svg));
        out.push_str(&self.hints);
        out.push_str("</svg>\n");
        out
    }
}

/// Characters that mean something in XML, replaced; control characters left out.
fn escape(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
        out
    })
}

fn colour(ink: Ink) -> RGBColor {
    RGBColor(MARK.0, MARK.1, u8::try_from(ink.index()).unwrap_or(u8::MAX))
}

fn shape(ink: Ink, opacity: f64) -> ShapeStyle {
    ShapeStyle { color: colour(ink).mix(opacity), filled: true, stroke_width: 4 }
}

/// Stroke width with the dash pattern in the digit of tens of thousands.
fn marked_width(width: f64, dash: usize) -> u32 {
    let dash = u32::try_from(dash % DASHES.len()).unwrap_or(0);
    rounded(width * ZOOM).unsigned_abs().min(9999) + dash * 10_000
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to what a picture can hold")]
fn rounded(value: f64) -> i32 {
    value.clamp(-100_000.0, 100_000.0).round() as i32
}

fn zoom((x, y): (f64, f64)) -> (i32, i32) {
    (rounded(x * ZOOM), rounded(y * ZOOM))
}

/// Replaces marked colours by class and light colour, and marked widths by width and dash pattern.
fn unmark(svg: &str) -> String {
    let mut text = svg.to_owned();
    for (attribute, class) in [("fill", 'f'), ("stroke", 's')] {
        for index in 0..26_usize {
            let marked = format!("{attribute}=\"#{:02X}{:02X}{index:02X}\"", MARK.0, MARK.1);
            let plain = format!("class=\"{class}{index}\" {attribute}=\"{}\"", light(index));
            text = text.replace(&marked, &plain);
        }
    }
    let marked = "stroke-width=\"";
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split(marked);
    out.push_str(parts.next().unwrap_or(""));
    for part in parts {
        let (digits, rest) = part.split_once('"').unwrap_or((part, ""));
        let width: usize = digits.parse().unwrap_or(4);
        let _ = write!(out, "{marked}{}\"", width % 10_000);
        let dash = DASHES[(width / 10_000) % DASHES.len()];
        if !dash.is_empty() {
            let pattern: Vec<String> = dash.iter().map(|d| (f64::from(*d) * ZOOM).to_string()).collect();
            let _ = write!(out, " stroke-dasharray=\"{}\"", pattern.join(" "));
        }
        out.push_str(rest);
    }
    out.replace(" opacity=\"1\"", "")
}
