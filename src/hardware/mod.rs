//! Accelerators, links and hosts: datasheet values apart from fitted constants, each with its source.
//!
//! One TOML file each under `hardware/`; a new part needs no code.

mod accelerator;
mod gemm;
mod host;
mod link;
mod node;
mod power;

pub use accelerator::{Accelerator, AttentionFit, BatchClass, Datasheet, ElementwiseFit, PrefillLaw, Rates};
pub use gemm::{GemmFit, QuantFit, QuantFits};
pub use host::{GpuLink, Host, HostPower, Storage};
pub use link::{AllReduce, Link};
pub use node::{Level, Node, Reach};
pub use power::Power;

/// How a number came to be; every fitted section of a data file says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Read off a measurement as it is.
    Measured,
    /// Fitted to measurements of this very part.
    Fitted,
    /// Printed by the maker, or in a table of others that names its source.
    Published,
    /// Taken from a relative, scaled, assumed or from memory; the source says which.
    Derived,
}

impl Grade {
    /// As files write it.
    pub fn name(self) -> &'static str {
        match self {
            Grade::Measured => "measured",
            Grade::Fitted => "fitted",
            Grade::Published => "published",
            Grade::Derived => "derived",
        }
    }
}
