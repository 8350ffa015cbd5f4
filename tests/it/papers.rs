//! Paper files: they resolve, and their claims keep their order in a miniature of each.

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::papers::{Mode, PaperPlan, PaperResult, files, reproduce};
use windtunnel::scenario::Target;

fn plan(name: &str, sets: &[&str]) -> PaperPlan {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    PaperPlan::resolve(&Target::EmbeddedPaper(name.to_owned()), &sets)
        .unwrap_or_else(|e| panic!("{name}: {e}"))
}

#[test]
fn every_embedded_paper_resolves() {
    let names = embedded_names(Shelf::Papers);
    assert!(names.len() >= 3, "{names:?}");
    for name in names {
        let plan = plan(name, &[]);
        assert!(plan.claims.len() >= 5 && plan.seeds >= 5, "{name}");
    }
}

/// A paper with few requests and seeds: its claims are not judged, their numbers are looked at here.
fn miniature(name: &str, claims: &[&str], sets: &[&str]) -> PaperResult {
    let mut plan = plan(name, &[&["seeds=2", "trial.requests=150", "trial.spans=2"], sets].concat());
    plan.claims.retain(|(claim, _)| claims.contains(&claim.name.as_str()));
    assert_eq!(plan.claims.len(), claims.len(), "{name}: a claim of the miniature is not in the file");
    let result = reproduce(&plan, &()).unwrap_or_else(|e| panic!("{name}: {e:?}"));
    for claim in &result.claims {
        assert_eq!(claim.verdict.word(), "not judged", "{name}: {}", claim.claim.name);
    }
    result
}

/// A claim's number at every seed of the mechanism run.
fn by_seed<'a>(result: &'a PaperResult, name: &str) -> &'a [f64] {
    let claim = result.claims.iter().find(|c| c.claim.name == name).unwrap();
    assert!(!claim.of(Mode::Mechanism).by_seed.is_empty(), "{name} has no number");
    &claim.of(Mode::Mechanism).by_seed
}

fn holds(result: &PaperResult, name: &str) -> bool {
    let claim = result.claims.iter().find(|c| c.claim.name == name).unwrap();
    let holds = &claim.of(Mode::Mechanism).holds;
    assert!(!holds.is_empty(), "{name} is no relation");
    holds.iter().all(|h| *h)
}

#[test]
fn orca_in_miniature_is_far_ahead_and_padding_is_part_of_it() {
    let result = miniature("orca", &["orca-over-ft", "orca-over-padded-ft"], &["workload.requests=400"]);
    let (shortest, padded) = (by_seed(&result, "orca-over-ft"), by_seed(&result, "orca-over-padded-ft"));
    assert!(shortest.iter().all(|r| *r > 10.0), "{shortest:?}");
    assert!(padded.iter().zip(shortest).all(|(p, s)| *p > 1.5 && p < s), "{padded:?} {shortest:?}");
}

#[test]
fn vllm_in_miniature_keeps_the_order_of_the_knees() {
    let result = miniature("vllm", &["knees"], &["workload.requests=300"]);
    assert!(holds(&result, "knees"), "{:?}", result.claims[0].numbers);
}

#[test]
fn sarathi_in_miniature_keeps_the_order_of_its_ablation() {
    let sets = ["experiment.ablation.workload.requests=150"];
    let result = miniature("sarathi-serve", &["ablation-gaps", "ablation-ttft", "overhead-falls"], &sets);
    assert!(by_seed(&result, "ablation-gaps").iter().all(|r| *r > 1.0));
    assert!(holds(&result, "ablation-ttft") && holds(&result, "overhead-falls"));
}

#[test]
fn distserve_in_miniature_keeps_the_order_of_its_links() {
    let result = miniature("distserve", &["algorithm-1-needs-the-link", "gap-stalls-vllm"], &[]);
    assert!(holds(&result, "algorithm-1-needs-the-link"), "{:?}", result.claims[0].numbers);
    let stalled = by_seed(&result, "gap-stalls-vllm");
    assert!(stalled.iter().all(|r| *r < 0.5), "{stalled:?}");
}

#[test]
fn llumnix_in_miniature_has_flat_stops_and_changes_nothing_alone() {
    let claims = [
        "live-256",
        "live-8k",
        "blocking-256",
        "blocking-8k",
        "live-is-flat",
        "blocking-grows",
        "one-instance",
    ];
    let result = miniature("llumnix", &claims, &["experiment.one-instance.workload.requests=100"]);
    let (live, blocking) = (by_seed(&result, "live-is-flat"), by_seed(&result, "blocking-grows"));
    assert!(live.iter().all(|r| (0.7..1.3).contains(r)), "{live:?}");
    assert!(blocking.iter().all(|r| *r > 16.0), "{blocking:?}");
    assert!(by_seed(&result, "one-instance").iter().all(|r| *r == 1.0));
}

/// A paper with two systems, of which one has twice the GPUs, and two classes.
const TWO: &str = r#"
seeds = 2
paper = { title = "t", venue = "v", url = "https://example.org", row = "A10" }
engines = { mechanism = "none" }
trial = { requests = 60, spans = 1 }
slo.ttft = "1 s"
deployment = { model = "opt-13b", accelerator = "a100-80g-sxm" }
[workload]
lengths.fixed = { prompt = 200, output = 40 }
arrivals.poisson = { rate = "1 req/s" }
requests = 200
rate = "8 req/s"
priorities = [{ name = "urgent", share = 0.2, priority = 0 }, { name = "other", share = 0.8, priority = 1 }]
[systems]
reference = "one"
compare = ["one", "two"]
one = { base = "vllm-0.2" }
two = { base = "vllm-0.2", replicas = 2 }
[[claim]]
name = "rate"
statement = "s"
test.ratio = { of = ["two"], to = ["one"] }
[[claim]]
name = "per-gpu"
statement = "s"
metric = "capacity-per-gpu"
test.ratio = { of = ["two"], to = ["one"] }
[[claim]]
name = "half"
statement = "s"
test.quotient = { of = "per-gpu", to = "rate" }
[[claim]]
name = "all"
statement = "s"
metric = "e2e_mean_s"
test.value = ["one"]
[[claim]]
name = "urgent"
statement = "s"
metric = "e2e_mean_s"
class = "urgent"
test.value = ["one"]
[[claim]]
name = "other"
statement = "s"
metric = "e2e_mean_s"
class = "other"
test.value = ["one"]
[[claim]]
name = "middle"
statement = "s"
test.ladder = ["urgent", "other"]
"#;

#[test]
fn claims_may_be_about_a_class_a_gpu_and_other_claims() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("paper.toml");
    std::fs::write(&path, TWO).unwrap();
    let plan = PaperPlan::resolve(&Target::File(path.clone()), &[]).unwrap_or_else(|e| panic!("{e}"));
    let result = reproduce(&plan, &()).unwrap_or_else(|e| panic!("{e:?}"));
    for seed in 0..2 {
        let at = |name: &str| by_seed(&result, name)[seed];
        assert!(at("rate") > 1.5, "two replicas serve more: {}", at("rate"));
        assert!((at("per-gpu") - at("rate") / 2.0).abs() < 1e-9);
        assert!((at("half") - 0.5).abs() < 1e-9);
        assert!((at("urgent") - at("other")).abs() > 1e-9, "the classes are told apart");
        let between = at("urgent").min(at("other"))..=at("urgent").max(at("other"));
        assert!(between.contains(&at("all")), "the mean of all lies between those of the classes");
        assert!((at("middle") - (at("urgent") * at("other")).sqrt()).abs() < 1e-12);
    }
    std::fs::write(&path, TWO.replace("class = \"other\"", "class = \"others\"")).unwrap();
    let plan = PaperPlan::resolve(&Target::File(path), &[]).unwrap_or_else(|e| panic!("{e}"));
    let error = format!("{:?}", reproduce(&plan, &()).err().expect("no request is of that class"));
    assert!(error.contains("no request is of class `others`"), "{error}");
}

#[test]
fn a_page_names_every_claim_and_its_files_are_the_same_twice() {
    let make = || {
        let result = miniature("sarathi-serve", &["chunk-overhead"], &[]);
        let files = files(&result);
        files
            .iter()
            .map(|(path, _)| (path.to_owned(), files.bytes(path).unwrap().to_vec()))
            .collect::<Vec<_>>()
    };
    let first = make();
    let page = first.iter().find(|(path, _)| path == "page.md").unwrap();
    let page = String::from_utf8(page.1.clone()).unwrap();
    assert!(page.contains("**chunk-overhead**") && page.contains("*not judged*"), "{page}");
    assert!(first.iter().any(|(path, _)| path == "claims.csv"));
    assert!(first == make());
}
