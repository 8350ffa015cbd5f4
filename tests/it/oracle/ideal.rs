//! `ideal` (§8): each request has the accelerator alone from `queued` on.

use windtunnel::cost::{Chunk, DecodeShape, StepCost, StepShape};
use windtunnel::metrics::record::Cause;
use windtunnel::units::SimDuration;

use super::door::Door;
use super::pipeline::count_step;
use super::sim::Sim;

/// The whole life of the request at once: nothing can interfere.
pub fn serve(sim: &mut Sim<'_>, r: usize) {
    let mut t = sim.now;
    let front = t - sim.requests[r].arrival;
    sim.requests[r].ledger.add(Cause::FrontEnd, SimDuration::from_ps(front));
    sim.requests[r].scheduled = Some(t);
    let (prompt, output) = (sim.requests[r].prompt, sim.requests[r].output);
    let fastest = (0..sim.deployment.groups.len()).min_by_key(|&g| alone(sim, g, prompt, output));
    let cost = sim.deployment.groups[fastest.expect("a group")].cost;
    t = step(sim, (r, cost), t, &[Chunk { tokens: prompt, past: 0 }], DecodeShape::default());
    sim.counters.prefill_tokens += u64::from(prompt);
    sim.requests[r].generated = 1;
    sim.requests[r].deliver(t);
    while sim.requests[r].generated < output {
        // It attends to prompt and all tokens so far: the newest one has no KV yet (§3).
        let context = u64::from(prompt + sim.requests[r].generated);
        t = step(sim, (r, cost), t, &[], DecodeShape { n: 1, padding: 0, context });
        sim.requests[r].generated += 1;
        sim.requests[r].deliver(t);
    }
    sim.requests[r].finish = Some(t);
    Door::release(sim, r, t);
}

/// Time of the request alone on the replicas of group `g`.
fn alone(sim: &Sim<'_>, g: usize, prompt: u32, output: u32) -> u64 {
    let cost = sim.deployment.groups[g].cost;
    let mut total = 0;
    for token in 0..output {
        let chunk = [Chunk { tokens: prompt, past: 0 }];
        let context = u64::from(prompt + token);
        let (chunks, decode): (&[Chunk], _) = if token == 0 {
            (&chunk, DecodeShape::default())
        } else {
            (&[], DecodeShape { n: 1, padding: 0, context })
        };
        let tokens = if token == 0 { prompt } else { 1 };
        for stage in 0..cost.stages() {
            total += cost.step(stage, &StepShape { chunks, decode }).total().as_ps();
            total += if stage > 0 { cost.hop(tokens).as_ps() } else { 0 };
        }
        total += if cost.stages() > 1 { cost.token_return().as_ps() } else { 0 };
    }
    total
}

/// All stages in sequence with hops; returns when the token is back.
fn step(
    sim: &mut Sim<'_>,
    (r, cost): (usize, &dyn StepCost),
    start: u64,
    chunks: &[Chunk],
    decode: DecodeShape,
) -> u64 {
    let shape = StepShape { chunks, decode };
    let tokens: u32 = chunks.iter().map(|c| c.tokens).sum::<u32>() + decode.n;
    let cause = if chunks.is_empty() { Cause::DecodeExecution } else { Cause::PrefillExecution };
    let mut t = start;
    for stage in 0..cost.stages() {
        let mut hop = SimDuration::ZERO;
        if stage > 0 {
            hop = cost.hop(tokens);
        }
        let time = cost.step(stage, &shape);
        t += hop.as_ps() + time.total().as_ps();
        let ledger = &mut sim.requests[r].ledger;
        ledger.add(Cause::Bubble, hop);
        ledger.add(cause, time.gpu());
        ledger.add(Cause::Host, time.host);
    }
    if cost.stages() > 1 {
        let back = cost.token_return();
        t += back.as_ps();
        sim.requests[r].ledger.add(Cause::Bubble, back);
    }
    count_step(&mut sim.counters, &shape);
    sim.counters.decode_tokens += u64::from(decode.n);
    sim.boundaries.push(t);
    t
}
