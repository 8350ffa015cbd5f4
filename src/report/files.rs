//! The whole result folder of a study.

use super::{html, plot};
use crate::results::{self, Comparison, FileSet, RunFiles, Study};

/// Every file of the result folder: data, plots, page. Give it to [`results::commit`]; add `timing.json` before.
pub fn folder<'a>(study: &'a Study, comparison: &Comparison, options: &RunFiles) -> FileSet<'a> {
    let mut files = results::files(study, options);
    add_pictures(&mut files, study, comparison);
    files
}

/// What can be drawn again from a result folder: plots and page. Give it to [`results::redraw`].
pub fn pictures(study: &Study, comparison: &Comparison) -> FileSet<'static> {
    let mut files = FileSet::default();
    add_pictures(&mut files, study, comparison);
    files
}

fn add_pictures(files: &mut FileSet<'_>, study: &Study, comparison: &Comparison) {
    let figures = plot::figures(study, comparison);
    files.add("index.html", html::page(study, comparison, &figures));
    for (_, figure) in figures {
        files.add(&format!("plots/{}", figure.file), figure.svg());
    }
}
