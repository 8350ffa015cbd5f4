//! How unequally the KV memory of equal replicas fills over a run, and which requests moved between them.

use serde::{Deserialize, Serialize};

use super::quantile::{mean, quantiles};

/// One run, replica by replica.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaTimeline {
    /// Position of the run's system in the study.
    pub system: usize,
    /// Position of its point in the study.
    pub point: usize,
    /// Its seed.
    pub seed: u64,
    /// From the first arrival to the last one, in order of time.
    pub rows: Vec<ReplicaRow>,
    /// Moves of running requests that were over by then, in order of their ends.
    pub moves: Vec<MoveRow>,
}

/// All replicas at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaRow {
    /// Seconds since the first row of the run.
    pub at_s: f64,
    /// Share of the KV blocks that requests hold, by replica, in [0, 1]; absent where a replica is not up.
    pub held: Vec<Option<f64>>,
}

/// A move of a running request.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveRow {
    /// Who.
    pub request: u32,
    /// The replica where it ran.
    pub source: u16,
    /// The replica where it was to go.
    pub destination: u16,
    /// When the move began, in seconds since the first row of the run.
    pub begun_s: f64,
    /// When it was over.
    pub end_s: f64,
    /// Whether the request came to its destination.
    pub arrived: bool,
    /// Share of the KV blocks held at the source when the move began.
    pub source_held: f64,
    /// Share of the KV blocks held at the destination when the move began.
    pub destination_held: f64,
}

/// The replicas of one instant in five numbers, each a share of KV blocks held.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Band {
    /// The emptiest.
    pub min: f64,
    /// A quarter holds less (type 7).
    pub p25: f64,
    /// The median (type 7).
    pub p50: f64,
    /// A quarter holds more (type 7).
    pub p75: f64,
    /// The fullest.
    pub max: f64,
}

impl ReplicaRow {
    /// The replicas that are up, in five numbers; absent if there is none.
    pub fn band(&self) -> Option<Band> {
        let mut held: Vec<f64> = self.held.iter().copied().flatten().collect();
        match quantiles(&mut held, &[0.0, 0.25, 0.5, 0.75, 1.0])[..] {
            [min, p25, p50, p75, max] if !held.is_empty() => Some(Band { min, p25, p50, p75, max }),
            _ => None,
        }
    }

    /// The fullest less the emptiest replica; absent where fewer than two are up.
    pub fn spread(&self) -> Option<f64> {
        let several = self.held.iter().flatten().count() > 1;
        self.band().filter(|_| several).map(|band| band.max - band.min)
    }
}

impl ReplicaTimeline {
    /// Replicas of the run.
    pub fn replicas(&self) -> usize {
        self.rows.first().map_or(0, |row| row.held.len())
    }

    /// Mean over the rows of the fullest less the emptiest replica.
    pub fn mean_spread(&self) -> Option<f64> {
        mean(&self.rows.iter().filter_map(ReplicaRow::spread).collect::<Vec<f64>>())
    }

    /// Requests that came to their destination.
    pub fn moved(&self) -> usize {
        self.moves.iter().filter(|m| m.arrived).count()
    }

    /// Of these, the share that left the fuller of the two replicas; absent where nobody moved.
    pub fn downhill(&self) -> Option<f64> {
        let down = |m: &&MoveRow| m.arrived && m.source_held > m.destination_held;
        let moved = self.moved();
        (moved > 0).then(|| self.moves.iter().filter(down).count() as f64 / moved as f64)
    }

    /// The rows as means over at most `n` equal stretches, for plots.
    pub fn coarse(&self, n: usize) -> Vec<ReplicaRow> {
        let stretch = self.rows.len().div_ceil(n.max(1)).max(1);
        let held = |rows: &[ReplicaRow], replica: usize| {
            mean(&rows.iter().filter_map(|row| *row.held.get(replica)?).collect::<Vec<f64>>())
        };
        let row = |rows: &[ReplicaRow]| ReplicaRow {
            at_s: rows[rows.len() / 2].at_s,
            held: (0..self.replicas()).map(|replica| held(rows, replica)).collect(),
        };
        self.rows.chunks(stretch).map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(rows: &[(f64, &[Option<f64>])]) -> ReplicaTimeline {
        let row = |&(at_s, held): &(f64, &[Option<f64>])| ReplicaRow { at_s, held: held.to_vec() };
        ReplicaTimeline { rows: rows.iter().map(row).collect(), ..ReplicaTimeline::default() }
    }

    #[test]
    fn spread_is_between_the_fullest_and_the_emptiest_that_are_up() {
        let of = timeline(&[
            (0.0, &[Some(0.25), Some(0.5), None]),
            (1.0, &[Some(0.75), None, None]),
            (2.0, &[Some(0.0), Some(0.25), Some(0.75)]),
        ]);
        assert_eq!(of.rows[0].spread(), Some(0.25));
        assert_eq!(of.rows[1].spread(), None);
        assert_eq!(of.rows[2].band(), Some(Band { min: 0.0, p25: 0.125, p50: 0.25, p75: 0.5, max: 0.75 }));
        // (0.25 + 0.75) / 2.
        assert_eq!(of.mean_spread(), Some(0.5));
        assert_eq!(timeline(&[(0.0, &[None])]).rows[0].band(), None);
    }

    #[test]
    fn stretches_are_means() {
        let of = timeline(&[(0.0, &[Some(0.0)]), (2.0, &[Some(0.5)]), (4.0, &[Some(1.0)]), (6.0, &[None])]);
        let coarse = of.coarse(2);
        assert_eq!(coarse.len(), 2);
        assert_eq!((coarse[0].held[0], coarse[1].held[0]), (Some(0.25), Some(1.0)));
    }

    #[test]
    fn only_moves_that_arrived_count() {
        let row = |arrived, source_held, destination_held| MoveRow {
            request: 0,
            source: 0,
            destination: 1,
            begun_s: 0.0,
            end_s: 1.0,
            arrived,
            source_held,
            destination_held,
        };
        let moves =
            vec![row(true, 0.75, 0.5), row(true, 0.5, 0.5), row(false, 1.0, 0.0), row(true, 0.0, 0.5)];
        let of = ReplicaTimeline { moves, ..ReplicaTimeline::default() };
        assert_eq!((of.moved(), of.downhill()), (3, Some(1.0 / 3.0)));
        assert_eq!(ReplicaTimeline::default().downhill(), None);
    }
}
