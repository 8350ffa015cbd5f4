//! What a claim's number is, per seed and over seeds.

use crate::metrics::{Better, Estimate, Summary, column};
use crate::scenario::SystemPlan;

use super::judge::{self, Judged, Verdict};
use super::plan::{CAPACITY, Mode, PER_GPU, PaperPlan};
use super::run::{Measured, Measurements, key};
use super::schema::{ClaimOptions, Test};

/// The metric of one system, by seed.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemNumbers {
    /// Name.
    pub system: String,
    /// Engine profile.
    pub engine: String,
    /// One value a seed.
    pub by_seed: Vec<f64>,
    /// Over the seeds.
    pub mean: Option<Estimate>,
}

/// The number of a claim in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Numbers {
    /// The number itself by seed; infinite where it divides by nothing. Empty where the claim has no number.
    pub by_seed: Vec<f64>,
    /// Over the seeds.
    pub value: Option<Estimate>,
    /// Of a ladder: the number of every rung at every seed.
    pub rungs: Vec<f64>,
    /// Whether a relation holds, by seed; empty where the claim is a number.
    pub holds: Vec<bool>,
    /// Whether the relation holds between the means.
    pub holds_on_average: bool,
    /// The systems behind it.
    pub systems: Vec<SystemNumbers>,
}

/// A claim with its numbers and its verdict.
#[derive(Clone, Debug)]
pub struct ClaimResult {
    /// The claim.
    pub claim: ClaimOptions,
    /// Position of its experiment.
    pub experiment: usize,
    /// With one engine for all, and with those of their time.
    pub numbers: [Numbers; 2],
    /// Whether both runs are the same, because the engines are.
    pub same_engines: bool,
    /// What follows.
    pub verdict: Verdict,
}

impl ClaimResult {
    /// The numbers of a run.
    pub fn of(&self, mode: Mode) -> &Numbers {
        &self.numbers[mode as usize]
    }

    /// As published over mechanism: what the engines contribute.
    pub fn engine_share(&self) -> Option<f64> {
        let [ours, theirs] = &self.numbers;
        Some(theirs.value?.mean / ours.value?.mean).filter(|q| q.is_finite())
    }

    /// Name and both verdicts, where a good one was recorded and lost.
    pub fn lost(&self) -> Option<String> {
        let recorded = self.claim.recorded.as_deref()?;
        let lost = judge::is_good(recorded) && self.verdict.word() != recorded;
        lost.then(|| format!("{}: was `{recorded}`, is `{}`", self.claim.name, self.verdict.word()))
    }
}

/// All claims of a paper, in the order of the file.
pub(super) fn judge_all(plan: &PaperPlan, measured: &Measurements) -> Vec<ClaimResult> {
    let numbers: Vec<[Numbers; 2]> = plan
        .claims
        .iter()
        .map(|(claim, e)| Mode::ALL.map(|mode| numbers(plan, measured, claim, *e, mode)))
        .collect();
    let named = |name: &str| plan.claims.iter().position(|(c, _)| c.name == name);
    let all: Vec<[Numbers; 2]> = plan
        .claims
        .iter()
        .zip(&numbers)
        .map(|((claim, _), own)| {
            let others: Vec<usize> = claim.test.claims().into_iter().filter_map(named).collect();
            if others.is_empty() {
                return own.clone();
            }
            Mode::ALL.map(|m| {
                let of: Vec<&Numbers> = others.iter().map(|&i| &numbers[i][m as usize]).collect();
                of_others(&claim.test, &of)
            })
        })
        .collect();
    let doubts = judge::doubts(plan);
    plan.claims
        .iter()
        .zip(all)
        .map(|((claim, experiment), numbers)| {
            let same_engines = numbers[0] == numbers[1];
            let judged = Judged { claim, ours: &numbers[0], theirs: (!same_engines).then_some(&numbers[1]) };
            let mut doubts = doubts.clone();
            let systems =
                claim.test.systems().into_iter().filter_map(|n| plan.experiments[*experiment].system(n));
            let keys = systems.map(|s| key(plan, Mode::Mechanism, *experiment, s, claim.metric.as_deref()));
            let short = judge::short_trials(keys.filter_map(|k| measured.get(&k)).flatten());
            if short > 0 {
                doubts.push(format!("{short} trials needed more requests than `workload.requests`"));
            }
            let verdict =
                if doubts.is_empty() { judged.verdict() } else { Verdict::NotJudged(doubts.join("; ")) };
            ClaimResult { claim: claim.clone(), experiment: *experiment, numbers, same_engines, verdict }
        })
        .collect()
}

/// The number of a claim about other claims.
fn of_others(test: &Test, others: &[&Numbers]) -> Numbers {
    match (test, others) {
        (Test::Larger(_), [a, b]) => larger(a, b),
        (Test::Quotient(_), [a, b]) => Numbers { holds: Vec::new(), ..larger(a, b) },
        _ => ladder(others),
    }
}

/// Geometric means over the rungs, by seed. A rung without a number at a seed (both sides are zero) is left out there.
fn ladder(rungs: &[&Numbers]) -> Numbers {
    let seeds = rungs.iter().map(|n| n.by_seed.len()).max().unwrap_or(0);
    let at = |seed: usize| -> Vec<f64> {
        let values = rungs.iter().filter_map(|n| n.by_seed.get(seed).copied());
        values.filter(|v| !v.is_nan()).collect()
    };
    let mean = |values: Vec<f64>| {
        let logs: f64 = values.iter().map(|v| libm::log(*v)).sum();
        libm::exp(logs / values.len() as f64)
    };
    let by_seed: Vec<f64> = (0..seeds).map(at).filter(|v| !v.is_empty()).map(mean).collect();
    Numbers {
        value: Estimate::of(by_seed.iter().copied().filter(|v| v.is_finite())),
        by_seed,
        rungs: (0..seeds).flat_map(at).collect(),
        ..Numbers::default()
    }
}

fn larger(a: &Numbers, b: &Numbers) -> Numbers {
    let holds = a.by_seed.iter().zip(&b.by_seed).map(|(a, b)| a > b).collect();
    let mean = |n: &Numbers| n.value.map_or(f64::INFINITY, |v| v.mean);
    let value = Estimate::of_ratios(a.by_seed.iter().copied().zip(b.by_seed.iter().copied()));
    let by_seed = a.by_seed.iter().zip(&b.by_seed).map(|(a, b)| a / b).collect();
    Numbers { by_seed, value, holds, holds_on_average: mean(a) > mean(b), ..Numbers::default() }
}

fn numbers(
    plan: &PaperPlan,
    measured: &Measurements,
    claim: &ClaimOptions,
    experiment: usize,
    mode: Mode,
) -> Numbers {
    let metric = claim.metric.as_deref().unwrap_or(CAPACITY);
    let systems: Vec<SystemNumbers> = claim
        .test
        .systems()
        .into_iter()
        .map(|name| system_numbers(plan, measured, experiment, mode, claim, name))
        .collect();
    let seeds = systems.iter().map(|s| s.by_seed.len()).min().unwrap_or(0);
    let of = |name: &str, seed: usize| {
        systems
            .iter()
            .find(|s| s.system == name)
            .and_then(|s| s.by_seed.get(seed))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let best = |names: &[String], seed: usize| {
        let values = names.iter().map(|n| of(n, seed));
        let lower = column::find(metric).is_some_and(|c| c.better == Better::Lower);
        if lower { values.fold(f64::INFINITY, f64::min) } else { values.fold(f64::NEG_INFINITY, f64::max) }
    };
    let pairs: Vec<(f64, f64)> = match &claim.test {
        Test::Ratio(r) => (0..seeds).map(|s| (best(&r.of, s), best(&r.to, s))).collect(),
        Test::Value(list) => (0..seeds).map(|s| (best(list, s), 1.0)).collect(),
        Test::Spread(list) => (0..seeds)
            .map(|s| {
                let values = || list.iter().map(|n| of(n, s));
                (values().fold(f64::NEG_INFINITY, f64::max), values().fold(f64::INFINITY, f64::min))
            })
            .collect(),
        Test::Chain(list) => (0..seeds).map(|s| (of(&list[list.len() - 1], s), of(&list[0], s))).collect(),
        Test::Order(_) | Test::Larger(_) | Test::Quotient(_) | Test::Ladder(_) => Vec::new(),
    };
    let mut result = Numbers {
        by_seed: pairs.iter().map(|(y, x)| y / x).collect(),
        value: Estimate::of_ratios(pairs),
        ..Numbers::default()
    };
    if let Test::Order(order) = &claim.test {
        let rises = |values: &[f64]| {
            values
                .windows(2)
                .all(|w| if order.slack > 0.0 { w[1] >= w[0] * (1.0 - order.slack) } else { w[1] > w[0] })
        };
        let at = |seed: usize| order.rising.iter().map(|n| of(n, seed)).collect::<Vec<f64>>();
        result.holds = (0..seeds).map(|s| rises(&at(s))).collect();
        let mean = |n: &String| {
            systems.iter().find(|s| s.system == *n).and_then(|s| s.mean).map_or(f64::NAN, |m| m.mean)
        };
        result.holds_on_average = rises(&order.rising.iter().map(mean).collect::<Vec<f64>>());
    }
    result.systems = systems;
    result
}

fn system_numbers(
    plan: &PaperPlan,
    measured: &Measurements,
    experiment: usize,
    mode: Mode,
    claim: &ClaimOptions,
    name: &str,
) -> SystemNumbers {
    let of = &plan.experiments[experiment];
    let system = of.system(name).unwrap_or(0);
    let runs = measured.get(&key(plan, mode, experiment, system, claim.metric.as_deref()));
    let plan = &of.plan(mode).systems[system];
    let by_seed: Vec<f64> = runs.into_iter().flatten().map(|m| value(m, claim, plan)).collect();
    let engine = plan.spec.engine.name.clone();
    let mean = Estimate::of(by_seed.iter().copied());
    SystemNumbers { system: name.to_owned(), engine, by_seed, mean }
}

/// The metric of a claim in one measurement.
fn value(measured: &Measured, claim: &ClaimOptions, system: &SystemPlan) -> f64 {
    let metric = claim.metric.as_deref().unwrap_or(CAPACITY);
    match measured {
        Measured::Capacity(capacity, _) if metric == PER_GPU => capacity.rate / f64::from(system.gpus),
        Measured::Capacity(capacity, _) => capacity.rate,
        Measured::Run(summary) => number_of(summary, metric, claim.class.as_deref()).unwrap_or(f64::NAN),
    }
}

/// A column of a run, or of one class of its requests.
pub(super) fn number_of(summary: &Summary, metric: &str, class: Option<&str>) -> Option<f64> {
    match class {
        Some(class) => summary.classes.iter().find(|c| c.class == class)?.requests.get(metric),
        None => summary.get(metric),
    }
}
