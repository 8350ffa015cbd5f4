//! A move of a running request, turn by turn (§14).

use windtunnel::engine::config::MigrationKind;
use windtunnel::metrics::record::Cause;

use super::arrivals::insert;
use super::fleet::{self, Standing};
use super::hand_over;
use super::kv::reserved_tokens;
use super::ledger;
use super::links::{self, Parcel};
use super::migration::rules;
use super::mutation::Mutation;
use super::patience;
use super::request::{Loss, Req, Way};
use super::sim::Sim;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// The source's turn: it asks.
    Ask,
    /// On its way to the destination: so many blocks are asked for.
    Asked {
        blocks: u32,
        comes: u64,
    },
    /// The destination's turn.
    Grant {
        blocks: u32,
    },
    /// Full blocks flow while the request decodes.
    Copying,
    /// The turn is on its way back to the source.
    Granted {
        comes: u64,
    },
    /// The source's turn after a copy or a grant.
    GoOn,
    /// A message tells the destination that nothing comes of it.
    Void {
        comes: u64,
    },
    /// The request stands still: its last blocks flow.
    Standing,
    /// The request stands still without KV: the message that it comes is on its way.
    Joining {
        comes: u64,
    },
    Over,
}

pub struct Move {
    request: usize,
    source: usize,
    destination: usize,
    /// Preemptions of the request when the move began.
    preemptions: u32,
    at: At,
    /// Blocks held for it at the destination.
    promised: Vec<usize>,
    /// Blocks that were full when the source asked, blocks copied, and copies made.
    full: u32,
    copied: u32,
    copies: u32,
    /// When the request stopped.
    stopped: u64,
}

impl Move {
    pub fn new(request: &Req, (source, destination): (usize, usize)) -> Move {
        Move {
            request: request.id,
            source,
            destination,
            preemptions: request.preemptions,
            at: At::Ask,
            promised: Vec::new(),
            full: 0,
            copied: 0,
            copies: 0,
            stopped: 0,
        }
    }

    pub fn takes_part(&self, k: usize) -> bool {
        self.source == k || self.destination == k
    }

    /// When its message comes.
    fn comes(&self) -> Option<u64> {
        match self.at {
            At::Asked { comes, .. } | At::Granted { comes } | At::Void { comes } | At::Joining { comes } => {
                Some(comes)
            }
            At::Ask | At::Grant { .. } | At::Copying | At::GoOn | At::Standing | At::Over => None,
        }
    }
}

pub fn next_instant(sim: &Sim<'_>) -> Option<u64> {
    sim.moves.iter().filter_map(Move::comes).min()
}

/// When a message that is sent now comes.
fn message(sim: &Sim<'_>, m: usize) -> u64 {
    if sim.mutated(Mutation::MessagesTakeNoTime) {
        return sim.now + 1;
    }
    sim.now + links::latency(sim, sim.moves[m].source, sim.moves[m].destination).max(1)
}

fn log(sim: &mut Sim<'_>, m: usize, what: &str) {
    if sim.options.log {
        let (r, at) = (sim.moves[m].request, sim.moves[m].at);
        sim.log.push(format!("t={} move of {r}: {what} ({at:?})", sim.now));
    }
}

/// Class 2, last: messages that come now, by request id.
pub fn messages(sim: &mut Sim<'_>) {
    let mut due: Vec<usize> =
        (0..sim.moves.len()).filter(|&m| sim.moves[m].comes() == Some(sim.now)).collect();
    due.sort_unstable_by_key(|&m| sim.moves[m].request);
    for m in due {
        let (source, destination) = (sim.moves[m].source, sim.moves[m].destination);
        match sim.moves[m].at {
            At::Asked { blocks, .. } => {
                sim.moves[m].at = At::Grant { blocks };
                sim.replicas[destination].touched = true;
            }
            At::Granted { .. } => {
                sim.moves[m].at = At::GoOn;
                sim.replicas[source].touched = true;
            }
            At::Void { .. } => {
                forget(sim, m);
                sim.replicas[destination].touched = true;
            }
            At::Joining { .. } => join(sim, m),
            _ => unreachable!("no message"),
        }
    }
    sim.moves.retain(|m| m.at != At::Over);
}

/// All promised blocks are let go, and the move is over.
fn forget(sim: &mut Sim<'_>, m: usize) {
    let last_first = !sim.mutated(Mutation::FreesFirstBlockFirst);
    let blocks = std::mem::take(&mut sim.moves[m].promised);
    let destination = sim.moves[m].destination;
    sim.replicas[destination].kv.release(blocks, last_first);
    sim.moves[m].at = At::Over;
    log(sim, m, "void");
}

/// Replica `k` can plan: it takes its turn first.
pub fn turn(sim: &mut Sim<'_>, k: usize) {
    let Some(m) = sim.moves.iter().position(|m| m.takes_part(k)) else { return };
    match sim.moves[m].at {
        At::Grant { blocks } if sim.moves[m].destination == k => grant(sim, m, blocks),
        At::Ask | At::GoOn if sim.moves[m].source == k => source(sim, m),
        _ => {}
    }
    sim.moves.retain(|m| m.at != At::Over);
}

fn source(sim: &mut Sim<'_>, m: usize) {
    let (r, k) = (sim.moves[m].request, sim.moves[m].source);
    let request = &sim.requests[r];
    let gone = !request.outstanding || request.replica != k || request.is_over();
    let preempted = request.preemptions > sim.moves[m].preemptions;
    let fails = !matches!(fleet::standing(sim, k), Standing::Up | Standing::Draining);
    if !gone && request.in_flight {
        // Its next turn.
        sim.coverage.turns_put_off += 1;
        return;
    }
    let again = request.prefilled && request.host_blocks == 0 && sim.mutated(Mutation::MovesTheVictim);
    if gone || fails || (preempted && !again) {
        sim.coverage.void_finished += u64::from(gone);
        sim.coverage.void_preempted += u64::from(!gone);
        return void(sim, m);
    }
    let Some(rules) = rules(sim) else { return };
    match (sim.moves[m].at, rules.kind) {
        (At::Ask, MigrationKind::Recompute) => leave_without_kv(sim, m),
        (At::Ask, _) => ask(sim, m),
        _ => go_on(sim, m),
    }
}

/// The move comes to nothing: the destination is told.
fn void(sim: &mut Sim<'_>, m: usize) {
    sim.coverage.moves.aborted += 1;
    let comes = message(sim, m);
    sim.moves[m].at = At::Void { comes };
    log(sim, m, "comes to nothing");
}

fn ask(sim: &mut Sim<'_>, m: usize) {
    let Some(rules) = rules(sim) else { return };
    let (r, k) = (sim.moves[m].request, sim.moves[m].source);
    let kv = &sim.replicas[k].kv;
    let computed = sim.requests[r].computed;
    let least = kv.blocks_for(computed + 1);
    let full = computed / kv.tokens_per_block;
    let off = u32::from(sim.mutated(Mutation::AsksForOneMore));
    let reserved = reserved_tokens(sim.config(k).kv.allocation, &sim.requests[r], sim.limit);
    let wanted = reserved.map_or(least + rules.last_stage_blocks, |tokens| kv.blocks_for(tokens)) + off;
    let blocks = wanted.saturating_sub(sim.moves[m].promised.len() as u32);
    let comes = message(sim, m);
    sim.moves[m].full = full;
    sim.moves[m].at = At::Asked { blocks, comes };
    log(sim, m, "asks");
}

/// The destination's turn.
fn grant(sim: &mut Sim<'_>, m: usize, blocks: u32) {
    let Some(rules) = rules(sim) else { return };
    let (r, k) = (sim.moves[m].request, sim.moves[m].destination);
    if (sim.replicas[k].kv.free.len() as u32) < blocks || !fleet::is_up(sim, k) {
        sim.coverage.moves.refused += 1;
        let comes = message(sim, m);
        sim.moves[m].at = At::Void { comes };
        return log(sim, m, "is refused");
    }
    for _ in 0..blocks {
        let block = sim.replicas[k].kv.take();
        sim.moves[m].promised.push(block);
    }
    let fresh = sim.moves[m].full.saturating_sub(sim.moves[m].copied);
    if rules.kind == MigrationKind::Live && fresh > 0 {
        let way = (sim.moves[m].source, k);
        sim.moves[m].at = At::Copying;
        sim.moves[m].copied += fresh;
        sim.moves[m].copies += 1;
        links::send(sim, r, way, fresh);
    } else {
        let comes = message(sim, m);
        sim.moves[m].at = At::Granted { comes };
    }
    log(sim, m, "is granted");
}

fn go_on(sim: &mut Sim<'_>, m: usize) {
    let Some(rules) = rules(sim) else { return };
    let (r, k) = (sim.moves[m].request, sim.moves[m].source);
    let kv = &sim.replicas[k].kv;
    let (held, next) = (kv.blocks_for(sim.requests[r].computed), kv.blocks_for(sim.requests[r].computed + 1));
    let left = held.saturating_sub(sim.moves[m].copied);
    let blocking = rules.kind == MigrationKind::Blocking;
    let most = rules.last_stage_blocks + u32::from(sim.mutated(Mutation::LastStageOffByOne));
    if sim.moves[m].promised.len() as u32 >= next && (blocking || left <= most) {
        stop(sim, m, left);
    } else if blocking || sim.moves[m].copies < rules.max_stages {
        sim.coverage.asked_again += 1;
        ask(sim, m);
    } else {
        sim.coverage.void_stages += 1;
        void(sim, m);
    }
}

/// The request leaves the batch and the books of the source, and is on the destination from now on.
fn leave_source(sim: &mut Sim<'_>, m: usize) -> Vec<usize> {
    let (r, source, destination) = (sim.moves[m].request, sim.moves[m].source, sim.moves[m].destination);
    let (now, pipelined, rank) = (sim.now, sim.pipelined(source), sim.rank(r));
    sim.moves[m].stopped = now;
    sim.coverage.moved_in_pipelines += u64::from(pipelined);
    let keeps = sim.mutated(Mutation::PrivateKeysStay);
    sim.replicas[source].running.retain(|&x| x != r);
    if !keeps {
        sim.replicas[source].kv.forget_private(r, &[]);
    }
    let replica = &mut sim.replicas[destination];
    let request = &mut sim.requests[r];
    ledger::account_wait(request, now, pipelined);
    let blocks = std::mem::take(&mut request.blocks);
    request.replica = destination;
    (request.rank, request.number) = (rank, replica.next_number);
    replica.next_number += 1;
    (request.way, request.stands) = (Way::Coming, true);
    blocks
}

fn stop(sim: &mut Sim<'_>, m: usize, left: u32) {
    let (r, source) = (sim.moves[m].request, sim.moves[m].source);
    let way = (source, sim.moves[m].destination);
    let blocks = leave_source(sim, m);
    sim.requests[r].lease = Some((source, blocks));
    sim.requests[r].blocks = std::mem::take(&mut sim.moves[m].promised);
    sim.moves[m].at = At::Standing;
    sim.moves[m].copies += 1;
    links::send(sim, r, way, left);
    log(sim, m, "stops");
}

/// *recompute*: its KV is dropped.
fn leave_without_kv(sim: &mut Sim<'_>, m: usize) {
    let (r, source) = (sim.moves[m].request, sim.moves[m].source);
    let last_first = !sim.mutated(Mutation::FreesFirstBlockFirst);
    let blocks = leave_source(sim, m);
    sim.replicas[source].kv.release(blocks, last_first);
    let request = &mut sim.requests[r];
    request.dropped = Some(request.computed);
    request.known = request.known.max(request.computed);
    (request.computed, request.prefilled) = (0, false);
    (request.loss, request.lost_to) = (Loss::UntilToken, Cause::Migration);
    let comes = message(sim, m);
    sim.moves[m].at = At::Joining { comes };
    log(sim, m, "leaves its KV");
}

/// The request without KV joins the waiting queue.
fn join(sim: &mut Sim<'_>, m: usize) {
    let (r, k) = (sim.moves[m].request, sim.moves[m].destination);
    sim.replicas[k].touched = true;
    arrived(sim, m);
    sim.coverage.recompute_moves += 1;
    if sim.requests[r].gave_up {
        sim.coverage.gave_up_standing += 1;
        return patience::leave(sim, r);
    }
    (sim.requests[r].way, sim.requests[r].stands) = (Way::None, false);
    insert(&mut sim.replicas[k].waiting, &sim.requests, r);
}

/// The request is on the destination with all that it has: the move is over.
fn arrived(sim: &mut Sim<'_>, m: usize) {
    sim.coverage.moves.moved += 1;
    sim.coverage.moves.copies += u64::from(sim.moves[m].copies);
    if sim.moves[m].copies > 0 {
        sim.coverage.moves.standing += u128::from(sim.now - sim.moves[m].stopped);
    }
    sim.moves[m].at = At::Over;
    log(sim, m, "is over");
}

/// KV has come: of a move, or of a hand-over.
pub fn last_byte(sim: &mut Sim<'_>, parcel: &Parcel) {
    let Some(m) = sim.moves.iter().position(|m| m.request == parcel.request) else {
        return hand_over::last_byte(sim, parcel);
    };
    if sim.moves[m].at == At::Copying {
        sim.moves[m].at = At::GoOn;
        let source = sim.moves[m].source;
        sim.replicas[source].touched = true;
        return;
    }
    let live = rules(sim).is_some_and(|rules| rules.kind == MigrationKind::Live);
    sim.coverage.live_moves += u64::from(live);
    sim.coverage.blocking_moves += u64::from(!live);
    sim.coverage.copies_most = sim.coverage.copies_most.max(u64::from(sim.moves[m].copies));
    sim.coverage.gave_up_standing += u64::from(sim.requests[parcel.request].gave_up);
    arrived(sim, m);
    sim.moves.retain(|m| m.at != At::Over);
    hand_over::last_byte(sim, parcel);
}
