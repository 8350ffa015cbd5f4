//! The operators of a step against the roofline: FLOPs, bytes, intensity, time and what bounds each.
//!
//! Formulas are those of `docs/cost-model.md`, per accelerator and over all layers; times of attention, collectives,
//! head, sampler and host are taken from the cost model as they are, and element-wise work is what remains of its
//! linear part, so that the rows sum to the step. One pipeline stage.

mod chart;
mod operators;

pub use chart::chart;
pub use operators::{Bound, Operator, Step, Steps, steps};
