//! What the cost tests share: specs by name, and the grid of shapes.

use std::fmt;

use windtunnel::catalog::{Shelf, embedded_names};
use windtunnel::cost::{Chunk, CostSpec, DecodeShape, EngineProfile, Roofline, StepShape};
use windtunnel::hardware::Accelerator;
use windtunnel::model::Model;

/// A measured number, for those who run the tests with `--nocapture`.
#[expect(clippy::print_stdout, reason = "shown only on request")]
pub fn report(line: fmt::Arguments<'_>) {
    println!("{line}");
}

/// Median and 90th percentile.
pub fn quantiles(mut errors: Vec<f64>) -> (f64, f64) {
    errors.sort_by(f64::total_cmp);
    (errors[errors.len() / 2], errors[errors.len() * 9 / 10])
}

pub fn spec(accelerator: &str, model: &str, engine: &str, tp: u32) -> CostSpec {
    let mut spec = CostSpec::new(
        Accelerator::load(accelerator, None).expect("embedded accelerator"),
        Model::load(model, None).expect("embedded model"),
        EngineProfile::load(engine, None).expect("embedded engine"),
    );
    spec.tensor_parallel = tp;
    spec
}

pub fn roofline(spec: &CostSpec) -> Roofline {
    Roofline::new(spec).expect("a spec that can be built")
}

pub fn decode(n: u32, context: u64) -> DecodeShape {
    DecodeShape { n, padding: 0, context }
}

pub fn decode_only(shape: DecodeShape) -> StepShape<'static> {
    StepShape { chunks: &[], decode: shape }
}

/// Every accelerator with every model, at the smallest tensor parallelism that holds the weights (and one more).
pub fn all_specs(engine: &str) -> Vec<CostSpec> {
    let accelerators: Vec<_> = embedded_names(Shelf::Accelerators)
        .into_iter()
        .map(|name| Accelerator::load(name, None).expect("embedded accelerator"))
        .collect();
    let models: Vec<_> = embedded_names(Shelf::Models)
        .into_iter()
        .map(|name| Model::load(name, None).expect("embedded model"))
        .collect();
    let engine = EngineProfile::load(engine, None).expect("embedded engine");
    let mut specs = Vec::new();
    for accelerator in &accelerators {
        for model in &models {
            let fits = |tp: &u32| {
                let share = model.weights(2.0).0 / f64::from(*tp);
                share < 0.85 * accelerator.datasheet.visible_memory.0
            };
            let parallel = [1, 2, 4, 8].into_iter().filter(fits).take(2);
            for tp in parallel {
                let mut spec = CostSpec::new(accelerator.clone(), model.clone(), engine.clone());
                spec.tensor_parallel = tp;
                if spec.check().is_ok() {
                    specs.push(spec);
                }
            }
        }
    }
    assert!(specs.len() > 400, "the grid shrank to {}", specs.len());
    specs
}

/// Shapes from one sequence to a full mixed batch.
pub fn grid() -> Vec<(Vec<Chunk>, DecodeShape)> {
    let chunk = |tokens, past| Chunk { tokens, past };
    let mut shapes = Vec::new();
    for n in [1, 7, 32, 200, 513, 1024] {
        for each in [1, 130, 2048, 30_000] {
            shapes.push((vec![], decode(n, u64::from(n) * each)));
        }
    }
    shapes.push((vec![], DecodeShape { n: 3, padding: 13, context: 1000 }));
    for chunks in [
        vec![chunk(1, 0)],
        vec![chunk(1, 8191)],
        vec![chunk(16, 100_000)],
        vec![chunk(65, 3)],
        vec![chunk(512, 1536)],
        vec![chunk(2048, 0)],
        vec![chunk(8192, 24_000)],
        vec![chunk(100, 0), chunk(300, 40), chunk(7, 5000)],
    ] {
        for (n, context) in [(0, 0), (1, 50), (64, 100_000), (250, 2_000_000)] {
            shapes.push((chunks.clone(), decode(n, context)));
        }
    }
    shapes
}
