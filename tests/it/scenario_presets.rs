//! Every preset resolves on every class of accelerator, says where it was published, and is what its name says.

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::engine::config::{Allocation, ReserveRule};
use windtunnel::scenario::{Flags, StudyPlan, Target};

/// The quickstart with one system only.
fn resolve(system: &str, sets: &[&str]) -> StudyPlan {
    let mut sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    sets.push(format!("systems.reference=\"{system}\""));
    sets.push(format!("systems.compare=[\"{system}\"]"));
    let flags = Flags { sets, seeds: None };
    match StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags) {
        Ok(plan) => plan,
        Err(errors) => panic!("{system}: {errors}"),
    }
}

#[test]
fn every_preset_resolves_and_names_its_source() {
    let names = embedded_names(Shelf::Systems);
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        for accelerator in ["h100-sxm", "a100-80g-sxm"] {
            let plan = resolve(name, &[&format!("deployment.accelerator=\"{accelerator}\"")]);
            let system = &plan.systems[0];
            let paper = system.paper.as_ref().expect(name);
            assert!(!paper.title.is_empty() && !paper.row.is_empty(), "{name}");
            assert!(system.options.note.is_some(), "{name} has no note");
            assert!(system.cluster.replica.kv.blocks > 0, "{name}");
        }
    }
}

#[test]
fn unset_limits_come_from_the_class_of_the_accelerator() {
    let budget = |accelerator: &str| {
        let plan = resolve("vllm-v1", &[&format!("deployment.accelerator=\"{accelerator}\"")]);
        let settings = &plan.systems[0].settings;
        let of = |path: &str| settings.iter().find(|s| s.path == path).map(|s| s.value.clone());
        (of("scheduler.unified.token-budget"), of("scheduler.unified.max-sequences"))
    };
    assert_eq!(budget("h100-sxm"), (Some("8192".to_owned()), Some("1024".to_owned())));
    assert_eq!(budget("a100-80g-sxm"), (Some("2048".to_owned()), Some("256".to_owned())));
}

#[test]
fn v1_cannot_use_its_null_block() {
    let plan = resolve("vllm-v1", &["deployment.kv-blocks=2588"]);
    assert_eq!(plan.systems[0].cluster.replica.kv.blocks, 2587);
}

#[test]
fn allocation_follows_the_preset() {
    let allocation =
        |name: &str| resolve(name, &["deployment.kv-blocks=10000"]).systems[0].cluster.replica.kv.allocation;
    assert_eq!(allocation("orca"), Allocation::Reserve(ReserveRule::MaxTokens));
    assert_eq!(allocation("fastertransformer"), Allocation::Reserve(ReserveRule::MaxModelLen));
    assert_eq!(allocation("sarathi-serve"), Allocation::Paged { watermark: 100 });
}

#[test]
fn oracles_are_marked() {
    for (name, oracle) in [
        ("orca-oracle", true),
        ("orca-pow2", true),
        ("clairvoyant", true),
        ("orca", false),
        ("vllm-v1", false),
    ] {
        assert_eq!(resolve(name, &[]).systems[0].oracle, oracle, "{name}");
    }
}

#[test]
fn a_scenario_may_have_the_name_of_its_recipe_or_system() {
    for name in ["burstgpt-conv", "vllm-v1"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(format!("{name}.toml"));
        std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/quickstart.toml"), &path).unwrap();
        let target = Target::parse(path.to_str().unwrap());
        let plan = StudyPlan::resolve(&target, &Flags::default()).unwrap();
        assert!(plan.workload.open(&plan.sources).is_ok(), "{name}");
    }
}
