//! The backend `table`: measured step times, with the fitted model where nothing was measured.
//!
//! A decode step of `n` sequences is linear between the measured numbers of sequences, and, at fixed `n`, a chain of
//! straight lines in Σ context with breakpoints at `n * context node`. The nodes are rounded to picoseconds once and
//! slopes down to whole ps per token, so that lines and steps agree exactly; a node is met from above without error
//! and from below within one ps per token. Outside the measured range, for several chunks and for mixed steps, the
//! fitted model's ratio to the nearest measured step is applied:
//!
//! ```text
//! decode, n outside   V_j(n)   = T(n', c_j) * R(n, c_j)/R(n', c_j)                n' the nearest measured n
//! decode, S outside   the first line goes on below; above the last node R's slope * V/R
//! prefill             T(chunks) = T(m', p') * R(chunks)/R(one chunk m'+p')        m' tokens, p' mean past, nearest measured
//! mixed               T(mixed)  = R(mixed) * (T_prefill + T_decode)/(R_prefill + R_decode)
//! ```
//!
//! with `T` the table and `R` the fitted model, host time included. No step is shorter than the datasheet's.
//!
//! Left out: pipelines (a table of whole steps has no stages), and the split of a step into its parts, which follows
//! the fitted model (decode: what no context would cost is linear work).

use crate::diagnostic::{InputError, InputErrors};
use crate::units::{Seconds, SimDuration};

use super::roofline::{CONTEXT_END, ps};
use super::table_file::{Grid, StepTable};
use super::{
    Chunk, CostSpec, Datasheet, DecodeShape, Roofline, Segment, StepCost, StepPower, StepShape, StepTime,
};

/// A measured step may be this much shorter than the datasheet's before the table is refused (clocks above nominal).
const BOUND_SLACK: f64 = 0.98;

/// Measured step times of one replica.
#[derive(Debug)]
pub struct TableCost {
    table: StepTable,
    fitted: Roofline,
    datasheet: Datasheet,
}

/// A line in Σ context: value at 0, ps per token, and the last sum it holds for.
#[derive(Clone, Copy)]
struct Line {
    base: u64,
    slope: u64,
    until: u64,
}

impl Line {
    fn at(&self, context: u64) -> u64 {
        self.base + self.slope * context
    }

    /// The larger of two lines from `context` up to where they cross.
    fn upper(self, other: Line, context: u64) -> Line {
        let (above, below) =
            if self.at(context) >= other.at(context) { (self, other) } else { (other, self) };
        let crossing = match below.slope.checked_sub(above.slope) {
            Some(gain) if gain > 0 => (above.base - below.base) / gain,
            _ => u64::MAX,
        };
        Line { until: self.until.min(other.until).min(crossing), ..above }
    }
}

fn decode_shape(n: u32, context: u64) -> StepShape<'static> {
    StepShape { chunks: &[], decode: DecodeShape { n, padding: 0, context } }
}

impl TableCost {
    /// Step times of `table` for the replica of `spec`. Refuses what beats the datasheet and what has no stages.
    pub fn new(spec: &CostSpec, table: StepTable) -> Result<TableCost, InputErrors> {
        let (fitted, datasheet) = (Roofline::new(spec)?, Datasheet::new(spec)?);
        let mut errors = InputErrors::default();
        if spec.pipeline > 1 {
            let message = format!("a table of whole steps cannot be split over {} stages", spec.pipeline);
            errors.0.push(InputError::named(
                "parallel.pp",
                message,
                "use `backend = \"roofline\"`, or pp = 1",
            ));
        }
        if spec.tensor_parallel != table.tensor_parallel {
            let message = format!("{} holds steps of tp {}", table.name, table.tensor_parallel);
            errors.0.push(InputError::named("parallel.tp", message, "read the rows of this tp"));
        }
        let mut judge = |line: u64, what: String, seconds: f64, shape: &StepShape<'_>| {
            let (compute, memory) = datasheet.terms(0, shape);
            let bound = compute.0.max(memory.0);
            if seconds < BOUND_SLACK * bound {
                let message = format!(
                    "{:.1} us for {what} beats the datasheet, which allows {:.1} us at best",
                    seconds * 1e6,
                    bound * 1e6
                );
                let help = "check the unit, the accelerator, the model and the precision";
                errors.0.push(InputError::named(format!("{}:{line}:1", table.name), message, help));
            }
        };
        if spec.pipeline == 1 {
            each_node(&table.decode, |n, context, seconds, line| {
                let shape = decode_shape(n, u64::from(n) * u64::from(context));
                judge(line, format!("{n} sequences of {context} tokens"), seconds, &shape);
            });
            each_node(&table.prefill, |tokens, past, seconds, line| {
                let chunks = [Chunk { tokens, past }];
                let shape = StepShape { chunks: &chunks, decode: DecodeShape::default() };
                judge(line, format!("{tokens} prompt tokens after {past}"), seconds, &shape);
            });
        }
        errors.0.truncate(10);
        errors.or(TableCost { table, fitted, datasheet })
    }

    /// The measured range in words.
    pub fn hull(&self) -> String {
        self.table.hull()
    }

    /// The fitted model's step, s.
    fn model(&self, shape: &StepShape<'_>) -> f64 {
        self.fitted.exact(0, shape).total().0
    }

    /// `V_j(n)`: the time of `n` sequences at context node `j`, s.
    fn node(&self, n: u32, j: usize) -> f64 {
        let grid = &self.table.decode;
        let near = Grid::clamp(&grid.x, n);
        let measured = grid.along(near, j);
        if near == n {
            return measured;
        }
        let each = u64::from(grid.context[j]);
        let model = |n: u32| self.model(&decode_shape(n, u64::from(n) * each));
        measured * model(n) / model(near)
    }

    /// The piece from context node `j` on, whose time is `low`, in ps.
    fn piece(&self, n: u32, j: usize, low: u64) -> Line {
        let contexts = &self.table.decode.context;
        let place = |j: usize| u64::from(n) * u64::from(contexts[j]);
        let (slope, until) = if j + 1 < contexts.len() {
            let high = low.max(ps(Seconds(self.node(n, j + 1))));
            ((high - low) / (place(j + 1) - place(j)), place(j + 1) - 1)
        } else {
            (self.slope_beyond(n, place(j), low), CONTEXT_END)
        };
        // A line may not start below zero: a slope that steep is no property of decode, and is cut.
        let slope = slope.min(low / place(j).max(1));
        Line { base: low - slope * place(j), slope, until }
    }

    /// The line that holds at `context` for `n` sequences, and where the first one starts at no context, in ps.
    fn line(&self, n: u32, context: u64) -> (Line, u64) {
        let mut low = ps(Seconds(self.node(n, 0)));
        let mut line = self.piece(n, 0, low);
        let (first, mut j) = (line.base, 0);
        while line.until < context && j + 1 < self.table.decode.context.len() {
            j += 1;
            low = low.max(ps(Seconds(self.node(n, j))));
            line = self.piece(n, j, low);
        }
        (Line { until: line.until.max(context), ..line }, first)
    }

    /// The fitted model's slope beyond the last node, scaled as the last node is, in ps per token.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a slope is far below 2^52 ps"
    )]
    fn slope_beyond(&self, n: u32, context: u64, value: u64) -> u64 {
        let shape = decode_shape(n, context);
        let slope = self.fitted.decode_segment(0, &shape.decode).gpu_slope as f64;
        let scaled = slope * (value as f64 / 1e12) / self.model(&shape);
        (scaled as u64).max(1)
    }

    /// The line of a decode-only step, never below the datasheet, and its linear part.
    fn decode_line(&self, shape: &DecodeShape) -> (Line, u64) {
        let n = (shape.n + shape.padding).max(1);
        let (measured, first) = self.line(n, shape.context);
        let bound = self.datasheet.decode_segment(0, shape);
        let bound = Line { base: bound.total, slope: bound.total_slope, until: bound.until };
        (measured.upper(bound, shape.context), first)
    }

    /// Prefill alone, s.
    fn prefill(&self, chunks: &[Chunk]) -> f64 {
        let tokens: u64 = chunks.iter().map(|c| u64::from(c.tokens)).sum();
        let weighted: u64 = chunks.iter().map(|c| u64::from(c.tokens) * u64::from(c.past)).sum();
        let narrow = |v: u64| u32::try_from(v).unwrap_or(u32::MAX);
        let grid = &self.table.prefill;
        let near = Chunk {
            tokens: Grid::clamp(&grid.x, narrow(tokens)),
            past: Grid::clamp(&grid.context, narrow(weighted / tokens.max(1))),
        };
        let measured = grid.inside(near.tokens, near.past);
        if chunks == [near] {
            return measured;
        }
        let alone = |chunks| self.model(&StepShape { chunks, decode: DecodeShape::default() });
        measured * alone(chunks) / alone(&[near])
    }

    /// A step with prompt chunks, s.
    fn with_chunks(&self, shape: &StepShape<'_>) -> f64 {
        let prefill = self.prefill(shape.chunks);
        if shape.decode.n + shape.decode.padding == 0 {
            return prefill;
        }
        let decode_only = StepShape { chunks: &[], decode: shape.decode };
        let prefill_only = StepShape { chunks: shape.chunks, decode: DecodeShape::default() };
        let decode = self.step(0, &decode_only).total().as_secs_f64();
        let model = self.model(&prefill_only) + self.model(&decode_only);
        self.model(shape) * (prefill + decode) / model
    }
}

/// Calls `f` with (x, context, seconds, line) of every node.
fn each_node(grid: &Grid, mut f: impl FnMut(u32, u32, f64, u64)) {
    for (i, &x) in grid.x.iter().enumerate() {
        for (j, &context) in grid.context.iter().enumerate() {
            f(x, context, grid.at(i, j), grid.lines[i * grid.context.len() + j]);
        }
    }
}

impl StepCost for TableCost {
    fn power(&self) -> Option<StepPower> {
        self.fitted.power()
    }

    fn step(&self, stage: u8, shape: &StepShape<'_>) -> StepTime {
        if shape.chunks.is_empty() {
            let (line, first) = self.decode_line(&shape.decode);
            let total = line.at(shape.decode.context);
            let linear = SimDuration::from_ps(first);
            return StepTime {
                linear,
                attention: SimDuration::from_ps(total - first),
                ..StepTime::default()
            };
        }
        let bound = self.datasheet.step(stage, shape).total().as_ps();
        let total = ps(Seconds(self.with_chunks(shape))).max(bound).max(1);
        let exact = self.fitted.exact(stage, shape);
        let attention = exact.attention.0 / exact.total().0 * (total as f64 / 1e12);
        let attention = ps(Seconds(attention)).min(total);
        StepTime {
            linear: SimDuration::from_ps(total - attention),
            attention: SimDuration::from_ps(attention),
            ..StepTime::default()
        }
    }

    fn decode_segment(&self, _stage: u8, shape: &DecodeShape) -> Segment {
        let (line, first) = self.decode_line(shape);
        Segment {
            total: line.base,
            total_slope: line.slope,
            gpu: line.base,
            gpu_slope: line.slope,
            linear: first,
            link: 0,
            until: line.until,
        }
    }

    fn bound(&self, stage: u8, shape: &StepShape<'_>) -> SimDuration {
        self.fitted.bound(stage, shape)
    }

    fn swap(&self, blocks: u32) -> SimDuration {
        self.fitted.swap(blocks)
    }
}
