//! Prefill and decode apart: instants that can be checked by hand, and leaps against steps.

use windtunnel::cluster::{Deployment, Group, Joint, Outcome, RunOptions, simulate_deployment};
use windtunnel::engine::config::{
    Allocation, FirstToken, FrontEnd, HandOver, KvConfig, Preemption, ReplicaConfig, Role, Sharing,
};
use windtunnel::ids::ClassId;
use windtunnel::metrics::record::{Cause, Fate, RequestRecord};
use windtunnel::policy::order::Order;
use windtunnel::policy::router::{LeastLoad, RouterConfig};
use windtunnel::policy::scheduler::{Chunked, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Request, Trace, Turns};

use crate::eut::{TestCost, at_us, islands};

const COST: TestCost = TestCost { stages: 1, per_context: SimDuration::from_ps(1000) };

/// Prefill and decode replicas, each on a server of its own, behind ports of 1 GB/s with messages of 2 us.
#[derive(Clone)]
pub struct Setup {
    pub prefill: (u16, ReplicaConfig),
    pub decode: (u16, ReplicaConfig),
    /// Replicas that compute whole requests; perhaps none.
    pub mixed: (u16, ReplicaConfig),
    pub hand_over: HandOver,
    pub sharing: Sharing,
    pub block_bytes: u64,
    pub router: RouterConfig,
    pub front_end: FrontEnd,
}

pub fn replica(scheduler: SchedulerConfig, blocks: u32, preemption: Preemption) -> ReplicaConfig {
    let allocation = Allocation::Paged { watermark: 0 };
    ReplicaConfig {
        scheduler,
        kv: KvConfig { block: 16, blocks, allocation, preemption, prefix_cache: false },
        max_model_len: 4096,
        late_stop: false,
        order: Order::Fcfs,
        host_cache: 0,
    }
}

pub fn setup(first_token: FirstToken) -> Setup {
    let unified = replica(SchedulerConfig::Unified(Unified::default()), 256, Preemption::Recompute);
    let least = RouterConfig::LeastTokens(LeastLoad::default());
    Setup {
        prefill: (1, unified.clone()),
        decode: (1, unified.clone()),
        mixed: (0, unified),
        hand_over: HandOver {
            router: least,
            first_token,
            same_server: false,
            queue_share: 50,
            mixed_above: 0,
            overlap: None,
        },
        sharing: Sharing::Fair,
        block_bytes: 1000,
        router: RouterConfig::default(),
        front_end: FrontEnd::NONE,
    }
}

impl Setup {
    pub fn run(&self, trace: &Trace, stepwise: bool) -> Outcome {
        let replicas = u32::from(self.prefill.0 + self.decode.0 + self.mixed.0);
        let latency = SimDuration::from_us(2);
        let network = islands(replicas, 1_000_000_000, latency, self.sharing, self.block_bytes);
        let (p, d, m) = (&self.prefill, &self.decode, &self.mixed);
        let deployment = Deployment {
            groups: vec![
                Group { replica: &p.1, replicas: p.0, cost: &COST, role: Role::Prefill },
                Group { replica: &d.1, replicas: d.0, cost: &COST, role: Role::Decode },
                Group { replica: &m.1, replicas: m.0, cost: &COST, role: Role::Whole },
            ],
            router: &self.router,
            joint: Some(Joint {
                hand_over: Some(&self.hand_over),
                network: &network,
                migration: None,
                prefix_fetch: false,
            }),
            changes: None,
            headroom: &[],
            front_end: self.front_end,
            seed: 0,
        };
        let options = RunOptions { audit: true, stepwise, ..RunOptions::default() };
        simulate_deployment(&deployment, trace, &options, &mut ()).expect("no violation")
    }
}

pub fn trace(rows: &[(u64, u32, u32)]) -> Trace {
    let rows = rows.iter().map(|&(us, prompt, output)| Request {
        arrival: at_us(us),
        prompt,
        output,
        max_tokens: output,
        class: ClassId(0),
    });
    Trace {
        requests: rows.collect(),
        classes: vec!["all".to_owned()],
        closed: None,
        turns: Turns::default(),
        prefixes: None,
        sessions: None,
        priorities: Vec::new(),
    }
}

/// Arrival, first token and finish in us, and the time handed over.
pub fn instants(record: &RequestRecord) -> [u64; 3] {
    let us = |t: SimTime| t.as_ps() / 1_000_000;
    [us(record.first_token), us(record.finish), record.ledger.get(Cause::HandOver).as_ps() / 1_000_000]
}

#[test]
fn the_transfer_is_in_the_second_token_or_in_the_first() {
    // Prompt step 1,100 us; 7 blocks of 1,000 bytes take one message (2 us) and 7 us; decode steps 1 ms and 1 ns a token.
    let trace = trace(&[(0, 100, 3)]);
    let record = |first| setup(first).run(&trace, false).records.get(0);
    let prefill = record(FirstToken::Prefill);
    assert_eq!(instants(&prefill), [1_100, 3_109, 9]);
    assert_eq!(prefill.replica.0, 1);
    let decode = record(FirstToken::Decode);
    assert_eq!(instants(&decode), [2_109, 4_109, 9]);
}

#[test]
fn an_answer_of_one_token_is_not_handed_over() {
    let trace = trace(&[(0, 100, 1)]);
    let outcome = setup(FirstToken::Prefill).run(&trace, false);
    assert_eq!(instants(&outcome.records.get(0)), [1_100, 1_100, 0]);
    assert_eq!((outcome.records.get(0).replica.0, outcome.traffic.transfers.transfers), (0, 0));
    assert_eq!(setup(FirstToken::Decode).run(&trace, false).traffic.transfers.transfers, 1);
}

#[test]
fn flows_of_one_step_share_the_port_or_queue_for_it() {
    // Two prompts of 64 tokens in one step of 1,128 us: 4 blocks each.
    let trace = trace(&[(0, 64, 2), (0, 64, 2)]);
    let hand_over = |sharing| {
        let setup = Setup { sharing, ..setup(FirstToken::Prefill) };
        let records = setup.run(&trace, false).records;
        [0, 1].map(|i| records.get(i).ledger.get(Cause::HandOver).as_ps() / 1_000_000)
    };
    // Fair: both come at 2 + 8 us and run together. In order: the first comes at 6 us and runs alone, the second meets
    // its step at the end.
    assert_eq!(hand_over(Sharing::Fair), [10, 10]);
    assert_eq!(hand_over(Sharing::Fifo), [6, 1_006]);
}

#[test]
fn kv_waits_on_the_prefill_replica_for_room() {
    // The decode replica has 8 blocks: the second prompt of 7 waits there until the first has left.
    let mut setup = setup(FirstToken::Prefill);
    setup.decode.1.kv.blocks = 8;
    setup.hand_over.queue_share = 1000;
    let records = setup.run(&trace(&[(0, 100, 5), (0, 100, 5)]), false).records;
    assert_eq!(instants(&records.get(0)), [1_200, 5_209, 9]);
    // Offered at 1,200, taken at 5,209, loaded 9 us later.
    assert_eq!(instants(&records.get(1))[2], 4_009 + 9);
}

#[test]
fn a_mixed_replica_computes_what_is_too_much_for_the_prefill_pool() {
    let mut setup = setup(FirstToken::Prefill);
    setup.mixed.0 = 1;
    setup.hand_over.mixed_above = 250;
    setup.hand_over.queue_share = 1000;
    let records = setup.run(&trace(&[(0, 100, 2), (1, 100, 2), (2, 100, 2), (3, 200, 2)]), false).records;
    // The third would make 300 tokens; it computes and decodes on replica 2. The fourth finds 100 there, and stays.
    assert_eq!([0, 1, 2, 3].map(|id| records.get(id).replica.0), [1, 1, 2, 1]);
    assert_eq!(records.get(2).ledger.get(Cause::HandOver), SimDuration::ZERO);
}

#[test]
fn a_mixed_replica_decodes_what_has_no_room_in_the_decode_pool() {
    let mut setup = setup(FirstToken::Prefill);
    setup.mixed.0 = 1;
    setup.hand_over.mixed_above = 1_000;
    setup.hand_over.queue_share = 1000;
    setup.decode.1.kv.blocks = 8;
    let records = setup.run(&trace(&[(0, 100, 5), (0, 100, 5)]), false).records;
    // 7 of 8 blocks go to the first, at once; the second waits for nobody.
    assert_eq!([0, 1].map(|id| records.get(id).replica.0), [1, 2]);
    assert_eq!(instants(&records.get(1))[2], 16, "both flows share the port out of the prefill replica");
}

#[test]
fn leaps_are_steps_where_memory_is_short_and_links_are_slow() {
    let schedulers = [
        SchedulerConfig::Unified(Unified { max_sequences: 6, token_budget: 128, ..Unified::default() }),
        SchedulerConfig::Chunked(Chunked { token_budget: 64, max_sequences: 6, hybrid: true }),
        SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 128, max_sequences: 6 }),
    ];
    let (mut preempted, mut handed, mut mixed) = (0, 0, 0);
    for (n, scheduler) in schedulers.into_iter().enumerate() {
        for seed in 0..20 {
            let draw = |index, below| stream(seed, "hand-over-test", n as u64, index).below(below);
            let mut at = 0;
            let rows: Vec<(u64, u32, u32)> = (0..60)
                .map(|i| {
                    at += draw(3 * i, 2_000);
                    (at, 1 + draw(3 * i + 1, 150) as u32, 1 + draw(3 * i + 2, 60) as u32)
                })
                .collect();
            let swaps = n > 0 && seed % 2 == 0;
            let preemption = if swaps { Preemption::Swap { host_blocks: 10 } } else { Preemption::Recompute };
            let mut setup = setup(if seed % 3 == 0 { FirstToken::Decode } else { FirstToken::Prefill });
            setup.prefill = (2, replica(scheduler.clone(), 24, Preemption::Recompute));
            setup.decode = (2, replica(scheduler.clone(), 16, preemption));
            setup.block_bytes = 50_000;
            setup.hand_over.queue_share = 300;
            if seed % 5 > 2 {
                setup.mixed = (1, setup.decode.1.clone());
                setup.hand_over.mixed_above = 150;
            }
            setup.sharing = if seed % 2 == 0 { Sharing::Fair } else { Sharing::Fifo };
            let (leaps, steps) = (setup.run(&trace(&rows), false), setup.run(&trace(&rows), true));
            assert_eq!(leaps.end, steps.end, "scheduler {n}, seed {seed}");
            for (leap, step) in leaps.records.iter().zip(steps.records.iter()) {
                assert_eq!(leap, step, "scheduler {n}, seed {seed}");
                assert_eq!(leap.fate, Fate::Finished);
                mixed += u64::from(leap.replica.0 == 4);
            }
            preempted += leaps.counters.preemptions;
            handed += leaps.traffic.transfers.transfers;
        }
    }
    let seen = format!("{preempted} preemptions, {handed} hand-overs, {mixed} on mixed replicas");
    assert!(preempted > 300 && handed > 3_000 && mixed > 300, "{seen}");
}
