//! Exact quantiles of a sample, type 7 of Hyndman & Fan (1996): linear between the two nearest order statistics.

/// Mean and quantiles of one quantity over the requests that have it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quantiles {
    /// Sample size.
    pub n: u64,
    /// Arithmetic mean; absent for an empty sample, like all that follow.
    pub mean: Option<f64>,
    /// Median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
}

impl Quantiles {
    /// Mean and quantiles of `values`, which may be reordered. O(n).
    pub fn of(values: &mut [f64]) -> Quantiles {
        let mean = mean(values);
        let [p50, p90, p99, max] = quantiles(values, &[0.5, 0.9, 0.99, 1.0])[..] else {
            return Quantiles::default();
        };
        let (p50, p90, p99, max) = (Some(p50), Some(p90), Some(p99), Some(max));
        Quantiles { n: values.len() as u64, mean, p50, p90, p99, max }
    }
}

/// Arithmetic mean, summed in the order given; absent for an empty sample.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The quantiles at `probabilities`, each in [0, 1] and rising, type 7; `values` may be reordered. Expected O(n) for few
/// of them; empty for an empty sample.
pub fn quantiles(values: &mut [f64], probabilities: &[f64]) -> Vec<f64> {
    let n = values.len();
    let places: Vec<(usize, f64)> = probabilities.iter().filter_map(|&p| position(n, p)).collect();
    let mut ranks: Vec<usize> = places.iter().flat_map(|&(low, _)| [low, (low + 1).min(n - 1)]).collect();
    ranks.sort_unstable();
    ranks.dedup();
    let known = at_ranks(values, &ranks);
    let at = |rank: usize| known[ranks.partition_point(|&r| r < rank)];
    places.iter().map(|&(low, share)| between(at(low), at((low + 1).min(n - 1)), share)).collect()
}

/// The quantile at `p` of a sample; as [`quantiles`].
pub fn quantile(values: &mut [f64], p: f64) -> Option<f64> {
    quantiles(values, &[p]).first().copied()
}

/// Samples below this are sorted.
const SMALL: usize = 2048;
/// Buckets of a large sample: 2^14 of one leading-bits width, which keeps their counts in the first-level cache.
const BUCKET_BITS: u32 = 14;

/// The values at `ranks` (rising, from 0) of the sorted sample.
///
/// A large sample is dealt into buckets by leading bits, which rise with the value, and only the buckets that hold a
/// wanted rank are sorted: two passes over the values instead of log n.
fn at_ranks(values: &mut [f64], ranks: &[usize]) -> Vec<f64> {
    if values.len() < SMALL {
        values.sort_unstable_by(f64::total_cmp);
        return ranks.iter().map(|&rank| values[rank]).collect();
    }
    let buckets = Buckets::of(values);
    let mut counts = vec![0_u32; (1 << BUCKET_BITS) + 2];
    values.iter().for_each(|&v| counts[buckets.of_value(v)] += 1);
    // Which buckets hold a wanted rank, how many values are below each, and where its own are gathered.
    let (mut gathered, mut below_gathered) = (Vec::new(), Vec::new());
    let mut place = vec![u16::MAX; counts.len()];
    let (mut wanted, mut below) = (ranks.iter().peekable(), 0_usize);
    for (bucket, &count) in counts.iter().enumerate() {
        let end = below + count as usize;
        if wanted.next_if(|&&rank| rank < end).is_some() {
            while wanted.next_if(|&&rank| rank < end).is_some() {}
            place[bucket] = u16::try_from(gathered.len()).expect("no more than the buckets");
            gathered.push(Vec::with_capacity(count as usize));
            below_gathered.push(below);
        }
        below = end;
    }
    for &value in values.iter() {
        if let Some(bucket) = gathered.get_mut(usize::from(place[buckets.of_value(value)])) {
            bucket.push(value);
        }
    }
    gathered.iter_mut().for_each(|bucket| bucket.sort_unstable_by(f64::total_cmp));
    let find = |&rank: &usize| {
        let at = below_gathered.partition_point(|&below| below <= rank) - 1;
        gathered[at][rank - below_gathered[at]]
    };
    ranks.iter().map(find).collect()
}

/// How values are dealt: what is not above zero into the first bucket, the rest by leading bits between the smallest and
/// the largest of them.
struct Buckets {
    least: u64,
    shift: u32,
}

impl Buckets {
    fn of(values: &[f64]) -> Buckets {
        let keys = || values.iter().map(|&v| key(v)).filter(|&k| k > key(0.0));
        let (least, most) = keys().fold((u64::MAX, 0), |(least, most), k| (least.min(k), most.max(k)));
        let bits = u64::BITS - most.saturating_sub(least).leading_zeros();
        Buckets { least, shift: bits.saturating_sub(BUCKET_BITS) }
    }

    fn of_value(&self, value: f64) -> usize {
        let key = key(value);
        if key < self.least { 0 } else { 1 + ((key - self.least) >> self.shift) as usize }
    }
}

/// Bits that rise with the value, in the order of `f64::total_cmp`.
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    // All bits turned over below zero, the sign bit above.
    let negative = (bits >> 63).wrapping_neg();
    bits ^ (negative | 1 << 63)
}

/// Type 7: `h = (n − 1)·p`, split into its whole part and the rest.
fn position(n: usize, p: f64) -> Option<(usize, f64)> {
    assert!((0.0..=1.0).contains(&p), "a quantile lies in [0, 1], got {p}");
    let h = n.checked_sub(1)? as f64 * p;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ h ≤ n − 1")]
    let low = h.floor() as usize;
    Some((low, h - h.floor()))
}

fn between(low: f64, high: f64, share: f64) -> f64 {
    if share > 0.0 { low + share * (high - low) } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quantile at `p` of values that are sorted already, by the definition.
    fn quantile_sorted(sorted: &[f64], p: f64) -> Option<f64> {
        let (low, share) = position(sorted.len(), p)?;
        Some(between(sorted[low], sorted[(low + 1).min(sorted.len() - 1)], share))
    }

    #[test]
    fn interpolates_like_type_7() {
        // numpy.quantile([1, 2, 4, 8], [0, .5, .9, 1]) = 1, 3, 6.8, 8.
        let mut values = [8.0, 1.0, 4.0, 2.0];
        assert_eq!(quantile(&mut values, 0.0), Some(1.0));
        assert_eq!(quantile(&mut values, 0.5), Some(3.0));
        assert!((quantile(&mut values, 0.9).unwrap_or(0.0) - 6.8).abs() < 1e-12);
        assert_eq!(quantile(&mut values, 1.0), Some(8.0));
        assert_eq!(quantile(&mut [5.0], 0.99), Some(5.0));
        assert_eq!(quantile(&mut [], 0.99), None);
    }

    #[test]
    fn selecting_equals_sorting() {
        let mut state = 12_345_u64;
        for n in (1..200).chain([SMALL - 1, SMALL, 5000, 50_000]) {
            // Many zeros and ties, some values below zero, a long tail.
            let mut values: Vec<f64> = (0..n)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (size, tail) = ((state >> 50) as f64, (state >> 20) % 97);
                    if tail == 0 { size * 1e9 } else { (size - 5000.0).max(-1.0) * f64::from(tail > 20) }
                })
                .collect();
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let all = [0.0, 0.1, 0.5, 0.9, 0.99, 1.0];
            for p in all {
                assert_eq!(quantile(&mut values, p), quantile_sorted(&sorted, p), "n {n} p {p}");
            }
            let together: Vec<Option<f64>> = quantiles(&mut values, &all).into_iter().map(Some).collect();
            assert_eq!(together, all.map(|p| quantile_sorted(&sorted, p)));
        }
    }

    #[test]
    fn an_empty_sample_has_no_numbers() {
        assert_eq!(Quantiles::of(&mut []), Quantiles::default());
    }
}
