//! Random traces for the random scenarios.

use std::sync::Arc;

use windtunnel::ids::{ClassId, RequestId};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Closed, PrefixChains, Request, Trace};

use super::outcome::Options;
use super::rng::Rng;
use super::scenario::{MAX_STEPS, Scenario};
use super::sim;

pub fn trace(rng: &mut Rng, block: u32) -> Trace {
    let count = rng.range(1, 40);
    let grain = rng.pick(&[1, 50, 100, 100, 1000]);
    let span = rng.pick(&[1, 500, 3000, 10_000, 40_000]);
    let long_prompts = rng.chance(25);
    let max_rule = rng.range(0, 3);
    let mut requests: Vec<Request> = (0..count)
        .map(|_| {
            let prompt = if long_prompts && rng.chance(20) { rng.small(60, 140) } else { rng.small(1, 60) };
            let output = if rng.chance(15) { rng.small(1, 2) } else { rng.small(1, 40) };
            let max_tokens = match max_rule {
                0 => output,
                1 => output + rng.small(0, 30),
                2 => output.next_power_of_two(),
                _ => 200,
            };
            let arrival = SimTime::from_ps(rng.range(0, span) / grain * grain);
            Request { arrival, prompt, output, max_tokens, class: ClassId(rng.small(0, 1) as u16) }
        })
        .collect();
    requests.sort_by_key(|r| r.arrival);
    let closed = rng.chance(20).then(|| Closed {
        clients: rng.small(1, 8),
        think: SimDuration::from_ps(rng.pick(&[0, 0, 100, 700])),
    });
    let prefixes = rng.chance(75).then(|| Arc::new(prefixes(rng, &requests, block)));
    Trace { requests, classes: vec!["a".to_owned(), "b".to_owned()], closed, prefixes, ..Trace::default() }
}

/// Ids that name a path in a small tree, so that an id stands for all ids before it too.
fn prefixes(rng: &mut Rng, requests: &[Request], block: u32) -> PrefixChains {
    let tokens_per_id = block * rng.small(1, 3);
    let branches = rng.range(1, 3);
    let mut chains = PrefixChains { tokens_per_id, starts: vec![0], ids: Vec::new() };
    for request in requests {
        let mut node = 1;
        for _ in 0..request.prompt.div_ceil(tokens_per_id) {
            node = node * 31 + rng.range(1, branches);
            chains.ids.push(node);
            node %= 1 << 56;
        }
        chains.starts.push(chains.ids.len() as u32);
    }
    chains
}

/// Runs the first rows, then lets the other rows arrive exactly at ends of steps of that run.
pub fn arrive_on_boundaries(rng: &mut Rng, s: &mut Scenario) {
    let kept = rng.range(1, s.trace.len() as u64) as usize;
    let mut first = s.trace.clone();
    first.requests.truncate(kept);
    let options = Options { max_steps: MAX_STEPS, ..Options::default() };
    let outcome = sim::run_with(&s.deployment(), &first, options);
    if outcome.boundaries.is_empty() {
        return;
    }
    let admission = &mut s.config.front_end.admission;
    if admission.timeout.is_some() && rng.chance(50) {
        // Somebody gives up exactly at the end of a step.
        let arrival = rng.pick(&first.requests).arrival;
        let patience = rng.pick(&outcome.boundaries).saturating_sub(arrival.as_ps());
        admission.timeout = Some(SimDuration::from_ps(patience.max(1)));
    }
    let trace = &mut s.trace;
    for request in &mut trace.requests[kept..] {
        request.arrival = SimTime::from_ps(rng.pick(&outcome.boundaries));
    }
    // Rows stay in arrival order, and each keeps its prefix ids.
    let mut order: Vec<usize> = (0..trace.len()).collect();
    order.sort_by_key(|&i| trace.requests[i].arrival);
    trace.requests = order.iter().map(|&i| trace.requests[i]).collect();
    if let Some(old) = trace.prefixes.take() {
        let mut chains = PrefixChains { tokens_per_id: old.tokens_per_id, starts: vec![0], ids: Vec::new() };
        for &i in &order {
            chains.ids.extend_from_slice(old.of(RequestId(i as u32)));
            chains.starts.push(chains.ids.len() as u32);
        }
        trace.prefixes = Some(Arc::new(chains));
    }
}
