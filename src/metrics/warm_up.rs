//! How much of a run is still its beginning.
//!
//! A run starts with empty replicas, so its first requests are served faster than later ones. MSER-5 (White 1997, "An effective truncation
//! heuristic for bias reduction in simulation output", Simulation 69(6); Hoad, Robinson & Davies 2010 find it the best of the known
//! rules) puts the values into batches of five and leaves out as many of the first ones as makes the mean of the rest most certain.

use super::record::Fate;
use super::records::Records;

/// Values of a batch.
const BATCH: usize = 5;
/// Fewer batches say nothing.
const BATCHES_MIN: usize = 20;

/// The share of the finished requests, in order of arrival, whose end-to-end latencies are those of a warm-up: at most a half,
/// which means that no steady state was found.
pub(super) fn warm_up_share(records: &Records) -> Option<f64> {
    let finished = records.by_arrival().filter(|r| r.fate == Fate::Finished);
    let mut batches = Vec::new();
    let (mut sum, mut count) = (0.0, 0);
    for record in finished {
        sum += record.e2e().as_secs_f64();
        count += 1;
        if count == BATCH {
            batches.push(sum / BATCH as f64);
            (sum, count) = (0.0, 0);
        }
    }
    mser(&batches)
}

/// The share of `batches` that is left out by the rule.
fn mser(batches: &[f64]) -> Option<f64> {
    let n = batches.len();
    if n < BATCHES_MIN {
        return None;
    }
    // From the end: mean and squared deviations of what is kept, by Welford's recurrence.
    let (mut mean, mut squares) = (0.0, 0.0);
    let (mut best, mut least) = (0, f64::INFINITY);
    for (kept, (i, value)) in batches.iter().enumerate().rev().enumerate() {
        let kept = (kept + 1) as f64;
        let away = value - mean;
        mean += away / kept;
        squares += away * (value - mean);
        let statistic = squares / (kept * kept);
        // Of equal ones the shortest warm-up.
        if i <= n / 2 && statistic <= least {
            (best, least) = (i, statistic);
        }
    }
    Some(best as f64 / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_that_is_different_is_left_out() {
        // Ten batches that rise to the level of the other ninety.
        let level = |i: usize| 10.0 + [0.3, -0.2, 0.1, -0.3, 0.1][i % 5];
        let rising: Vec<f64> = (0..100).map(|i| if i < 10 { i as f64 } else { level(i) }).collect();
        assert_eq!(mser(&rising), Some(0.1));
    }

    #[test]
    fn a_steady_run_has_none_and_one_that_never_settles_half() {
        let steady: Vec<f64> = (0..100).map(|i| 10.0 + [0.3, -0.2, 0.1, -0.3, 0.1][i % 5]).collect();
        assert!(mser(&steady).is_some_and(|share| share < 0.05), "{:?}", mser(&steady));
        let growing: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(mser(&growing), Some(0.5));
        assert_eq!(mser(&[1.0; 100]), Some(0.0));
        assert_eq!(mser(&growing[..19]), None);
    }
}
