//! What went between the replicas of a run: KV that was sent, requests that moved, ports.

use super::record::{Cause, RequestRecord};
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
        stats.transfer_wait_mean_s = mean(waited, transfers.transfers);
        stats.transfer_wait_ratio = Some(waited as f64 / transfers.time as f64);
    }
    let busiest = ports.iter().map(|port| port.busy).max();
    let used = |port: &PortUse| port.bytes as f64 / (port.rate as f64 * makespan_s);
    let carrying = ports.iter().filter(|port| port.bytes > 0 && port.rate > 0 && makespan_s > 0.0);
    let used: Vec<f64> = carrying.map(used).collect();
    stats.port_used_mean_ratio = super::quantile::mean(&used);
    stats.port_used_peak_ratio = used.into_iter().max_by(f64::total_cmp);
    stats.port_busy_peak_ratio =
        busiest.filter(|_| makespan_s > 0.0).map(|ps| ps as f64 / SECOND / makespan_s);
    stats.prefix_fetches = *fetches;
    stats.moves = moves.moved;
    stats.moves_given_up = moves.refused + moves.aborted;
    stats.move_standing_mean_s = if moves.copies > 0 { mean(moves.standing, moves.moved) } else { None };
}

/// Fills the shares of what users feel in which KV was on its way, from the requests that count. A hand-over is over before
/// the first token where the decode replica gives it (`first_at_decode`), and after it elsewhere; moves come after it.
/// Fetched prefixes come before it: their requests are at the router until then.
pub(super) fn fill_shares(
    stats: &mut RunStats,
    measured: impl Iterator<Item = RequestRecord>,
    first_at_decode: bool,
) {
    if stats.transfers == 0 {
        return;
    }
    let (mut ttft, mut rest) = (0_u128, 0_u128);
    let (mut handed_over, mut moving, mut at_router) = (0_u128, 0_u128, 0_u128);
    for record in measured {
        ttft += u128::from(record.ttft().as_ps());
        rest += u128::from((record.finish - record.first_token).as_ps());
        handed_over += u128::from(record.ledger.get(Cause::HandOver).as_ps());
        moving += u128::from(record.ledger.get(Cause::Migration).as_ps());
        at_router += u128::from(record.ledger.get(Cause::Router).as_ps());
    }
    // Where no prefix is fetched the time at the router is not one of transfers.
    let fetching = if stats.prefix_fetches > 0 { at_router } else { 0 };
    let (before, after) = if first_at_decode { (handed_over, moving) } else { (0, handed_over + moving) };
    let share = |part: u128, whole: u128| (whole > 0).then(|| part as f64 / whole as f64);
    stats.transfer_ttft_ratio = share(before + fetching, ttft);
    stats.transfer_tpot_ratio = share(after, rest);
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
    /// Bytes per second that it carries at most.
    pub rate: u64,
    /// Bytes of the flows that have ended.
    pub bytes: u128,
    /// Time in which at least one flow has a rate, in ps.
    pub busy: u128,
}
