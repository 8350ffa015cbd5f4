//! One phase of a request simulated alone: what DistServe's Algorithm 1 compares instances by. How that is done, and what is
//! ours in it, is at the top of `src/planner/distserve.rs`.

use std::sync::Arc;

use crate::cost::{DecodeShape, Segment, StepCost, StepShape, StepTime};
use crate::engine::config::{FirstToken, Role};
use crate::metrics::slo::Slo;
use crate::results::{Finding, PlanStage};
use crate::scenario::SystemPlan;
use crate::scenario::capacity::TrialRule;
use crate::scenario::execute::Failure;
use crate::scenario::load::SearchGrid;
use crate::units::SimDuration;
use crate::workload::Trace;

use super::{Planner, bound};

/// Least requests of a trial of one instance or pair.
const RULE: TrialRule = TrialRule { requests: 1_000, spans: 5.0 };
/// Seeds of such trials.
pub(super) const SEEDS: usize = 2;
/// Factor between rates of the bracket, and the relative width at which a search stops.
const SEARCH: (f64, f64) = (1.6, 0.02);
/// One phase of a request, served by an instance that does nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Prefill,
    Decode,
}

/// The requests as each phase sees them, and their fingerprints.
pub(super) struct Phases<'a> {
    whole: Vec<&'a Trace>,
    prompts: Vec<Trace>,
    names: [String; 2],
}

impl<'a> Phases<'a> {
    /// Those of a search.
    pub fn of(planner: &Planner<'a>) -> Phases<'a> {
        let whole: Vec<&'a Trace> = planner.prepared.iter().map(|p| &p.trace).take(SEEDS).collect();
        let one_token = |trace: &&Trace| {
            let mut trace = (*trace).clone();
            for request in &mut trace.requests {
                (request.output, request.max_tokens) = (1, 1);
            }
            trace
        };
        let prompts = whole.iter().map(one_token).collect();
        let names = [Phase::Prefill, Phase::Decode].map(|p| format!("{}, {}", planner.requests, p.name()));
        Phases { whole, prompts, names }
    }
}

impl Phase {
    /// In progress and fingerprints.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Prefill => "prefill alone",
            Phase::Decode => "decode alone",
        }
    }

    /// A pair of instances of which only the one of this phase takes time.
    pub fn alone(self, pair: &SystemPlan) -> SystemPlan {
        let mut system = pair.clone();
        if let Some(joint) = &mut system.joint {
            if let Some(hand_over) = &mut joint.hand_over {
                hand_over.first_token = FirstToken::Prefill;
            }
            if self == Phase::Decode {
                joint.network.ports.fill(1_000_000_000_000_000);
                joint.network.network_latency = SimDuration::ZERO;
                joint.network.inside_latency = SimDuration::ZERO;
            }
        }
        if let (Phase::Decode, Some(prefill)) = (self, system.groups.first_mut()) {
            prefill.cost = Arc::new(Instant);
            prefill.replica.kv.blocks = 1 << 30;
            prefill.replica.kv.prefix_cache = false;
            prefill.replica.host_cache = 0;
        }
        system
    }

    /// The limits that this phase is judged by.
    fn limits(self, slo: &Slo) -> Slo {
        let none = Slo { joint: slo.joint, ..Slo::default() };
        match self {
            Phase::Prefill => Slo {
                ttft: slo.ttft,
                ttft_p99_10min: slo.ttft_p99_10min,
                scheduling_delay_p50: slo.scheduling_delay_p50,
                ..none
            },
            Phase::Decode => Slo { tpot: slo.tpot, gap_max: slo.gap_max, gap_p99: slo.gap_p99, ..none },
        }
    }

    /// What an instance serves alone.
    pub fn measure(
        self,
        planner: &Planner<'_>,
        system: &SystemPlan,
        requests: &Phases<'_>,
    ) -> Result<Finding, Failure> {
        let slo = self.limits(&planner.study().slo);
        let role = if self == Phase::Prefill { Role::Prefill } else { Role::Decode };
        let bound = bound::phase(system, role, requests.whole[0]);
        match self {
            Phase::Prefill => {
                let traces: Vec<&Trace> = requests.prompts.iter().collect();
                instance(planner, (system, &slo), (&traces, &requests.names[0]), bound)
            }
            Phase::Decode => instance(planner, (system, &slo), (&requests.whole, &requests.names[1]), bound),
        }
    }
}

/// The capacity of one instance or pair; its bound where so few requests never fill it.
pub(super) fn instance(
    planner: &Planner<'_>,
    (system, slo): (&SystemPlan, &Slo),
    (traces, requests): (&[&Trace], &str),
    bound: f64,
) -> Result<Finding, Failure> {
    let grid = SearchGrid { start: 1.0, step: SEARCH.0, precision: SEARCH.1 };
    let ceiling = Some(bound).filter(|b| b.is_finite());
    let (traces, stage) = (traces.to_vec(), PlanStage::Middle);
    planner.measured(&super::Ask { stage, system, slo, traces, requests, rule: RULE, grid, ceiling })
}

/// Steps that take no time but the least there is.
#[derive(Debug)]
struct Instant;

impl StepCost for Instant {
    fn step(&self, _: u8, _: &StepShape<'_>) -> StepTime {
        StepTime { linear: SimDuration::from_ps(1), ..StepTime::default() }
    }

    fn decode_segment(&self, _: u8, _: &DecodeShape) -> Segment {
        Segment { total: 1, total_slope: 0, gpu: 1, gpu_slope: 0, linear: 1, link: 0, until: 1 << 36 }
    }

    fn swap(&self, _: u32) -> SimDuration {
        SimDuration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_judged_by_their_own_limits() {
        let ms = |n: u64| Some(SimDuration::from_ps(n * 1_000_000_000));
        let slo = Slo { ttft: ms(200), tpot: ms(40), e2e: ms(900), gap_p99: ms(50), ..Slo::default() };
        let (p, d) = (Phase::Prefill.limits(&slo), Phase::Decode.limits(&slo));
        assert_eq!((p.ttft, p.tpot, p.e2e, p.gap_p99), (ms(200), None, None, None));
        assert_eq!((d.ttft, d.tpot, d.e2e, d.gap_p99), (None, ms(40), None, ms(50)));
    }
}
