//! Warnings that tell the reader what to do next.

use serde::{Deserialize, Serialize};

use super::study::Study;
use super::text::labels;
use crate::metrics::Saturation;

/// Something that limits what the numbers can say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Warning {
    /// A system did not keep up, so its latencies depend on how long the run was.
    Saturated {
        /// Labels of the points at which these systems did not.
        points: Vec<String>,
        /// Names of the systems, with their label.
        systems: Vec<String>,
    },
    /// Fewer than 100 requests lie beyond the 99th percentile in the seeds together.
    FewTailSamples {
        /// Requests beyond it in the smallest cell.
        beyond: u64,
    },
    /// One seed only: nothing is known about the spread.
    OneSeed,
    /// A policy that knows what no real system knows.
    Oracle {
        /// Names of the systems.
        systems: Vec<String>,
    },
    /// The hardware profile was derived from a datasheet, not measured or fitted.
    DerivedHardware {
        /// The hardware.
        hardware: String,
    },
    /// Requests were turned away or did not finish; they count as missed.
    Lost {
        /// Rejected requests, all runs together.
        rejected: u64,
        /// Of them, those that an admission limit turned away.
        overloaded: u64,
        /// Requests whose clients gave up, all runs together.
        timed_out: u64,
        /// Unfinished requests, all runs together.
        unfinished: u64,
    },
    /// Some runs have no result.
    FailedRuns {
        /// How many.
        count: u64,
    },
    /// A warning of the caller.
    Note {
        /// What it is.
        message: String,
        /// What to do about it.
        advice: String,
    },
}

impl Warning {
    /// What it is, as a sentence without a full stop.
    pub fn message(&self) -> String {
        match self {
            Warning::Saturated { points, systems } => {
                let points: Vec<&str> = points.iter().map(String::as_str).collect();
                format!("not in a steady state at {}: {}", labels(&points), systems.join(", "))
            }
            Warning::FewTailSamples { beyond } => {
                format!("only {beyond} requests lie beyond P99 in the smallest cell (100 are wanted)")
            }
            Warning::OneSeed => "one seed: intervals are those of resampled blocks of its requests, gaps between tokens have none".to_owned(),
            Warning::Oracle { systems } => {
                format!("knows output lengths, which no real system does: {}", systems.join(", "))
            }
            Warning::DerivedHardware { hardware } => {
                format!("the profile of {hardware} is derived from its datasheet, not fitted to measurements")
            }
            Warning::Lost { rejected, overloaded: 0, timed_out: 0, unfinished } => {
                format!(
                    "{rejected} requests were rejected and {unfinished} did not finish; they count as missed"
                )
            }
            Warning::Lost { rejected, overloaded, timed_out, unfinished } => format!(
                "{rejected} requests were rejected ({overloaded} by admission limits), {timed_out} timed out and {unfinished} did not finish; they count \
                 as missed"
            ),
            Warning::FailedRuns { count } => format!("{count} runs have no result (see manifest.json)"),
            Warning::Note { message, .. } => message.clone(),
        }
    }

    /// What to do about it, as a sentence without a full stop.
    pub fn advice(&self) -> &str {
        match self {
            Warning::Saturated { .. } => {
                "latencies there grow with the length of the run: compare goodput, or lower the load"
            }
            Warning::FewTailSamples { .. } => "raise `requests` or `seeds` before quoting a P99",
            Warning::OneSeed => {
                "set `seeds = 5` (for a trace: replay other days of it) before calling a difference real"
            }
            Warning::Oracle { .. } => "read it as a bound, not as a design",
            Warning::DerivedHardware { .. } => {
                "trust ratios more than absolute values, and calibrate if you can"
            }
            Warning::Lost { overloaded, timed_out, .. } if overloaded + timed_out > 0 => {
                "that is what `deployment.admission` says: compare attainment, which counts them, not latencies"
            }
            Warning::Lost { .. } => "check `max-model-len` and the horizon",
            Warning::FailedRuns { .. } => "mend the cause and run again",
            Warning::Note { advice, .. } => advice,
        }
    }
}

/// All warnings of a study: those its numbers call for, then the caller's.
pub fn warnings(study: &Study) -> Vec<Warning> {
    let mut found = saturated(study);
    let beyond = study.systems.iter().enumerate().flat_map(|(system, _)| {
        (0..study.points.len()).filter_map(move |point| {
            let runs = study.runs_of(point, system);
            let finished: u64 = runs.iter().map(|r| r.summary.requests.finished).sum();
            (!runs.is_empty()).then_some(finished / 100)
        })
    });
    if let Some(beyond) = beyond.min().filter(|&b| b < 100) {
        found.push(Warning::FewTailSamples { beyond });
    }
    if study.seed_count() == 1 {
        found.push(Warning::OneSeed);
    }
    let oracles: Vec<String> =
        study.systems.iter().filter(|s| s.oracle && !s.bound).map(|s| s.name.clone()).collect();
    if !oracles.is_empty() {
        found.push(Warning::Oracle { systems: oracles });
    }
    if study.provenance.hardware_grade == "derived" {
        found.push(Warning::DerivedHardware { hardware: study.provenance.hardware.clone() });
    }
    let sum = |f: fn(&crate::metrics::RequestStats) -> u64| {
        study.runs.iter().map(|r| f(&r.summary.requests)).sum::<u64>()
    };
    let (rejected, unfinished) = (sum(|r| r.rejected), sum(|r| r.unfinished));
    let (overloaded, timed_out) = (sum(|r| r.overloaded), sum(|r| r.timed_out));
    if rejected + timed_out + unfinished > 0 {
        found.push(Warning::Lost { rejected, overloaded, timed_out, unfinished });
    }
    if !study.failed.is_empty() {
        found.push(Warning::FailedRuns { count: study.failed.len() as u64 });
    }
    found.extend(study.warnings.iter().cloned());
    found
}

/// Systems that are not stable in some seed; points with the same ones share a warning.
fn saturated(study: &Study) -> Vec<Warning> {
    let mut found: Vec<Warning> = Vec::new();
    for (point, info) in study.points.iter().enumerate() {
        let mut systems = Vec::new();
        for system in study.display_order() {
            let worst = study.runs_of(point, system).iter().map(|r| r.summary.saturation).max();
            if let Some(label) = worst.filter(|&l| l != Saturation::Stable) {
                systems.push(format!("{} ({})", study.systems[system].name, label.name()));
            }
        }
        if systems.is_empty() {
            continue;
        }
        match found.last_mut() {
            Some(Warning::Saturated { points, systems: before }) if *before == systems => {
                points.push(info.label.clone());
            }
            _ => found.push(Warning::Saturated { points: vec![info.label.clone()], systems }),
        }
    }
    found
}
