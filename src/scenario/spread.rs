//! How full each replica is over a run, and which requests moved: one run of each system with several whole replicas is made
//! again while somebody watches it.
//!
//! A run is a pure function of its inputs, so that nothing has to be recorded while a study runs. Pools of prefill and decode
//! replicas are left out: they are meant to fill unequally.

use rayon::prelude::*;

use crate::cluster::{RunOptions, StepObserver};
use crate::engine::{Change, Moved};
use crate::metrics::{MoveRow, ReplicaRow, ReplicaTimeline};
use crate::policy::scheduler::SchedulerConfig;
use crate::results::{Comparison, Study};
use crate::units::SimTime;
use crate::workload::Trace;

use super::execute::Failure;
use super::plan::{StudyPlan, SystemPlan};
use super::single::observed_run;
use super::watch::trace;

/// Most systems that are watched: more panels are not looked at.
pub const SYSTEMS_MAX: usize = 6;

/// The first run at the headline point of the systems with several whole replicas, on the threads of the current rayon
/// pool. Where there are more than [`SYSTEMS_MAX`], those in which requests move come first, then the reference. None
/// where the scenario wants no timelines (`timeline-samples = 0`).
///
/// # Errors
/// What preparing the requests again, or running them, may fail with.
pub fn headline(
    plan: &StudyPlan,
    study: &Study,
    comparison: &Comparison,
) -> Result<Vec<ReplicaTimeline>, Failure> {
    let Some(point) = comparison.headline().map(|p| p.point) else { return Ok(Vec::new()) };
    let mut systems: Vec<usize> = study.drawn_order();
    systems.retain(|&system| has_several(&plan.systems[system]) && !study.runs_of(point, system).is_empty());
    let rank = |&system: &usize| {
        let migration = plan.systems[system].joint.as_ref().and_then(|joint| joint.migration.as_ref());
        (migration.is_none(), system != plan.reference)
    };
    systems.sort_by_key(rank);
    systems.truncate(SYSTEMS_MAX);
    systems.sort_unstable();
    let Some(seed) = study.runs.iter().filter(|r| r.point == point).map(|r| r.seed).min() else {
        return Ok(Vec::new());
    };
    if systems.is_empty() || plan.timeline_samples == 0 {
        return Ok(Vec::new());
    }
    let requests = trace(plan, study, point, seed)?;
    let watched = |&system: &usize| watch(plan, &requests, (system, point, seed));
    systems.par_iter().map(watched).collect()
}

/// Whether the system has several replicas that compute whole requests on memory that can run out.
fn has_several(system: &SystemPlan) -> bool {
    let alone = matches!(system.cluster.replica.scheduler, SchedulerConfig::Ideal(_));
    !alone && !system.has_pools() && system.replicas() > 1
}

fn watch(
    plan: &StudyPlan,
    requests: &Trace,
    (system, point, seed): (usize, usize, u64),
) -> Result<ReplicaTimeline, Failure> {
    let chosen = &plan.systems[system];
    let replicas = usize::try_from(chosen.replicas()).unwrap_or(usize::MAX);
    let mut recorder = Recorder { replicas, ..Recorder::default() };
    let options = RunOptions { samples: plan.timeline_samples, ..RunOptions::default() };
    let outcome = observed_run(chosen, requests, &options, seed, &mut recorder).map_err(|violation| {
        let run = format!("scenario `{}`, system `{}`, made again", plan.name, chosen.name);
        Failure::Violation { run, violation }
    })?;
    let Recorder { mut rows, mut moves, .. } = recorder;
    // The grid widens while a run goes on: only its last instants are kept, and only while requests come.
    let last = requests.requests.last().map_or(SimTime::ZERO, |r| r.arrival);
    rows.retain(|(at, _)| *at <= last && outcome.samples.binary_search_by_key(at, |s| s.at).is_ok());
    moves.retain(|m| m.end_s <= last.as_secs_f64());
    let row = |(at, held): (SimTime, Vec<Option<f64>>)| ReplicaRow { at_s: at.as_secs_f64(), held };
    Ok(ReplicaTimeline { system, point, seed, rows: rows.into_iter().map(row).collect(), moves })
}

/// Blocks held of those that are usable.
fn share((held, total): (u32, u32)) -> f64 {
    f64::from(held) / f64::from(total.max(1))
}

fn row(of: &Moved) -> MoveRow {
    let [source_held, destination_held] = of.levels.map(share);
    MoveRow {
        request: of.request.0,
        source: of.source.0,
        destination: of.destination.0,
        begun_s: of.begun.as_secs_f64(),
        end_s: of.end.as_secs_f64(),
        arrived: of.arrived,
        source_held,
        destination_held,
    }
}

/// Hears how full the replicas are, and of moves that are over.
#[derive(Default)]
struct Recorder {
    replicas: usize,
    rows: Vec<(SimTime, Vec<Option<f64>>)>,
    moves: Vec<MoveRow>,
}

impl StepObserver for Recorder {
    const WATCHES: bool = true;
    const ONLY_MEMORY: bool = true;

    fn change(&mut self, at: SimTime, change: &Change<'_>) {
        match *change {
            Change::Fills { replica, kv_held, kv_total } => {
                if self.rows.last().is_none_or(|row| row.0 < at) {
                    self.rows.push((at, vec![None; self.replicas]));
                }
                let share = share((kv_held, kv_total));
                if let Some(slot) = self.rows.last_mut().and_then(|row| row.1.get_mut(replica.index())) {
                    *slot = Some(share);
                }
            }
            Change::Moved(ref of) => self.moves.push(row(of)),
            _ => {}
        }
    }
}
