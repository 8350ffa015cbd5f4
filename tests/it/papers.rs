//! Paper files: they resolve, and their claims keep their order in a miniature of each.

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::papers::PaperPlan;
use windtunnel::scenario::Target;

fn plan(name: &str, sets: &[&str]) -> PaperPlan {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    PaperPlan::resolve(&Target::EmbeddedPaper(name.to_owned()), &sets).unwrap_or_else(|e| panic!("{name}: {e}"))
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
