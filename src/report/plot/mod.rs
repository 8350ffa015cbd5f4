//! Plots: what a chart is, the charts of a study, and the one file that talks to plotters.

pub(super) mod attainment;
mod backend;
mod bars;
mod chart;
mod curves;
mod factors;
pub mod figures;
mod frame;
pub(super) mod goodput;
mod heat;
mod inside;
mod layout;
mod ledger;
mod lengths;
mod panels;
mod pareto;
pub(super) mod plan_pareto;
mod prefix;
mod quadrants;
mod ratio;
mod ratios;
mod style;
mod systems;
mod ticks;
mod timeline;
mod titles;
mod tornado;

pub use bars::{BarRow, Bars};
pub use chart::{Axis, AxisUnit, Chart, Orientation, ReferenceLine, Scale, Series};
pub use factors::{Factors, Step};
pub use figures::{Figure, Picture, Section, figures};
pub use layout::Layout;
pub use panels::{Panel, Panels};
pub use ratios::{RatioRow, Ratios, Tendency};
pub use style::{Ink, STYLE_SHEET, Stroke};
pub use systems::{colour_of, derived_mark};
