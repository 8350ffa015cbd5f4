//! What all pages share: the document around their body, and pictures inside it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::plot::{Layout, Picture, STYLE_SHEET};

const STYLE: &str = include_str!("style.css");

/// A self-contained document: style sheets inside, nothing loaded, scripts forbidden.
pub fn document(title: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) " – windtunnel" }
                style { (PreEscaped(STYLE)) (PreEscaped(STYLE_SHEET.as_str())) }
            }
            body { main { (body) } }
        }
    }
    .into_string()
}

/// The picture inside a page, for wide and for narrow screens; its title is text of the page. `path` is its file
/// beside the page.
pub fn inline(picture: &dyn Picture, caption: &str, path: &str) -> Markup {
    html! {
        figure {
            h3 { (picture.title()) }
            div.wide { (PreEscaped(without_style(&picture.draw(Layout::Page)))) }
            div.narrow { (PreEscaped(without_style(&picture.draw(Layout::Narrow)))) }
            figcaption { (caption) " " code { (path) } }
        }
    }
}

/// The picture without its style sheet: the page has it once.
pub(in crate::report) fn without_style(svg: &str) -> String {
    let Some((head, rest)) = svg.split_once("<style>") else { return svg.to_owned() };
    let tail = rest.split_once("</style>").map_or("", |(_, tail)| tail);
    format!("{head}{tail}")
}
