//! The same requests seen a little differently: others first among those of one instant, or a coarser clock. What a study
//! finds should not hang on either.

use std::sync::Arc;

use super::trace::{PrefixChains, Request, Trace};
use crate::rng::{Component, stream};
use crate::units::{SimDuration, SimTime};

/// A grain below this is no clock of a trace, only the last digit of its numbers.
const FINEST_CLOCK: SimDuration = SimDuration::from_ms(1);

/// The requests with those of one instant in another order, drawn with `seed`; none where no two arrive at one instant, in
/// a closed loop, whose order is that of its rows, and where turns come after answers, whose order is that of a session. O(n log n).
pub fn permute_ties(trace: &Trace, seed: u64) -> Option<Trace> {
    const COMPONENT: Component = Component::named("workload/ties");
    let arrival = |i: usize| trace.requests[i].arrival;
    let ties = trace.requests.windows(2).any(|pair| pair[0].arrival == pair[1].arrival);
    if trace.hears_answers() || !ties {
        return None;
    }
    let mut order: Vec<usize> = (0..trace.len()).collect();
    order.sort_by_cached_key(|&i| (arrival(i), stream(seed, COMPONENT, i as u64, 0).below(u64::MAX), i));
    let requests: Vec<Request> = order.iter().map(|&i| trace.requests[i]).collect();
    let sessions = trace.sessions.as_ref().map(|of| order.iter().map(|&i| of[i]).collect());
    let prefixes = trace.prefixes.as_ref().map(|chains| Arc::new(reordered(chains, &order)));
    Some(Trace { requests, sessions, prefixes, ..trace.clone() })
}

fn reordered(chains: &PrefixChains, order: &[usize]) -> PrefixChains {
    let (mut starts, mut ids) = (vec![0], Vec::with_capacity(chains.ids.len()));
    for &i in order {
        ids.extend_from_slice(&chains.ids[chains.starts[i] as usize..chains.starts[i + 1] as usize]);
        starts.push(u32::try_from(ids.len()).expect("as many ids as before"));
    }
    PrefixChains { tokens_per_id: chains.tokens_per_id, starts, ids }
}

/// The grain of the clock that the arrivals are on: the largest time that divides them all; none below a millisecond, and
/// where there are no two instants.
pub fn own_clock(trace: &Trace) -> Option<SimDuration> {
    let gcd = |a: u64, b: u64| {
        let (mut a, mut b) = (a, b);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let grain = trace.requests.iter().map(|r| r.arrival.as_ps()).fold(0, gcd);
    Some(SimDuration::from_ps(grain)).filter(|&grain| grain >= FINEST_CLOCK)
}

/// The requests with every arrival rounded down to a multiple of `grain`.
pub fn coarsen(trace: &Trace, grain: SimDuration) -> Trace {
    let mut trace = trace.clone();
    for request in &mut trace.requests {
        let at = request.arrival.as_ps();
        request.arrival = SimTime::from_ps(at - at % grain.as_ps().max(1));
    }
    trace
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ClassId, RequestId};

    /// Requests that arrive at these milliseconds; the prompt is the row.
    fn trace(ms: &[u64]) -> Trace {
        let request = |(i, &ms): (usize, &u64)| Request {
            arrival: SimTime::ZERO + SimDuration::from_ms(ms),
            prompt: i as u32 + 1,
            output: 1,
            max_tokens: 1,
            class: ClassId(0),
        };
        let n = ms.len() as u32;
        let prefixes =
            PrefixChains { tokens_per_id: 16, starts: (0..=n).collect(), ids: (1..=u64::from(n)).collect() };
        Trace {
            requests: ms.iter().enumerate().map(request).collect(),
            classes: vec!["all".to_owned()],
            sessions: Some((1..=n).collect()),
            prefixes: Some(Arc::new(prefixes)),
            ..Trace::default()
        }
    }

    #[test]
    fn only_requests_of_one_instant_change_places_and_all_that_is_theirs_goes_with_them() {
        let mut ms = vec![0, 5];
        ms.extend([7; 40]);
        ms.push(9);
        let before = trace(&ms);
        let after = permute_ties(&before, 1).expect("ties");
        let arrivals = |t: &Trace| t.requests.iter().map(|r| r.arrival).collect::<Vec<_>>();
        assert_eq!(arrivals(&after), arrivals(&before));
        assert_ne!(after.requests, before.requests);
        assert_eq!(
            (after.requests[0], after.requests[1], after.requests[42]),
            (before.requests[0], before.requests[1], before.requests[42])
        );
        let prefixes = after.prefixes.clone().expect("ids");
        let mut prompts: Vec<u32> = after.requests.iter().map(|r| r.prompt).collect();
        for (i, &prompt) in prompts.iter().enumerate() {
            let id = RequestId(i as u32);
            assert_eq!((after.session(id), prefixes.of(id)), (Some(prompt), &[u64::from(prompt)][..]));
        }
        prompts.sort_unstable();
        assert_eq!(prompts, (1..=43).collect::<Vec<u32>>());
        assert_ne!(permute_ties(&before, 2), Some(after));
        assert_eq!(permute_ties(&trace(&[0, 1, 2]), 1), None);
    }

    #[test]
    fn a_clock_is_what_divides_all_arrivals() {
        assert_eq!(own_clock(&trace(&[0, 200, 300, 900])), Some(SimDuration::from_ms(100)));
        assert_eq!(own_clock(&trace(&[0, 0])), None);
        let mut odd = trace(&[0, 200, 300]);
        odd.requests[2].arrival += SimDuration::from_ps(7);
        assert_eq!(own_clock(&odd), None);
        let coarse = coarsen(&trace(&[0, 200, 300, 900]), SimDuration::from_ms(200));
        let arrivals: Vec<u64> = coarse.requests.iter().map(|r| r.arrival.as_ps() / 1_000_000_000).collect();
        assert_eq!(arrivals, [0, 200, 200, 800]);
    }
}
