//! Are result folders whole, equal on every run, safe against hostile text, and readable?

use std::fs;
use std::path::Path;

use windtunnel::report::{self, TableOptions, plot, table};
use windtunnel::results::{
    Comparison, Content, FileSet, ResultsError, RunFiles, Study, Warning, commit, read_summary, warnings,
};

use crate::report_fixture::{Shape, study};

fn small() -> Study {
    study(&Shape { requests: 120, seeds: 2, loads: vec![0.5, 0.8], hostile: false })
}

fn hostile() -> Study {
    study(&Shape { requests: 60, seeds: 2, loads: vec![0.5, 0.8], hostile: true })
}

fn folder(study: &Study) -> FileSet<'_> {
    report::folder(study, &Comparison::of(study), &RunFiles::default())
}

/// Every file under `root`: (path, bytes), sorted.
fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("a readable tree") {
            let path = entry.expect("a readable tree").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(root).expect("a readable tree").to_string_lossy().into_owned();
                found.push((name, fs::read(&path).expect("a readable tree")));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_is_byte_identical_when_made_again() {
    let temp = tempfile::tempdir().unwrap();
    let (a, b) = (temp.path().join("a"), temp.path().join("b/nested"));
    commit(&a, &folder(&small())).unwrap();
    let mut reordered = small();
    reordered.runs.reverse();
    commit(&b, &folder(&reordered)).unwrap();
    assert!(tree(&a).len() > 20);
    assert_eq!(tree(&a), tree(&b));
    commit(&a, &folder(&small())).unwrap();
    assert_eq!(tree(&a), tree(&b), "replacing gives the same");
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 2, "no temporary folder is left");
}

#[test]
fn a_failed_write_leaves_the_results_of_before() {
    let temp = tempfile::tempdir().unwrap();
    let target = temp.path().join("study");
    commit(&target, &folder(&small())).unwrap();
    let before = tree(&target);
    // A folder and a file of the same name cannot both be written.
    let mut broken = FileSet::default();
    broken.add("manifest.json", "{}");
    broken.add("plots", "a file");
    broken.add("plots/x.svg", "inside a file");
    let error = commit(&target, &broken).unwrap_err();
    assert!(matches!(error, ResultsError::Io { .. }), "{error}");
    assert_eq!(tree(&target), before);
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1, "no temporary folder is left");
}

#[test]
fn impossible_places_are_one_clear_error() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("file"), "in the way").unwrap();
    let error = commit(&temp.path().join("file/study"), &folder(&small())).unwrap_err().to_string();
    assert!(error.contains("file") && error.contains("move it away"), "{error}");
    let missing = read_summary(&temp.path().join("nothing/summary.json")).unwrap_err().to_string();
    assert!(
        missing.starts_with("failed to read `") && missing.contains("check that the folder exists"),
        "{missing}"
    );
}

#[test]
fn folders_of_others_are_not_replaced_and_their_files_are_kept() {
    let temp = tempfile::tempdir().unwrap();
    let foreign = temp.path().join("thesis");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("chapter.tex"), "years of work").unwrap();
    let error = commit(&foreign, &folder(&small())).unwrap_err();
    assert!(matches!(error, ResultsError::ForeignFolder(_)), "{error}");
    assert_eq!(fs::read_to_string(foreign.join("chapter.tex")).unwrap(), "years of work");

    let ours = temp.path().join("study");
    commit(&ours, &folder(&small())).unwrap();
    fs::write(ours.join("notes.md"), "mine").unwrap();
    commit(&ours, &folder(&small())).unwrap();
    assert_eq!(fs::read_to_string(ours.join("notes.md")).unwrap(), "mine");
}

#[test]
fn summary_json_reads_back_and_later_schemas_are_refused() {
    let temp = tempfile::tempdir().unwrap();
    let study = small();
    commit(&temp.path().join("s"), &folder(&study)).unwrap();
    let path = temp.path().join("s/summary.json");
    let file = read_summary(&path).unwrap();
    assert_eq!((file.scenario.as_str(), file.runs.len()), ("schedulers-burstgpt", study.runs.len()));
    let first = study.sorted_runs()[0];
    assert_eq!(file.runs[0].summary.saturation, first.summary.saturation);
    let (read, made) = (file.runs[0].summary.get("ttft_p99_s"), first.summary.get("ttft_p99_s"));
    assert!((read.unwrap() - made.unwrap()).abs() < 1e-12);
    let later = fs::read_to_string(&path).unwrap().replacen("\"schema\": 2", "\"schema\": 3", 1);
    // The layout of before lacks what a report needs, but its numbers are read.
    let earlier = fs::read_to_string(&path).unwrap().replacen("\"schema\": 2", "\"schema\": 1", 1);
    fs::write(&path, earlier).unwrap();
    assert_eq!(read_summary(&path).unwrap().runs, file.runs);
    fs::write(&path, later).unwrap();
    assert!(read_summary(&path).unwrap_err().to_string().contains("update windtunnel"));
    fs::write(&path, "[]").unwrap();
    assert!(matches!(read_summary(&path), Err(ResultsError::Malformed { .. })));
}

#[test]
fn hostile_text_is_harmless_everywhere() {
    let study = hostile();
    let files = folder(&study);
    for (path, content) in files.iter() {
        assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)), "{path}");
        let Content::Bytes(bytes) = content else { continue };
        let text = std::str::from_utf8(bytes).unwrap();
        if path.ends_with(".html") || path.ends_with(".svg") {
            // The page has one script, ours, and its policy allows no other.
            let (ours, others) = if path == "index.html" { (1, 1) } else { (0, 0) };
            assert_eq!(text.matches("<script>\"use strict\"").count(), ours, "{path}");
            assert_eq!(text.matches("<script").count(), others, "{path} carries a script");
            assert_eq!(text.contains("; script-src 'sha256-"), path == "index.html", "{path}");
        }
        if path.ends_with(".md") {
            assert!(!text.contains("<script") && text.contains("&lt;script"), "{path}");
            // No cell ends a cell: all rows of a table have as many as its rule.
            let mut columns = 0;
            for line in text.lines().filter(|l| l.starts_with('|')) {
                let bars = line.replace("\\|", "").matches('|').count();
                columns = if line.starts_with("| system |") { bars } else { columns };
                assert_eq!(bars, columns, "{line}");
            }
            assert!(columns > 5, "{path} has a table");
        }
        if path.ends_with(".csv") {
            let mut reader = csv::Reader::from_reader(bytes.as_slice());
            for row in reader.records() {
                for cell in &row.unwrap() {
                    assert!(!cell.starts_with(['=', '+', '@']), "{path}: {cell}");
                }
            }
        }
    }
    assert!(files.iter().any(|(path, _)| path.starts_with("requests/")));
    let temp = tempfile::tempdir().unwrap();
    commit(&temp.path().join("x"), &files).unwrap();
    let requests = tree(&temp.path().join("x/requests"));
    assert!(String::from_utf8(requests[0].1.clone()).unwrap().contains("'=cmd()"));
    let table = table::render(&study, &Comparison::of(&study), &TableOptions::default());
    assert!(!table.contains('\u{1b}'));
}

#[test]
fn pictures_are_well_formed_in_every_layout() {
    for study in [small(), hostile()] {
        let figures = plot::figures(&study, &Comparison::of(&study));
        let files: Vec<&str> = figures.iter().map(|(_, f)| f.file).collect();
        // Preemption is drawn only for who has victims and is not overloaded.
        let others = files.iter().filter(|f| **f != "preemption.svg").count();
        assert_eq!(others, 25, "{files:?}");
        for (_, figure) in &figures {
            for layout in plot::Layout::ALL {
                let svg = figure.picture.draw(layout);
                assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""), "{}", figure.file);
                let width = if layout == plot::Layout::Narrow { 380 } else { 960 };
                assert!(svg.contains(&format!("width=\"{width}\" height=\"")), "{}", figure.file);
                assert!(svg.contains(&format!("viewBox=\"0 0 {} ", width * 4)), "{}", figure.file);
                assert!(!svg.contains("#01FE"), "{}: a marked colour is left", figure.file);
                assert_well_formed(&svg);
            }
            assert_eq!(figure.svg(), figure.picture.draw(plot::Layout::File));
        }
    }
}

/// Tags nest, attributes are quoted and named once, text holds no bare `&`.
#[track_caller]
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(start) = rest.find('<') {
        assert!(!rest[..start].contains('>'), "a bare > in text");
        let end = rest.find('>').expect("a tag ends");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let mut names: Vec<&str> =
            tag.split('"').step_by(2).filter_map(|p| p.trim().strip_suffix('=')).collect();
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n, "an attribute twice: {tag}");
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?} not closed");
    for (i, _) in svg.match_indices('&') {
        let entity = ["&lt;", "&gt;", "&amp;", "&quot;", "&apos;"];
        assert!(entity.iter().any(|e| svg[i..].starts_with(e)), "a bare & in text");
    }
}

#[test]
fn the_page_is_self_contained() {
    let study = small();
    let files = folder(&study);
    let page = std::str::from_utf8(files.bytes("index.html").unwrap()).unwrap();
    let addresses = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http://", "https://", "src=", "url(", "@import"] {
        assert!(!addresses.contains(outside), "the page mentions {outside}");
    }
    for part in
        ["vllm-v1", "Before you quote a number", "By class", "Not modelled", "<svg", "prefers-color-scheme"]
    {
        assert!(page.contains(part), "the page lacks {part}");
    }
}

#[test]
fn an_empty_study_still_gives_a_page_and_a_table() {
    let empty = Study { title: "nothing ran".to_owned(), ..Study::default() };
    let comparison = Comparison::of(&empty);
    let files = folder(&empty);
    assert!(
        std::str::from_utf8(files.bytes("index.html").unwrap()).unwrap().contains("No run has a result.")
    );
    assert!(table::render(&empty, &comparison, &TableOptions::default()).starts_with("nothing ran"));
    let mut unrun = small();
    unrun.runs.retain(|r| r.system == 1 && r.point == 0);
    assert!(folder(&unrun).bytes("index.html").is_some(), "the reference and a load are missing");
}

#[test]
fn ratios_of_the_reference_are_one_and_bounds_come_last() {
    let study = small();
    let comparison = Comparison::of(&study);
    for point in &comparison.points {
        let reference = point.reference().unwrap();
        for metric in &reference.metrics {
            if let Some(ratio) = metric.ratio {
                assert_eq!((ratio.mean, ratio.half_width), (1.0, Some(0.0)), "{}", metric.key);
            }
        }
        let bounds: Vec<bool> = point.rows.iter().map(|r| r.bound).collect();
        assert!(bounds.windows(2).all(|w| w[0] <= w[1]), "{bounds:?}");
        assert!(point.ranked("ttft_p99_s").iter().all(|r| !r.bound));
    }
}

#[test]
fn colour_changes_nothing_but_colour() {
    let study = small();
    let comparison = Comparison::of(&study);
    let plain = table::render(&study, &comparison, &TableOptions { width: 140, colour: false });
    let coloured = table::render(&study, &comparison, &TableOptions { width: 140, colour: true });
    let mut stripped = String::new();
    for (i, part) in coloured.split('\u{1b}').enumerate() {
        let shown = if i == 0 { part } else { part.split_once('m').unwrap().1 };
        stripped.push_str(shown);
    }
    assert!(coloured.contains("\u{1b}[32m") || coloured.contains("\u{1b}[31m"));
    assert_eq!(stripped, plain);
}

#[test]
fn a_narrow_terminal_gets_fewer_columns_and_no_wrapped_row() {
    let study = small();
    let comparison = Comparison::of(&study);
    let widest = |width: u16| {
        let text = table::render(&study, &comparison, &TableOptions { width, colour: false });
        let rows = text.lines().filter(|l| l.contains("(reference)") || l.contains("(bound)"));
        rows.map(|l| l.chars().count()).max().unwrap()
    };
    let widths = [220, 160, 120, 84].map(|w| (w, widest(w)));
    assert!(widths.iter().all(|(limit, w)| *w <= usize::from(*limit)), "{widths:?}");
    assert!(widths.windows(2).all(|w| w[0].1 > w[1].1), "{widths:?}");
}

#[test]
fn warnings_follow_from_the_numbers() {
    let one_seed = study(&Shape { requests: 600, seeds: 1, loads: vec![1.1], hostile: false });
    let found = warnings(&one_seed);
    assert!(found.contains(&Warning::OneSeed));
    assert!(found.contains(&Warning::FewTailSamples { beyond: 6 }));
    assert!(found.iter().any(|w| matches!(w, Warning::Saturated { .. })));
    assert!(found.iter().all(|w| !w.message().is_empty() && !w.advice().is_empty()));
}

#[test]
fn the_table_reads_like_this() {
    let study = study(&Shape { requests: 120, seeds: 2, loads: vec![0.5], hostile: false });
    let text = table::render(&study, &Comparison::of(&study), &TableOptions { width: 132, colour: false });
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    insta::assert_snapshot!(trimmed.join("\n"), @r"
    Which scheduler for a bursty day on one H100?
    SLO: TTFT ≤ 1 s and TPOT ≤ 60 ms, together, for 90 % of the requests; P99 of all gaps ≤ 100 ms.

    load 0.5 (3.25 req/s)
     system                           TTFT p99                gap p99   in SLO             goodput   SLO                 queue
    ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
     fastertransformer     7.87 ± 3.81  10.3 s   0.27 ± 0.17  32.5 ms   45.0 %   0.53 ± 1.67  1.43   no: TTFT            overloaded
     orca                  2.36 ± 3.79  3.10 s    1.47 ± 1.07  175 ms   82.5 %   1.08 ± 0.45  2.90   no: TTFT, P99 gap   overloaded
     sarathi-serve         1.41 ± 1.79  1.84 s   0.22 ± 0.14  26.2 ms   97.9 %   1.07 ± 1.18  2.86   met                 stable
     vllm-v1 (reference)          1.00  1.31 s           1.00  119 ms   97.5 %          1.00  2.67   no: P99 gap         stable
     clairvoyant (bound)   0.69 ± 2.11  902 ms   0.21 ± 0.13  24.7 ms   99.2 %   1.17 ± 0.37  3.13   met                 stable
     ideal (bound)         0.63 ± 1.92  822 ms   0.18 ± 0.11  21.0 ms   99.6 %   1.18 ± 0.31  3.14   met                 stable

    At load 0.5 (3.25 req/s), the best design compared with vllm-v1:
      P99 TTFT: tie of sarathi-serve and vllm-v1 – 1.41 ± 1.79 × (1.84 s against 1.31 s), within the interval
      P99 gap between tokens: sarathi-serve – 0.22 ± 0.14 × (26.2 ms against 119 ms)
      P99 end-to-end latency: tie of sarathi-serve and vllm-v1 – 0.97 ± 0.15 × (23.0 s against 23.7 s), within the interval
      goodput: tie of sarathi-serve and vllm-v1 – 1.07 ± 1.18 × (2.86 req/s against 2.67 req/s), within the interval
      Left out: fastertransformer, orca (limits missed).

    How to read it: the ratio in front of TTFT p99, gap p99, E2E p99 and goodput is to vllm-v1 at the same load (same requests at every
    seed, ± 95 % interval over 2 seeds); latencies below 1.00 and goodput above 1.00 are better. TTFT at the client; gap: between
    tokens, all requests pooled; in SLO: share of all that arrived; bounds are no designs: `ideal` serves every request alone,
    `clairvoyant` knows every answer's length.
    Not shown for want of width: TTFT p50, TPOT p50, TPOT mean, E2E p99, tok/s, preempt.; widen the terminal, or --format csv.
    ");
}

#[test]
fn comparison_as_csv_and_json_has_every_metric() {
    let study = small();
    let comparison = Comparison::of(&study);
    let csv = String::from_utf8(table::csv(&study, &comparison)).unwrap();
    assert!(csv.lines().any(|l| l.starts_with("load 0.8,5.2,sarathi-serve,false,stable,ttft_p99_s,2,")));
    let json: serde_json::Value = serde_json::from_slice(&table::json(&study, &comparison)).unwrap();
    assert_eq!(json["schema"], 2);
    assert_eq!(json["comparison"]["points"].as_array().unwrap().len(), 2);
}

/// `compare` reads folders of earlier versions: columns that were added since are missing there, not zero and no error.
#[test]
fn folders_without_the_newest_columns_are_read() {
    let study = small();
    let temp = tempfile::tempdir().unwrap();
    commit(&temp.path().join("x"), &folder(&study)).unwrap();
    let path = temp.path().join("x/summary.json");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let newest =
        ["energy_j", "provisioned_j_per_token", "usd_per_mtok", "sessions", "session_p50_s", "warm_up_ratio"];
    for run in file["runs"].as_array_mut().unwrap() {
        let columns = run["summary"]["run"].as_object_mut().unwrap();
        assert!(newest.iter().all(|key| columns.remove(*key).is_some()));
    }
    fs::write(&path, serde_json::to_vec(&file).unwrap()).unwrap();
    let read = windtunnel::results::read_study(&temp.path().join("x")).unwrap();
    assert_eq!(read.runs.len(), study.runs.len());
    assert!(read.runs.iter().all(|run| newest.iter().all(|key| run.summary.get(key).is_none())));
}
