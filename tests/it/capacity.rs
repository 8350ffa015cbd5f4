//! `load = 1.0` is the capacity that the tables judge: the reference meets the SLO there, and not well above it.

use windtunnel::metrics::Saturation;
use windtunnel::report;
use windtunnel::results::{Comparison, RunFiles, Study};
use windtunnel::scenario::execute::{Options, execute};
use windtunnel::scenario::{Flags, StudyPlan, Target};

#[test]
fn a_run_at_capacity_meets_the_slo_and_one_above_does_not() {
    let sets = [
        "workload.requests=2000",
        "workload.load=[1.0, 1.15]",
        "systems.compare=[\"vllm-v1\"]",
        "timeline-samples=0",
    ];
    let flags = Flags { sets: sets.map(str::to_owned).into(), seeds: Some(3) };
    let plan = StudyPlan::resolve(&Target::Embedded("quickstart".to_owned()), &flags);
    let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
    let executed = execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}"));
    let comparison = Comparison::of(&executed.into_study(&plan));
    let met: Vec<bool> = comparison.points.iter().map(|p| p.reference().expect("a row").slo_met).collect();
    assert_eq!(met, [true, false]);
    let at_capacity = comparison.points[0].reference().expect("a row");
    assert_ne!(at_capacity.saturation, Saturation::Overloaded);
    assert!(at_capacity.value("attainment").expect("limits").mean >= 0.9);
}

/// `scenarios/capacity-by-gap.toml` with few requests and two limits.
fn by_gap() -> Study {
    let sets = [
        "workload.requests=400",
        "capacity.requests=200",
        "capacity.spans=3",
        "capacity.gap-p99=[\"25 ms\", \"200 ms\"]",
        "systems.compare=[\"vllm-0.2\", \"sarathi-512\", \"vllm-v1\"]",
        "timeline-samples=0",
    ];
    let flags = Flags { sets: sets.map(str::to_owned).into(), seeds: Some(2) };
    let plan = StudyPlan::resolve(&Target::Embedded("capacity-by-gap".to_owned()), &flags);
    let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
    execute(&plan, Options::default(), &()).unwrap_or_else(|e| panic!("{e:?}")).into_study(&plan)
}

#[test]
fn every_system_has_a_capacity_at_every_limit_and_looser_limits_never_lower_it() {
    let study = by_gap();
    let table = study.capacity.as_ref().expect("the scenario asks for capacities");
    assert_eq!((table.cells.len(), table.points()), (6, 2));
    for system in 0..3 {
        let at = |point: usize| &table.cell(system, point).expect("a cell").by_seed;
        assert_eq!(at(0).len(), 2);
        assert!(at(0).iter().zip(at(1)).all(|(strict, loose)| strict <= loose && *loose > 0.0), "{table:?}");
    }
    // Prompts that stall every decode have no place under 25 ms.
    let strict = |system: usize| table.cell(system, 0).and_then(|c| c.value).expect("a value").mean;
    assert!(strict(0) < strict(1), "{table:?}");
    let best = table.best(&study, 0);
    assert!(best.contains(&1) || best.contains(&2), "{best:?}");
}

#[test]
fn capacities_are_in_the_files_and_on_the_page() {
    let study = by_gap();
    let files = report::folder(&study, &Comparison::of(&study), &RunFiles::default());
    let text = |name: &str| String::from_utf8(files.bytes(name).expect("the file").to_vec()).expect("text");
    assert_eq!(text("capacity.csv").lines().count(), 1 + 3 * 2 * 2);
    assert!(text("plots/capacity.svg").contains("capacity (req/s)"));
    assert!(text("index.html").contains("Capacity in req/s"));
    assert!(report::capacity::text(&study).contains("sarathi-512"));
}

#[test]
fn a_limit_of_five_iterations_is_five_times_the_step_of_the_reference() {
    let sets = ["slo.gap-p99={ times = 5, of-iteration = { batch = 32, context = 4096 } }".to_owned()];
    let flags = Flags { sets: sets.into(), seeds: None };
    let plan = StudyPlan::resolve(&Target::Embedded("capacity-by-gap".to_owned()), &flags);
    let plan = plan.unwrap_or_else(|errors| panic!("{errors}"));
    let one = plan.systems[plan.reference].iteration(32, 4096);
    let limit = plan.slo.gap_p99.expect("a limit");
    assert!(one.as_secs_f64() > 0.0);
    assert!((limit.as_secs_f64() / one.as_secs_f64() - 5.0).abs() < 1e-9);
    assert!(plan.settings.iter().any(|s| s.path == "slo.gap-p99" && s.origin.starts_with("computed: 5 ×")));
}
