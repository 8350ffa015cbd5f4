//! What a scheduler decides for one step.

use crate::ids::RequestId;
use crate::units::SimTime;

/// Which of the decode-ready requests get their next token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Decode {
    /// None of them.
    #[default]
    None,
    /// Every one, after this plan's preemptions, swap-ins and feeds were applied. O(1).
    All,
    /// The ones listed, one token each. O(batch).
    Each(Vec<RequestId>),
}

/// Takes the request at the head of the waiting queue into the running set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admission {
    /// A waiting request; admissions leave the queue in the order listed.
    pub request: RequestId,
    /// Tokens for which blocks are set aside now (the chunk of this step takes what it needs beyond). At most its
    /// `tokens`, and its blocks grow with what it generates; or at least all that it may ever need – `prompt +
    /// max_tokens − 1`, one more with a late stop – and they never grow. Reserving allocation sets its reservation aside.
    pub allocate: u32,
    /// Leading tokens whose KV is cached and is not computed again; from `EngineView::prefix_hit`.
    pub hit: u32,
}

/// What ends the admissions of a plan, or would end them if more requests waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdmissionLimit {
    /// The next request's KV does not fit, or somebody was preempted or is swapped out.
    Memory,
    /// No more requests may run.
    Sequences,
    /// The step has all the tokens it may have.
    Budget,
    /// The batch that runs must end first.
    Batch,
}

/// How a running request loses its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preempt {
    /// Drop its KV; it goes to the front of the waiting queue.
    Recompute,
    /// Move its KV to host memory; it goes to the swapped list.
    Swap,
}

/// One step, decided. Caller-owned and reused; `clear` before each use. Applied in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepPlan {
    /// Victims, in the order of their loss.
    pub preempt: Vec<(RequestId, Preempt)>,
    /// Swapped requests that come back; they are decode-ready in this step.
    pub swap_in: Vec<RequestId>,
    /// Loaded requests, whose prompts another replica has computed, that start running; they are decode-ready in this step.
    pub resume: Vec<RequestId>,
    /// Waiting requests that start running.
    pub admit: Vec<Admission>,
    /// Prompt tokens to compute per request (running or admitted in this plan), each at least 1.
    pub prefill: Vec<(RequestId, u32)>,
    /// Partly prefilled requests that from now on get their remaining prompt one token a step, with `decode`.
    pub feed: Vec<RequestId>,
    /// The decoding part.
    pub decode: Decode,
    /// Cost of every chunk is that of this many tokens (padded static batches); 0 means no padding.
    pub pad_prefill_to: u32,
    /// Why nobody else is admitted; `None` if everybody who came would be, or where the policy does not say. It
    /// changes nothing but reports. A policy that names it does so also while nobody waits: a leap that arrivals do
    /// not cut has to know what they will wait for.
    pub limit: Option<AdmissionLimit>,
    lists: Lists,
}

/// More lists than a plan ever works with.
const MOST_LISTS: usize = 4;

/// Memory of lists that schedulers work with; no part of what is decided.
#[derive(Clone, Debug, Default)]
struct Lists(Vec<Vec<RequestId>>);

impl PartialEq for Lists {
    fn eq(&self, _: &Lists) -> bool {
        true
    }
}

impl Eq for Lists {}

impl StepPlan {
    /// An empty list, with memory of an earlier plan if there is some: for `Decode::Each`, or to work with and give back.
    pub fn take_list(&mut self) -> Vec<RequestId> {
        self.lists.0.pop().unwrap_or_default()
    }

    /// Keeps the memory of a list for later plans.
    pub fn give_back(&mut self, mut list: Vec<RequestId>) {
        // A policy may also bring lists of its own: they are not hoarded.
        if self.lists.0.len() < MOST_LISTS {
            list.clear();
            self.lists.0.push(list);
        }
    }

    /// Empties the plan and keeps its memory.
    pub fn clear(&mut self) {
        self.preempt.clear();
        self.swap_in.clear();
        self.resume.clear();
        self.admit.clear();
        self.prefill.clear();
        self.feed.clear();
        if let Decode::Each(list) = std::mem::take(&mut self.decode) {
            self.give_back(list);
        }
        self.pad_prefill_to = 0;
        self.limit = None;
    }

    /// Whether the plan asks for no work at all.
    pub fn is_empty(&self) -> bool {
        self.prefill.is_empty() && (self.decode == Decode::None)
    }

    /// Whether the plan only lets every ready request decode: the kind of step that a leap can repeat.
    pub fn is_pure_decode(&self) -> bool {
        self.decode == Decode::All
            && self.preempt.is_empty()
            && self.swap_in.is_empty()
            && self.resume.is_empty()
            && self.admit.is_empty()
            && self.prefill.is_empty()
            && self.feed.is_empty()
    }
}

/// How long `plan` would return the same pure-decode plan, given that no request finishes, becomes decode-ready
/// or needs a block that is not free (the engine watches for those).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Horizon {
    /// Not beyond this step.
    OneStep,
    /// For this many steps (this one included, at least 1), and arrivals change the plan.
    Steps(u32),
    /// For every step that starts before this instant, and arrivals change the plan.
    Until(SimTime),
    /// Until something changes, an arrival included.
    UntilChange,
    /// Until a request finishes: arrivals do not change the plan. At most this many steps (`u32::MAX`: no limit).
    UntilCompletion(u32),
}
