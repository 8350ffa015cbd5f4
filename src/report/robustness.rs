//! Whether headlines hang on what should not matter, in words and as a table.

use super::format;
use super::headline::{Finding, name_of};
use crate::metrics::Estimate;
use crate::results::robustness::TOLERANCE;
use crate::results::{RobustPair, Robustness, Shift, Soundness, Study};

/// What stands behind the ratio of `system` in a headline: `robust`, that it moves within the noise of the seeds, or `sensitive to …` with the ratio after; none where it
/// was not compared again.
pub fn remark(study: &Study, system: usize, key: &str) -> Option<String> {
    let found = study.robustness.as_ref()?;
    let pair = found.pair(system, key)?;
    let each: Vec<String> = pair.sensitive_to().iter().map(|&i| turned(found, pair, i)).collect();
    Some(if each.is_empty() {
        robust(pair).to_owned()
    } else {
        format!("sensitive to {}", each.join(" and "))
    })
}

/// What is said of a ratio that is not sensitive to anything.
fn robust(pair: &RobustPair) -> &'static str {
    let noisy = |shift: &Shift| shift.soundness(&pair.before) == Soundness::Noise;
    if pair.shifts.iter().flatten().any(noisy) { "moves within the noise of the seeds" } else { "robust" }
}

/// As [`remark`], for what a finding states, behind a semicolon; empty where nothing was compared again.
pub fn behind(study: &Study, finding: &Finding) -> String {
    let remark = finding.compared.and_then(|system| remark(study, system, finding.key));
    remark.map_or_else(String::new, |remark| format!("; {remark}"))
}

/// `the block size (then 0.71)`.
fn turned(found: &Robustness, pair: &RobustPair, i: usize) -> String {
    let subject = &found.perturbations[i].subject;
    match pair.shifts[i] {
        Some(shift) => format!("{subject} (then {})", plain(shift.after)),
        None => subject.clone(),
    }
}

/// The findings as sentences; empty where nothing was compared again.
pub fn lines(study: &Study) -> Vec<String> {
    let Some(found) = &study.robustness else { return Vec::new() };
    let done: Vec<&str> = found.perturbations.iter().filter(|p| p.done).map(|p| p.subject.as_str()).collect();
    let sensitive: Vec<&RobustPair> = found.pairs.iter().filter(|p| !p.sensitive_to().is_empty()).collect();
    let (all, limit) = (found.pairs.len(), format::percent(TOLERANCE).replace(".0 %", " %"));
    let mut lines = Vec::new();
    if !done.is_empty() {
        let how_many = match sensitive.len() {
            0 => format!("none of {all} ratios moves"),
            1 => format!("1 of {all} ratios moves"),
            n => format!("{n} of {all} ratios move"),
        };
        let changed = done.join(", ");
        lines.push(format!(
            "Robustness: {how_many} by {limit} or more, and beyond the noise of the seeds, when one of these is changed: {changed}."
        ));
    }
    for (i, of) in found.perturbations.iter().enumerate() {
        let named = |pair: &&RobustPair| {
            let shift = (*pair.shifts.get(i)?)?;
            let said = format!("{} of {}", name_of(&pair.key), study.systems[pair.system].name);
            let (before, after) = (plain(pair.before), plain(shift.after));
            pair.sensitive_to().contains(&i).then(|| format!("{said} {before} → {after}"))
        };
        let each: Vec<String> = sensitive.iter().filter_map(named).collect();
        if !each.is_empty() {
            lines.push(format!("Sensitive to {}: {}.", of.subject, each.join("; ")));
        }
        if !of.done {
            lines.push(format!("Not checked: {} – {}.", of.subject, of.what));
        }
    }
    lines
}

/// A ratio without its interval; small ones with as many digits as tell them apart.
fn plain(ratio: Estimate) -> String {
    if ratio.mean < 0.1 {
        format::digits(ratio.mean)
    } else {
        format::ratio(Estimate { half_width: None, ..ratio })
    }
}

/// The table: headings, and a line per ratio with the ratio before and after each perturbation that was done. `!` marks what is
/// sensitive, `~` what moves as much and not beyond the noise of the seeds.
pub fn table(study: &Study) -> (Vec<String>, Vec<Vec<String>>) {
    let Some(found) = &study.robustness else { return (Vec::new(), Vec::new()) };
    let done: Vec<usize> = (0..found.perturbations.len()).filter(|&i| found.perturbations[i].done).collect();
    let mut header = vec!["system".to_owned(), "ratio of".to_owned(), "before".to_owned()];
    header.extend(done.iter().map(|&i| found.perturbations[i].name.clone()));
    header.push("verdict".to_owned());
    let row = |pair: &RobustPair| {
        let name = study.systems[pair.system].name.clone();
        let mut cells = vec![name, name_of(&pair.key).to_owned(), format::ratio(pair.before)];
        let after = |&i: &usize| {
            format::or_dash(pair.shifts.get(i).copied().flatten(), |shift| {
                let mark = match shift.soundness(&pair.before) {
                    Soundness::Robust => "",
                    Soundness::Noise => " ~",
                    Soundness::Sensitive => " !",
                };
                format!("{}{mark}", plain(shift.after))
            })
        };
        cells.extend(done.iter().map(after));
        let to: Vec<&str> =
            pair.sensitive_to().iter().map(|&i| found.perturbations[i].name.as_str()).collect();
        cells.push(if to.is_empty() {
            robust(pair).to_owned()
        } else {
            format!("sensitive to {}", to.join(", "))
        });
        cells
    };
    (header, found.pairs.iter().map(row).collect())
}

/// What was done under each heading of the table.
pub fn legend(study: &Study) -> Vec<(String, String)> {
    let perturbations = study.robustness.iter().flat_map(|found| &found.perturbations);
    perturbations.filter(|p| p.done).map(|p| (p.name.clone(), p.what.clone())).collect()
}
