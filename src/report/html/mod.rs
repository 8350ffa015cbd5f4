//! `index.html`: one self-contained page, readable without scripts and without a network.

mod capacity;
mod difference;
mod notes;
mod page;
mod plan;
mod shell;
mod tables;

pub use capacity::capacity_page;
pub use difference::difference_page;
pub use page::page;
pub(in crate::report) use page::subtitle;
pub use plan::plan_page;
#[cfg(feature = "png")]
pub(in crate::report) use shell::without_style;
pub use shell::{document, inline};
