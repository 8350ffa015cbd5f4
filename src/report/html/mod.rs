//! `index.html`: one self-contained page, readable without scripts and without a network.

mod notes;
mod page;
mod tables;

pub use page::page;
