//! The server around the accelerators: where swapped KV goes and how fast.

use std::path::Path;

use serde::Deserialize;

use super::Grade;
use crate::catalog::Check;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputErrors, from_toml};
use crate::units::{Bytes, BytesPerSecond};

/// A host: its memory and its link to one accelerator.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// Name as people write it.
    pub title: String,
    /// Where the memory figures come from.
    pub source: String,
    /// Main memory.
    pub memory: Bytes,
    /// Bandwidth of main memory, one socket.
    pub memory_bandwidth: BytesPerSecond,
    /// Between pinned host memory and one accelerator.
    pub gpu_link: GpuLink,
}

/// Host memory to accelerator, one direction.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GpuLink {
    /// Where the rate comes from.
    pub source: String,
    /// How far to trust it.
    pub grade: Grade,
    /// Kind of link, such as `PCIe 4 x16`.
    pub name: String,
    /// Practical rate of pinned copies.
    pub bandwidth: BytesPerSecond,
}

impl Host {
    /// Reads `hardware/hosts/<name>.toml`, looked up beside the scenario first.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<Host, InputErrors> {
        let source = catalog::find(Shelf::Hosts, name, beside)?;
        let host: Host = from_toml(&source)?;
        let mut check = Check::new(&source);
        check.sourced("", &host.source);
        check.positive("", "memory", host.memory.0);
        check.positive("", "memory-bandwidth", host.memory_bandwidth.0);
        check.sourced("gpu-link", &host.gpu_link.source);
        check.positive("gpu-link", "bandwidth", host.gpu_link.bandwidth.0);
        check.done()?;
        Ok(host)
    }
}
