//! What the theory tests share: a deployment that is a textbook queue, arrivals, and means with their error.
//!
//! Books: [K1] Kleinrock, Queueing Systems, volume 1 (1975); [K2] volume 2 (1976); [T] Tijms, A First Course in
//! Stochastic Models (2003); [W] Wolff, Stochastic Modeling and the Theory of Queues (1989).

use windtunnel::cluster::{Outcome, RunOptions, StepObserver};
use windtunnel::cost::{DecodeShape, Segment, StepCost, StepShape, StepTime};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::metrics::record::RequestRecord;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{Iteration, SchedulerConfig};
use windtunnel::rng::{Component, stream};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{
    ArrivalsSpec, FixedLengths, LengthsSpec, PrepareContext, RequestRate, SteadyRate, Trace, WorkloadSpec,
};

/// Picoseconds in a millisecond.
pub const MS: u64 = 1_000_000_000;

/// Seeds of every estimate; they are fixed, so a test that passed once passes always.
pub const SEEDS: u64 = 8;

/// Two-sided 99.9 % quantile of Student's t with `SEEDS − 1` = 7 degrees of freedom.
const STUDENT: f64 = 5.408;

/// A step takes `fixed + per_sequence·(sequences) + per_token·(prompt tokens) + per_context·(Σ context)` ps.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinearCost {
    pub fixed: u64,
    pub per_sequence: u64,
    pub per_token: u64,
    pub per_context: u64,
    pub per_swapped_block: u64,
}

impl LinearCost {
    /// Everything takes `times` as long.
    pub fn slower(self, times: u64) -> Self {
        LinearCost {
            fixed: self.fixed * times,
            per_sequence: self.per_sequence * times,
            per_token: self.per_token * times,
            per_context: self.per_context * times,
            per_swapped_block: self.per_swapped_block * times,
        }
    }
}

impl StepCost for LinearCost {
    fn step(&self, _stage: u8, shape: &StepShape<'_>) -> StepTime {
        let tokens: u64 = shape.chunks.iter().map(|c| u64::from(c.tokens)).sum();
        let sequences = shape.chunks.len() as u64 + u64::from(shape.decode.n + shape.decode.padding);
        let linear = self.fixed + self.per_sequence * sequences + self.per_token * tokens;
        StepTime {
            linear: SimDuration::from_ps(linear),
            attention: SimDuration::from_ps(self.per_context * shape.decode.context),
            ..StepTime::default()
        }
    }

    fn decode_segment(&self, _stage: u8, shape: &DecodeShape) -> Segment {
        let constant = self.fixed + self.per_sequence * u64::from(shape.n + shape.padding);
        Segment {
            total: constant,
            total_slope: self.per_context,
            gpu: constant,
            gpu_slope: self.per_context,
            linear: constant,
            link: 0,
            until: 1 << 36,
        }
    }

    fn swap(&self, blocks: u32) -> SimDuration {
        SimDuration::from_ps(self.per_swapped_block * u64::from(blocks))
    }
}

/// One replica with so much memory that it never matters.
pub fn deployment(scheduler: SchedulerConfig) -> ClusterConfig {
    let kv = KvConfig {
        block: 16,
        blocks: 1 << 26,
        allocation: Allocation::Paged { watermark: 0 },
        preemption: Preemption::Recompute,
        prefix_cache: false,
    };
    ClusterConfig {
        replica: ReplicaConfig {
            scheduler,
            kv,
            max_model_len: 1 << 20,
            late_stop: false,
            order: Order::Fcfs,
            host_cache: 0,
        },
        replicas: 1,
        router: RouterConfig::default(),
        front_end: FrontEnd::NONE,
    }
}

/// A batch of at most `k` requests that everybody may join at any step.
pub fn servers(k: u32) -> ClusterConfig {
    deployment(SchedulerConfig::Iteration(Iteration { max_batch: k }))
}

/// Poisson arrivals at `per_second` from the product's generator; prompts of one token, `output` tokens each.
pub fn poisson(per_second: f64, output: u32, requests: u32, seed: u64) -> Trace {
    let rate = RequestRate::per_second(per_second).expect("a positive rate");
    let spec = WorkloadSpec {
        arrivals: Some(ArrivalsSpec::Poisson(SteadyRate { rate })),
        lengths: Some(LengthsSpec::Fixed(FixedLengths { prompt: 1, output })),
        requests: Some(requests),
        ..WorkloadSpec::default()
    };
    let mut trace =
        spec.prepare(&PrepareContext { seed, ..PrepareContext::default() }).expect("a workload").trace;
    trace.requests.iter_mut().for_each(|r| r.max_tokens = r.output);
    trace
}

/// Gives every request an output drawn by `law` from its own stream.
pub fn redraw(trace: &mut Trace, seed: u64, law: impl Fn(&mut windtunnel::rng::Draws) -> u32) {
    const OUTPUTS: Component = Component::named("tests/theory/outputs");
    for (i, request) in (0u64..).zip(&mut trace.requests) {
        request.output = law(&mut stream(seed, OUTPUTS, i, 0));
        request.max_tokens = request.output;
    }
}

/// Geometric on 1, 2, … with P(L > k) = e^(−k/m): the discrete exponential. Its mean is [`geometric_mean`].
pub fn geometric(m: f64) -> impl Fn(&mut windtunnel::rng::Draws) -> u32 {
    move |draws| draws.exponential(m).ceil().max(1.0) as u32
}

pub fn geometric_mean(m: f64) -> f64 {
    1.0 / (1.0 - libm::exp(-1.0 / m))
}

#[track_caller]
pub fn run(config: &ClusterConfig, cost: &dyn StepCost, trace: &Trace) -> Outcome {
    observed(config, cost, trace, &RunOptions::default(), &mut ())
}

#[track_caller]
pub fn observed(
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Outcome {
    windtunnel::cluster::simulate(config, cost, trace, options, observer).expect("no violation")
}

/// Mean of `value` over all records, in seconds.
pub fn mean_s(
    records: impl IntoIterator<Item = RequestRecord>,
    value: impl Fn(&RequestRecord) -> SimDuration,
) -> f64 {
    let (mut n, mut sum) = (0_u64, 0_u128);
    for r in records {
        (n, sum) = (n + 1, sum + u128::from(value(&r).as_ps()));
    }
    sum as f64 / n as f64 / 1e12
}

/// One estimate per seed.
pub fn per_seed(estimate: impl Fn(u64) -> f64) -> Vec<f64> {
    (1..=SEEDS).map(estimate).collect()
}

/// The mean over seeds lies within Student's 99.9 % interval around `expected`, widened by `slack` (relative) where the
/// theory is a limit that the simulation only comes near to; and the interval is no wider than 10 %.
#[track_caller]
pub fn assert_mean(name: &str, estimates: &[f64], expected: f64, slack: f64) {
    let n = estimates.len() as f64;
    assert!(estimates.len() as u64 == SEEDS, "the quantile is that of {SEEDS} seeds");
    let mean = estimates.iter().sum::<f64>() / n;
    let variance = estimates.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    let half_width = STUDENT * (variance / n).sqrt() / expected;
    let off = mean / expected - 1.0;
    crate::cost::report(format_args!(
        "{name}: theory {expected:.6}, simulated {mean:.6} ({:+.2} %, 99.9 % interval ±{:.2} %)",
        100.0 * off,
        100.0 * half_width
    ));
    assert!(half_width < 0.10, "{name}: the interval of ±{half_width:.3} would let everything pass");
    assert!(off.abs() <= half_width + slack, "{name}: {mean} against {expected}, {off:+.4} is too far");
}

/// Start of service of each request at `k` servers that share one queue, first come first served: the recursion of
/// Kiefer and Wolfowitz (1955); with one server that of Lindley ([K1] chapter 8).
pub fn starts(trace: &Trace, k: usize, service: impl Fn(usize) -> u64) -> Vec<SimTime> {
    let mut free = vec![0u64; k];
    let start = |(i, r): (usize, &windtunnel::workload::Request)| {
        let earliest = free.iter_mut().min().expect("at least one server");
        let start = r.arrival.as_ps().max(*earliest);
        *earliest = start + service(i);
        SimTime::from_ps(start)
    };
    trace.requests.iter().enumerate().map(start).collect()
}
