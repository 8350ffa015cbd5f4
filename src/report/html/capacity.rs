//! The page of `windtunnel capacity`: who serves how much within the limits, and how sure that is.

use maud::{Markup, html};

use super::notes;
use super::page::{subtitle, warning_box};
use super::shell::{document, inline};
use crate::report::capacity::{lead, section};
use crate::report::plot::Figure;
use crate::results::{CapacityDetail, Study};

/// The whole page. The same study gives the same bytes; all text of users is escaped.
pub fn capacity_page(study: &Study, detail: &CapacityDetail, figures: &[Figure]) -> String {
    let body = html! {
        h1 { (study.title) }
        p.sub { (subtitle(study)) }
        @if let Some(slo) = crate::report::table::slo_sentence(study) { p.sub { (slo) } }
        section.card.answer { @for line in lead(study) { p { strong { (line) } } } }
        (warning_box(study))
        (section(study))
        (pictures(figures))
        h2 { "The search" }
        p {
            (detail.trials.len()) " trials were made. Every rate that was tried, with its attainment and whether it passed, is in "
            code { "trials.csv" } "."
        }
        (notes::systems(study))
        (notes::provenance(study))
    };
    document(&format!("Capacity: {}", study.title), &body)
}

fn pictures(figures: &[Figure]) -> Markup {
    html! {
        @for figure in figures {
            (inline(figure.picture.as_ref(), &figure.caption, &format!("plots/{}", figure.file)))
        }
    }
}
