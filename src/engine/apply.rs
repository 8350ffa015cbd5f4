//! Applies a plan: checks it against the scheduler's contract, moves requests and blocks, in the order of
//! docs/semantics.md §3: preemptions free, hits are pinned, then blocks are taken.

use crate::cost::Chunk;
use crate::ids::RequestId;
use crate::metrics::record::Cause;
use crate::policy::scheduler::{Admission, Decode, Preempt, StepPlan};
use crate::units::SimTime;

use super::event::Violation;
use super::flight::Flight;
use super::order::{insert_ordered, remove_ordered};
use super::replica::ReplicaState;
use super::request::Phase;
use super::world::World;

/// Marks a hit on a block that an earlier admission of the same plan is about to fill.
pub(super) const PENDING: u32 = u32::MAX - 1;

/// Marks a hit on a block that is loaded from host memory.
pub(super) const LOADED: u32 = u32::MAX - 2;

/// Blocks that a step moves to or from host memory.
pub(super) type Moved = u32;

impl ReplicaState {
    /// Applies `flight.plan` at `now` and fills the flight's chunks, members and shape.
    pub fn apply(
        &mut self,
        flight: &mut Flight,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Result<(), Violation> {
        flight.start = now;
        self.load_before_change(now);
        self.load.moved(now);
        self.expect_only_victims_without_work(&flight.plan, now)?;
        let plan = &flight.plan;
        let mut moved: Moved = 0;
        for &(id, kind) in &plan.preempt {
            self.expect_ready(id, "preempt", now, world)?;
            moved += self.preempt(id, kind, now, world);
        }
        let mut loaded: Moved = 0;
        for admission in &plan.admit {
            loaded += self.admit(admission, now, world)?;
        }
        for &id in &plan.swap_in {
            moved += self.swap_in(id, now, world)?;
        }
        for &id in &plan.resume {
            self.resume(id, now, world)?;
        }
        for admission in &plan.admit {
            self.allocate(admission, now, world)?;
        }
        for &(id, tokens) in &plan.prefill {
            let chunk = self.start_chunk(id, tokens, plan.pad_prefill_to, now, world)?;
            flight.chunks.push(chunk);
        }
        for &id in &plan.feed {
            self.feed(id, now, world)?;
        }
        self.start_decode(flight, now, world)?;
        self.expect_work(flight, now)?;
        if self.pool.caches() && !world.reserves() && world.has_keys() {
            self.enter_all_keys(&flight.plan, now, world)?;
        }
        if moved > 0 {
            world.counters.swapped_blocks += u64::from(moved);
            flight.swap = world.costs[self.group].swap(moved);
        }
        if loaded > 0 {
            world.counters.host_cached_tokens += u64::from(loaded) * u64::from(self.pool.block());
            flight.load = world.costs[self.group].swap(loaded);
        }
        Ok(())
    }

    /// A running request loses its place and its KV, or only its place. Returns how many blocks go to host memory.
    pub(super) fn preempt(
        &mut self,
        id: RequestId,
        kind: Preempt,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Moved {
        if world.request(id).stopping {
            self.remove(id, now, world);
            return 0;
        }
        let was_decoding = world.request(id).phase == Phase::Decoding;
        if was_decoding {
            self.depart(id, world);
        }
        self.forget_running(id, world);
        let piped = self.stage_free.len() > 1;
        let request = world.request_mut(id);
        if piped && !request.recovering && request.mark < now {
            request.charge(Cause::Bubble, now);
        }
        if !request.recovering {
            request.mark = now;
            request.recovering = request.generated > 0;
        }
        request.record.preemptions += 1;
        let blocks = self.pool.blocks_for(request.computed);
        let swaps = kind == Preempt::Swap && was_decoding && blocks <= self.pool.host_free();
        if swaps {
            request.phase = Phase::Swapped;
            self.pool.host_take(blocks);
            self.release(id, None, world);
            insert_ordered(&mut self.swapped, id, world);
        } else {
            let computed = std::mem::take(&mut request.computed);
            request.phase = Phase::Waiting;
            request.fed = false;
            request.dropped = computed;
            request.known = request.known.max(computed);
            request.record.recomputed += computed;
            world.counters.recomputed_tokens += u64::from(computed);
            self.release(id, Some(computed / self.pool.block()), world);
            self.wait(id, world);
        }
        let demand = self.demand(id, world);
        self.load.asks(demand);
        world.counters.preemptions += 1;
        if swaps { blocks } else { 0 }
    }

    fn swap_in(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Result<Moved, Violation> {
        if !self.swapped.contains(&id) {
            return Err(self.broken(now, format!("swap-in of {id}, which is not swapped out here")));
        }
        remove_ordered(&mut self.swapped, id, world);
        let demand = self.demand(id, world);
        self.load.asks_no_more(demand);
        let request = world.request_mut(id);
        let blocks = self.pool.blocks_for(request.computed);
        self.expect_free(blocks, "swap-in", id, now)?;
        self.pool.host_release(blocks);
        self.pool.take(blocks);
        request.blocks = blocks;
        request.unfindable = true;
        insert_ordered(&mut self.running, id, world);
        self.join(id, world);
        Ok(blocks)
    }

    /// Moves a waiting request to running and pins the blocks it hits. Returns how many are loaded from host memory.
    fn admit(
        &mut self,
        admission: &Admission,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Result<Moved, Violation> {
        let &Admission { request: id, hit, .. } = admission;
        self.leave_queue(id, now, world)?;
        let keyed_range = world.keyed_range(id);
        self.expect_hit(admission, now, world)?;
        let hit_blocks = hit / self.pool.block();
        let mut keyed = std::mem::take(&mut world.request_mut(id).keyed);
        keyed.clear();
        let stamp = self.plan_stamp();
        for index in 0..hit_blocks.min(keyed_range) {
            let key = world.key(id, index);
            keyed.push(match self.pool.find(key) {
                Some((node, _)) => {
                    self.pool.pin(node);
                    node
                }
                None if self.pool.load(key, stamp) => LOADED,
                None => PENDING,
            });
        }
        let loaded =
            Moved::try_from(keyed.iter().filter(|&&node| node == LOADED).count()).expect("a block count");
        if hit_blocks > keyed_range {
            let own = self.pool.pin_private(id);
            if own != hit_blocks - keyed_range {
                return Err(self.broken(now, format!("{id} hits {own} of its own blocks, planned otherwise")));
            }
        } else {
            self.pool.forget_private(id);
        }
        let request = world.request_mut(id);
        request.phase = Phase::Prefilling;
        request.unfindable = false;
        request.keyed = keyed;
        request.computed = hit;
        request.blocks = hit_blocks - loaded;
        if request.record.preemptions == 0 && !request.recovering {
            request.record.cached += hit;
            world.counters.cached_tokens += u64::from(hit);
        } else {
            let regained = hit.min(request.dropped);
            request.record.recomputed -= regained;
            request.dropped = 0;
            world.counters.recomputed_tokens -= u64::from(regained);
        }
        let request = world.request_mut(id);
        if request.record.preemptions > 0 && !request.recovering {
            request.charge(Cause::PreemptionLoss, now);
        }
        insert_ordered(&mut self.running, id, world);
        insert_ordered(&mut self.partial, id, world);
        Ok(loaded)
    }

    /// Takes the blocks that an admission sets aside beyond its hits.
    fn allocate(
        &mut self,
        admission: &Admission,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Result<(), Violation> {
        let id = admission.request;
        self.expect_allocation(admission, now, world)?;
        let wanted = if world.reserves() { world.reservation(id) } else { admission.allocate };
        let blocks = self.pool.blocks_for(wanted);
        let extra = blocks.saturating_sub(world.request(id).blocks);
        self.expect_free(extra, "admission", id, now)?;
        self.pool.take(extra);
        world.request_mut(id).blocks += extra;
        Ok(())
    }

    /// Takes a request out of the waiting queue. O(1) at its ends, O(log waiting) to find it elsewhere.
    fn leave_queue(&mut self, id: RequestId, now: SimTime, world: &World<'_>) -> Result<(), Violation> {
        let at = match self.waiting.front() {
            Some(&first) if first == id => 0,
            _ if world.requests.get(id).is_some() => self.place_in_queue(id, world),
            _ => self.waiting.len(),
        };
        if self.waiting.get(at) != Some(&id) {
            return Err(self.broken(now, format!("admission of {id}, which is not waiting here")));
        }
        let demand = self.demand(id, world);
        self.load.asks_no_more(demand);
        self.waiting.remove(at);
        Ok(())
    }

    /// Starts a prompt chunk: blocks, keys, the end of queueing. Returns what it costs as.
    fn start_chunk(
        &mut self,
        id: RequestId,
        tokens: u32,
        pad_to: u32,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Result<Chunk, Violation> {
        self.expect_prefilling(id, "chunk", now, world)?;
        let request = world.request_mut(id);
        let (computed, left) = (request.computed, request.tokens() - request.computed);
        if tokens == 0 || tokens > left {
            return Err(self.broken(now, format!("chunk of {tokens} tokens for {id}, which has {left} left")));
        }
        if pad_to > 0 && (tokens > pad_to || computed > 0) {
            let message =
                format!("{id} computes {tokens} tokens after {computed}, padded to {pad_to} after none");
            return Err(self.broken(now, message));
        }
        request.planned = self.plan_stamp();
        let target = computed + tokens;
        let extra = self.pool.blocks_for(target).saturating_sub(request.blocks);
        self.expect_free(extra, "chunk", id, now)?;
        self.pool.take(extra);
        let request = world.request_mut(id);
        request.blocks += extra;
        if request.record.scheduled == SimTime::MAX {
            request.record.scheduled = now;
            request.charge(Cause::Queue, now);
        }
        if self.stage_free.len() > 1 {
            remove_ordered(&mut self.partial, id, world);
            world.request_mut(id).phase = Phase::Flying;
        }
        Ok(if pad_to > 0 { Chunk { tokens: pad_to, past: 0 } } else { Chunk { tokens, past: computed } })
    }

    /// Enters keys in the order of allocation: admissions, then chunks of running requests.
    fn enter_all_keys(
        &mut self,
        plan: &StepPlan,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Result<(), Violation> {
        let admitted = |id| plan.admit.iter().any(|a| a.request == id);
        for first in [true, false] {
            for &(id, tokens) in plan.prefill.iter().filter(|&&(id, _)| admitted(id) == first) {
                let computed = world.request(id).computed + tokens;
                self.enter_keys(id, computed, world);
            }
        }
        self.expect_hits_found(plan, now, world)
    }

    /// Enters the keys of the prompt blocks that are full once `computed` tokens are there.
    fn enter_keys(&mut self, id: RequestId, computed: u32, world: &mut World<'_>) {
        let full = (computed / self.pool.block()).min(world.keyed_range(id));
        let mut keyed = std::mem::take(&mut world.request_mut(id).keyed);
        for (index, node) in
            keyed.iter_mut().enumerate().filter(|(_, node)| [PENDING, LOADED].contains(*node))
        {
            let key = world.key(id, u32::try_from(index).expect("a block count"));
            if *node == LOADED {
                *node = self.pool.enter(key);
            } else if let Some((entered, _)) = self.pool.find(key) {
                self.pool.pin(entered);
                *node = entered;
            }
        }
        for index in u32::try_from(keyed.len()).expect("a block count")..full {
            keyed.push(self.pool.enter(world.key(id, index)));
        }
        world.request_mut(id).keyed = keyed;
    }

    /// From now on the request gets its remaining prompt with the decoding ones.
    fn feed(&mut self, id: RequestId, now: SimTime, world: &mut World<'_>) -> Result<(), Violation> {
        self.expect_prefilling(id, "feed", now, world)?;
        self.expect_blocks_for_life(id, now, world)?;
        remove_ordered(&mut self.partial, id, world);
        let request = world.request_mut(id);
        request.fed = true;
        request.phase = Phase::Decoding;
        self.join(id, world);
        Ok(())
    }

    /// Fills the decoding part of the flight; checks that its growth fits.
    fn start_decode(
        &mut self,
        flight: &mut Flight,
        now: SimTime,
        world: &mut World<'_>,
    ) -> Result<(), Violation> {
        let piped = self.stage_free.len() > 1;
        match &flight.plan.decode {
            Decode::None => return Ok(()),
            Decode::All if !piped => {
                let growth = self.cohort.growth();
                if growth > self.pool.free() {
                    return Err(
                        self.broken(now, format!("decodes need {growth} blocks, {} free", self.pool.free()))
                    );
                }
                flight.cohort_steps = true;
                if !flight.plan.is_pure_decode() {
                    self.pool.take(growth);
                }
                flight.decode.n = self.cohort.n;
                flight.decode.context = self.cohort.context;
                flight.decode.padding = self.held_slots;
                return Ok(());
            }
            Decode::All => {
                let decoding = |&&id: &&RequestId| world.request(id).phase == Phase::Decoding;
                flight.members.extend(self.running.iter().filter(decoding));
            }
            Decode::Each(listed) => flight.members.extend(listed),
        }
        for &id in &flight.members {
            self.expect_ready(id, "decode", now, world)?;
            if world.request(id).phase != Phase::Decoding {
                return Err(self.broken(now, format!("decode of {id}, whose prompt is incomplete")));
            }
            self.depart(id, world);
            let request = world.request_mut(id);
            request.phase = Phase::Flying;
            let grows = !request.fixed_blocks && request.computed.is_multiple_of(self.pool.block());
            flight.decode.context += u64::from(request.computed) + 1;
            self.expect_free(u32::from(grows), "decode", id, now)?;
            if grows {
                self.pool.take(1);
                world.request_mut(id).blocks += 1;
            }
        }
        flight.decode.n = u32::try_from(flight.members.len()).expect("a batch size");
        flight.decode.padding = if piped { 0 } else { self.held_slots };
        Ok(())
    }
}
