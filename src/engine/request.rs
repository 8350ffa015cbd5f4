//! The state of one request inside the deployment.

use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::{Cause, Fate, Ledger, RequestRecord};
use crate::units::{SimDuration, SimTime};
use crate::workload::Request;

use super::clock::BusyClock;

/// Where a request is. `Decoding` requests are members of their replica's cohort: what changes with every token is
/// derived from the cohort's step counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not yet at a replica.
    Outside,
    /// At the router although it has left the front end: its replica failed, none is up, or a prefix is fetched.
    AtRouter,
    /// In the waiting queue of its replica.
    Waiting,
    /// Running, prompt incomplete.
    Prefilling,
    /// Running, a member of the cohort.
    Decoding,
    /// Running, in a batch that has not returned (pipeline, or a step that takes only some of the cohort).
    Flying,
    /// Finished, its slot is held until its static batch ends.
    Held,
    /// KV in host memory.
    Swapped,
    /// Its prompt is complete; the replica that is to decode it has no blocks for it yet.
    Offered,
    /// That replica has; its KV is on its way.
    Coming,
    /// Its KV has come; it does not run yet.
    Loaded,
    /// Gone.
    Left,
}

/// One request. Fields marked *settled* are those at the time it joined the cohort while it is `Decoding`.
#[derive(Clone, Debug)]
pub(crate) struct RequestState {
    pub prompt: u32,
    /// Tokens it will answer, after limits.
    pub output: u32,
    pub max_tokens: u32,
    /// What its replica's queue order goes by first (docs/semantics.md §4).
    pub rank: u64,
    /// How many joined its replica before it: the order among equal ranks.
    pub number: u32,
    pub phase: Phase,
    /// Tokens whose KV exists; settled.
    pub computed: u32,
    /// Tokens that were computed at some time: what is computed again below this was lost to a preemption.
    pub known: u32,
    /// Tokens generated; settled.
    pub generated: u32,
    /// Blocks it holds, shared ones included; settled.
    pub blocks: u32,
    /// It holds all blocks it will ever need: no growth.
    pub fixed_blocks: bool,
    /// Gets its remaining prompt one token per decode step.
    pub fed: bool,
    /// Has its last token but has not left (late stop).
    pub stopping: bool,
    /// Its blocks came back from host memory: they have no keys.
    pub unfindable: bool,
    /// Was preempted and has not regained a token since.
    pub recovering: bool,
    /// Stopped to move to another replica and has not gone on since.
    pub moves: bool,
    /// Cohort step at which it joined.
    pub joined: u64,
    /// Cohort steps after joining that give it no token yet (fed prompt).
    pub silent: u32,
    /// Counts its memberships, so that stale milestones are known.
    pub epoch: u32,
    /// Stamp of the last plan that gave it a chunk.
    pub planned: u32,
    /// Tokens whose KV its last preemption dropped.
    pub dropped: u32,
    /// Instant up to which the ledger is written (where the busy clock does not tell), or of its preemption.
    pub mark: SimTime,
    /// When it got its latest token.
    pub last_token: SimTime,
    /// Busy clock of the replica when it joined the cohort.
    pub clock: BusyClock,
    /// Cohort step from which on the cohort's gaps are its own.
    pub gaps_from: u64,
    /// Nodes of its leading keyed blocks.
    pub keyed: Vec<u32>,
    pub record: RequestRecord,
}

impl RequestState {
    /// Row `id` of the trace as it comes in, where `limit` is the longest context served; `keys` is memory.
    pub fn new(id: RequestId, row: &Request, limit: u32, keys: Vec<u32>) -> RequestState {
        let max_tokens = row.max_tokens.min(limit.saturating_sub(row.prompt));
        RequestState {
            prompt: row.prompt,
            output: row.output.min(max_tokens),
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
            moves: false,
            joined: 0,
            silent: 0,
            epoch: 0,
            planned: 0,
            dropped: 0,
            mark: SimTime::ZERO,
            last_token: SimTime::ZERO,
            clock: BusyClock::default(),
            gaps_from: u64::MAX,
            keyed: keys,
            record: RequestRecord {
                id,
                class: row.class,
                replica: ReplicaId(0),
                fate: Fate::Unfinished,
                prompt: row.prompt,
                output: 0,
                arrival: row.arrival,
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
    }

    /// Its place in its replica's queue order.
    pub fn place(&self) -> (u64, u32) {
        (self.rank, self.number)
    }

    /// Prompt and generated tokens; settled.
    pub fn tokens(&self) -> u32 {
        self.prompt + self.generated
    }

    /// Whether it is in its replica's running set.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Prefilling | Phase::Decoding | Phase::Flying | Phase::Held)
    }

    /// Whether a scheduler may plan it as a running request.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Prefilling | Phase::Decoding)
    }

    /// Writes the time from `mark` to `until` to one cause and moves the mark.
    pub fn charge(&mut self, cause: Cause, until: SimTime) {
        let elapsed = until - self.mark;
        self.record.ledger.add(cause, elapsed);
        self.mark = until;
    }
}
