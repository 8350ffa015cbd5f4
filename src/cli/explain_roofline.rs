//! `explain roofline`: operators of prefill and decode as tables and as a plot.

use std::path::Path;

use crate::catalog::Shelf;
use crate::cost::CostSpec;
use crate::diagnostic::{InputError, InputErrors};
use crate::hardware::Accelerator;
use crate::model::Model;
use crate::report::plot::{Layout, Picture};
use crate::report::roofline::{self, Operator, Step};

use super::context::{Context, emit};
use super::explain_args::ExplainRooflineArgs;
use super::explain_step::{Choice, as_flags, build, engine_line, load};
use super::list::table;
use super::output::write_bytes;
use super::{Outcome, exit};

/// Decoding sequences of the steps that are shown.
const BATCHES: [u32; 4] = [1, 8, 64, 256];

pub(super) fn roofline(args: &ExplainRooflineArgs, context: &Context) -> Outcome {
    if let Some(path) = &args.output {
        check_name(path)?;
    }
    let mut errors = InputErrors::default();
    let accelerator =
        errors.note(load(Shelf::Accelerators, "--accelerator", &args.accelerator, Accelerator::load));
    let model = errors.note(load(Shelf::Models, "--model", &args.model, Model::load));
    let (Some(accelerator), Some(model)) = (accelerator, model) else { return Err(errors.into()) };
    let choice = Choice { engine: args.engine.as_deref(), node: args.node.as_deref() };
    let mut spec = build(accelerator, model, choice, (args.tp, 1))?;
    // As served: a sliding window that no context of these steps reaches changes nothing.
    spec.model.max_model_len = args.context.max(args.prompt);
    spec.check().map_err(as_flags)?;
    let steps = roofline::steps(&spec, args.prompt, args.context, &BATCHES)?;
    let chart = roofline::chart(&spec, &steps);
    let mut out = format!("{}\n{}", chart.title, engine_line(&spec, args.engine.is_none()));
    out.push_str(&ridge(&spec));
    for step in &steps.steps {
        out.push_str(&format!("\n{}, {}\n", step.name, time(step.seconds())));
        out.push_str(&rows(step, context.width()));
    }
    if let Some(path) = &args.output {
        write_bytes(path, chart.draw(Layout::File).as_bytes())?;
        context.say(&format!("wrote {}", path.display()));
    }
    emit(out.as_bytes())?;
    Ok(exit::DONE)
}

fn check_name(path: &Path) -> Result<(), InputError> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg")) {
        return Ok(());
    }
    let place = format!("--output {}", path.display());
    Err(InputError::named(place, "does not end in `.svg`", "name the file `roofline.svg`, for example"))
}

/// Where the roofs bend.
fn ridge(spec: &CostSpec) -> String {
    let acc = &spec.accelerator;
    let sheet = acc.datasheet.bf16.0 / acc.datasheet.bandwidth.0;
    let fitted = acc.basis.peak.0 * acc.gemm.ec / (acc.basis.bandwidth.0 * acc.gemm.eb);
    format!(
        "the roof bends at {sheet:.0} FLOP/byte by the datasheet, at {fitted:.0} by the fit of 16-bit GEMMs\n"
    )
}

fn time(seconds: f64) -> String {
    if seconds < 1e-3 { format!("{:.1} µs", seconds * 1e6) } else { format!("{:.3} ms", seconds * 1e3) }
}

fn rows(step: &Step, width: usize) -> String {
    let total = step.seconds();
    let some = |value: f64, unit: f64| {
        if value > 0.0 { format!("{:.3}", value / unit) } else { "–".to_owned() }
    };
    let row = |o: &Operator| {
        vec![
            o.name.to_owned(),
            some(o.flops, 1e9),
            some(o.bytes, 1e6),
            o.intensity().map_or_else(|| "–".to_owned(), |i| format!("{i:.1}")),
            o.rate().map_or_else(|| "–".to_owned(), |r| format!("{:.1}", r / 1e12)),
            time(o.seconds),
            format!("{:.1} %", 100.0 * o.seconds / total),
            o.bound.name().to_owned(),
        ]
    };
    let header = ["operator", "GFLOP", "MB", "FLOP/byte", "TFLOP/s", "time", "of the step", "bound"];
    table(&header, step.operators.iter().map(row).collect(), width)
}
