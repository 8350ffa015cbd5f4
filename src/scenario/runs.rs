//! The runs of a study, or a share of them: made in parallel, or taken over from where they were kept.

use rayon::prelude::*;

use crate::cluster::RunOptions;
use crate::diagnostic::InputError;
use crate::results::RunResult;
use crate::workload::{Prepared, RequestRate};

use super::execute::{Failure, Options, Progress};
use super::fingerprint::{RunParts, of_run, of_system};
use super::plan::{RunPlan, StudyPlan};
use super::requests::at_point;
use super::single::one_run;

/// Runs that were made before, and a place for those that are made now; each is known by its fingerprint.
pub trait RunStore: Sync {
    /// A run that was made before. Its positions in the study may be those of another one.
    fn find(&self, fingerprint: &str) -> Option<RunResult>;
    /// Keeps a run as soon as it is made.
    fn keep(&self, fingerprint: &str, run: &RunResult);
    /// Whether runs that are not found are made.
    fn makes_runs(&self) -> bool {
        true
    }
}

/// Nothing is remembered.
impl RunStore for () {
    fn find(&self, _: &str) -> Option<RunResult> {
        None
    }
    fn keep(&self, _: &str, _: &RunResult) {}
}

/// The share of a study's runs that one process makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

impl Shard {
    /// Everything.
    pub const ALL: Shard = Shard { number: 1, of: 1 };

    /// Whether the run at `index` belongs to it: runs are dealt out one by one, so that each shard gets some of every system.
    pub fn has(self, index: usize) -> bool {
        index % (self.of as usize) == (self.number - 1) as usize
    }
}

/// What runs are made of.
pub(super) struct RunsOf<'a> {
    pub plan: &'a StudyPlan,
    /// The requests of each seed.
    pub prepared: &'a [Prepared],
    pub first_seed: u64,
    /// The rate of each point.
    pub rates: &'a [Option<RequestRate>],
    pub shard: Shard,
    pub options: Options,
}

impl RunsOf<'_> {
    /// All runs of the shard, in the order of [`StudyPlan::runs`]. The requests of a point and seed are made when its first system is
    /// due, shared by all its systems, and gone after the last.
    pub fn make(&self, store: &dyn RunStore, progress: &dyn Progress) -> Result<Vec<RunResult>, Failure> {
        let seeds = self.prepared.len() as u64;
        let in_shard = |(i, _): &(usize, RunPlan)| self.shard.has(*i);
        let all = self.plan.runs().into_iter().filter(|run| run.seed <= seeds).enumerate();
        let mut runs: Vec<RunPlan> = all.filter(in_shard).map(|(_, run)| run).collect();
        runs.sort_by_key(|run| (run.point, run.seed));
        progress.phase("runs", runs.len());
        // A run is over and its records only read. With other runs to do, threads are better spent on those.
        let spread = runs.len() < rayon::current_num_threads();
        let systems: Vec<String> = self.plan.systems.iter().map(of_system).collect();
        let requests: Vec<&[RunPlan]> =
            runs.chunk_by(|a, b| (a.point, a.seed) == (b.point, b.seed)).collect();
        let share = |sharing: &&[RunPlan]| self.sharing(sharing, &systems, spread, store, progress);
        let done = requests.par_iter().map(share).collect::<Result<Vec<_>, Failure>>()?;
        let mut done: Vec<(usize, RunResult)> = done.into_iter().flatten().collect();
        done.sort_unstable_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }

    /// The runs of one point and seed.
    fn sharing(
        &self,
        sharing: &[RunPlan],
        systems: &[String],
        spread: bool,
        store: &dyn RunStore,
        progress: &dyn Progress,
    ) -> Result<Vec<(usize, RunResult)>, Failure> {
        let RunPlan { point, seed, .. } = sharing[0];
        let prepared = &self.prepared[usize::try_from(seed - 1).unwrap_or(0)];
        let (seed, rate) = (seed + self.first_seed - 1, self.rates[point]);
        let plan = self.plan;
        let trace = at_point(plan, prepared, seed, rate)?;
        let requests_hash = trace.content_hash();
        let run_options = RunOptions {
            stepwise: self.options.stepwise,
            audit: self.options.audit,
            samples: plan.timeline_samples,
            deadlines: plan.slo.deadlines(),
        };
        let keeps = self.options.keep_requests;
        let one = |run: &RunPlan| {
            let fingerprint = of_run(&RunParts {
                system: &systems[run.system],
                requests: &requests_hash,
                seed,
                rate: rate.map(RequestRate::as_per_second),
                slo: &plan.slo,
                attainment: plan.attainment,
                samples: plan.timeline_samples,
            });
            // Records of requests are not kept.
            let known = if keeps { None } else { store.find(&fingerprint) };
            let result = match known {
                Some(known) => RunResult { system: run.system, point: run.point, ..known },
                None if !store.makes_runs() => return Err(missing(plan, run, seed)),
                None => {
                    let of = RunPlan { seed, ..*run };
                    let result = one_run(plan, &of, &trace, rate, &run_options, (keeps, spread))?;
                    let result = RunResult { requests_hash: requests_hash.clone(), ..result };
                    store.keep(&fingerprint, &result);
                    result
                }
            };
            progress.step();
            Ok((run.index, result))
        };
        sharing.par_iter().map(one).collect()
    }
}

fn missing(plan: &StudyPlan, run: &RunPlan, seed: u64) -> Failure {
    let system = &plan.systems[run.system].name;
    let message = format!("the run of `{system}` at point {} with seed {seed} is in no shard", run.point + 1);
    let help = "run the shards that are not finished again: they go on where they stopped";
    Failure::Input(InputError::named("merge", message, help).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_is_in_one_shard() {
        for of in 1..=5 {
            for index in 0..20 {
                let holders = (1..=of).filter(|&number| Shard { number, of }.has(index)).count();
                assert_eq!(holders, 1, "run {index} of {of} shards");
            }
        }
    }
}
