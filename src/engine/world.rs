//! What all replicas of a run share: the requests, the cost function, the sums.

use crate::cost::StepCost;
use crate::ids::{ReplicaId, RequestId};
use crate::kv::BlockKey;
use crate::metrics::record::{Cause, Deadlines, Fate, Ledger, Rejection, RequestRecord, RunCounters};
use crate::policy::order::Ranked;
use crate::units::{SimDuration, SimTime};
use crate::workload::{PrefixChains, Priority, Trace};

use super::clock::BusyClock;
use super::config::{Allocation, ReplicaConfig, ReserveRule};
use super::gaps::PooledGaps;
use super::request::{Phase, RequestState};

/// See the module's head.
pub(crate) struct World<'a> {
    /// What all groups of replicas share: block size, rule of allocation, queue order.
    pub config: &'a ReplicaConfig,
    /// What a step costs, by group of equal replicas.
    pub costs: Vec<&'a dyn StepCost>,
    pub requests: Vec<RequestState>,
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
    /// Requests that got their last token and whose clients have not been told (closed loop).
    pub just_finished: u32,
    /// When tokens are due, if anybody asks.
    pub deadlines: Option<Deadlines>,
    /// Requests queued at a replica that have not left it.
    pub inside: usize,
    /// Requests finished so far.
    pub done: u32,
    /// Tokens delivered so far (not counting a leap on its way).
    pub generated: u64,
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
            requests: requests(trace, limit),
            counters: RunCounters::default(),
            gaps: PooledGaps::default(),
            limit,
            streaming: SimDuration::ZERO,
            stepwise,
            audit: false,
            just_finished: 0,
            deadlines: None,
            inside: 0,
            done: 0,
            generated: 0,
            prefixes,
            priorities: &trace.priorities,
        }
    }

    pub fn request(&self, id: RequestId) -> &RequestState {
        &self.requests[id.index()]
    }

    pub fn request_mut(&mut self, id: RequestId) -> &mut RequestState {
        &mut self.requests[id.index()]
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
        let request = self.request_mut(id);
        request.phase = Phase::Left;
        let record = &mut request.record;
        (record.queued, record.scheduled, record.first_token, record.finish) = (at, at, at, at);
        record.fate = Fate::Rejected(reason);
    }

    /// Marks the last token of a request at engine time `at`.
    pub fn finish(&mut self, id: RequestId, at: SimTime) {
        let streaming = self.streaming;
        let request = self.request_mut(id);
        request.record.finish = at + streaming;
        request.record.fate = Fate::Finished;
        request.record.output = request.output;
        request.record.ledger.add(Cause::FrontEnd, streaming);
        self.just_finished += 1;
        self.done += 1;
    }

    /// Marks the first token of a request at engine time `at`.
    pub fn first_token(&mut self, id: RequestId, at: SimTime) {
        let at = at + self.streaming;
        self.request_mut(id).record.first_token = at;
    }
}

fn requests(trace: &Trace, limit: u32) -> Vec<RequestState> {
    let state = |(index, r): (usize, &crate::workload::Request)| {
        let room = limit.saturating_sub(r.prompt);
        let max_tokens = r.max_tokens.min(room);
        let id = RequestId(u32::try_from(index).expect("fewer than 2^32 requests"));
        RequestState {
            prompt: r.prompt,
            output: r.output.min(max_tokens),
            max_tokens,
            rank: 0,
            number: 0,
            phase: Phase::Outside,
            computed: 0,
            known: 0,
            generated: 0,
            blocks: 0,
            fixed_blocks: false,
            fed: false,
            stopping: false,
            unfindable: false,
            recovering: false,
            joined: 0,
            silent: 0,
            epoch: 0,
            planned: 0,
            dropped: 0,
            mark: SimTime::ZERO,
            last_token: SimTime::ZERO,
            clock: BusyClock::default(),
            gaps_from: u64::MAX,
            keyed: Vec::new(),
            record: RequestRecord {
                id,
                class: r.class,
                replica: ReplicaId(0),
                fate: Fate::Unfinished,
                prompt: r.prompt,
                output: 0,
                arrival: r.arrival,
                queued: SimTime::MAX,
                scheduled: SimTime::MAX,
                first_token: SimTime::MAX,
                finish: SimTime::MAX,
                gap_max: SimDuration::ZERO,
                preemptions: 0,
                recomputed: 0,
                cached: 0,
                on_time: 0,
                alone: SimDuration::ZERO,
                ledger: Ledger::default(),
            },
        }
    };
    trace.requests.iter().enumerate().map(state).collect()
}
