//! A coarse timeline: the deployment on a regular grid of instants, read lazily (no periodic event).

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
