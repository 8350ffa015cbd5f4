//! The page of a paper: whole without a network and without scripts, safe against the text of its file, and complete.

use windtunnel::papers::{Mode, PaperPlan, PaperResult, files, reproduce};
use windtunnel::scenario::Target;

const HOSTILE: &str = r#"</script><script>alert(1)</script><img src=x onerror=alert(2)>"'&"#;

/// A small paper with a claim of every kind; every text of it ends in `mark`.
fn paper(mark: &str, url: &str) -> String {
    let mark = format!("{mark:?}");
    let text = format!(
        r#"
seeds = 2
title = MARK
[paper]
title = MARK
venue = MARK
url = "{url}"
row = MARK
[engines]
mechanism = "none"
as-published = {{ "vllm-0.2" = "vllm-2023-a100" }}
note = MARK
[trial]
requests = 40
spans = 1
[workload]
lengths.fixed = {{ prompt = 200, output = 40 }}
arrivals.poisson = {{ rate = "1 req/s" }}
requests = 60
[slo]
normalised-mean = "100 ms"
scheduling-delay-p50 = "2 s"
[deployment]
model = "opt-13b"
accelerator = "a100-80g-sxm"
[systems]
reference = "vllm-0.2"
compare = ["vllm-0.2", "orca-max", MARK]
[systems.MARK]
base = "vllm-0.2"
note = MARK
[experiment.MARK]
title = MARK
workload.rate = "1 req/s"
[[claim]]
name = "ratio"
statement = MARK
source = MARK
published = 2.0
test.ratio = {{ of = ["vllm-0.2"], to = ["orca-max"] }}
band = [1, 3]
because = MARK
[[claim]]
name = "chain"
statement = MARK
test.chain = ["orca-max", MARK, "vllm-0.2"]
[[claim]]
role = "control"
name = "control"
experiment = MARK
statement = MARK
metric = "ttft_p50_s"
test.ratio = {{ of = [MARK], to = ["vllm-0.2"] }}
band = [0.9, 1.1]
[[claim]]
role = "baseline"
name = MARK
statement = MARK
test.value = [MARK]
[[change]]
knob = MARK
from = MARK
to = MARK
why = MARK
result = MARK
"#
    );
    text.replace("MARK", &mark)
}

fn run(text: &str) -> PaperResult {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paper.toml");
    std::fs::write(&path, text).unwrap();
    let plan = PaperPlan::resolve(&Target::File(path), &[]).unwrap_or_else(|e| panic!("{e}"));
    reproduce(&plan, &()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn text(result: &PaperResult, path: &str) -> String {
    String::from_utf8(files(result).bytes(path).unwrap().to_vec()).unwrap()
}

/// Every value of an attribute of the page.
fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
    let opening = format!(" {attribute}=\"");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn the_page_of_a_paper_loads_nothing_and_runs_nothing() {
    let result = run(&paper("plain", "https://example.org/paper"));
    let page = text(&result, "index.html");
    assert!(page.contains("content=\"default-src 'none'; style-src 'unsafe-inline'\""));
    for tag in ["<script", "<link", "<img", "<iframe", "<object", "<embed", "<image", "<form", "<base"] {
        assert!(!page.contains(tag), "{tag}");
    }
    for load in ["@import", "url(", "javascript:", "data:", " src=", " srcset="] {
        assert!(!page.contains(load), "{load}");
    }
    let handlers = page.split('<').filter_map(|tag| tag.split('>').next());
    assert!(handlers.into_iter().all(|tag| !tag.contains(" on")), "an event handler");
    // Links are followed by the reader; those inside the page have a target there.
    let links = values(&page, "href");
    assert!(links.len() > 4, "{links:?}");
    for link in links {
        match link.strip_prefix('#') {
            Some(place) => assert!(page.contains(&format!(" id=\"{place}\"")), "{link} leads nowhere"),
            None => assert_eq!(link, "https://example.org/paper"),
        }
    }
    assert!(page.contains("<svg") && page.matches("<figure").count() == 2, "curves and a chain");
}

#[test]
fn hostile_text_of_a_paper_is_shown_and_does_nothing() {
    let result = run(&paper(HOSTILE, "javascript:alert(3)"));
    let files = files(&result);
    for (path, _) in files.iter() {
        assert!(path.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c)), "{path}");
        let text = String::from_utf8(files.bytes(path).unwrap().to_vec()).unwrap();
        if path.ends_with(".html") || path.ends_with(".svg") {
            assert!(!text.contains("<script") && !text.contains("<img"), "{path} carries a tag of the file");
            // What is not a tag of ours is text: no quote or angle bracket of the file is left bare.
            assert!(!text.contains("\"'&\"") && !text.contains("alert(2)>"), "{path}");
        }
    }
    let markdown = text(&result, "page.md");
    assert!(!markdown.contains("<script") && !markdown.contains("<img") && !markdown.contains("<javascript"));
    assert!(markdown.contains("&lt;img src=x onerror=alert(2)&gt;"), "the text is shown");
    let page = text(&result, "index.html");
    assert!(page.contains("&lt;img src=x onerror=alert(2)&gt;"), "the text is shown");
    assert!(!values(&page, "href").iter().any(|link| link.contains("alert")), "not a link");
    assert!(page.contains("javascript:alert(3)"), "the address is shown as text");
}

#[test]
fn the_page_of_a_paper_has_every_claim_with_verdict_and_grade() {
    let result = run(&paper("plain", "https://example.org/paper"));
    let page = text(&result, "index.html");
    let rows: Vec<&str> = page.split("<tr>").collect();
    for claim in &result.claims {
        let opening = format!("<th class=\"wrap\" scope=\"row\">{}<small>", claim.claim.name);
        let row = rows.iter().find(|row| row.starts_with(&opening)).expect("a row for every claim");
        assert!(row.contains(&claim.claim.statement));
        assert!(row.contains(&format!(">{}</span>", claim.verdict.word())), "{row}");
        assert!(row.contains("hardware measured") || row.contains("hardware fitted"), "{row}");
        let value = claim.of(Mode::Mechanism).value.expect("all claims here are numbers");
        assert!(row.contains(&windtunnel::report::format::digits(value.mean)), "{row}");
    }
    // Its Markdown has the same verdicts.
    let markdown = text(&result, "page.md");
    for claim in &result.claims {
        assert!(markdown.contains(&format!("| **{}**: ", claim.claim.name)));
    }
}
