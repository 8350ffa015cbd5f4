//! Slowdown compares a request with itself served alone: the bound `ideal` by another route.

use windtunnel::cluster::{RunOptions, simulate};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::ids::ClassId;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{Ideal, SchedulerConfig, Unified};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Request, Trace};

use crate::eut::TestCost;

#[test]
fn alone_is_what_the_ideal_bound_takes_and_a_lone_request_is_not_slowed_down() {
    let request = |i: u32| Request {
        arrival: SimTime::ZERO + SimDuration::from_us(u64::from(i) * 700),
        prompt: 3 + i * 7 % 40,
        output: 1 + i * 5 % 17,
        max_tokens: 32,
        class: ClassId(0),
    };
    let requests: Vec<Request> = (0..40).map(request).collect();
    let trace = Trace { requests, classes: vec!["all".to_owned()], ..Trace::default() };
    let config = |scheduler| ClusterConfig {
        replica: ReplicaConfig {
            scheduler,
            kv: KvConfig {
                block: 4,
                blocks: 400,
                allocation: Allocation::Paged { watermark: 0 },
                preemption: Preemption::Recompute,
                prefix_cache: false,
            },
            max_model_len: 128,
            late_stop: false,
            order: Order::Fcfs,
            host_cache: 0,
        },
        replicas: 1,
        router: RouterConfig::default(),
        front_end: FrontEnd { per_streamed_token: SimDuration::from_us(3), ..FrontEnd::NONE },
    };
    for stages in [1, 3] {
        let cost = TestCost { stages, per_context: SimDuration::from_ps(5) };
        let run = |scheduler, trace: &Trace| {
            simulate(&config(scheduler), &cost, trace, &RunOptions::default(), &mut ()).expect("no violation")
        };
        let ideal = run(SchedulerConfig::Ideal(Ideal {}), &trace);
        let served = run(SchedulerConfig::Unified(Unified::default()), &trace);
        let mut slowed = 0;
        for (bound, record) in ideal.records.iter().zip(&served.records) {
            assert_eq!((bound.alone, record.alone), (bound.e2e(), bound.e2e()));
            assert!(record.slowdown().expect("it finished") >= 1.0);
            slowed += u32::from(record.e2e() > record.alone);
        }
        assert!(slowed > 20, "{slowed} of 40 requests share the accelerator");
        let lone = Trace { requests: trace.requests[..1].to_vec(), ..trace.clone() };
        let lone = run(SchedulerConfig::Unified(Unified::default()), &lone).records.get(0);
        assert_eq!(lone.e2e(), lone.alone);
    }
}
