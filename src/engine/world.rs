//! What all replicas of a run share: the requests, the cost function, the sums.

use crate::cost::{StepCost, StepPower};
use crate::ids::RequestId;
use crate::kv::BlockKey;
use crate::metrics::record::{Cause, Deadlines, Fate, Rejection, RunCounters};
use crate::policy::order::Ranked;
use crate::units::{SimDuration, SimTime};
use crate::workload::{PrefixChains, Priority, Trace};

use super::config::{Allocation, ReplicaConfig, ReserveRule};
use super::gaps::PooledGaps;
use super::live::LiveRequests;
use super::request::RequestState;

/// See the module's head.
pub(crate) struct World<'a> {
    /// What all groups of replicas share: block size, rule of allocation, queue order.
    pub config: &'a ReplicaConfig,
    /// What a step costs, by group of equal replicas.
    pub costs: Vec<&'a dyn StepCost>,
    /// What steps draw, by group.
    pub powers: Vec<Option<StepPower>>,
    pub requests: LiveRequests<'a>,
    pub counters: RunCounters,
    pub gaps: PooledGaps,
    /// Longest context served.
    pub limit: u32,
    /// Delay of each token on its way to the client.
    pub streaming: SimDuration,
    /// One event per step.
    pub stepwise: bool,
    /// Check the invariants at every event.
    pub audit: bool,
    /// Requests that have ended and whose clients have not been told, where arrivals follow from answers.
    pub ended: Vec<RequestId>,
    hears_answers: bool,
    /// When tokens are due, if anybody asks.
    pub deadlines: Option<Deadlines>,
    /// Requests queued at a replica that have not left it.
    pub inside: usize,
    /// Requests finished so far.
    pub done: u32,
    /// Tokens delivered so far (not counting a leap on its way).
    pub generated: u64,
    /// Blocks kept free on a replica that has requests of a priority level, by level.
    pub headroom: &'a [u32],
    prefixes: Option<&'a PrefixChains>,
    priorities: &'a [Priority],
}

impl<'a> World<'a> {
    /// `groups`: configuration and cost of each group of equal replicas, at least one; they agree in what they share.
    pub fn new(groups: &[(&'a ReplicaConfig, &'a dyn StepCost)], trace: &'a Trace, stepwise: bool) -> Self {
        let config = groups[0].0;
        let shared = |c: &ReplicaConfig| (c.kv.block, c.order, c.kv.allocation.rule());
        assert!(groups.iter().all(|g| shared(g.0) == shared(config)), "groups share block, rule and order");
        // The smallest, so that every replica can serve every request.
        let limit = groups.iter().map(|g| g.0.effective_limit()).min().unwrap_or(0);
        let sized =
            |p: &&PrefixChains| p.tokens_per_id > 0 && p.tokens_per_id.is_multiple_of(config.kv.block);
        let prefixes = trace.prefixes.as_deref().filter(sized);
        World {
            config,
            costs: groups.iter().map(|g| g.1).collect(),
            powers: groups.iter().map(|g| g.1.power()).collect(),
            requests: LiveRequests::new(trace, limit),
            counters: RunCounters::default(),
            gaps: PooledGaps::default(),
            limit,
            streaming: SimDuration::ZERO,
            stepwise,
            audit: false,
            ended: Vec::new(),
            hears_answers: trace.hears_answers(),
            deadlines: None,
            inside: 0,
            done: 0,
            generated: 0,
            headroom: &[],
            prefixes,
            priorities: &trace.priorities,
        }
    }

    /// Priority level of a request; 0 is the most urgent.
    pub fn level(&self, id: RequestId) -> u32 {
        self.priorities.get(self.request(id).record.class.index()).map_or(0, |p| p.level)
    }

    pub fn request(&self, id: RequestId) -> &RequestState {
        &self.requests[id]
    }

    pub fn request_mut(&mut self, id: RequestId) -> &mut RequestState {
        &mut self.requests[id]
    }

    /// Whether nothing more can happen to a request but that it leaves: its client has all it will get.
    pub fn is_done(&self, id: RequestId) -> bool {
        self.requests.get(id).is_none_or(|r| r.record.fate != Fate::Unfinished)
    }

    /// The rank of a request that joins a replica.
    pub fn rank(&self, id: RequestId) -> u64 {
        let request = self.request(id);
        let priority = self.priorities.get(request.record.class.index());
        self.config.order.rank(&Ranked {
            level: priority.map_or(0, |p| p.level),
            prompt: request.prompt,
            output: request.output,
            due: priority.and_then(|p| p.deadline).map(|d| request.record.arrival + d),
        })
    }

    /// Whether allocation reserves at admission.
    pub fn reserves(&self) -> bool {
        matches!(self.config.kv.allocation, Allocation::Reserve(_))
    }

    /// Tokens that reserving allocation sets aside for a request.
    pub fn reservation(&self, id: RequestId) -> u32 {
        let r = self.request(id);
        let pow2 = |tokens: u32| tokens.checked_next_power_of_two().unwrap_or(u32::MAX);
        let rounded = || r.prompt + pow2(r.output).min(self.limit - r.prompt);
        match self.config.kv.allocation {
            Allocation::Paged { .. } => 0,
            Allocation::Reserve(ReserveRule::MaxTokens) => r.prompt + r.max_tokens,
            Allocation::Reserve(ReserveRule::MaxModelLen) => self.limit,
            Allocation::Reserve(ReserveRule::Pow2) => rounded(),
            Allocation::Reserve(ReserveRule::Exact) => r.prompt + r.output,
            Allocation::Reserve(ReserveRule::BuddyPow2) => pow2(rounded()).min(self.limit),
            Allocation::Reserve(ReserveRule::BuddyExact) => pow2(r.prompt + r.output).min(self.limit),
        }
    }

    /// Whether any prompt has keys from the trace.
    pub fn has_keys(&self) -> bool {
        self.prefixes.is_some()
    }

    /// Full blocks of a prompt that have keys from the trace.
    pub fn keyed_range(&self, id: RequestId) -> u32 {
        if self.prefixes.is_some_and(|p| !p.of(id).is_empty()) {
            self.request(id).prompt / self.config.kv.block
        } else {
            0
        }
    }

    /// Key of block `index` of a prompt, `index < keyed_range`.
    pub fn key(&self, id: RequestId, index: u32) -> BlockKey {
        let prefixes = self.prefixes.expect("a keyed range exists only with prefix ids");
        let parts = prefixes.tokens_per_id / self.config.kv.block;
        BlockKey { id: prefixes.of(id)[(index / parts) as usize], part: index % parts }
    }

    /// Turns a request away at the door.
    pub fn reject(&mut self, id: RequestId, at: SimTime, reason: Rejection) {
        let record = &mut self.request_mut(id).record;
        (record.queued, record.scheduled, record.first_token, record.finish) = (at, at, at, at);
        record.fate = Fate::Rejected(reason);
        self.requests.close(id);
    }

    /// Marks the last token of a request at engine time `at`.
    pub fn finish(&mut self, id: RequestId, at: SimTime) {
        let streaming = self.streaming;
        let request = self.request_mut(id);
        request.record.finish = at + streaming;
        request.record.fate = Fate::Finished;
        request.record.output = request.output;
        request.record.ledger.add(Cause::FrontEnd, streaming);
        self.done += 1;
        self.tell_client(id);
    }

    /// The client of a request that has ended is to be told.
    pub(super) fn tell_client(&mut self, id: RequestId) {
        if self.hears_answers {
            self.ended.push(id);
        }
    }

    /// Marks the first token of a request at engine time `at`.
    pub fn first_token(&mut self, id: RequestId, at: SimTime) {
        let at = at + self.streaming;
        self.request_mut(id).record.first_token = at;
    }
}
