//! What an observer that watches hears at the end of an instant (`StepObserver::WATCHES`). Nothing of it is made in a run
//! that nobody watches.

use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::RequestRecord;
use crate::units::SimTime;

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// It is in the front end.
    FrontEnd,
    /// It is at the router: no replica is up.
    Router,
    /// It waits in the queue of a replica, and no step has worked on it.
    Queue,
    /// Its prompt is computed.
    Prefill,
    /// Its answer is computed.
    Decode,
    /// It is between a prefill and a decode replica.
    HandOver,
    /// It stands still because it moves to another replica, or computes again what it dropped to move.
    Migration,
    /// It was preempted or lost its replica, and has not regained a token.
    Preempted,
    /// It is finished and holds its slot.
    Held,
}

impl Stay {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Stay::FrontEnd => "front end",
            Stay::Router => "router",
            Stay::Queue => "queue",
            Stay::Prefill => "prefill",
            Stay::Decode => "decode",
            Stay::HandOver => "hand-over",
            Stay::Migration => "migration",
            Stay::Preempted => "preempted",
            Stay::Held => "held",
        }
    }
}

/// The part of a step that one stage of a pipeline computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StageSpan {
    /// Where.
    pub replica: ReplicaId,
    /// Stage, from 0.
    pub stage: u8,
    /// When it begins.
    pub start: SimTime,
    /// When the stage is free again.
    pub end: SimTime,
    /// Prompt tokens of the step.
    pub prompt_tokens: u32,
    /// Sequences of the step that decode.
    pub decodes: u32,
    /// Sequences of the step with prompt tokens.
    pub prompts: u32,
}

/// KV that went from one replica to another in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// Of whom.
    pub request: RequestId,
    /// The sender.
    pub from: ReplicaId,
    /// The receiver.
    pub to: ReplicaId,
    /// When it set out.
    pub since: SimTime,
    /// When its bytes began to flow, or to wait for a port.
    pub started: SimTime,
    /// When its last byte came.
    pub end: SimTime,
    /// Bytes.
    pub bytes: u64,
    /// The port it left by and the one it came by.
    pub ports: [u32; 2],
    /// Whether it is part of the move of a running request.
    pub moves: bool,
}

/// A move of a running request that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Who.
    pub request: RequestId,
    /// Where it ran.
    pub source: ReplicaId,
    /// Where it was to go.
    pub destination: ReplicaId,
    /// When the move began.
    pub begun: SimTime,
    /// When it was over.
    pub end: SimTime,
    /// Whether the request is at its destination.
    pub arrived: bool,
    /// KV blocks held and usable when the move began: of the source, of the destination.
    pub levels: [(u32, u32); 2],
}

/// One change, at the end of an instant.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// A step was sent through a pipeline: one for each of its stages. Replicas of one stage are heard of in `step`.
    Stage(StageSpan),
    /// A request does something else now.
    Stays {
        /// Who.
        request: RequestId,
        /// What it does.
        stay: Stay,
        /// Where.
        replica: ReplicaId,
    },
    /// A request has left.
    Left {
        /// All that is known of it.
        record: &'a RequestRecord,
        /// What the streaming front end added to its last token, in ps.
        streaming: u64,
    },
    /// What is on a replica has changed.
    Holds {
        /// Where.
        replica: ReplicaId,
        /// KV blocks held.
        kv_held: u32,
        /// Requests in its queue.
        waiting: u32,
        /// Requests running.
        running: u32,
    },
    /// What is on a replica at a sample of the timeline, read in closed form inside a leap. Comes before what happens at
    /// the next instant.
    Fills {
        /// Where.
        replica: ReplicaId,
        /// KV blocks held.
        kv_held: u32,
        /// Usable KV blocks.
        kv_total: u32,
    },
    /// A replica comes or goes: `up`, `starting`, `draining`, `failing`, `down` or `repaired`.
    Stands {
        /// Which.
        replica: ReplicaId,
        /// What it is now.
        standing: &'static str,
    },
    /// KV has come.
    Transferred(Transferred),
    /// A move is over.
    Moved(Moved),
    /// What goes through a port has changed.
    Port {
        /// Which.
        port: u32,
        /// Bytes per second.
        rate: u64,
        /// Flows that have no rate, because another one has the port.
        waiting: u32,
    },
}
