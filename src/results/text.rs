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
    fn file_names_cannot_escape_or_collide() {
        assert_eq!(file_name("../../etc/passwd"), "etc-passwd");
        assert_eq!(file_name("  "), "unnamed");
        assert_eq!(file_name("TP=4, PP=2"), "tp-4--pp-2");
        assert_eq!(file_name(&"x".repeat(500)).len(), FILE_NAME_MAX);
        assert_eq!(distinct_file_names(["a b", "a-b", "A B"]), ["a-b", "a-b-2", "a-b-3"]);
    }
}
