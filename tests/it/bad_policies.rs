//! Policies from outside the crate that break the contract: each ends in a violation that names what is wrong, never
//! in a panic or in a run that is silently false.

use std::sync::Arc;

use windtunnel::cluster::{Outcome, RunOptions, Violation, simulate_with};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::engine::view::EngineView;
use windtunnel::ids::{ClassId, RequestId};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{
    Admission, Decode, Preempt, Scheduler, SchedulerConfig, StepPlan, Unified,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{PrefixChains, Request, Trace};

use crate::eut::TestCost;

type Plan = fn(&EngineView<'_>, &mut StepPlan);

/// A policy that is its `plan`.
struct Bad(Plan);

impl Scheduler for Bad {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        (self.0)(view, plan);
    }
}

const PROMPT: u32 = 20;

/// Four requests of one instant, 20 + 20 tokens each, on two replicas with 16 blocks of 4 tokens and a prefix cache.
fn run(stages: u8, plan: Plan) -> Result<Outcome, Violation> {
    let replica = ReplicaConfig {
        scheduler: SchedulerConfig::Unified(Unified::default()),
        kv: KvConfig {
            block: 4,
            blocks: 16,
            allocation: Allocation::Paged { watermark: 0 },
            preemption: Preemption::Recompute,
            prefix_cache: true,
        },
        max_model_len: 64,
        late_stop: false,
        order: Order::Fcfs,
        host_cache: 0,
    };
    let config =
        ClusterConfig { replica, replicas: 2, router: RouterConfig::default(), front_end: FrontEnd::NONE };
    let request =
        Request { arrival: SimTime::ZERO, prompt: PROMPT, output: 20, max_tokens: 20, class: ClassId(0) };
    let ids = (0..4u64).flat_map(|r| (0..5).map(move |i| r * 100 + i)).collect();
    let prefixes = PrefixChains { tokens_per_id: 4, starts: vec![0, 5, 10, 15, 20], ids };
    let trace = Trace {
        requests: vec![request; 4],
        classes: vec!["all".to_owned()],
        prefixes: Some(Arc::new(prefixes)),
        ..Trace::default()
    };
    let cost = TestCost { stages, per_context: SimDuration::from_ps(3) };
    let build = |_| Box::new(Bad(plan)) as Box<dyn Scheduler>;
    let options = RunOptions { audit: true, ..RunOptions::default() };
    simulate_with(&build, &config, &cost, &trace, &options, &mut ())
}

#[track_caller]
fn broken(expected: &str, plan: Plan) {
    for stages in [1, 2] {
        let violation = run(stages, plan).expect_err("a bad plan is refused");
        assert_eq!(violation.invariant, "plan", "{violation}");
        assert!(violation.message.contains(expected), "expected `{expected}`: {violation}");
    }
}

fn admit(plan: &mut StepPlan, request: RequestId) {
    plan.admit.push(Admission { request, allocate: PROMPT, hit: 0 });
    plan.prefill.push((request, PROMPT));
}

/// One request after the other, each alone: what a correct policy may do.
fn one_by_one(view: &EngineView<'_>, plan: &mut StepPlan) {
    if view.decoding_len() > 0 {
        plan.decode = Decode::All;
    } else if view.running_len() == 0 {
        admit(plan, view.waiting().next().expect("somebody waits"));
    }
}

#[test]
fn a_correct_policy_runs() {
    for stages in [1, 2] {
        assert_eq!(run(stages, one_by_one).expect("no violation").counters.decode_tokens, 4 * 19);
    }
}

#[test]
fn admissions_are_of_requests_that_wait_here_once() {
    broken("q99, which is not waiting here", |_, plan| admit(plan, RequestId(99)));
    broken("q1, which is not waiting here", |_, plan| admit(plan, RequestId(1)));
    broken("q0, which is not waiting here", |_, plan| {
        admit(plan, RequestId(0));
        admit(plan, RequestId(0));
    });
}

fn with_hit(plan: &mut StepPlan, request: RequestId, hit: u32) {
    plan.admit.push(Admission { request, allocate: PROMPT, hit });
    plan.prefill.push((request, 1));
}

#[test]
fn hits_exist() {
    broken("q0 cannot hit 6 of its 20 tokens", |_, plan| with_hit(plan, RequestId(0), 6));
    broken("q0 cannot hit 20 of its 20 tokens", |_, plan| with_hit(plan, RequestId(0), 20));
    broken("q0 cannot hit 4294967292", |_, plan| with_hit(plan, RequestId(0), u32::MAX - 3));
    broken("q0 hits 8 tokens, not all of them are there", |_, plan| with_hit(plan, RequestId(0), 8));
    broken("q2 hits 8 tokens, not all of them are there", |_, plan| {
        admit(plan, RequestId(0));
        with_hit(plan, RequestId(2), 8);
    });
}

#[test]
fn blocks_are_there_and_grow_with_the_tokens() {
    broken("needs 1073741824 blocks, 16 free", |_, plan| {
        plan.admit.push(Admission { request: RequestId(0), allocate: u32::MAX, hit: 0 });
        plan.prefill.push((RequestId(0), PROMPT));
    });
    broken("more than its 20, less than the 39", |_, plan| {
        plan.admit.push(Admission { request: RequestId(0), allocate: 30, hit: 0 });
        plan.prefill.push((RequestId(0), PROMPT));
    });
    let greedy: Plan = |view, plan| {
        view.waiting().for_each(|r| admit(plan, r));
        plan.decode = if view.decoding_len() > 0 { Decode::All } else { Decode::None };
    };
    let violation = run(1, greedy).expect_err("two times 39 tokens are more than 64");
    assert!(violation.message.contains("decodes need"), "{violation}");
}

#[test]
fn chunks_are_of_incomplete_prompts_once() {
    broken("chunk of 0 tokens", |_, plan| {
        admit(plan, RequestId(0));
        plan.prefill[0].1 = 0;
    });
    broken("chunk of 21 tokens for q0, which has 20 left", |_, plan| {
        admit(plan, RequestId(0));
        plan.prefill[0].1 = 21;
    });
    broken("chunk of q99, which does not exist", |_, plan| plan.prefill.push((RequestId(99), 1)));
    broken("chunk of q0, which is Waiting", |_, plan| plan.prefill.push((RequestId(0), 1)));
    broken("padded to 19", |_, plan| {
        admit(plan, RequestId(0));
        plan.pad_prefill_to = 19;
    });
    let twice: Plan = |_, plan| {
        admit(plan, RequestId(0));
        plan.prefill = vec![(RequestId(0), 5), (RequestId(0), 5)];
    };
    broken("chunk of q0, which", twice);
    let elsewhere: Plan = |view, plan| match view.waiting().next() {
        Some(RequestId(0)) => {
            admit(plan, RequestId(0));
            plan.prefill[0].1 = 5;
        }
        _ => plan.prefill.push((RequestId(0), 5)),
    };
    broken("on r0", elsewhere);
}

#[test]
fn feeds_are_of_begun_prompts_that_hold_their_blocks() {
    broken("feed of q0, which", |_, plan| {
        admit(plan, RequestId(0));
        plan.feed.push(RequestId(0));
    });
    broken("does not hold the 10 blocks of its whole life", |view, plan| {
        if view.partial_len() == 0 {
            admit(plan, view.waiting().next().expect("somebody waits"));
            plan.prefill[0].1 = 5;
        } else {
            plan.feed.extend(view.partial());
            plan.decode = Decode::All;
        }
    });
}

#[test]
fn a_plan_works_on_somebody() {
    broken("nobody is ready to decode", |_, plan| plan.decode = Decode::All);
    broken("nobody is ready to decode", |_, plan| plan.decode = Decode::Each(Vec::new()));
    broken("brings requests in but works on none", |_, plan| {
        admit(plan, RequestId(0));
        plan.prefill.clear();
    });
    let lazy = run(1, |_, _| {}).expect_err("nobody is served");
    assert_eq!(lazy.invariant, "I7", "{lazy}");
}

/// `Each` of the listed, once somebody decodes.
fn each(view: &EngineView<'_>, plan: &mut StepPlan, listed: Vec<RequestId>) {
    one_by_one(view, plan);
    if view.decoding_len() > 0 {
        plan.decode = Decode::Each(listed);
    }
}

#[test]
fn decodes_are_of_ready_requests_once() {
    broken("decode of q0, which is Flying", |view, plan| each(view, plan, vec![RequestId(0); 2]));
    broken("decode of q2, which is Waiting", |view, plan| each(view, plan, vec![RequestId(2)]));
    broken("decode of q99, which does not exist", |view, plan| each(view, plan, vec![RequestId(99)]));
    broken("decode of q0, wh", |_, plan| {
        admit(plan, RequestId(0));
        plan.decode = Decode::Each(vec![RequestId(0)]);
    });
}

#[test]
fn victims_run_here_and_are_lost_once() {
    broken("preempt of q0, which is Waiting", |_, plan| plan.preempt.push((RequestId(0), Preempt::Swap)));
    broken("preempt of q99, which does not exist", |_, plan| {
        plan.preempt.push((RequestId(99), Preempt::Swap));
    });
    broken("preempt of q0, which is Waiting", |view, plan| {
        one_by_one(view, plan);
        if view.decoding_len() > 0 {
            plan.preempt = vec![(RequestId(0), Preempt::Recompute); 2];
        }
    });
    broken("swap-in of q0, which is not swapped out here", |view, plan| {
        one_by_one(view, plan);
        plan.swap_in.push(RequestId(0));
    });
}
