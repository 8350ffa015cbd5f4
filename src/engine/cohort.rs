//! The requests of a replica that get one token each from every `Decode::All`.
//!
//! Nothing per member changes when the cohort takes a step: a member's counters are those at its joining plus the
//! steps since. What the engine needs of all members together (how many, Σ context, blocks that any future step needs,
//! when the next one finishes) is kept in O(1) per leap and O(log n) per join or leave.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::RequestId;

use super::live::LiveRequests;
use super::request::RequestState;

/// What happens to a member once the cohort has taken a given number of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Milestone {
    /// It got its last token one step ago and leaves now (late stop that a leap passes over).
    StopsLate,
    /// Its prompt has been fed but for the last token: from the next step on it gets tokens.
    Emits,
    /// It has got its last token.
    Finishes,
    /// A late stop is over.
    Leaves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    step: u64,
    milestone: Milestone,
    number: u32,
    request: RequestId,
    epoch: u32,
}

/// See the module's head.
#[derive(Clone, Debug)]
pub(crate) struct Cohort {
    /// Steps taken since the run began.
    pub step: u64,
    /// Members.
    pub n: u32,
    /// Members that the next step gives a token.
    pub emitting: u32,
    /// Members that have got their last token (late stop).
    pub stopping: u32,
    /// Σ over those of the tokens that their one step after it attends to.
    pub stopping_context: u64,
    /// Σ over members of the tokens that the next step attends to.
    pub context: u64,
    /// A leap runs on to the step at which a late stop is over, not only to the last token.
    pub passes_late_stops: bool,
    block: u32,
    /// `step` mod block.
    offset: u32,
    /// Members whose blocks grow, by (computed − step) mod block.
    by_phase: Vec<u32>,
    growing: u32,
    milestones: BinaryHeap<Reverse<Entry>>,
    /// Milestones set so far.
    pub pushes: u64,
}

impl Cohort {
    pub fn new(block: u32) -> Self {
        Cohort {
            step: 0,
            n: 0,
            emitting: 0,
            stopping: 0,
            stopping_context: 0,
            context: 0,
            passes_late_stops: false,
            block,
            offset: 0,
            by_phase: vec![0; block as usize],
            growing: 0,
            milestones: BinaryHeap::new(),
            pushes: 0,
        }
    }

    /// Drops the milestones of members that have left, once they are most of the heap. Amortised O(1) per join.
    ///
    /// Milestones that are reached or next in line are dropped as they are met; but a pipeline, and steps that take only
    /// some of the members, take everybody out and back in at every step without ever reaching a milestone.
    pub fn forget_stale_milestones(&mut self, requests: &LiveRequests<'_>) {
        // A member has at most two milestones: `Emits` and `Finishes`.
        if self.milestones.len() > 4 * self.n as usize + 64 {
            self.milestones.retain(|Reverse(entry)| requests.is_in_epoch(entry.request, entry.epoch));
        }
    }

    /// Takes a member in; `state` holds its settled counters.
    pub fn join(&mut self, id: RequestId, state: &mut RequestState) {
        state.joined = self.step;
        state.epoch += 1;
        let remaining = state.tokens() - state.computed;
        state.silent = if state.stopping { 0 } else { remaining - 1 };
        self.n += 1;
        self.pushes += 1 + u64::from(state.silent > 0);
        self.context += u64::from(state.computed) + 1;
        if !state.fixed_blocks {
            let phase = self.phase(state.computed);
            self.by_phase[phase] += 1;
            self.growing += 1;
        }
        let entry = |step, milestone| {
            Reverse(Entry { step, milestone, number: state.number, request: id, epoch: state.epoch })
        };
        if state.stopping {
            self.stopping += 1;
            self.stopping_context += u64::from(state.computed) + 1;
            self.milestones.push(entry(self.step + 1, Milestone::Leaves));
            return;
        }
        let first = self.step + u64::from(state.silent);
        if state.silent > 0 {
            self.milestones.push(entry(first, Milestone::Emits));
        } else {
            self.emitting += 1;
        }
        let last = first + u64::from(state.output - state.generated);
        self.milestones.push(if self.passes_late_stops {
            entry(last + 1, Milestone::StopsLate)
        } else {
            entry(last, Milestone::Finishes)
        });
    }

    /// Members whose late stop is over at `step`, which is the next milestone, if any are; they are met once.
    pub fn take_late_stops(&mut self, step: u64, requests: &LiveRequests<'_>, taken: &mut Vec<RequestId>) {
        while let Some(&Reverse(entry)) = self.milestones.peek() {
            let stale = !requests.is_in_epoch(entry.request, entry.epoch);
            if !stale && (entry.step, entry.milestone) != (step, Milestone::StopsLate) {
                break;
            }
            self.milestones.pop();
            if !stale {
                taken.push(entry.request);
            }
        }
    }

    /// How many members' late stops are over at `step`. O(members).
    pub fn late_stops_at(&self, step: u64, requests: &LiveRequests<'_>) -> u32 {
        let over = |e: &&Reverse<Entry>| {
            let Reverse(entry) = e;
            (entry.step, entry.milestone) == (step, Milestone::StopsLate)
                && requests.is_in_epoch(entry.request, entry.epoch)
        };
        u32::try_from(self.milestones.iter().filter(over).count()).expect("no more than the members")
    }

    /// A member has got its last token and stays for the last step of a leap that is not yet taken.
    pub fn stop(&mut self, state: &mut RequestState) {
        state.stopping = true;
        state.generated = state.output;
        self.emitting -= 1;
        self.stopping += 1;
        self.stopping_context += u64::from(state.computed) + 1;
    }

    /// Takes a member out and settles its counters.
    pub fn leave(&mut self, state: &mut RequestState) {
        let taken = self.taken(state);
        let emits = !state.stopping && self.step >= state.joined + u64::from(state.silent);
        if state.stopping {
            self.stopping_context -= u64::from(state.computed) + 1;
        }
        state.generated = self.generated(state);
        state.computed += taken;
        self.n -= 1;
        self.emitting -= u32::from(emits);
        self.stopping -= u32::from(state.stopping);
        self.context -= u64::from(state.computed) + 1;
        if !state.fixed_blocks {
            let phase = self.phase(state.computed);
            self.by_phase[phase] -= 1;
            self.growing -= 1;
            state.blocks = state.computed.div_ceil(self.block);
        }
        state.epoch += 1;
    }

    /// Steps a member has taken since it joined.
    fn taken(&self, state: &RequestState) -> u32 {
        u32::try_from(self.step - state.joined).expect("a member takes fewer than 2^32 steps")
    }

    /// Tokens a member has generated by now.
    pub fn generated(&self, state: &RequestState) -> u32 {
        let received = if state.stopping { 0 } else { self.taken(state).saturating_sub(state.silent) };
        state.generated + received
    }

    /// Tokens whose KV a member has by now.
    pub fn computed(&self, state: &RequestState) -> u32 {
        state.computed + self.taken(state)
    }

    /// Blocks a member holds by now.
    pub fn blocks(&self, state: &RequestState) -> u32 {
        if state.fixed_blocks { state.blocks } else { self.computed(state).div_ceil(self.block) }
    }

    /// Blocks that the next step needs.
    pub fn growth(&self) -> u32 {
        self.by_phase[self.slot()]
    }

    /// Blocks that the next `steps` steps need together.
    pub fn growth_over(&self, steps: u64) -> u64 {
        if self.growing == 0 {
            return 0;
        }
        let block = u64::from(self.block);
        let (cycles, rest) = (steps / block, (steps % block) as usize);
        // The slots of the next steps lie below each other, the last ones from the top down.
        let (low, high) = self.by_phase.split_at(self.slot() + 1);
        let below = rest.min(low.len());
        let needs = low[low.len() - below..].iter().chain(&high[high.len() - (rest - below)..]);
        cycles * u64::from(self.growing) + u64::from(needs.sum::<u32>())
    }

    /// How many of the next steps fit in `blocks` blocks; `u32::MAX` if members never grow.
    pub fn steps_within(&self, blocks: u32) -> u32 {
        if self.growing == 0 {
            return u32::MAX;
        }
        let cycles = u64::from(blocks / self.growing);
        let mut left = blocks % self.growing;
        let mut steps = cycles * u64::from(self.block);
        for need in self.next_needs() {
            if need > left {
                break;
            }
            left -= need;
            steps += 1;
        }
        u32::try_from(steps).unwrap_or(u32::MAX)
    }

    /// As many of the next `steps` steps as fit in `blocks` blocks. O(1) where memory is plentiful.
    pub fn steps_that_fit(&self, steps: u64, blocks: u32) -> u64 {
        // Each growing member takes at most one block more than a block's worth of steps.
        let most = (steps / u64::from(self.block)).saturating_add(1).saturating_mul(u64::from(self.growing));
        if most <= u64::from(blocks) { steps } else { steps.min(u64::from(self.steps_within(blocks))) }
    }

    /// Slot of `by_phase` whose members need a block in the next step.
    fn slot(&self) -> usize {
        if self.offset == 0 { 0 } else { (self.block - self.offset) as usize }
    }

    /// Blocks that each of the next `block` steps needs: the slots downwards, then from the top.
    fn next_needs(&self) -> impl Iterator<Item = u32> + '_ {
        let (low, high) = self.by_phase.split_at(self.slot() + 1);
        low.iter().rev().chain(high.iter().rev()).copied()
    }

    /// Slot of a member with KV for `computed` tokens.
    fn phase(&self, computed: u32) -> usize {
        let (ahead, offset) = (computed % self.block, self.offset);
        (if ahead >= offset { ahead - offset } else { ahead + self.block - offset }) as usize
    }

    /// Steps until the next milestone of a member.
    pub fn steps_to_milestone(&mut self, requests: &LiveRequests<'_>) -> Option<u64> {
        while let Some(Reverse(entry)) = self.milestones.peek() {
            if requests.is_in_epoch(entry.request, entry.epoch) {
                return Some(entry.step - self.step);
            }
            self.milestones.pop();
        }
        None
    }

    /// Advances all members by `steps` steps.
    pub fn advance(&mut self, steps: u64) {
        self.step += steps;
        let steps_mod = (steps % u64::from(self.block)) as u32;
        self.offset = (self.offset + steps_mod) % self.block;
        self.context += steps * u64::from(self.n);
    }

    /// The next milestone that has been reached, in order of (step, kind, queue number).
    pub fn reached(&mut self, requests: &LiveRequests<'_>) -> Option<(RequestId, Milestone)> {
        while let Some(&Reverse(entry)) = self.milestones.peek() {
            if !requests.is_in_epoch(entry.request, entry.epoch) {
                self.milestones.pop();
                continue;
            }
            if entry.step > self.step {
                return None;
            }
            self.milestones.pop();
            return Some((entry.request, entry.milestone));
        }
        None
    }
}
