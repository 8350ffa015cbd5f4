//! The fitted model as canonical integers.
//!
//! Each term of [`Terms`] is rounded to picoseconds once; everything after that is integer arithmetic, so that a line
//! in Σ context is exact and its ends are found by integer division.

use crate::diagnostic::InputErrors;
use crate::units::{Seconds, SimDuration};

use super::datasheet::Datasheet;
use super::memo::Memo;
use super::spec::{ACTIVATION_BYTES, CostSpec};
use super::terms::Terms;
use super::{DecodeShape, HostMode, MixedAttention, Segment, StepCost, StepPower, StepShape, StepTime};

/// Tokens per step below which linear work is remembered; larger steps are computed each time.
const MEMO_TOKENS: usize = 8_193;

/// Sequences per step below which lm_head is remembered.
const MEMO_SEQUENCES: usize = 2_049;

/// Context sums at which a segment without another end stops, so that `step` cannot overflow inside it.
pub(crate) const CONTEXT_END: u64 = 1 << 36;

/// The fitted model of one replica: efficiencies, host time, graphs, collectives.
#[derive(Debug)]
pub struct Roofline {
    stages: Vec<Stage>,
    graphs: Option<GraphTable>,
    host: HostMode,
    o0: f64,
    o1: f64,
    o2: f64,
    mixed_percent: u64,
    hop_latency: f64,
    hop_per_token: f64,
    swap_block: u64,
    /// What no step may beat (I5).
    datasheet: Datasheet,
    power: StepPower,
}

#[derive(Debug)]
struct Stage {
    terms: Terms,
    linear: Memo,
    reduce: Memo,
    head: Memo,
    sampler: Memo,
    gather: Memo,
    /// Decode attention without its context, by sequences.
    decode: Memo,
    /// Host time after a step without prompts, or behind it, by sequences.
    host: Memo,
    /// ps per token of context, at least 1.
    slope: u64,
    /// The engine's floor on this stage, ps.
    floor: u64,
    /// The floor of a step that is launched kernel by kernel, ps.
    eager_floor: u64,
    /// Host time is charged here.
    first: bool,
}

impl Stage {
    /// Decode attention of `n` sequences without their context, in ps.
    fn decode_base(&self, n: u32) -> u64 {
        self.decode.get(n, || ps(self.terms.decode_base(n)))
    }
}

/// Next captured size of each batch.
#[derive(Debug)]
struct GraphTable {
    padded: Box<[u32]>,
}

impl GraphTable {
    fn new(sizes: &[u32]) -> Self {
        let mut padded = vec![0];
        for &size in sizes {
            padded.resize(size as usize + 1, size);
        }
        GraphTable { padded: padded.into() }
    }

    /// The captured size that holds `m`, if any does.
    fn pad(&self, m: u32) -> Option<u32> {
        self.padded.get(m as usize).copied()
    }
}

/// A step of one stage before Σ context enters: what it costs whatever the context, in ps.
struct Fixed {
    linear: u64,
    link: u64,
    /// The shortest that accelerator and overlapped host allow.
    floor: u64,
    /// Host time after the accelerator.
    serial: u64,
}

/// A step in real seconds by term, before any rounding: for tests and for `explain`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ExactStep {
    /// GEMMs of the layers and element-wise operators.
    pub linear: Seconds,
    /// Attention.
    pub attention: Seconds,
    /// All-reduces of the layers.
    pub all_reduce: Seconds,
    /// Output projection.
    pub lm_head: Seconds,
    /// Sampler and its all-gather.
    pub sampler: Seconds,
    /// What floor and host add.
    pub host: Seconds,
}

impl ExactStep {
    /// Time on the accelerator and its links.
    pub fn gpu(&self) -> Seconds {
        Seconds(self.linear.0 + self.attention.0 + self.all_reduce.0 + self.lm_head.0 + self.sampler.0)
    }

    /// The whole step.
    pub fn total(&self) -> Seconds {
        Seconds(self.gpu().0 + self.host.0)
    }
}

/// The one place where a term becomes an integer.
pub(crate) fn ps(seconds: Seconds) -> u64 {
    SimDuration::from_seconds(seconds).as_ps()
}

/// Tokens and sequences of a step.
#[derive(Clone, Copy)]
struct Size {
    tokens: u32,
    prompt: u32,
    sequences: u32,
}

impl Size {
    fn of(shape: &StepShape<'_>) -> Size {
        let prompt = shape.chunks.iter().map(|c| c.tokens).sum::<u32>();
        let decode = shape.decode.n + shape.decode.padding;
        let chunks = u32::try_from(shape.chunks.len()).unwrap_or(u32::MAX);
        Size { tokens: prompt + decode, prompt, sequences: chunks + decode }
    }
}

impl Roofline {
    /// Builds the model of one replica; takes well below a millisecond.
    pub fn new(spec: &CostSpec) -> Result<Roofline, InputErrors> {
        spec.check()?;
        let overhead = &spec.engine.overhead;
        let graphs = spec.engine.graphs.as_ref().filter(|_| spec.overrides.graphs);
        let launch = graphs.map_or(0.0, |g| f64::from(g.kernels_per_layer) * g.launch.0);
        let model_layers = f64::from(spec.model.layers);
        let floor = overhead.floor.0 * floor_scale(spec);
        let layers = spec.stage_layers();
        let stages = layers.iter().enumerate().map(|(i, &layers_here)| {
            let last = i + 1 == layers.len();
            let terms = Terms::new(spec, layers_here, last);
            Stage {
                linear: Memo::new(MEMO_TOKENS),
                reduce: Memo::new(if terms.shard.tp > 1.0 { MEMO_TOKENS } else { 0 }),
                head: Memo::new(if last { MEMO_SEQUENCES } else { 0 }),
                sampler: Memo::new(if last { MEMO_SEQUENCES } else { 0 }),
                gather: Memo::new(if terms.shard.tp > 1.0 { MEMO_SEQUENCES } else { 0 }),
                decode: Memo::new(MEMO_SEQUENCES),
                host: Memo::new(if i == 0 { MEMO_SEQUENCES } else { 0 }),
                slope: ps(terms.kv(1.0)).max(1),
                floor: ps(Seconds(floor * f64::from(layers_here) / model_layers)),
                eager_floor: ps(Seconds(launch * f64::from(layers_here))),
                first: i == 0,
                terms,
            }
        });
        let (link, hops) = (spec.stage_link(), spec.pipeline > 1);
        let activation = f64::from(spec.model.hidden) * ACTIVATION_BYTES;
        Ok(Roofline {
            datasheet: Datasheet::new(spec)?,
            power: StepPower::of(spec),
            stages: stages.collect(),
            graphs: graphs.map(|g| GraphTable::new(&g.sizes)),
            host: spec.engine.host,
            o0: overhead.o0.0,
            o1: overhead.o1.0,
            o2: overhead.o2.0,
            mixed_percent: spec
                .overrides
                .mixed_attention
                .and_then(MixedAttention::percent)
                .map_or(100, u64::from),
            hop_latency: if hops { link.latency.0 } else { 0.0 },
            hop_per_token: if hops { activation / link.bandwidth.0 } else { 0.0 },
            swap_block: ps(spec.block_bytes() / spec.host_bandwidth()).max(1),
        })
    }

    /// The same step in real seconds, term by term.
    pub fn exact(&self, stage: u8, shape: &StepShape<'_>) -> ExactStep {
        let s = &self.stages[usize::from(stage)];
        let (size, t) = (Size::of(shape), &s.terms);
        let (m, logits, eager) = self.padded(size);
        let attention = match (shape.chunks.is_empty(), shape.decode.n) {
            (true, _) => t.decode_base(shape.decode.n).0 + s.terms.kv(shape.decode.context as f64).0,
            (false, 0) => t.prefill(shape.chunks).0,
            (false, n) => {
                let added =
                    t.prefill(shape.chunks).0 + t.decode_base(n).0 + t.kv(shape.decode.context as f64).0;
                t.mixed(shape.chunks, &shape.decode).map_or(added, |one| one.0) * self.mixed_percent as f64
                    / 100.0
            }
        };
        let mut exact = ExactStep {
            linear: t.linear(m),
            attention: Seconds(attention),
            all_reduce: t.reduce(m),
            lm_head: t.lm_head(logits),
            sampler: Seconds(t.sampler(size.sequences).0 + t.gather(size.sequences).0),
            host: Seconds(0.0),
        };
        let (overlapped, serial) = self.host_time(s, size);
        let eager_floor = if eager { s.eager_floor } else { 0 };
        let floor = (s.floor.max(eager_floor) as f64 / 1e12).max(overlapped.0);
        let gpu = exact.gpu().0;
        exact.host = Seconds(gpu.max(floor) - gpu + serial.0);
        exact
    }

    /// Tokens of linear parts, logits, and whether the step is launched kernel by kernel.
    fn padded(&self, size: Size) -> (u32, u32, bool) {
        let (m, logits) = (size.tokens.max(1), size.sequences.max(1));
        match &self.graphs {
            None => (m, logits, false),
            Some(graphs) => match graphs.pad(m) {
                Some(captured) => (captured, graphs.pad(logits).unwrap_or(logits), false),
                None => (m, logits, true),
            },
        }
    }

    /// The same in ps.
    fn host_ps(&self, stage: &Stage, size: Size) -> (u64, u64) {
        let time = || {
            let (overlapped, serial) = self.host_time(stage, size);
            ps(overlapped) + ps(serial)
        };
        // One of the two is always zero; prompts matter only behind the accelerator.
        match self.host {
            HostMode::Serial => (0, stage.host.get(size.sequences, time)),
            HostMode::Overlapped if size.prompt == 0 || self.o2 <= 0.0 => {
                (stage.host.get(size.sequences, time), 0)
            }
            HostMode::Overlapped => (time(), 0),
        }
    }

    /// Host time of a step on `stage`: hidden behind the accelerator, and after it.
    fn host_time(&self, stage: &Stage, size: Size) -> (Seconds, Seconds) {
        if !stage.first {
            return (Seconds(0.0), Seconds(0.0));
        }
        let host = self.o0 + self.o1 * f64::from(size.sequences);
        match self.host {
            HostMode::Serial => (Seconds(0.0), Seconds(host)),
            HostMode::Overlapped => (Seconds(host + self.o2 * f64::from(size.prompt)), Seconds(0.0)),
        }
    }

    fn fixed(&self, s: &Stage, size: Size) -> Fixed {
        let (m, logits, eager) = self.padded(size);
        let mut linear = s.linear.get(m, || ps(s.terms.linear(m)));
        let mut link = 0;
        if s.terms.shard.tp > 1.0 {
            link = s.reduce.get(m, || ps(s.terms.reduce(m)))
                + s.gather.get(size.sequences, || ps(s.terms.gather(size.sequences)));
        }
        if s.terms.shard.last {
            linear += s.head.get(logits, || ps(s.terms.lm_head(logits)))
                + s.sampler.get(size.sequences, || ps(s.terms.sampler(size.sequences)));
        }
        let (overlapped, serial) = self.host_ps(s, size);
        let eager_floor = if eager { s.eager_floor } else { 0 };
        Fixed { linear, link, floor: s.floor.max(eager_floor).max(overlapped), serial }
    }

    /// Attention of any step, in ps.
    fn attention(&self, s: &Stage, shape: &StepShape<'_>) -> u64 {
        let decode = &shape.decode;
        let alone = s.decode_base(decode.n) + s.slope * decode.context;
        if shape.chunks.is_empty() {
            return alone;
        }
        if decode.n == 0 {
            return ps(s.terms.prefill(shape.chunks));
        }
        let mixed = match s.terms.mixed(shape.chunks, decode) {
            Some(one_kernel) => ps(one_kernel),
            None => ps(s.terms.prefill(shape.chunks)) + alone,
        };
        mixed * self.mixed_percent / 100
    }
}

/// Layers of the model relative to those the engine's floor was seen on.
fn floor_scale(spec: &CostSpec) -> f64 {
    let layers = spec.model.layers;
    spec.engine
        .overhead
        .floor_layers
        .map_or(1.0, |[low, high]| f64::from(layers) / f64::from(layers.clamp(low, high)))
}

impl StepCost for Roofline {
    fn power(&self) -> Option<StepPower> {
        Some(self.power)
    }

    fn bound(&self, stage: u8, shape: &StepShape<'_>) -> SimDuration {
        let (compute, memory) = self.datasheet.terms(stage, shape);
        SimDuration::from_seconds(Seconds(compute.0.max(memory.0)))
    }

    fn stages(&self) -> u8 {
        u8::try_from(self.stages.len()).unwrap_or(u8::MAX)
    }

    fn step(&self, stage: u8, shape: &StepShape<'_>) -> StepTime {
        let s = &self.stages[usize::from(stage)];
        let fixed = self.fixed(s, Size::of(shape));
        let attention = self.attention(s, shape);
        let gpu = fixed.linear + fixed.link + attention;
        StepTime {
            linear: SimDuration::from_ps(fixed.linear),
            attention: SimDuration::from_ps(attention),
            link: SimDuration::from_ps(fixed.link),
            host: SimDuration::from_ps(fixed.floor.saturating_sub(gpu) + fixed.serial),
        }
    }

    fn decode_segment(&self, stage: u8, shape: &DecodeShape) -> Segment {
        let s = &self.stages[usize::from(stage)];
        let fixed = self.fixed(s, Size::of(&StepShape { chunks: &[], decode: *shape }));
        let gpu = fixed.linear + fixed.link + s.decode_base(shape.n);
        // The line is `gpu + slope * S` from the smallest S that reaches the floor, and flat up to the largest
        // that does not exceed it.
        let free = gpu + s.slope * shape.context >= fixed.floor;
        let (total, total_slope, until) = if free {
            (gpu + fixed.serial, s.slope, CONTEXT_END.max(shape.context))
        } else {
            (fixed.floor + fixed.serial, 0, (fixed.floor - gpu) / s.slope)
        };
        Segment { total, total_slope, gpu, gpu_slope: s.slope, linear: fixed.linear, link: fixed.link, until }
    }

    fn hop(&self, tokens: u32) -> SimDuration {
        SimDuration::from_seconds(Seconds(self.hop_latency + self.hop_per_token * f64::from(tokens)))
    }

    fn token_return(&self) -> SimDuration {
        SimDuration::from_seconds(Seconds(self.hop_latency))
    }

    fn swap(&self, blocks: u32) -> SimDuration {
        SimDuration::from_ps(self.swap_block) * u64::from(blocks)
    }
}
