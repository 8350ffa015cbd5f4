//! No deployment can serve more than its datasheet allows: the bound that prunes a search.
//!
//! A request of prompt `P` and answer `O` costs a deployment at least
//! `F = f_token·(P + O − 1) + f_logit·O + f_context·(P²/2 + C)` FLOPs and, by decoding alone,
//! `B = w·steps + k·C` bytes, with `C = Σ_{i=1}^{O−1} (P + i)` the context its decode steps read, and
//! `steps ≥ max((O − 1)/n, C/S)`: a step gives at most `n` (`max-sequences`) requests a token, and reads the contexts
//! of at most as many tokens as the KV memory of a replica holds, `S`. The constants are those of `UnitWork`, the rates
//! those of the datasheet. So the rate is at most `min(peak/mean F, bandwidth/mean B)`.
//!
//! A trial is a window of a finite run: requests that are still under way at its end have had a part of their work
//! done outside. [`SLACK`] allows for that.

use crate::metrics::slo::Slo;
use crate::policy::scheduler::SchedulerConfig;
use crate::scenario::SystemPlan;
use crate::workload::Trace;

/// A trial lasts at least 20 P99 end-to-end latencies, so at most a twentieth of its work lies outside; twice that.
pub const SLACK: f64 = 1.1;

/// Highest rate that the datasheet lets `system` serve requests like those of `trace`, requests per second; infinite
/// where nothing is known. 0: one decode step alone takes longer than the limits on tokens allow.
pub fn rate(system: &SystemPlan, trace: &Trace, slo: &Slo, attainment: f64) -> f64 {
    let Some(unit) = system.unit_work() else { return f64::INFINITY };
    let replicas = f64::from(system.replicas().max(1));
    // Tensor-parallel ranks read the weights together, stages one after the other.
    let alone_s = unit.bytes_per_step / (unit.bandwidth / replicas) * f64::from(system.stages()) / replicas;
    if too_slow(slo, alone_s, trace, attainment) {
        return 0.0;
    }
    let formats = system.spec.weights.arithmetic().peak(&system.spec.accelerator.datasheet);
    let peak =
        formats.map_or(1.0, |p| (p.0 / system.spec.accelerator.datasheet.bf16.0).max(1.0)) * unit.peak_flops;
    // Prompt tokens and KV that requests share cost less than this counts.
    let shares = trace.prefixes.is_some();
    let batch = f64::from(batch(&system.cluster.replica.scheduler).unwrap_or(u32::MAX));
    let slots = system.kv_slots() as f64 / replicas;
    let (mut flops, mut bytes) = (0.0, 0.0);
    for request in &trace.requests {
        let (prompt, output) = (f64::from(request.prompt), f64::from(request.output));
        let decodes = output - 1.0;
        let context = decodes * prompt + decodes * output / 2.0;
        let computed = if shares { decodes } else { prompt + decodes };
        let causal = if shares { context } else { prompt * prompt / 2.0 + context };
        let steps = (decodes / batch).max(if shares { 0.0 } else { context / slots });
        flops +=
            unit.flops_per_token * computed + unit.flops_per_logit * output + unit.flops_per_context * causal;
        bytes += unit.bytes_per_step * steps + unit.bytes_per_context * context;
    }
    let n = trace.requests.len() as f64;
    (peak * n / flops).min(unit.bandwidth * n / bytes)
}

/// Whether reading the weights once takes longer than a limit on tokens, for more requests than may miss it.
fn too_slow(slo: &Slo, alone_s: f64, trace: &Trace, attainment: f64) -> bool {
    let over = |limit: Option<crate::units::SimDuration>| limit.is_some_and(|l| alone_s > l.as_secs_f64());
    let decoding = trace.requests.iter().filter(|r| r.output > 1).count() as f64;
    let many = decoding > (1.0 - attainment) * trace.requests.len() as f64;
    over(slo.gap_p99) || (many && (over(slo.tpot) || over(slo.gap_max)))
}

/// Most requests that one step gives a token.
pub fn batch(scheduler: &SchedulerConfig) -> Option<u32> {
    match scheduler {
        SchedulerConfig::Unified(s) => Some(s.max_sequences),
        SchedulerConfig::Chunked(s) => Some(s.max_sequences),
        SchedulerConfig::PrefillFirst(s) => Some(s.max_sequences),
        SchedulerConfig::Iteration(s) => Some(s.max_batch),
        _ => None,
    }
}
