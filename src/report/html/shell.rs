//! What all pages share: the document around their body, and pictures inside it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::report::plot::{Layout, Picture, STYLE_SHEET};

const STYLE: &str = include_str!("style.css");

/// What makes a page of systems sortable; without it everything is readable. It reads nothing but the page and its address.
const SCRIPT: &str = include_str!("script.js");

/// SHA-256 of the script: the only one that a browser runs on the page.
const SCRIPT_HASH: &str = "cdKyUs9WUj64/UJcNRZ05Hvr2otcNGigku6KHECJH5E=";

/// A self-contained document: style sheets inside, nothing loaded, scripts forbidden.
pub fn document(title: &str, body: &Markup) -> String {
    page_of(title, body, None)
}

/// The same with our own script, and still no other.
pub(super) fn sortable_document(title: &str, body: &Markup) -> String {
    page_of(title, body, Some(SCRIPT))
}

fn page_of(title: &str, body: &Markup, script: Option<&str>) -> String {
    let allowed = script.map_or_else(String::new, |_| format!("; script-src 'sha256-{SCRIPT_HASH}'"));
    let policy = format!("default-src 'none'; style-src 'unsafe-inline'{allowed}");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy);
                title { (title) " – windtunnel" }
                style { (PreEscaped(STYLE)) (PreEscaped(STYLE_SHEET.as_str())) }
            }
            body {
                main { (body) }
                @if let Some(script) = script { script { (PreEscaped(script)) } }
            }
        }
    }
    .into_string()
}

/// The picture inside a page, for wide and for narrow screens; its title is text of the page. `path` is its file
/// beside the page.
pub fn inline(picture: &dyn Picture, caption: &str, path: &str) -> Markup {
    html! {
        figure.systems[picture.is_by_system()] {
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

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_names_the_script() {
        let digest = Sha256::digest(SCRIPT.as_bytes());
        let expected = SCRIPT_HASH.trim_end_matches('=');
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in digest.chunks(3) {
            let bits =
                chunk.iter().fold(0_u32, |b, &byte| b << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
            let digit = |i: usize| char::from(alphabet[(bits >> (18 - 6 * i)) as usize & 63]);
            text.extend((0..=chunk.len()).map(digit));
        }
        assert_eq!(text, expected, "write this hash into SCRIPT_HASH, with its `=` at the end");
    }
}
