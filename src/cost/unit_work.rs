//! FLOPs and bytes per unit of work, and the datasheet rates they are compared with (MFU and MBU).

use super::CostSpec;
use super::spec::{HEAD_BYTES, Shard};

/// What one unit of work is in FLOPs and bytes, on all GPUs of a replica together; and what the GPUs of the whole
/// deployment could do.
///
/// The same FLOPs and bytes as those of the datasheet bound (`Datasheet`, docs/cost-model.md): GEMMs, causal
/// attention, weights once per step, KV once per sequence and step. Activations, embedding and sampler are not in it.
/// KV heads that tensor parallelism replicates count on every GPU.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UnitWork {
    /// GEMM FLOPs of one token through all layers.
    pub flops_per_token: f64,
    /// FLOPs of one row of the output projection.
    pub flops_per_logit: f64,
    /// Attention FLOPs of one query token and one token of its context, all layers.
    pub flops_per_context: f64,
    /// Bytes of weights that a step reads.
    pub bytes_per_step: f64,
    /// Bytes of KV of one token, all layers.
    pub bytes_per_context: f64,
    /// 16-bit peak of all GPUs of the deployment by the datasheet, FLOP/s, whatever number format the weights have.
    pub peak_flops: f64,
    /// Memory bandwidth of all GPUs of the deployment by the datasheet, B/s.
    pub bandwidth: f64,
}

impl UnitWork {
    /// The constants of a deployment of equal or unequal replicas: (what each of them costs, how many). Work is summed
    /// over all of them, so that none is given where one unit of it differs between them (number formats, or KV heads
    /// that only some replicate). Rates of different accelerators add up.
    pub fn of_deployment<'a>(parts: impl IntoIterator<Item = (&'a CostSpec, u32)>) -> Option<UnitWork> {
        let mut all: Option<UnitWork> = None;
        for (spec, replicas) in parts {
            let one = UnitWork::of(spec);
            let (peak, bandwidth) =
                (one.peak_flops * f64::from(replicas), one.bandwidth * f64::from(replicas));
            let sum = all.get_or_insert(UnitWork { peak_flops: 0.0, bandwidth: 0.0, ..one });
            if !sum.same_units(&one) {
                return None;
            }
            sum.peak_flops += peak;
            sum.bandwidth += bandwidth;
        }
        all
    }

    /// Whether a unit of work is the same, but for rounding.
    fn same_units(&self, other: &UnitWork) -> bool {
        let units = |u: &UnitWork| {
            [u.flops_per_token, u.flops_per_logit, u.flops_per_context, u.bytes_per_step, u.bytes_per_context]
        };
        units(self).iter().zip(units(other)).all(|(a, b)| (a - b).abs() <= 1e-9 * a.abs())
    }

    /// The constants of one replica.
    pub fn of(spec: &CostSpec) -> UnitWork {
        let sheet = &spec.accelerator.datasheet;
        let layers = spec.stage_layers();
        let gpus = f64::from(spec.tensor_parallel) * layers.len() as f64;
        let mut unit = UnitWork {
            flops_per_token: 0.0,
            flops_per_logit: 0.0,
            flops_per_context: 0.0,
            bytes_per_step: 0.0,
            bytes_per_context: 0.0,
            peak_flops: sheet.bf16.0 * gpus,
            bandwidth: sheet.bandwidth.0 * gpus,
        };
        for (i, &here) in layers.iter().enumerate() {
            let s = Shard::of(spec, here, i + 1 == layers.len());
            let head = if s.last { s.vocabulary * s.hidden } else { 0.0 };
            unit.flops_per_token += s.tp * 2.0 * s.layers * s.layer_elements();
            unit.flops_per_logit += s.tp * 2.0 * head;
            unit.flops_per_context += s.tp * s.layers * 4.0 * s.heads * s.head_size;
            unit.bytes_per_step +=
                s.tp * (s.layers * s.layer_elements() * s.weight_bytes + head * HEAD_BYTES);
            unit.bytes_per_context += s.tp * s.layers * s.kv_token_bytes;
        }
        unit
    }
}
