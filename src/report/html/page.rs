//! The page from top to bottom.

use maud::{Markup, html};

use super::shell::{inline, sortable_document};
use super::{notes, tables};
use crate::report::format;
use crate::report::headline::{self, Finding};
use crate::report::plot::{Figure, Section};
use crate::report::robustness;
use crate::results::{Comparison, Study, warnings};

/// The whole page. The same study gives the same bytes; all text of users is escaped.
pub fn page(study: &Study, comparison: &Comparison, figures: &[(Section, Figure)]) -> String {
    let body = html! {
        h1 { (study.title) }
        p.sub { (subtitle(study)) }
        @if let Some(slo) = crate::report::table::slo_sentence(study) { p.sub { (slo) } }
        (answer(study, comparison))
        (warning_box(study))
        (tables::by_point(study, comparison))
        (tables::robustness(study))
        (crate::report::capacity::section(study))
        (sections(figures))
        (tables::by_class(study, comparison))
        (notes::how_to_read(study))
        (notes::systems(study))
        (notes::provenance(study))
    };
    sortable_document(&study.title, &body)
}

/// One line that places the study: model, hardware, engine, workload, seeds.
pub(in crate::report) fn subtitle(study: &Study) -> String {
    let p = &study.provenance;
    let seeds = match study.seed_count().max(if study.runs.is_empty() { p.seeds.len() } else { 0 }) {
        1 => "1 seed".to_owned(),
        n => format!("{n} seeds"),
    };
    let parts =
        [p.model.as_str(), p.hardware.as_str(), p.engine.as_str(), p.workload.as_str(), seeds.as_str()];
    parts.iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(" · ")
}

fn answer(study: &Study, comparison: &Comparison) -> Markup {
    let findings: Vec<Finding> = headline::findings(comparison);
    let place = comparison.headline().map(|p| p.name()).unwrap_or_default();
    html! {
        section.card.answer {
            @if findings.is_empty() {
                strong { "No run has a result." }
            } @else {
                strong { "At " (place) ", the best design compared with " (comparison.reference) ":" }
                dl {
                    @for finding in &findings {
                        dt { (finding.objective) }
                        dd.w { (finding.winner) }
                        dd.d { (finding.detail) (robustness::behind(study, finding)) }
                    }
                }
                p.note {
                    "n × is the ratio to " (comparison.reference) " with the same requests at every seed, with its \
                     95 % interval. "
                    @if comparison.reference_holds() {
                        "This load is the highest at which " (comparison.reference) " meets the limits in a steady state."
                    } @else {
                        (comparison.reference) " meets the limits in a steady state at no load of this study."
                    }
                    @if let Some(text) = headline::left_out(comparison) { " " (text) }
                }
                @for line in robustness::lines(study) { p.note { (line) } }
            }
        }
    }
}

pub(super) fn warning_box(study: &Study) -> Markup {
    let found = warnings(study);
    html! {
        @if !found.is_empty() {
            section.card.warn {
                strong { "Before you quote a number" }
                ul {
                    @for warning in &found {
                        li { (with_code(&format::capitalised(&warning.message()))) ". " em { (with_code(&format::capitalised(warning.advice()))) "." } }
                    }
                }
            }
        }
    }
}

/// Text in which what stands between backticks is code.
fn with_code(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd number of ticks is no pair.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (i, part) in parts.iter().enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// Figures under the question that they answer.
fn sections(figures: &[(Section, Figure)]) -> Markup {
    html! {
        @for section in Section::ALL {
            @let of: Vec<&Figure> = figures.iter().filter(|(s, _)| *s == section).map(|(_, f)| f).collect();
            @if !of.is_empty() {
                h2 { (section.heading()) }
                @for figure in of {
                    (inline(figure.picture.as_ref(), &figure.caption, &format!("plots/{}", figure.file)))
                }
            }
        }
    }
}
