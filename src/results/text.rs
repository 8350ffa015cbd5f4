//! Text of users made harmless: spreadsheet cells and file names.

/// A cell of user text that no spreadsheet takes for a formula: a leading `= + - @` (or tab, CR) gets a quote.
///
/// Numbers never pass through here, so a negative number stays a number.
pub fn cell(text: &str) -> String {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => format!("'{text}"),
        _ => text.to_owned(),
    }
}

/// Labels of points in a row, what they share said once: `rate 1, 2, 4 req/s`.
pub fn labels(labels: &[&str]) -> String {
    let words: Vec<Vec<&str>> = labels.iter().map(|label| label.split(' ').collect()).collect();
    let Some([first, rest @ ..]) = words.first().map(Vec::as_slice).filter(|_| words.len() > 1) else {
        return labels.join(", ");
    };
    let alike = |w: &Vec<&str>| {
        w.len() > 1 && w.len() == rest.len() + 1 && w[0] == *first && w.get(2..) == rest.get(1..)
    };
    if !words.iter().all(alike) {
        return labels.join(", ");
    }
    let varying: Vec<&str> = words.iter().map(|w| w[1]).collect();
    let unit: Vec<&str> = rest.iter().skip(1).copied().collect();
    format!("{first} {} {}", varying.join(", "), unit.join(" ")).trim_end().to_owned()
}

/// Longest file name that [`file_name`] returns, in bytes.
const FILE_NAME_MAX: usize = 80;

/// A name that is safe on every file system: lower-case letters, digits, `.`, `_`, `-`; never empty, never hidden.
pub fn file_name(text: &str) -> String {
    let safe = |c: char| match c {
        'A'..='Z' => c.to_ascii_lowercase(),
        'a'..='z' | '0'..='9' | '.' | '_' | '-' => c,
        _ => '-',
    };
    let name: String = text.chars().take(FILE_NAME_MAX).map(safe).collect();
    let name = name.trim_matches(|c| matches!(c, '.' | '-'));
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

/// File names for `texts` that are safe and differ from each other: a repeated one gets `-2`, `-3`, ….
pub fn distinct_file_names<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in texts {
        let base = file_name(text);
        let mut name = base.clone();
        let mut copy = 2;
        while names.contains(&name) {
            name = format!("{base}-{copy}");
            copy += 1;
        }
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_text() {
        assert_eq!(cell("=cmd|' /C calc'!A0"), "'=cmd|' /C calc'!A0");
        assert_eq!(cell("@SUM(A1)"), "'@SUM(A1)");
        assert_eq!(cell("vllm-v1"), "vllm-v1");
        assert_eq!(cell(""), "");
    }

    #[test]
    fn what_labels_share_is_said_once() {
        assert_eq!(labels(&["rate 1 req/s", "rate 2 req/s"]), "rate 1, 2 req/s");
        assert_eq!(labels(&["load 0.5", "load 0.8", "load 1.1"]), "load 0.5, 0.8, 1.1");
        assert_eq!(labels(&["load 0.5"]), "load 0.5");
        assert_eq!(labels(&["load 0.5", "rate 1 req/s"]), "load 0.5, rate 1 req/s");
        assert_eq!(labels(&["natural"]), "natural");
        assert_eq!(labels(&[]), "");
    }

    #[test]
    fn file_names_cannot_escape_or_collide() {
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("  "), "unnamed");
        assert_eq!(file_name("TP=4, PP=2"), "tp-4--pp-2");
        assert_eq!(file_name(&"x".repeat(500)).len(), FILE_NAME_MAX);
        assert_eq!(distinct_file_names(["a b", "a-b", "A B"]), ["a-b", "a-b-2", "a-b-3"]);
    }
}
