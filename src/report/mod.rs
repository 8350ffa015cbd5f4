//! What people look at: terminal table, plots, one page. It only shows; every statistic is made in `metrics`.

pub mod format;
