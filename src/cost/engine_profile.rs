//! The engine's share of a step: host time, graphs, sampler, memory; named and dated, in `scenarios/engines/`.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::catalog::Check;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, InputErrors, from_toml};
use crate::hardware::{BatchClass, Grade};
use crate::units::{Bytes, Seconds};

/// How host work and accelerator work share a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, serde::Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostMode {
    /// `T = max(T_gpu, floor) + o0 + o1*n`.
    Serial,
    /// `T = max(T_gpu, floor, o0 + o1*n + o2*prefill tokens)`.
    Overlapped,
}

/// An engine of one version: what it adds to the accelerator's time, and its defaults.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EngineProfile {
    /// Name of its file.
    #[serde(skip)]
    pub name: String,
    /// Name as people write it.
    pub title: String,
    /// Year and month of the version, `YYYY-MM`.
    pub date: String,
    /// What the overheads were fitted to, and on which steps.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// False where the fit contains what a simulation models by itself.
    #[serde(default = "yes")]
    pub simulation: bool,
    /// Whether host and accelerator overlap.
    pub host: HostMode,
    /// Whether a stop is seen one step late (the finished sequence fills a slot of one more step).
    pub late_stop: bool,
    /// Host time and floor.
    pub overhead: Overhead,
    /// Captured graphs; none: no padding and no launch bound.
    pub graphs: Option<Graphs>,
    /// Sampling.
    pub sampler: Sampler,
    /// Collectives inside the engine.
    pub collectives: Collectives,
    /// What the engine takes of the accelerator's memory.
    pub memory: EngineMemory,
    /// Default batch limits by class of accelerator.
    pub limits: LimitsByClass,
}

/// Host time per step.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Overhead {
    /// Per step.
    pub o0: Seconds,
    /// Per sequence of the step.
    pub o1: Seconds,
    /// Per prompt token of the step; used by overlapped engines only.
    pub o2: Seconds,
    /// The shortest step.
    pub floor: Seconds,
    /// Layers of the models the floor was seen on, smallest and largest; outside, the floor scales with layers.
    pub floor_layers: Option<[u32; 2]>,
}

/// Captured graphs.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Graphs {
    /// Where the list and the launch constants come from.
    pub source: String,
    /// Captured batch sizes in tokens, rising; a step is padded to the next one.
    pub sizes: Vec<u32>,
    /// Kernels of one layer, for steps beyond the largest size.
    pub kernels_per_layer: u32,
    /// Launch time of one kernel.
    pub launch: Seconds,
}

/// Sampling of one token per sequence.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Sampler {
    /// Passes over the logits: 2 greedy, 8 with top-p or top-k.
    pub passes: u32,
}

/// Collectives as the engine runs them.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Collectives {
    /// Added to each all-reduce, because ranks do not arrive together.
    pub skew: Seconds,
}

/// Memory of one accelerator that is not KV.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EngineMemory {
    /// Where the figures come from.
    pub source: String,
    /// Default share of the visible memory that the engine uses, in (0, 1].
    pub utilization: f64,
    /// Contexts, graphs, fragmentation, and the activations of a step of 2048 tokens and 256 sequences.
    pub other: Bytes,
    /// Communicator buffers where the replica has more than one accelerator.
    pub collectives: Bytes,
}

/// Default batch limits.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitsByClass {
    /// For [`BatchClass::Large`].
    pub large: Limits,
    /// For [`BatchClass::Small`].
    pub small: Limits,
}

/// Batch limits of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// Tokens of one step.
    pub token_budget: u32,
    /// Sequences of one step.
    pub max_sequences: u32,
}

fn yes() -> bool {
    true
}

impl EngineProfile {
    /// Reads `scenarios/engines/<name>.toml`, looked up beside the scenario first.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<EngineProfile, InputErrors> {
        let source = catalog::find(Shelf::Engines, name, beside)?;
        let mut profile: EngineProfile = from_toml(&source)?;
        name.clone_into(&mut profile.name);
        let mut check = Check::new(&source);
        profile.check(&mut check);
        check.done()?;
        Ok(profile)
    }

    /// Default batch limits on an accelerator of `class`.
    pub fn limits(&self, class: BatchClass) -> Limits {
        match class {
            BatchClass::Large => self.limits.large,
            BatchClass::Small => self.limits.small,
        }
    }

    /// Refuses a profile whose fit contains what a simulation models by itself.
    pub fn for_simulation(&self) -> Result<(), InputErrors> {
        if self.simulation {
            return Ok(());
        }
        Err(InputErrors::from(InputError::named(
            format!("engine `{}`", self.name),
            "is not for simulation: its fit includes what prefills of other requests add",
            "choose another engine profile; `list engines` shows them",
        )))
    }

    fn check(&self, check: &mut Check<'_>) {
        check.sourced("", &self.source);
        let month = self.date.split_once('-').is_some_and(|(y, m)| {
            y.len() == 4 && y.parse::<u16>().is_ok() && m.parse::<u8>().is_ok_and(|m| (1..=12).contains(&m))
        });
        check.that(month, "", "date", format!("`{}` is not a month", self.date), "write it as \"2026-03\"");
        let o = &self.overhead;
        for (key, value) in [("o0", o.o0), ("o1", o.o1), ("o2", o.o2), ("floor", o.floor)] {
            let message = format!("of {} s is a second or longer", value.0);
            check.that(value.0 < 1.0, "overhead", key, message, "check the unit");
        }
        let used = o.o2.0 == 0.0 || self.host == HostMode::Overlapped;
        check.that(used, "overhead", "o2", "has no effect with `host = \"serial\"`", "remove it");
        let late = !self.late_stop || self.host == HostMode::Overlapped;
        check.that(late, "", "late-stop", "needs `host = \"overlapped\"`", "set it to false");
        if let Some([low, high]) = o.floor_layers {
            let ok = low >= 1 && low <= high;
            check.that(
                ok,
                "overhead",
                "floor-layers",
                "must be [smallest, largest]",
                "write for example [70, 80]",
            );
        }
        if let Some(graphs) = &self.graphs {
            check.sourced("graphs", &graphs.source);
            let rising = graphs.sizes.first().is_none_or(|s| *s >= 1)
                && graphs.sizes.windows(2).all(|pair| pair[0] < pair[1])
                && graphs.sizes.last().is_none_or(|s| *s <= MAX_GRAPH);
            let message = format!("must rise from 1 or more to {MAX_GRAPH} or less");
            check.that(rising, "graphs", "sizes", message, "sort the sizes and remove duplicates");
        }
        let m = &self.memory;
        check.sourced("memory", &m.source);
        check.fraction("memory", "utilization", m.utilization, 1.0);
        for (table, limits) in [("limits.large", self.limits.large), ("limits.small", self.limits.small)] {
            check.count(table, "token-budget", limits.token_budget);
            check.count(table, "max-sequences", limits.max_sequences);
        }
    }
}

/// Largest batch that may be captured; keeps the padding table small.
const MAX_GRAPH: u32 = 65_536;
