//! The ranking of a search of deployments: as text, and as the sentences of its page.

use super::capacity::with_interval;
use super::format;
use crate::results::capacity::tied;
use crate::results::{Chosen, Fate, Launch, PlanDetail, Planned, PlannedPool, Ranked};

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
    if f.deployments == 0 {
        return format!("No deployment of `{}` was searched: other planners chose.", detail.base);
    }
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

/// Heading of what the planners chose.
pub(super) const CHOICES: [&str; 7] =
    ["planner", "plan", "GPUs", "planned for", "found alone", "simulated whole", "of the best"];

/// What each planner chose, and what that is worth simulated whole; nothing where only the search planned.
pub(super) fn choices(detail: &PlanDetail) -> Vec<[String; 7]> {
    if detail.planners.is_empty() {
        return Vec::new();
    }
    let searched = detail.funnel.deployments - detail.funnel.refused;
    let found = detail.ranked.iter().find(|r| r.deployment < searched);
    let search = found.map(|r| {
        let none = || format::or_dash(None::<f64>, format::digits);
        let plan = &detail.deployments[r.deployment];
        let [whole, best] = worth(detail, r.deployment);
        ["search".to_owned(), plan.name.clone(), plan.gpus.to_string(), none(), none(), whole, best]
    });
    search.into_iter().chain(detail.planners.iter().map(|c| choice(detail, c))).collect()
}

fn choice(detail: &PlanDetail, chosen: &Chosen) -> [String; 7] {
    let alone = |(pool, rate): &(PlannedPool, f64)| format!("{} {} req/s", pool.role, format::digits(*rate));
    let pair = chosen.planner == "distserve-low";
    let parts: Vec<String> = match &chosen.parts[..] {
        [(_, rate), ..] if pair => vec![format!("pair {} req/s", format::digits(*rate))],
        parts => parts.iter().map(alone).collect(),
    };
    let rate = if chosen.rate_per_s > 0.0 {
        let why = if chosen.asked { "" } else { " (fills the GPUs)" };
        format!("{} req/s{why}", format::digits(chosen.rate_per_s))
    } else {
        "–".to_owned()
    };
    let (plan, gpus, [whole, best]) = match chosen.deployment {
        Some(i) => {
            let planned = &detail.deployments[i];
            let over = if planned.gpus > detail.gpus { " (more than there are)" } else { "" };
            (planned.name.clone(), format!("{}{over}", planned.gpus), worth(detail, i))
        }
        None => {
            let why = chosen.note.clone().unwrap_or_default();
            (format!("no plan: {why}"), "–".to_owned(), ["–".to_owned(), "–".to_owned()])
        }
    };
    let parts = if parts.is_empty() { "–".to_owned() } else { parts.join(", ") };
    [chosen.planner.clone(), plan, gpus, rate, parts, whole, best]
}

/// Capacity of a deployment by its last pass, and its objective as a share of the best.
fn worth(detail: &PlanDetail, deployment: usize) -> [String; 2] {
    let planned = &detail.deployments[deployment];
    let rate = planned.findings.last().map_or(0.0, crate::results::Finding::mean);
    let (value, best) = (rate / planned.units, detail.ranked.first().map_or(0.0, |r| r.value.mean));
    let share = (best > 0.0).then_some(value / best);
    let whole = format!("{} req/s, {} {}", format::digits(rate), format::digits(value), detail.unit);
    [whole, format::or_dash(share, format::percent)]
}

/// What the planners did, in words.
pub(super) fn choices_note(detail: &PlanDetail) -> String {
    let tried: Vec<String> = detail
        .planners
        .iter()
        .map(|c| format!("{} simulated {} and could not build {}", c.planner, c.tried, c.refused))
        .collect();
    format!(
        "Found alone: what one prefill instance, one decode instance or one pair of them served in trials of 1,000 requests. \
         Simulated whole: the plan, in the long trials. Instances or pairs: {}.",
        tried.join("; ")
    )
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
    out.push_str(&columns(COLUMNS, &rows));
    let choices = choices(detail);
    if !choices.is_empty() {
        out.push_str(&format!("\n{}", columns(CHOICES, &choices)));
    }
    out.push_str(&format!("\nobjective: {}\n", detail.unit));
    for (reason, count) in refusals(detail).into_iter().take(3) {
        out.push_str(&format!("  {count} cannot be built: {reason}\n"));
    }
    out.extend(detail.launch.iter().map(launch_text));
    out
}

/// A table with its heading, indented.
fn columns<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let width = |i: usize| rows.iter().chain([&head]).map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(c, w)| format!("{c:w$}")).collect();
        format!("  {}\n", cells.join("  ").trim_end())
    };
    std::iter::once(&head).chain(rows).map(line).collect()
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
