//! Ways to break the oracle on purpose, so that a test can show that a comparison would notice it.

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
    /// Boards draw whatever the law asks for.
    CapIgnored,
    /// A turn comes as soon as the one before it was answered.
    PauseForgotten,
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
    /// One tick that wants it is enough.
    FirstWishCounts,
    /// A replica comes back with the prefixes that it had.
    CacheSurvives,
    /// Routers remember prefixes and sessions of replicas that are down.
    RoutersRemember,
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
    pub const ALL: [Mutation; 34] = [
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
        Mutation::CapIgnored,
        Mutation::PauseForgotten,
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

    /// The faults of replicas that come and go (§15).
    pub const FLEET: [Mutation; 3] =
        [Mutation::FirstWishCounts, Mutation::CacheSurvives, Mutation::RoutersRemember];
}
