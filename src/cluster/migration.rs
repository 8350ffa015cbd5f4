//! Requests that move between replicas while they run (docs/semantics.md §14): when a move begins, whose turn it is, when it
//! ends. Which replicas are paired is `policy::freeness`; what a replica does is `engine::moves`.

use std::collections::BTreeMap;

use crate::engine::Phase;
use crate::engine::config::{Migration, MigrationKind};
use crate::ids::{ReplicaId, RequestId};
use crate::metrics::record::MoveCounters;
use crate::policy::freeness::{Freeness, Pairing};
use crate::units::SimTime;

use super::run::{Event, Run};

/// Whose turn a move waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// The source's: it asks for blocks.
    Ask,
    /// The destination's: it grants them or not.
    Grant,
    /// Nobody's: a copy is on its way.
    Copy,
    /// The source's: it goes on, or stops the request.
    GoOn,
    /// Nobody's: the request has stopped and its last blocks are on their way.
    Last,
    /// The destination's, at once: a request that dropped its KV joins its queue.
    Join,
    /// The destination's, at once: nothing comes of the move.
    Over,
}

/// A request on the move.
#[derive(Clone, Copy, Debug)]
struct Move {
    source: ReplicaId,
    destination: ReplicaId,
    turn: Turn,
    /// Whether the replica whose turn it is knows.
    known: bool,
    /// Preemptions of the request when the move began.
    preemptions: u32,
    /// Blocks that the destination has set aside.
    promised: u32,
    /// Blocks that the source has asked for.
    asked: u32,
    /// Full blocks when it asked.
    full: u32,
    /// Blocks that have been copied.
    copied: u32,
    /// Copies made.
    copies: u32,
    /// When the request stopped.
    stopped: SimTime,
}

/// All moves of a run.
pub(super) struct Migrations<'a> {
    config: &'a Migration,
    pairing: Pairing,
    moves: BTreeMap<RequestId, Move>,
    /// The request in whose move a replica takes part, by replica.
    busy: Vec<Option<RequestId>>,
    /// The last tick.
    ticked: SimTime,
    pub counters: MoveCounters,
}

impl<'a> Migrations<'a> {
    pub fn new(config: &'a Migration, replicas: usize) -> Self {
        Migrations {
            config,
            pairing: Pairing::default(),
            moves: BTreeMap::new(),
            busy: vec![None; replicas],
            ticked: SimTime::ZERO,
            counters: MoveCounters::default(),
        }
    }

    /// The first tick that has not been and is not before `now`.
    pub fn next_tick(&self, now: SimTime) -> SimTime {
        let period = self.config.period.as_ps();
        let after = (self.ticked.as_ps() + 1).max(now.as_ps());
        SimTime::from_ps(after.div_ceil(period) * period)
    }

    /// Whether the last byte that came for `id` was of a copy made while it goes on decoding.
    fn is_copy(&self, id: RequestId) -> bool {
        self.moves.get(&id).is_some_and(|m| m.turn == Turn::Copy)
    }

    /// Whether a replica is one side of a move.
    pub fn takes_part(&self, replica: ReplicaId) -> bool {
        self.busy[replica.index()].is_some()
    }

    /// Who moves from where to where.
    pub fn under_way(&self) -> impl Iterator<Item = (RequestId, ReplicaId, ReplicaId)> + '_ {
        self.moves.iter().map(|(&id, m)| (id, m.source, m.destination))
    }

    fn step(&mut self, id: RequestId) -> &mut Move {
        self.moves.get_mut(&id).expect("a move lasts until it ends")
    }

    fn forget(&mut self, id: RequestId) -> Move {
        let ended = self.moves.remove(&id).expect("a move ends once");
        for replica in [ended.source, ended.destination] {
            self.busy[replica.index()] = None;
        }
        ended
    }
}

impl<'a> Run<'a> {
    fn migrations(&mut self) -> &mut Migrations<'a> {
        self.migrations.as_mut().expect("requests move only where migration is on")
    }

    /// Pairs replicas and begins moves.
    pub(super) fn tick(&mut self) {
        let now = self.now;
        let freeness: Vec<Option<Freeness>> = self
            .replicas
            .iter()
            .map(|r| {
                let present = r.state.freeness(now, &self.world);
                self.fleet.as_ref().map_or(Some(present), |f| f.freeness(r.state.id, present))
            })
            .collect();
        let Some(migrations) = &mut self.migrations else { return };
        migrations.ticked = now;
        let Migration { out_below, in_above, .. } = *migrations.config;
        let mut begins = Vec::new();
        let pairs = migrations.pairing.tick(&freeness, out_below, in_above).to_vec();
        for (source, destination) in pairs {
            let busy = |r: ReplicaId| migrations.busy[r.index()].is_some();
            if busy(source) || busy(destination) {
                continue;
            }
            let Some(id) = self.replicas[source.index()].state.first_to_move(now, &self.world) else {
                continue;
            };
            if self.wires.as_ref().is_some_and(|w| w.is_between(id)) {
                // The replica that it came from does not know yet that it has come.
                continue;
            }
            let begun = Move {
                source,
                destination,
                turn: Turn::Ask,
                known: true,
                preemptions: self.world.request(id).record.preemptions,
                promised: 0,
                asked: 0,
                full: 0,
                copied: 0,
                copies: 0,
                stopped: now,
            };
            migrations.moves.insert(id, begun);
            migrations.busy[source.index()] = Some(id);
            migrations.busy[destination.index()] = Some(id);
            migrations.counters.begun += 1;
            if let Some(wires) = &mut self.wires {
                wires.join(id, source, destination, now);
            }
            begins.push(source);
        }
        for source in begins {
            self.wake(source);
        }
    }

    /// Before a replica plans it takes its turn in a move, if it is its turn.
    pub(super) fn take_turn(&mut self, replica: ReplicaId) {
        let Some(migrations) = &self.migrations else { return };
        let Some(id) = migrations.busy[replica.index()] else { return };
        let step = migrations.moves[&id];
        match step.turn {
            _ if !step.known => {}
            Turn::Ask | Turn::GoOn if replica == step.source => self.turn_of_source(id, step),
            Turn::Grant if replica == step.destination => self.grant(id, step),
            _ => {}
        }
    }

    /// It is another replica's turn, which learns of it one message later.
    fn pass(&mut self, id: RequestId, step: Move, turn: Turn) {
        *self.migrations().step(id) = Move { turn, known: false, ..step };
        let at = self.now + self.wires().message(step.source, step.destination);
        self.queue.push(at, Event::Turn { request: id });
    }

    /// A replica learns that it is its turn.
    pub(super) fn turn(&mut self, id: RequestId) {
        let now = self.now;
        let step = self.migrations().step(id);
        step.known = true;
        let step = *step;
        let destination = step.destination.index();
        match step.turn {
            Turn::Grant => self.wake(step.destination),
            Turn::Over => {
                self.migrations().forget(id);
                self.move_is_over([step.source, step.destination]);
                self.wires().end(id);
                self.replicas[destination].state.break_promise(step.promised, now);
                self.wake(step.destination);
            }
            Turn::Join => {
                self.migrations().forget(id);
                self.move_is_over([step.source, step.destination]);
                let given_up = self.wires().has_given_up(id);
                self.wires().end(id);
                let replica = &mut self.replicas[destination];
                if given_up {
                    replica.leave_exchange(id, now, &mut self.world);
                    self.free_clients();
                    self.wake(step.destination);
                } else {
                    let cut = replica.wait_after_move(id, now, &mut self.world);
                    self.cut(step.destination, cut);
                }
            }
            _ => self.wake(step.source),
        }
    }

    /// The source asks for blocks, or goes on after a copy or a grant.
    fn turn_of_source(&mut self, id: RequestId, step: Move) {
        let request = self.world.requests.get(id);
        if request.is_some_and(|r| r.phase == Phase::Flying && r.record.replica == step.source) {
            return;
        }
        let same = request.is_some_and(|r| r.record.preemptions == step.preemptions);
        if !same
            || self.fails(step.source)
            || !self.replicas[step.source.index()].state.can_move(id, self.now, &self.world)
        {
            self.migrations().counters.aborted += 1;
            return self.pass(id, step, Turn::Over);
        }
        let kind = self.migrations().config.kind;
        match (kind, step.turn) {
            (MigrationKind::Recompute, _) => self.move_by_recompute(id, step),
            (_, Turn::Ask) => self.ask(id, step),
            (kind, _) => self.go_on(id, step, kind),
        }
    }

    fn ask(&mut self, id: RequestId, step: Move) {
        let margin = self.migrations().config.last_stage_blocks;
        let state = &self.replicas[step.source.index()].state;
        let computed = state.computed_now(id, &self.world);
        let wanted = state.wanted_to_move(id, margin, &self.world);
        let full = computed / state.pool.block();
        let asked = wanted.saturating_sub(step.promised);
        self.pass(id, Move { asked, full, ..step }, Turn::Grant);
    }

    /// The destination grants what it was asked for, or ends the move.
    fn grant(&mut self, id: RequestId, step: Move) {
        let now = self.now;
        if !self.is_up(step.destination)
            || !self.replicas[step.destination.index()].state.promise(step.asked, now)
        {
            self.migrations().counters.refused += 1;
            return self.pass(id, step, Turn::Over);
        }
        let step = Move { promised: step.promised + step.asked, ..step };
        let blocks = step.full.saturating_sub(step.copied);
        if blocks > 0 && self.migrations().config.kind == MigrationKind::Live {
            *self.migrations().step(id) = Move { turn: Turn::Copy, ..step };
            self.send(id, blocks);
        } else {
            self.pass(id, step, Turn::GoOn);
        }
    }

    /// KV has come. True if it was a copy of a request that goes on decoding: then its source goes on; else, if the request
    /// moved, its move is over.
    pub(super) fn copy_has_come(&mut self, id: RequestId) -> bool {
        let Some(migrations) = &mut self.migrations else { return false };
        if !migrations.is_copy(id) {
            if let Some(last) = migrations.moves.get(&id).copied() {
                let stood = (self.now - last.stopped).as_ps();
                migrations.counters.moved += 1;
                migrations.counters.copies += u64::from(last.copies) + 1;
                migrations.counters.standing += u128::from(stood);
                migrations.forget(id);
                self.move_is_over([last.source, last.destination]);
            }
            return false;
        }
        let step = migrations.step(id);
        step.copied = step.full;
        step.copies += 1;
        step.turn = Turn::GoOn;
        let source = step.source;
        self.wake(source);
        true
    }

    /// After a copy, or a blocking grant: the last blocks, another copy, or the end.
    fn go_on(&mut self, id: RequestId, step: Move, kind: MigrationKind) {
        let Migration { last_stage_blocks, max_stages, .. } = *self.migrations().config;
        let state = &self.replicas[step.source.index()].state;
        let computed = state.computed_now(id, &self.world);
        let left = state.pool.blocks_for(computed) - step.copied;
        let blocking = kind == MigrationKind::Blocking;
        let promised = state.pool.blocks_for(computed + 1) <= step.promised;
        if promised && (blocking || left <= last_stage_blocks) {
            let now = self.now;
            self.replicas[step.source.index()].state.stop_to_move(id, now, &mut self.world);
            let destination = &mut self.replicas[step.destination.index()].state;
            destination.adopt(id, step.promised, now, &mut self.world);
            *self.migrations().step(id) = Move { turn: Turn::Last, stopped: now, ..step };
            self.send(id, left);
        } else if blocking || step.copies < max_stages {
            self.ask(id, step);
        } else {
            self.migrations().counters.aborted += 1;
            self.pass(id, step, Turn::Over);
        }
    }

    /// The request drops its KV and waits on its new replica.
    fn move_by_recompute(&mut self, id: RequestId, step: Move) {
        let now = self.now;
        self.replicas[step.source.index()].state.drop_to_move(id, now, &mut self.world);
        self.replicas[step.destination.index()].state.adopt(id, 0, now, &mut self.world);
        self.migrations().counters.moved += 1;
        self.pass(id, step, Turn::Join);
    }
}
