//! Curves for plots: quantile curves and the timeline, small enough to keep for every run of a sweep.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use super::inside::{MemoryShares, Utilisation};
use super::measure::MeasureContext;
use super::quantile::quantiles;
use super::record::Sample;

/// Points of a quantile curve: every half percent up to 99 %, then every half per mille.
pub const CURVE_POINTS: usize = 219;

/// Probability of point `i` of a quantile curve, in [0, 1].
pub fn curve_probability(i: usize) -> f64 {
    assert!(i < CURVE_POINTS, "a curve has {CURVE_POINTS} points");
    if i < 199 { i as f64 / 200.0 } else { 0.99 + (i - 198) as f64 / 2000.0 }
}

/// Quantile curves of one run, in seconds at each [`curve_probability`]; empty where nothing was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// Time to first token at the client.
    pub ttft_s: Vec<f64>,
    /// Mean interval between the tokens of a request.
    pub tpot_s: Vec<f64>,
    /// End-to-end latency.
    pub e2e_s: Vec<f64>,
    /// Pooled gaps.
    pub gap_s: Vec<f64>,
    /// Share of the steps in each bin of tokens computed ([`SizeBins`](super::work::SizeBins)), up to the last bin used.
    #[serde(default)]
    pub step_tokens: Vec<f64>,
    /// The same by sequences of a step.
    #[serde(default)]
    pub step_sequences: Vec<f64>,
}

/// The value to six significant digits: curves and samples are for plots, and short numbers keep their file small.
pub fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}

/// Quantile curve of a sample; empty for an empty one.
pub fn curve(sample: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values = Vec::new();
    sample.for_each(|value| values.push(value));
    let probabilities: Vec<f64> = (0..CURVE_POINTS).map(curve_probability).collect();
    quantiles(&mut values, &probabilities).into_iter().map(six_digits).collect()
}

/// Quantile curve of a histogram of nanoseconds; empty for an empty one.
pub fn curve_of_histogram(gaps: &Histogram<u64>) -> Vec<f64> {
    if gaps.is_empty() {
        return Vec::new();
    }
    (0..CURVE_POINTS).map(|i| six_digits(gaps.value_at_quantile(curve_probability(i)) as f64 / 1e9)).collect()
}

/// Mean over seeds of quantile curves, point by point (Vincent averaging); empty curves are left out.
pub fn mean_curve<'a>(curves: impl IntoIterator<Item = &'a [f64]>) -> Vec<f64> {
    let curves: Vec<&[f64]> = curves.into_iter().filter(|c| c.len() == CURVE_POINTS).collect();
    if curves.is_empty() {
        return Vec::new();
    }
    (0..CURVE_POINTS).map(|i| curves.iter().map(|c| c[i]).sum::<f64>() / curves.len() as f64).collect()
}

/// Mean over seeds of shares by bin; a bin that a run does not reach is empty there. Runs without shares are left out.
pub fn mean_shares<'a>(runs: impl IntoIterator<Item = &'a [f64]>) -> Vec<f64> {
    let runs: Vec<&[f64]> = runs.into_iter().filter(|r| !r.is_empty()).collect();
    let bins = runs.iter().map(|r| r.len()).max().unwrap_or(0);
    let mean = |bin: usize| runs.iter().filter_map(|r| r.get(bin)).sum::<f64>() / runs.len() as f64;
    (0..bins).map(mean).collect()
}

/// The deployment at one instant, as plots and `timeline/<run>.csv` show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimelineRow {
    /// Seconds since the first row of the run.
    pub at_s: f64,
    /// Requests waiting in replicas.
    pub waiting: u32,
    /// Requests running.
    pub running: u32,
    /// Replicas provided for: all, or those that are up, starting, draining or failing.
    #[serde(default)]
    pub replicas: u32,
    /// Share of KV blocks held by requests; absent when the capacity is not known.
    pub kv_occupancy: Option<f64>,
    /// Tokens generated per second since the sample before.
    pub tok_per_s: f64,
    /// Requests finished since the run began.
    pub finished: u32,
    /// What the KV memory holds; absent when the capacity is not known.
    pub memory: Option<MemoryShares>,
    /// Utilisation since the sample before; absent where it means nothing.
    pub raw: Option<Utilisation>,
    /// The same without work that nobody needed.
    pub useful: Option<Utilisation>,
    /// Share of the time since the sample before in each state of `Binding::ALL`; what is left of 1 was idle.
    pub bound: [f64; 6],
}

/// Most rows that [`timeline`] returns.
const TIMELINE_ROWS_MAX: usize = 600;

/// The samples as rows, thinned to at most 600.
pub fn timeline(samples: &[Sample], context: &MeasureContext) -> Vec<TimelineRow> {
    let kv_total = context.kv_blocks;
    let stride = samples.len().div_ceil(TIMELINE_ROWS_MAX).max(1);
    let mut before = Sample::default();
    samples
        .iter()
        .step_by(stride)
        .map(|sample| {
            let elapsed = (sample.at - before.at).as_secs_f64();
            let tokens = sample.generated.saturating_sub(before.generated) as f64;
            let (work, waste) = (sample.work.without(&before.work), sample.waste.without(&before.waste));
            let span_ps = elapsed * 1e12 * f64::from(context.replicas);
            let bound = |i: usize| {
                let ps = sample.bound_time[i].saturating_sub(before.bound_time[i]) as f64;
                if span_ps > 0.0 { (ps / span_ps).min(1.0) } else { 0.0 }
            };
            let bound = std::array::from_fn(bound);
            before = *sample;
            TimelineRow {
                at_s: sample.at.as_secs_f64(),
                waiting: sample.waiting,
                running: sample.running,
                replicas: sample.provided,
                kv_occupancy: (kv_total > 0).then(|| sample.kv_held as f64 / kv_total as f64),
                tok_per_s: if elapsed > 0.0 { tokens / elapsed } else { 0.0 },
                finished: sample.finished,
                memory: MemoryShares::of(sample, context),
                raw: Utilisation::of(&work, elapsed, context),
                useful: Utilisation::of(&work.without(&waste), elapsed, context),
                bound,
            }
        })
        .collect()
}

/// The timeline as means over at most `n` equal stretches, for plots: single samples of a busy system are noise.
pub fn coarse(rows: &[TimelineRow], n: usize) -> Vec<TimelineRow> {
    let stretch = rows.len().div_ceil(n.max(1)).max(1);
    let mean_count = |chunk: &[TimelineRow], f: fn(&TimelineRow) -> u32| {
        let sum: u64 = chunk.iter().map(|r| u64::from(f(r))).sum();
        u32::try_from(sum.div_ceil(chunk.len() as u64)).unwrap_or(u32::MAX)
    };
    rows.chunks(stretch)
        .map(|chunk| {
            let middle = chunk[chunk.len() / 2];
            let kv: Vec<f64> = chunk.iter().filter_map(|r| r.kv_occupancy).collect();
            let of = |f: &dyn Fn(&TimelineRow) -> Option<f64>| {
                super::quantile::mean(&chunk.iter().filter_map(f).collect::<Vec<f64>>())
            };
            let utilisation = |f: fn(&TimelineRow) -> Option<Utilisation>| {
                Some(Utilisation { flops: of(&|r| Some(f(r)?.flops))?, bytes: of(&|r| Some(f(r)?.bytes))? })
            };
            TimelineRow {
                waiting: mean_count(chunk, |r| r.waiting),
                running: mean_count(chunk, |r| r.running),
                kv_occupancy: super::quantile::mean(&kv),
                tok_per_s: chunk.iter().map(|r| r.tok_per_s).sum::<f64>() / chunk.len() as f64,
                memory: of(&|r| Some(r.memory?.live)).map(|live| MemoryShares {
                    live,
                    fragmented: of(&|r| Some(r.memory?.fragmented)).unwrap_or(0.0),
                    reserved: of(&|r| Some(r.memory?.reserved)).unwrap_or(0.0),
                    cached: of(&|r| Some(r.memory?.cached)).unwrap_or(0.0),
                    free: of(&|r| Some(r.memory?.free)).unwrap_or(0.0),
                }),
                raw: utilisation(|r| r.raw),
                useful: utilisation(|r| r.useful),
                bound: std::array::from_fn(|i| of(&|r| Some(r.bound[i])).unwrap_or(0.0)),
                ..middle
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curve_probabilities_rise_from_0_to_1() {
        let all: Vec<f64> = (0..CURVE_POINTS).map(curve_probability).collect();
        assert!(all.windows(2).all(|w| w[0] < w[1]));
        assert_eq!((all[0], all[198], all[CURVE_POINTS - 1]), (0.0, 0.99, 1.0));
    }

    #[test]
    fn a_long_timeline_is_thinned() {
        let samples: Vec<Sample> = (0..5000_u32)
            .map(|i| Sample {
                at: crate::units::SimTime::from_ps(u64::from(i) * 1_000_000),
                ..Sample::default()
            })
            .collect();
        assert!(timeline(&samples, &MeasureContext::default()).len() <= TIMELINE_ROWS_MAX);
    }
}
