//! STUB until `cluster::simulate` is there: one request after the other, so that the rest can be tried.

use crate::cluster::{Outcome, RunOptions, StepObserver, Violation};
use crate::cost::{Chunk, DecodeShape, StepCost, StepShape};
use crate::engine::config::ClusterConfig;
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::{Cause, Fate, Ledger, RequestRecord, RunCounters, Sample};
use crate::units::{SimDuration, SimTime};
use crate::workload::Trace;

/// Stand-in with the signature of `cluster::simulate`.
pub fn simulate(
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    _options: &RunOptions,
    _observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    let _ = config;
    let mut free = SimTime::ZERO;
    let mut records = Vec::new();
    let mut gaps = hdrhistogram::Histogram::<u64>::new(3).unwrap_or_else(|_| unreachable!());
    for (i, r) in trace.requests.iter().enumerate() {
        let chunks = [Chunk { tokens: r.prompt, past: 0 }];
        let prefill = cost.step(0, &StepShape { chunks: &chunks, decode: DecodeShape::default() }).total();
        let decode = DecodeShape { n: 1, padding: 0, context: u64::from(r.prompt) };
        let step = cost.step(0, &StepShape { chunks: &[], decode }).total();
        let step = SimDuration::from_ps(step.as_ps() / 16);
        let scheduled = r.arrival.max(free);
        let first_token = scheduled + prefill;
        let finish = first_token + step * u64::from(r.output - 1);
        gaps.record_n(step.as_ps() / 1000, u64::from(r.output - 1)).ok();
        free = finish;
        let mut ledger = Ledger::default();
        ledger.add(Cause::Queue, scheduled - r.arrival);
        ledger.add(Cause::PrefillExecution, prefill);
        ledger.add(Cause::DecodeExecution, finish - first_token);
        records.push(RequestRecord {
            id: RequestId(u32::try_from(i).unwrap_or(0)),
            class: r.class,
            replica: ReplicaId(0),
            fate: Fate::Finished,
            prompt: r.prompt,
            output: r.output,
            arrival: r.arrival,
            queued: r.arrival,
            scheduled,
            first_token,
            finish,
            gap_max: step,
            preemptions: 0,
            recomputed: 0,
            cached: 0,
            ledger,
        });
    }
    let samples: Vec<Sample> = Vec::new();
    Ok(Outcome { records, counters: RunCounters::default(), gaps, samples, end: free })
}
