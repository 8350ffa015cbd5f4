//! `docs/invariants.md` keeps its word: every invariant has a row, and every test it names exists.

use std::fs;
use std::path::{Path, PathBuf};

/// Every test function below `folder`.
fn tests_below(folder: &Path, found: &mut Vec<String>) {
    let entries = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path());
    for path in entries {
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("readable");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let after_attribute = lines.windows(2).filter(|pair| pair[0] == "#[test]");
            let name = |line: &str| line.strip_prefix("fn ")?.split('(').next().map(str::to_owned);
            found.extend(after_attribute.filter_map(|pair| name(pair[1])));
        }
    }
}

/// Texts between backticks that look like the name of a test.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    let is_name = |text: &&str| {
        text.contains('_') && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    cell.split('`').skip(1).step_by(2).filter(is_name)
}

#[test]
fn every_invariant_has_a_guard_that_exists() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/invariants.md")).expect("the page");
    let mut tests = Vec::new();
    tests_below(&root.join("tests/it"), &mut tests);
    tests_below(&root.join("src"), &mut tests);
    let exists = |name: &str| tests.iter().any(|t| t == name);
    for name in named(&page) {
        assert!(exists(name), "docs/invariants.md names `{name}`, which is no test");
    }
    for number in 1..=16 {
        let head = format!("| I{number} |");
        let row = page.lines().find(|l| l.starts_with(&head)).unwrap_or_else(|| panic!("no row I{number}"));
        let cells: Vec<&str> = row.split(" | ").collect();
        assert_eq!(cells.len(), 5, "row I{number}");
        let guarded = named(cells[3]).next().is_some() || cells[3].contains("**not covered**");
        assert!(guarded, "I{number} names neither a guard nor a gap");
    }
}

/// Numbers that violations carry stand on the page.
#[test]
fn audited_invariants_are_said_to_be_audited() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/invariants.md")).expect("the page");
    let audits =
        ["src/engine/audit.rs", "src/engine/live.rs", "src/engine/replica.rs", "src/cluster/audit.rs"];
    let code: String = audits.iter().map(|f| fs::read_to_string(root.join(f)).expect("an audit")).collect();
    for number in 1..=16 {
        let head = format!("| I{number} |");
        let row = page.lines().find(|l| l.starts_with(&head)).expect("a row");
        let said = row.split(" | ").nth(2).expect("a cell") != "no";
        let done = code.contains(&format!("\"I{number}\""));
        // I4 and I8: the clock is asserted, an empty plan is reported as I7.
        let elsewhere = matches!(number, 4 | 8);
        assert_eq!(said, done || elsewhere, "I{number}");
    }
}
