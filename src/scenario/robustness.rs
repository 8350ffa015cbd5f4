//! `robustness = true`: are the ratios of the headline those of the designs, or of ties, of the trace's clock, of the block size,
//! of the length of the trial (invariant I16)?
//!
//! The runs of the headline point are made again four times with the same seeds, each time with one thing changed. Bounds are
//! left out, and so is what no headline ranks: ratios of designs that are overloaded or miss the limits.
//!
//! * *ties*: requests of one instant come in another order, drawn per seed. Ties between equal replicas are not touched: they
//!   differ in nothing but their number.
//! * *clock*: where arrivals of a file were spread inside the grain of its clock, they are drawn again inside one twice as wide;
//!   where they are on a grain of at least a millisecond, they are rounded down to twice that grain before the rate is
//!   set; else to twice the median gap of the reference, which is about its step: what comes within one step waits for the
//!   next one anyway, so that a clock finer than a step can hardly matter and one of two steps begins to.
//! * *blocks*: KV blocks hold twice the tokens, in the same memory; slots of one token stay.
//! * *trial*: twice the requests, or twice the time, at the same rate.

use rayon::prelude::*;

use crate::cluster::RunOptions;
use crate::metrics::Estimate;
use crate::results::{
    Comparison, HEADLINES, Perturbation, PointComparison, RobustPair, Robustness, RunResult, Shift, Study,
};
use crate::units::{Seconds, SimDuration};
use crate::workload::{Dequantise, LoadBy, Prepared, RequestRate, Trace, coarsen, own_clock, permute_ties};

use super::execute::{Failure, Options, Progress, prepare};
use super::plan::{Axis, RunPlan, StudyPlan, SystemPlan};
use super::requests::at_point;
use super::single::one_run;

/// What is prepared for the comparison when a scenario is read.
#[derive(Clone)]
pub struct RobustnessPlan {
    /// Each system with blocks twice as large, or why there is none.
    pub doubled: Vec<Result<SystemPlan, String>>,
}

/// Compares the headline point again under each perturbation, on the threads of the current rayon pool; none where the
/// scenario does not ask for it, or nothing is ranked against the reference.
///
/// # Errors
/// What preparing the requests again, or running them, may fail with.
pub fn check(
    plan: &StudyPlan,
    study: &Study,
    comparison: &Comparison,
    options: Options,
    progress: &dyn Progress,
) -> Result<Option<Robustness>, Failure> {
    let (Some(asked), Some(point)) = (&plan.robustness, comparison.headline()) else { return Ok(None) };
    let mut pairs = judged(point);
    if pairs.is_empty() {
        return Ok(None);
    }
    let mut systems: Vec<usize> = pairs.iter().map(|pair| pair.system).chain([plan.reference]).collect();
    systems.sort_unstable();
    systems.dedup();
    let rate = study.points[point.point].rate_per_s.and_then(RequestRate::per_second);
    let rate = rate.filter(|_| plan.axis != Axis::Natural);
    let prepared = prepare(plan, &())?;
    let bench = Bench { options, plan, asked, study, point: point.point, rate, systems, prepared };
    progress.phase("robustness", KINDS.len());
    let mut perturbations = Vec::new();
    for (name, subject, perturb) in KINDS {
        let (what, again) = match perturb(&bench)? {
            Ok((what, changed, traces)) => (what, Some(bench.again(&changed, &traces)?)),
            Err(reason) => (reason, None),
        };
        let done = again.is_some();
        for pair in &mut pairs {
            let shift = again.as_ref().and_then(|again| bench.shift(again, pair.system, &pair.key));
            pair.shifts.push(shift);
        }
        let (name, subject) = (name.to_owned(), subject.to_owned());
        perturbations.push(Perturbation { name, subject, what, done });
        progress.step();
    }
    Ok(Some(Robustness { point: point.point, perturbations, pairs }))
}

/// The ratios by which designs are ranked at the headline point.
fn judged(point: &PointComparison) -> Vec<RobustPair> {
    let of = |key: &'static str| {
        let ranked = point.ranked(key).into_iter().filter(|row| !row.reference);
        let pair = move |row: &crate::results::ComparisonRow| {
            let before = row.ratio(key).filter(|ratio| ratio.mean > 0.0)?;
            Some(RobustPair { system: row.system, key: key.to_owned(), before, shifts: Vec::new() })
        };
        ranked.filter_map(pair).collect::<Vec<RobustPair>>()
    };
    let mut pairs: Vec<RobustPair> = HEADLINES.into_iter().flat_map(|(key, _)| of(key)).collect();
    // By system, so that a reader finds all of a design together.
    pairs.sort_by_key(|pair| pair.system);
    pairs
}

/// What a perturbation gives: what was done, the plan and the requests of each seed; or why nothing is done.
type Perturbed = Result<Result<(String, StudyPlan, Vec<Trace>), String>, Failure>;

/// Name in files, name in a sentence, and how it is made.
type Kind = (&'static str, &'static str, fn(&Bench<'_>) -> Perturbed);

const KINDS: [Kind; 4] = [
    ("ties", "the order of ties", ties),
    ("clock", "the clock of the arrivals", clock),
    ("blocks", "the block size", blocks),
    ("trial", "the length of the trial", trial),
];

/// What all perturbations begin with.
struct Bench<'a> {
    options: Options,
    plan: &'a StudyPlan,
    asked: &'a RobustnessPlan,
    study: &'a Study,
    point: usize,
    rate: Option<RequestRate>,
    systems: Vec<usize>,
    prepared: Vec<Prepared>,
}

impl Bench<'_> {
    /// The requests of each seed at the headline point.
    fn requests(&self, plan: &StudyPlan, prepared: &[Prepared]) -> Result<Vec<Trace>, Failure> {
        let at = |(seed, of): (u64, &Prepared)| Ok(at_point(plan, of, seed, self.rate)?.into_owned());
        (1..).zip(prepared).map(at).collect()
    }

    fn hears_answers(&self) -> bool {
        self.prepared.iter().any(|p| p.trace.hears_answers())
    }

    /// The runs of the headline point with these systems and requests, as a study of their own.
    fn again(&self, plan: &StudyPlan, traces: &[Trace]) -> Result<Study, Failure> {
        let options = RunOptions {
            stepwise: self.options.stepwise,
            audit: self.options.audit,
            samples: 0,
            deadlines: plan.slo.deadlines(),
        };
        let seeds: Vec<(u64, &Trace)> = (1..).zip(traces).collect();
        let runs: Vec<(usize, u64, &Trace)> =
            self.systems.iter().flat_map(|&system| seeds.iter().map(move |&(s, t)| (system, s, t))).collect();
        let run = |&(system, seed, trace): &(usize, u64, &Trace)| {
            let of = RunPlan { index: 0, system, point: self.point, seed };
            one_run(plan, &of, trace, self.rate, &options, (false, false))
        };
        let runs = runs.par_iter().map(run).collect::<Result<Vec<RunResult>, Failure>>()?;
        let Study { reference, slo, attainment_target, systems, points, .. } = self.study;
        Ok(Study {
            reference: reference.clone(),
            slo: *slo,
            attainment_target: *attainment_target,
            systems: systems.clone(),
            points: points.clone(),
            runs,
            ..Study::default()
        })
    }

    /// A ratio of `again`, and its change seed by seed.
    fn shift(&self, again: &Study, system: usize, key: &str) -> Option<Shift> {
        let pairs = |study: &Study| -> Vec<(f64, f64)> {
            let reference = study.runs_of(self.point, self.plan.reference);
            let of = |run: &&RunResult| {
                let other = reference.iter().find(|r| r.seed == run.seed)?;
                Some((run.summary.get(key)?, other.summary.get(key)?))
            };
            study.runs_of(self.point, system).iter().filter_map(of).collect()
        };
        let (before, after) = (pairs(self.study), pairs(again));
        let change = Estimate::of_changes(&before, &after)?;
        Estimate::of_ratios(after).map(|after| Shift { after, change })
    }
}

const CLOSED: &str = "requests come after answers (a closed loop, or `turns = \"after-answer\"`)";

fn ties(bench: &Bench<'_>) -> Perturbed {
    if bench.hears_answers() {
        return Ok(Err(CLOSED.to_owned()));
    }
    let traces = bench.requests(bench.plan, &bench.prepared)?;
    let permuted: Vec<Option<Trace>> = (1..).zip(&traces).map(|(seed, t)| permute_ties(t, seed)).collect();
    if permuted.iter().all(Option::is_none) {
        return Ok(Err("no two requests arrive at one instant".to_owned()));
    }
    let traces = traces.into_iter().zip(permuted).map(|(before, after)| after.unwrap_or(before)).collect();
    let what = "requests of one instant in another order, drawn per seed".to_owned();
    Ok(Ok((what, bench.plan.clone(), traces)))
}

fn clock(bench: &Bench<'_>) -> Perturbed {
    if bench.hears_answers() {
        return Ok(Err(CLOSED.to_owned()));
    }
    let mut plan = bench.plan.clone();
    let spread = bench.prepared.first().and_then(|p| p.report.dequantised_grain_ps);
    if let Some(grain) = spread.map(SimDuration::from_ps) {
        plan.workload.spec.dequantise = Some(Dequantise::Grain(grain * 2));
        let prepared = prepare(&plan, &())?;
        let traces = bench.requests(&plan, &prepared)?;
        let what = format!("arrivals drawn again inside {}, twice the grain of the trace's clock", grain * 2);
        return Ok(Ok((what, plan, traces)));
    }
    let first = bench.prepared.first().and_then(|p| own_clock(&p.trace));
    if let Some(grain) = first.filter(|_| plan.workload.spec.load_by == LoadBy::Time) {
        let coarse =
            |p: &Prepared| Prepared { trace: coarsen(&p.trace, grain * 2), report: p.report.clone() };
        let prepared: Vec<Prepared> = bench.prepared.iter().map(coarse).collect();
        let what = format!(
            "arrivals rounded down to {}, twice the grain of the trace's clock, before the rate is set",
            grain * 2
        );
        return Ok(Ok((what, plan, bench.requests(bench.plan, &prepared)?)));
    }
    let reference = &bench.study.systems[plan.reference].name;
    let gap = bench.study.runs_of(bench.point, plan.reference);
    let gap = Estimate::of(gap.iter().filter_map(|run| run.summary.run.gap_p50_s));
    let Some(gap) = gap.filter(|gap| gap.mean > 0.0) else {
        return Ok(Err(format!(
            "the trace has no clock, and {reference} no gaps between tokens to make one from"
        )));
    };
    let grain = SimDuration::from_seconds(Seconds(2.0 * gap.mean));
    let traces = bench.requests(bench.plan, &bench.prepared)?.iter().map(|t| coarsen(t, grain)).collect();
    let ms = 1e3 * grain.as_secs_f64();
    let what = format!("arrivals rounded down to {ms:.1} ms, twice the median gap of {reference}");
    Ok(Ok((what, plan, traces)))
}

fn blocks(bench: &Bench<'_>) -> Perturbed {
    let mut plan = bench.plan.clone();
    let traces = bench.requests(&plan, &bench.prepared)?;
    let tokens_per_id =
        traces.iter().filter_map(|t| t.prefixes.as_ref()).map(|p| p.tokens_per_id).max().unwrap_or(0);
    let mut unchanged = Vec::new();
    for &system in &bench.systems {
        let name = &plan.systems[system].name;
        let kv = |of: &SystemPlan| of.cluster.replica.kv;
        match &bench.asked.doubled[system] {
            Ok(of)
                if kv(of).prefix_cache
                    && tokens_per_id > 0
                    && !tokens_per_id.is_multiple_of(kv(of).block) =>
            {
                let block = kv(of).block;
                unchanged.push(format!(
                    "blocks of {block} tokens of `{name}` do not divide the {tokens_per_id} of a prefix id"
                ));
            }
            Ok(of) => plan.systems[system] = of.clone(),
            Err(reason) => unchanged.push(reason.clone()),
        }
    }
    if unchanged.len() == bench.systems.len() {
        return Ok(Err(unchanged.join("; ")));
    }
    let but =
        if unchanged.is_empty() { String::new() } else { format!("; as before: {}", unchanged.join("; ")) };
    Ok(Ok((format!("KV blocks of twice the tokens in the same memory{but}"), plan, traces)))
}

fn trial(bench: &Bench<'_>) -> Perturbed {
    let mut plan = bench.plan.clone();
    let spec = &mut plan.workload.spec;
    let what = match (&mut spec.requests, &mut spec.duration) {
        (None, None) => return Ok(Err("the trace is used whole: it has no more requests".to_owned())),
        (requests, duration) => {
            *requests = requests.map(|n| n.saturating_mul(2));
            *duration = duration.map(|d| d * 2);
            let each = [requests.map(|n| format!("{n} requests")), duration.map(|d| d.to_string())];
            each.into_iter().flatten().collect::<Vec<String>>().join(", ")
        }
    };
    let prepared = match prepare(&plan, &()) {
        Ok(prepared) => prepared,
        Err(Failure::Input(errors)) => {
            let first = errors.0.first().map_or_else(String::new, |e| e.message.clone());
            return Ok(Err(format!("there are not twice the requests: {first}")));
        }
        Err(failure) => return Err(failure),
    };
    let count = |of: &[Prepared]| of.iter().map(|p| p.trace.len()).sum::<usize>();
    let (before, after) = (count(&bench.prepared), count(&prepared));
    if after * 10 < before * 19 {
        return Ok(Err(format!(
            "there are {after} requests in all seeds, less than twice the {before} of the study"
        )));
    }
    let traces = bench.requests(&plan, &prepared)?;
    Ok(Ok((format!("twice the trial at the same rate: {what}"), plan, traces)))
}
