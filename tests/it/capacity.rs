//! `load = 1.0` is the capacity that the tables judge: the reference meets the SLO there, and not well above it.

use windtunnel::metrics::Saturation;
use windtunnel::results::Comparison;
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
