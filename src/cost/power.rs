//! What a step draws: the power law of the accelerators (docs/energy.md) as integers, so that the energy of a leap and of its steps
//! agree to the femtojoule.
//!
//! ```text
//! E(step) = min(G·cap·t, G·(load·t + base·t_kernel + wait·t_wait) + e(work))        base = active − load, wait = 0.35·base
//! e(work) = memory·bytes/BW + compute·Σ w·FLOPs/peak
//! ```
//!
//! with `G` the accelerators of a stage, `t` the time of the step on all stages, `t_kernel` its linear work and attention and `t_wait` the
//! rest (collectives, host, KV on its way from or to host memory).

use super::{Arithmetic, CostSpec, UnitWork};

/// Share of `active − load` while an accelerator waits and polls (cost-model.md §3.2, from single measurements).
const WAITING: f64 = 0.35;

/// The law for one replica. Powers are per accelerator in mW, energies in fJ (mW · ps).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepPower {
    /// Accelerators of a pipeline stage.
    pub gpus: u64,
    /// Weights resident, nothing runs.
    pub load: u64,
    /// On top of it while kernels run.
    pub base: u64,
    /// On top of it while they wait.
    pub wait: u64,
    /// Most that a board draws.
    pub cap: u64,
    /// For reading the weights once.
    pub step: u64,
    /// For each token through the layers.
    pub token: u64,
    /// For each row of the output projection.
    pub logit: u64,
    /// For each token that a decoding sequence attends to.
    pub context: u64,
    /// For each query-key pair of prefill attention, times two.
    pub pair: u64,
    /// For each token whose KV prefill attention reads.
    pub chunk: u64,
}

impl StepPower {
    /// The law of one replica.
    pub fn of(spec: &CostSpec) -> StepPower {
        let (sheet, power) = (&spec.accelerator.datasheet, &spec.accelerator.power);
        let unit = UnitWork::of(spec);
        // J per byte and per 16-bit FLOP; watts over rates of one accelerator.
        let (byte, half) = (power.memory.0 / sheet.bandwidth.0, power.compute.0 / sheet.bf16.0);
        let arithmetic = spec.weights.arithmetic();
        let peak = arithmetic.peak(sheet).unwrap_or(sheet.bf16);
        let flop = power.compute.0 * power.weight(arithmetic) / peak.0;
        let fj = |joules: f64| whole(joules * 1e15);
        let mw = |watts: f64| whole(watts * 1e3);
        let base = power.active.0 - power.load.0;
        StepPower {
            gpus: u64::from(spec.tensor_parallel),
            load: mw(power.load.0),
            base: mw(base),
            wait: mw(WAITING * base),
            cap: mw(sheet.tdp.0),
            step: fj(unit.bytes_per_step * byte),
            token: fj(unit.flops_per_token * flop),
            logit: fj(unit.flops_per_logit * half),
            context: fj(unit.flops_per_context * half + unit.bytes_per_context * byte),
            pair: fj(unit.flops_per_context / 2.0 * half),
            chunk: fj(unit.bytes_per_context * byte),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative; far below 2^64")]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// Number formats that draw more per peak FLOP/s than 16 bits do.
impl crate::hardware::Power {
    /// Power at the peak of a format over that at the 16-bit peak.
    fn weight(&self, arithmetic: Arithmetic) -> f64 {
        match arithmetic {
            Arithmetic::Half => 1.0,
            Arithmetic::Fp8 => self.fp8_factor.unwrap_or(1.5),
            Arithmetic::Int8 => 1.3,
            Arithmetic::Fp4 => 2.5,
        }
    }
}
