//! The ranking of a search of deployments: as text, and as the sentences of its page.

use super::capacity::with_interval;
use super::format;
use crate::results::capacity::tied;
use crate::results::{Fate, Launch, PlanDetail, Planned, Ranked};

/// The answer.
pub fn lead(detail: &PlanDetail) -> String {
    let Some(first) = detail.ranked.first() else {
        return format!("No deployment of `{}` meets the limits at any rate.", detail.base);
    };
    let best = &detail.deployments[first.deployment];
    let ties = detail.ranked.iter().filter(|r| tied(&r.value, &first.value)).count();
    let others = match ties.saturating_sub(1) {
        0 => "No other one is tied with it".to_owned(),
        1 => "One other of those ranked is tied with it".to_owned(),
        n => format!("{n} others of those ranked are tied with it"),
    };
    format!(
        "{} on {} GPUs serves most: {} {}. {others}; the probability that it is the best of them is {}, its regret {}.",
        best.name,
        best.gpus,
        with_interval(first.value),
        detail.unit,
        format::percent(first.best),
        format::percent(first.regret)
    )
}

/// What the search did.
pub fn funnel(detail: &PlanDetail) -> String {
    let f = &detail.funnel;
    format!(
        "{} deployments of `{}` on at most {} GPUs: {} cannot be built, {} were dropped because the datasheet bound cannot reach \
         the best found, {} had short trials (300 requests, one seed), {} longer ones (1,000 requests, two seeds), {} long ones \
         by the rule of capacities; {} trials.",
        f.deployments, detail.base, detail.gpus, f.refused, f.pruned, f.short, f.middle, f.long, f.trials
    )
}

/// Heading of the ranking.
pub(super) const COLUMNS: [&str; 9] =
    ["deployment", "GPUs", "objective", "P(best)", "regret", "req/s", "tok/s/user", "tok/s/GPU", "P99 TTFT"];

/// One line of the ranking.
pub(super) fn row(detail: &PlanDetail, ranked: &Ranked) -> [String; 9] {
    let planned: &Planned = &detail.deployments[ranked.deployment];
    let last = planned.findings.last();
    let short = if last.is_some_and(|f| f.short > 0) { " (short trials)" } else { "" };
    [
        planned.name.clone(),
        planned.gpus.to_string(),
        format!("{}{short}", with_interval(ranked.value)),
        format::percent(ranked.best),
        format::percent(ranked.regret),
        format::or_dash(last, |f| format::digits(f.mean())),
        format::or_dash(last.and_then(|f| f.tok_per_user_per_s), format::digits),
        format::or_dash(last.and_then(|f| f.tok_per_gpu_per_s), format::digits),
        format::or_dash(last.and_then(|f| f.ttft_p99_s), format::seconds),
    ]
}

/// Why deployments cannot be built, the most frequent first: reason and how many.
pub(super) fn refusals(detail: &PlanDetail) -> Vec<(&str, usize)> {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for (_, reason) in &detail.refused {
        match reasons.iter_mut().find(|(known, _)| known == reason) {
            Some((_, count)) => *count += 1,
            None => reasons.push((reason, 1)),
        }
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.1));
    reasons
}

/// For the terminal.
pub fn text(detail: &PlanDetail) -> String {
    let mut out = format!("{}\n{}\n\n", lead(detail), funnel(detail));
    let rows: Vec<[String; 9]> = detail.ranked.iter().map(|r| row(detail, r)).collect();
    let head = COLUMNS.map(str::to_owned);
    let width = |i: usize| rows.iter().chain([&head]).map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    for line in std::iter::once(&head).chain(&rows) {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
        out.push_str(&format!("  {}\n", cells.join("  ").trim_end()));
    }
    out.push_str(&format!("\nobjective: {}\n", detail.unit));
    for (reason, count) in refusals(detail).into_iter().take(3) {
        out.push_str(&format!("  {count} cannot be built: {reason}\n"));
    }
    out.extend(detail.launch.iter().map(launch_text));
    out
}

fn launch_text(launch: &Launch) -> String {
    let notes: Vec<String> = launch.notes.iter().map(|n| format!("  # {n}\n")).collect();
    format!("\n{}:\n{}  {}\n", launch.engine, notes.concat(), launch.command)
}

/// Deployments by how far they got, in words.
pub(super) fn fates(detail: &PlanDetail) -> Vec<(&'static str, usize)> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for fate in detail.deployments.iter().map(|d: &Planned| Fate::name(d.fate)) {
        match counts.iter_mut().find(|(known, _)| *known == fate) {
            Some((_, n)) => *n += 1,
            None => counts.push((fate, 1)),
        }
    }
    counts
}
