//! How far apart two empirical distributions are: Kolmogorov-Smirnov and Wasserstein-1.

/// A sample as sorted distinct values with counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    points: Vec<(f64, u64)>,
    count: u64,
}

impl Sample {
    /// A sample of single values, in any order; values that are not finite are left out.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Self {
        Sample::counted(values.into_iter().map(|v| (v, 1)))
    }

    /// A sample of (value, how often), in any order; values that are not finite and counts of 0 are left out.
    pub fn counted(values: impl IntoIterator<Item = (f64, u64)>) -> Self {
        let mut points: Vec<(f64, u64)> =
            values.into_iter().filter(|(v, n)| v.is_finite() && *n > 0).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        let count = points.iter().map(|p| p.1).sum();
        Sample { points, count }
    }

    /// Number of values.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Distinct values in rising order, each with its count.
    pub fn points(&self) -> &[(f64, u64)] {
        &self.points
    }

    /// Arithmetic mean; none for an empty sample.
    pub fn mean(&self) -> Option<f64> {
        let sum: f64 = self.points.iter().map(|&(v, n)| v * n as f64).sum();
        (self.count > 0).then(|| sum / self.count as f64)
    }
}

/// The largest distance between the two cumulative distributions, in [0, 1] (Kolmogorov-Smirnov, two samples; ties
/// are right: the distance is taken after all equal values of both). None if a sample is empty.
pub fn kolmogorov_smirnov(a: &Sample, b: &Sample) -> Option<f64> {
    steps(a, b).map(|steps| steps.map(|(_, below_a, below_b)| (below_a - below_b).abs()).fold(0.0, f64::max))
}

/// The area between the two cumulative distributions (Wasserstein-1, earth mover's distance in one dimension), in the
/// unit of the values. None if a sample is empty.
pub fn wasserstein(a: &Sample, b: &Sample) -> Option<f64> {
    let steps = steps(a, b)?;
    let (mut area, mut before) = (0.0, None);
    for (value, below_a, below_b) in steps {
        if let Some((last, apart)) = before {
            area += (value - last) * apart;
        }
        before = Some((value, (below_a - below_b).abs()));
    }
    Some(area)
}

/// Every distinct value of both samples in rising order, with the share of each sample that is not above it.
fn steps<'a>(a: &'a Sample, b: &'a Sample) -> Option<impl Iterator<Item = (f64, f64, f64)> + 'a> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (mut i, mut j, mut seen_a, mut seen_b) = (0, 0, 0u64, 0u64);
    Some(std::iter::from_fn(move || {
        let value = match (a.points.get(i), b.points.get(j)) {
            (Some(x), Some(y)) => x.0.min(y.0),
            (Some(x), None) => x.0,
            (None, Some(y)) => y.0,
            (None, None) => return None,
        };
        if let Some(x) = a.points.get(i).filter(|x| x.0 == value) {
            seen_a += x.1;
            i += 1;
        }
        if let Some(y) = b.points.get(j).filter(|y| y.0 == value) {
            seen_b += y.1;
            j += 1;
        }
        Some((value, seen_a as f64 / a.count as f64, seen_b as f64 / b.count as f64))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (KS, Wasserstein) of two small samples.
    #[track_caller]
    fn check(a: &[f64], b: &[f64], ks: f64, w: f64) {
        let (a, b) = (Sample::new(a.iter().copied()), Sample::new(b.iter().copied()));
        for (x, y) in [(&a, &b), (&b, &a)] {
            assert!((kolmogorov_smirnov(x, y).unwrap() - ks).abs() < 1e-12);
            assert!((wasserstein(x, y).unwrap() - w).abs() < 1e-12);
        }
    }

    #[test]
    fn known_distances() {
        check(&[1.0, 2.0, 3.0], &[3.0, 1.0, 2.0], 0.0, 0.0);
        check(&[0.0], &[5.0], 1.0, 5.0);
        // Shifted by one: every value moves by 1.
        check(&[1.0, 2.0, 3.0, 4.0], &[2.0, 3.0, 4.0, 5.0], 0.25, 1.0);
        // Ties: F_a jumps to 2/3 at 1, F_b to 1/3.
        check(&[1.0, 1.0, 2.0], &[1.0, 2.0, 2.0], 1.0 / 3.0, 1.0 / 3.0);
        // Unequal sizes: F_a = 1/2 on [0, 10), F_b = 0 below 4 and 1 from it on.
        check(&[0.0, 10.0], &[4.0], 0.5, 5.0);
    }

    #[test]
    fn counts_are_the_same_as_repeated_values() {
        let repeated = Sample::new([2.0, 7.0, 2.0, 2.0, f64::NAN]);
        let counted = Sample::counted([(7.0, 1), (2.0, 3), (9.0, 0)]);
        assert_eq!(repeated, counted);
        assert_eq!((counted.len(), counted.mean()), (4, Some(3.25)));
    }

    #[test]
    fn an_empty_sample_has_no_distance() {
        assert_eq!(kolmogorov_smirnov(&Sample::default(), &Sample::new([1.0])), None);
        assert_eq!(wasserstein(&Sample::new([1.0]), &Sample::default()), None);
    }
}
