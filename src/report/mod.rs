//! What people look at: terminal table, plots, one page. It only shows; every statistic is made in `metrics`.

pub mod capacity;
mod columns;
pub mod difference;
mod export;
mod files;
pub mod format;
pub mod headline;
pub mod html;
mod markdown;
pub mod plan;
pub mod plot;
#[cfg(feature = "png")]
pub mod png;
pub mod robustness;
pub mod roofline;
pub mod table;

pub use files::{capacity_folder, difference_folder, folder, pictures, plan_folder};
pub use table::TableOptions;
