//! A link between accelerators, and what collectives over it cost.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Grade;
use crate::catalog::Check;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputErrors, from_toml};
use crate::units::{BytesPerSecond, Seconds};

/// A link: point-to-point rate and the law of its all-reduce.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Link {
    /// Name as people write it.
    pub title: String,
    /// Where bandwidth and latency come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// Of one accelerator, one direction.
    pub bandwidth: BytesPerSecond,
    /// Of one point-to-point message.
    pub latency: Seconds,
    /// The all-reduce of a group whose slowest link this is.
    pub all_reduce: AllReduce,
}

/// All-reduce of `x` bytes per accelerator over a group of `N`: `max(floor, base + 2(N-1)/N * x / bandwidth)`
/// (ring law with a floor; cost-model.md, term AR).
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AllReduce {
    /// Where the constants come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// `arf`: the shortest all-reduce.
    pub floor: Seconds,
    /// `ar0`: time that does not depend on the size.
    pub base: Seconds,
    /// `arB`: bus bandwidth.
    pub bandwidth: BytesPerSecond,
}

impl Link {
    /// Reads `hardware/links/<name>.toml`, looked up beside the scenario first.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<Link, InputErrors> {
        let source = catalog::find(Shelf::Links, name, beside)?;
        let link: Link = from_toml(&source)?;
        let mut check = Check::new(&source);
        check.sourced("", &link.source);
        check.positive("", "bandwidth", link.bandwidth.0);
        check.not_negative("", "latency", link.latency.0);
        let reduce = &link.all_reduce;
        check.sourced("all-reduce", &reduce.source);
        check.not_negative("all-reduce", "floor", reduce.floor.0);
        check.not_negative("all-reduce", "base", reduce.base.0);
        check.positive("all-reduce", "bandwidth", reduce.bandwidth.0);
        check.that(
            reduce.bandwidth.0 <= link.bandwidth.0,
            "all-reduce",
            "bandwidth",
            format!(
                "{} GB/s is above the link's own {} GB/s",
                reduce.bandwidth.0 / 1e9,
                link.bandwidth.0 / 1e9
            ),
            "give the bus bandwidth of one direction, at most the link's",
        );
        check.done()?;
        Ok(link)
    }
}
