//! A batch from its launch through the stages to the return of its tokens (§5, §6, §7).

use windtunnel::cost::{Chunk, DecodeShape, StepShape};
use windtunnel::engine::config::{FirstToken, Role};
use windtunnel::metrics::record::RunCounters;
use windtunnel::policy::scheduler::SchedulerConfig;

use super::door::Door;
use super::early;
use super::energy::count_energy;
use super::hand_over;
use super::ledger;
use super::mutation::Mutation;
use super::patience;
use super::plan::Plan;
use super::request::{Loss, Way};
use super::sim::Sim;
use super::work::{count_shape, count_waste};

/// One step in flight.
#[derive(Clone)]
pub struct Batch {
    pub start: u64,
    /// Its tokens are back.
    pub end: u64,
    pub prefill: Vec<(usize, u32)>,
    /// One token each; feeds and stopping requests included.
    pub decode: Vec<usize>,
    /// Accelerator and host time, summed over stages.
    pub gpu: u64,
    pub host: u64,
    pub swap: u64,
    /// Loading prefix blocks from host memory.
    pub load: u64,
    /// Accelerator time of stage 0 for the same sequences without chunks.
    pub decode_only_gpu: u64,
}

impl Batch {
    pub fn has(&self, r: usize) -> bool {
        self.decode.contains(&r) || self.prefill.iter().any(|p| p.0 == r)
    }
}

/// Counters that follow from the shape alone.
pub fn count_step(counters: &mut RunCounters, shape: &StepShape<'_>) {
    counters.steps += 1;
    if !shape.chunks.is_empty() {
        let mixed = shape.decode.n > 0;
        counters.mixed_steps += u64::from(mixed);
        counters.prefill_steps += u64::from(!mixed);
    }
    count_shape(counters, shape);
}

/// The plan has been applied: the batch starts on stage 0 now.
pub fn launch(sim: &mut Sim<'_>, k: usize, plan: Plan) {
    let chunk = |&(r, q): &(usize, u32)| match plan.pad_prefill_to {
        0 => Chunk { tokens: q, past: sim.requests[r].computed },
        longest => Chunk { tokens: longest, past: 0 },
    };
    let chunks: Vec<Chunk> = plan.prefill.iter().map(chunk).collect();
    let own = u64::from(!sim.mutated(Mutation::ContextOffByOne));
    let decode = DecodeShape {
        n: plan.decode.len() as u32,
        padding: plan.padding,
        context: plan.decode.iter().map(|&r| u64::from(sim.requests[r].computed) + own).sum(),
    };
    let shape = StepShape { chunks: &chunks, decode };
    let swap = if plan.moved > 0 && !sim.mutated(Mutation::SwapIsFree) {
        sim.cost(k).swap(plan.moved).as_ps()
    } else {
        0
    };
    let load = if plan.loaded > 0 { sim.cost(k).swap(plan.loaded).as_ps() } else { 0 };
    let (end, gpu, host) = stages(sim, k, &shape, swap + load);
    let only = StepShape { chunks: &[], decode };
    let batch = Batch {
        start: sim.now,
        end: end + late(sim, &plan),
        prefill: plan.prefill,
        decode: plan.decode,
        gpu,
        host,
        swap,
        load,
        decode_only_gpu: if decode.n == 0 { 0 } else { sim.cost(k).step(0, &only).gpu().as_ps() },
    };
    count(sim, &batch, &shape);
    count_energy(sim, k, &batch, &shape);
    for &r in batch.prefill.iter().map(|p| &p.0).chain(&batch.decode) {
        sim.requests[r].in_flight = true;
        ledger::account_queue(&mut sim.requests[r], sim.now);
        if sim.requests[r].way != Way::None {
            ledger::account_hand_over(&mut sim.requests[r], sim.now, sim.options.mutation);
            sim.requests[r].way = Way::None;
        }
    }
    sim.coverage.overlapped_batches += u64::from(!sim.replicas[k].in_flight.is_empty());
    early::launched(sim, k, &batch);
    sim.replicas[k].in_flight.push(batch);
}

/// Mutation: 1 ps more if a request gets its last token in this step.
fn late(sim: &Sim<'_>, plan: &Plan) -> u64 {
    let finishing = plan.decode.iter().any(|&r| sim.requests[r].generated + 1 == sim.requests[r].output);
    u64::from(sim.mutated(Mutation::FinishingStepTooLong) && finishing)
}

/// §5 and §7: through all stages; returns (tokens are back, accelerator time, host time).
fn stages(sim: &mut Sim<'_>, k: usize, shape: &StepShape<'_>, swap: u64) -> (u64, u64, u64) {
    let tokens = shape.chunks.iter().map(|c| c.tokens).sum::<u32>() + shape.decode.n + shape.decode.padding;
    let (mut gpu, mut host) = (0, 0);
    let mut end = 0;
    for s in 0..sim.stages(k) {
        let time = sim.cost(k).step(s as u8, shape);
        gpu += time.gpu().as_ps();
        host += time.host.as_ps();
        let hop = if sim.mutated(Mutation::HopMissing) { 0 } else { sim.cost(k).hop(tokens).as_ps() };
        end = if s == 0 {
            sim.now + time.total().as_ps() + swap
        } else {
            (end + hop).max(sim.replicas[k].stage_end[s]) + time.total().as_ps()
        };
        sim.replicas[k].stage_end[s] = end;
    }
    if sim.pipelined(k) {
        sim.replicas[k].timer = Some(sim.replicas[k].stage_end[0]);
        end += sim.cost(k).token_return().as_ps();
    }
    (end, gpu, host)
}

fn count(sim: &mut Sim<'_>, batch: &Batch, shape: &StepShape<'_>) {
    count_step(&mut sim.counters, shape);
    count_waste(sim, batch, shape);
    sim.counters.prefill_tokens += batch.prefill.iter().map(|p| u64::from(p.1)).sum::<u64>();
    sim.counters.decode_tokens += batch.decode.len() as u64;
    let stopping = batch.decode.iter().filter(|&&r| sim.requests[r].stopping).count() as u64;
    sim.counters.wasted_slots += stopping + u64::from(shape.decode.padding);
    sim.coverage.late_stops += stopping;
    sim.coverage.held_slots += u64::from(shape.decode.padding);
    sim.coverage.feeds += batch.decode.iter().filter(|&&r| !sim.requests[r].prefilled).count() as u64;
    if sim.options.log {
        let line = format!(
            "t={} k{} P{:?} D{:?} pad{} swap{} -> {}",
            batch.start,
            sim.requests[batch.decode.first().copied().unwrap_or_else(|| batch.prefill[0].0)].replica,
            batch.prefill,
            batch.decode,
            shape.decode.padding,
            batch.swap,
            batch.end
        );
        sim.log.push(line);
    }
}

/// The tokens of the replica's oldest batch are back.
pub fn complete(sim: &mut Sim<'_>, k: usize) {
    let batch = sim.replicas[k].in_flight.remove(0);
    ledger::account_step(sim, k, &batch);
    sim.replicas[k].touched = true;
    sim.boundaries.push(batch.end);
    if batch.prefill.is_empty() {
        sim.replicas[k].last_decode_step = (batch.start, batch.end);
    }
    let mut members = batch.prefill.clone();
    members.extend(batch.decode.iter().map(|&r| (r, 1)));
    members.sort_by_key(|m| sim.requests[m.0].place());
    for (r, q) in members {
        sim.requests[r].in_flight = false;
        advance(sim, r, q, batch.start);
    }
    end_of_static_batch(sim, k);
    patience::step_ended(sim, k);
    early::ended(sim);
}

/// `q` more tokens of the request have KV; one is sampled when that is all of them (§4).
fn advance(sim: &mut Sim<'_>, r: usize, q: u32, start: u64) {
    let now = sim.now;
    let from_start = sim.mutated(Mutation::GapFromStepStart);
    let k = sim.requests[r].replica;
    let early = !matches!(&sim.config(k).scheduler, SchedulerConfig::Static(s) if !s.return_early);
    let prefills = sim.role(k) == Role::Prefill;
    let sampled_there = hand_over::first_token(sim) == FirstToken::Decode;
    let request = &mut sim.requests[r];
    request.computed += q;
    assert!(request.computed <= request.tokens());
    if request.computed < request.tokens() {
        return;
    }
    request.prefilled = true;
    if request.stopping {
        leave(sim, r);
        return;
    }
    if prefills && sampled_there {
        request.computed = request.prompt - 1;
        return hand_over::complete(sim, k, r);
    }
    request.generated += 1;
    request.loss = Loss::None;
    if early {
        if from_start && request.first_token.is_some() {
            request.gap_max = request.gap_max.max(start - request.last_token.min(start));
            request.last_token = now;
            request.count(now);
        } else {
            request.deliver(now);
        }
    }
    if request.generated == request.output {
        sim.coverage.ended_at_prefill += u64::from(prefills);
        got_last_token(sim, r, early);
    } else if prefills {
        hand_over::complete(sim, k, r);
    }
}

/// §6.
fn got_last_token(sim: &mut Sim<'_>, r: usize, early: bool) {
    if early {
        sim.requests[r].finish = Some(sim.now);
        Door::release(sim, r, sim.now);
    }
    let k = sim.requests[r].replica;
    if matches!(sim.config(k).scheduler, SchedulerConfig::Static(_)) {
        sim.requests[r].holding = true;
    } else if sim.late_stop(k) {
        sim.requests[r].stopping = true;
    } else {
        leave(sim, r);
    }
}

/// The request is out of the running set and lets go of its blocks.
pub fn leave(sim: &mut Sim<'_>, r: usize) {
    let k = sim.requests[r].replica;
    let last_first = !sim.mutated(Mutation::FreesFirstBlockFirst);
    sim.replicas[k].running.retain(|&x| x != r);
    let blocks = std::mem::take(&mut sim.requests[r].blocks);
    sim.replicas[k].kv.release(blocks, last_first);
    sim.requests[r].outstanding = false;
}

/// §6: when all running requests have finished, all leave in queue order, and answers held back are delivered.
fn end_of_static_batch(sim: &mut Sim<'_>, k: usize) {
    let batch = sim.replicas[k].running.clone();
    if !batch.iter().all(|&r| sim.requests[r].holding) {
        return;
    }
    for r in batch {
        if sim.requests[r].finish.is_none() {
            let (now, pipelined) = (sim.now, sim.pipelined(k));
            ledger::account_wait(&mut sim.requests[r], now, pipelined);
            sim.requests[r].deliver(now);
            (1..sim.requests[r].output).for_each(|_| sim.requests[r].count(now));
            sim.requests[r].finish = Some(now);
            Door::release(sim, r, now);
        }
        leave(sim, r);
    }
}
