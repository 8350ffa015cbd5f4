//! What a scheduler decides for one step, and how it is applied (§3 "per plan", §5).

use windtunnel::engine::config::{Allocation, KvConfig, Preemption, Role};
use windtunnel::metrics::record::Cause;
use windtunnel::metrics::work::Binding;
use windtunnel::policy::scheduler::SchedulerConfig;

use super::apply::apply;
use super::arrivals::insert;
use super::early;
use super::fetch;
use super::fleet;
use super::hand_over;
use super::kv::{Key, key_of, reserved_tokens};
use super::ledger;
use super::moves;
use super::mutation::Mutation;
use super::pipeline;
use super::request::{Loss, Req};
use super::schedulers;
use super::schedulers_batch;
use super::sim::{Replica, Sim};
use super::work::set_bound;

/// One leading block of an admission that is not computed again.
#[derive(Clone, Copy, Debug)]
pub enum HitBlock {
    /// Its key is entered for this block.
    Entered(usize),
    /// An earlier admission of this plan fills it: (which admission, which of its blocks).
    Planned(usize, usize),
    /// It is loaded from host memory.
    Host(Key),
}

pub struct Admission {
    pub request: usize,
    /// Tokens for which blocks are set aside.
    pub allocate: u32,
    pub hit: Vec<HitBlock>,
    pub chunk: u32,
}

#[derive(Default)]
pub struct Plan {
    pub preempted: bool,
    /// Blocks moved to and from host memory.
    pub moved: u32,
    /// Blocks loaded by hits in host memory.
    pub loaded: u32,
    pub swap_in: Vec<usize>,
    pub admit: Vec<Admission>,
    /// Prompt tokens per request in plan order.
    pub prefill: Vec<(usize, u32)>,
    /// One token each, feeds included.
    pub decode: Vec<usize>,
    pub padding: u32,
    pub pad_prefill_to: u32,
    /// Blocks of the free queue that hits of this plan pin.
    pub pinned: Vec<usize>,
    /// Blocks that resuming requests let go: free from the next plan on (§12).
    pub let_go: u32,
    /// Blocks promised by entries of this plan, per request.
    pub promised: Vec<(usize, u32)>,
    /// Why nobody else is admitted (§11).
    pub limit: Option<Binding>,
}

/// A replica that plans: what schedulers ask and decide.
pub struct Planner<'s, 'a> {
    pub sim: &'s mut Sim<'a>,
    pub k: usize,
    pub plan: Plan,
}

/// A touched replica plans if stage 0 is free and fewer batches than stages are in flight (§1).
pub fn plan_replica(sim: &mut Sim<'_>, k: usize) {
    loop {
        let replica = &sim.replicas[k];
        if replica.in_flight.len() >= sim.stages(k) || replica.timer.is_some() {
            return;
        }
        if fleet::fails(sim, k) {
            return;
        }
        fetch::keep(sim, k);
        hand_over::take_offers(sim, k);
        early::make_room(sim, k);
        moves::turn(sim, k);
        sim.counters.plans += 1;
        // §1: while batches are in flight a plan that only names victims is dropped.
        let drops = !sim.replicas[k].in_flight.is_empty() && !sim.mutated(Mutation::ReadBarrenPlanApplied);
        let before = drops.then(|| (sim.requests.clone(), sim.replicas.clone(), sim.counters));
        let mut planner = Planner { sim, k, plan: Plan::default() };
        planner.decide();
        let Planner { plan, .. } = planner;
        let barren = plan.preempted && plan.prefill.is_empty() && plan.decode.is_empty();
        sim.coverage.barren_plans += u64::from(barren);
        if let (true, Some((requests, replicas, counters))) = (barren, before) {
            (sim.requests, sim.replicas, sim.counters) = (requests, replicas, counters);
            return;
        }
        if barren && sim.replicas[k].in_flight.is_empty() {
            // Nothing would ever touch the replica again: it plans once more in the same instant.
            sim.coverage.plans_again += 1;
            continue;
        }
        if !plan.prefill.is_empty() || !plan.decode.is_empty() {
            let limit = plan.limit.unwrap_or(Binding::Other);
            apply(sim, k, plan);
            let replica = &sim.replicas[k];
            let waits =
                !replica.waiting.is_empty() || !replica.swapped.is_empty() || !replica.loaded.is_empty();
            set_bound(sim, k, Some(if waits { limit } else { Binding::Open }));
        } else if sim.replicas[k].in_flight.is_empty() {
            set_bound(sim, k, None);
        }
        return;
    }
}

impl Planner<'_, '_> {
    fn decide(&mut self) {
        match self.sim.config(self.k).scheduler.clone() {
            SchedulerConfig::Unified(p) => schedulers::unified(self, &p),
            SchedulerConfig::Chunked(p) => schedulers::chunked(self, &p),
            SchedulerConfig::PrefillFirst(p) => schedulers::prefill_first(self, &p),
            SchedulerConfig::Iteration(p) => schedulers_batch::iteration(self, &p),
            SchedulerConfig::Static(p) => schedulers_batch::static_batch(self, &p),
            SchedulerConfig::Clairvoyant(p) => schedulers_batch::clairvoyant(self, &p),
            SchedulerConfig::Ideal(_) => unreachable!("ideal has no replica"),
        }
    }

    pub fn replica(&self) -> &Replica {
        &self.sim.replicas[self.k]
    }

    pub fn request(&self, r: usize) -> &Req {
        &self.sim.requests[r]
    }

    pub fn kv_config(&self) -> KvConfig {
        self.sim.config(self.k).kv
    }

    pub fn reserving(&self) -> bool {
        matches!(self.kv_config().allocation, Allocation::Reserve(_))
    }

    pub fn watermark(&self) -> u32 {
        match self.kv_config().allocation {
            Allocation::Paged { watermark } if !self.sim.mutated(Mutation::WatermarkIgnored) => watermark,
            _ => 0,
        }
    }

    /// Running requests that are not in flight, in queue order.
    pub fn ready(&self) -> Vec<usize> {
        self.replica().running.iter().copied().filter(|&r| !self.request(r).in_flight).collect()
    }

    /// Running requests with those that this plan takes in.
    pub fn running_count(&self) -> u32 {
        (self.replica().running.len() + self.plan.admit.len() + self.plan.swap_in.len()) as u32
    }

    pub fn nothing_swapped(&self) -> bool {
        let back = self.plan.swap_in.len();
        let counts = self.sim.mutated(Mutation::ReadSwappedSeenAfterSwapIn);
        self.replica().swapped.len() == if counts { back } else { 0 }
    }

    /// Waiting requests that this plan has not admitted yet.
    pub fn waiting(&self) -> Vec<usize> {
        let admitted = |r: usize| self.plan.admit.iter().any(|a| a.request == r);
        self.replica().waiting.iter().copied().filter(|&r| !admitted(r)).collect()
    }

    pub fn blocks_for(&self, tokens: u32) -> u32 {
        self.replica().kv.blocks_for(tokens)
    }

    /// Free blocks less pins and promises of this plan (§8 "fits").
    pub fn available(&self) -> u32 {
        let promised: u32 = self.plan.promised.iter().map(|p| p.1).sum();
        self.replica().kv.free.len() as u32 - self.plan.pinned.len() as u32 - promised - self.plan.let_go
    }

    pub fn fits(&self, blocks: u32) -> bool {
        blocks + u32::from(self.sim.mutated(Mutation::FitsOffByOne)) <= self.available()
    }

    /// `need(r, tokens)` of a running request.
    pub fn growth(&self, r: usize, tokens: u32) -> u32 {
        if self.reserving() {
            return 0;
        }
        self.blocks_for(tokens).saturating_sub(self.request(r).blocks.len() as u32)
    }

    /// The whole reservation of a request, in blocks; nothing under paged allocation.
    pub fn reservation(&self, r: usize) -> Option<u32> {
        let extra = u32::from(self.sim.mutated(Mutation::ReservationOffByOne));
        let tokens = reserved_tokens(self.kv_config().allocation, self.request(r), self.sim.limit)?;
        Some(self.blocks_for(tokens + extra).min(self.kv_config().blocks))
    }

    /// `hit(r)`: leading blocks whose keys are entered, or will be by earlier admissions of this plan (§3).
    pub fn hit(&self, r: usize) -> Vec<HitBlock> {
        let mut hit = Vec::new();
        if !self.kv_config().prefix_cache || self.reserving() {
            return hit;
        }
        let block = self.kv_config().block;
        let covered = self.request(r).tokens() - u32::from(!self.sim.mutated(Mutation::HitCoversWholePrompt));
        for index in 0..covered / block {
            let key = key_of(self.sim.trace, self.request(r), index, block);
            match self.replica().kv.find(key) {
                Some(b) => hit.push(HitBlock::Entered(b)),
                None => match (self.planned(key), self.replica().kv.host_list.contains(&key)) {
                    (Some((at, true)), _) => hit.push(at),
                    (_, true) if !self.sim.mutated(Mutation::HostTierMissing) => {
                        hit.push(HitBlock::Host(key))
                    }
                    (Some((at, false)), _) => hit.push(at),
                    (None, _) => break,
                },
            }
        }
        hit
    }

    /// The block of an earlier admission that has this content after this plan, and whether it is a hit of that one.
    fn planned(&self, key: Key) -> Option<(HitBlock, bool)> {
        let block = self.kv_config().block;
        let mut found = None;
        for (a, admission) in self.plan.admit.iter().enumerate() {
            let filled = (admission.hit.len() as u32 * block + admission.chunk) / block;
            for index in 0..filled {
                if key_of(self.sim.trace, self.request(admission.request), index, block) == key {
                    let hit = (index as usize) < admission.hit.len();
                    if hit || found.is_none() {
                        found = Some((HitBlock::Planned(a, index as usize), hit));
                    }
                    if hit {
                        return found;
                    }
                }
            }
        }
        found
    }

    /// Blocks of a hit that are in the free queue and not pinned by this plan yet.
    pub fn pins(&self, hit: &[HitBlock]) -> Vec<usize> {
        let mut pins = Vec::new();
        for h in hit {
            if let HitBlock::Entered(b) = *h {
                let free = self.replica().kv.blocks[b].holders == 0;
                if free && !self.plan.pinned.contains(&b) && !pins.contains(&b) {
                    pins.push(b);
                }
            }
        }
        pins
    }

    /// New blocks that an admission takes for `tokens` tokens.
    pub fn admission_need(&self, r: usize, tokens: u32, hit: &[HitBlock]) -> u32 {
        let loaded = hit.iter().filter(|h| matches!(h, HitBlock::Host(_))).count() as u32;
        self.reservation(r).unwrap_or_else(|| self.blocks_for(tokens) - hit.len() as u32 + loaded)
    }

    /// Whether an admission fits and leaves `keep` blocks.
    pub fn admission_fits(&self, r: usize, tokens: u32, hit: &[HitBlock], keep: u32) -> bool {
        self.fits(self.admission_need(r, tokens, hit) + self.pins(hit).len() as u32 + keep)
    }

    pub fn hit_tokens(&self, hit: &[HitBlock]) -> u32 {
        hit.len() as u32 * self.kv_config().block
    }

    /// Takes a waiting request into the running set.
    pub fn admit(&mut self, r: usize, allocate: u32, hit: Vec<HitBlock>, chunk: u32) {
        let need = self.admission_need(r, allocate, &hit);
        let pins = self.pins(&hit);
        self.plan.pinned.extend(pins);
        self.plan.promised.push((r, need));
        if chunk > 0 {
            self.plan.prefill.push((r, chunk));
        }
        self.plan.admit.push(Admission { request: r, allocate, hit, chunk });
    }

    /// Gives a running request `q` tokens in this step.
    pub fn schedule(&mut self, r: usize, q: u32) {
        let growth = self.growth(r, self.request(r).computed + q);
        self.plan.promised.push((r, growth));
        if self.request(r).prefilled {
            self.plan.decode.push(r);
        } else {
            self.plan.prefill.push((r, q));
        }
    }

    /// Takes a running request's place, at once; its blocks are free for the rest of the plan.
    pub fn preempt(&mut self, v: usize, may_swap: bool) {
        let stopping = self.sim.requests[v].stopping;
        self.plan.preempted |= !(stopping && self.sim.mutated(Mutation::ReadStoppingVictimIsNoPreemption));
        self.plan.decode.retain(|&r| r != v);
        self.plan.prefill.retain(|p| p.0 != v);
        self.plan.promised.retain(|p| p.0 != v);
        if stopping {
            // §6: a stopping victim just leaves.
            self.sim.coverage.stopping_victims += 1;
            pipeline::leave(self.sim, v);
            return;
        }
        let (now, pipelined) = (self.sim.now, self.sim.pipelined(self.k));
        let decodes = self.sim.role(self.k) == Role::Decode;
        let last_first = !self.sim.mutated(Mutation::FreesFirstBlockFirst);
        let to_back = self.sim.mutated(Mutation::VictimToBack);
        let replica = &mut self.sim.replicas[self.k];
        let request = &mut self.sim.requests[v];
        ledger::account_wait(request, now, pipelined);
        if request.loss == Loss::None {
            request.lost_to = Cause::PreemptionLoss;
        }
        request.loss = if request.generated == 0 { Loss::UntilStep } else { Loss::UntilToken };
        request.preemptions += 1;
        self.sim.counters.preemptions += 1;
        self.sim.coverage.preemptions += 1;
        self.sim.coverage.decode_preemptions += u64::from(decodes);
        if self.sim.options.log {
            self.sim.log.push(format!("t={now} k{} preempts {v}", self.k));
        }
        let blocks = std::mem::take(&mut request.blocks);
        let count = blocks.len() as u32;
        replica.kv.release(blocks, last_first);
        replica.running.retain(|&r| r != v);
        let wanted = may_swap && request.prefilled;
        if wanted && replica.kv.host_used + count <= replica.kv.host_total {
            assert_eq!(count, request.computed.div_ceil(replica.kv.tokens_per_block));
            replica.kv.host_used += count;
            // §3: what is in host memory has no private keys any more.
            replica.kv.forget_private(v, &[]);
            request.host_blocks = count;
            self.plan.moved += count;
            self.sim.counters.swapped_blocks += u64::from(count);
            self.sim.coverage.swaps_out += 1;
            self.sim.coverage.decode_swaps += u64::from(decodes);
            insert(&mut replica.swapped, &self.sim.requests, v);
            return;
        }
        self.sim.coverage.swaps_refused += u64::from(wanted);
        request.dropped = Some(request.computed);
        request.known = request.known.max(request.computed);
        request.computed = 0;
        request.prefilled = false;
        if to_back {
            request.number = replica.next_number;
            replica.next_number += 1;
        }
        insert(&mut replica.waiting, &self.sim.requests, v);
    }

    pub fn may_swap(&self) -> bool {
        matches!(self.kv_config().preemption, Preemption::Swap { .. })
    }
}
