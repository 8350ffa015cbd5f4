//! `trace`: look at request traces, convert, cut and generate them.

use std::path::{Path, PathBuf};

use crate::catalog::{self, Shelf};
use crate::diagnostic::{InputError, nearest};
use crate::scenario::{Axis, Flags, StudyPlan, Target};
use crate::units::SimDuration;
use crate::workload::{
    ColumnMap, Converted, Failures, FormatInfo, OnBadRow, ReadOptions, Slice, TimeUnit, TracePass,
    WorkloadSpec, convert_trace, formats, slice_trace, write_trace,
};

use super::context::{Context, Error, emit};
use super::output::write_file;
use super::trace_args::{ConvertArgs, GenerateArgs, ReadArgs, SliceArgs, StatsArgs, TraceVerb};
use super::{Outcome, exit, trace_stats};

pub(super) fn trace(verb: &TraceVerb, context: &Context) -> Outcome {
    match verb {
        TraceVerb::Stats(args) => stats(args, context),
        TraceVerb::Convert(args) => convert(args, context),
        TraceVerb::Slice(args) => slice(args, context),
        TraceVerb::Generate(args) => generate(args, context),
    }
}

fn stats(args: &StatsArgs, context: &Context) -> Outcome {
    let options = options(&args.read)?;
    let passes: Result<Vec<TracePass>, _> = args.files.iter().map(|f| TracePass::read(f, &options)).collect();
    let passes = passes?;
    let against = args.against.as_deref().map(|f| TracePass::read(f, &options)).transpose()?;
    for report in passes.iter().chain(&against).map(TracePass::report) {
        skipped(report.rows_bad, report.first_bad.as_deref(), context);
    }
    let text = if args.json {
        trace_stats::json(&passes, against.as_ref())
    } else {
        trace_stats::text(&passes, against.as_ref(), context.width())
    };
    emit(text.as_bytes())?;
    Ok(exit::DONE)
}

fn convert(args: &ConvertArgs, context: &Context) -> Outcome {
    let options = options(&args.read)?;
    let format = output_format(args.format.as_deref())?;
    not_itself(&args.file, &args.out)?;
    let converted = write_file(&args.out, |out| Ok(convert_trace(&args.file, &options, format, out)?))?;
    told(&converted, &args.out, context);
    Ok(exit::DONE)
}

/// Refuses to write over the file that is read.
fn not_itself(file: &Path, out: &Path) -> Result<(), InputError> {
    let real = |path: &Path| path.canonicalize().ok();
    if real(file).is_none() || real(file) != real(out) {
        return Ok(());
    }
    let place = format!("--out {}", out.display());
    Err(InputError::named(place, "is the file that is read", "name another file"))
}

fn slice(args: &SliceArgs, context: &Context) -> Outcome {
    let options = options(&args.read)?;
    let rows = args.rows.as_deref().map(row_range).transpose()?;
    let (from, to) = (duration("--from", args.from.as_deref())?, duration("--to", args.to.as_deref())?);
    if let (Some(to), from) = (to, from.unwrap_or_default())
        && to <= from
    {
        let message = format!("`--to` ({to}) is not after `--from` ({from})");
        return Err(InputError::named("--to", message, "swap or widen them").into());
    }
    let slice = Slice { rows, from, to };
    not_itself(&args.file, &args.out)?;
    let cut = write_file(&args.out, |out| Ok(slice_trace(&args.file, &options, &slice, &args.class, out)?))?;
    told(&cut, &args.out, context);
    Ok(exit::DONE)
}

fn generate(args: &GenerateArgs, context: &Context) -> Outcome {
    let format = output_format(args.format.as_deref())?;
    let (mut spec, folder) = workload(&args.source, context)?;
    if spec.closed.is_some() {
        let message =
            format!("the workload of `{}` is a closed loop, which has no arrival times", args.source);
        return Err(InputError::named(
            &*args.source,
            message,
            "generate a recipe, or a scenario with arrivals",
        )
        .into());
    }
    spec.requests = args.requests.or(spec.requests);
    spec.duration = duration("--duration", args.duration.as_deref())?.or(spec.duration);
    if spec.recipe.is_some() && spec.requests.is_none() && spec.duration.is_none() && spec.slice.is_none() {
        let message = format!("the recipe `{}` has no end by itself", args.source);
        let help = "add `--requests 1000` or `--duration \"1 h\"`";
        return Err(InputError::named("--requests, --duration", message, help).into());
    }
    let prepared = spec.open(folder.as_deref())?.prepare(args.seed, None)?;
    write_file(&args.out, |out| {
        write_trace(format, &prepared.trace, out)?.map_err(|e| crate::workload::StreamError::Output(e).into())
    })?;
    let count = prepared.trace.len();
    let span = prepared.trace.span();
    context.say(&format!("{count} requests over {span} of {}, seed {}", prepared.report.source, args.seed));
    Ok(exit::DONE)
}

/// The workload that a recipe or a scenario names, and the folder where its paths start.
fn workload(source: &str, context: &Context) -> Result<(WorkloadSpec, Option<PathBuf>), Error> {
    let recipe = |name: &str| WorkloadSpec { recipe: Some(name.to_owned()), ..WorkloadSpec::default() };
    if catalog::embedded_names(Shelf::Recipes).contains(&source) {
        return Ok((recipe(source), None));
    }
    let path = Path::new(source);
    let is_recipe = std::fs::read_to_string(path).is_ok_and(|text| {
        let heads = |key: &str| text.lines().any(|l| l.trim_start_matches('[').trim_start().starts_with(key));
        !heads("workload") && (heads("twin") || heads("arrivals"))
    });
    if let Some(name) = path.file_stem().filter(|_| is_recipe) {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return Ok((recipe(&name.to_string_lossy()), Some(folder.to_owned())));
    }
    if let Target::Embedded(name) = Target::parse(source)
        && !catalog::embedded_names(Shelf::Scenarios).contains(&name.as_str())
    {
        let known = catalog::embedded_names(Shelf::Recipes);
        let help = match nearest(source, known.iter().copied()) {
            Some(best) => format!("did you mean `{best}`?"),
            None => "see `list workloads`, or give a scenario file".to_owned(),
        };
        let message = format!("there is no recipe and no scenario `{source}`");
        return Err(InputError::named(source, message, help).into());
    }
    let plan = StudyPlan::resolve(&Target::parse(source), &Flags { sets: Vec::new(), seeds: None })?;
    match &plan.axis {
        Axis::Natural => {}
        Axis::Rates(rates) if rates.len() == 1 => {}
        _ => context.say(
            "note: the rates or loads of the scenario belong to its runs; the trace has the natural rate",
        ),
    }
    Ok((plan.workload.spec.clone(), plan.workload.folder.clone()))
}

/// How files are read.
fn options(args: &ReadArgs) -> Result<ReadOptions, InputError> {
    if let Some(name) = &args.input_format {
        let readable: Vec<&str> = formats().filter(|f| f.readable).map(|f| f.name).collect();
        if !readable.contains(&name.as_str()) {
            let message = format!("`{name}` is no format that can be read");
            return Err(InputError::named(
                "--input-format",
                message,
                format!("known: {}", readable.join(", ")),
            ));
        }
        if args.columns.is_some() && name != "generic" {
            let message = format!("columns are for the format `generic`, but the format is `{name}`");
            return Err(InputError::named("--columns", message, "remove one of the two flags"));
        }
    }
    Ok(ReadOptions {
        format: args.input_format.clone(),
        columns: args.columns.as_deref().map(column_map).transpose()?,
        sort: args.sort,
        on_bad_row: if args.skip_bad_rows { OnBadRow::Skip } else { OnBadRow::Error },
        failures: if args.keep_failures { Failures::PrefillOnly } else { Failures::Drop },
    })
}

/// `arrival=t,unit=s,prompt=in,output=out` as a map.
fn column_map(text: &str) -> Result<ColumnMap, InputError> {
    const KEYS: [&str; 6] = ["arrival", "unit", "prompt", "output", "class", "session"];
    let fail = |message: String, help: &str| InputError::named("--columns", message, help);
    let mut values: [Option<String>; 6] = Default::default();
    for part in text.split(',') {
        let Some((key, value)) = part.split_once('=') else {
            let help = "write for example `--columns arrival=t,unit=s,prompt=in,output=out`";
            return Err(fail(format!("`{part}` is not KEY=COLUMN"), help));
        };
        let Some(at) = KEYS.iter().position(|k| *k == key.trim()) else {
            return Err(fail(format!("unknown key `{key}`"), &format!("known: {}", KEYS.join(", "))));
        };
        values[at] = Some(value.trim().to_owned());
    }
    let [arrival, unit, prompt, output, class, session] = values;
    let unit = match unit.as_deref() {
        None | Some("s") => TimeUnit::S,
        Some("ms") => TimeUnit::Ms,
        Some("us") => TimeUnit::Us,
        Some("ns") => TimeUnit::Ns,
        Some("datetime") => TimeUnit::Datetime,
        Some(other) => return Err(fail(format!("unknown unit `{other}`"), "known: s, ms, us, ns, datetime")),
    };
    let (Some(prompt), Some(output)) = (prompt, output) else {
        return Err(fail(format!("`{text}` does not say `prompt` and `output`"), "name both columns"));
    };
    Ok(ColumnMap { arrival, unit, prompt, output, class, session })
}

/// `A..B` as data rows from 0, the end excluded.
fn row_range(text: &str) -> Result<[u64; 2], InputError> {
    let number = |t: &str, default: u64| match t.trim() {
        "" => Some(default),
        t => t.replace('_', "").parse().ok(),
    };
    let range = text.split_once("..").and_then(|(a, b)| Some([number(a, 0)?, number(b, u64::MAX)?]));
    range.filter(|[a, b]| a < b).ok_or_else(|| {
        let message = format!("`{text}` is not a range of rows");
        InputError::named("--rows", message, "write `--rows 0..1000` (from 0, end excluded)")
    })
}

fn duration(flag: &str, text: Option<&str>) -> Result<Option<SimDuration>, InputError> {
    let parse = |t: &str| {
        t.parse().map_err(|e: crate::units::UnitError| {
            InputError::named(flag, e.problem, format!("write for example `{flag} \"9 h\"`"))
        })
    };
    text.map(parse).transpose()
}

/// The name of the wanted format in the registry; none: `generic`.
fn output_format(name: Option<&str>) -> Result<&'static str, InputError> {
    let name = name.unwrap_or("generic");
    let writable = || formats().filter(|f| f.writable);
    writable().find(|f| f.name == name).map(|f| f.name).ok_or_else(|| {
        let known: Vec<&str> = writable().map(|f: FormatInfo| f.name).collect();
        let message = format!("`{name}` is no format that can be written");
        InputError::named("--format", message, format!("can be written: {}", known.join(", ")))
    })
}

/// Says on stderr what was written and what was not.
fn told(converted: &Converted, target: &Path, context: &Context) {
    let r = &converted.report;
    skipped(r.rows_bad, r.first_bad.as_deref(), context);
    for lost in &converted.lost {
        context.say(&format!("warning: {lost} are not in the output: its format has no place for them"));
    }
    let left_out = [
        (r.rows_dropped, "failed"),
        (r.rows_bad, "could not be read"),
        (r.rows_outside_slice, "outside the slice"),
        (r.rows_filtered, "of other classes"),
    ];
    let left_out: Vec<String> =
        left_out.iter().filter(|(n, _)| *n > 0).map(|(n, why)| format!("{n} {why}")).collect();
    let left_out = if left_out.is_empty() { String::new() } else { format!(" ({})", left_out.join(", ")) };
    let target =
        if target.as_os_str() == "-" { "standard output".to_owned() } else { target.display().to_string() };
    context.say(&format!("{} of {} rows to {target}{left_out}", converted.rows_written, r.rows_read));
}

fn skipped(rows: u64, first: Option<&str>, context: &Context) {
    if rows > 0 {
        context.say(&format!("warning: {rows} rows were skipped; the first: {}", first.unwrap_or("")));
    }
}
