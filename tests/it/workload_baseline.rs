//! Statistics for the workload tests: Kolmogorov-Smirnov distances and the baselines that a twin must beat.

/// The largest distance between the empirical distributions of two samples (ties handled).
pub fn ks(a: &[f64], b: &[f64]) -> f64 {
    let sorted = |x: &[f64]| {
        let mut x = x.to_vec();
        x.sort_by(f64::total_cmp);
        x
    };
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut worst) = (0, 0, 0.0f64);
    while i < a.len() && j < b.len() {
        let x = a[i].min(b[j]);
        i += a[i..].partition_point(|&v| v <= x);
        j += b[j..].partition_point(|&v| v <= x);
        worst = worst.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    worst
}

/// Quantiles of the Zipf law on 1 .. `below` with exponent fitted to the sample by maximum likelihood.
pub fn fitted_zipf(sample: &[f64], below: u32, draws: usize) -> Vec<f64> {
    let mean_log = sample.iter().map(|x| libm::log(*x)).sum::<f64>() / sample.len() as f64;
    let moments = |theta: f64| {
        let weights = (1..below).map(|k| (libm::pow(f64::from(k), -theta), libm::log(f64::from(k))));
        weights.fold((0.0, 0.0), |(w, l), (weight, log)| (w + weight, l + weight * log))
    };
    let (mut low, mut high) = (0.0, 3.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        let (w, l) = moments(middle);
        if l / w > mean_log { low = middle } else { high = middle }
    }
    zipf_quantiles(low, below, draws)
}

/// Evenly spaced quantiles of a Zipf law on 1 .. `below`.
pub fn zipf_quantiles(theta: f64, below: u32, draws: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let cumulative: Vec<f64> = (1..below)
        .map(|k| {
            sum += libm::pow(f64::from(k), -theta);
            sum
        })
        .collect();
    (0..draws)
        .map(|i| {
            let target = (i as f64 + 0.5) / draws as f64 * sum;
            (cumulative.partition_point(|&c| c < target) + 1) as f64
        })
        .collect()
}

/// Gaps between rising times.
pub fn gaps(times: &[f64]) -> Vec<f64> {
    times.windows(2).map(|w| w[1] - w[0]).collect()
}

/// Counts of times in windows of `width` over 0 .. `end`.
pub fn counts(times: &[f64], width: f64, end: f64) -> Vec<f64> {
    let mut counts = vec![0.0; (end / width).round() as usize];
    for t in times {
        let i = (t / width) as usize;
        if let Some(count) = counts.get_mut(i) {
            *count += 1.0;
        }
    }
    counts
}

#[test]
fn ks_of_known_samples() {
    assert_eq!(ks(&[1.0, 2.0], &[1.0, 2.0]), 0.0);
    assert_eq!(ks(&[1.0, 1.0, 2.0, 2.0], &[1.0, 2.0, 2.0, 2.0]), 0.25);
    assert_eq!(ks(&[1.0], &[2.0]), 1.0);
}
