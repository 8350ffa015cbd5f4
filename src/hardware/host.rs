//! The server around the accelerators: where swapped KV goes and how fast.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Grade, Node, node};
use crate::catalog::Check;
use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputErrors, from_toml};
use crate::units::{Bytes, BytesPerSecond, Watts};

/// A host: its memory, its accelerators and how they are joined.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Name of its file.
    pub name: String,
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
    /// Local disks, where there are any.
    pub storage: Option<Storage>,
    /// What the server draws beside its accelerators, where it is known.
    pub power: Option<HostPower>,
    /// Its accelerators and the links between them.
    pub node: Node,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    title: String,
    source: String,
    memory: Bytes,
    memory_bandwidth: BytesPerSecond,
    gpu_link: GpuLink,
    storage: Option<Storage>,
    power: Option<HostPower>,
    node: node::File,
}

/// Local disks: where models and cold KV lie. Data only: no mechanism reads it yet.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Storage {
    /// Where the rate comes from.
    pub source: String,
    /// How far to trust it.
    pub grade: Grade,
    /// Kind, such as `NVMe PCIe 4`.
    pub name: String,
    /// Sequential read rate of all disks together.
    pub read: BytesPerSecond,
}

/// `P_node = idle + sum(P_gpu) + overhead * sum(P_gpu - P_idle)` (cost-model.md, section 3.5). Data only: no run
/// computes energy yet.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostPower {
    /// Where the figures come from.
    pub source: String,
    /// How far to trust them.
    pub grade: Grade,
    /// The idle server without its accelerators.
    pub idle: Watts,
    /// Fans, converters and switches per watt of the accelerators above idle, in [0, 1).
    pub overhead: f64,
}

/// Host memory to accelerator, one direction.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
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
    /// The schema of such a file.
    pub fn json_schema_of_file() -> schemars::Schema {
        schemars::schema_for!(File)
    }

    /// Reads `hardware/hosts/<name>.toml`, looked up beside the scenario first.
    pub fn load(name: &str, beside: Option<&Path>) -> Result<Host, InputErrors> {
        let source = catalog::find(Shelf::Hosts, name, beside)?;
        let file: File = from_toml(&source)?;
        let mut check = Check::new(&source);
        let node = file.node.load(&mut check, beside);
        let host = &file;
        check.sourced("", &host.source);
        check.positive("", "memory", host.memory.0);
        check.positive("", "memory-bandwidth", host.memory_bandwidth.0);
        check.sourced("gpu-link", &host.gpu_link.source);
        check.positive("gpu-link", "bandwidth", host.gpu_link.bandwidth.0);
        if let Some(storage) = &host.storage {
            check.sourced("storage", &storage.source);
            check.positive("storage", "read", storage.read.0);
        }
        if let Some(power) = &host.power {
            check.sourced("power", &power.source);
            check.positive("power", "idle", power.idle.0);
            let message = format!("must be in [0, 1), got {}", power.overhead);
            let ok = (0.0..1.0).contains(&power.overhead);
            check.that(ok, "power", "overhead", message, "write a share, such as 0.2");
        }
        check.done()?;
        Ok(Host {
            name: name.to_owned(),
            title: file.title,
            source: file.source,
            memory: file.memory,
            memory_bandwidth: file.memory_bandwidth,
            gpu_link: file.gpu_link,
            storage: file.storage,
            power: file.power,
            node: node?,
        })
    }
}
