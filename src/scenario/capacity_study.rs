//! `windtunnel capacity`: the capacity of every system of a scenario, with nothing else run.
//!
//! The search is that of `[capacity]` (`src/scenario/capacity.rs`). Why each seed is searched apart, instead of a
//! bootstrap of the attainment at one bracket: the requests of a run are no independent draws (a burst hurts all that
//! stand behind it), so resampling them gives intervals that are too narrow, and the stability rule has no bootstrap
//! at all. Seeds are independent, and the rule is applied whole to each. All systems see the same requests at a seed,
//! and searches start on the same rates, so that differences between systems are paired.
//!
//! Afterwards every system is run once more at the capacity of the reference, to see how its attainment depends on
//! how strict the limits are.

use rayon::prelude::*;

use crate::cluster::RunOptions;
use crate::diagnostic::{InputError, InputErrors};
use crate::metrics::Estimate;
use crate::metrics::slo::{Limit, Met, Slo};
use crate::results::{CapacityDetail, CapacityTable, CapacityTrial, ScaledAttainment, Study, Warning};
use crate::units::{Seconds, SimDuration};
use crate::workload::{LoadBy, Prepared, RequestRate, Trace};

use super::capacity::{CapacityPlan, Search, Seeded, failure, has_capacity, search_all};
use super::execute::{Executed, Failure, Options, Progress, prepare};
use super::load::SearchGrid;
use super::plan::StudyPlan;

/// Fewest seeds of a capacity (the trial rule): fewer say too little about the spread.
pub const SEEDS_LEAST: u32 = 5;

/// Factors of the limits at which attainment is counted.
const SCALES: [f64; 9] = [0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0];

/// Searches the capacity of every system; the result is a study without runs, and what the search saw.
pub fn search_capacities(
    plan: &StudyPlan,
    options: Options,
    progress: &dyn Progress,
) -> Result<(Study, CapacityDetail), Failure> {
    check_rates(plan)?;
    let prepared = prepare(plan, progress)?;
    check_open(plan, &prepared[0].trace)?;
    let wanted = plan.capacity.clone().unwrap_or_default();
    let options = RunOptions { stepwise: options.stepwise, audit: options.audit, ..RunOptions::default() };
    let (table, trials) = search_all(plan, &wanted, &prepared, options, progress)?;
    let (scale_rate_per_s, scaled) = by_scale(plan, &wanted, &prepared, (&table, options), progress)?;
    let detail = CapacityDetail { trials, scale_rate_per_s, scaled };
    let executed = Executed::of_capacities(prepared, table);
    let seeds = executed.prepared.len();
    let mut study = executed.into_study(plan);
    study.warnings.extend(few_seeds(plan, seeds));
    study.warnings.extend(short_trials(plan, wanted.rule.spans, &detail));
    Ok((study, detail))
}

/// What can be checked before the requests are known.
pub(crate) fn check_rates(plan: &StudyPlan) -> Result<(), InputErrors> {
    if plan.workload.spec.load_by == LoadBy::Users {
        let message =
            "a capacity is searched over rates by time, but `workload.load-by` says users".to_owned();
        let help = "write `load-by = \"time\"`, or `--set workload.load-by=\"time\"`";
        return Err(plan.workload.error("load-by", message, help, &plan.sources).into());
    }
    if !plan.systems.iter().any(has_capacity) {
        let place = format!("{}: [systems] compare", plan.name);
        let message = "none of the systems has a capacity: `ideal` keeps up with every rate";
        return Err(InputError::named(place, message, "compare a design too, such as `vllm-v1`").into());
    }
    Ok(())
}

/// Clients that wait for their answers set the rate themselves.
pub(crate) fn check_open(plan: &StudyPlan, trace: &Trace) -> Result<(), InputErrors> {
    if trace.closed.is_none() {
        return Ok(());
    }
    let message = "a closed loop has no arrival rate, so no system has a capacity in req/s".to_owned();
    let help = "use `arrivals`, a recipe or a trace instead of `closed`";
    Err(plan.workload.error("closed", message, help, &plan.sources).into())
}

/// The rule asks for five seeds.
pub(crate) fn few_seeds(plan: &StudyPlan, seeds: usize) -> Option<Warning> {
    (plan.seeds < SEEDS_LEAST && seeds > 1).then(|| Warning::Note {
        message: format!("the intervals are over {} seeds, and the rule asks for {SEEDS_LEAST}", plan.seeds),
        advice: format!("use `--seeds {SEEDS_LEAST}`"),
    })
}

/// Where the workload was too short for the rule, how many requests would do.
fn short_trials(plan: &StudyPlan, spans: f64, detail: &CapacityDetail) -> Option<Warning> {
    let short: Vec<&CapacityTrial> = detail.trials.iter().filter(|t| t.short).collect();
    let needed = |t: &&CapacityTrial| spans * t.e2e_p99_s.unwrap_or(0.0) * t.rate_per_s;
    // A longer run finds a longer tail.
    let enough = short.iter().map(needed).fold(0.0, f64::max) * 1.5;
    (!short.is_empty()).then(|| Warning::Note {
        message: format!(
            "{} of {} trials are shorter than {spans} P99 end-to-end latencies, because the workload `{}` ends there",
            short.len(),
            detail.trials.len(),
            plan.workload.describe()
        ),
        advice: format!("use about {} requests (`--set workload.requests=…`)", round_up(enough)),
    })
}

/// To two digits.
fn round_up(value: f64) -> f64 {
    let unit = libm::pow(10.0, libm::floor(libm::log10(value.max(10.0))) - 1.0);
    libm::ceil(value / unit) * unit
}

/// Attainment of every system with its limits made stricter and looser, all at one rate: the capacity of the
/// reference, or the best one where the reference has none. Nothing without limits per request.
fn by_scale(
    plan: &StudyPlan,
    wanted: &CapacityPlan,
    prepared: &[Prepared],
    (table, options): (&CapacityTable, RunOptions),
    progress: &dyn Progress,
) -> Result<(Option<f64>, Vec<ScaledAttainment>), Failure> {
    let mean = |system: usize| table.cell(system, 0).and_then(|c| c.value).map_or(0.0, |v: Estimate| v.mean);
    let best = (0..plan.systems.len()).map(mean).fold(0.0, f64::max);
    let rate = if mean(plan.reference) > 0.0 { mean(plan.reference) } else { best };
    let limited = Limit::PER_REQUEST.iter().any(|&l| plan.slo.get(l).is_some());
    let Some(per_second) = RequestRate::per_second(rate).filter(|_| limited && rate > 0.0) else {
        return Ok((None, Vec::new()));
    };
    let systems: Vec<usize> = (0..plan.systems.len()).filter(|&s| has_capacity(&plan.systems[s])).collect();
    let cells: Vec<(usize, u64, &Prepared)> =
        systems.iter().flat_map(|&s| (1..).zip(prepared).map(move |(seed, p)| (s, seed, p))).collect();
    progress.phase("attainment by strictness", cells.len());
    let (rule, grid) = (wanted.rule, SearchGrid::default());
    let search = Search { plan, slo: &plan.slo, rule, grid, options };
    let one = |&(system, seed, prepared): &(usize, u64, &Prepared)| {
        let trace = Seeded { trace: &prepared.trace, seed };
        let requests = prepared.trace.len().min(rule.requests as usize);
        let simulated = search.simulate(&plan.systems[system], trace, requests, per_second);
        let (_, outcome) = simulated.map_err(|e| failure(plan, &plan.systems[system], e.into()))?;
        progress.step();
        let at = |&scale: &f64| {
            let slo = scaled(&plan.slo, scale);
            let mut met = Met::default();
            outcome.records.iter().for_each(|record| met.add(&slo, &record));
            let attainment = met.share(met.all(&slo)).unwrap_or(0.0);
            ScaledAttainment { system, seed, scale, attainment }
        };
        Ok(SCALES.iter().map(at).collect())
    };
    let found = cells.par_iter().map(one).collect::<Result<Vec<Vec<ScaledAttainment>>, Failure>>()?;
    Ok((Some(rate), found.into_iter().flatten().collect()))
}

/// The limits per request times `scale`.
fn scaled(slo: &Slo, scale: f64) -> Slo {
    let times = |limit: SimDuration| SimDuration::from_seconds(Seconds(limit.as_secs_f64() * scale));
    Limit::PER_REQUEST.iter().fold(*slo, |slo, &limit| slo.with(limit, slo.get(limit).map(times)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_are_rounded_upwards_to_two_digits() {
        assert_eq!([20_481.0, 990.0, 7.0].map(round_up), [21_000.0, 990.0, 7.0]);
    }

    #[test]
    fn a_scale_changes_the_limits_of_requests_and_no_other() {
        let ms = |n: u64| Some(SimDuration::from_ps(n * 1_000_000_000));
        let slo = Slo { ttft: ms(200), gap_p99: ms(50), ..Slo::default() };
        let looser = scaled(&slo, 2.0);
        assert_eq!((looser.ttft, looser.tpot, looser.gap_p99), (ms(400), None, ms(50)));
        assert_eq!(scaled(&slo, 1.0), slo);
    }
}
