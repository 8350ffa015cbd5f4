//! How to read the page, what the systems are, and where the numbers come from.

use maud::{Markup, html};

use crate::metrics::record::Cause;
use crate::metrics::resample::BLOCKS;
use crate::metrics::slo::Limit;
use crate::metrics::{Column, column};
use crate::report::format;
use crate::results::Study;

/// Definitions: limits, ledger causes, saturation labels, every metric.
pub(super) fn how_to_read(study: &Study) -> Markup {
    html! {
        h2 { "How to read it" }
        p { (limits(study)) }
        ul {
            li { strong { "stable" } ": at the last arrival at most max(10, 1 % of the arrivals of the second half) requests wait." }
            li { strong { "overloaded" } ": not stable, and the second half completed less than 95 % of its arrivals; its latencies grow with the length of the run." }
            li { strong { "backlogged" } ": neither." }
            li { "A ratio is that of the means over seeds, on the same requests; ± is the half-width of its 95 % interval (Student's t)." }
            @if study.seed_count() == 1 {
                li { "Here is one seed: ± comes from drawing " (BLOCKS) " blocks of consecutive requests again (docs/metrics.md). It tells how much hangs on which stretches were recorded, and nothing of other days; near the capacity it is too narrow. Gaps between tokens have none." }
            }
            li { "Designs inside each other's interval are ties." }
        }
        details open {
            summary { "Causes in the ledger" }
            dl.kv { @for cause in Cause::ALL { dt { (cause.name()) } dd { (cause.meaning()) } } }
        }
        details {
            summary { "Every metric (columns of summary.csv)" }
            dl.kv { @for c in column::all() { dt { code { (c.key) } } dd { (c.doc) (unit(c)) } } }
        }
    }
}

fn unit(c: &Column) -> String {
    if c.unit.is_empty() { String::new() } else { format!(" [{}]", c.unit) }
}

/// The limits in words.
fn limits(study: &Study) -> String {
    let all = Limit::PER_REQUEST.into_iter().chain(Limit::PER_RUN);
    let set: Vec<String> = all
        .filter_map(|l| {
            study.slo.get(l).map(|d| format!("{} ≤ {}", l.name(), format::limit(d.as_secs_f64())))
        })
        .collect();
    if set.is_empty() {
        return "No limits are set: attainment only counts who finished.".to_owned();
    }
    let how = if study.slo.joint {
        "A request must meet all its limits at once"
    } else {
        "Each limit is judged apart, and the worst share counts"
    };
    format!(
        "Limits: {}. {how}; {} of all requests that arrive must. P99 gap is a limit on the run: all gaps between \
         tokens, pooled.",
        set.join(", "),
        format::percent(study.attainment_target).replace(".0 %", " %")
    )
}

/// Papers and notes of the systems.
pub(super) fn systems(study: &Study) -> Markup {
    html! {
        h2 { "Systems" }
        dl.kv {
            @for system in &study.systems {
                dt { (system.name) @if system.bound { " (bound)" } @if system.oracle { " (oracle)" } }
                dd {
                    (system.paper)
                    @if !system.notes.is_empty() { @if !system.paper.is_empty() { ". " } (system.notes) }
                    @if system.paper.is_empty() && system.notes.is_empty() { "–" }
                }
            }
        }
    }
}

/// Hardware grade, engine, trace, seeds, version, what is not modelled, the scenario.
pub(super) fn provenance(study: &Study) -> Markup {
    let p = &study.provenance;
    let seeds = p.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let grade = if p.hardware_grade.is_empty() {
        String::new()
    } else {
        format!("{} (profile: {})", p.hardware, p.hardware_grade)
    };
    let hardware = if grade.is_empty() { p.hardware.clone() } else { grade };
    let skipped = p.rows_skipped.to_string();
    let facts = [
        ("model", p.model.as_str()),
        ("hardware", hardware.as_str()),
        ("engine profile", p.engine.as_str()),
        ("workload", p.workload.as_str()),
        ("rows skipped", skipped.as_str()),
        ("seeds", seeds.as_str()),
        ("tool", p.tool_version.as_str()),
    ];
    html! {
        h2 { "Where the numbers come from" }
        dl.kv {
            @for (name, value) in facts { @if !value.is_empty() { dt { (name) } dd { (value) } } }
            @for input in &p.inputs { dt { (input.name) } dd { code { (input.hash) } } }
        }
        @if !p.not_modelled.is_empty() {
            h3 { "Not modelled" }
            ul { @for line in &p.not_modelled { li { (line) } } }
        }
        @if !study.failed.is_empty() {
            h3 { "Runs without a result" }
            ul { @for f in &study.failed { li { (f.system) ", " (f.point) ", seed " (f.seed) ": " (f.reason) } } }
        }
        @if !study.scenario_text.is_empty() {
            details { summary { "Scenario " (study.scenario_name) } pre { (study.scenario_text) } }
        }
        @if !study.resolved_plan.is_empty() {
            details { summary { "Resolved plan" } pre { (study.resolved_plan) } }
        }
        p.note { "Data of this page: summary.csv, classes.csv, ledger.csv, timeline/, plots/ beside it." }
    }
}
