//! `load = 0.8` in requests per second: the capacity of the reference system, searched once per study.
//!
//! The rule: capacity is the highest mean arrival rate at which the reference system, with the requests of all seeds
//! (at most [`SLICE`] of each), meets `[slo]` as the tables judge it – on average over the seeds at least
//! `slo.attainment` of the requests meet all limits, and the pooled gap its own – and no run is overloaded. Without
//! limits it is the highest rate at which every run is stable. It is bracketed by doubling and halving, then bisected
//! geometrically to 2 %.

use rayon::prelude::*;

use crate::cluster::{RunOptions, Violation};
use crate::diagnostic::InputErrors;
use crate::metrics::{MeasureContext, Saturation, Summary, measure, verdict};
use crate::workload::{Prepared, RequestRate};

use super::plan::{StudyPlan, SystemPlan};
use super::requests::of_seed_at;
use super::single::{measure_context, simulate_run};

/// Requests used for the search at most. A shorter slice would miss the peaks that decide about the rest of a trace.
pub const SLICE: usize = 100_000;

/// Slowest and fastest rate that is tried, in requests per second.
const RATES: (f64, f64) = (1.0 / 4096.0, 1_048_576.0);

/// What the search found.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    /// The highest rate that passed.
    pub rate: RequestRate,
    /// Every rate tried, in order, and whether it passed.
    pub trials: Vec<(f64, bool)>,
}

/// Why there is no capacity.
#[derive(Clone, Debug)]
pub enum NoCapacity {
    /// Even the slowest rate misses the limits.
    NeverMet,
    /// Even the fastest rate meets them.
    AlwaysMet,
    /// The engine broke an invariant.
    Violation(Violation),
    /// The requests cannot be set to a rate.
    Input(InputErrors),
}

/// Searches the capacity of one system of the study with the requests of each seed.
pub fn capacity(plan: &StudyPlan, system: &SystemPlan, traces: &[Prepared]) -> Result<Capacity, NoCapacity> {
    search(|rate| passes(plan, system, traces, rate))
}

/// The capacity to 0.2 %, searched from `start` on in steps of 5 %: for comparing capacities of systems that differ little,
/// which try the same rates where they can.
pub(super) fn capacity_near(
    plan: &StudyPlan,
    system: &SystemPlan,
    traces: &[Prepared],
    start: f64,
) -> Result<RequestRate, NoCapacity> {
    let grid = SearchGrid { start, step: 1.05, precision: 0.002 };
    search_on(grid, |rate| passes(plan, system, traces, rate)).map(|found| found.rate)
}

/// Brackets from 1 req/s by doubling and halving, then bisects to 2 %.
fn search(passes: impl FnMut(f64) -> Result<bool, NoCapacity>) -> Result<Capacity, NoCapacity> {
    search_on(SearchGrid::default(), passes)
}

/// Which rates a search tries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchGrid {
    /// First rate, in requests per second.
    pub start: f64,
    /// Factor between rates of the bracket.
    pub step: f64,
    /// Relative width at which the bisection stops.
    pub precision: f64,
}

impl Default for SearchGrid {
    /// From 1 req/s by doubling and halving, then to 2 %.
    fn default() -> Self {
        SearchGrid { start: 1.0, step: 2.0, precision: 0.02 }
    }
}

/// Brackets from the start of the grid, then bisects geometrically.
pub(super) fn search_on(
    grid: SearchGrid,
    mut passes: impl FnMut(f64) -> Result<bool, NoCapacity>,
) -> Result<Capacity, NoCapacity> {
    let mut trials = Vec::new();
    let mut attempt = |rate: f64| {
        let passed = passes(rate)?;
        trials.push((rate, passed));
        Ok::<bool, NoCapacity>(passed)
    };
    let (mut low, mut high) = (grid.start, grid.start);
    if attempt(grid.start)? {
        loop {
            high = low * grid.step;
            if high > RATES.1 {
                return Err(NoCapacity::AlwaysMet);
            }
            if !attempt(high)? {
                break;
            }
            low = high;
        }
    } else {
        loop {
            low = high / grid.step;
            if low < RATES.0 {
                return Err(NoCapacity::NeverMet);
            }
            if attempt(low)? {
                break;
            }
            high = low;
        }
    }
    while high / low > 1.0 + grid.precision {
        let middle = (low * high).sqrt();
        if attempt(middle)? { low = middle } else { high = middle }
    }
    RequestRate::per_second(low).map(|rate| Capacity { rate, trials }).ok_or(NoCapacity::NeverMet)
}

fn passes(plan: &StudyPlan, system: &SystemPlan, traces: &[Prepared], rate: f64) -> Result<bool, NoCapacity> {
    let Some(rate) = RequestRate::per_second(rate) else { return Ok(false) };
    let context: MeasureContext = measure_context(plan, system, Some(rate));
    let one = |seed: u64, prepared: &Prepared| {
        let trace = of_seed_at(plan, prepared, seed, rate, SLICE).map_err(NoCapacity::Input)?;
        let outcome =
            simulate_run(system, &trace, &RunOptions::default(), seed).map_err(NoCapacity::Violation)?;
        Ok(measure(&outcome, &trace, &context))
    };
    let summaries = traces
        .par_iter()
        .enumerate()
        .map(|(i, trace)| one(i as u64 + 1, trace))
        .collect::<Result<Vec<Summary>, NoCapacity>>()?;
    Ok(acceptable(plan, &summaries.iter().collect::<Vec<_>>()))
}

/// Whether runs are within capacity.
fn acceptable(plan: &StudyPlan, summaries: &[&Summary]) -> bool {
    let none = |label: Saturation| summaries.iter().all(|s| s.saturation != label);
    let steady = none(Saturation::Overloaded);
    if plan.slo.is_empty() {
        steady && none(Saturation::Backlogged)
    } else {
        steady && verdict(summaries, &plan.slo, plan.attainment).met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_threshold_within_two_per_cent_in_few_trials() {
        for threshold in [0.013, 0.9, 1.0, 7.3, 412.0] {
            let found = search(|rate| Ok(rate <= threshold)).unwrap();
            let ratio = found.rate.as_per_second() / threshold;
            assert!((0.98..=1.0).contains(&ratio), "{threshold}: {ratio}");
            assert!(found.trials.len() <= 16, "{threshold}: {} trials", found.trials.len());
        }
    }

    #[test]
    fn says_when_there_is_no_threshold() {
        assert!(matches!(search(|_| Ok(false)), Err(NoCapacity::NeverMet)));
        assert!(matches!(search(|_| Ok(true)), Err(NoCapacity::AlwaysMet)));
    }
}
