//! `list`: what is embedded in the binary.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputErrors, Node, Sources};
use crate::metrics::column;
use crate::policy::router::RouterConfig;
use crate::workload;

use super::args::{ListArgs, Listed};
use super::context::{Context, emit};
use super::{Outcome, exit, list_parts};

pub(super) fn list(args: &ListArgs, context: &Context) -> Outcome {
    if let Some(path) = &args.import {
        return list_parts::import(args.what, path, context);
    }
    let (header, rows) = match args.what {
        Listed::Systems => (vec!["system", "scheduler", "KV", "published", "row"], systems()?),
        Listed::Accelerators => list_parts::accelerators()?,
        Listed::Hosts => list_parts::hosts()?,
        Listed::Links => list_parts::links()?,
        Listed::Models => list_parts::models()?,
        Listed::Engines => (
            vec!["engine", "what", "date", "host", "grade"],
            titled(Shelf::Engines, &["title", "date", "host", "grade"])?,
        ),
        Listed::Routers => (vec!["router", "what", "draws"], routers()),
        Listed::Workloads => (vec!["recipe", "what"], titled(Shelf::Recipes, &["title"])?),
        Listed::Scenarios => (vec!["scenario", "question"], titled(Shelf::Scenarios, &["title"])?),
        Listed::Papers => {
            (vec!["paper", "what", "venue"], titled(Shelf::Papers, &["paper.title", "paper.venue"])?)
        }
        Listed::Metrics => (vec!["metric", "unit", "what"], metrics()),
        Listed::Formats => (vec!["format", "read", "written", "what"], formats()),
    };
    emit(table(&header, rows, context.width()).as_bytes())?;
    Ok(exit::DONE)
}

/// Rows under a header, without rulers between them, wrapped to the terminal.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>, width: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(header.to_vec());
    for row in rows {
        table.add_row(row);
    }
    // Names are typed again by the reader: they are never broken.
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Every file of a shelf with some of its values.
fn titled(shelf: Shelf, paths: &[&str]) -> Result<Vec<Vec<String>>, InputErrors> {
    let mut rows = Vec::new();
    for (name, node) in files(shelf)? {
        let mut row = vec![name];
        row.extend(paths.iter().map(|path| text(&node, path)));
        rows.push(row);
    }
    Ok(rows)
}

fn systems() -> Result<Vec<Vec<String>>, InputErrors> {
    let key = |node: &Node, path: &str| node.get(path).and_then(Node::only_key).unwrap_or("").to_owned();
    let row = |(name, node): (String, Node)| {
        let rule = text(&node, "kv.reserve.rule");
        let kv = if rule.is_empty() { key(&node, "kv") } else { format!("reserve {rule}") };
        vec![name, key(&node, "scheduler"), kv, text(&node, "paper.venue"), text(&node, "paper.row")]
    };
    Ok(files(Shelf::Systems)?.into_iter().map(row).collect())
}

fn routers() -> Vec<Vec<String>> {
    let row = |r: &RouterConfig| {
        let draws = if r.draws() { "per request" } else { "" };
        vec![r.key().to_owned(), r.summary().to_owned(), draws.to_owned()]
    };
    RouterConfig::all().iter().map(row).collect()
}

fn metrics() -> Vec<Vec<String>> {
    column::all().map(|c| vec![c.key.to_owned(), c.unit.to_owned(), c.doc.to_owned()]).collect()
}

fn formats() -> Vec<Vec<String>> {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let row = |f: workload::FormatInfo| {
        vec![f.name.to_owned(), yes(f.readable), yes(f.writable), f.about.to_owned()]
    };
    workload::formats().map(row).collect()
}

/// The embedded files of a shelf, parsed.
fn files(shelf: Shelf) -> Result<Vec<(String, Node)>, InputErrors> {
    let mut sources = Sources::default();
    let mut files = Vec::new();
    for name in catalog::embedded_names(shelf) {
        if let Some(source) = catalog::embedded(shelf, name) {
            files.push((name.to_owned(), sources.parse(&source, shelf.noun())?));
        }
    }
    Ok(files)
}

/// A value as text, without the quotes of TOML.
fn text(node: &Node, path: &str) -> String {
    node.get(path).map_or_else(String::new, |n| n.as_str().map_or_else(|| n.to_string(), str::to_owned))
}
