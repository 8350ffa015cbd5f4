//! The page of a paper, in Markdown: what is claimed, what both runs give, the verdict in words, and all beside it.

use std::fmt::Write as _;

use crate::metrics::Estimate;
use crate::metrics::slo::{Limit, Slo};
use crate::report::format;
use crate::results::FileSet;

use super::claim::{ClaimResult, SystemNumbers};
use super::judge::{band_text, number, shown};
use super::plan::{CAPACITY, Mode};
use super::run::{Measured, Need, PaperResult};
use super::schema::{Role, Test};
use super::{csv, plots};

/// Every file of the result folder.
pub fn files(result: &PaperResult) -> FileSet<'static> {
    let mut files = FileSet::default();
    files.add("page.md", markdown(result));
    files.add("claims.csv", csv::claims(result));
    files.add("capacity.csv", csv::trials(result));
    files.add("manifest.json", manifest(result));
    for (name, svg) in plots::all(result) {
        files.add(&format!("plots/{name}"), svg);
    }
    files
}

fn manifest(result: &PaperResult) -> String {
    let plan = &result.plan;
    let text = |s: &str| serde_json::to_string(s).unwrap_or_default();
    format!(
        "{{\n  \"schema\": 1,\n  \"tool\": \"windtunnel\",\n  \"tool_version\": {},\n  \"paper\": {},\n  \"seeds\": {},\n  \"flags\": {},\n  \"scenario_text\": {}\n}}\n",
        text(env!("CARGO_PKG_VERSION")),
        text(&plan.name),
        plan.seeds,
        text(&plan.flags.join(" ")),
        text(&plan.text)
    )
}

/// The page.
pub fn markdown(result: &PaperResult) -> String {
    let (plan, mut out) = (&result.plan, String::new());
    let p = &plan.paper;
    let _ = writeln!(out, "# {} ({}): {}\n\n<{}>, row {}.\n", plan.name, p.venue, p.title, p.url, p.row);
    let others: Vec<String> = plan
        .engines
        .as_published
        .iter()
        .map(|(system, engine)| format!("`{system}` on `{engine}`"))
        .collect();
    let _ = writeln!(
        out,
        "Two runs: *mechanism* has every system on engine `{}`; *as published* has {}. {}",
        plan.engines.mechanism,
        if others.is_empty() { "the same".to_owned() } else { others.join(", ") },
        plan.engines.note.as_deref().unwrap_or("")
    );
    let _ = writeln!(
        out,
        "Capacity: highest rate with a stable queue that meets the limits; each seed searched apart to 2 %, trials of \
         at least {} requests and {} P99 end-to-end latencies; {} seeds, ± is the 95 % interval over them.\n",
        plan.rule.requests, plan.rule.spans, plan.seeds
    );
    if !plan.flags.is_empty() {
        let _ = writeln!(out, "**Changed by flags:** {}.\n", plan.flags.join(" "));
    }
    for (role, heading) in
        [(Role::Claim, "Claims"), (Role::Control, "Negative controls"), (Role::Baseline, "Later baselines")]
    {
        table(&mut out, result, role, heading);
    }
    chains(&mut out, result);
    experiments(&mut out, result);
    memory(&mut out, result);
    changes(&mut out, result);
    out
}

fn table(out: &mut String, result: &PaperResult, role: Role, heading: &str) {
    let claims: Vec<&ClaimResult> = result.claims.iter().filter(|c| c.claim.role == role).collect();
    if claims.is_empty() {
        return;
    }
    let _ = writeln!(
        out,
        "## {heading}\n\n| claim | published | mechanism | as published | engine share | band | verdict |\n| --- | --- | --- | --- | --- | --- | --- |"
    );
    for c in &claims {
        let source = c.claim.source.as_ref().map_or_else(String::new, |s| format!(" ({s})"));
        let _ = writeln!(
            out,
            "| **{}**: {}{source} | {} | {} | {} | {} | {} | {} |",
            c.claim.name,
            c.claim.statement,
            c.claim.published.map_or_else(|| "–".to_owned(), format::digits),
            cell(c, Mode::Mechanism),
            if c.same_engines { "same engines".to_owned() } else { cell(c, Mode::AsPublished) },
            if c.same_engines { "–".to_owned() } else { format::or_dash(c.engine_share(), format::digits) },
            c.claim.band.map_or_else(|| "–".to_owned(), band_text),
            verdict(c)
        );
    }
    out.push('\n');
}

/// A number with its interval and whether it is a tie, or how often a relation holds.
fn cell(c: &ClaimResult, mode: Mode) -> String {
    let numbers = c.of(mode);
    if !numbers.holds.is_empty() {
        let yes = numbers.holds.iter().filter(|h| **h).count();
        return format!("holds at {yes} of {} seeds", numbers.holds.len());
    }
    let tie = matches!(c.claim.test, Test::Ratio(_))
        && numbers.value.is_some_and(|v| v.half_width.is_some() && !v.differs_from(1.0));
    format!("{}{}", shown(numbers), if tie { " (tie)" } else { "" })
}

fn verdict(c: &ClaimResult) -> String {
    let reason = c.verdict.reason();
    let mut text = format!("*{}*", c.verdict.word());
    if !reason.is_empty() {
        let _ = write!(text, ", because {reason}");
    }
    if let Some(because) = c.claim.because.as_deref().filter(|_| !reason.is_empty()) {
        let _ = write!(text, ": {because}");
    }
    text
}

fn chains(out: &mut String, result: &PaperResult) {
    for c in result.claims.iter().filter(|c| matches!(c.claim.test, Test::Chain(_))) {
        let _ = writeln!(out, "### Factor chain: {}\n\n{}\n", c.claim.name, c.claim.statement);
        let _ = writeln!(out, "| step | {} | factor to the step before |\n| --- | --- | --- |", metric(c));
        let systems = &c.of(Mode::Mechanism).systems;
        for (i, s) in systems.iter().enumerate() {
            let factor = i.checked_sub(1).and_then(|before| ratio(&systems[before], s));
            let factor = factor.map_or_else(|| "–".to_owned(), |f| format!("{}x", number(f)));
            let _ = writeln!(out, "| {} | {} | {factor} |", s.system, format::or_dash(s.mean, number));
        }
        let _ = writeln!(out, "\n![chain](plots/chain-{}.svg)\n", c.claim.name);
    }
}

fn ratio(of: &SystemNumbers, to: &SystemNumbers) -> Option<Estimate> {
    Estimate::of_ratios(to.by_seed.iter().copied().zip(of.by_seed.iter().copied()))
}

fn metric(c: &ClaimResult) -> String {
    match c.claim.metric.as_deref().unwrap_or(CAPACITY) {
        CAPACITY => "capacity (req/s)".to_owned(),
        column => format!("`{column}`"),
    }
}

/// Limits and values of every system of every experiment.
fn experiments(out: &mut String, result: &PaperResult) {
    let _ = writeln!(out, "## What was measured\n");
    for (i, experiment) in result.plan.experiments.iter().enumerate() {
        let keys: Vec<_> = result.measured.iter().filter(|(k, _)| k.experiment == i).collect();
        if keys.is_empty() {
            continue;
        }
        let _ = writeln!(out, "### {}: {}\n", experiment.name, experiment.title);
        let capacities: Vec<_> = keys.iter().filter(|(k, _)| k.need == Need::Capacity).collect();
        if !capacities.is_empty() {
            let _ = writeln!(
                out,
                "| system | engine | limits | capacity (req/s) | by seed | P99 E2E there | longest trial |\n| --- | --- | --- | --- | --- | --- | --- |"
            );
            for (key, runs) in capacities {
                let (system, engine) = csv::names(&result.plan, key);
                capacity_row(out, &system, &engine, runs);
            }
            let _ = writeln!(out, "\n![curves](plots/{}.svg)\n", experiment.name);
        }
        runs_table(out, result, i);
    }
}

fn capacity_row(out: &mut String, system: &str, engine: &str, runs: &[Measured]) {
    let found: Vec<_> = runs
        .iter()
        .filter_map(|m| match m {
            Measured::Capacity(c, slo) => Some((c, slo)),
            Measured::Run(_) => None,
        })
        .collect();
    let rates: Vec<f64> = found.iter().map(|(c, _)| c.rate).collect();
    let e2e = found.iter().filter_map(|(c, _)| c.at_capacity()?.summary.requests.e2e_p99_s);
    let longest = found.iter().flat_map(|(c, _)| &c.trials).map(|t| t.requests).max().unwrap_or(0);
    let limits = found.first().map_or_else(String::new, |(_, slo)| limits(slo));
    let by_seed: Vec<String> = rates.iter().map(|r| format::digits(*r)).collect();
    let short = if found.iter().any(|(c, _)| c.short) { " (short)" } else { "" };
    let _ = writeln!(
        out,
        "| {system} | {engine} | {limits} | {} | {} | {} | {longest} requests{short} |",
        format::or_dash(Estimate::of(rates), number),
        by_seed.join(" "),
        format::or_dash(Estimate::of(e2e), |e| format::seconds(e.mean)),
    );
}

fn limits(slo: &Slo) -> String {
    let all = Limit::PER_REQUEST.into_iter().chain(Limit::PER_RUN);
    let set =
        all.filter_map(|l| Some(format!("{} ≤ {}", l.name(), format::limit(slo.get(l)?.as_secs_f64()))));
    set.collect::<Vec<String>>().join(", ")
}

/// The columns that claims ask for, of the systems that were run at one rate.
fn runs_table(out: &mut String, result: &PaperResult, experiment: usize) {
    let mut metrics: Vec<&str> = Vec::new();
    for c in result.claims.iter().filter(|c| c.experiment == experiment) {
        metrics.extend(c.claim.metric.as_deref().filter(|m| *m != CAPACITY));
    }
    metrics.sort_unstable();
    metrics.dedup();
    if metrics.is_empty() {
        return;
    }
    let columns: Vec<String> = metrics.iter().map(|m| format!("`{m}`")).collect();
    let _ = writeln!(out, "| system | engine | {} |", columns.join(" | "));
    let _ = writeln!(out, "| --- | --- |{}", " --- |".repeat(metrics.len()));
    for (key, runs) in
        result.measured.iter().filter(|(k, _)| k.experiment == experiment && k.need == Need::Run)
    {
        let (system, engine) = csv::names(&result.plan, key);
        let values = metrics.iter().map(|metric| {
            let of = runs.iter().filter_map(|m| match m {
                Measured::Run(summary) => summary.get(metric),
                Measured::Capacity(..) => None,
            });
            format::or_dash(Estimate::of(of), number)
        });
        let _ = writeln!(out, "| {system} | {engine} | {} |", values.collect::<Vec<String>>().join(" | "));
    }
    out.push('\n');
}

/// Pinned KV memory beside what the memory model computes.
fn memory(out: &mut String, result: &PaperResult) {
    let mut rows = String::new();
    let mut seen: Vec<String> = Vec::new();
    for experiment in &result.plan.experiments {
        for system in &experiment.plans[0].systems {
            let Some((pinned, computed, block)) = system.pinned_kv() else { continue };
            let row = format!(
                "| {} | {} | {} tokens | {} tokens | {} |\n",
                system.name,
                system.spec.model.name,
                format::digits(f64::from(pinned) * f64::from(block)),
                format::or_dash(computed, |c| format::digits(f64::from(c) * f64::from(block))),
                format::or_dash(computed, |c| format::digits(f64::from(c) / f64::from(pinned))),
            );
            if !seen.contains(&row) {
                rows.push_str(&row);
                seen.push(row);
            }
        }
    }
    if !rows.is_empty() {
        let _ = writeln!(
            out,
            "## KV memory: pinned and computed\n\n| system | model | pinned | computed | computed / pinned |\n| --- | --- | --- | --- | --- |\n{rows}"
        );
    }
}

fn changes(out: &mut String, result: &PaperResult) {
    let _ = writeln!(out, "## Changes after the first run\n");
    if result.plan.changes.is_empty() {
        let _ = writeln!(out, "None.");
        return;
    }
    let _ = writeln!(out, "| knob | from | to | why | result |\n| --- | --- | --- | --- | --- |");
    for c in &result.plan.changes {
        let _ = writeln!(out, "| `{}` | {} | {} | {} | {} |", c.knob, c.from, c.to, c.why, c.result);
    }
}
