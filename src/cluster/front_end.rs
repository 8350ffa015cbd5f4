//! What stands before the router: an FCFS server of equal workers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::config::FrontEnd;
use crate::units::SimTime;

/// The workers, by when they are free.
pub(super) struct Workers {
    config: FrontEnd,
    free: BinaryHeap<Reverse<(SimTime, u16)>>,
}

impl Workers {
    pub fn new(config: FrontEnd) -> Self {
        assert!(config.workers > 0, "a front end has a worker");
        let free = (0..config.workers).map(|w| Reverse((SimTime::ZERO, w))).collect();
        Workers { config, free }
    }

    /// What the workers do.
    pub fn config(&self) -> &FrontEnd {
        &self.config
    }

    /// When a request that arrives at `now` with `prompt` tokens is through. Arrivals come in time order.
    pub fn serve(&mut self, now: SimTime, prompt: u32) -> SimTime {
        let Some(Reverse((free, worker))) = self.free.pop() else { return now };
        let done = now.max(free) + self.config.per_request + self.config.per_prompt_token * u64::from(prompt);
        self.free.push(Reverse((done, worker)));
        done
    }
}
