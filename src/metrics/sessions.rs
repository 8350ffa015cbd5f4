//! How long whole sessions take: what somebody feels who waits for an agent to be done.

use super::quantile::Quantiles;
use super::record::Fate;
use super::records::Records;
use super::summary::RunStats;
use crate::units::SimTime;
use crate::workload::NO_SESSION;

/// One session so far.
#[derive(Clone, Copy)]
struct Session {
    requests: u32,
    whole: bool,
    first: SimTime,
    last: SimTime,
}

impl Default for Session {
    fn default() -> Self {
        Session { requests: 0, whole: true, first: SimTime::MAX, last: SimTime::ZERO }
    }
}

/// The columns of sessions with at least two requests, all of which finished; `sessions` are those of the requests.
pub(super) fn fill(stats: &mut RunStats, records: &Records, sessions: Option<&[u32]>) {
    let Some(sessions) = sessions else { return };
    let numbers = sessions.iter().filter(|&&s| s != NO_SESSION);
    let Some(most) = numbers.max() else { return };
    let mut all = vec![Session::default(); *most as usize + 1];
    for (record, &number) in records.iter().zip(sessions).filter(|(_, number)| **number != NO_SESSION) {
        let session = &mut all[number as usize];
        session.requests += 1;
        session.whole &= record.fate == Fate::Finished;
        session.first = session.first.min(record.arrival);
        session.last = session.last.max(record.finish);
    }
    let whole = all.iter().filter(|s| s.requests > 1 && s.whole);
    let mut times: Vec<f64> = whole.map(|s| (s.last - s.first).as_secs_f64()).collect();
    stats.sessions = Some(times.len() as f64);
    let quantiles = Quantiles::of(&mut times);
    stats.session_mean_s = quantiles.mean;
    (stats.session_p50_s, stats.session_p90_s) = (quantiles.p50, quantiles.p90);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClassId, ReplicaId, RequestId};
    use crate::metrics::record::{Ledger, RequestRecord};
    use crate::units::SimDuration;

    /// Seconds of arrival and end.
    fn record(id: u32, (arrival, finish, fate): (u64, u64, Fate)) -> RequestRecord {
        let at = |s: u64| SimTime::from_ps(s * 1_000_000_000_000);
        RequestRecord {
            id: RequestId(id),
            class: ClassId(0),
            replica: ReplicaId(0),
            fate,
            prompt: 1,
            output: 1,
            arrival: at(arrival),
            queued: at(arrival),
            scheduled: at(arrival),
            first_token: at(finish),
            finish: at(finish),
            gap_max: SimDuration::ZERO,
            preemptions: 0,
            recomputed: 0,
            cached: 0,
            on_time: 0,
            alone: SimDuration::ZERO,
            ledger: Ledger::default(),
        }
    }

    #[test]
    fn a_session_lasts_from_its_first_arrival_to_its_last_token() {
        let rows =
            [(0, 2, Fate::Finished), (1, 5, Fate::Finished), (3, 9, Fate::Finished), (4, 5, Fate::TimedOut)];
        let records: Records = (0..).zip(rows).map(|(id, row)| record(id, row)).collect();
        let of = |sessions: &[u32]| {
            let mut stats = RunStats::default();
            fill(&mut stats, &records, Some(sessions));
            (stats.sessions, stats.session_mean_s, stats.session_p90_s)
        };
        assert_eq!(
            of(&[0, 1, 0, 1]),
            (Some(1.0), Some(9.0), Some(9.0)),
            "one was given up, which is no time of a session"
        );
        assert_eq!(
            of(&[0, 0, 1, NO_SESSION]),
            (Some(1.0), Some(5.0), Some(5.0)),
            "one request is no session"
        );
        assert_eq!(of(&[NO_SESSION; 4]), (None, None, None));
    }
}
