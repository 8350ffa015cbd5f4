//! Colours, dashes and markers. Colours are those of Okabe & Ito (2008), "Color Universal Design": told apart by
//! colour-blind readers; dash and marker differ too, so that a grey print stays readable.

use std::fmt::Write as _;
use std::sync::LazyLock;

/// What a shape is drawn with: a role, which light and dark mode give different colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// The background of a chart.
    Card,
    /// Text and axes.
    Foreground,
    /// Less important text.
    Muted,
    /// Grid lines.
    Grid,
    /// Bounds.
    Bound,
    /// Limits.
    Limit,
    /// Series by position; colours repeat after eight.
    Series(usize),
    /// Ledger causes by position, twelve of them.
    Cause(usize),
}

/// (light, dark) of every ink; index = [`Ink::index`].
const PALETTE: [(&str, &str); 26] = [
    ("#FFFFFF", "#16191D"), // Card.
    ("#1F2328", "#E8EAED"), // Foreground.
    ("#59636E", "#A3ABB4"), // Muted.
    ("#E2E6EA", "#2E343B"), // Grid.
    ("#8C959F", "#8C959F"), // Bound.
    ("#B42318", "#FF8B7E"), // Limit.
    ("#0072B2", "#4BA9E0"), // Series: blue,
    ("#D55E00", "#FF8A3D"), // vermillion,
    ("#009E73", "#26C799"), // bluish green,
    ("#CC79A7", "#E79CC4"), // reddish purple,
    ("#E69F00", "#F2B63C"), // orange,
    ("#56B4E9", "#8FD0F5"), // sky blue,
    ("#9A8B00", "#F0E442"), // yellow, darkened on white,
    ("#1F2328", "#E8EAED"), // black.
    ("#999999", "#8A8A8A"), // Causes: front-end,
    ("#555555", "#C4C4C4"), // router,
    ("#E69F00", "#F2B63C"), // queue,
    ("#0072B2", "#2F8FCB"), // prefill-execution,
    ("#56B4E9", "#8FD0F5"), // prefill-interrupted,
    ("#9A8B00", "#F0E442"), // hand-over,
    ("#009E73", "#13AE82"), // decode-execution,
    ("#D55E00", "#F07A2B"), // decode-stalled,
    ("#882255", "#C9588F"), // preemption-loss,
    ("#332288", "#8B7BE0"), // migration,
    ("#CC79A7", "#E79CC4"), // host,
    ("#B8D8C8", "#5E7C6E"), // bubble.
];

impl Ink {
    /// Position in the palette.
    pub(super) fn index(self) -> usize {
        match self {
            Ink::Card => 0,
            Ink::Foreground => 1,
            Ink::Muted => 2,
            Ink::Grid => 3,
            Ink::Bound => 4,
            Ink::Limit => 5,
            Ink::Series(i) => 6 + i % 8,
            Ink::Cause(i) => 14 + i % 12,
        }
    }
}

/// The light colour at a palette position: what viewers without style sheets show.
pub(super) fn light(index: usize) -> &'static str {
    PALETTE[index % PALETTE.len()].0
}

/// CSS for all charts; a stand-alone SVG carries it, a page needs it once.
pub static STYLE_SHEET: LazyLock<String> = LazyLock::new(|| {
    let rules = |dark: bool| {
        PALETTE.iter().enumerate().fold(String::new(), |mut css, (i, (on_light, on_dark))| {
            let colour = if dark { on_dark } else { on_light };
            let _ = write!(css, ".wt .f{i}{{fill:{colour}}}.wt .s{i}{{stroke:{colour}}}");
            css
        })
    };
    format!(
        ".wt polyline{{stroke-linejoin:round;stroke-linecap:butt}}{}\
         @media screen and (prefers-color-scheme:dark){{{}}}",
        rules(false),
        rules(true)
    )
});

/// Dash patterns in units of the 960-wide picture; the first is solid.
pub(super) const DASHES: [&[u32]; 6] = [&[], &[9, 4], &[2, 3], &[12, 3, 2, 3], &[5, 3], &[14, 5]];

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stroke {
    /// Colour.
    pub ink: Ink,
    /// Position in the dash patterns.
    pub dash: usize,
    /// Marker on each point; `None` for curves with many points.
    pub marker: Option<usize>,
    /// Whether it is drawn thicker.
    pub strong: bool,
    /// Whether its points are joined by a line.
    pub line: bool,
    /// Whether it is drawn thin and faint: there for comparison.
    pub pale: bool,
}

impl Stroke {
    /// A solid line without markers.
    pub fn plain(ink: Ink) -> Stroke {
        Stroke { ink, dash: 0, marker: None, strong: false, line: true, pale: false }
    }

    /// The stroke of a design in the slot that its name has (see `systems::slots`).
    pub fn design(slot: usize, markers: bool, strong: bool) -> Stroke {
        // Eight colours: those who share one differ in their dash.
        let dash = (slot % 8 + slot / 8) % DASHES.len();
        Stroke { dash, marker: markers.then_some(slot), strong, ..Stroke::plain(Ink::Series(slot)) }
    }

    /// The stroke of the bound at `position` among the bounds: grey.
    pub fn bound(position: usize, markers: bool) -> Stroke {
        let dash = [1, 2, 3][position % 3];
        Stroke { dash, marker: markers.then_some(position + 4), ..Stroke::plain(Ink::Bound) }
    }
}
