//! One run: the loop over instants. All events of an instant are applied, then every touched replica plans once.

use crate::cost::StepCost;
use crate::engine::config::ClusterConfig;
use crate::engine::{Replica, StepObserver, Violation, World};
use crate::ids::{ReplicaId, RequestId};
use crate::kernel::EventQueue;
use crate::metrics::record::{Cause, Outcome, Rejection, RequestRecord, Sample};
use crate::policy::scheduler::{Scheduler, SchedulerConfig};
use crate::units::SimTime;
use crate::workload::Trace;

use super::api::RunOptions;
use super::dispatch::Router;
use super::front_end::Workers;
use super::ideal;
use super::sample::Sampler;

/// What happens at an instant. The order of the variants is the order inside an instant (docs/semantics.md §1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A step or leap of a replica ends.
    Completion { replica: ReplicaId, event: u32 },
    /// A request arrives at the front end.
    Arrival { request: RequestId },
    /// A request leaves the front end and is routed.
    Routed { request: RequestId },
    /// The first pipeline stage of a replica is free.
    StageFree { replica: ReplicaId },
}

/// Runs a trace through a deployment. Pure: no I/O, no clock, no randomness.
///
/// # Errors
/// A [`Violation`] where a policy broke its contract or an invariant failed: our bug, never the user's input.
pub fn simulate(
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    let scheduler = &config.replica.scheduler;
    if matches!(scheduler, SchedulerConfig::Ideal(_)) {
        return Ok(ideal::run(config, cost, trace, options.deadlines));
    }
    let build = |_| scheduler.build().expect("only `ideal` runs without replicas");
    simulate_with(&build, config, cost, trace, options, observer)
}

/// As [`simulate`], but every replica is planned by the scheduler that `build` makes for it: a policy outside the crate
/// (`examples/my_scheduler.rs`). `config.replica.scheduler` is not read.
///
/// # Errors
/// A [`Violation`] where the policy broke the contract of [`Scheduler`], or an invariant failed: then our bug.
pub fn simulate_with(
    build: &dyn Fn(ReplicaId) -> Box<dyn Scheduler>,
    config: &ClusterConfig,
    cost: &dyn StepCost,
    trace: &Trace,
    options: &RunOptions,
    observer: &mut impl StepObserver,
) -> Result<Outcome, Violation> {
    let mut run = Run::new(build, config, cost, trace, *options);
    run.issue_first();
    while let Some(now) = run.queue.next_time() {
        run.instant(now, observer)?;
    }
    super::audit::end(&run.world, &run.replicas, run.now)?;
    Ok(run.outcome())
}

/// The state of a run between two instants.
struct Run<'a> {
    trace: &'a Trace,
    options: RunOptions,
    world: World<'a>,
    replicas: Vec<Replica>,
    router: Router,
    workers: Workers,
    queue: EventQueue<Event>,
    touched: Vec<ReplicaId>,
    /// Next row of the trace to be issued.
    next: usize,
    now: SimTime,
    samples: Sampler,
}

impl<'a> Run<'a> {
    fn new(
        build: &dyn Fn(ReplicaId) -> Box<dyn Scheduler>,
        config: &'a ClusterConfig,
        cost: &'a dyn StepCost,
        trace: &'a Trace,
        options: RunOptions,
    ) -> Self {
        let mut world = World::new(&config.replica, cost, trace, options.stepwise);
        world.audit = options.audit;
        world.deadlines = options.deadlines;
        world.streaming = config.front_end.per_streamed_token;
        let router = Router::new(config.router.clone(), config.replicas);
        let replicas = (0..config.replicas)
            .map(|r| {
                let id = ReplicaId(r);
                let mut replica = Replica::new(id, &config.replica, build(id), cost.stages());
                replica.state.load.period = router.period();
                // In a closed loop the client's next request follows the last token, which is then an event.
                replica.state.cohort.passes_late_stops = replica.state.late_stop && trace.closed.is_none();
                replica
            })
            .collect();
        let span = trace.requests.last().map_or(SimTime::ZERO, |r| r.arrival);
        Run {
            trace,
            options,
            world,
            replicas,
            router,
            workers: Workers::new(config.front_end),
            queue: EventQueue::default(),
            touched: Vec::new(),
            next: 0,
            now: SimTime::ZERO,
            samples: Sampler::new(options.samples, span),
        }
    }

    /// Puts the first arrivals into the queue: one row (each pulls the next), or one per client of a closed loop.
    fn issue_first(&mut self) {
        let first = match self.trace.closed {
            None => 1,
            Some(closed) => closed.clients as usize,
        };
        for _ in 0..first.min(self.trace.len()) {
            self.issue(SimTime::ZERO);
        }
    }

    /// Issues the next row: at its own time, or at `at` in a closed loop.
    fn issue(&mut self, at: SimTime) {
        let Some(row) = self.trace.requests.get(self.next) else { return };
        let at = if self.trace.closed.is_some() { at } else { row.arrival };
        let request = RequestId(u32::try_from(self.next).expect("fewer than 2^32 requests"));
        self.next += 1;
        self.queue.push(at, Event::Arrival { request });
    }

    /// A client of a closed loop is free at `at`.
    fn client_free(&mut self, at: SimTime) {
        if let Some(closed) = self.trace.closed {
            self.issue(at + closed.think);
        }
    }

    /// Applies all events of the instant `now`, then lets every touched replica plan once.
    fn instant(&mut self, now: SimTime, observer: &mut impl StepObserver) -> Result<(), Violation> {
        assert!(now >= self.now, "the clock never goes back (I4)");
        while let Some(at) = self.samples.due(now) {
            let sample = self.sample(at);
            self.samples.take(sample);
        }
        self.now = now;
        while let Some(event) = self.queue.pop_at(now) {
            match event {
                Event::Completion { replica, event } => self.complete(replica, event, observer),
                Event::Arrival { request } => self.arrive(request),
                Event::Routed { request } => self.route(request),
                Event::StageFree { replica } => self.touched.push(replica),
            }
        }
        self.touched.sort_unstable();
        self.touched.dedup();
        let mut touched = std::mem::take(&mut self.touched);
        for &replica in &touched {
            self.plan(replica)?;
        }
        touched.clear();
        self.touched = touched;
        if self.options.audit {
            super::audit::instant(&self.world, &self.replicas, now)?;
        }
        Ok(())
    }

    fn complete(&mut self, id: ReplicaId, event: u32, observer: &mut impl StepObserver) {
        let replica = &mut self.replicas[id.index()];
        if !replica.state.is_current(event) {
            return;
        }
        replica.complete(self.now, &mut self.world, observer);
        self.touched.push(id);
        for _ in 0..std::mem::take(&mut self.world.just_finished) {
            self.client_free(self.now);
        }
    }

    fn arrive(&mut self, id: RequestId) {
        if self.trace.closed.is_none() {
            self.issue(self.now);
        }
        self.world.counters.arrivals += 1;
        let now = self.now;
        let request = self.world.request_mut(id);
        request.record.arrival = now;
        if request.prompt >= self.world.limit {
            self.world.reject(id, now, Rejection::TooLong);
            return self.client_free(now);
        }
        let prompt = self.world.request(id).prompt;
        let through = self.workers.serve(now, prompt);
        if through == now {
            self.route(id);
        } else {
            self.queue.push(through, Event::Routed { request: id });
        }
    }

    fn route(&mut self, id: RequestId) {
        let now = self.now;
        let request = self.world.request_mut(id);
        let prompt = request.prompt;
        request.record.ledger.add(Cause::FrontEnd, now - request.record.arrival);
        let replicas = &self.replicas;
        let chosen = self.router.route(now, prompt, |r| {
            let state = &replicas[r.index()].state;
            state.load_at(state.load.report_instant(now))
        });
        let replica = &mut self.replicas[chosen.index()];
        if let Some((event, at)) = replica.enqueue(id, now, &mut self.world) {
            self.queue.push(at, Event::Completion { replica: chosen, event });
        }
        self.touched.push(chosen);
    }

    fn plan(&mut self, id: ReplicaId) -> Result<(), Violation> {
        let Some(launched) = self.replicas[id.index()].plan(self.now, &mut self.world)? else {
            return Ok(());
        };
        self.queue.push(launched.end, Event::Completion { replica: id, event: launched.event });
        if self.world.stages() > 1 {
            self.queue.push(launched.first_stage_free, Event::StageFree { replica: id });
        }
        Ok(())
    }

    /// The deployment at the grid instant `at`, which no event has passed yet.
    fn sample(&self, at: SimTime) -> Sample {
        let mut sample = Sample { at, ..Sample::default() };
        sample.finished = self.world.done;
        sample.generated = self.world.generated;
        (sample.work, sample.waste) = (self.world.counters.work, self.world.counters.waste);
        sample.bound_time = self.world.counters.bound_time;
        for replica in &self.replicas {
            replica.state.sample(at, &self.world, &mut sample);
        }
        sample
    }

    fn outcome(self) -> Outcome {
        let mut records: Vec<RequestRecord> = self.world.requests.iter().map(|r| r.record).collect();
        ideal::fill_alone(&mut records, self.workers.config(), self.world.cost);
        Outcome {
            records,
            counters: self.world.counters,
            gaps: self.world.gaps.0,
            samples: self.samples.into_samples(),
            end: self.now,
        }
    }
}
