//! Intervals for one run: what a replay of a real trace has instead of seeds.
//!
//! Requests that follow one another share a queue, so blocks of them are drawn and not requests (Carlstein 1986, "The use of
//! subseries values for estimating the variance of a general statistic from a stationary sequence", Annals of Statistics 14(3)).
//! Blocks are those of the request ids and every run draws the same ones, so that the ratio of two systems is one of pairs. Such an
//! interval tells how much hangs on which stretches of the trace were recorded; it knows nothing of other days. Near the capacity it is
//! too narrow: how congested the whole run is differs between days, and one run shows one level (`docs/metrics.md` has numbers).

use serde::{Deserialize, Serialize};

use super::estimate::{Estimate, student_t_975};
use super::record::{Fate, RequestRecord};
use super::records::Records;
use super::series::six_digits;
use super::slo::Slo;
use crate::rng::{Component, stream};

/// Blocks of equally many requests.
pub const BLOCKS: usize = 20;
/// Fewer requests are too few for blocks that are longer than a queue.
const REQUESTS_MIN: usize = 1_000;
/// Draws of as many blocks as there are.
const DRAWS: usize = 200;

/// Numbers of a run with blocks of it drawn again, one for each draw; empty for a short run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resampled {
    /// P99 of the time to the first token, in seconds.
    pub ttft_p99_s: Vec<f64>,
    /// P99 of the end-to-end latency, in seconds.
    pub e2e_p99_s: Vec<f64>,
    /// Requests that met the limits, as a share of those that did in the run.
    pub met: Vec<f64>,
}

impl Resampled {
    /// Of the records of a run. O(requests).
    pub fn of(records: &Records, slo: &Slo) -> Resampled {
        if records.len() < REQUESTS_MIN {
            return Resampled::default();
        }
        let block = |r: &RequestRecord| r.id.index() * BLOCKS / records.len();
        let finished = || records.iter().filter(|r| r.fate == Fate::Finished);
        let ttft = Tail::of(finished().map(|r| (r.ttft().as_secs_f64(), block(&r))).collect());
        let e2e = Tail::of(finished().map(|r| (r.e2e().as_secs_f64(), block(&r))).collect());
        let mut met = [0_u32; BLOCKS];
        for record in records.iter().filter(|r| slo.meets_all(r)) {
            met[block(&record)] += 1;
        }
        let all: u32 = met.iter().sum();
        let mut of = Resampled::default();
        for draw in 0..DRAWS as u64 {
            let weights = weights(draw);
            let drawn: u64 = met.iter().zip(weights).map(|(m, w)| u64::from(*m) * u64::from(w)).sum();
            of.ttft_p99_s.extend(ttft.p99(&weights).map(six_digits));
            of.e2e_p99_s.extend(e2e.p99(&weights).map(six_digits));
            of.met.extend((all > 0).then(|| six_digits(drawn as f64 / f64::from(all))));
        }
        of
    }

    /// The draws of a column, as multiples of nothing in particular: only their ratios count.
    fn draws(&self, key: &str) -> &[f64] {
        match key {
            "ttft_p99_s" => &self.ttft_p99_s,
            "e2e_p99_s" => &self.e2e_p99_s,
            "goodput_per_s" | "goodput_per_gpu_per_s" => &self.met,
            _ => &[],
        }
    }

    /// The number `value` of the column `key` with its interval; none for a column that is not drawn.
    pub fn estimate(&self, key: &str, value: f64) -> Option<Estimate> {
        Some(Estimate {
            mean: value,
            half_width: Some(value * spread(self.draws(key).iter().copied())?),
            n: 1,
        })
    }

    /// The ratio `value` of that column to the one of another run on the same requests.
    pub fn ratio(&self, other: &Resampled, key: &str, value: f64) -> Option<Estimate> {
        let (own, others) = (self.draws(key), other.draws(key));
        let pairs = own.iter().zip(others).map(|(a, b)| a / b);
        let same = own.len() == others.len();
        Some(Estimate { mean: value, half_width: Some(value * spread(pairs).filter(|_| same)?), n: 1 })
    }
}

/// Half the width of a 95 % interval relative to the number: from the deviation of the logarithms, which ratios of latencies
/// are near to normal in. None for fewer than [`DRAWS`] positive numbers.
fn spread(draws: impl Iterator<Item = f64>) -> Option<f64> {
    let logs: Vec<f64> = draws.filter(|d| d.is_finite() && *d > 0.0).map(libm::log).collect();
    let mean = super::quantile::mean(&logs).filter(|_| logs.len() == DRAWS)?;
    let squares: f64 = logs.iter().map(|l| (l - mean) * (l - mean)).sum();
    Some(student_t_975(BLOCKS - 1)? * (squares / (DRAWS - 1) as f64).sqrt())
}

/// How often each block is in a draw.
fn weights(draw: u64) -> [u32; BLOCKS] {
    const COMPONENT: Component = Component::named("metrics/resample");
    let mut draws = stream(0, COMPONENT, draw, 0);
    let mut weights = [0; BLOCKS];
    for _ in 0..BLOCKS {
        weights[usize::try_from(draws.below(BLOCKS as u64)).expect("below 20")] += 1;
    }
    weights
}

/// The largest values of a run with their blocks, largest first, and how many values each block has.
struct Tail {
    values: Vec<(f64, usize)>,
    of_block: [u64; BLOCKS],
}

impl Tail {
    fn of(mut values: Vec<(f64, usize)>) -> Tail {
        let mut of_block = [0; BLOCKS];
        values.iter().for_each(|&(_, block)| of_block[block] += 1);
        let largest_first = |a: &(f64, usize), b: &(f64, usize)| b.0.total_cmp(&a.0);
        // A draw may hold a block of large values several times: its P99 lies deeper in the tail, hardly ever beyond a tenth.
        let kept = values.len() / 10 + 1;
        if kept < values.len() {
            values.select_nth_unstable_by(kept, largest_first);
            values.truncate(kept);
        }
        values.sort_unstable_by(largest_first);
        Tail { values, of_block }
    }

    /// The 99th percentile (nearest rank) with each block as often as its weight; none for no value.
    fn p99(&self, weights: &[u32; BLOCKS]) -> Option<f64> {
        let drawn: u64 = self.of_block.iter().zip(weights).map(|(n, w)| n * u64::from(*w)).sum();
        let beyond = drawn / 100;
        let mut seen = 0;
        let at = self.values.iter().find(|&&(_, block)| {
            seen += u64::from(weights[block]);
            seen > beyond
        });
        at.or(self.values.last()).map(|v| v.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Draws;

    fn tail(values: &[f64]) -> Tail {
        Tail::of(values.iter().enumerate().map(|(i, v)| (*v, i * BLOCKS / values.len())).collect())
    }

    /// The deviation of a statistic over draws of blocks.
    fn deviation(values: &[f64]) -> f64 {
        let tail = tail(values);
        spread((0..DRAWS as u64).filter_map(|d| tail.p99(&weights(d)))).expect("positive values")
            / student_t_975(BLOCKS - 1).expect("more than one block")
    }

    fn exponential(draws: &mut Draws, n: usize) -> Vec<f64> {
        (0..n).map(|_| draws.exponential(1.0)).collect()
    }

    #[test]
    fn each_block_once_is_the_run_itself() {
        let values: Vec<f64> = (1..=5_000).map(f64::from).collect();
        assert_eq!(tail(&values).p99(&[1; BLOCKS]), Some(4_950.0));
        assert!((0..9).all(|draw| weights(draw).iter().sum::<u32>() == BLOCKS as u32));
    }

    /// The P99 of n exponential values has the standard error √(0.99/(0.01·n)) (asymptotic variance p(1−p)/(n·f²)).
    #[test]
    fn independent_values_give_the_error_that_theory_gives() {
        let mut draws = stream(1, "resample", 0, 0);
        let n = 50_000;
        let runs: Vec<f64> = (0..20).map(|_| deviation(&exponential(&mut draws, n))).collect();
        let theory = (0.99 / (0.01 * n as f64)).sqrt() / -libm::log(0.01);
        let mean = runs.iter().sum::<f64>() / runs.len() as f64;
        assert!((mean / theory - 1.0).abs() < 0.1, "{mean} against {theory}");
    }

    /// Where neighbours are alike there is less to know: values in runs of ten have the error of a tenth as many.
    #[test]
    fn values_that_hang_together_are_less_certain() {
        let mut draws = stream(2, "resample", 0, 0);
        let few = exponential(&mut draws, 5_000);
        let repeated: Vec<f64> = few.iter().flat_map(|v| [*v; 10]).collect();
        let (single, tenfold) = (deviation(&few), deviation(&repeated));
        assert!((tenfold / single - 1.0).abs() < 0.15, "{tenfold} against {single}");
    }
}
