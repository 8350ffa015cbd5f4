//! What a step costs, from the keys of a deployment: precision, mixed attention, backend.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cost::{CostSpec, Datasheet, Roofline, StepCost, StepTable, TableCost};
use crate::diagnostic::{InputError, InputErrors};
use crate::rng::ContentHash;

use super::parts::Parts;
use super::schema::{Backend, KvOptions, SystemOptions};

/// The replica as the cost model sees it; pipeline stages are the caller's.
pub(super) fn spec(parts: Parts, options: &SystemOptions) -> CostSpec {
    let mut spec = CostSpec::new(parts.accelerator, parts.model, parts.engine);
    spec.tensor_parallel = options.parallel.tp;
    spec.kv_block = match options.kv {
        KvOptions::Paged(p) => p.block,
        KvOptions::Reserve(r) => r.block,
    };
    (spec.weights, spec.kv) = (options.precision.weights, options.precision.kv);
    spec.overrides.mixed_attention = options.mixed_attention;
    spec
}

/// What to say about a table: the steps it covers, and which content was read.
pub(super) struct TableFacts {
    /// The measured range in words.
    pub(super) covers: String,
    /// Hash of the file.
    pub(super) hash: String,
}

/// The cost model of one replica.
pub(super) fn build(
    spec: &CostSpec,
    backend: &Backend,
    folder: Option<&Path>,
) -> Result<(Arc<dyn StepCost>, Option<TableFacts>), InputErrors> {
    Ok(match backend {
        Backend::Roofline => (Arc::new(Roofline::new(spec)?), None),
        Backend::Ideal => (Arc::new(Datasheet::new(spec)?), None),
        Backend::Table(file) => {
            let path = folder.map_or_else(|| PathBuf::from(file), |folder| folder.join(file));
            let text = fs::read_to_string(&path).map_err(|e| {
                let help = "correct the path; a relative path starts at the folder of the scenario";
                InputError::named("backend", format!("the table `{file}` cannot be read: {e}"), help)
            })?;
            let hash = ContentHash::of(text.as_bytes());
            let cost = TableCost::new(spec, StepTable::parse(file, &text, spec.tensor_parallel)?)?;
            let covers = cost.hull();
            (Arc::new(cost), Some(TableFacts { covers, hash }))
        }
    })
}
