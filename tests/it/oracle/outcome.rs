//! What an oracle run leaves behind.

use windtunnel::metrics::record::{FleetUse, MoveCounters, RequestRecord, RunCounters, TransferCounters};

use super::mutation::Mutation;

/// How an oracle run is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub mutation: Mutation,
    /// Keep one line per step.
    pub log: bool,
    /// Give up after this many steps (0: never) and mark the outcome as stuck.
    pub max_steps: u64,
}

/// What happened in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Prefixes fetched, requests refused early by each rule, given up on the way; keys that fetched ones drove out (§16).
    pub fetched: u64,
    pub refused_late: u64,
    pub refused_now: u64,
    pub refused_then: u64,
    pub gave_up_fetching: u64,
    /// KV layer by layer: prompts that begin; that wait for room; that find it, do not, or end at once.
    pub early: u64,
    pub early_waits: u64,
    pub early_room: u64,
    pub early_offered: u64,
    pub early_void: u64,
    /// Prompts and offers that go to mixed replicas.
    pub mixed_prompts: u64,
    pub mixed_answers: u64,
    /// §15: requests that meet no replica, that give up there; replicas started to have enough, back from draining,
    /// drained; requests that lost KV that had just come, or was in host memory; prefixes fetched to a lost replica.
    pub stranded: u64,
    pub gave_up_at_router: u64,
    pub started_for_least: u64,
    pub back_from_draining: u64,
    pub drained: u64,
    pub lost_when_loaded: u64,
    pub lost_when_swapped: u64,
    pub fetched_in_vain: u64,
    pub crowded_out: u64,
    pub preemptions: u64,
    pub swaps_out: u64,
    pub swaps_in: u64,
    /// Swaps that became recomputes because host memory was full.
    pub swaps_refused: u64,
    /// Batches that started while another one was in flight.
    pub overlapped_batches: u64,
    /// Instants with two completions, two routed requests, or both.
    pub ties: u64,
    pub rejections: u64,
    /// Requests that joined a replica inside, or at the end of, a decode-only step of it.
    pub leap_cuts: u64,
    pub prefix_hits: u64,
    /// Hits on blocks that an earlier admission of the same plan fills.
    pub same_plan_hits: u64,
    pub evictions: u64,
    pub late_stops: u64,
    /// Stopping requests that left as victims.
    pub stopping_victims: u64,
    pub feeds: u64,
    pub held_slots: u64,
    /// Plans that preempted and computed nothing.
    pub barren_plans: u64,
    /// Of those: with nothing in flight, so that the replica had to plan again in the same instant.
    pub plans_again: u64,
    /// Routing decisions on values older than the instant.
    pub stale_reads: u64,
    pub front_end_waits: u64,
    /// Steps of chunks in a turn for chunks, without hybrid batches.
    pub chunk_turns: u64,
    /// Requests turned away by an admission limit.
    pub overloaded: u64,
    /// Requests that joined a queue ahead of others.
    pub overtakings: u64,
    /// Clients that gave up while the request was in the front end, in a queue, swapped out, running.
    pub gave_up_at_door: u64,
    /// Steps that drew the cap, and others.
    pub capped: u64,
    pub uncapped: u64,
    /// Turns that came later than scheduled.
    pub put_off: u64,
    pub gave_up_waiting: u64,
    pub gave_up_swapped: u64,
    pub gave_up_running: u64,
    /// Requests that followed the first one of their session.
    pub sticky: u64,
    /// Requests that went to a known prefix, that did not because of the loads, and prefix ids forgotten.
    pub affine: u64,
    pub unbalanced: u64,
    pub forgotten_prefixes: u64,
    pub tree_matches: u64,
    pub queue_over_trees: u64,
    pub forgotten_leaves: u64,
    /// Blocks loaded from host memory.
    pub host_hits: u64,
    /// Prompts handed over; requests that ended with their prompt; plans in which an offer waited for memory, for the
    /// share of the queue, for somebody who waits; plans that left loaded requests because of the limit.
    pub handed_over: u64,
    pub ended_at_prefill: u64,
    pub offers_for_memory: u64,
    pub offers_for_share: u64,
    pub offers_for_victims: u64,
    pub resumes_held_back: u64,
    /// Flows that met another one at a port, and those that waited their turn.
    pub shared_ports: u64,
    pub fifo_waits: u64,
    /// Acknowledgements that let an idle prefill replica with a queue go on.
    pub unblocked: u64,
    /// Clients that gave up while the request was offered, on its way, loaded.
    pub gave_up_offered: u64,
    pub gave_up_coming: u64,
    pub gave_up_loaded: u64,
    pub decode_preemptions: u64,
    pub decode_swaps: u64,
    /// Arrivals of KV inside a decode-only step.
    pub kv_cuts: u64,
    pub moves: MoveCounters,
    /// Pairs that ended at a threshold, and requests that did not move because of an acknowledgement.
    pub pairs_ended: u64,
    pub held_by_acknowledgement: u64,
    /// Moves that came to nothing at the source: the request had finished or left, was preempted, had too many copies.
    pub void_finished: u64,
    pub void_preempted: u64,
    pub void_stages: u64,
    /// Turns of a source that waited for a batch in a pipeline, and questions after the first one of a move.
    pub turns_put_off: u64,
    pub asked_again: u64,
    /// Moves that were made, by kind; those out of a pipeline; most copies of one.
    pub live_moves: u64,
    pub blocking_moves: u64,
    pub recompute_moves: u64,
    pub moved_in_pipelines: u64,
    pub copies_most: u64,
    /// Clients that gave up while the request stood still.
    pub gave_up_standing: u64,
}

/// Everything an oracle run leaves behind.
#[derive(Clone, Debug)]
pub struct OracleOutcome {
    pub records: Vec<RequestRecord>,
    pub counters: RunCounters,
    /// KV that was sent, and bytes and busy time of each port.
    pub transfers: TransferCounters,
    pub ports: Vec<(u128, u128)>,
    pub fleet: Option<FleetUse>,
    pub coverage: Coverage,
    /// Ends of steps.
    pub boundaries: Vec<u64>,
    pub log: Vec<String>,
    /// Requests were left and nothing more could happen, or `max_steps` was reached.
    pub stuck: bool,
    /// Requests were left and nothing more could happen.
    pub stalled: bool,
    /// Blocks held by nobody at the end, on every replica.
    pub all_free: bool,
}
