//! One request with all of its own counters.

use windtunnel::ids::{ClassId, ReplicaId, RequestId};
use windtunnel::metrics::record::{Cause, Deadlines, Fate, Ledger, Rejection, RequestRecord};
use windtunnel::units::{SimDuration, SimTime};

/// When tokens are due in every comparison with the engine.
pub const DEADLINES: Deadlines =
    Deadlines { ttft: SimDuration::from_ps(3000), gap: SimDuration::from_ps(400) };

/// Whether the ledger is inside a preemption (§10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    None,
    /// It had tokens: until the step that gives it its next token ends.
    UntilToken,
    /// It had no token: until the first step of its next admission starts.
    UntilStep,
}

/// Where a request is on its way from a prefill to a decode replica (§12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    None,
    /// Its prompt is complete, nobody has been offered it.
    Completed,
    Offered,
    /// Taken; its KV is on its way.
    Coming,
    Loaded,
}

#[derive(Clone, Debug)]
pub struct Req {
    pub id: usize,
    pub class: ClassId,
    pub prompt: u32,
    /// After the cut of §2.
    pub output: u32,
    pub max_tokens: u32,
    /// Turned away: why and when.
    pub rejected: Option<(Rejection, u64)>,
    /// Its client gave up and it left, at this instant.
    pub timed_out: Option<u64>,
    /// Its client has given up (§2), whether or not that changes anything.
    pub gave_up: bool,

    pub arrival: u64,
    pub queued: u64,
    /// In the books of a replica (§2: queued there and not yet left).
    pub outstanding: bool,
    pub replica: usize,
    /// Rank and queue number in its replica (§4).
    pub rank: u64,
    pub number: u64,

    pub generated: u32,
    pub computed: u32,
    /// Tokens computed before the last preemptions that dropped them (§11).
    pub known: u32,
    /// A step has brought `computed` to `tokens` since the last admission.
    pub prefilled: bool,
    pub in_flight: bool,
    /// Late stop: got its last token, has one more step to take part in (§6).
    pub stopping: bool,
    /// Static: got its last token and fills its slot (§6).
    pub holding: bool,
    /// Block ids held, in token order.
    pub blocks: Vec<usize>,
    /// Blocks in host memory while swapped out.
    pub host_blocks: u32,
    /// Tokens that met their deadline, and all that reached the client.
    pub on_time: u32,
    pub delivered: u32,
    /// Delay of a token on its way to the client.
    pub streaming: u64,
    /// Its blocks came back from host memory and have no keys (§3).
    pub unfindable: bool,
    /// Tokens dropped by the last recompute preemption, until it is admitted again.
    pub dropped: Option<u32>,

    pub way: Way,
    /// The replica and the blocks that it still holds there.
    pub lease: Option<(usize, Vec<usize>)>,
    /// When it left the front end, until it joins a replica for the first time.
    pub through: Option<u64>,
    /// A router has decided about it before.
    pub routed: bool,
    /// A decode replica has been chosen for it before its prompt is complete (§12).
    pub early: bool,
    /// Where its prompt was computed.
    pub prefilled_at: usize,
    /// It stopped to move and has not resumed (§14).
    pub stands: bool,

    pub scheduled: Option<u64>,
    pub first_token: Option<u64>,
    pub last_token: u64,
    pub finish: Option<u64>,
    pub gap_max: u64,
    pub preemptions: u32,
    pub recomputed: u32,
    pub cached: u32,
    pub ledger: Ledger,
    /// The ledger is complete up to here.
    pub upto: u64,
    pub loss: Loss,
    /// What took its place or its KV.
    pub lost_to: Cause,
}

impl Req {
    pub fn new(id: usize, class: ClassId, prompt: u32, output: u32, max_tokens: u32) -> Req {
        Req {
            id,
            class,
            prompt,
            output,
            max_tokens,
            rejected: None,
            timed_out: None,
            gave_up: false,
            rank: 0,
            arrival: 0,
            queued: 0,
            outstanding: false,
            replica: 0,
            number: 0,
            generated: 0,
            computed: 0,
            known: 0,
            prefilled: false,
            in_flight: false,
            stopping: false,
            holding: false,
            blocks: Vec::new(),
            host_blocks: 0,
            dropped: None,
            way: Way::None,
            lease: None,
            through: None,
            routed: false,
            early: false,
            prefilled_at: 0,
            stands: false,
            scheduled: None,
            first_token: None,
            last_token: 0,
            finish: None,
            gap_max: 0,
            unfindable: false,
            on_time: 0,
            delivered: 0,
            streaming: 0,
            preemptions: 0,
            recomputed: 0,
            cached: 0,
            ledger: Ledger::default(),
            upto: 0,
            loss: Loss::None,
            lost_to: Cause::PreemptionLoss,
        }
    }

    /// §4: queue order.
    pub fn place(&self) -> (u64, u64) {
        (self.rank, self.number)
    }

    /// Nothing more will happen to it.
    pub fn is_over(&self) -> bool {
        self.finish.is_some() || self.rejected.is_some() || self.timed_out.is_some()
    }

    /// §4: what a prefill has to cover.
    pub fn tokens(&self) -> u32 {
        self.prompt + self.generated
    }

    /// A token reaches the engine's edge at `now` (§9).
    pub fn deliver(&mut self, now: u64) {
        self.count(now);
        if self.first_token.is_none() {
            self.first_token = Some(now);
        } else {
            self.gap_max = self.gap_max.max(now - self.last_token);
        }
        self.last_token = now;
    }

    /// One more token at `now`: is it on time?
    pub fn count(&mut self, now: u64) {
        let received = SimTime::from_ps(now + self.streaming);
        self.on_time += u32::from(received <= DEADLINES.of(SimTime::from_ps(self.arrival), self.delivered));
        self.delivered += 1;
    }

    /// §9; the streaming delay of §2 is added to both token instants of the record.
    pub fn record(&self, stream: u64) -> RequestRecord {
        let mut ledger = self.ledger;
        let time = SimTime::from_ps;
        let base = RequestRecord {
            id: RequestId(self.id as u32),
            class: self.class,
            replica: ReplicaId(self.replica as u16),
            fate: Fate::Finished,
            prompt: self.prompt,
            output: self.generated,
            arrival: time(self.arrival),
            queued: time(self.queued),
            scheduled: time(self.scheduled.unwrap_or(self.queued)),
            first_token: time(self.first_token.unwrap_or(self.arrival) + stream),
            finish: time(self.finish.unwrap_or(self.arrival) + stream),
            gap_max: SimDuration::from_ps(self.gap_max),
            preemptions: self.preemptions,
            recomputed: self.recomputed,
            cached: self.cached,
            on_time: self.on_time,
            // Another route than the oracle's checks it.
            alone: SimDuration::ZERO,
            ledger,
        };
        if let Some((reason, at)) = self.rejected {
            let at = time(at);
            return RequestRecord {
                fate: Fate::Rejected(reason),
                queued: at,
                scheduled: at,
                first_token: at,
                finish: at,
                ..base
            };
        }
        if let Some(left) = self.timed_out {
            let stream = if self.first_token.is_some() { stream } else { 0 };
            ledger.0[windtunnel::metrics::record::Cause::FrontEnd as usize] += stream;
            return RequestRecord {
                fate: Fate::TimedOut,
                scheduled: time(self.scheduled.unwrap_or(left)),
                first_token: time(self.first_token.unwrap_or(left) + stream),
                finish: time(left + stream),
                ledger,
                ..base
            };
        }
        if self.finish.is_none() {
            return RequestRecord { fate: Fate::Unfinished, ..base };
        }
        ledger.0[windtunnel::metrics::record::Cause::FrontEnd as usize] += stream;
        RequestRecord { ledger, ..base }
    }
}
