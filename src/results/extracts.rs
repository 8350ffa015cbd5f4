//! Extracts of the runs of one system at one point, all seeds together.

use super::study::Study;
use crate::metrics::extract::evenly;
use crate::metrics::{Extract, LengthBin, Quadrants, ReuseBin};

/// Requests that arrived in all seeds, by the limits they missed.
pub fn quadrants_of(study: &Study, point: usize, system: usize) -> Quadrants {
    let runs = study.runs_of(point, system);
    runs.iter().fold(Quadrants::default(), |sum, run| sum.plus(run.extract.quadrants))
}

/// At most `n` (TTFT, TPOT) of all seeds.
pub fn sample_of(study: &Study, point: usize, system: usize, n: usize) -> Vec<(f64, f64)> {
    let runs = study.runs_of(point, system);
    evenly(runs.iter().flat_map(|r| r.extract.sample.iter().copied()), n)
}

/// Bins by length: requests of all seeds, quantiles averaged over the seeds that have the bin.
pub fn bins_of(
    study: &Study,
    point: usize,
    system: usize,
    of: fn(&Extract) -> &[LengthBin],
) -> Vec<LengthBin> {
    let mut bins: Vec<(LengthBin, u32)> = Vec::new();
    for run in study.runs_of(point, system) {
        for bin in of(&run.extract) {
            match bins.iter_mut().find(|(b, _)| b.from == bin.from) {
                Some((sum, seeds)) => {
                    sum.requests += bin.requests;
                    sum.p50_s += bin.p50_s;
                    sum.p99_s += bin.p99_s;
                    *seeds += 1;
                }
                None => bins.push((*bin, 1)),
            }
        }
    }
    bins.sort_by_key(|(bin, _)| bin.from);
    let mean = |(bin, seeds): (LengthBin, u32)| LengthBin {
        p50_s: bin.p50_s / f64::from(seeds),
        p99_s: bin.p99_s / f64::from(seeds),
        ..bin
    };
    bins.into_iter().map(mean).collect()
}

/// Prompt tokens by reuse distance, all seeds together.
pub fn reuse_of(study: &Study, point: usize, system: usize) -> Vec<ReuseBin> {
    let mut bins: Vec<ReuseBin> = Vec::new();
    for bin in study.runs_of(point, system).iter().flat_map(|r| &r.extract.reuse) {
        match bins.iter_mut().find(|b| b.distance == bin.distance) {
            Some(sum) => {
                sum.tokens += bin.tokens;
                sum.hits += bin.hits;
            }
            None => bins.push(*bin),
        }
    }
    bins.sort_by_key(|b| b.distance);
    bins
}
