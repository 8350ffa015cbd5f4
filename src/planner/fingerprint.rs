//! What a finding depends on, as one text: a search that was interrupted takes over what has the same fingerprint.

use crate::metrics::slo::Slo;
use crate::rng::ContentHash;
use crate::scenario::capacity::TrialRule;
use crate::scenario::fingerprint::{PROGRAM, of_system};
use crate::scenario::load::SearchGrid;
use crate::scenario::{StudyPlan, SystemPlan};
use crate::workload::Prepared;

/// Of the requests of all seeds.
pub(super) fn of_requests(prepared: &[Prepared]) -> String {
    let mut hash = ContentHash::default();
    for prepared in prepared {
        hash.update(&(prepared.trace.len() as u64).to_le_bytes());
        for r in &prepared.trace.requests {
            hash.update(&r.arrival.as_ps().to_le_bytes());
            for n in [r.prompt, r.output, r.max_tokens] {
                hash.update(&n.to_le_bytes());
            }
        }
        let rest = (&prepared.trace.prefixes, &prepared.trace.sessions, &prepared.trace.priorities);
        hash.update(format!("{rest:?}").as_bytes());
    }
    hash.text()
}

/// Of the trials of one deployment in one stage: program, requests, limits, deployment with all its constants, search.
pub(super) fn of_trials(
    study: &StudyPlan,
    (system, slo): (&SystemPlan, &Slo),
    (requests, seeds): (&str, usize),
    (rule, grid): (TrialRule, SearchGrid),
) -> String {
    let mut hash = ContentHash::default();
    hash.update(format!("{PROGRAM} {requests} {seeds} {rule:?} {grid:?}\n").as_bytes());
    hash.update(format!("{:?} {}\n", slo, study.attainment).as_bytes());
    hash.update(of_system(system).as_bytes());
    hash.text()
}
