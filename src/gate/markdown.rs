//! What checks found as Markdown: step summaries, comments on merge requests.

use super::judge::{Checked, Found, Outcome};
use super::text::{change_text, outcome_text, queue_text, verdict};
use crate::report::format;

/// Everything; the same findings give the same bytes.
pub fn markdown(all: &[Found]) -> String {
    let failed = all.iter().filter(|f| f.fails()).count();
    let mut out = match failed {
        0 => format!("## windtunnel check: {} scenarios, none worse than its baseline\n", all.len()),
        _ => format!(
            "## windtunnel check: {failed} of {} scenarios are worse than their baselines\n",
            all.len()
        ),
    };
    for found in all {
        out.push_str(&format!("\n**{}**\n", format::markdown(&verdict(found))));
        for queue in &found.queues {
            let (system, point) = (format::markdown(&queue.system), format::markdown(&queue.point));
            out.push_str(&format!("\n{system} at {point}: {}\n", queue_text(queue)));
        }
        let told = |c: &&Checked| matches!(c.outcome, Outcome::Worse | Outcome::Better);
        let mut rows: Vec<&Checked> = found.checked.iter().filter(told).collect();
        rows.sort_by_key(|c| std::cmp::Reverse(c.outcome));
        if !rows.is_empty() {
            out.push_str("\n| | system | point | number | baseline | now | change | allowed |\n");
            out.push_str("| --- | --- | --- | --- | ---: | ---: | ---: | ---: |\n");
        }
        for c in rows {
            let value = |v: f64| format::in_unit(c.key, v);
            out.push_str(&format!(
                "| {} | {} | {} | `{}` | {} | {} | {} | {} % |\n",
                outcome_text(c.outcome),
                format::markdown(&c.system),
                format::markdown(&c.point),
                c.key,
                value(c.before),
                value(c.after),
                change_text(c),
                c.tolerance * 100.0
            ));
        }
        if !found.unmatched.is_empty() {
            out.push('\n');
        }
        for text in &found.unmatched {
            out.push_str(&format!("- {}\n", format::markdown(text)));
        }
    }
    out
}
