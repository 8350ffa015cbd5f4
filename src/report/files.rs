//! The whole result folder of a study.

use super::{html, plot};
use crate::results::{self, Comparison, FileSet, RunFiles, Study};

/// Every file of the result folder: data, plots, page. Give it to [`results::commit`]; add `timing.json` before.
pub fn folder<'a>(study: &'a Study, comparison: &Comparison, options: &RunFiles) -> FileSet<'a> {
    let mut files = results::files(study, options);
    let mut figures = plot::figures(study, comparison);
    figures.extend(super::capacity::figure(study));
    files.add("index.html", html::page(study, comparison, &figures));
    for figure in figures {
        files.add(&format!("plots/{}", figure.file), figure.svg);
    }
    files
}
