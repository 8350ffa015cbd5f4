//! What an oracle run leaves behind, and the ways to break it on purpose.

use windtunnel::metrics::record::{MoveCounters, RequestRecord, RunCounters, TransferCounters};

/// A deliberate fault, so that a test can show that the comparison would notice it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutation {
    #[default]
    None,
    /// The first possible victim instead of the last.
    VictimOrderReversed,
    /// A plan must leave one block more than it needs.
    FitsOffByOne,
    /// Requests of one instant are routed in reverse.
    ArrivalTiesReversed,
    /// Tokens of decodes do not use up the budget of `unified`.
    BudgetIgnoresDecodes,
    /// A preempting plan admits nevertheless.
    AdmitsWhilePreempting,
    /// A hit may cover the whole prompt.
    HitCoversWholePrompt,
    /// A finished request leaves at once although the host learns late.
    LateStopMissing,
    /// A victim joins the back of the queue.
    VictimToBack,
    WatermarkIgnored,
    /// A gap is measured to the start of the step that ends it.
    GapFromStepStart,
    /// One token more is reserved.
    ReservationOffByOne,
    /// Equal load goes to the highest replica.
    RouterTieToHighest,
    /// Routers read the load of now.
    StalenessIgnored,
    /// Moving blocks takes no time.
    SwapIsFree,
    /// Activations reach the next stage at once.
    HopMissing,
    /// A decode attends to the tokens before its own only.
    ContextOffByOne,
    /// A prompt of exactly the limit is served.
    LimitOffByOne,
    /// A request lets go of its first block first.
    FreesFirstBlockFirst,
    /// Finished slots of a static batch cost nothing.
    PaddingMissing,
    /// Arrivals at the end of a step miss the plan of that instant.
    ArrivalsAfterPlan,
    /// The step in which a request finishes takes 1 ps more.
    FinishingStepTooLong,
    /// Keys are entered a second time (the newer block wins).
    DuplicateKeys,
    /// Memory load does not count what waiting requests ask for.
    QueueAsksForNothing,
    /// Of two equally busy replicas the second one drawn wins.
    SecondDrawWinsTies,
    /// Requests of a session are routed like any others.
    SessionForgotten,
    /// Affinity holds however far loads are apart.
    ImbalanceIgnored,
    /// Every queue is first come, first served.
    OrderIgnored,
    /// `max_outstanding` looks at those who wait only.
    OutstandingCountsTheQueue,
    /// A client that gives up during a step is forgotten.
    GivesUpForgotten,
    /// Host memory keeps no prefix block.
    HostTierMissing,
    /// Tokens computed again count as needed.
    RecomputationIsUseful,
    /// Who comes during a step waits for a limit from that instant on.
    BoundFromArrival,

    /// The acknowledgement takes no time.
    LeaseFreedAtLastByte,
    /// A lease ends with the offer.
    LeaseFreedAtOffer,
    /// Offers are taken although somebody waits.
    TakingIgnoresWaiting,
    /// One block more may be held by requests that do not run yet.
    ShareOffByOne,
    /// Loaded requests resume however many run.
    ResumeIgnoresLimit,
    /// Loaded requests resume before the loop over running ones.
    ResumeFirst,
    /// Flows keep their rates when another one ends.
    RatesNotSharedAgain,
    /// A flow that waits claims no port.
    FifoOvertakes,
    /// A hand-over is charged to decoding.
    HandOverIsDecoding,
    /// The step that completes a prompt samples its first token, whoever should.
    FirstTokenEarly,
    /// Offers of one instant are made in the order of completions.
    OffersInCompletionOrder,
    /// Bytes flow before the first layer is computed.
    LayersNotAwaited,
    /// The last layer's bytes take no message.
    RestIsSentAtOnce,
    /// Routers do not see prompts for which room is made.
    EarlyIsNotCounted,
    /// Room is made beside offers.
    EarlyBesideOffers,
    /// A prompt without room meets a router again.
    EarlyIsRoutedAgain,
    /// What is promised is let go before bytes on their way have come.
    PromiseEndsAtOnce,
    /// A mixed replica takes a request however busy it is.
    MixedTakesAll,
    /// A replica could take a request whatever it has been offered.
    OffersAreForgotten,

    /// Headroom of priority levels is not kept.
    HeadroomIgnored,
    /// A pair lasts however free its replicas are.
    PairsNeverEnd,
    /// A request moves again before the acknowledgement of its last move has come.
    MovesBeforeAcknowledged,
    /// The most urgent level moves first.
    MostUrgentMoves,
    /// Turns pass in no time.
    MessagesTakeNoTime,
    /// A request that was preempted moves nevertheless once it decodes again.
    MovesTheVictim,
    /// The source asks for one block too many.
    AsksForOneMore,
    /// A request stops with one block too many left.
    LastStageOffByOne,
    /// Blocks that a resuming request lets go serve the rest of the plan.
    LetGoInThePlan,
    /// Who moves may find its own blocks again when it comes back.
    PrivateKeysStay,
    /// Standing still is charged to decoding.
    StandingIsDecoding,

    // Other readings of the specification, tried when engine and oracle differ.
    /// A plan that only names victims is applied while batches are in flight.
    ReadBarrenPlanApplied,
    /// Chunked (3): requests that come back in this plan no longer count as swapped.
    ReadSwappedSeenAfterSwapIn,
    /// Requests that come back do not use up the budget of chunked.
    ReadSwapInsOutsideBudget,
    /// A step that only removes stopping requests has not preempted.
    ReadStoppingVictimIsNoPreemption,
    /// Keys are entered right after each allocation, not after all of them.
    ReadKeysWithEachAllocation,
    /// Keys are entered in the order of the plan's chunks: running requests before admissions.
    ReadKeysInChunkOrder,
    /// Padded prompts are costed as the longest of the micro-batch, not of the batch.
    ReadPaddedToMicroBatch,
    /// A micro-batch of decodes takes those that have done the fewest steps first, not the first in queue order.
    ReadMicroBatchesTakeTurns,
    /// Swap time in a pipeline is a bubble.
    ReadPipelineSwapIsBubble,
    /// Steps that feed a prompt count as decoding.
    ReadFeedIsDecoding,
}

impl Mutation {
    /// Readings of the specification that the oracle does not follow.
    pub const READINGS: [Mutation; 10] = [
        Mutation::ReadBarrenPlanApplied,
        Mutation::ReadSwappedSeenAfterSwapIn,
        Mutation::ReadSwapInsOutsideBudget,
        Mutation::ReadStoppingVictimIsNoPreemption,
        Mutation::ReadKeysWithEachAllocation,
        Mutation::ReadKeysInChunkOrder,
        Mutation::ReadPaddedToMicroBatch,
        Mutation::ReadMicroBatchesTakeTurns,
        Mutation::ReadPipelineSwapIsBubble,
        Mutation::ReadFeedIsDecoding,
    ];

    /// The faults.
    pub const ALL: [Mutation; 32] = [
        Mutation::VictimOrderReversed,
        Mutation::FitsOffByOne,
        Mutation::ArrivalTiesReversed,
        Mutation::BudgetIgnoresDecodes,
        Mutation::AdmitsWhilePreempting,
        Mutation::HitCoversWholePrompt,
        Mutation::LateStopMissing,
        Mutation::VictimToBack,
        Mutation::WatermarkIgnored,
        Mutation::GapFromStepStart,
        Mutation::ReservationOffByOne,
        Mutation::RouterTieToHighest,
        Mutation::StalenessIgnored,
        Mutation::SwapIsFree,
        Mutation::HopMissing,
        Mutation::ContextOffByOne,
        Mutation::LimitOffByOne,
        Mutation::FreesFirstBlockFirst,
        Mutation::PaddingMissing,
        Mutation::ArrivalsAfterPlan,
        Mutation::FinishingStepTooLong,
        Mutation::DuplicateKeys,
        Mutation::QueueAsksForNothing,
        Mutation::SecondDrawWinsTies,
        Mutation::SessionForgotten,
        Mutation::ImbalanceIgnored,
        Mutation::OrderIgnored,
        Mutation::OutstandingCountsTheQueue,
        Mutation::GivesUpForgotten,
        Mutation::HostTierMissing,
        Mutation::RecomputationIsUseful,
        Mutation::BoundFromArrival,
    ];

    /// The faults of §14, which need replicas between which requests move.
    pub const MOVES: [Mutation; 11] = [
        Mutation::HeadroomIgnored,
        Mutation::PairsNeverEnd,
        Mutation::MovesBeforeAcknowledged,
        Mutation::MostUrgentMoves,
        Mutation::MessagesTakeNoTime,
        Mutation::MovesTheVictim,
        Mutation::AsksForOneMore,
        Mutation::LastStageOffByOne,
        Mutation::StandingIsDecoding,
        Mutation::PrivateKeysStay,
        Mutation::LetGoInThePlan,
    ];

    /// The faults of §12 and §13, which need prefill and decode apart.
    pub const APART: [Mutation; 11] = [
        Mutation::LeaseFreedAtLastByte,
        Mutation::LeaseFreedAtOffer,
        Mutation::TakingIgnoresWaiting,
        Mutation::ShareOffByOne,
        Mutation::ResumeIgnoresLimit,
        Mutation::ResumeFirst,
        Mutation::RatesNotSharedAgain,
        Mutation::FifoOvertakes,
        Mutation::HandOverIsDecoding,
        Mutation::FirstTokenEarly,
        Mutation::OffersInCompletionOrder,
    ];

    /// The faults of layer-wise transfer and mixed replicas (end of §12).
    pub const LAYERED: [Mutation; 8] = [
        Mutation::LayersNotAwaited,
        Mutation::RestIsSentAtOnce,
        Mutation::EarlyIsNotCounted,
        Mutation::EarlyBesideOffers,
        Mutation::EarlyIsRoutedAgain,
        Mutation::PromiseEndsAtOnce,
        Mutation::MixedTakesAll,
        Mutation::OffersAreForgotten,
    ];
}

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
