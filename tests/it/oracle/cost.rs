//! A synthetic integer cost of small round numbers, so that ties are frequent and values can be added by hand.

use windtunnel::cost::{DecodeShape, Segment, StepCost, StepPower, StepShape, StepTime};
use windtunnel::units::SimDuration;

use super::rng::Rng;

/// What the host adds to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// `max(gpu, floor) + fixed + per_sequence · n`.
    Serial { floor: u64, fixed: u64, per_sequence: u64 },
    /// `max(gpu, fixed + per_sequence · n + per_token · chunk tokens)`.
    Overlapped { fixed: u64, per_sequence: u64, per_token: u64 },
}

/// Coefficients in ps; stage `s` costs `stage[s]` times as much on the accelerator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestCost {
    pub base: u64,
    pub token: u64,
    pub context: u64,
    pub pair: u64,
    pub link: u64,
    pub host: Host,
    pub stage: Vec<u64>,
    pub hop_base: u64,
    pub hop_token: u64,
    pub back: u64,
    pub swap_base: u64,
    pub swap_block: u64,
    pub power: Option<StepPower>,
}

impl TestCost {
    /// `base + token·m + context·S` on one stage, nothing else; a swap takes `7 + 5·blocks`.
    pub fn plain(base: u64, token: u64, context: u64) -> TestCost {
        TestCost {
            base,
            token,
            context,
            pair: 0,
            link: 0,
            host: Host::Serial { floor: 0, fixed: 0, per_sequence: 0 },
            stage: vec![1],
            hop_base: 0,
            hop_token: 0,
            back: 0,
            swap_base: 7,
            swap_block: 5,
            power: None,
        }
    }

    /// A random cost with this many stages.
    pub fn random(rng: &mut Rng, stages: usize) -> TestCost {
        let mut cost = TestCost::plain(rng.range(1, 200), rng.range(0, 12), rng.range(0, 3));
        cost.pair = rng.range(0, 2);
        cost.link = rng.range(0, 1) * rng.range(0, 30);
        cost.host = match rng.range(0, 3) {
            0 => Host::Serial { floor: 0, fixed: 0, per_sequence: 0 },
            1 => Host::Serial { floor: 0, fixed: rng.range(0, 50), per_sequence: rng.range(0, 3) },
            2 => Host::Serial { floor: rng.range(100, 500), fixed: rng.range(0, 20), per_sequence: 0 },
            _ => Host::Overlapped {
                fixed: rng.range(50, 400),
                per_sequence: rng.range(0, 5),
                per_token: rng.range(0, 3),
            },
        };
        if rng.chance(15) {
            // Every step takes the same time: completions of several replicas tie.
            cost = TestCost::plain(100, 0, 0);
        }
        cost.stage = (0..stages).map(|_| if rng.chance(50) { 1 } else { rng.range(1, 4) }).collect();
        if stages > 1 && rng.chance(70) {
            (cost.hop_base, cost.hop_token, cost.back) =
                (rng.range(0, 40), rng.range(0, 2), rng.range(0, 60));
        }
        (cost.swap_base, cost.swap_block) = (rng.range(0, 30), rng.range(0, 20));
        // Draws of its own: the scenarios stay those that they were before steps drew anything.
        let own = cost.base + 211 * cost.token + 3_001 * cost.swap_base + 100_003 * cost.swap_block;
        let mut own = Rng::new((500 << 48) | own);
        cost.power = own.chance(80).then(|| power(&mut own));
        cost
    }

    fn gpu_parts(&self, stage: u8, shape: &StepShape<'_>) -> (u64, u64, u64) {
        let chunk_tokens: u64 = shape.chunks.iter().map(|c| u64::from(c.tokens)).sum();
        let pairs: u64 = shape
            .chunks
            .iter()
            .map(|c| u64::from(c.tokens) * (2 * u64::from(c.past) + u64::from(c.tokens)))
            .sum();
        let m = chunk_tokens + u64::from(shape.decode.n) + u64::from(shape.decode.padding);
        let factor = self.stage[usize::from(stage)];
        let linear = factor * (self.base + self.token * m);
        let attention = factor * (self.context * shape.decode.context + self.pair * pairs);
        (linear, attention, factor * self.link)
    }

    /// The least duration (before `added`) and what is added after it.
    fn host_terms(&self, n: u64, chunk_tokens: u64) -> (u64, u64) {
        match self.host {
            Host::Serial { floor, fixed, per_sequence } => (floor, fixed + per_sequence * n),
            Host::Overlapped { fixed, per_sequence, per_token } => {
                (fixed + per_sequence * n + per_token * chunk_tokens, 0)
            }
        }
    }
}

/// A random law whose cap binds sometimes.
fn power(rng: &mut Rng) -> StepPower {
    StepPower {
        gpus: rng.range(1, 3),
        load: rng.range(1, 20),
        base: rng.range(0, 20),
        wait: rng.range(0, 10),
        cap: rng.range(20, 120),
        step: rng.range(0, 4000),
        token: rng.range(0, 300),
        logit: rng.range(0, 20),
        context: rng.range(0, 60),
        pair: rng.range(0, 20),
        chunk: rng.range(0, 40),
    }
}

impl StepCost for TestCost {
    fn power(&self) -> Option<StepPower> {
        self.power
    }

    fn stages(&self) -> u8 {
        self.stage.len() as u8
    }

    fn step(&self, stage: u8, shape: &StepShape<'_>) -> StepTime {
        let (linear, attention, link) = self.gpu_parts(stage, shape);
        let chunk_tokens = shape.chunks.iter().map(|c| u64::from(c.tokens)).sum();
        let (least, added) = self.host_terms(u64::from(shape.decode.n), chunk_tokens);
        let gpu = linear + attention + link;
        StepTime {
            linear: SimDuration::from_ps(linear),
            attention: SimDuration::from_ps(attention),
            link: SimDuration::from_ps(link),
            host: SimDuration::from_ps(gpu.max(least) - gpu + added),
        }
    }

    fn decode_segment(&self, stage: u8, shape: &DecodeShape) -> Segment {
        let zero = StepShape { chunks: &[], decode: DecodeShape { context: 0, ..*shape } };
        let (linear, _, link) = self.gpu_parts(stage, &zero);
        let slope = self.stage[usize::from(stage)] * self.context;
        let gpu = linear + link;
        let (least, added) = self.host_terms(u64::from(shape.n), 0);
        let base = Segment {
            total: gpu + added,
            total_slope: slope,
            gpu,
            gpu_slope: slope,
            linear,
            link,
            until: u64::MAX,
        };
        if gpu + slope * shape.context >= least {
            return base;
        }
        let until = (least - gpu).checked_div(slope).unwrap_or(u64::MAX);
        Segment { total: least + added, total_slope: 0, until, ..base }
    }

    fn hop(&self, tokens: u32) -> SimDuration {
        SimDuration::from_ps(self.hop_base + self.hop_token * u64::from(tokens))
    }

    fn token_return(&self) -> SimDuration {
        SimDuration::from_ps(self.back)
    }

    fn swap(&self, blocks: u32) -> SimDuration {
        SimDuration::from_ps(self.swap_base + self.swap_block * u64::from(blocks))
    }
}

#[test]
fn segment_of_the_test_cost_equals_its_steps() {
    let mut rng = Rng::new(7);
    for _ in 0..2000 {
        let stages = rng.range(1, 3) as usize;
        let cost = TestCost::random(&mut rng, stages);
        let stage = (rng.next() % stages as u64) as u8;
        let decode =
            DecodeShape { n: rng.small(1, 40), padding: rng.small(0, 5), context: rng.range(1, 400) };
        let line = cost.decode_segment(stage, &decode);
        assert!(line.until >= decode.context);
        for context in [decode.context, decode.context + 1, line.until.min(decode.context + 500)] {
            if context > line.until {
                continue;
            }
            let shape = StepShape { chunks: &[], decode: DecodeShape { context, ..decode } };
            let time = cost.step(stage, &shape);
            assert!(time.total().as_ps() >= 1);
            assert_eq!(time.total().as_ps(), line.total + line.total_slope * context, "{cost:?}");
            assert_eq!(time.gpu().as_ps(), line.gpu + line.gpu_slope * context, "{cost:?}");
            assert_eq!(time.linear.as_ps(), line.linear);
            assert_eq!(time.link.as_ps(), line.link);
        }
    }
}
