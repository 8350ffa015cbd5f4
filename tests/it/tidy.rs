//! The shape of the source: who may import whom, headings of policy files, length of files.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which top-level modules of `src` each one may import. Data flows downwards; whoever needs more changes this table
/// and says why in the commit.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("ids", &["units"]),
    ("collections", &["units", "ids"]),
    ("diagnostic", &["units"]),
    ("rng", &["units", "ids"]),
    ("kernel", &["units", "ids"]),
    ("catalog", &["diagnostic", "units"]),
    ("workload", &["units", "ids", "collections", "rng", "diagnostic", "catalog"]),
    ("model", &["units", "diagnostic", "catalog"]),
    ("hardware", &["units", "diagnostic", "catalog"]),
    ("cost", &["units", "ids", "model", "hardware", "collections", "diagnostic", "catalog"]),
    ("kv", &["units", "ids", "collections"]),
    // Views and plans only: a policy decides and never acts.
    ("policy", &["units", "ids", "collections", "engine"]),
    (
        "engine",
        &["units", "ids", "collections", "rng", "kernel", "workload", "cost", "kv", "policy", "metrics"],
    ),
    (
        "cluster",
        // Draws of routers, keyed by request.
        &[
            "units",
            "ids",
            "collections",
            "rng",
            "kernel",
            "workload",
            "cost",
            "kv",
            "policy",
            "engine",
            "metrics",
        ],
    ),
    // `cost` for the FLOPs and bytes of a unit of work (MFU, MBU), `rng` for draws of blocks of a run.
    ("metrics", &["units", "ids", "collections", "rng", "kernel", "workload", "cost"]),
];

/// Modules above the simulation: they may import everything but `cli`.
const ABOVE: &[&str] = &["scenario", "results", "report", "study", "audit", "papers", "planner", "gate"];

/// Imports against the table that stood when this test was written: (module, import). The list may only shrink, and
/// an entry that is no longer needed fails the test too.
const DEBTS: &[(&str, &str)] = &[];

const HEADINGS: [&str; 5] = [
    "//! # Paper",
    "//! # Mechanism modelled",
    "//! # Left out, and the effect",
    "//! # Parameters",
    "//! # Validation",
];

/// Files of the scheduler folder that are no mechanism.
const NO_MECHANISM: [&str; 4] = ["mod", "plan", "blocks", "parameters"];

const LINES_AT_MOST: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            rust_files(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// Every file of `src`: its path below `src` and its text.
fn sources() -> Vec<(String, String)> {
    let src = root().join("src");
    let mut files = Vec::new();
    rust_files(&src, &mut files);
    let named = |p: PathBuf| {
        let name = p.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
        (name, fs::read_to_string(&p).expect("readable"))
    };
    files.into_iter().map(named).collect()
}

/// Lines without comments.
fn code(text: &str) -> String {
    text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The top-level modules that `text` names after `crate::`, in `use` lists with braces too.
fn imports(text: &str) -> BTreeSet<String> {
    let first = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            found.insert(first(rest));
            continue;
        };
        let (mut depth, mut item) = (1, String::new());
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                found.insert(first(item.trim()));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.remove("");
    found
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    let mut paid: Vec<(&str, &str)> = DEBTS.to_vec();
    for (name, text) in sources() {
        let module = name.split('/').next().unwrap_or("").trim_end_matches(".rs").to_owned();
        if module == "lib" || module == "main" || module == "cli" {
            continue;
        }
        let row = MAY_IMPORT.iter().find(|(m, _)| *m == module);
        if row.is_none() && !ABOVE.contains(&module.as_str()) {
            wrong.push(format!("src/{name}: module `{module}` has no row in MAY_IMPORT"));
            continue;
        }
        for import in imports(&code(&text)).into_iter().filter(|i| *i != module) {
            let allowed = match row {
                Some((_, allowed)) => allowed.contains(&import.as_str()),
                None => import != "cli",
            };
            let debt = (module.as_str(), import.as_str());
            if !allowed && DEBTS.contains(&debt) {
                paid.retain(|d| *d != debt);
            } else if !allowed {
                wrong.push(format!("src/{name}: `{module}` may not import `{import}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(paid.is_empty(), "no longer needed, remove from DEBTS: {paid:?}");
}

#[test]
fn the_import_scan_reads_braces() {
    let text = "use crate::{units::{SimTime, Bytes}, ids};\nfn f(x: crate::cost::Chunk) {}";
    let expected = ["cost", "ids", "units"].map(str::to_owned);
    assert_eq!(imports(text), BTreeSet::from(expected));
}

#[test]
fn policies_see_views_and_configs_of_the_engine_only() {
    for (name, text) in sources().into_iter().filter(|(name, _)| name.starts_with("policy/")) {
        for (at, _) in code(&text).match_indices("engine::") {
            let rest = &code(&text)[at + "engine::".len()..];
            assert!(rest.starts_with("view::"), "src/{name}: a policy may import `engine::view` only");
        }
    }
}

#[test]
fn every_scheduler_file_has_the_fixed_headings() {
    for (name, text) in sources() {
        let Some(file) = name.strip_prefix("policy/scheduler/") else { continue };
        if NO_MECHANISM.contains(&file.trim_end_matches(".rs")) {
            continue;
        }
        let places: Vec<Option<usize>> =
            HEADINGS.iter().map(|h| text.lines().position(|line| line == *h)).collect();
        assert!(places.iter().all(Option::is_some), "src/{name}: a heading is missing: {places:?}");
        assert!(places.is_sorted(), "src/{name}: headings stand in the order {HEADINGS:?}");
    }
}

#[test]
fn files_are_short() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LINES_AT_MOST, "src/{name} has {lines} lines, more than {LINES_AT_MOST}: split it");
    }
}

#[test]
fn nothing_is_left_to_do() {
    for (name, text) in sources() {
        for macro_name in ["unimplemented!", "todo!"] {
            assert!(!code(&text).contains(macro_name), "src/{name} contains `{macro_name}`");
        }
    }
}
