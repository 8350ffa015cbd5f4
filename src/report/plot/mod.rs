//! Plots: what a chart is, the charts of a study, and the one file that talks to plotters.

mod backend;
mod bars;
mod breakdown;
mod chart;
pub mod figures;
mod inside;
mod style;
mod ticks;
mod titles;

pub use bars::{BarRow, Bars};
pub use chart::{Axis, AxisUnit, Chart, Orientation, ReferenceLine, Scale, Series};
pub use figures::{Figure, figures};
pub use style::{Ink, STYLE_SHEET, Stroke};
