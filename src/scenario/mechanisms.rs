//! Mechanisms of one system: from what the scenario says to what the engine takes.

use crate::engine::config::{Admission, FrontEnd, ReserveRule};
use crate::policy::order::Order;
use crate::policy::scheduler::SchedulerConfig;

use super::schema::{KvOptions, LengthPredictor, OrderOptions, SystemOptions};

/// What stands before the router, with what it lets in.
pub(super) fn front_end(options: &SystemOptions) -> FrontEnd {
    let (front, admission) = (options.front_end, options.admission);
    FrontEnd {
        per_request: front.per_request,
        per_prompt_token: front.per_prompt_token,
        per_streamed_token: front.per_streamed_token,
        workers: front.workers,
        admission: Admission {
            max_queue: admission.max_queue,
            max_outstanding: admission.max_outstanding,
            timeout: admission.timeout,
        },
    }
}

/// The order of the queues, with what is known of lengths.
pub(super) fn order(options: &SystemOptions) -> Order {
    match (options.order, options.length_predictor) {
        (OrderOptions::Fcfs, _) => Order::Fcfs,
        (OrderOptions::Priority, _) => Order::Priority,
        (OrderOptions::Sjf, LengthPredictor::None) => Order::ShortestPrompt,
        (OrderOptions::Sjf, LengthPredictor::Oracle) => Order::ShortestJob,
        (OrderOptions::Edf, _) => Order::EarliestDeadline,
    }
}

/// Whether a system uses what no real system knows.
pub(super) fn knows_lengths(scheduler: &SchedulerConfig, kv: &KvOptions) -> bool {
    let reserve = matches!(kv, KvOptions::Reserve(r) if !matches!(r.rule, ReserveRule::MaxTokens | ReserveRule::MaxModelLen));
    scheduler.knows_lengths() || reserve
}
