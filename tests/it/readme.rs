//! Is what the documents say true? Their commands run, their scenarios resolve, the files and names they mention exist.
//!
//! In `README.md` and `docs/tutorial.md` every line `$ …` of a block marked `console` is run by a shell, in one
//! folder per page; `# exit code 2` at the end of a line says that it fails. A block after `<!-- file: NAME -->` is
//! what the reader saves under that name; `<!-- needs: NAME -->` is a file the reader brings, for which a generated
//! one stands in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{WorkloadSpec, write_trace};

const PAGES: [&str; 3] = ["README.md", "docs/gate.md", "docs/tutorial.md"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap_or_else(|e| panic!("{page}: {e}"))
}

/// What a page asks its reader to do, in order.
enum Deed {
    Bring(String),
    Save { name: String, content: String },
    Run(String),
}

fn deeds(page: &str) -> Vec<Deed> {
    let text = text(page);
    let mut deeds = Vec::new();
    let mut save_as: Option<String> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let comment = |key: &str| line.strip_prefix(key)?.strip_suffix(" -->").map(str::to_owned);
        if let Some(name) = comment("<!-- file: ") {
            save_as = Some(name);
        } else if let Some(name) = comment("<!-- needs: ") {
            deeds.push(Deed::Bring(name));
        } else if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
            if let Some(name) = save_as.take() {
                deeds.push(Deed::Save { name, content: block.join("\n") + "\n" });
            } else if language == "console" {
                let commands = block.iter().filter_map(|l| l.strip_prefix("$ "));
                deeds.extend(commands.map(|c| Deed::Run(c.to_owned())));
            }
        }
    }
    assert!(save_as.is_none(), "{page}: no block after `<!-- file: … -->`");
    deeds
}

/// A file in the format of its name's log, bursty enough to have a capacity.
fn bring(name: &str, folder: &Path) {
    let (format, recipe) = match name {
        "BurstGPT_1.csv" => ("burstgpt", "burstgpt"),
        "AzureLLMInferenceTrace_conv.csv" => ("azure", "azure-conv"),
        _ => panic!("no stand-in for {name}"),
    };
    let spec: WorkloadSpec = toml::from_str(&format!("recipe = \"{recipe}\"\nrequests = 6000")).unwrap();
    let mut trace = spec.open(None).unwrap().prepare(1, None).unwrap().trace;
    for request in &mut trace.requests {
        // Whole seconds, as in the log.
        let second = SimDuration::from_ps(1_000_000_000_000);
        request.arrival = SimTime::from_ps(request.arrival.as_ps() / second.as_ps() * second.as_ps());
    }
    let mut file = fs::File::create(folder.join(name)).unwrap();
    write_trace(format, &trace, &mut file).unwrap().unwrap();
}

/// The command as the test runs it: with the binary of this build, and nothing that builds.
fn runnable(command: &str) -> Option<String> {
    let command = command.replace("cargo run --release -- ", "windtunnel ");
    let builds = ["cargo ", "git clone ", "cd ", "alias ", ".ci/run"];
    (!builds.iter().any(|b| command.starts_with(b))).then_some(command)
}

fn run(page: &str, command: &str, folder: &Path) {
    let expected = command.rsplit_once("# exit code ").map_or(0, |(_, code)| code.trim().parse().unwrap());
    let bin = Path::new(env!("CARGO_BIN_EXE_windtunnel")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-e", "-c", command])
        .current_dir(folder)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(expected), "{page}: `{command}`\n{shown}");
}

#[track_caller]
fn works(page: &str) {
    let folder = tempfile::tempdir().unwrap();
    for part in ["scenarios", "workloads", "hardware"] {
        std::os::unix::fs::symlink(root().join(part), folder.path().join(part)).unwrap();
    }
    let baselines = folder.path().join("results/baselines");
    fs::create_dir_all(&baselines).unwrap();
    for entry in fs::read_dir(root().join("results/baselines")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), baselines.join(entry.file_name())).unwrap();
    }
    let mut commands = 0;
    for deed in deeds(page) {
        match deed {
            Deed::Bring(name) => bring(&name, folder.path()),
            Deed::Save { name, content } => {
                let path = folder.path().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            Deed::Run(command) => {
                let Some(command) = runnable(&command) else { continue };
                run(page, &command, folder.path());
                commands += 1;
            }
        }
    }
    assert!(commands >= 3, "{page}: {commands} commands were found");
}

#[test]
fn the_commands_of_the_readme_work() {
    works("README.md");
}

#[test]
fn the_commands_of_the_tutorial_work() {
    works("docs/tutorial.md");
}

#[test]
fn the_commands_of_the_gate_work() {
    works("docs/gate.md");
}

#[test]
fn the_commands_of_sweeps_work() {
    works("docs/scale.md");
}

#[test]
fn the_commands_of_the_guides_work() {
    works("docs/how-to-gpu.md");
    works("docs/how-to-scheduler.md");
}

/// `mdbook` makes a book of these.
#[test]
fn the_book_has_every_page_once() {
    let summary = text("docs/SUMMARY.md");
    let mut listed: Vec<&str> =
        summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|e| e.unwrap().file_name());
    let mut pages: Vec<String> = pages.map(|n| n.to_string_lossy().into_owned()).collect();
    pages.retain(|p| p != "SUMMARY.md" && p.ends_with(".md"));
    listed.sort_unstable();
    pages.sort();
    assert_eq!(listed, pages);
}

#[test]
fn the_readme_opens_with_the_two_commands() {
    let text = text("README.md");
    let blocks: Vec<&str> = text.split("```").collect();
    assert!(blocks[1].contains("$ cargo run --release -- run\n$ cargo test --release\n"), "{}", blocks[1]);
    assert!(blocks[0].lines().count() <= 6, "one sentence, then the commands");
}

/// Text in backticks outside blocks.
fn code_spans(text: &str) -> Vec<String> {
    let mut prose = String::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a span is meant as a path of this repository.
fn is_path(span: &str) -> bool {
    let tops = ["src/", "tests/", "docs/", "scenarios/", "workloads/", "hardware/", "examples/", ".ci/"];
    let files = [".rs", ".md", ".toml"];
    let plain = !span.contains([' ', '*', '…', '=', '{', '<'])
        && span == span.trim_start_matches(['-', '.', '/'])
        || span.starts_with(".ci/");
    plain
        && (tops.iter().any(|t| span.starts_with(t))
            || (files.iter().any(|f| span.ends_with(f)) && !span.contains('/')))
}

#[test]
fn the_paths_in_backticks_exist() {
    let saved: Vec<String> = PAGES
        .iter()
        .flat_map(|p| deeds(p))
        .filter_map(|d| if let Deed::Save { name, .. } = d { Some(name) } else { None })
        .collect();
    for page in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/tutorial.md", "docs/invariants.md"] {
        let paths: Vec<String> = code_spans(&text(page)).into_iter().filter(|s| is_path(s)).collect();
        assert!(!paths.is_empty(), "{page} names no file");
        for path in paths.into_iter().filter(|p| !saved.contains(p)) {
            assert!(root().join(&path).exists(), "{page} names `{path}`, which does not exist");
        }
    }
}

/// All Rust text below `src` and `tests`.
fn rust() -> String {
    let mut open: Vec<PathBuf> = ["src", "tests"].map(|f| root().join(f)).to_vec();
    let mut all = String::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    all
}

#[test]
fn the_names_in_backticks_exist() {
    let rust = rust();
    let word = |s: &str| s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let defines = |name: &str, kinds: &[&str]| {
        kinds.iter().any(|kind| {
            let start = format!("{kind} {name}");
            rust.match_indices(&start).any(|(at, _)| {
                !rust[at + start.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            })
        })
    };
    let mut checked = 0;
    for page in ["ARCHITECTURE.md", "docs/invariants.md"] {
        for span in code_spans(&text(page)) {
            let last = span.rsplit("::").next().unwrap_or(&span).trim_end_matches("()");
            let is_type = word(&span) && span.len() > 2 && span.starts_with(|c: char| c.is_ascii_uppercase());
            let is_function = span.contains("::") || (word(last) && span.len() > 24) || span.ends_with("()");
            let kinds: &[&str] = if let Some(name) = span.strip_suffix('!') {
                assert!(defines(name, &["macro_rules!"]), "{page} names the macro `{span}`");
                checked += 1;
                continue;
            } else if is_type {
                &["struct", "enum", "trait", "type"]
            } else if is_function {
                &["fn", "mod", "struct", "enum", "trait"]
            } else {
                continue;
            };
            assert!(defines(last, kinds), "{page} names `{span}`, which no file defines");
            checked += 1;
        }
    }
    assert!(checked > 25, "only {checked} names were found");
}

#[test]
fn the_map_is_short() {
    assert!(text("ARCHITECTURE.md").lines().count() <= 300);
}

/// Lines of code blocks that are commands of ours.
fn commands_in_blocks(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        }
        let line = line.strip_prefix("$ ").unwrap_or(line);
        if in_block && line.starts_with("windtunnel ") {
            found.push(line.to_owned());
        }
    }
    found
}

/// The help of a verb, and of the verb below it where there is one.
fn help_of(words: &[&str]) -> String {
    let run = |words: &[&str]| {
        let bin = env!("CARGO_BIN_EXE_windtunnel");
        let output = Command::new(bin).args(words).arg("--help").output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (known, mut help) = run(&words[..1]);
    assert!(known, "there is no `windtunnel {}`", words[0]);
    if let Some(second) = words.get(1).filter(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-')) {
        let (known, below) = run(&[words[0], second]);
        help += if known { &below } else { "" };
    }
    help
}

/// Commands in prose and examples that no page runs: their verbs and flags exist.
#[test]
fn commands_named_anywhere_exist() {
    let mut pages: Vec<String> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().to_string_lossy()))
        .filter(|name| name.ends_with(".md"))
        .collect();
    pages.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(str::to_owned));
    pages.sort();
    let (mut commands, mut flags) = (0, 0);
    for page in pages {
        let text = text(&page);
        let spans = code_spans(&text).into_iter().filter(|s| s.starts_with("windtunnel "));
        for command in spans.chain(commands_in_blocks(&text)) {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            if words.first().is_none_or(|verb| !verb.chars().all(|c| c.is_ascii_lowercase())) {
                continue;
            }
            commands += 1;
            let help = help_of(&words);
            for word in &words[1..] {
                let word = word.trim_matches(|c: char| "[](),.;…".contains(c));
                let flag = word.split(['=', '|']).next().unwrap_or_default();
                // Those of features that are off.
                if !flag.starts_with("--") || flag == "--" || ["--png", "--parquet"].contains(&flag) {
                    continue;
                }
                flags += 1;
                assert!(help.contains(flag), "{page}: `{command}` has a flag {flag} that does not exist");
            }
        }
    }
    assert!(commands > 60 && flags > 40, "{commands} commands, {flags} flags");
}
