//! Numbers about what happens inside a run: utilisation, memory, what binds, what preemption costs.

use serde::{Deserialize, Serialize};

use super::measure::MeasureContext;
use super::quantile::mean;
use super::record::{Cause, Fate, Outcome, Sample};
use super::summary::RunStats;
use super::work::{Binding, Work};

/// FLOP and bandwidth utilisation of some work, as shares of what the datasheet allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Utilisation {
    /// Model FLOPs utilisation (MFU).
    pub flops: f64,
    /// Memory bandwidth utilisation (MBU).
    pub bytes: f64,
}

impl Utilisation {
    /// Of `work` over `seconds` of the whole deployment; absent without constants or time.
    pub fn of(work: &Work, seconds: f64, context: &MeasureContext) -> Option<Utilisation> {
        let unit = context.unit?;
        (seconds > 0.0).then(|| Utilisation {
            flops: work.flops(&unit) / (unit.peak_flops * seconds),
            bytes: work.bytes(&unit) / (unit.bandwidth * seconds),
        })
    }
}

/// The KV memory at one instant, as shares of all slots (a slot holds one token); they sum to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MemoryShares {
    /// Slots with a token of a running request.
    pub live: f64,
    /// Empty slots in the last block of a running request.
    pub fragmented: f64,
    /// Other slots of blocks that requests hold: reserved, or allocated ahead.
    pub reserved: f64,
    /// Slots of blocks that nobody holds and the prefix cache can still find.
    pub cached: f64,
    /// All others.
    pub free: f64,
}

impl MemoryShares {
    /// Of one sample; absent when the capacity is not known.
    pub fn of(sample: &Sample, context: &MeasureContext) -> Option<MemoryShares> {
        let total = context.kv_slots;
        let share = |slots: u64| slots as f64 / total as f64;
        (total > 0).then(|| MemoryShares {
            live: share(sample.kv_live),
            fragmented: share(sample.kv_fragmented),
            reserved: share(sample.kv_room.saturating_sub(sample.kv_live + sample.kv_fragmented)),
            cached: share(sample.kv_cached),
            free: share(total.saturating_sub(sample.kv_room + sample.kv_cached)),
        })
    }
}

/// Fills the columns that this module is about; `provided_s` is the time of the run for which all replicas together were
/// provided for.
pub(super) fn fill(stats: &mut RunStats, outcome: &Outcome, provided_s: f64, context: &MeasureContext) {
    let c = &outcome.counters;
    let useful = c.work.without(&c.waste);
    let busy_s = c.busy.iter().sum::<u128>() as f64 / 1e12 / f64::from(context.stages);
    let utilisation = |work: &Work, seconds: f64| Utilisation::of(work, seconds, context);
    let raw = utilisation(&c.work, provided_s);
    (stats.mfu_ratio, stats.mbu_ratio) = (raw.map(|u| u.flops), raw.map(|u| u.bytes));
    let needed = utilisation(&useful, provided_s);
    (stats.mfu_useful_ratio, stats.mbu_useful_ratio) = (needed.map(|u| u.flops), needed.map(|u| u.bytes));
    let in_steps = utilisation(&c.work, busy_s);
    (stats.mfu_busy_ratio, stats.mbu_busy_ratio) = (in_steps.map(|u| u.flops), in_steps.map(|u| u.bytes));
    // Sums of times are over the stages of all replicas; each of those is `width` GPUs (the mean, if unequal).
    let width = f64::from(context.gpus) / f64::from(context.stages);
    stats.recompute_gpu_s = Some(c.recompute_time as f64 / 1e12 * width);
    stats.swap_gpu_s = Some(c.swap_time as f64 / 1e12 * width);
    preemption(stats, outcome);
    let bound: u128 = c.bound_time.iter().sum();
    let share = |state: Binding| (bound > 0).then(|| c.bound_time[state as usize] as f64 / bound as f64);
    stats.bound_none_ratio = share(Binding::Open);
    stats.bound_memory_ratio = share(Binding::Memory);
    stats.bound_sequences_ratio = share(Binding::Sequences);
    stats.bound_budget_ratio = share(Binding::Budget);
    stats.bound_batch_ratio = share(Binding::Batch);
    stats.bound_other_ratio = share(Binding::Other);
    let memory: Vec<MemoryShares> =
        outcome.samples.iter().filter_map(|s| MemoryShares::of(s, context)).collect();
    let mean_of = |f: fn(&MemoryShares) -> f64| mean(&memory.iter().map(f).collect::<Vec<_>>());
    stats.kv_live_mean_ratio = mean_of(|m| m.live);
    stats.kv_fragmented_mean_ratio = mean_of(|m| m.fragmented);
    stats.kv_reserved_mean_ratio = mean_of(|m| m.reserved);
    stats.kv_cached_mean_ratio = mean_of(|m| m.cached);
    let stranded = |s: &Sample| s.kv_stranded as f64 / context.kv_slots as f64;
    stats.kv_stranded_mean_ratio =
        mean(&outcome.samples.iter().filter(|_| context.kv_slots > 0).map(stranded).collect::<Vec<_>>());
}

/// What preemption cost: per request, and per victim.
fn preemption(stats: &mut RunStats, outcome: &Outcome) {
    let (mut finished, mut victims) = (0_u64, 0_u64);
    let (mut lost, mut lost_by_victims) = (0_u128, 0_u128);
    for record in outcome.records.iter().filter(|r| r.fate == Fate::Finished) {
        let loss = u128::from(record.ledger.get(Cause::PreemptionLoss).as_ps());
        finished += 1;
        lost += loss;
        if record.preemptions > 0 {
            victims += 1;
            lost_by_victims += loss;
        }
    }
    let mean = |sum: f64, count: u64| (count > 0).then(|| sum / count as f64);
    stats.preemption_loss_mean_s = mean(lost as f64 / 1e12, finished);
    stats.preemption_loss_per_victim_s = mean(lost_by_victims as f64 / 1e12, victims);
    stats.preemptions_per_request = mean(outcome.counters.preemptions as f64, finished);
}
