//! The reference in Markdown, from the command line, the columns and the formats themselves.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cli::args::SchemaKind;
use crate::cli::exit;
use crate::metrics::{Better, column};
use crate::workload;

/// The whole page.
pub(super) fn markdown(command: &Command) -> String {
    let mut out = String::from(
        "# Reference\n\nMade by `windtunnel generate reference`; do not edit. What the words mean: `docs/metrics.md`, \
         `docs/scenarios.md`, `docs/workloads.md`.\n\n## Commands\n",
    );
    for sub in command.get_subcommands() {
        verb(&mut out, sub, "windtunnel");
    }
    out.push_str("\nEverywhere: `--color auto|always|never`, `--quiet`. ");
    out.push_str(&exit::HELP.replace('\n', " "));
    out.push_str("\n\n## Numbers\n\nColumns of `summary.csv`, `summary.json` and `--format csv`.\n\n");
    out.push_str("| column | unit | better | what |\n| --- | --- | --- | --- |\n");
    for c in column::all() {
        let better = match c.better {
            Better::Higher => "higher",
            Better::Lower => "lower",
            Better::Neither => "–",
        };
        let _ = writeln!(out, "| `{}` | {} | {better} | {} |", c.key, c.unit, cell(c.doc));
    }
    out.push_str("\n## Keys of a scenario\n\n");
    out.push_str(&super::keys::table(&super::schema::of(SchemaKind::Scenario)));
    out.push_str(
        "\n## Trace formats\n\n| format | what | written by `trace convert` |\n| --- | --- | --- |\n",
    );
    for f in workload::formats() {
        let _ =
            writeln!(out, "| `{}` | {} | {} |", f.name, cell(f.about), if f.writable { "yes" } else { "no" });
    }
    out
}

/// A verb, its flags, and the verbs below it.
fn verb(out: &mut String, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    if command.has_subcommands() {
        for sub in command.get_subcommands() {
            verb(out, sub, &name);
        }
        return;
    }
    let positionals: Vec<String> = command.get_positionals().map(positional).collect();
    let _ = writeln!(out, "\n### `{}`\n\n{about}.\n", [vec![name], positionals].concat().join(" "));
    let shown =
        |a: &&Arg| !a.is_hide_set() && !a.is_global_set() && a.get_id() != "help" && a.get_id() != "version";
    let mut rows = String::new();
    for arg in command.get_arguments().filter(shown) {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(rows, "| `{}` | {}{} |", flag(arg), cell(&help), extras(arg));
    }
    if !rows.is_empty() {
        let _ = write!(out, "| flag | what |\n| --- | --- |\n{rows}");
    }
}

fn positional(arg: &Arg) -> String {
    let name = value_name(arg);
    if arg.is_required_set() { format!("<{name}>") } else { format!("[{name}]") }
}

fn value_name(arg: &Arg) -> String {
    arg.get_value_names()
        .and_then(|n| n.first())
        .map_or_else(|| arg.get_id().to_string(), ToString::to_string)
}

fn flag(arg: &Arg) -> String {
    let Some(long) = arg.get_long() else { return value_name(arg) };
    let takes_value = arg.get_action().takes_values();
    if takes_value { format!("--{long} {}", value_name(arg)) } else { format!("--{long}") }
}

/// Possible values and the default.
fn extras(arg: &Arg) -> String {
    let mut extras = String::new();
    if arg.get_action().takes_values() {
        let values: Vec<String> =
            arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
        if !values.is_empty() {
            let _ = write!(extras, ": {}", values.join(", "));
        }
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
        if !defaults.is_empty() {
            let _ = write!(extras, " (default `{}`)", defaults.join(", "));
        }
    }
    extras
}

/// Text that stays inside its table cell.
pub(super) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
