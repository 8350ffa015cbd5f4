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
