//! What went between the replicas of a run: KV that was sent, requests that moved, ports.

use super::summary::RunStats;

/// Picoseconds of a second.
const SECOND: f64 = 1e12;

/// Fills the columns that this module is about.
pub(super) fn fill(stats: &mut RunStats, traffic: &Traffic, makespan_s: f64) {
    let Traffic { transfers, moves, fetches, ports } = traffic;
    let mean = |sum: u128, of: u64| (of > 0).then(|| sum as f64 / SECOND / of as f64);
    stats.transfers = transfers.transfers;
    stats.transfer_mean_s = mean(transfers.time, transfers.transfers);
    if transfers.time > 0 {
        stats.transferred_gb = Some(transfers.bytes as f64 / 1e9);
        let waited = transfers.time.saturating_sub(transfers.alone);
        stats.transfer_wait_ratio = Some(waited as f64 / transfers.time as f64);
    }
    let busiest = ports.iter().map(|port| port.busy).max();
    stats.port_busy_peak_ratio =
        busiest.filter(|_| makespan_s > 0.0).map(|ps| ps as f64 / SECOND / makespan_s);
    stats.prefix_fetches = *fetches;
    stats.moves = moves.moved;
    stats.moves_given_up = moves.refused + moves.aborted;
    stats.move_standing_mean_s = if moves.copies > 0 { mean(moves.standing, moves.moved) } else { None };
}

/// Sums over the KV transfers of a run: hand-overs, and copies of moving requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransferCounters {
    /// Transfers that have ended.
    pub transfers: u64,
    /// Bytes of those that began.
    pub bytes: u128,
    /// Σ time from setting out to the last byte, in ps.
    pub time: u128,
    /// Σ of the time that the same transfers would have taken with their ports to themselves, in ps.
    pub alone: u128,
}

/// Sums over the moves of running requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveCounters {
    /// Moves that began.
    pub begun: u64,
    /// Requests that moved.
    pub moved: u64,
    /// Moves that ended because their destination had no room.
    pub refused: u64,
    /// Moves that ended because their request had finished, lost its place, or grew faster than it was copied.
    pub aborted: u64,
    /// Copies of the requests that moved, the last ones included.
    pub copies: u64,
    /// Σ time from a request's stop to its last byte, in ps; those that drop their KV are left out.
    pub standing: u128,
}

/// What went between replicas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// KV that was sent.
    pub transfers: TransferCounters,
    /// Requests that moved while they ran.
    pub moves: MoveCounters,
    /// Prefixes that one replica had from another.
    pub fetches: u64,
    /// Each port of the network.
    pub ports: Vec<PortUse>,
}

/// What went through a port of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortUse {
    /// Bytes of the flows that have ended.
    pub bytes: u128,
    /// Time in which at least one flow has a rate, in ps.
    pub busy: u128,
}
