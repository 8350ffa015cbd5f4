//! The page of a paper: `index.html`, self-contained, readable without scripts and without a network.

use maud::{Markup, html};

use crate::report::format;
use crate::report::html::{document, inline};
use crate::scenario::{not_modelled, weakest_grade};

use super::claim::ClaimResult;
use super::judge::{self, band_text};
use super::plan::{Experiment, Mode};
use super::plots::{PaperFigure, Subject};
use super::run::PaperResult;
use super::schema::Role;
use super::tables::{self, Table, cell};
use super::titles;

/// The whole page. The same result gives the same bytes; all text of the file is escaped.
pub(super) fn page(result: &PaperResult, figures: &[PaperFigure]) -> String {
    let plan = &result.plan;
    let of = |role: Role| result.claims.iter().filter(move |c| c.claim.role == role);
    let body = html! {
        h1 { (plan.paper.title) }
        p.sub { (plan.name) " · " (plan.paper.venue) " · row " (plan.paper.row) " · " (address(&plan.paper.url)) }
        (answer(result))
        @if !plan.flags.is_empty() {
            section.card.warn { strong { "Changed by flags: " } (plan.flags.join(" ")) ". Nothing is judged." }
        }
        h2 { "Claims" }
        (reading(result))
        (claims(result, Role::Claim))
        @for figure in figures.iter().filter(|f| matches!(f.subject, Subject::Claim(_))) {
            @if let Subject::Claim(i) = figure.subject { h2 { "Which idea gives what: " (result.claims[i].claim.name) } }
            (shown(figure))
        }
        @if of(Role::Control).next().is_some() {
            h2 { "Negative controls" }
            p.note { "Settings in which the gain must vanish, or shrink to the band: they hold where it does." }
            (claims(result, Role::Control))
        }
        @if of(Role::Baseline).next().is_some() {
            h2 { "Later baselines" }
            p.note { "What the field did afterwards, on the same requests, hardware and engine." }
            (claims(result, Role::Baseline))
        }
        (experiments(result, figures))
        (changes(result))
        h2 { "Not modelled" }
        ul { @for line in not_modelled() { li { (line) } } }
        (notes(result))
        (provenance(result))
    };
    document(&format!("{} ({})", plan.name, plan.paper.venue), &body)
}

/// A link where the text is an address of the web; else the text.
fn address(url: &str) -> Markup {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    html! { @if is_web { a href=(url) rel="noreferrer" { (url) } } @else { (url) } }
}

/// How many claims hold and as what, then which.
fn answer(result: &PaperResult) -> Markup {
    let words = judge::WORDS.iter().map(|word| {
        let with = |c: &&ClaimResult| c.verdict.word() == *word;
        (*word, result.claims.iter().filter(with).map(|c| c.claim.name.as_str()).collect::<Vec<&str>>())
    });
    html! {
        section.card.answer {
            strong { (titles::answer(result)) }
            @if let Some(first) = titles::first_number(result) { p { (coded(&first)) } }
            dl {
                @for (word, names) in words.filter(|(_, names)| !names.is_empty()) {
                    dt { (word) }
                    dd.w { (names.len()) }
                    dd.d { (names.join(", ")) }
                }
            }
        }
    }
}

/// What the columns of the claims mean.
fn reading(result: &PaperResult) -> Markup {
    let plan = &result.plan;
    let others: Vec<String> =
        plan.engines.as_published.iter().map(|(system, engine)| format!("{system} on {engine}")).collect();
    html! {
        p.note {
            strong { "Mechanism" } ": every system on engine " code { (plan.engines.mechanism) } ". "
            strong { "As published" } ": "
            @if others.is_empty() { "the same. " } @else { "each on the engine of its time (" (others.join(", ")) "). " }
            @if let Some(note) = &plan.engines.note { (coded(note)) " " }
            strong { "Engine share" } ": as published over mechanism, what the engines contribute. Only the mechanism run \
            may be called reproduced: the sign at every seed and the size in the band. ± is the half-width of the 95 % \
            interval over " (plan.seeds) " seeds (Student's t). "
            strong { "Hardware" } ": the grade of the accelerator's profile, measured, fitted to measurements, or \
            derived from a datasheet and from parts that were measured."
        }
    }
}

/// Text with what stands between backticks as code.
fn coded(text: &str) -> Markup {
    html! {
        @for (i, part) in text.split('`').enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The claims of a role, with where each was measured.
fn claims(result: &PaperResult, role: Role) -> Markup {
    let claims = result.claims.iter().filter(|c| c.claim.role == role);
    html! {
        div.scroll {
            table.stack {
                thead {
                    tr {
                        th { "claim" } th { "published" } th { "mechanism" } th { "as published" }
                        th { "engine" br; "share" } th { "band" } th.l { "verdict" }
                    }
                }
                tbody { @for c in claims { (row(c, &result.plan.experiments[c.experiment])) } }
            }
        }
    }
}

fn row(c: &ClaimResult, experiment: &Experiment) -> Markup {
    let study = experiment.plan(Mode::Mechanism);
    let published = c.claim.published.map_or_else(|| "–".to_owned(), format::digits);
    let theirs = if c.same_engines { "same engines".to_owned() } else { cell(c, Mode::AsPublished) };
    let share = if c.same_engines { None } else { c.engine_share() };
    let lost = c.lost().is_some() && c.verdict.word() != "not judged";
    let good = judge::is_good(c.verdict.word());
    let bad = ["not reproduced", "does not hold"].contains(&c.verdict.word());
    html! {
        tr {
            th.wrap scope="row" {
                (c.claim.name)
                small {
                    (coded(&c.claim.statement))
                    @if let Some(source) = &c.claim.source { " (" (source) ")" }
                    ". "
                    @if c.claim.test.is_about_claims() { "From " (c.claim.test.claims().join(", ")) }
                    @else { a href=(format!("#e{}", c.experiment)) { (experiment.name) } }
                    ", hardware " (weakest_grade(&study.systems[study.reference]))
                }
            }
            td data-l="published" { (published) }
            td.b data-l="mechanism" { (cell(c, Mode::Mechanism)) }
            td data-l="as published" { (theirs) }
            td data-l="engine share" { (format::or_dash(share, format::digits)) }
            td data-l="band" { (c.claim.band.map_or_else(|| "–".to_owned(), band_text)) }
            td.l.wrap data-l="verdict" {
                span.b.good[good].bad[bad] { (c.verdict.word()) }
                @if !c.verdict.reason().is_empty() {
                    small {
                        "because " (coded(c.verdict.reason()))
                        @if let Some(because) = &c.claim.because { ": " (coded(because)) }
                    }
                }
                @if let Some(recorded) = c.claim.recorded.as_ref().filter(|_| lost) {
                    small.b { "recorded as " (recorded) }
                }
            }
        }
    }
}

fn shown(figure: &PaperFigure) -> Markup {
    inline(figure.picture.as_ref(), &figure.caption, &format!("plots/{}", figure.file))
}

/// Curves and numbers of every experiment.
fn experiments(result: &PaperResult, figures: &[PaperFigure]) -> Markup {
    let measured = |i: usize| result.measured.keys().any(|k| k.experiment == i);
    html! {
        h2 { "What was measured" }
        p.note {
            "Capacity: the highest rate with a stable queue that meets the limits; each seed searched apart to 2 %, trials \
             of at least " (result.plan.rule.requests) " requests and " (result.plan.rule.spans) " P99 end-to-end latencies."
        }
        @for (i, experiment) in result.plan.experiments.iter().enumerate().filter(|(i, _)| measured(*i)) {
            h3 id=(format!("e{i}")) { (experiment.name) ": " (coded(&experiment.title)) }
            @for figure in figures.iter().filter(|f| f.subject == Subject::Experiment(i)) { (shown(figure)) }
            @if let Some(table) = tables::capacities(result, i) {
                details { summary { "Capacities of " (experiment.name) } (plain(&table)) }
            }
            @if let Some(table) = tables::runs(result, i) {
                details open { summary { "Numbers at one rate of " (experiment.name) } (plain(&table)) }
            }
        }
        @if let Some(table) = tables::memory(result) {
            details { summary { "KV memory: pinned and computed" } (plain(&table)) }
        }
    }
}

/// A table whose first column names its rows; columns of words stand to the left. On narrow screens a row is a list.
fn plain(table: &Table) -> Markup {
    let is_number = |cell: &String| cell == "–" || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let words = |i: usize| !table.rows.iter().all(|row| is_number(&row[i]));
    html! {
        div.scroll {
            table.stack.list {
                thead { tr { @for (i, h) in table.header.iter().enumerate() { th.l[words(i)] { (coded(h)) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (i, cell) in row.iter().enumerate() {
                                @if i == 0 {
                                    th scope="row" { (coded(cell)) }
                                } @else {
                                    td.l[words(i)] data-l=(table.header[i].replace('`', "")) { (coded(cell)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn changes(result: &PaperResult) -> Markup {
    html! {
        h2 { "Changes after the first run" }
        @if result.plan.changes.is_empty() { p { "None." } }
        @for c in &result.plan.changes {
            section.card {
                strong { (coded(&c.knob)) }
                dl.kv {
                    dt { "from" } dd { (coded(&c.from)) }
                    dt { "to" } dd { (coded(&c.to)) }
                    dt { "why" } dd { (coded(&c.why)) }
                    dt { "result" } dd { (coded(&c.result)) }
                }
            }
        }
    }
}

/// Papers and notes of the systems; those of the same words together.
fn notes(result: &PaperResult) -> Markup {
    let mut notes: Vec<(String, Vec<String>)> = Vec::new();
    for system in &result.plan.experiments[0].plan(Mode::Mechanism).systems {
        let name = format!("{}{}", system.name, if system.oracle { " (oracle)" } else { "" });
        let paper = system.paper.as_ref().map(|p| format!("{} ({})", p.title, p.venue));
        let note = system.options.note.as_ref().map(|n| format::capitalised(n));
        let text = paper.into_iter().chain(note).collect::<Vec<String>>().join(". ");
        match notes.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push(name),
            None => notes.push((text, vec![name])),
        }
    }
    html! {
        h2 { "Systems" }
        dl.kv.long {
            @for (text, names) in &notes {
                dt { (names.join(", ")) }
                dd { @if text.is_empty() { "–" } @else { (coded(text)) } }
            }
        }
    }
}

/// Model, hardware and its grade, engines, requests and seeds of every experiment.
fn provenance(result: &PaperResult) -> Markup {
    let plan = &result.plan;
    let seeds = (1..=plan.seeds).map(|s| s.to_string()).collect::<Vec<String>>().join(", ");
    let mut places: Vec<(String, Vec<&str>)> = Vec::new();
    for experiment in &plan.experiments {
        let study = experiment.plan(Mode::Mechanism);
        let reference = &study.systems[study.reference];
        let text = format!(
            "{} on {} (profile: {}), {}",
            reference.spec.model.name,
            reference.hardware(),
            weakest_grade(reference),
            study.workload.describe()
        );
        match places.iter_mut().find(|(known, _)| *known == text) {
            Some((_, names)) => names.push(&experiment.name),
            None => places.push((text, vec![&experiment.name])),
        }
    }
    let engines = plan.engines.as_published.iter().map(|(system, engine)| format!("{system} on {engine}"));
    let engines = engines.collect::<Vec<String>>().join(", ");
    html! {
        h2 { "Where the numbers come from" }
        dl.kv.long {
            @for (text, names) in &places { dt { (names.join(", ")) } dd { (text) } }
            dt { "mechanism engine" } dd { (plan.engines.mechanism) }
            dt { "as-published engines" } dd { @if engines.is_empty() { "the same" } @else { (engines) } }
            dt { "seeds" } dd { (seeds) }
            dt { "tool" } dd { (env!("CARGO_PKG_VERSION")) }
        }
        details { summary { "The paper file " (plan.name) ".toml" } pre { (plan.text) } }
        p.note { "Data of this page: claims.csv (every number by seed), capacity.csv (every trial), plots/ beside it." }
    }
}
