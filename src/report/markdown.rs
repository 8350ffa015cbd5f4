//! The page of a study in Markdown, for a merge request or a wiki: the answer, the tables, the plots by their files. Text of users
//! is escaped; the same study gives the same bytes.

use std::fmt::Write as _;

use super::format::{capitalised, markdown};
use super::headline;
use super::plot::{Figure, Section};
use super::{html, robustness, table};
use crate::results::{Comparison, PointComparison, Study, warnings};

/// The whole page.
pub(super) fn page(study: &Study, comparison: &Comparison, figures: &[(Section, Figure)]) -> String {
    let mut out = format!("# {}\n\n{}\n\n", markdown(&study.title), markdown(&html::subtitle(study)));
    if let Some(slo) = table::slo_sentence(study) {
        let _ = writeln!(out, "{}\n", markdown(&slo));
    }
    answer(&mut out, study, comparison);
    let found = warnings(study);
    if !found.is_empty() {
        out.push_str("## Before you quote a number\n\n");
        for warning in &found {
            let (message, advice) = (capitalised(&warning.message()), capitalised(warning.advice()));
            let _ = writeln!(out, "- {}. *{}.*", markdown(&message), markdown(&advice));
        }
        out.push('\n');
    }
    for point in &comparison.points {
        point_table(&mut out, study, point);
    }
    let _ = writeln!(out, "{}\n", markdown(&table::legend(study, comparison)));
    for section in Section::ALL {
        let mut of = figures.iter().filter(|(s, _)| *s == section).map(|(_, figure)| figure).peekable();
        if of.peek().is_some() {
            let _ = writeln!(out, "## {}\n", section.heading());
        }
        for figure in of {
            let title = markdown(figure.picture.title());
            let _ = writeln!(out, "![{title}](plots/{})\n\n{}\n", figure.file, markdown(&figure.caption));
        }
    }
    provenance(&mut out, study);
    out
}

fn answer(out: &mut String, study: &Study, comparison: &Comparison) {
    let (findings, point) = (headline::findings(comparison), comparison.headline());
    let Some(point) = point.filter(|_| !findings.is_empty()) else {
        out.push_str("**No run has a result.**\n\n");
        return;
    };
    let (name, reference) = (markdown(&point.name()), markdown(&comparison.reference));
    let _ = writeln!(out, "**At {name}, the best design compared with {reference}:**\n");
    for finding in &findings {
        let behind = robustness::behind(study, finding);
        let detail = format!("{}{behind}", finding.detail);
        let _ = writeln!(
            out,
            "- {}: **{}** – {}",
            finding.objective,
            markdown(&finding.winner),
            markdown(&detail)
        );
    }
    out.push('\n');
    let left_out = headline::left_out(comparison);
    for line in left_out.iter().chain(&robustness::lines(study)) {
        let _ = writeln!(out, "{}\n", markdown(line));
    }
}

fn point_table(out: &mut String, study: &Study, point: &PointComparison) {
    let (header, rows) = table::text_cells(study, point);
    let line = |cells: &[String]| cells.iter().map(|c| markdown(c)).collect::<Vec<_>>().join(" | ");
    let _ = writeln!(out, "## {}\n\n| {} |", markdown(&point.name()), line(&header));
    // Names stand left, numbers right.
    let _ = writeln!(out, "| --- |{}", " ---: |".repeat(header.len() - 1));
    for row in rows {
        let _ = writeln!(out, "| {} |", line(&row));
    }
    out.push('\n');
}

fn provenance(out: &mut String, study: &Study) {
    let of = &study.provenance;
    let _ = writeln!(out, "## Where the numbers come from\n");
    let seeds: Vec<String> = of.seeds.iter().map(u64::to_string).collect();
    let inputs: Vec<String> = of.inputs.iter().map(|i| format!("{} ({})", i.name, i.hash)).collect();
    let lines = [
        ("windtunnel", of.tool_version.clone()),
        ("scenario", study.scenario_name.clone()),
        ("seeds", seeds.join(", ")),
        ("inputs", inputs.join(", ")),
        ("hardware profile", of.hardware_grade.clone()),
        ("not modelled", of.not_modelled.join(" · ")),
    ];
    for (what, text) in lines.iter().filter(|(_, text)| !text.is_empty()) {
        let _ = writeln!(out, "- {what}: {}", markdown(text));
    }
}
