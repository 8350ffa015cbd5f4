//! Small extracts of a run's requests, for plots that need more than quantiles over all: a sample of (TTFT, TPOT), who
//! missed which limit, latency by length. Made while the records exist, so that plots can be drawn again without them.

use serde::{Deserialize, Serialize};

use super::quantile::quantiles;
use super::record::{Fate, Outcome, RequestRecord};
use super::resample::Resampled;
use super::reuse::{ReuseBin, reuse};
use super::series::six_digits;
use super::slo::{Limit, Slo};
use crate::workload::Trace;

/// Most requests in a sample.
const SAMPLE_MAX: usize = 400;

/// What a run leaves for such plots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Extract {
    /// (TTFT, TPOT) in seconds of finished requests that have both, evenly by request id; at most 400.
    pub sample: Vec<(f64, f64)>,
    /// All that arrived, by the limits on TTFT and TPOT.
    pub quadrants: Quadrants,
    /// TTFT by prompt length, over finished requests.
    pub ttft_by_prompt: Vec<LengthBin>,
    /// E2E by answer length, over finished requests.
    pub e2e_by_output: Vec<LengthBin>,
    /// Prompt tokens that stood in an earlier prompt, by reuse distance; empty where the trace has no prefixes.
    pub reuse: Vec<ReuseBin>,
    /// Headline numbers with blocks of the run drawn again; absent where seeds give the intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resampled: Option<Resampled>,
}

/// All requests that arrived, by which of two limits they missed; a limit that is not set is never missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quadrants {
    /// Met both.
    pub met: u64,
    /// Missed only the limit on TTFT.
    pub ttft: u64,
    /// Missed only the limit on TPOT.
    pub tpot: u64,
    /// Missed both.
    pub both: u64,
    /// Rejected or unfinished.
    pub lost: u64,
}

impl Quadrants {
    /// Counts `records`, which are all that arrived.
    pub fn count(slo: &Slo, records: impl IntoIterator<Item = RequestRecord>) -> Quadrants {
        let mut counts = Quadrants::default();
        for record in records {
            let of = match (slo.meets(&record, Limit::Ttft), slo.meets(&record, Limit::Tpot)) {
                _ if record.fate != Fate::Finished => &mut counts.lost,
                (true, true) => &mut counts.met,
                (false, true) => &mut counts.ttft,
                (true, false) => &mut counts.tpot,
                (false, false) => &mut counts.both,
            };
            *of += 1;
        }
        counts
    }

    /// The sum: all that arrived.
    pub fn arrived(&self) -> u64 {
        self.met + self.ttft + self.tpot + self.both + self.lost
    }

    /// Counts of several runs together.
    pub fn plus(self, other: Quadrants) -> Quadrants {
        Quadrants {
            met: self.met + other.met,
            ttft: self.ttft + other.ttft,
            tpot: self.tpot + other.tpot,
            both: self.both + other.both,
            lost: self.lost + other.lost,
        }
    }
}

/// Latency of the requests of about one length, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LengthBin {
    /// Shortest length, in tokens.
    pub from: u32,
    /// First length beyond it.
    pub to: u32,
    /// Requests.
    pub requests: u64,
    /// Median.
    pub p50_s: f64,
    /// 99th percentile; the largest of fewer than 100 requests says little.
    pub p99_s: f64,
}

/// Extracts of one run. O(requests · log requests).
pub fn extract(outcome: &Outcome, trace: &Trace, slo: &Slo) -> Extract {
    let finished = || outcome.records.iter().filter(|r| r.fate == Fate::Finished);
    let points = finished().filter_map(|r| Some((r.ttft().as_secs_f64(), r.tpot()?)));
    Extract {
        sample: evenly(points, SAMPLE_MAX)
            .into_iter()
            .map(|(ttft, tpot)| (six_digits(ttft), six_digits(tpot)))
            .collect(),
        quadrants: Quadrants::count(slo, outcome.records.iter()),
        ttft_by_prompt: by_length(finished().map(|r| (r.prompt, r.ttft().as_secs_f64()))),
        e2e_by_output: by_length(finished().map(|r| (r.output, r.e2e().as_secs_f64()))),
        resampled: Some(Resampled::of(&outcome.records, slo)),
        reuse: trace.prefixes.as_ref().map_or_else(Vec::new, |p| reuse(&outcome.records, p)),
    }
}

/// At most `n` of `values`, equally far apart; the first is always among them. Goes through them twice.
pub fn evenly<T>(values: impl Iterator<Item = T> + Clone, n: usize) -> Vec<T> {
    let all = values.clone().count();
    let mut next = (0..n).map(|i| i * all / n).peekable();
    let wanted = |&(at, _): &(usize, T)| all <= n || next.next_if_eq(&at).is_some();
    values.enumerate().filter(wanted).map(|(_, value)| value).collect()
}

/// Bins of half octaves (1, 2, 3, 4, 6, 8, 12, 16 … tokens); empty ones are left out.
fn by_length(values: impl Iterator<Item = (u32, f64)>) -> Vec<LengthBin> {
    let mut bins: Vec<Vec<f64>> = Vec::new();
    values.for_each(|(length, seconds)| {
        let bin = half_octave(length.max(1));
        if bins.len() <= bin {
            bins.resize(bin + 1, Vec::new());
        }
        bins[bin].push(seconds);
    });
    let quantiles = |(bin, mut values): (usize, Vec<f64>)| {
        let [p50, p99] = quantiles(&mut values, &[0.5, 0.99])[..] else { return None };
        Some(LengthBin {
            from: edge(bin),
            to: edge(bin + 1),
            requests: values.len() as u64,
            p50_s: six_digits(p50),
            p99_s: six_digits(p99),
        })
    };
    bins.into_iter().enumerate().filter_map(quantiles).collect()
}

/// The bin of a length of at least 1.
fn half_octave(length: u32) -> usize {
    let octave = length.ilog2();
    let upper = octave >= 1 && length >= 3 << (octave - 1);
    (2 * octave + u32::from(upper)) as usize
}

/// The shortest length of a bin: 2^k, or 3·2^(k−1) for its upper half. Bin 1 (no whole number lies in it) is empty.
fn edge(bin: usize) -> u32 {
    let octave = u32::try_from(bin / 2).unwrap_or(31).min(31);
    let low = 1_u32 << octave;
    if bin.is_multiple_of(2) { low } else { low.saturating_add(low.div_ceil(2)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_in_its_bin() {
        for length in (1..5000).chain([65_535, 65_536, 131_071, 1 << 30]) {
            let bin = half_octave(length);
            assert!(
                edge(bin) <= length && length < edge(bin + 1),
                "{length}: {} {}",
                edge(bin),
                edge(bin + 1)
            );
        }
        let edges: Vec<u32> = [0, 2, 3, 4, 5, 6, 7, 8].map(edge).into();
        assert_eq!(edges, [1, 2, 3, 4, 6, 8, 12, 16]);
    }

    #[test]
    fn quantiles_of_a_bin_are_those_of_its_values() {
        // Lengths 4 and 5 share a bin, 6 is in the next one.
        let bins = by_length([(4, 1.0), (5, 3.0), (6, 7.0)].into_iter());
        let shown: Vec<(u32, u32, u64, f64)> =
            bins.iter().map(|b| (b.from, b.to, b.requests, b.p50_s)).collect();
        assert_eq!(shown, [(4, 6, 2, 2.0), (6, 8, 1, 7.0)]);
    }

    #[test]
    fn a_sample_is_even_and_no_larger_than_asked() {
        let all: Vec<u32> = (0..1001).collect();
        let some = evenly(all.iter().copied(), 400);
        assert_eq!((some.len(), some[0]), (400, 0));
        assert!(some.windows(2).all(|w| (2..=3).contains(&(w[1] - w[0]))));
        assert_eq!(evenly([1, 2].into_iter(), 400), [1, 2]);
    }
}
