//! What a step draws (§17), stage by stage and token by token.

use windtunnel::cost::StepShape;

use super::mutation::Mutation;
use super::pipeline::Batch;
use super::sim::Sim;

pub fn count_energy(sim: &mut Sim<'_>, k: usize, batch: &Batch, shape: &StepShape<'_>) {
    let Some(law) = sim.cost(k).power() else { return };
    let mut joules = 0_u128;
    let mut time = batch.swap + batch.load;
    joules += u128::from(law.gpus * law.wait) * u128::from(time);
    for s in 0..sim.stages(k) {
        let t = sim.cost(k).step(s as u8, shape);
        let works = (t.linear + t.attention).as_ps();
        let waits = (t.link + t.host).as_ps();
        joules += u128::from(law.gpus * law.base) * u128::from(works);
        joules += u128::from(law.gpus * law.wait) * u128::from(waits);
        time += works + waits;
    }
    let loaded = u128::from(law.gpus * law.load) * u128::from(time);
    joules += loaded;
    // Weights once; each token; what each of them looks at.
    joules += u128::from(law.step);
    let slots = u128::from(shape.decode.n) + u128::from(shape.decode.padding);
    joules += slots * u128::from(law.token);
    let rows = slots + shape.chunks.len() as u128;
    joules += rows.max(1) * u128::from(law.logit);
    joules += u128::from(law.context) * u128::from(shape.decode.context);
    let mut tokens = slots;
    for c in shape.chunks {
        for position in c.past..c.past + c.tokens {
            joules += u128::from(law.token) + u128::from(law.pair) * (2 * u128::from(position) + 1);
            tokens += 1;
        }
        joules += u128::from(law.chunk) * u128::from(c.past + c.tokens);
    }
    let most = u128::from(law.gpus * law.cap) * u128::from(time);
    sim.coverage.capped += u64::from(joules > most);
    sim.coverage.uncapped += u64::from(joules <= most);
    if !sim.mutated(Mutation::CapIgnored) {
        joules = joules.min(most);
    }
    let decode = if shape.chunks.is_empty() {
        joules
    } else if shape.decode.n == 0 {
        0
    } else if sim.pipelined(k) {
        joules * slots / tokens
    } else {
        let gpu = u128::from(batch.gpu.max(1));
        joules * u128::from(batch.decode_only_gpu.min(batch.gpu)) / gpu
    };
    let sums = &mut sim.counters.energy;
    sums.decode += decode;
    sums.prefill += joules - decode;
    sums.loaded += loaded;
}
