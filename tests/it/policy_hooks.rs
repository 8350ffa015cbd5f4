//! What a policy is told between plans: every step once, in leaps or one by one; who came and who left.

use std::sync::{Arc, Mutex};

use windtunnel::cluster::{Outcome, RunOptions, simulate_with};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::engine::view::EngineView;
use windtunnel::ids::{ClassId, RequestId};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{
    Horizon, ReplicaEvent, Scheduler, SchedulerConfig, StepPlan, StepSpan, Unified,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Request, Trace};

use crate::eut::TestCost;

#[derive(Default)]
struct Told {
    calls: u64,
    steps: u64,
    end: SimTime,
    arrived: Vec<RequestId>,
    left: Vec<RequestId>,
    checks: u64,
}

/// `unified`, and an account of what it is told.
struct Listening {
    inner: Box<dyn Scheduler>,
    told: Arc<Mutex<Told>>,
}

impl Scheduler for Listening {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        self.inner.plan(view, plan);
    }

    fn horizon(&self, view: &EngineView<'_>, plan: &StepPlan) -> Horizon {
        self.inner.horizon(view, plan)
    }

    fn on_steps(&mut self, span: &StepSpan) {
        let mut told = self.told.lock().unwrap();
        assert!(span.steps >= 1 && span.start < span.end && told.end <= span.start);
        told.calls += 1;
        told.steps += span.steps;
        told.end = span.end;
    }

    fn on_event(&mut self, event: ReplicaEvent) {
        let mut told = self.told.lock().unwrap();
        match event {
            ReplicaEvent::Arrived(r) => told.arrived.push(r),
            ReplicaEvent::Left(r) => told.left.push(r),
        }
    }

    fn self_check(&self, view: &EngineView<'_>) -> Result<(), String> {
        let mut told = self.told.lock().unwrap();
        told.checks += 1;
        let inside = told.arrived.len() - told.left.len();
        let known = (view.waiting_len() + view.running_len() + view.swapped_len()) as usize;
        if inside == known { Ok(()) } else { Err(format!("told of {inside} requests, {known} are there")) }
    }
}

fn run(stepwise: bool, late_stop: bool) -> (Outcome, Told) {
    let replica = ReplicaConfig {
        scheduler: SchedulerConfig::Unified(Unified::default()),
        kv: KvConfig {
            block: 4,
            blocks: 24,
            allocation: Allocation::Paged { watermark: 0 },
            preemption: Preemption::Recompute,
            prefix_cache: false,
        },
        max_model_len: 64,
        late_stop,
        order: Order::Fcfs,
        host_cache: 0,
    };
    let config =
        ClusterConfig { replica, replicas: 1, router: RouterConfig::default(), front_end: FrontEnd::NONE };
    let request = |i: u32| Request {
        arrival: SimTime::ZERO + SimDuration::from_ms(u64::from(i) * 3),
        prompt: 5 + i % 11,
        output: 1 + (i * 7) % 23,
        max_tokens: 40,
        class: ClassId(0),
    };
    let requests = (0..60).map(request).collect();
    let trace = Trace { requests, classes: vec!["all".to_owned()], ..Trace::default() };
    let cost = TestCost { stages: 1, per_context: SimDuration::from_ps(3) };
    let told = Arc::new(Mutex::new(Told::default()));
    let listener = Arc::clone(&told);
    let build = move |_| {
        let inner = SchedulerConfig::Unified(Unified::default()).build().expect("a scheduler");
        Box::new(Listening { inner, told: Arc::clone(&listener) }) as Box<dyn Scheduler>
    };
    let options = RunOptions { stepwise, audit: true, ..RunOptions::default() };
    let outcome = simulate_with(&build, &config, &cost, &trace, &options, &mut ()).expect("no violation");
    let told = std::mem::take(&mut *told.lock().unwrap());
    (outcome, told)
}

#[test]
fn a_policy_is_told_of_every_step_and_every_request() {
    for late_stop in [false, true] {
        let (outcome, leaps) = run(false, late_stop);
        let (_, steps) = run(true, late_stop);
        assert!(outcome.counters.preemptions > 0, "the memory is tight");
        assert_eq!(leaps.steps, outcome.counters.steps);
        assert_eq!((leaps.steps, leaps.end), (steps.steps, steps.end));
        assert!(leaps.calls < steps.calls, "a leap is told as one span");
        let all: Vec<RequestId> = (0..60).map(RequestId).collect();
        assert_eq!(leaps.arrived, all);
        assert_eq!(leaps.left, steps.left, "in the same order");
        let mut left = leaps.left;
        left.sort_unstable();
        assert_eq!(left, all);
        assert!(leaps.checks > 0);
    }
}
