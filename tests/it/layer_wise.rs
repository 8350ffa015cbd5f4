//! KV that is sent layer by layer while its prompt is computed: instants by hand, wasted transfers, leaps against steps.

use windtunnel::cluster::Outcome;
use windtunnel::engine::config::{Admission, FirstToken, FrontEnd, Overlap, Preemption, Sharing};
use windtunnel::metrics::record::Fate;
use windtunnel::policy::scheduler::{Chunked, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::rng::stream;
use windtunnel::units::SimDuration;

use crate::hand_over::{Setup, instants, replica, setup, trace};

/// Ten layers, sent one by one for prompts from 64 tokens up.
fn layered(first_token: FirstToken, block_bytes: u64) -> Setup {
    let mut setup = setup(first_token);
    setup.hand_over.overlap = Some(Overlap { from_tokens: 64, layers: 10 });
    setup.block_bytes = block_bytes;
    setup
}

#[test]
fn all_layers_but_the_last_flow_during_the_step() {
    // Step of 1,100 us; 7 blocks of 100,000 bytes take 700 us at 1 GB/s: 630 us for nine layers, from 110 + 2 us on, and
    // 2 + 70 us for the last one, from 1,100 us on.
    let trace = trace(&[(0, 100, 3)]);
    let outcome = layered(FirstToken::Prefill, 100_000).run(&trace, false);
    assert_eq!(instants(&outcome.records.get(0)), [1_100, 3_172, 72]);
    assert_eq!(outcome.traffic.transfers.transfers, 1);
    assert_eq!(outcome.traffic.transfers.bytes, 700_000);
    let mut whole = layered(FirstToken::Prefill, 100_000);
    whole.hand_over.overlap = Some(Overlap { from_tokens: 101, layers: 10 });
    assert_eq!(instants(&whole.run(&trace, false).records.get(0)), [1_100, 3_802, 702]);
}

#[test]
fn a_slow_link_still_has_bytes_to_send_when_the_step_ends() {
    // 1,890 us for nine layers, from 112 us on, then 2 + 210 us.
    let outcome = layered(FirstToken::Prefill, 300_000).run(&trace(&[(0, 100, 3)]), false);
    assert_eq!(instants(&outcome.records.get(0)), [1_100, 2_002 + 212 + 2_000, 2_002 + 212 - 1_100]);
}

#[test]
fn without_room_the_request_is_handed_over_as_any_other() {
    // The decode replica has 8 blocks: the first request holds 7 of them until 3 ms and more.
    let mut setup = layered(FirstToken::Prefill, 1_000);
    setup.decode.1.kv.blocks = 8;
    setup.hand_over.queue_share = 1000;
    let records = setup.run(&trace(&[(0, 100, 3), (1_200, 100, 3)]), false).records;
    // Nine layers come during the step; then 2 us, and 700 bytes.
    let first = instants(&records.get(0));
    assert_eq!(first, [1_100, 3_102, 2]);
    // The second prompt is complete at 2,300; its KV sets out, whole, at 3,102 and takes 2 + 7 us.
    // Decode steps take 1 ms and some ns.
    assert_eq!(instants(&records.get(1)), [2_300, 3_102 + 9 + 2_001, 3_102 + 9 - 2_300]);
}

#[test]
fn what_was_sent_for_an_answer_of_one_token_is_wasted() {
    let outcome = layered(FirstToken::Prefill, 100_000).run(&trace(&[(0, 100, 1)]), false);
    assert_eq!(instants(&outcome.records.get(0)), [1_100, 1_100, 0]);
    let transfers = outcome.traffic.transfers;
    assert_eq!((transfers.transfers, transfers.bytes), (0, 630_000));
}

#[test]
fn leaps_are_steps_and_nobody_is_lost() {
    let schedulers = [
        SchedulerConfig::Unified(Unified { max_sequences: 6, token_budget: 128, ..Unified::default() }),
        SchedulerConfig::Chunked(Chunked { token_budget: 64, max_sequences: 6, hybrid: true }),
        SchedulerConfig::PrefillFirst(PrefillFirst { token_budget: 128, max_sequences: 6 }),
    ];
    let (mut earlier, mut later, mut gave_up, mut single) = (0, 0, 0, 0);
    for (n, scheduler) in schedulers.into_iter().enumerate() {
        for seed in 0..40u64 {
            let draw = |index, below| stream(seed, "layer-wise-test", n as u64, index).below(below);
            let mut at = 0;
            let rows: Vec<(u64, u32, u32)> = (0..60)
                .map(|i| {
                    at += draw(3 * i, 2_000);
                    (at, 1 + draw(3 * i + 1, 150) as u32, 1 + draw(3 * i + 2, 60) as u32)
                })
                .collect();
            let swaps = n > 0 && seed.is_multiple_of(2);
            let preemption = if swaps { Preemption::Swap { host_blocks: 10 } } else { Preemption::Recompute };
            let first = if seed.is_multiple_of(3) { FirstToken::Decode } else { FirstToken::Prefill };
            let mut setup = layered(first, 1_000 + draw(1_000, 100_000));
            setup.prefill = (2, replica(scheduler.clone(), 24, Preemption::Recompute));
            setup.decode = (2, replica(scheduler.clone(), 20, preemption));
            setup.hand_over.queue_share = [100, 300, 1000][(seed % 3) as usize];
            setup.sharing = if seed.is_multiple_of(2) { Sharing::Fair } else { Sharing::Fifo };
            let timeout = seed.is_multiple_of(4).then_some(SimDuration::from_ms(40));
            setup.front_end =
                FrontEnd { admission: Admission { timeout, ..Admission::OPEN }, ..FrontEnd::NONE };
            let trace = trace(&rows);
            let (leaps, steps) = (setup.run(&trace, false), setup.run(&trace, true));
            assert_eq!(
                (leaps.end, &leaps.traffic),
                (steps.end, &steps.traffic),
                "scheduler {n}, seed {seed}"
            );
            for (leap, step) in leaps.records.iter().zip(steps.records.iter()) {
                assert_eq!(leap, step, "scheduler {n}, seed {seed}");
                assert!(leap.fate == Fate::Finished || timeout.is_some());
                gave_up += u64::from(leap.fate == Fate::TimedOut);
                single += u64::from(leap.output == 1 && leap.prompt >= 64);
            }
            if timeout.is_none() {
                setup.hand_over.overlap = None;
                let whole = setup.run(&trace, false);
                let sum = |o: &Outcome| o.records.iter().map(|r| r.e2e().as_ps()).sum::<u64>();
                let is_earlier = sum(&leaps) < sum(&whole);
                (earlier, later) = (earlier + u32::from(is_earlier), later + u32::from(!is_earlier));
            }
        }
    }
    let seen = format!(
        "{earlier} runs are earlier than with whole transfers, {later} not, {gave_up} gave up, {single} single"
    );
    assert!(earlier > later && gave_up > 100 && single > 20, "{seen}");
}
