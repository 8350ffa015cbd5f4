//! A coarse timeline: the deployment on a regular grid of instants, read lazily (no periodic event).

use crate::engine::{Replica, World};
use crate::metrics::record::Sample;
use crate::units::SimTime;

/// Keeps at most twice the wanted number of samples: when there are more, every other one goes and the grid widens.
pub(super) struct Sampler {
    wanted: usize,
    period: u64,
    next: u64,
    samples: Vec<Sample>,
}

impl Sampler {
    /// About `wanted` samples of a run whose arrivals span `span`; none for 0.
    pub fn new(wanted: u32, span: SimTime) -> Self {
        let period = (span.as_ps() / u64::from(wanted.max(1))).max(1_000_000_000);
        Sampler { wanted: wanted as usize, period, next: 0, samples: Vec::new() }
    }

    /// The next grid instant before `now`, if it is due.
    pub fn due(&self, now: SimTime) -> Option<SimTime> {
        (self.wanted > 0 && self.next < now.as_ps()).then(|| SimTime::from_ps(self.next))
    }

    /// Takes the sample of the grid instant that was due.
    pub fn take(&mut self, sample: Sample) {
        self.samples.push(sample);
        self.next += self.period;
        if self.samples.len() >= 2 * self.wanted {
            let mut keep = false;
            self.samples.retain(|_| {
                keep = !keep;
                keep
            });
            self.next = self.samples.last().map_or(0, |s| s.at.as_ps()) + 2 * self.period;
            self.period *= 2;
        }
    }

    /// All samples.
    pub fn into_samples(self) -> Vec<Sample> {
        self.samples
    }
}

/// Tokens of free blocks that are in the wrong places (Llumnix, section 6.3): whole demands of heads of queues that wait
/// for memory, the smallest first, as many as all free blocks of replicas that are up would meet together.
pub(super) fn stranded(replicas: &[Replica], world: &World<'_>, at: SimTime) -> u64 {
    let mut demands: Vec<u64> = replicas.iter().filter_map(|r| r.state.blocked_demand(at, world)).collect();
    if demands.is_empty() {
        return 0;
    }
    let free = replicas.iter().filter(|r| r.state.up).map(|r| r.state.free_room(at)).sum();
    met_by(free, &mut demands)
}

/// The sum of as many of these demands as `free` meets, the smallest first.
fn met_by(free: u64, demands: &mut [u64]) -> u64 {
    demands.sort_unstable();
    let mut sum = 0;
    for demand in demands {
        if sum + *demand > free {
            break;
        }
        sum += *demand;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_stranded_where_it_would_meet_whole_demands() {
        // Eight free, three heads that ask for three: six would serve two of them.
        assert_eq!(met_by(8, &mut [3, 3, 3]), 6);
        assert_eq!(met_by(8, &mut [9, 2]), 2);
        assert_eq!(met_by(2, &mut [3]), 0);
        assert_eq!(met_by(8, &mut []), 0);
    }
}
