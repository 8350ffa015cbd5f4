//! What a run leaves behind: samples of its state, and its outcome.

use crate::metrics::record::{Outcome, Sample};
use crate::units::SimTime;

use super::alone::AloneTimes;
use super::run::Run;
use super::sample::stranded;
use super::wires::Wires;

impl Run<'_> {
    /// The deployment at the grid instant `at`, which no event has passed yet.
    pub(super) fn sample(&self, at: SimTime) -> Sample {
        let mut sample = Sample { at, ..Sample::default() };
        sample.finished = self.world.done;
        sample.generated = self.world.generated;
        (sample.work, sample.waste) = (self.world.counters.work, self.world.counters.waste);
        sample.bound_time = self.world.counters.bound_time;
        sample.provided = match &self.fleet {
            Some(fleet) => fleet.provided(),
            None => u32::try_from(self.replicas.len()).unwrap_or(u32::MAX),
        };
        for replica in &self.replicas {
            replica.state.sample(at, &self.world, &mut sample);
        }
        sample.kv_stranded = stranded(&self.replicas, &self.world, at);
        sample
    }

    pub(super) fn outcome(mut self) -> Outcome {
        let milestones: u64 = self.replicas.iter().map(|r| r.state.cohort.pushes).sum();
        self.world.counters.heap_pushes = self.queue.pushes() + milestones;
        let costs = std::mem::take(&mut self.world.costs);
        let mut records = self.world.requests.into_records();
        AloneTimes::new(&costs).fill(&mut records, self.workers.config());
        let mut traffic = self.wires.map(Wires::into_traffic).unwrap_or_default();
        traffic.fetches = self.fetches.map_or(0, |f| f.come);
        traffic.moves = self.migrations.map(|m| m.counters).unwrap_or_default();
        Outcome {
            records,
            counters: self.world.counters,
            gaps: self.world.gaps.0,
            samples: self.samples.into_samples(),
            end: self.now,
            traffic,
            fleet: self.fleet.map(|f| f.into_use(self.now)),
        }
    }
}
