//! The prepared requests of one run. Parsed or generated once, then shared read-only by all systems of a study.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{ClassId, RequestId};
use crate::rng::ContentHash;
use crate::units::{SimDuration, SimTime};

/// One request as the outside world sees it, after limits were applied. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Arrival at the front end, relative to the first row of the run (ignored in a closed loop; the earliest one where
    /// turns come after answers).
    pub arrival: SimTime,
    /// Prompt tokens, at least 1.
    pub prompt: u32,
    /// Tokens the model will answer, at least 1. Known to the engine, never to a policy.
    pub output: u32,
    /// The client's `max_tokens`: what reservation rules see; at least `output`.
    pub max_tokens: u32,
    /// The class it is reported under.
    pub class: ClassId,
}

/// Closed-loop release: a fixed number of clients, each waiting for its answer before it asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Clients that ask concurrently, at least 1.
    pub clients: u32,
    /// Pause between an answer and the client's next request.
    pub think: SimDuration,
}

/// When a request of a session comes that is not its first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Turns {
    /// At its own time, whether or not the one before it has been answered.
    #[default]
    AsScheduled,
    /// After the one before it has left, finished or not, and the pause that is between the two in the trace: agents whose
    /// tools run, people who read the answer first.
    AfterAnswer,
}

/// Prefix identities of prompts: equal leading ids mean equal leading tokens (cold side table).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixChains {
    /// Tokens per id (512 in Mooncake's files); the last id of a request may cover fewer tokens. 0: an id stands for a
    /// segment of unknown size (RAGPulse), so that equal ids tell what is alike, but not how much: no block is shared.
    pub tokens_per_id: u32,
    /// `ids[starts[r] .. starts[r + 1]]` are the ids of request `r`; length is requests + 1.
    pub starts: Vec<u32>,
    /// All ids, back to back.
    pub ids: Vec<u64>,
}

impl PrefixChains {
    /// The ids of one request's prompt, in order.
    pub fn of(&self, request: RequestId) -> &[u64] {
        let i = request.index();
        &self.ids[self.starts[i] as usize..self.starts[i + 1] as usize]
    }

    /// The same chains, each of ids that no other has.
    pub fn made_private(&self) -> PrefixChains {
        let ids = (0..self.ids.len() as u64).collect();
        PrefixChains { tokens_per_id: self.tokens_per_id, starts: self.starts.clone(), ids }
    }
}

/// The requests of one run in arrival order (ties: file order). `RequestId(i)` is row `i`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// The requests; sorted by arrival.
    pub requests: Vec<Request>,
    /// Names of the classes that `Request::class` indexes; at least one.
    pub classes: Vec<String>,
    /// Present for a closed loop: arrivals come from completions, in row order.
    pub closed: Option<Closed>,
    /// When the turns of a session come.
    pub turns: Turns,
    /// Prefix identities, where the trace has them.
    pub prefixes: Option<Arc<PrefixChains>>,
    /// The session (conversation, chat) of each request, where the trace has them: dense numbers from 0 in order of
    /// first arrival, [`NO_SESSION`] for a request of none. As long as `requests`.
    pub sessions: Option<Vec<u32>>,
    /// How urgent the requests of each class are, by class; empty: all alike.
    pub priorities: Vec<Priority>,
}

/// How urgent the requests of a class are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priority {
    /// 0 is the most urgent.
    pub level: u32,
    /// When they are due after their arrival.
    pub deadline: Option<SimDuration>,
}

/// The session number of a request that belongs to no session.
pub const NO_SESSION: u32 = u32::MAX;

impl Trace {
    /// The request with this id.
    pub fn request(&self, id: RequestId) -> &Request {
        &self.requests[id.index()]
    }

    /// The session of a request; none where the trace or the request has none.
    pub fn session(&self, id: RequestId) -> Option<u32> {
        let sessions = self.sessions.as_ref()?;
        sessions.get(id.index()).copied().filter(|&s| s != NO_SESSION)
    }

    /// Whether some arrivals follow from what was answered before.
    pub fn hears_answers(&self) -> bool {
        self.closed.is_some() || self.turns == Turns::AfterAnswer
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The hash that names these requests: equal traces have equal ones, others differ but for a chance of 2^-64.
    pub fn content_hash(&self) -> String {
        let mut hash = ContentHash::default();
        let mut row = [0; 24];
        for r in &self.requests {
            row[..8].copy_from_slice(&r.arrival.as_ps().to_le_bytes());
            row[8..12].copy_from_slice(&r.prompt.to_le_bytes());
            row[12..16].copy_from_slice(&r.output.to_le_bytes());
            row[16..20].copy_from_slice(&r.max_tokens.to_le_bytes());
            row[20..].copy_from_slice(&u32::from(r.class.0).to_le_bytes());
            hash.update(&row);
        }
        for numbers in self.sessions.iter() {
            numbers.iter().for_each(|n| hash.update(&n.to_le_bytes()));
        }
        if let Some(prefixes) = &self.prefixes {
            hash.update(&prefixes.tokens_per_id.to_le_bytes());
            prefixes.starts.iter().for_each(|n| hash.update(&n.to_le_bytes()));
            prefixes.ids.iter().for_each(|n| hash.update(&n.to_le_bytes()));
        }
        // What is left is small, and its debugging text says all of it.
        hash.update(format!("{:?} {:?} {:?}", self.classes, self.closed, self.priorities).as_bytes());
        if self.turns != Turns::default() {
            hash.update(b"turns after answers");
        }
        hash.text()
    }
}
