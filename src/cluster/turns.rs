//! Turns that come after answers (docs/semantics.md §2): a request of a session arrives its pause after the one before it
//! has left. The pause is what lies between the two in the trace, so no turn comes before its scheduled time: rows are
//! looked at in the order of the trace, and those that come too early are put off.

use crate::ids::RequestId;
use crate::units::{SimDuration, SimTime};
use crate::workload::{NO_SESSION, Trace, Turns};

/// Nobody reads an answer and asks again in the same instant, so that who leaves in an instant does not change who arrives in it.
const SHORTEST_PAUSE: SimDuration = SimDuration::from_ps(1);

/// What is known of the arrival of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It comes at its scheduled time: the first of its session, or of none.
    Free,
    /// The one before it has not left.
    Behind,
    /// The same, and its scheduled time has passed.
    PutOff,
    /// The one before it has left, and the pause ends then.
    Due(SimTime),
    /// Its scheduled time has passed, and its arrival is on the way.
    OnItsWay,
}

/// The turns of a run.
pub(super) struct TurnsAfterAnswers {
    turns: Vec<Turn>,
    /// The next request of the same session.
    next: Vec<Option<RequestId>>,
}

impl TurnsAfterAnswers {
    /// Of a trace that asks for it.
    pub fn new(trace: &Trace) -> Option<Self> {
        let sessions = trace.sessions.as_ref().filter(|_| trace.turns == Turns::AfterAnswer)?;
        let mut latest: Vec<Option<usize>> = Vec::new();
        let mut turns = vec![Turn::Free; trace.len()];
        let mut next = vec![None; trace.len()];
        for (row, id) in (0..trace.len()).zip((0..).map(RequestId)) {
            let session = sessions[row];
            if session == NO_SESSION {
                continue;
            }
            let session = session as usize;
            if latest.len() <= session {
                latest.resize(session + 1, None);
            }
            if let Some(before) = latest[session].replace(row) {
                turns[row] = Turn::Behind;
                next[before] = Some(id);
            }
        }
        Some(TurnsAfterAnswers { turns, next })
    }

    /// Whether the scheduled time of a request has passed without it.
    pub fn was_put_off(&self, id: RequestId) -> bool {
        self.turns[id.index()] == Turn::OnItsWay
    }

    /// When a request comes whose scheduled time is now; none while the one before it is there.
    pub fn arrival(&mut self, id: RequestId, now: SimTime) -> Option<SimTime> {
        let turn = &mut self.turns[id.index()];
        let (at, then) = match *turn {
            Turn::Behind => (None, Turn::PutOff),
            Turn::Due(at) => (Some(at), Turn::OnItsWay),
            Turn::Free | Turn::PutOff | Turn::OnItsWay => (Some(now), *turn),
        };
        *turn = then;
        at
    }

    /// A request has left: the next of its session, and when it comes, if its scheduled time has passed.
    pub fn left(&mut self, id: RequestId, now: SimTime, trace: &Trace) -> Option<(RequestId, SimTime)> {
        let next = self.next[id.index()]?;
        let due = now + (trace.request(next).arrival - trace.request(id).arrival).max(SHORTEST_PAUSE);
        let turn = &mut self.turns[next.index()];
        let put_off = *turn == Turn::PutOff;
        *turn = if put_off { Turn::OnItsWay } else { Turn::Due(due) };
        put_off.then_some((next, due))
    }
}
