//! `explain system`: every choice of a preset, axis by axis, where it came from, and what it leaves out.

use crate::diagnostic::{InputError, InputErrors};
use crate::scenario::{Flags, StudyPlan, SystemPlan, Target, choices};

use super::context::{Context, emit};
use super::explain_args::ExplainSystemArgs;
use super::list::table;
use super::{Outcome, exit};

/// Flags that this command adds; a problem in one of them is a problem of the name.
const OWN_FLAG: &str = "--set systems.";

pub(super) fn system(args: &ExplainSystemArgs, context: &Context) -> Outcome {
    let name = &args.name;
    let target = match &args.scenario {
        Some(scenario) => Target::parse(scenario),
        None => Target::Text("reference-deployment.toml", include_str!("reference_deployment.toml")),
    };
    let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    let sets = vec![format!("systems.reference={quoted}"), format!("systems.compare=[{quoted}]")];
    let plan = StudyPlan::resolve(&target, &Flags { sets, seeds: None }).map_err(|e| as_name(e, name))?;
    let mut out = String::new();
    for system in &plan.systems {
        out.push_str(&heading(system));
        let rows = choices(system).into_iter().map(|c| vec![c.axis.to_owned(), c.value, c.from]).collect();
        out.push_str(&table(&["axis", "choice", "from"], rows, context.width()));
    }
    emit(out.as_bytes())?;
    Ok(exit::DONE)
}

/// An unknown name stands on the command line, not in a flag that the user never wrote.
fn as_name(errors: InputErrors, name: &str) -> InputErrors {
    let ours = |e: &InputError| e.source.as_ref().is_some_and(|s| s.name.starts_with(OWN_FLAG));
    let placed = |e: InputError| if ours(&e) { InputError::named(name, e.message, e.help) } else { e };
    InputErrors(errors.0.into_iter().map(placed).collect())
}

fn heading(system: &SystemPlan) -> String {
    let mut out = format!("{}\n", system.name);
    match &system.paper {
        Some(p) => {
            out.push_str(&format!("paper     {} ({}), {}, row {}\n", p.title, p.venue, p.url, p.row));
        }
        None => out.push_str("paper     none\n"),
    }
    if let Some(note) = &system.options.note {
        out.push_str(&format!("left out  {note}\n"));
    }
    if system.oracle {
        out.push_str("oracle    uses true output lengths, which no real system knows\n");
    }
    out.push('\n');
    out
}
