//! The page from top to bottom.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{notes, tables};
use crate::report::format;
use crate::report::headline::{self, Finding};
use crate::report::plot::{Figure, Layout, STYLE_SHEET, Section};
use crate::results::{Comparison, Study, warnings};

const STYLE: &str = include_str!("style.css");

/// The whole page. The same study gives the same bytes; all text of users is escaped.
pub fn page(study: &Study, comparison: &Comparison, figures: &[(Section, Figure)]) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (study.title) " – windtunnel" }
                style { (PreEscaped(STYLE)) (PreEscaped(STYLE_SHEET.as_str())) }
            }
            body {
                main {
                    h1 { (study.title) }
                    p.sub { (subtitle(study)) }
                    @if let Some(slo) = crate::report::table::slo_sentence(study) { p.sub { (slo) } }
                    (answer(comparison))
                    (warning_box(study))
                    (tables::by_point(study, comparison))
                    (crate::report::capacity::section(study))
                    (sections(figures))
                    (tables::by_class(study, comparison))
                    (notes::how_to_read(study))
                    (notes::systems(study))
                    (notes::provenance(study))
                }
            }
        }
    }
    .into_string()
}

/// One line that places the study: model, hardware, engine, workload, seeds.
fn subtitle(study: &Study) -> String {
    let p = &study.provenance;
    let seeds = match study.seed_count() {
        1 => "1 seed".to_owned(),
        n => format!("{n} seeds"),
    };
    let parts =
        [p.model.as_str(), p.hardware.as_str(), p.engine.as_str(), p.workload.as_str(), seeds.as_str()];
    parts.iter().filter(|s| !s.is_empty()).copied().collect::<Vec<_>>().join(" · ")
}

fn answer(comparison: &Comparison) -> Markup {
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
                        dd.d { (finding.detail) }
                    }
                }
                p.note {
                    "n × is the ratio to " (comparison.reference) " with the same requests at every seed, with its \
                     95 % interval. "
                    @if comparison.reference_holds() {
                        "This load is the highest at which " (comparison.reference) " meets the limits in a steady state; designs that miss them are left out."
                    } @else {
                        (comparison.reference) " meets the limits in a steady state at no load of this study."
                    }
                }
            }
        }
    }
}

fn warning_box(study: &Study) -> Markup {
    let found = warnings(study);
    html! {
        @if !found.is_empty() {
            section.card.warn {
                strong { "Before you quote a number" }
                ul {
                    @for warning in &found {
                        li { (format::capitalised(&warning.message())) ". " em { (format::capitalised(warning.advice())) "." } }
                    }
                }
            }
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
                @for figure in of { (inline(figure)) }
            }
        }
    }
}

/// The picture inside the page, for wide and for narrow screens; its title is text of the page.
fn inline(figure: &Figure) -> Markup {
    html! {
        figure {
            h3 { (figure.title()) }
            div.wide { (PreEscaped(without_style(&figure.picture.draw(Layout::Page)))) }
            div.narrow { (PreEscaped(without_style(&figure.picture.draw(Layout::Narrow)))) }
            figcaption { (figure.caption) " " code { "plots/" (figure.file) } }
        }
    }
}

/// The picture without its style sheet: the page has it once.
pub(in crate::report) fn without_style(svg: &str) -> String {
    let Some((head, rest)) = svg.split_once("<style>") else { return svg.to_owned() };
    let tail = rest.split_once("</style>").map_or("", |(_, tail)| tail);
    format!("{head}{tail}")
}
