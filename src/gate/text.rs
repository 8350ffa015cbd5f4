//! What a check found, for people at a terminal; the words that the other forms share.

use comfy_table::{ContentArrangement, LineStyle, Table, presets};

use super::judge::{Checked, Found, Mode, Outcome, QueueChange};
use crate::metrics::column;
use crate::report::format;

/// Words of an outcome.
pub fn outcome_text(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Same => "same",
        Outcome::Within => "within tolerance",
        Outcome::Better => "better",
        Outcome::Noise => "not told from noise",
        Outcome::Worse => "WORSE",
    }
}

/// A relative change: `+3.2 %`.
pub fn change_text(checked: &Checked) -> String {
    checked.change.map_or_else(
        || "from 0".to_owned(),
        |c| {
            let percent = c * 100.0;
            let decimals = if percent.abs() < 0.1 { 3 } else { 1 };
            format!("{percent:+.decimals$} %").replace('-', "−")
        },
    )
}

/// A number, what it was and what it is: `TTFT p99 412 ms → 520 ms (+26.2 %, 1 % allowed)`.
pub fn number_text(checked: &Checked) -> String {
    let title = column::find(checked.key).map_or(checked.key, |c| c.title);
    let value = |v: f64| format::in_unit(checked.key, v);
    let chance = checked.p.map_or_else(String::new, |p| format!(", p = {p:.1e}"));
    format!(
        "{title} {} → {} ({}, {} % allowed{chance})",
        value(checked.before),
        value(checked.after),
        change_text(checked),
        checked.tolerance * 100.0
    )
}

/// A queue, what it was and what it is.
pub fn queue_text(queue: &QueueChange) -> String {
    format!("the queue was {} and is {}", queue.before.name(), queue.after.name())
}

/// The verdict on a scenario, as one line.
pub fn verdict(found: &Found) -> String {
    let n = found.checked.len();
    let seeds = match found.mode {
        Mode::Paired => "the seeds of the baseline".to_owned(),
        Mode::Fresh(first) => format!("{} fresh seeds from {first} on", found.seeds),
    };
    let worse =
        found.count(Outcome::Worse) + found.queues.iter().filter(|q| q.outcome == Outcome::Worse).count();
    let words = [
        (Outcome::Same, "the same to the bit"),
        (Outcome::Within, "within tolerance"),
        (Outcome::Better, "better"),
        (Outcome::Noise, "not told from noise"),
    ];
    let parts = words.map(|(outcome, text)| (found.count(outcome), text));
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, text)| format!("{n} {text}")).collect();
    let rest = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
    match worse {
        0 => format!("ok    {} ({n} numbers, {seeds}){rest}", found.scenario),
        _ => format!("WORSE {} ({worse} of {n} numbers, {seeds}){rest}", found.scenario),
    }
}

/// Everything worth a line; ends with a line feed.
pub fn render(found: &Found) -> String {
    let mut out = format!("{}\n", verdict(found));
    for queue in &found.queues {
        out.push_str(&format!("  {} at {}: {}\n", queue.system, queue.point, queue_text(queue)));
    }
    let told = |c: &&Checked| matches!(c.outcome, Outcome::Worse | Outcome::Better);
    let mut rows: Vec<&Checked> = found.checked.iter().filter(told).collect();
    rows.sort_by_key(|c| std::cmp::Reverse(c.outcome));
    if !rows.is_empty() {
        let mut table = Table::new();
        let rule = LineStyle::none().fill('─').junction('─');
        table.load_style(presets::NOTHING.header_separator(rule));
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["", "system", "point", "number", "baseline", "now", "change", "allowed"]);
        for c in rows {
            let value = |v: f64| format::in_unit(c.key, v);
            table.add_row([
                outcome_text(c.outcome).to_owned(),
                c.system.clone(),
                c.point.clone(),
                c.key.to_owned(),
                value(c.before),
                value(c.after),
                change_text(c),
                format!("{} %", c.tolerance * 100.0),
            ]);
        }
        out.push_str(&format!("{table}\n"));
    }
    for text in &found.unmatched {
        out.push_str(&format!("  note: {text}\n"));
    }
    out
}
