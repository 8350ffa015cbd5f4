//! Exact distributions of whole numbers in little memory: how often each value was seen.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::distance::Sample;

/// Values below this are counted in a table, others in a tree: few prompts are longer.
const TABLE: usize = 1 << 17;

/// How often each length was seen.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    table: Vec<u64>,
    large: BTreeMap<u64, u64>,
    count: u64,
    sum: u128,
    squares: u128,
}

/// A distribution in a few numbers; the quantiles are exact (type 7).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Distribution {
    /// All values added up.
    pub sum: u128,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation by mean.
    pub cv: f64,
    /// Least value.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Greatest value.
    pub max: f64,
}

impl Counts {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        self.count += 1;
        self.sum += u128::from(value);
        self.squares += u128::from(value) * u128::from(value);
        let index = usize::try_from(value).unwrap_or(usize::MAX);
        if index >= TABLE {
            *self.large.entry(value).or_insert(0) += 1;
            return;
        }
        if index >= self.table.len() {
            self.table.resize((index + 1).next_power_of_two(), 0);
        }
        self.table[index] += 1;
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Distinct values in rising order, each with its count.
    fn points(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let table = (0u64..).zip(&self.table).map(|(v, n)| (v, *n)).filter(|(_, n)| *n > 0);
        table.chain(self.large.iter().map(|(v, n)| (*v, *n)))
    }

    /// The values as a sample to compare.
    pub fn sample(&self) -> Sample {
        Sample::counted(self.points().map(|(v, n)| (v as f64, n)))
    }

    /// The quantile `q` by linear interpolation between order statistics (Hyndman and Fan 1996, type 7).
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = q * self.count.saturating_sub(1) as f64;
        let (mut below, mut first) = (0u64, None);
        for (value, n) in self.points() {
            below += n;
            let value = value as f64;
            if let Some(low) = first {
                return low + (value - low) * rank.fract();
            }
            if below as f64 > rank.floor() + 1.0 || (below as f64 > rank.floor() && rank.fract() == 0.0) {
                return value;
            }
            if below as f64 > rank.floor() {
                first = Some(value);
            }
        }
        first.unwrap_or(0.0)
    }

    /// The distribution; none without a value.
    pub fn distribution(&self) -> Option<Distribution> {
        let (first, last) = (self.points().next()?.0, self.points().last()?.0);
        let n = self.count as f64;
        let mean = self.sum as f64 / n;
        // n·Σx² − (Σx)² is exact in integers while it fits; lengths are below 2^33.
        let spread = (u128::from(self.count) * self.squares).saturating_sub(self.sum * self.sum) as f64;
        Some(Distribution {
            sum: self.sum,
            mean,
            cv: if mean > 0.0 { spread.sqrt() / n / mean } else { 0.0 },
            min: first as f64,
            p50: self.quantile(0.5),
            p90: self.quantile(0.9),
            p99: self.quantile(0.99),
            max: last as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let values = [7u64, 1, 300_000, 7, 4, 4, 4, 9, 1, 131_072];
        let mut counts = Counts::default();
        values.iter().for_each(|v| counts.add(*v));
        let mut sorted = values.map(|v| v as f64);
        sorted.sort_by(f64::total_cmp);
        for step in 0..=1_000 {
            let q = f64::from(step) / 1_000.0;
            let at = q * (sorted.len() - 1) as f64;
            let (low, high) = (at.floor() as usize, at.ceil() as usize);
            let expected = sorted[low] + (sorted[high] - sorted[low]) * at.fract();
            assert!((counts.quantile(q) - expected).abs() < 1e-6, "{q}: {} {expected}", counts.quantile(q));
        }
        let d = counts.distribution().unwrap();
        assert_eq!((d.sum, d.min, d.max), (431_109, 1.0, 300_000.0));
        assert_eq!(Counts::default().distribution(), None);
    }
}
