//! `index.html`: one self-contained page, readable without scripts and without a network.

mod notes;
mod page;
mod shell;
mod tables;

pub use page::page;
#[cfg(feature = "png")]
pub(in crate::report) use shell::without_style;
pub use shell::{document, inline};
