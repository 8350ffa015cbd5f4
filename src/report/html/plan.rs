//! The page of `windtunnel plan`: the ranking, how sure it is, and how to start the winner.

use maud::{Markup, html};

use super::notes;
use super::page::{subtitle, warning_box};
use super::shell::{document, inline};
use crate::report::capacity::ties_per;
use crate::report::plan::{CHOICES, COLUMNS, choices, choices_note, fates, funnel, lead, refusals, row};
use crate::report::plot::Figure;
use crate::results::capacity::Unit;
use crate::results::{PlanDetail, Study};

/// Most reasons that are listed.
const REASONS_MAX: usize = 8;

/// The whole page. The same search gives the same bytes; all text of users is escaped.
pub fn plan_page(study: &Study, detail: &PlanDetail, figures: &[Figure]) -> String {
    let body = html! {
        h1 { (study.title) }
        p.sub { (subtitle(study)) }
        @if let Some(slo) = crate::report::table::slo_sentence(study) { p.sub { (slo) } }
        section.card.answer { p { strong { (lead(detail)) } } p.note { (funnel(detail)) } }
        (warning_box(study))
        (ranking(study, detail))
        (planners(detail))
        (launch(detail))
        @for figure in figures {
            (inline(figure.picture.as_ref(), &figure.caption, &format!("plots/{}", figure.file)))
        }
        (search(detail))
        (notes::provenance(study))
    };
    document(&format!("Plan: {}", study.title), &body)
}

fn ranking(study: &Study, detail: &PlanDetail) -> Markup {
    html! {
        h2 { "Ranking" }
        p.note {
            "Objective: " (detail.unit) ", mean over the seeds with its 95 % interval. P(best): share of bootstrap draws of seeds in \
             which it is the best of these. Regret: what it lacks to the best of a draw, on average."
        }
        div.scroll {
            table {
                thead { tr { @for column in COLUMNS { th { (column) } } } }
                tbody {
                    @for ranked in &detail.ranked {
                        @let cells = row(detail, ranked);
                        tr { th scope="row" { (cells[0]) } @for cell in &cells[1..] { td { (cell) } } }
                    }
                }
            }
        }
        @let tied = ties_per(study, if detail.unit == Unit::Dollar.heading() { Unit::Dollar } else { Unit::Gpu });
        @if !tied.is_empty() {
            details { summary { (tied.len()) " ties" } ul { @for tie in &tied { li { (tie) } } } }
        }
    }
}

fn planners(detail: &PlanDetail) -> Markup {
    let rows = choices(detail);
    html! {
        @if !rows.is_empty() {
            h2 { "What the planners chose" }
            p.note { (choices_note(detail)) }
            div.scroll {
                table {
                    thead { tr { @for column in CHOICES { th { (column) } } } }
                    tbody {
                        @for cells in &rows { tr { th scope="row" { (cells[0]) } @for cell in &cells[1..] { td { (cell) } } } }
                    }
                }
            }
        }
    }
}

fn launch(detail: &PlanDetail) -> Markup {
    html! {
        @if !detail.launch.is_empty() {
            h2 { "How to start the winner" }
            @for launch in &detail.launch {
                h3 { (launch.engine) }
                pre { (launch.command) }
                ul { @for note in &launch.notes { li { (note) } } }
            }
        }
    }
}

fn search(detail: &PlanDetail) -> Markup {
    let refusals = refusals(detail);
    html! {
        h2 { "The search" }
        dl.kv {
            @for (fate, count) in fates(detail) { dt { (count) } dd { (fate) } }
            @for (reason, count) in refusals.iter().take(REASONS_MAX) { dt { (count) } dd { "cannot be built: " (reason) } }
        }
        p.note { "Every deployment is in " code { "deployments.csv" } ", with how far it got." }
    }
}
