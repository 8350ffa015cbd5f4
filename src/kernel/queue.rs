//! Events in time order; events of one instant in the order of their keys.
//!
//! There is no insertion counter: ties are broken by what the event is about (class, owner, request), because a run
//! in leaps and a run in steps insert different numbers of events and must still agree.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::units::SimTime;

/// A priority queue of events. `K` says what happens; its `Ord` is the order inside one instant.
#[derive(Clone, Debug)]
pub struct EventQueue<K> {
    heap: BinaryHeap<Reverse<(SimTime, K)>>,
    pushes: u64,
}

impl<K: Ord> Default for EventQueue<K> {
    fn default() -> Self {
        EventQueue { heap: BinaryHeap::new(), pushes: 0 }
    }
}

impl<K: Ord + Copy> EventQueue<K> {
    /// Adds an event. O(log n).
    pub fn push(&mut self, at: SimTime, key: K) {
        self.pushes += 1;
        self.heap.push(Reverse((at, key)));
    }

    /// Events added so far.
    pub fn pushes(&self) -> u64 {
        self.pushes
    }

    /// The instant of the next event.
    pub fn next_time(&self) -> Option<SimTime> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next event.
    pub fn peek(&self) -> Option<K> {
        self.heap.peek().map(|Reverse((_, key))| *key)
    }

    /// Removes the next event.
    pub fn pop(&mut self) -> Option<K> {
        self.heap.pop().map(|Reverse((_, key))| key)
    }

    /// Removes the next event if it happens at `now`. O(log n).
    pub fn pop_at(&mut self, now: SimTime) -> Option<K> {
        if self.next_time() != Some(now) {
            return None;
        }
        self.heap.pop().map(|Reverse((_, key))| key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_ordered_by_key_whatever_the_insertion_order() {
        let t = SimTime::from_ps(5);
        for order in [[2, 0, 1], [0, 1, 2], [1, 2, 0]] {
            let mut queue = EventQueue::default();
            queue.push(SimTime::from_ps(9), 0);
            for key in order {
                queue.push(t, key);
            }
            assert_eq!(queue.next_time(), Some(t));
            let popped: Vec<i32> = std::iter::from_fn(|| queue.pop_at(t)).collect();
            assert_eq!(popped, [0, 1, 2]);
            assert_eq!(queue.next_time(), Some(SimTime::from_ps(9)));
        }
    }
}
