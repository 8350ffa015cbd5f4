//! The order in which free blocks are handed out: least recently freed first.
//!
//! Blocks that were freed together and are alike form one *run*, so that freeing a request and taking blocks for a
//! leap cost the number of runs, not of blocks. Runs are doubly linked in a slab, so that a cached block leaves the
//! middle of the queue in O(1) when it is hit.

use crate::ids::RequestId;

/// Position of a run in the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunId(u32);

const NONE: u32 = u32::MAX;

/// What the blocks of a run hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing that can be asked for again.
    Plain,
    /// The tail-first part of a preempted request's private chain.
    Private(RequestId),
    /// One block with a key of the prefix index (node number).
    Keyed(u32),
}

#[derive(Clone, Copy, Debug)]
struct Run {
    content: Content,
    blocks: u32,
    before: u32,
    after: u32,
}

/// The free blocks of a pool, in order.
#[derive(Clone, Debug)]
pub(super) struct FreeQueue {
    runs: Vec<Run>,
    spare: Vec<u32>,
    front: u32,
    back: u32,
}

impl FreeQueue {
    pub fn new(blocks: u32) -> Self {
        let mut queue = FreeQueue { runs: Vec::new(), spare: Vec::new(), front: NONE, back: NONE };
        queue.push_back(Content::Plain, blocks);
        queue
    }

    /// Puts `blocks` blocks at the back; neighbours that are alike become one run (the run's id is then the old one).
    pub fn push_back(&mut self, content: Content, blocks: u32) -> RunId {
        assert!(blocks > 0 || content == Content::Plain, "an empty run holds nothing");
        if blocks == 0 {
            return RunId(NONE);
        }
        if content == Content::Plain
            && self.back != NONE
            && self.runs[self.back as usize].content == Content::Plain
        {
            self.runs[self.back as usize].blocks += blocks;
            return RunId(self.back);
        }
        let run = Run { content, blocks, before: self.back, after: NONE };
        let at = match self.spare.pop() {
            Some(at) => {
                self.runs[at as usize] = run;
                at
            }
            None => {
                self.runs.push(run);
                u32::try_from(self.runs.len() - 1).expect("fewer than 2^32 runs")
            }
        };
        match self.back {
            NONE => self.front = at,
            back => self.runs[back as usize].after = at,
        }
        self.back = at;
        RunId(at)
    }

    /// Takes up to `blocks` blocks off the front run; says what they held and how many they were.
    pub fn take_front(&mut self, blocks: u32) -> Option<(Content, u32)> {
        let front = self.front;
        if front == NONE || blocks == 0 {
            return None;
        }
        let run = &mut self.runs[front as usize];
        let taken = blocks.min(run.blocks);
        let content = run.content;
        run.blocks -= taken;
        if run.blocks == 0 {
            self.remove(RunId(front));
        }
        Some((content, taken))
    }

    /// What the runs hold that the next `blocks` blocks come from.
    pub fn front(&self, blocks: u32) -> impl Iterator<Item = Content> + '_ {
        let (mut at, mut left) = (self.front, blocks);
        std::iter::from_fn(move || {
            if at == NONE || left == 0 {
                return None;
            }
            let run = &self.runs[at as usize];
            (at, left) = (run.after, left.saturating_sub(run.blocks));
            Some(run.content)
        })
    }

    /// Unlinks a run wherever it stands; returns how many blocks it had.
    pub fn remove(&mut self, id: RunId) -> u32 {
        let Run { blocks, before, after, .. } = self.runs[id.0 as usize];
        match before {
            NONE => self.front = after,
            b => self.runs[b as usize].after = after,
        }
        match after {
            NONE => self.back = before,
            a => self.runs[a as usize].before = before,
        }
        self.spare.push(id.0);
        blocks
    }

    /// Blocks of a run.
    pub fn blocks(&self, id: RunId) -> u32 {
        self.runs[id.0 as usize].blocks
    }

    /// Turns a run's content into plain blocks; they keep their place.
    pub fn forget(&mut self, id: RunId) {
        self.runs[id.0 as usize].content = Content::Plain;
    }

    /// Blocks with findable content among the first `blocks` blocks.
    pub fn findable_in_front(&self, blocks: u64) -> u32 {
        let (mut left, mut found, mut at) = (blocks, 0, self.front);
        while at != NONE && left > 0 {
            let run = &self.runs[at as usize];
            let taken = left.min(u64::from(run.blocks));
            left -= taken;
            found += if run.content == Content::Plain { 0 } else { taken };
            at = run.after;
        }
        u32::try_from(found).unwrap_or(u32::MAX)
    }

    /// Number of blocks, by walking the queue (for audits).
    pub fn count(&self) -> u32 {
        let mut blocks = 0;
        let mut at = self.front;
        while at != NONE {
            let run = &self.runs[at as usize];
            blocks += run.blocks;
            at = run.after;
        }
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_oldest_blocks_first_and_lets_the_middle_go() {
        let mut queue = FreeQueue::new(4);
        let a = queue.push_back(Content::Keyed(7), 1);
        queue.push_back(Content::Private(RequestId(1)), 3);
        assert_eq!(queue.count(), 8);
        assert_eq!(queue.take_front(3), Some((Content::Plain, 3)));
        assert_eq!(queue.remove(a), 1);
        assert_eq!(queue.take_front(9), Some((Content::Plain, 1)));
        assert_eq!(queue.take_front(2), Some((Content::Private(RequestId(1)), 2)));
        assert_eq!(queue.count(), 1);
        queue.push_back(Content::Plain, 2);
        queue.push_back(Content::Plain, 5);
        assert_eq!(queue.count(), 8);
        assert_eq!(queue.take_front(1), Some((Content::Private(RequestId(1)), 1)));
        assert_eq!(queue.take_front(99), Some((Content::Plain, 7)));
        assert_eq!(queue.take_front(1), None);
    }
}
