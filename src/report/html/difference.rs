//! The page of `windtunnel compare`.

use maud::{Markup, html};

use super::shell::{document, inline};
use crate::report::difference::{HEADER, answer, cells, legend, pictures, place, seeds};
use crate::results::{Change, Difference, DifferenceRow};

/// The whole page. The same difference gives the same bytes; all text of users is escaped.
pub fn difference_page(found: &Difference) -> String {
    let heading = format!("{} → {}", found.before.name, found.after.name);
    let body = html! {
        h1 { (heading) }
        p.sub { (found.before.title) @if found.before.title != found.after.title { " → " (found.after.title) } }
        section.card.answer { p { strong { (answer(found)) } } p.note { (legend(found)) } }
        (not_compared(found))
        @for (file, picture) in pictures(found) {
            (inline(&picture, "Ratios with their 95 % intervals; grey where nothing is told or the change is too small to count. What is the same to the bit is left out.", &format!("plots/{file}")))
        }
        h2 { "Every number" }
        @for row in &found.rows { (table(row)) }
    };
    document(&heading, &body)
}

fn not_compared(found: &Difference) -> Markup {
    html! {
        @if !found.not_compared.is_empty() {
            section.card.warn {
                strong { "Not compared" }
                ul { @for left in &found.not_compared { li { (left.what) ": " em { (left.reason) } } } }
            }
        }
    }
}

fn table(row: &DifferenceRow) -> Markup {
    let tone = |change: Change| match change {
        Change::Better => "good",
        Change::Worse => "bad",
        _ => "",
    };
    let moved = row.cells.iter().any(|c| !matches!(c.change, Change::Same | Change::Noise));
    html! {
        details.pt open[moved] {
            summary { (place(row)) ", " (seeds(row)) }
            div.scroll {
                table {
                    thead { tr { @for column in &HEADER[..4] { th scope="col" { (column) } }
                        th.l scope="col" { (HEADER[4]) } } }
                    tbody {
                        @for cell in &row.cells {
                            @let shown = cells(cell);
                            tr {
                                th scope="row" { (shown[0]) }
                                @for text in &shown[1..4] { td { (text) } }
                                td class=(format!("l {}", tone(cell.change))) { (shown[4]) }
                            }
                        }
                    }
                }
            }
        }
    }
}
