//! A batch whose step time grows with its size is a processor-sharing server: everybody gets one token per round.

use windtunnel::policy::scheduler::{SchedulerConfig, Unified};
use windtunnel::rng::Draws;
use windtunnel::units::SimDuration;

use crate::theory::{
    LinearCost, MS, assert_mean, deployment, geometric, geometric_mean, mean_s, per_seed, poisson, redraw,
    run,
};

const REQUESTS: u32 = 120_000;

/// A step of n sequences takes n ms.
const ONE_MS_EACH: LinearCost =
    LinearCost { fixed: 0, per_sequence: MS, per_token: 0, per_context: 0, per_swapped_block: 0 };

fn shared() -> windtunnel::engine::config::ClusterConfig {
    let everybody = Unified { token_budget: 1 << 20, max_sequences: 1 << 20, ..Unified::default() };
    deployment(SchedulerConfig::Unified(everybody))
}

/// Mean sojourn at an egalitarian processor-sharing server: S / (1 − ρ), whatever the law of the lengths is ([K2]
/// section 4.4). Rounds are not infinitely short: a newcomer waits for half of the round it meets, (1 + E[n²]/E[n])/2 ms
/// at most, which is the slack.
#[track_caller]
fn check(name: &str, rho: f64, mean: f64, law: impl Fn(&mut Draws) -> u32) {
    let service_s = mean * 1e-3;
    let sojourns = per_seed(|seed| {
        let mut trace = poisson(rho / service_s, 1, REQUESTS, seed);
        redraw(&mut trace, seed, &law);
        mean_s(&run(&shared(), &ONE_MS_EACH, &trace).records, |r| r.e2e())
    });
    let expected = service_s / (1.0 - rho);
    // n is geometric with mean ρ/(1 − ρ) ([K2] section 4.4).
    let round_s = (1.0 + rho) / (1.0 - rho) * 1e-3;
    assert_mean(&format!("M/{name}/1-PS sojourn at load {rho}"), &sojourns, expected, round_s / expected);
}

#[test]
fn a_batch_shares_the_accelerator_whatever_the_lengths_are() {
    for rho in [0.5, 0.7] {
        check("D", rho, 500.0, |_| 500);
        check("Geo", rho, geometric_mean(500.0), geometric(500.0));
        // A tenth of the requests has most of the work: C² = 9 · (4100 − 100)² / 100 / 500² = 5.8.
        check("2-point", rho, 500.0, |d| if d.below(10) == 0 { 4100 } else { 100 });
    }
}

/// The finer property: the sojourn of a request of length x has mean x / (1 − ρ), so short and long ones are slowed
/// down alike ([K2] section 4.4).
#[test]
fn short_and_long_requests_are_slowed_down_alike() {
    let rho = 0.7;
    for length in [200, 1200] {
        let slowdowns = per_seed(|seed| {
            let mut trace = poisson(rho / 0.450, 1, REQUESTS, seed);
            redraw(&mut trace, seed, |d| if d.below(4) == 0 { 1200 } else { 200 });
            let outcome = run(&shared(), &ONE_MS_EACH, &trace);
            let of_length: Vec<_> = outcome.records.iter().filter(|r| r.output == length).collect();
            mean_s(of_length, |r| r.e2e()) / (f64::from(length) * 1e-3)
        });
        let slack = (1.0 + rho) / f64::from(length);
        assert_mean(&format!("PS slowdown of {length} tokens"), &slowdowns, 1.0 / (1.0 - rho), slack);
    }
}

/// While nobody arrives or leaves, n requests that began together end n times as late as one alone.
#[test]
fn requests_that_begin_together_end_together() {
    for n in [1u32, 7, 300] {
        let mut trace = poisson(1.0, 100, n, 1);
        trace.requests.iter_mut().for_each(|r| r.arrival = windtunnel::units::SimTime::ZERO);
        for r in &run(&shared(), &ONE_MS_EACH, &trace).records {
            assert_eq!(r.e2e(), SimDuration::from_ms(100) * u64::from(n));
        }
    }
}
