//! `index.html`: one self-contained page, readable without scripts and without a network.

mod notes;
mod page;
mod tables;

pub use page::page;
#[cfg(feature = "png")]
pub(in crate::report) use page::without_style;
