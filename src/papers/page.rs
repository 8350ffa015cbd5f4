//! The page of a paper, in Markdown: what is claimed, what both runs give, the verdict in words, and all beside it.

use std::fmt::Write as _;

use crate::report::format;
use crate::report::plot::Layout;
use crate::results::FileSet;

use super::claim::ClaimResult;
use super::judge::{band_text, number};
use super::plan::Mode;
use super::run::PaperResult;
use super::schema::{Role, Test};
use super::tables::{self, Table, cell, metric, ratio};
use super::{csv, html, plots};

/// Every file of the result folder.
pub fn files(result: &PaperResult) -> FileSet<'static> {
    let mut files = FileSet::default();
    files.add("page.md", markdown(result));
    files.add("claims.csv", csv::claims(result));
    files.add("capacity.csv", csv::trials(result));
    files.add("manifest.json", manifest(result));
    let figures = plots::all(result);
    files.add("index.html", html::page(result, &figures));
    for figure in figures {
        files.add(&format!("plots/{}", figure.file), figure.picture.draw(Layout::File));
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
    let _ = writeln!(
        out,
        "# {} ({}): {}\n\n{}, row {}.\n",
        prose(&plan.name),
        prose(&p.venue),
        prose(&p.title),
        if p.url.starts_with("https://") { format!("<{}>", prose(&p.url)) } else { prose(&p.url) },
        prose(&p.row)
    );
    let others: Vec<String> = plan
        .engines
        .as_published
        .iter()
        .map(|(system, engine)| format!("`{}` on `{}`", prose(system), prose(engine)))
        .collect();
    let _ = writeln!(
        out,
        "Two runs: *mechanism* has every system on engine `{}`; *as published* has {}. {}",
        plan.engines.mechanism,
        if others.is_empty() { "the same".to_owned() } else { others.join(", ") },
        plan.engines.note.as_deref().map(prose).unwrap_or_default()
    );
    let _ = writeln!(
        out,
        "Capacity: highest rate with a stable queue that meets the limits; each seed searched apart to 2 %, trials of \
         at least {} requests and {} P99 end-to-end latencies; {} seeds, ± is the 95 % interval over them.\n",
        plan.rule.requests, plan.rule.spans, plan.seeds
    );
    if !plan.flags.is_empty() {
        let _ = writeln!(out, "**Changed by flags:** {}.\n", prose(&plan.flags.join(" ")));
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
        let source = c.claim.source.as_ref().map_or_else(String::new, |s| format!(" ({})", prose(s)));
        let _ = writeln!(
            out,
            "| **{}**: {}{source} | {} | {} | {} | {} | {} | {} |",
            prose(&c.claim.name),
            prose(&c.claim.statement),
            c.claim.published.map_or_else(|| "–".to_owned(), format::digits),
            cell(c, Mode::Mechanism),
            if c.same_engines { "same engines".to_owned() } else { cell(c, Mode::AsPublished) },
            if c.same_engines { "–".to_owned() } else { format::or_dash(c.engine_share(), format::digits) },
            c.claim.band.map_or_else(|| "–".to_owned(), band_text),
            prose(&verdict(c))
        );
    }
    out.push('\n');
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
    let files = plots::file_names(&result.plan).split_off(result.plan.experiments.len());
    let chains = result.claims.iter().zip(files).filter(|(c, _)| matches!(c.claim.test, Test::Chain(_)));
    for (c, file) in chains {
        let _ =
            writeln!(out, "### Factor chain: {}\n\n{}\n", prose(&c.claim.name), prose(&c.claim.statement));
        let _ = writeln!(out, "| step | {} | factor to the step before |\n| --- | --- | --- |", metric(c));
        let systems = &c.of(Mode::Mechanism).systems;
        for (i, s) in systems.iter().enumerate() {
            let factor = i.checked_sub(1).and_then(|before| ratio(&systems[before], s));
            let factor = factor.map_or_else(|| "–".to_owned(), |f| format!("{}x", number(f)));
            let _ =
                writeln!(out, "| {} | {} | {factor} |", prose(&s.system), format::or_dash(s.mean, number));
        }
        let _ = writeln!(out, "\n![chain](plots/{file})\n");
    }
}

/// Limits and values of every system of every experiment.
fn experiments(out: &mut String, result: &PaperResult) {
    let _ = writeln!(out, "## What was measured\n");
    let files = plots::file_names(&result.plan);
    for (i, experiment) in result.plan.experiments.iter().enumerate() {
        if !result.measured.keys().any(|k| k.experiment == i) {
            continue;
        }
        let _ = writeln!(out, "### {}: {}\n", prose(&experiment.name), prose(&experiment.title));
        if let Some(capacities) = tables::capacities(result, i) {
            print(out, &capacities);
            let _ = writeln!(out, "\n![curves](plots/{})\n", files[i]);
        }
        if let Some(runs) = tables::runs(result, i) {
            print(out, &runs);
            out.push('\n');
        }
    }
}

/// Text of a paper file: its emphasis stays, but it brings no HTML, no link, no line and no cell of its own.
fn prose(text: &str) -> String {
    text.chars().fold(String::new(), |mut out, c| {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '[' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
        out
    })
}

/// A table in Markdown.
fn print(out: &mut String, table: &Table) {
    let _ = writeln!(out, "| {} |", table.header.join(" | "));
    let _ = writeln!(out, "|{}", " --- |".repeat(table.header.len()));
    for row in &table.rows {
        let row: Vec<String> = row.iter().map(|cell| prose(cell)).collect();
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

fn memory(out: &mut String, result: &PaperResult) {
    if let Some(table) = tables::memory(result) {
        let _ = writeln!(out, "## KV memory: pinned and computed\n");
        print(out, &table);
        out.push('\n');
    }
}

fn changes(out: &mut String, result: &PaperResult) {
    let _ = writeln!(out, "## Changes after the first run\n");
    match tables::changes(result) {
        Some(table) => print(out, &table),
        None => out.push_str("None.\n"),
    }
}
