//! The whole result folder of a study.

use std::collections::BTreeMap;

use super::{difference, html, markdown, plot};
use crate::results::{
    self, CapacityDetail, Comparison, Difference, FileSet, Finding, PlanDetail, RunFiles, Study,
};

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
    files.add("page.md", markdown::page(study, comparison, &figures));
    for (_, figure) in figures {
        files.add(&format!("plots/{}", figure.file), figure.svg());
    }
}

/// Every file of `windtunnel compare`: data, plots, page.
pub fn difference_folder(found: &Difference) -> FileSet<'static> {
    let mut files = FileSet::default();
    files.add("manifest.json", difference::json(found));
    files.add("difference.csv", difference::csv(found));
    files.add("page.md", difference::markdown(found));
    files.add("index.html", html::difference_page(found));
    for (file, picture) in difference::pictures(found) {
        files.add(&format!("plots/{file}"), plot::Picture::draw(&picture, plot::Layout::File));
    }
    files
}

/// Every file of `windtunnel capacity`: data, plots, page.
pub fn capacity_folder(study: &Study, detail: &CapacityDetail) -> FileSet<'static> {
    let mut files = results::capacity_files(study, detail);
    let mut figures = plot::goodput::figures(study);
    figures.extend(plot::attainment::figures(study, detail));
    figures.extend(super::capacity::figure(study, &Comparison::of(study)));
    files.add("index.html", html::capacity_page(study, detail, &figures));
    for figure in figures {
        files.add(&format!("plots/{}", figure.file), figure.svg());
    }
    files
}

/// Every file of `windtunnel plan`: data, plots, page, and what the passes found, to go on from.
pub fn plan_folder(
    study: &Study,
    detail: &PlanDetail,
    remembered: &BTreeMap<String, Finding>,
) -> FileSet<'static> {
    let mut files = results::plan_files(study, detail, remembered);
    let mut figures: Vec<plot::Figure> = plot::plan_pareto::figure(detail).into_iter().collect();
    figures.extend(plot::goodput::figures(study));
    files.add("index.html", html::plan_page(study, detail, &figures));
    for figure in figures {
        files.add(&format!("plots/{}", figure.file), figure.svg());
    }
    files
}
