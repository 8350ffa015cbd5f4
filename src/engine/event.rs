//! What leaves an engine while it runs: steps for observers, and violations.

use crate::cost::{StepShape, StepTime};
use crate::ids::{ReplicaId, RequestId};
use crate::policy::scheduler::StepPlan;
use crate::units::SimTime;

use super::change::Change;

/// A contract or invariant was broken: our bug (exit code 3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invariant {invariant} violated at {at} on replica {replica}: {message}")]
pub struct Violation {
    /// Number of the invariant in docs/invariants.md, such as "I3", or "plan" for a scheduler's contract.
    pub invariant: &'static str,
    /// When.
    pub at: SimTime,
    /// Where.
    pub replica: ReplicaId,
    /// What was found.
    pub message: String,
}

/// One planned step, or one leap over `steps` equal plans, as an observer sees it when it ends.
#[derive(Clone, Copy, Debug)]
pub struct StepEvent<'a> {
    /// Where.
    pub replica: ReplicaId,
    /// Start of the (first) step.
    pub start: SimTime,
    /// When the tokens of the (last) step are back.
    pub end: SimTime,
    /// Steps taken, at least 1.
    pub steps: u32,
    /// The plan.
    pub plan: &'a StepPlan,
    /// Who decodes, where the step takes them one by one (`Decode::Each`, or a pipeline); empty where all do.
    pub members: &'a [RequestId],
    /// Shape of the first step.
    pub shape: StepShape<'a>,
    /// Time of the first step, summed over stages.
    pub time: StepTime,
    /// KV blocks held during the (last) step.
    pub kv_held: u32,
    /// Usable KV blocks.
    pub kv_total: u32,
}

/// Listens to the steps of a run; never changes it.
pub trait StepObserver {
    /// Whether it wants to hear of changes. Looking for them takes time.
    const WATCHES: bool = false;

    /// Whether it only wants to hear of memory (`Change::Fills`) and moves: most of the time goes into looking for the others.
    const ONLY_MEMORY: bool = false;

    /// A step or leap ended.
    fn step(&mut self, _event: &StepEvent<'_>) {}

    /// Something changed at `at`, the instant that ends now. Only where it `WATCHES`.
    fn change(&mut self, _at: SimTime, _change: &Change<'_>) {}
}

impl StepObserver for () {}
