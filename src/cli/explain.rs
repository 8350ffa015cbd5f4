//! `explain scenario`: every value and where it came from.

use crate::scenario::{Axis, Setting, StudyPlan, Target};

use super::context::{Context, emit};
use super::explain_args::ExplainScenarioArgs;
use super::list::table;
use super::run::flags;
use super::{Outcome, exit};

pub(super) fn scenario(args: &ExplainScenarioArgs, context: &Context) -> Outcome {
    let plan = StudyPlan::resolve(&Target::parse(&args.scenario), &flags(&args.changes))?;
    for warning in &plan.warnings {
        context.say(&format!("warning: {warning}"));
    }
    let mut out = format!("{}: {}\n", plan.name, plan.title);
    out.push_str(&format!("{}\n\n", size(&plan)));
    out.push_str(&settings(&plan.settings, context.width()));
    for (i, system) in plan.systems.iter().enumerate() {
        let mark = if i == plan.reference { " (reference)" } else { "" };
        let oracle = if system.oracle { " (oracle: uses true output lengths)" } else { "" };
        out.push_str(&format!("\n{}{mark}{oracle}\n", system.name));
        if let Some(paper) = &system.paper {
            out.push_str(&format!(" {} ({}, {}; row {})\n", paper.title, paper.venue, paper.url, paper.row));
        }
        if let Some(note) = &system.options.note {
            out.push_str(&format!(" {note}\n"));
        }
        out.push_str(&settings(&system.settings, context.width()));
    }
    emit(out.as_bytes())?;
    Ok(exit::DONE)
}

/// How much there is to run.
fn size(plan: &StudyPlan) -> String {
    let axis = match &plan.axis {
        Axis::Natural => "natural rate".to_owned(),
        Axis::Rates(rates) => format!("{} rates", rates.len()),
        Axis::Loads(loads) => {
            format!("{} loads of the capacity of `{}`", loads.len(), plan.systems[plan.reference].name)
        }
    };
    let runs = plan.runs().len();
    format!(
        "{runs} runs: {} systems × {axis} × {} seeds; {}",
        plan.systems.len(),
        plan.seeds,
        plan.workload.describe()
    )
}

fn settings(settings: &[Setting], width: usize) -> String {
    let rows = settings.iter().map(|s| vec![s.path.clone(), s.value.clone(), s.origin.clone()]).collect();
    table(&["key", "value", "from"], rows, width)
}
