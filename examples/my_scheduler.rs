//! A policy outside the crate: `cargo run --release --example my_scheduler`.
//!
//! `ShortestPrompt` serves whole prompts, the shortest first, and sets aside all the memory that an answer may need, so
//! that it never preempts. It is compared with vLLM V1 on the same requests.

use windtunnel::cluster::{Outcome, RunOptions, Violation, simulate, simulate_with};
use windtunnel::cost::{CostSpec, EngineProfile, Roofline};
use windtunnel::engine::config::{Allocation, ClusterConfig, FrontEnd, KvConfig, Preemption, ReplicaConfig};
use windtunnel::engine::view::EngineView;
use windtunnel::hardware::Accelerator;
use windtunnel::ids::{ClassId, RequestId};
use windtunnel::model::Model;
use windtunnel::policy::order::Order;
use windtunnel::policy::router::RouterConfig;
use windtunnel::policy::scheduler::{Admission, Decode, Scheduler, SchedulerConfig, StepPlan, Unified};
use windtunnel::units::SimTime;
use windtunnel::workload::{Request, Trace};

struct ShortestPrompt {
    max_sequences: u32,
}

impl Scheduler for ShortestPrompt {
    fn plan(&mut self, view: &EngineView<'_>, plan: &mut StepPlan) {
        if view.decoding_len() > 0 {
            plan.decode = Decode::All;
        }
        let mut free = view.blocks_free();
        let mut waiting: Vec<RequestId> = view.waiting().collect();
        waiting.sort_by_key(|&r| (view.request(r).prompt, view.request(r).number));
        for (_, r) in (view.running_len()..self.max_sequences).zip(waiting) {
            let it = view.request(r);
            // All that it may ever need: its prompt, its answer, and the slot that a late stop fills.
            let allocate = it.prompt + it.max_tokens;
            let takes = view.blocks_for(allocate);
            if takes > free {
                break;
            }
            free -= takes;
            plan.admit.push(Admission { request: r, allocate, hit: 0 });
            plan.prefill.push((r, it.tokens()));
        }
    }
}

/// Ten requests per second; every tenth brings a long prompt.
fn requests() -> Trace {
    let request = |i: u64| Request {
        arrival: SimTime::from_ps(i * 100_000_000_000),
        prompt: if i.is_multiple_of(10) { 16_000 } else { 200 + (i % 7) as u32 * 100 },
        output: 100 + (i % 13) as u32 * 20,
        max_tokens: 512,
        class: ClassId(0),
    };
    Trace { requests: (0..2_000).map(request).collect(), classes: vec!["all".to_owned()], ..Trace::default() }
}

fn mean_ttft_s(outcome: &Outcome) -> f64 {
    outcome.records.iter().map(|r| r.ttft().as_secs_f64()).sum::<f64>() / outcome.records.len() as f64
}

#[expect(clippy::print_stdout, reason = "an example is a command")]
fn main() -> Result<(), Violation> {
    let accelerator = Accelerator::load("h100-sxm", None).expect("embedded");
    let model = Model::load("llama-3.1-8b", None).expect("embedded");
    let engine = EngineProfile::load("vllm-0.19", None).expect("embedded");
    let cost =
        Roofline::new(&CostSpec::new(accelerator, model, engine)).expect("one model on one accelerator");
    let kv = KvConfig {
        block: 16,
        blocks: 27_000,
        allocation: Allocation::Paged { watermark: 0 },
        preemption: Preemption::Recompute,
        prefix_cache: false,
    };
    let scheduler = SchedulerConfig::Unified(Unified::default());
    let config = ClusterConfig {
        replica: ReplicaConfig {
            scheduler,
            kv,
            max_model_len: 131_072,
            late_stop: true,
            order: Order::Fcfs,
            host_cache: 0,
        },
        replicas: 1,
        router: RouterConfig::default(),
        front_end: FrontEnd::NONE,
    };
    let (trace, options) = (requests(), RunOptions { audit: true, ..RunOptions::default() });
    let vllm = simulate(&config, &cost, &trace, &options, &mut ())?;
    let build = |_| Box::new(ShortestPrompt { max_sequences: 256 }) as Box<dyn Scheduler>;
    let mine = simulate_with(&build, &config, &cost, &trace, &options, &mut ())?;
    println!(
        "mean TTFT: vLLM V1 {:.3} s, shortest prompt first {:.3} s",
        mean_ttft_s(&vllm),
        mean_ttft_s(&mine)
    );
    Ok(())
}
