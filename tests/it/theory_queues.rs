//! Configurations that reduce to queues with known answers: M/D/1, M/G/1, M/D/k, M/M/k, M/G/∞.

use windtunnel::cluster::RunOptions;
use windtunnel::policy::router::{LeastLoad, RouterConfig};
use windtunnel::policy::scheduler::{RaggedPrompts, SchedulerConfig, Static, Unified};
use windtunnel::units::SimTime;

use crate::theory::{
    LinearCost, MS, assert_mean, deployment, geometric, geometric_mean, mean_s, observed, per_seed, poisson,
    redraw, run, servers, starts,
};

const REQUESTS: u32 = 200_000;

const ONE_MS: LinearCost =
    LinearCost { fixed: MS, per_sequence: 0, per_token: 0, per_context: 0, per_swapped_block: 0 };

/// One request at a time, four steps of 1 ms each: W = ρ·S / (2(1 − ρ)): the mean-value formula of
/// Pollaczek and Khinchine with C² = 0 ([K1] section 5.6).
#[test]
fn one_request_at_a_time_waits_as_in_m_d_1() {
    let service_s = 0.004;
    let one_by_one = servers(1);
    let batch_of_one = deployment(SchedulerConfig::Static(Static {
        max_batch: 1,
        micro_batch: 0,
        ragged: RaggedPrompts::Padded,
        return_early: false,
    }));
    for rho in [0.3, 0.5, 0.7, 0.9] {
        let waits = per_seed(|seed| {
            let trace = poisson(rho / service_s, 4, REQUESTS, seed);
            let exact = starts(&trace, 1, |_| 4 * MS);
            let outcome = run(&one_by_one, &ONE_MS, &trace);
            assert!(outcome.records.iter().map(|r| r.scheduled).eq(exact.iter().copied()), "Lindley");
            if seed == 1 {
                let batches = run(&batch_of_one, &ONE_MS, &trace);
                assert!(batches.records.iter().map(|r| r.scheduled).eq(exact), "Lindley, static");
            }
            mean_s(&outcome.records, |r| r.queue())
        });
        assert_mean(&format!("M/D/1 wait at load {rho}"), &waits, rho / (2.0 * (1.0 - rho)) * service_s, 0.0);
    }
}

/// Service times with a squared coefficient of variation C²: W = ρ·S·(1 + C²) / (2(1 − ρ)) (Pollaczek and Khinchine,
/// [K1] section 5.6). Geometric lengths are the exponential service of M/M/1 on a grid of steps.
#[test]
fn one_request_at_a_time_waits_as_in_m_g_1() {
    let m = 50.0;
    let mean = geometric_mean(m);
    // Geometric on 1, 2, …: variance mean·(mean − 1).
    let second = 1.0 + (mean - 1.0) / mean;
    for rho in [0.5, 0.8] {
        let service_s = mean * 1e-3;
        let waits = per_seed(|seed| {
            let mut trace = poisson(rho / service_s, 1, REQUESTS, seed);
            redraw(&mut trace, seed, geometric(m));
            let exact = starts(&trace, 1, |i| u64::from(trace.requests[i].output) * MS);
            let outcome = run(&servers(1), &ONE_MS, &trace);
            assert!(outcome.records.iter().map(|r| r.scheduled).eq(exact), "Lindley");
            mean_s(&outcome.records, |r| r.queue())
        });
        let expected = rho * service_s * second / (2.0 * (1.0 - rho));
        assert_mean(&format!("M/Geo/1 wait at load {rho}"), &waits, expected, 0.0);
    }
}

/// Mean wait of M/D/k in units of the service time, by Spitzer's identity E[W] = Σ_n E[(S_n)⁺]/n ([W] chapter 8) for
/// E_k/D/1, which has the same waits: customers of M/D/k take the servers in turn (Crommelin 1932; [T] chapter 9).
/// E[(nD − Gamma(nk))⁺] = nD·P(N ≥ nk) − (nk/λ)·P(N ≥ nk + 1) with N Poisson of mean nkρ.
fn crommelin(k: u32, rho: f64) -> f64 {
    let tail = |mean: f64, from: u32| {
        let mut term =
            libm::exp(-mean + f64::from(from) * libm::log(mean) - libm::lgamma(f64::from(from) + 1.0));
        let (mut sum, mut j) = (0.0, from);
        while term > 1e-18 {
            sum += term;
            j += 1;
            term *= mean / f64::from(j);
        }
        sum
    };
    let term = |n: u32| {
        let (nk, mean) = (n * k, f64::from(n * k) * rho);
        tail(mean, nk) - tail(mean, nk + 1) / rho
    };
    (1..5000).map(term).sum()
}

#[test]
fn the_formula_for_k_servers_is_that_for_one() {
    for rho in [0.3, 0.5, 0.7, 0.9] {
        let (series, closed) = (crommelin(1, rho), rho / (2.0 * (1.0 - rho)));
        assert!((series / closed - 1.0).abs() < 1e-6, "{rho}: {series} against {closed}");
    }
}

/// Round robin over replicas with equal service is one shared queue with as many servers, request by request.
#[test]
fn round_robin_waits_as_in_m_d_k() {
    let k = 3u16;
    let mut config = servers(1);
    config.replicas = k;
    for rho in [0.5, 0.8] {
        let service_s = 0.004;
        let waits = per_seed(|seed| {
            let trace = poisson(f64::from(k) * rho / service_s, 4, REQUESTS, seed);
            let outcome = run(&config, &ONE_MS, &trace);
            let exact = starts(&trace, usize::from(k), |_| 4 * MS);
            assert!(outcome.records.iter().map(|r| r.scheduled).eq(exact), "Kiefer and Wolfowitz");
            mean_s(&outcome.records, |r| r.queue())
        });
        let expected = crommelin(u32::from(k), rho) * service_s;
        assert_mean(&format!("M/D/{k} wait at load {rho}"), &waits, expected, 0.0);
    }
}

/// One shared queue bounds every router from below; with equal service round robin reaches it, and with varying
/// service the router that looks does better than the one that does not.
#[test]
fn routers_stay_above_the_shared_queue() {
    let looking = RouterConfig::LeastRequests(LeastLoad::default());
    let [mut blind, mut seeing] = [servers(1), servers(1)];
    (blind.replicas, seeing.replicas) = (3, 3);
    seeing.router = looking;
    for equal in [true, false] {
        let mut trace = poisson(3.0 * 0.8 / 0.050, 50, 50_000, 1);
        if !equal {
            redraw(&mut trace, 1, geometric(50.0));
        }
        let shared = starts(&trace, 3, |i| u64::from(trace.requests[i].output) * MS);
        let wait = |start: SimTime, i: usize| (start - trace.requests[i].arrival).as_secs_f64();
        let shared: f64 = shared.iter().enumerate().map(|(i, s)| wait(*s, i)).sum::<f64>() / 50_000.0;
        let [blind, seeing] =
            [&blind, &seeing].map(|c| mean_s(&run(c, &ONE_MS, &trace).records, |r| r.queue()));
        crate::cost::report(format_args!(
            "mean wait, equal service {equal}: shared queue {shared:.5} s, least-requests {seeing:.5} s, \
             round-robin {blind:.5} s"
        ));
        assert!(shared <= seeing + 1e-12 && shared <= blind + 1e-12, "a router beats the shared queue");
        assert_eq!(blind < seeing, equal, "round robin is best for equal service only");
    }
}

/// Erlang's C: the probability to wait at `k` servers with `a` = λS ([K1] section 3.5).
fn erlang_c(k: u32, a: f64) -> f64 {
    let mut b = 1.0;
    for i in 1..=k {
        b = a * b / (f64::from(i) + a * b);
    }
    let rho = a / f64::from(k);
    b / (1.0 - rho + rho * b)
}

/// A batch of at most k whose steps take as long for one as for k is k servers. Requests begin at step boundaries, so
/// the exact recursion rounds an arrival up to the grid of the busy period; M/M/k is the limit of short steps.
#[test]
fn a_capped_batch_of_equal_steps_waits_as_in_m_m_k() {
    let (k, m) = (4u32, 400.0);
    let service_s = geometric_mean(m) * 1e-3;
    for rho in [0.5, 0.8] {
        let waits = per_seed(|seed| {
            let mut trace = poisson(f64::from(k) * rho / service_s, 1, REQUESTS / 2, seed);
            redraw(&mut trace, seed, geometric(m));
            let outcome = run(&servers(k), &ONE_MS, &trace);
            let (mut free, mut origin) = (vec![0u64; k as usize], 0);
            for (r, row) in outcome.records.iter().zip(&trace.requests) {
                let arrival = row.arrival.as_ps();
                let busy = free.iter().any(|&f| f > arrival);
                if !busy {
                    origin = arrival;
                }
                let boundary = origin + (arrival - origin).div_ceil(MS) * MS;
                let earliest = free.iter_mut().min().expect("servers");
                let start = boundary.max(*earliest);
                *earliest = start + u64::from(row.output) * MS;
                assert_eq!(r.scheduled.as_ps(), start, "Kiefer and Wolfowitz on the grid: {r:?}");
                assert_eq!(r.finish.as_ps(), *earliest, "{r:?}");
            }
            mean_s(&outcome.records, |r| r.queue())
        });
        let expected = erlang_c(k, f64::from(k) * rho) * service_s / (f64::from(k) * (1.0 - rho));
        // Half a step is lost to the grid by those who find no queue.
        let slack = 0.0005 / expected;
        assert_mean(&format!("M/M/{k} wait at load {rho}"), &waits, expected, slack);
    }
}

/// Without a cap nobody waits longer than for the step boundary, and the number present is Poisson with mean λS
/// whatever the lengths are (M/G/∞, [T] chapter 1): mean and variance of the timeline are equal.
#[test]
fn an_uncapped_batch_of_equal_steps_is_m_g_infinity() {
    let config = deployment(SchedulerConfig::Unified(Unified {
        token_budget: 1 << 20,
        max_sequences: 1 << 20,
        ..Unified::default()
    }));
    let present = 20.0;
    let options = RunOptions { samples: 3000, ..RunOptions::default() };
    let (mut means, mut ratios) = (Vec::new(), Vec::new());
    for seed in 1..=crate::theory::SEEDS {
        let mut trace = poisson(present / 0.400, 1, REQUESTS, seed);
        // Two classes of very different lengths with mean 400.
        redraw(&mut trace, seed, |d| if d.below(5) == 0 { 1600 } else { 100 });
        let outcome = observed(&config, &ONE_MS, &trace, &options, &mut ());
        for (r, row) in outcome.records.iter().zip(&trace.requests) {
            let over = (r.finish - r.arrival).as_ps() - u64::from(row.output) * MS;
            assert!(over < MS, "more than the step boundary was waited for: {r:?}");
        }
        let last = trace.requests.last().expect("requests").arrival;
        let inside = outcome.samples.iter().filter(|s| s.at > SimTime::from_ps(5000 * MS) && s.at < last);
        let counts: Vec<f64> = inside.map(|s| f64::from(s.waiting + s.running)).collect();
        let n = counts.len() as f64;
        let mean = counts.iter().sum::<f64>() / n;
        let variance = counts.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
        means.push(mean);
        ratios.push(variance / mean);
    }
    assert_mean("M/G/∞ number present", &means, present, 0.0005 / 0.400);
    assert_mean("M/G/∞ variance over mean", &ratios, 1.0, 0.0005 / 0.400);
}
