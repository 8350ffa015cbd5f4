//! The load a router sees, also as it was at the last reporting instant, without any periodic event.
//!
//! Nothing is computed until a router asks: a leap on its way is read in closed form and stays as it is.

use crate::kv::Outlook;
use crate::policy::router::Load;
use crate::units::{SimDuration, SimTime};

use super::flight::Leap;
use super::replica::ReplicaState;
use super::world::World;
use crate::ids::RequestId;

/// What changes with every token, and the load at the last reporting instant before the first change after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct LoadHistory {
    /// Requests queued and not yet gone.
    requests: u32,
    /// Their prompt and generated tokens, but for those that a leap on its way delivers before its end.
    tokens: u64,
    /// Blocks that waiting and swapped requests will ask for.
    queued_blocks: u64,
    changed: SimTime,
    /// Reporting period; zero: only the present is ever asked for.
    pub period: SimDuration,
    reported: Option<(SimTime, Load)>,
}

/// The last multiple of `period` at or before `t`; `t` itself for a period of zero.
pub(crate) fn last_multiple(period: SimDuration, t: SimTime) -> SimTime {
    SimTime::from_ps(t.as_ps().checked_div(period.as_ps()).map_or(t.as_ps(), |n| n * period.as_ps()))
}

impl LoadHistory {
    /// The report instant whose load must be kept before a change at `now`.
    fn due(&self, now: SimTime) -> Option<SimTime> {
        if self.period == SimDuration::ZERO || now == SimTime::ZERO {
            return None;
        }
        let instant = last_multiple(self.period, SimTime::from_ps(now.as_ps() - 1));
        let unknown = self.reported.is_none_or(|(known, _)| known < instant);
        (self.changed <= instant && unknown).then_some(instant)
    }

    pub fn queued(&mut self, tokens: u64, now: SimTime) {
        self.requests += 1;
        self.tokens += tokens;
        self.changed = now;
    }

    pub fn delivered(&mut self, tokens: u64, now: SimTime) {
        self.tokens += tokens;
        self.changed = now;
    }

    pub fn left(&mut self, tokens: u64, now: SimTime) {
        self.requests -= 1;
        self.tokens -= tokens;
        self.changed = now;
    }

    /// Blocks changed hands at `now`.
    pub fn moved(&mut self, now: SimTime) {
        self.changed = now;
    }

    /// A request begins to wait, or to be swapped out: it will ask for `blocks`.
    pub fn asks(&mut self, blocks: u32) {
        self.queued_blocks += u64::from(blocks);
    }

    /// A request no longer waits, nor is it swapped out.
    pub fn asks_no_more(&mut self, blocks: u32) {
        self.queued_blocks -= u64::from(blocks);
    }

    /// Requests, tokens and queued blocks as of the last change.
    pub fn present(&self) -> (u32, u64, u64) {
        (self.requests, self.tokens, self.queued_blocks)
    }
}

impl ReplicaState {
    /// Keeps the load that a router may still be shown before it changes at `now`.
    pub fn load_before_change(&mut self, now: SimTime) {
        if let Some(instant) = self.load.due(now) {
            self.load.reported = Some((instant, self.load_as_of(instant, true)));
        }
    }

    /// The load that a router which decides at `now` is shown for the report instant `at`: that after every event and
    /// plan of `at`, or for `at = now` that of the moment.
    pub fn load_at(&self, at: SimTime, now: SimTime) -> Load {
        if self.load.changed <= at {
            return self.load_as_of(at, at < now);
        }
        let (instant, load) = self.load.reported.expect("the load is kept before it changes");
        assert_eq!(instant, at, "a router asks for the last reporting instant");
        load
    }

    /// The load at `at`, after which nothing has changed but steps of a leap; `planned`: also the plan of `at` is over.
    fn load_as_of(&self, at: SimTime, planned: bool) -> Load {
        let (requests, tokens, queued) = self.load.present();
        let (done, growth) = self.under_way(at, planned);
        Load {
            requests,
            tokens: tokens + done * u64::from(self.cohort.emitting),
            blocks: u64::from(self.pool.held()) + growth + queued,
        }
    }

    /// Of the leap on its way: the steps over at `at`, and the blocks that it has taken by then. A step takes its blocks
    /// when it is planned: at its start, which at `at` itself is still to come unless `planned`.
    fn under_way(&self, at: SimTime, planned: bool) -> (u64, u64) {
        let leap: Option<(SimTime, Leap)> = self.flights.front().and_then(|f| f.leap.map(|l| (f.start, l)));
        let Some((start, leap)) = leap.filter(|&(start, _)| at >= start) else { return (0, 0) };
        let done = leap.steps_within(at - start);
        let begins_now = leap.elapsed(done) == at - start && !planned;
        (done, self.cohort.growth_over(done + u64::from(!begins_now)))
    }

    /// Blocks that the leap on its way has taken by `now`, its present step included.
    pub fn growth_under_way(&self, now: SimTime) -> u64 {
        self.under_way(now, false).1
    }

    /// Prompt tokens to be computed of the requests that are here.
    pub fn pending_prompts(&self, world: &World<'_>) -> u64 {
        let left = |&id: &RequestId| {
            let request = world.request(id);
            u64::from(request.tokens() - request.computed)
        };
        self.waiting.iter().chain(&self.partial).map(left).sum()
    }

    /// Blocks that a waiting or swapped request will ask for: its reservation, or those of its tokens.
    pub fn demand(&self, id: RequestId, world: &World<'_>) -> u32 {
        let tokens = if world.reserves() { world.reservation(id) } else { world.request(id).tokens() };
        self.pool.blocks_for(tokens)
    }

    /// Leading prompt tokens of `id` that the prefix cache holds at `now`, before anything is planned: full blocks.
    pub fn cached_prefix(&self, id: RequestId, now: SimTime, world: &World<'_>) -> u32 {
        if !self.pool.caches() || world.reserves() {
            return 0;
        }
        let (_, growth) = self.under_way(now, false);
        let outlook = Outlook::new(&self.pool, u32::try_from(growth).unwrap_or(u32::MAX));
        let is_there = |index: &u32| outlook.has(world.key(id, *index));
        let blocks = (0..world.keyed_range(id)).take_while(is_there).count();
        u32::try_from(blocks).expect("a block count") * self.pool.block()
    }

    /// Leading blocks of the prompt of `id` that are here at `now`, before anything is planned: in the prefix cache, in its
    /// host tier, or come from another replica. At least one token is left to compute.
    pub fn kept_prefix(&self, id: RequestId, now: SimTime, world: &World<'_>) -> u32 {
        if !self.pool.caches() || world.reserves() {
            return 0;
        }
        let (_, growth) = self.under_way(now, false);
        let outlook = Outlook::new(&self.pool, u32::try_from(growth).unwrap_or(u32::MAX));
        let has = |index: &u32| outlook.keeps(world.key(id, *index));
        let usable = world.keyed_range(id).min((world.request(id).prompt - 1) / self.pool.block());
        let blocks = (0..usable).take_while(has).count();
        u32::try_from(blocks).expect("a block count")
    }
}
