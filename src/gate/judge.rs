//! Whether numbers are worse than their baseline.

use serde::Serialize;

use super::baseline::{Baseline, BaselineRow};
use crate::metrics::significance::{holm, welch_p};
use crate::metrics::{Better, Column, Saturation};
use crate::results::{RunResult, Study};
use crate::scenario::CheckPlan;

/// Which seeds a check ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Those of the baseline: run by run.
    Paired,
    /// Others, from this one on: means.
    Fresh(u64),
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The same bits in every run.
    Same,
    /// It moved by no more than its tolerance.
    Within,
    /// It improved by more than its tolerance.
    Better,
    /// With fresh seeds: worse by more than its tolerance, but not told from noise.
    Noise,
    /// It got worse by more than its tolerance.
    Worse,
}

/// One number held against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// System.
    pub system: String,
    /// Label of the point.
    pub point: String,
    /// Key of the column.
    pub key: &'static str,
    /// Mean of the baseline over its seeds.
    pub before: f64,
    /// Mean now.
    pub after: f64,
    /// Relative change; absent from 0 to something else.
    pub change: Option<f64>,
    /// Worsening that is let through, as a share.
    pub tolerance: f64,
    /// With fresh seeds: chance of such a worsening, had nothing changed.
    pub p: Option<f64>,
    /// What became of it.
    pub outcome: Outcome,
}

/// A system whose queue is not labelled as in its baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QueueChange {
    /// System.
    pub system: String,
    /// Label of the point.
    pub point: String,
    /// The worst label of the baseline's runs.
    pub before: Saturation,
    /// The worst label now.
    pub after: Saturation,
    /// What became of it.
    pub outcome: Outcome,
}

/// A scenario held against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    /// Name of the scenario.
    pub scenario: String,
    /// Its file, as the user named it.
    pub file: String,
    /// Which seeds were run.
    pub mode: Mode,
    /// Seeds of each side.
    pub seeds: usize,
    /// All numbers, by point and system.
    pub checked: Vec<Checked>,
    /// Queues with another label.
    pub queues: Vec<QueueChange>,
    /// Systems, points and numbers that one side does not have.
    pub unmatched: Vec<String>,
}

impl Found {
    /// Whether the gate says no.
    pub fn fails(&self) -> bool {
        self.count(Outcome::Worse) > 0 || self.queues.iter().any(|q| q.outcome == Outcome::Worse)
    }

    /// Numbers with this outcome.
    pub fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Checked> {
        self.checked.iter().filter(move |c| c.outcome == outcome)
    }

    /// How many numbers have this outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.of(outcome).count()
    }
}

/// Holds the runs of `study` against `baseline`; `file` is the scenario as the user named it.
pub fn judge(study: &Study, file: &str, baseline: &Baseline, plan: &CheckPlan, mode: Mode) -> Found {
    let mut found = Found {
        scenario: study.scenario_name.clone(),
        file: file.to_owned(),
        mode,
        seeds: study.seed_count(),
        checked: Vec::new(),
        queues: Vec::new(),
        unmatched: Vec::new(),
    };
    for (p, point) in study.points.iter().enumerate() {
        for (s, system) in study.systems.iter().enumerate() {
            let runs = study.runs_of(p, s);
            match baseline.row(&system.name, &point.label) {
                Some(row) => check_row(&mut found, row, &runs, plan),
                None => found.unmatched.push(format!("{} at {} has no baseline", system.name, point.label)),
            }
        }
    }
    let is_there = |row: &BaselineRow| {
        study.systems.iter().any(|s| s.name == row.system)
            && study.points.iter().any(|p| p.label == row.point)
    };
    for row in baseline.rows.iter().filter(|row| !is_there(row)) {
        found.unmatched.push(format!("{} at {} is only in the baseline", row.system, row.point));
    }
    if let Mode::Fresh(_) = mode {
        tell_from_noise(&mut found.checked, plan.level);
    }
    found
}

/// All numbers of one system at one point.
fn check_row(found: &mut Found, row: &BaselineRow, runs: &[&RunResult], plan: &CheckPlan) {
    let labels = || runs.iter().map(|r| r.summary.saturation);
    let (Some(worst), Some(best)) = (labels().max(), labels().min()) else { return };
    if worst != row.queue {
        let outcome = queue_outcome(row.queue, (best, worst), found.mode);
        let (system, point, before) = (row.system.clone(), row.point.clone(), row.queue);
        found.queues.push(QueueChange { system, point, before, after: worst, outcome });
    }
    // Latencies of an overloaded run depend on its length; of the same requests they can be compared nevertheless.
    let overloaded = worst.max(row.queue) == Saturation::Overloaded;
    let latencies = found.mode == Mode::Paired || !overloaded;
    for &(column, tolerance) in &plan.metrics {
        if !latencies && column.better != Better::Higher {
            continue;
        }
        let now: Option<Vec<f64>> = runs.iter().map(|r| r.summary.get(column.key)).collect();
        match (row.values.get(column.key), now) {
            (Some(before), Some(now)) => {
                let number = check_number((row, column, tolerance), (before, &now), found.mode);
                found.checked.push(number);
            }
            (None, None) => {}
            (before, _) => {
                let which = if before.is_some() { "is only in the baseline" } else { "has no baseline" };
                found.unmatched.push(format!("{} of {} at {} {which}", column.key, row.system, row.point));
            }
        }
    }
}

/// With other requests a label may differ by chance, unless all of the baseline's runs were stable and none is now.
fn queue_outcome(before: Saturation, (best, worst): (Saturation, Saturation), mode: Mode) -> Outcome {
    let certain = before == Saturation::Stable && best == Saturation::Overloaded;
    match (worst > before, mode) {
        (false, Mode::Paired) => Outcome::Better,
        (true, Mode::Paired) => Outcome::Worse,
        (true, Mode::Fresh(_)) if certain => Outcome::Worse,
        (_, Mode::Fresh(_)) => Outcome::Noise,
    }
}

/// A number by itself; with fresh seeds a worsening is not yet told from noise.
fn check_number(
    (row, column, tolerance): (&BaselineRow, &'static Column, f64),
    (before, after): (&[f64], &[f64]),
    mode: Mode,
) -> Checked {
    let same = mode == Mode::Paired && before.iter().zip(after).all(|(b, a)| b.to_bits() == a.to_bits());
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (b, a) = (mean(before), mean(after));
    let change = if a == b { Some(0.0) } else { (b != 0.0).then(|| (a - b) / b.abs()) };
    // From 0 to something is further than any share.
    let size = change.unwrap_or(if a > b { f64::INFINITY } else { f64::NEG_INFINITY });
    let harm = match column.better {
        Better::Lower => size,
        Better::Higher => -size,
        Better::Neither => size.abs(),
    };
    let outcome = if same {
        Outcome::Same
    } else if harm > tolerance {
        Outcome::Worse
    } else if -harm > tolerance {
        Outcome::Better
    } else {
        Outcome::Within
    };
    // Of two directions one is a worsening; of what has no better one, both are.
    let one_sided = |p: f64| match column.better {
        Better::Neither => p,
        _ if harm > 0.0 => p / 2.0,
        _ => 1.0 - p / 2.0,
    };
    let p = if mode == Mode::Paired { None } else { welch_p(before, after).map(one_sided) };
    let (system, point) = (row.system.clone(), row.point.clone());
    Checked { system, point, key: column.key, before: b, after: a, change, tolerance, p, outcome }
}

/// Calls chance what Holm's procedure over all numbers does not tell, and improvements that may be.
fn tell_from_noise(checked: &mut [Checked], level: f64) {
    // A single seed on a side has no spread to tell anything by.
    let p_values: Vec<f64> = checked.iter().map(|c| c.p.unwrap_or(1.0)).collect();
    for (number, told) in checked.iter_mut().zip(holm(&p_values, level)) {
        let real = match number.outcome {
            Outcome::Worse => told,
            Outcome::Better => number.p.is_some_and(|p| p > 1.0 - level),
            _ => continue,
        };
        if !real {
            number.outcome = Outcome::Noise;
        }
    }
}
