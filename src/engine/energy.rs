//! Energy of steps and leaps (docs/semantics.md §17), in integers: each step draws what its law says, at most the cap.

use crate::cost::StepPower;
use crate::metrics::record::Energy;
use crate::metrics::work::Work;

use super::flight::{Flight, Leap};

/// What a step of given times and work would draw without a cap, and the cap times its length, in fJ. Signed, because the
/// line of a leap is also read one step beyond its end, where it may mean nothing.
fn uncapped(law: &StepPower, total: u64, kernel: u64, work: &Work) -> (i128, i128) {
    let wide = i128::from;
    let (total, kernel) = (wide(total), wide(kernel));
    let boards = wide(law.load) * total + wide(law.base) * kernel + wide(law.wait) * (total - kernel);
    let of_work = i128::try_from(of_work(law, work)).expect("a step draws less than 2^127 fJ");
    (wide(law.gpus) * boards + of_work, wide(law.gpus) * wide(law.cap) * total)
}

/// What moving and computing adds, in fJ.
fn of_work(law: &StepPower, work: &Work) -> u128 {
    let wide = u128::from;
    wide(law.step) * wide(work.steps)
        + wide(law.token) * wide(work.tokens)
        + wide(law.logit) * wide(work.logits)
        + wide(law.context) * work.context
        + wide(law.pair) * work.pairs
        + wide(law.chunk) * wide(work.chunk_context)
}

impl Flight {
    /// What it has drawn when it ends, on one stage or in a pipeline.
    pub fn energy(&self, law: &StepPower, piped: bool) -> Energy {
        let loaded = |total: u64| u128::from(law.gpus) * u128::from(law.load) * u128::from(total);
        if let Some(leap) = &self.leap {
            let decode = self.leap_energy(leap, law);
            return Energy { decode, loaded: loaded(leap.elapsed(leap.steps).as_ps()), ..Energy::default() };
        }
        let total = (self.time.total() + self.swap + self.load).as_ps();
        let kernel = (self.time.linear + self.time.attention).as_ps();
        let (drawn, cap) = uncapped(law, total, kernel, &self.work(1));
        let drawn = u128::try_from(drawn.min(cap)).expect("nothing draws less than nothing");
        let slots = u64::from(self.decode.n) + u64::from(self.decode.padding);
        let decode = match (self.chunks.is_empty(), self.decode.n) {
            (true, _) => drawn,
            (false, 0) => 0,
            (false, _) if piped => drawn * u128::from(slots) / u128::from(self.work(1).tokens),
            // Decodes draw their share of the accelerator's time, as in the ledger.
            (false, _) => drawn * u128::from(self.decode_gpu) / u128::from(self.time.gpu().as_ps().max(1)),
        };
        Energy { prefill: drawn - decode, decode, loaded: loaded(total) }
    }

    /// Steps of a fixed batch draw along one line and are capped along another: the sum of the lower one.
    fn leap_energy(&self, leap: &Leap, law: &StepPower) -> u128 {
        let steps = leap.steps;
        let at = |step: u64| {
            let (total, gpu) = (leap.total + step * leap.total_slope, leap.gpu + step * leap.gpu_slope);
            let context = self.decode.context + step * u64::from(self.decode.n);
            let work = Work { context: u128::from(context), ..self.work(1) };
            uncapped(law, total, gpu - leap.link, &work)
        };
        let ((drawn, cap), (drawn_next, cap_next)) = (at(0), at(1));
        let all = line(drawn, drawn_next - drawn, 0, steps);
        let (above, slope) = (drawn - cap, (drawn_next - cap_next) - (drawn - cap));
        // The steps whose excess over the cap is positive: a beginning or an end of the leap.
        let whole = i128::from(steps);
        let (from, to) = match slope {
            0 if above > 0 => (0, whole),
            0 => (0, 0),
            _ if slope > 0 && above > 0 => (0, whole),
            _ if slope > 0 => ((-above / slope + 1).min(whole), whole),
            _ if above <= 0 => (0, 0),
            _ => (0, ((above + -slope - 1) / -slope).min(whole)),
        };
        let index = |at: i128| u64::try_from(at).expect("within the leap");
        let excess = line(above, slope, index(from), index(to));
        u128::try_from(all - excess).expect("nothing draws less than nothing")
    }
}

/// Σ over `from ≤ j < to` of `first + j·slope`.
fn line(first: i128, slope: i128, from: u64, to: u64) -> i128 {
    let (from, to) = (i128::from(from), i128::from(to));
    let count = to - from;
    count * first + slope * ((from + to - 1) * count / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{DecodeShape, Segment};

    /// Every sign of the slope and of the start, and a crossing inside.
    #[test]
    fn a_leap_draws_what_its_steps_draw() {
        let mut capped = [0, 0];
        for (total_slope, gpu_slope, context, cap) in [
            (0, 0, 3, 50),
            (0, 0, 900, 50),
            (0, 7, 40, 50),
            (5, 5, 0, 30),
            (5, 5, 400, 40),
            (40, 5, 3_000, 40),
            (5, 5, 0, 9),
            (0, 1, 40, 1_000),
        ] {
            let law = StepPower {
                gpus: 2,
                load: 5,
                base: 4,
                wait: 1,
                cap,
                step: 900,
                token: 30,
                logit: 2,
                context,
                pair: 1,
                chunk: 1,
            };
            let shape = DecodeShape { n: 3, padding: 1, context: 60 };
            let segment =
                Segment { total: 1_000, total_slope, gpu: 500, gpu_slope, linear: 400, link: 50, until: 240 };
            let flight = |shape: DecodeShape, steps: Option<u64>| {
                let mut leap = Leap::new(&segment, &shape);
                leap.steps = steps.unwrap_or(leap.steps);
                Flight { decode: shape, leap: Some(leap), ..Flight::default() }
            };
            let whole = flight(shape, None);
            let mut sum = Energy::default();
            for step in 0..whole.steps() {
                let context = shape.context + step * 3;
                let one = flight(DecodeShape { context, ..shape }, Some(1));
                let energy = one.energy(&law, false);
                sum.add(&energy);
                let leap = one.leap.expect("a leap of one step");
                let (drawn, most) = uncapped(&law, leap.total, leap.gpu - leap.link, &one.work(1));
                assert_eq!(i128::try_from(energy.decode), Ok(drawn.min(most)), "one step");
                capped[usize::from(drawn > most)] += 1;
            }
            assert_eq!(whole.energy(&law, false), sum, "{law:?}");
        }
        assert!(capped.iter().all(|&steps| steps > 50), "{capped:?}");
    }
}
