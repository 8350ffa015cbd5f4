//! `explain step`: what one step costs, part by part, beside the bound of the datasheet.

use crate::catalog::{self, Shelf};
use crate::cost::{
    Arithmetic, Chunk, CostSpec, Datasheet, DecodeShape, EngineProfile, KvPrecision, Precision, Roofline,
    StepCost, StepShape,
};
use crate::diagnostic::{InputError, InputErrors};
use crate::hardware::{Accelerator, Host};
use crate::model::Model;
use crate::scenario::topology;
use crate::units::Seconds;

use super::context::{Context, emit};
use super::explain_args::ExplainStepArgs;
use super::list::table;
use super::{Outcome, exit};

pub(super) fn step(args: &ExplainStepArgs, context: &Context) -> Outcome {
    let mut errors = InputErrors::default();
    let accelerator =
        errors.note(load(Shelf::Accelerators, "--accelerator", &args.accelerator, Accelerator::load));
    let model = errors.note(load(Shelf::Models, "--model", &args.model, Model::load));
    let chunks = errors.note(chunks(&args.prefill));
    if args.decode == 0 && args.prefill.is_empty() {
        let help = "add `--decode 64 --context 1000`, or `--prefill 512`";
        errors.0.push(InputError::named("--prefill, --decode", "the step is empty", help));
    }
    let weights = errors.note(format_named("--weights", &args.weights, &Precision::ALL, Precision::name));
    let kv = errors.note(format_named("--kv", &args.kv, &KvPrecision::ALL, KvPrecision::name));
    let (Some(accelerator), Some(model), Some(chunks)) = (accelerator, model, chunks) else {
        return Err(errors.into());
    };
    let (Some(weights), Some(kv)) = (weights, kv) else { return Err(errors.into()) };
    let choice = Choice { engine: args.engine.as_deref(), node: args.node.as_deref() };
    let spec = errors.note(build(accelerator, model, choice, (args.tp, args.pp)));
    let Some(mut spec) = spec else { return Err(errors.into()) };
    (spec.weights, spec.kv) = (weights, kv);
    // As served: a sliding window that no context of this step reaches changes nothing.
    let contexts = chunks.iter().map(|c| c.tokens + c.past).chain([args.context]);
    spec.model.max_model_len = contexts.max().unwrap_or(1);
    errors.note(spec.check().map_err(as_flags));
    errors.or(())?;
    let decode =
        DecodeShape { n: args.decode, padding: 0, context: u64::from(args.decode) * u64::from(args.context) };
    let shape = StepShape { chunks: &chunks, decode };
    let (roofline, datasheet) = (Roofline::new(&spec)?, Datasheet::new(&spec)?);
    let mut out = heading(&spec, &shape);
    out.push_str(&engine_line(&spec, args.engine.is_none()));
    for stage in 0..roofline.stages() {
        if roofline.stages() > 1 {
            out.push_str(&format!("\nstage {stage}\n"));
        }
        out.push_str(&parts(&spec, &roofline, &datasheet, stage, &shape, context.width()));
    }
    emit(out.as_bytes())?;
    Ok(exit::DONE)
}

/// What the flags say of engine and node; none: the accelerator's default, as a scenario takes it.
#[derive(Clone, Copy)]
pub(super) struct Choice<'a> {
    pub(super) engine: Option<&'a str>,
    pub(super) node: Option<&'a str>,
}

/// One replica of `ranks` (tensor-parallel, pipeline) as a scenario would build it.
pub(super) fn build(
    accelerator: Accelerator,
    model: Model,
    choice: Choice<'_>,
    ranks: (u32, u8),
) -> Result<CostSpec, InputErrors> {
    let mut errors = InputErrors::default();
    let engine = choice.engine.unwrap_or(&accelerator.default_engine);
    let engine = errors.note(load(Shelf::Engines, "--engine", engine, EngineProfile::load));
    let node = choice.node.map(|name| load(Shelf::Hosts, "--node", name, Host::load));
    let node = errors.note(node.unwrap_or_else(|| Ok(accelerator.host.clone())));
    let (Some(engine), Some(node)) = (engine, node) else { return Err(errors) };
    let mut spec = CostSpec::new(accelerator, model, engine);
    (spec.tensor_parallel, spec.pipeline) = ranks;
    topology::place(&mut spec, node, None);
    Ok(spec)
}

/// Which engine it is and why, and which others there are: it decides more than any other choice.
pub(super) fn engine_line(spec: &CostSpec, default: bool) -> String {
    let why = if default {
        format!("the default of {}, as in a scenario that names none", spec.accelerator.name)
    } else {
        "as asked for".to_owned()
    };
    let others: Vec<&str> = catalog::embedded_names(Shelf::Engines)
        .into_iter()
        .filter(|name| *name != spec.engine.name)
        .filter(|name| EngineProfile::load(name, None).is_ok_and(|e| e.for_simulation().is_ok()))
        .collect();
    format!("engine {} is {why}; others: {}\n", spec.engine.name, others.join(", "))
}

/// Loads a data file that a flag names.
pub(super) fn load<T>(
    shelf: Shelf,
    flag: &str,
    name: &str,
    read: impl Fn(&str, Option<&std::path::Path>) -> Result<T, InputErrors>,
) -> Result<T, InputErrors> {
    catalog::find(shelf, name, None).map_err(|e| InputError::named(flag, e.message, e.help))?;
    read(name, None)
}

/// The number format that a flag names.
fn format_named<T: Copy>(
    flag: &str,
    text: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, InputError> {
    let names: Vec<&str> = all.iter().map(|&format| name(format)).collect();
    all.iter().copied().find(|&format| name(format) == text).ok_or_else(|| {
        let help = format!("known: {}", names.join(", "));
        InputError::named(format!("{flag} {text}"), "is not a number format", help)
    })
}

/// Problems of the spec, named by the flags of this command.
pub(super) fn as_flags(errors: InputErrors) -> InputErrors {
    let flag = |e: InputError| {
        let place = match e.place.as_deref() {
            Some("model") => "--model".to_owned(),
            Some("parallel.tp") => "--tp".to_owned(),
            Some("parallel.pp") => "--pp".to_owned(),
            Some("precision.weights") => "--weights".to_owned(),
            other => other.unwrap_or("step").to_owned(),
        };
        InputError { place: Some(place), ..e }
    };
    InputErrors(errors.0.into_iter().map(flag).collect())
}

/// `512+1536`: 512 tokens after 1536 whose KV exists.
/// Longest chunk and longest past: no model has a context beyond it.
const LONGEST: u32 = 1_000_000;

fn chunks(texts: &[String]) -> Result<Vec<Chunk>, InputErrors> {
    let mut errors = InputErrors::default();
    let mut chunks = Vec::new();
    for text in texts {
        let (tokens, past) = text.split_once('+').unwrap_or((text, "0"));
        match (tokens.trim().parse::<u32>(), past.trim().parse::<u32>()) {
            (Ok(tokens), Ok(past)) if tokens > 0 && tokens <= LONGEST && past <= LONGEST => {
                chunks.push(Chunk { tokens, past });
            }
            _ => errors.0.push(InputError::named(
                format!("--prefill {text}"),
                format!("is not a prompt chunk of at most {LONGEST} tokens"),
                "write TOKENS or TOKENS+PAST, such as `512` or `512+1536`",
            )),
        }
    }
    errors.or(chunks)
}

/// Number formats, where they are not the usual ones.
fn formats(spec: &CostSpec) -> String {
    if spec.weights == Precision::default() && spec.kv == KvPrecision::default() {
        return String::new();
    }
    format!(" ({} weights, {} KV)", spec.weights.name(), spec.kv.name())
}

fn heading(spec: &CostSpec, shape: &StepShape<'_>) -> String {
    let chunks: Vec<String> = shape.chunks.iter().map(|c| format!("{}+{}", c.tokens, c.past)).collect();
    let prefill =
        if chunks.is_empty() { "no prefill".to_owned() } else { format!("prefill {}", chunks.join(" ")) };
    format!(
        "{}{} on {} x {} (tp {}, pp {}), engine {}, node {}\n{prefill}, {} decoding sequences with {} tokens of context in all\n",
        spec.model.name,
        formats(spec),
        u32::from(spec.pipeline) * spec.tensor_parallel,
        spec.accelerator.name,
        spec.tensor_parallel,
        spec.pipeline,
        spec.engine.name,
        spec.accelerator.host.name,
        shape.decode.n,
        shape.decode.context,
    )
}

fn parts(
    spec: &CostSpec,
    roofline: &Roofline,
    datasheet: &Datasheet,
    stage: u8,
    shape: &StepShape<'_>,
    width: usize,
) -> String {
    let exact = roofline.exact(stage, shape);
    let total = exact.total().0;
    let (compute, memory) = datasheet.terms(stage, shape);
    let bound = datasheet.step(stage, shape).total();
    let accelerator = format!("hardware/accelerators/{}.toml", spec.accelerator.name);
    let engine = format!("scenarios/engines/{}.toml", spec.engine.name);
    let row = |part: &str, value: Seconds, from: String| {
        let share = if total > 0.0 { 100.0 * value.0 / total } else { 0.0 };
        vec![part.to_owned(), format!("{:.3} ms", value.0 * 1e3), format!("{share:.1} %"), from]
    };
    let step = roofline.step(stage, shape).total();
    let gemm = if spec.weights.is_half() { "bf16" } else { spec.weights.name() };
    let mut rows = vec![
        row("linear layers", exact.linear, format!("{accelerator} [fit.{gemm}], [fit.elementwise]")),
        row("attention", exact.attention, format!("{accelerator} [fit.attention]")),
        row("all-reduce", exact.all_reduce, format!("hardware/links: {}", spec.tensor_link().title)),
        row("lm_head", exact.lm_head, format!("{accelerator} [fit.bf16]")),
        row("sampler", exact.sampler, format!("{engine} [sampler]")),
        row("host", exact.host, format!("{engine} [overhead], [graphs]")),
        row("step", exact.total(), format!("= {step} in a run, rounded to picoseconds")),
    ];
    let peaks = match spec.weights.arithmetic() {
        Arithmetic::Half => "bf16",
        Arithmetic::Fp8 => "fp8, bf16",
        Arithmetic::Int8 => "int8, bf16",
        Arithmetic::Fp4 => "fp4, bf16",
    };
    let bound_s = Seconds(bound.as_secs_f64());
    rows.push(row("datasheet: compute", compute, format!("{accelerator} [datasheet] {peaks}")));
    rows.push(row("datasheet: memory", memory, format!("{accelerator} [datasheet] bandwidth")));
    rows.push(row("datasheet bound", bound_s, "no step is faster than this".to_owned()));
    table(&["part", "time", "of the step", "from"], rows, width)
}
