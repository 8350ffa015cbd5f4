//! What one run leaves behind: a record per request, counters per run, a coarse timeline.

use hdrhistogram::Histogram;

pub use super::fleet::FleetUse;
use super::records::Records;
pub use super::traffic::{MoveCounters, PortUse, Traffic, TransferCounters};
use super::work::{SizeBins, Work};
use crate::ids::{ClassId, ReplicaId, RequestId};
use crate::units::{SimDuration, SimTime};

/// Causes into which a request's end-to-end time is split exactly (invariant I15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
pub enum Cause {
    /// In the front end: waiting for a worker, being tokenised, streaming the last token.
    FrontEnd,
    /// Between front end and replica.
    Router,
    /// In the waiting queue before the first step that worked on it.
    Queue,
    /// Steps that computed its prompt.
    PrefillExecution,
    /// Between such steps: steps that worked only on others.
    PrefillInterrupted,
    /// KV on its way from a prefill to a decode replica.
    HandOver,
    /// Steps that computed its tokens, less what prompts of others added.
    DecodeExecution,
    /// Time added or taken by prompts of others while it was decoding.
    DecodeStalled,
    /// From a preemption until the progress lost was regained.
    PreemptionLoss,
    /// Migration between replicas.
    Migration,
    /// Host time not hidden behind the accelerator.
    Host,
    /// Waiting in a pipeline, or in a static batch for the others to finish.
    Bubble,
}

impl Cause {
    /// All causes, in ledger order.
    pub const ALL: [Cause; 12] = [
        Cause::FrontEnd,
        Cause::Router,
        Cause::Queue,
        Cause::PrefillExecution,
        Cause::PrefillInterrupted,
        Cause::HandOver,
        Cause::DecodeExecution,
        Cause::DecodeStalled,
        Cause::PreemptionLoss,
        Cause::Migration,
        Cause::Host,
        Cause::Bubble,
    ];

    /// Name in tables and files.
    pub fn name(self) -> &'static str {
        match self {
            Cause::FrontEnd => "front-end",
            Cause::Router => "router",
            Cause::Queue => "queue",
            Cause::PrefillExecution => "prefill-execution",
            Cause::PrefillInterrupted => "prefill-interrupted",
            Cause::HandOver => "hand-over",
            Cause::DecodeExecution => "decode-execution",
            Cause::DecodeStalled => "decode-stalled",
            Cause::PreemptionLoss => "preemption-loss",
            Cause::Migration => "migration",
            Cause::Host => "host",
            Cause::Bubble => "bubble",
        }
    }

    /// What it stands for, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Cause::FrontEnd => "waiting for a front-end worker, being tokenised, streaming the last token",
            Cause::Router => "between front end and replica",
            Cause::Queue => "in the waiting queue before the first step that worked on the request",
            Cause::PrefillExecution => "steps that computed its prompt",
            Cause::PrefillInterrupted => "between such steps: steps that worked only on others",
            Cause::HandOver => "KV on its way from a prefill to a decode replica",
            Cause::DecodeExecution => "steps that computed its tokens, less what prompts of others added",
            Cause::DecodeStalled => "time that prompts of others added or took while it was decoding",
            Cause::PreemptionLoss => "from a preemption until the progress lost was regained",
            Cause::Migration => "migration between replicas",
            Cause::Host => "host time not hidden behind the accelerator",
            Cause::Bubble => "waiting in a pipeline, or in a static batch for the others to finish",
        }
    }
}

/// The exact split of one request's end-to-end time, or a sum of such splits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger(pub [u64; 12]);

impl Ledger {
    /// Adds `d` to one cause.
    pub fn add(&mut self, cause: Cause, d: SimDuration) {
        self.0[cause as usize] += d.as_ps();
    }

    /// Time of one cause.
    pub fn get(&self, cause: Cause) -> SimDuration {
        SimDuration::from_ps(self.0[cause as usize])
    }

    /// Sum over all causes; equals end-to-end time for a finished request.
    pub fn total(&self) -> SimDuration {
        SimDuration::from_ps(self.0.iter().sum())
    }
}

/// Why a request was turned away at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Its prompt leaves no room for one answer token within the served context.
    TooLong,
    /// The deployment had as many requests as its admission limits allow.
    Overloaded,
}

/// When each token of an answer is due: token `i` (from 0) at `arrival + ttft + i·gap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the first token.
    pub ttft: SimDuration,
    /// For each further one.
    pub gap: SimDuration,
}

impl Deadlines {
    /// The deadline of token `index` (from 0) of a request that arrived at `arrival`.
    pub fn of(&self, arrival: SimTime, index: u32) -> SimTime {
        arrival + self.ttft + self.gap * u64::from(index)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Every token was delivered.
    Finished,
    /// Turned away at the door.
    Rejected(Rejection),
    /// Its client gave up before its last token.
    TimedOut,
    /// Still in the system when the run ended (only with a horizon).
    Unfinished,
}

/// Everything that is reported about one request. Instants are relative to the first row of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// Which request.
    pub id: RequestId,
    /// The class it is reported under.
    pub class: ClassId,
    /// The replica that served it.
    pub replica: ReplicaId,
    /// How it ended.
    pub fate: Fate,
    /// Prompt tokens.
    pub prompt: u32,
    /// Answer tokens delivered.
    pub output: u32,
    /// At the front end.
    pub arrival: SimTime,
    /// At the replica (front end and router passed).
    pub queued: SimTime,
    /// Start of the first step that worked on it.
    pub scheduled: SimTime,
    /// First token at the client (streaming delay included).
    pub first_token: SimTime,
    /// Last token at the client (streaming delay included).
    pub finish: SimTime,
    /// Longest interval between two of its tokens; zero with fewer than two.
    pub gap_max: SimDuration,
    /// Times it was preempted.
    pub preemptions: u32,
    /// Tokens computed again because of preemption.
    pub recomputed: u32,
    /// Prompt tokens found in the prefix cache, all admissions together.
    pub cached: u32,
    /// Tokens that reached the client by their deadline; 0 where the run had no [`Deadlines`].
    pub on_time: u32,
    /// End-to-end latency of the same request served alone: front end, prefill, decode, streaming; zero if rejected.
    pub alone: SimDuration,
    /// Where its time went; sums to `finish − arrival`.
    pub ledger: Ledger,
}

impl RequestRecord {
    /// End-to-end latency: last token − arrival.
    pub fn e2e(&self) -> SimDuration {
        self.finish - self.arrival
    }

    /// Slowdown: E2E over that of the same request served alone; absent for a rejected request.
    pub fn slowdown(&self) -> Option<f64> {
        let alone = self.alone.as_secs_f64();
        (alone > 0.0).then(|| self.e2e().as_secs_f64() / alone)
    }

    /// Time to first token as the client sees it.
    pub fn ttft(&self) -> SimDuration {
        self.first_token - self.arrival
    }

    /// Time the streaming front end added to each token: what the ledger's front end holds beyond `queued`.
    fn streaming(&self) -> SimDuration {
        let before_replica = self.ledger.get(Cause::FrontEnd) + self.ledger.get(Cause::Router);
        before_replica.saturating_sub(self.queued - self.arrival)
    }

    /// Time to first token as the engine sees it: no front end before, no streaming after.
    pub fn ttft_engine(&self) -> SimDuration {
        (self.first_token - self.queued).saturating_sub(self.streaming())
    }

    /// From entering the replica to the last token's step.
    pub fn in_replica(&self) -> SimDuration {
        (self.finish - self.queued).saturating_sub(self.streaming())
    }

    /// Scheduling delay: start of the first step that worked on it − arrival.
    pub fn scheduling_delay(&self) -> SimDuration {
        self.scheduled - self.arrival
    }

    /// Time in the replica's waiting queue before that step.
    pub fn queue(&self) -> SimDuration {
        self.scheduled - self.queued
    }

    /// Normalised latency: end-to-end seconds per answer token; absent without a token.
    pub fn normalised(&self) -> Option<f64> {
        (self.output > 0).then(|| self.e2e().as_secs_f64() / f64::from(self.output))
    }

    /// Mean interval between tokens, in seconds; absent for fewer than two tokens and for an answer that was delivered
    /// all at once (a static batch that holds its answers back), which has no intervals.
    pub fn tpot(&self) -> Option<f64> {
        (self.output > 1 && self.finish > self.first_token)
            .then(|| (self.finish - self.first_token).as_secs_f64() / f64::from(self.output - 1))
    }
}

/// Integer sums over a run, per cause, multiplied by constants only once at the end (exact for leaps and steps).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunCounters {
    /// Engine steps (a leap counts each of its steps).
    pub steps: u64,
    /// Steps with at least one prompt chunk and no decode.
    pub prefill_steps: u64,
    /// Steps with prompt chunks and decodes.
    pub mixed_steps: u64,
    /// Completion events handled (a leap is one).
    pub events: u64,
    /// Times a scheduler was asked for a plan.
    pub plans: u64,
    /// Times the cost model was asked for a step or a stretch of decode steps.
    pub cost_lookups: u64,
    /// Entries put into the heaps of a run: the queue of events and the milestones of cohorts.
    pub heap_pushes: u64,
    /// Arrivals handled.
    pub arrivals: u64,
    /// Times a router read the load or the cache of a replica.
    pub router_reads: u64,
    /// Prompt tokens computed (recomputed ones included).
    pub prefill_tokens: u64,
    /// Tokens computed by decoding.
    pub decode_tokens: u64,
    /// Tokens computed again after preemption.
    pub recomputed_tokens: u64,
    /// Prompt tokens taken from the prefix cache.
    pub cached_tokens: u64,
    /// Of the prefix hits of all admissions, tokens that were loaded from host memory.
    pub host_cached_tokens: u64,
    /// Slots computed for sequences that had already finished (static padding, late stops).
    pub wasted_slots: u64,
    /// Preemptions.
    pub preemptions: u64,
    /// KV blocks moved to or from host memory.
    pub swapped_blocks: u64,
    /// What was computed.
    pub work: Work,
    /// The part of it that nobody needed: recomputed tokens, padding, slots of finished sequences.
    pub waste: Work,
    /// Σ over steps of ⌊accelerator time · recomputed tokens / tokens⌋, over replicas and stages, in ps.
    pub recompute_time: u128,
    /// Time that steps waited for KV on its way to or from host memory, in ps.
    pub swap_time: u128,
    /// Steps by tokens computed.
    pub step_tokens: SizeBins,
    /// Steps by sequences.
    pub step_sequences: SizeBins,
    /// Time with work under way by what kept the replica from admitting more ([`Binding`](super::work::Binding)), over replicas, in ps.
    pub bound_time: [u128; 6],
    /// Time in steps, by cause, summed over replicas and stages, in ps: linear, attention, link, host.
    pub busy: [u128; 4],
    /// What steps drew.
    pub energy: Energy,
}

/// Energy of steps in fJ (mW · ps), over replicas and stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Energy {
    /// For prompts; of a mixed step what is not for decodes.
    pub prefill: u128,
    /// For decodes; of a mixed step their share of the accelerator's time, in a pipeline of the tokens.
    pub decode: u128,
    /// Of both, what the boards would have drawn without a step, with the weights resident.
    pub loaded: u128,
}

impl Energy {
    /// Adds another.
    pub fn add(&mut self, other: &Energy) {
        self.prefill += other.prefill;
        self.decode += other.decode;
        self.loaded += other.loaded;
    }
}

/// State of the whole deployment at one instant of a fixed grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The instant.
    pub at: SimTime,
    /// Requests waiting in replicas (swapped ones included).
    pub waiting: u32,
    /// Requests running.
    pub running: u32,
    /// Replicas provided for.
    pub provided: u32,
    /// KV blocks held by requests.
    pub kv_held: u64,
    /// Tokens those blocks have room for.
    pub kv_room: u64,
    /// Tokens whose KV running requests have in those blocks, shared ones counted once.
    pub kv_live: u64,
    /// Token slots that are empty in the last block of a request with tokens.
    pub kv_fragmented: u64,
    /// Tokens that the blocks have room for which nobody holds and whose content can still be found.
    pub kv_cached: u64,
    /// Tokens of free blocks that heads of queues blocked by memory could use if all free blocks were in one place.
    pub kv_stranded: u64,
    /// Work since the run began.
    pub work: Work,
    /// Of that, work that nobody needed.
    pub waste: Work,
    /// `RunCounters::bound_time` since the run began.
    pub bound_time: [u128; 6],
    /// Tokens generated since the run began.
    pub generated: u64,
    /// Requests finished since the run began.
    pub finished: u32,
}

/// Everything a run leaves behind.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// One record per request of the trace, by request id.
    pub records: Records,
    /// Integer sums over the run.
    pub counters: RunCounters,
    /// Pooled intervals between consecutive tokens of a request, in nanoseconds (three significant digits).
    pub gaps: Histogram<u64>,
    /// The deployment on a coarse grid of instants.
    pub samples: Vec<Sample>,
    /// The last event.
    pub end: SimTime,
    /// KV between replicas.
    pub traffic: Traffic,
    /// Replicas that came and went; none where all were there from beginning to end.
    pub fleet: Option<FleetUse>,
}
