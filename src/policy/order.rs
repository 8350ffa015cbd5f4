//! The order of a replica's queue: who is admitted first, and so who loses its place last.
//!
//! # Mechanism modelled
//! Every request gets a rank when it joins a replica. Queue order is (rank, number of joining): waiting, running and
//! swapped requests all stand in it, so that the head of the queue has the lowest rank and the victim of a memory
//! shortage is the running request with the highest. With `priority` that is vLLM V1's policy: the waiting queue is a
//! heap by (priority, arrival), the victim `max(running, key = (priority, arrival))`. Nobody loses its place only
//! because somebody more urgent arrives.
//!
//! # Left out, and the effect
//! Ageing: under `sjf` long prompts can starve, and under `priority` the least urgent can. A rank never changes while a
//! request waits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::SimTime;

/// Which rank a request gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// None: first come, first served.
    #[default]
    Fcfs,
    /// The level of its class; lower is more urgent.
    Priority,
    /// Its prompt tokens: shortest first.
    ShortestPrompt,
    /// Prompt plus true output: shortest first. An oracle, marked in every report.
    ShortestJob,
    /// Arrival plus the deadline of its class: earliest first; without a deadline last.
    EarliestDeadline,
}

/// What a rank is made of.
#[derive(Clone, Copy, Debug)]
pub struct Ranked {
    /// Level of its class, 0 if nothing says one.
    pub level: u32,
    /// Prompt tokens.
    pub prompt: u32,
    /// Tokens it will answer.
    pub output: u32,
    /// When it is due, if its class has a deadline.
    pub due: Option<SimTime>,
}

impl Order {
    /// The rank of a request that joins a replica.
    pub fn rank(self, request: &Ranked) -> u64 {
        match self {
            Order::Fcfs => 0,
            Order::Priority => u64::from(request.level),
            Order::ShortestPrompt => u64::from(request.prompt),
            Order::ShortestJob => u64::from(request.prompt) + u64::from(request.output),
            Order::EarliestDeadline => request.due.map_or(u64::MAX, SimTime::as_ps),
        }
    }

    /// Whether it reads true output lengths (an oracle; marked in reports).
    pub fn knows_lengths(self) -> bool {
        self == Order::ShortestJob
    }

    /// Whether an arrival can go ahead of those who wait.
    pub fn overtakes(self) -> bool {
        self != Order::Fcfs
    }
}
