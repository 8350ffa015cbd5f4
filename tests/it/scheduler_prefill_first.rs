//! `prefill-first` schedules as vLLM V0 does. Logs were written by hand from docs/semantics.md section 8.
//!
//! A prefill step takes 1 ms + 1 us per prompt token, a decode step 1 ms, a swapped block 0.1 ms. Blocks are of 4
//! tokens.

use windtunnel::policy::scheduler::{PrefillFirst, SchedulerConfig};

use crate::eut::{Eut, at_us, output, prompt};

fn eut(token_budget: u32, max_sequences: u32) -> Eut {
    Eut::new(SchedulerConfig::PrefillFirst(PrefillFirst { token_budget, max_sequences })).kv(4, 16)
}

#[test]
fn does_nothing_without_requests() {
    eut(8, 8).run().assert_steps("");
}

#[test]
fn one_request_alone_prefills_then_decodes() {
    let run = eut(8, 8).arrive("a", at_us(0), prompt(6), output(3)).run();
    run.assert_steps(
        "t=0.000 | P a:6 | D - | kv 2/16
         t=1.006 | P - | D a | kv 2/16
         t=2.006 | P - | D a | kv 2/16",
    );
    run.assert_tokens("a", 1_006, 3_006);
}

#[test]
fn a_prefill_stalls_the_decodes() {
    // a has its first token at 1.004; b's prompt takes the next step for itself, a's second token comes at 3.016.
    let run = eut(16, 8)
        .arrive("a", at_us(0), prompt(4), output(3))
        .arrive("b", at_us(500), prompt(12), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 1/16
         t=1.004 | P b:12 | D - | kv 4/16
         t=2.016 | P - | D a b | kv 6/16
         t=3.016 | P - | D a | kv 2/16",
    );
    run.assert_record("a", |r| r.gap_max == at_us(3_016).since(at_us(1_004)));
}

#[test]
fn a_batch_of_prompts_stays_within_the_budget() {
    // 5 + 5 exceeds 8: two prefill steps before the first decode.
    let run = eut(8, 8)
        .arrive("a", at_us(0), prompt(5), output(2))
        .arrive("b", at_us(0), prompt(5), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:5 | D - | kv 2/16
         t=1.005 | P b:5 | D - | kv 4/16
         t=2.010 | P - | D a b | kv 4/16",
    );
}

#[test]
fn a_prompt_beyond_the_budget_goes_alone_and_whole() {
    let run = eut(8, 8)
        .arrive("a", at_us(0), prompt(20), output(1))
        .arrive("b", at_us(0), prompt(1), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:20 | D - | kv 5/16
         t=1.020 | P b:1 | D - | kv 1/16",
    );
}

#[test]
fn recompute_thrashes_when_the_victim_fits_again_at_once() {
    // c is preempted whenever all 6 blocks are held and comes back in the next step, with one token more each time:
    // it drops 5, 6, 7 and 8 tokens. At 8.033 a and b need a block each (8 -> 9 tokens) and take c's.
    let run = eut(16, 8)
        .kv(4, 6)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .arrive("c", at_us(0), prompt(4), output(6))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 c:4 | D - | kv 3/6
         t=1.012 | P - | D a b c | kv 6/6
         t=2.012 | P - | D a b | kv 4/6 | preempt c
         t=3.012 | P c:6 | D - | kv 6/6
         t=4.018 | P - | D a b | kv 4/6 | preempt c
         t=5.018 | P c:7 | D - | kv 6/6
         t=6.025 | P - | D a b | kv 4/6 | preempt c
         t=7.025 | P c:8 | D - | kv 6/6
         t=8.033 | P - | D a b | kv 6/6 | preempt c
         t=9.033 | P c:9 | D - | kv 3/6",
    );
    run.assert_record("c", |r| r.preemptions == 4 && r.recomputed == 26);
    run.assert_tokens("c", 1_012, 10_042);
}

#[test]
fn a_swapped_request_returns_with_a_block_to_spare() {
    // b's 2 blocks leave at 2.008 (1 ms + 2 moves). It needs 2 + 1 blocks to come back: with a holding 2 or 3 of 4 it
    // cannot; when a has finished it does, and decodes in that step (1 ms + 2 moves).
    let run = eut(16, 8)
        .kv(4, 4)
        .swap(8)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 2/4
         t=1.008 | P - | D a b | kv 4/4
         t=2.008 | P - | D a | kv 2/4 | preempt b
         t=3.208 | P - | D a | kv 2/4
         t=4.208 | P - | D a | kv 2/4
         t=5.208 | P - | D a | kv 3/4
         t=6.208 | P - | D b | kv 2/4 | swap-in b
         t=7.408 | P - | D b | kv 2/4
         t=8.408 | P - | D b | kv 2/4
         t=9.408 | P - | D b | kv 3/4",
    );
    run.assert_record("b", |r| r.preemptions == 1 && r.recomputed == 0);
    run.assert_tokens("b", 1_008, 10_408);
}

#[test]
fn nobody_is_admitted_while_someone_is_swapped_out() {
    // The same, and c (1 token, 1 block) arrives at 2.5 ms: blocks are free for it, but b is out until 6.208. In the
    // step that brings b back nothing is admitted either, since prompts are looked at first.
    let run = eut(16, 8)
        .kv(4, 4)
        .swap(8)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(3))
        .arrive("c", at_us(2_500), prompt(1), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 2/4
         t=1.008 | P - | D a b | kv 4/4
         t=2.008 | P - | D a | kv 2/4 | preempt b
         t=3.208 | P - | D a | kv 2/4
         t=4.208 | P - | D a | kv 2/4
         t=5.208 | P - | D a | kv 3/4
         t=6.208 | P - | D b | kv 2/4 | swap-in b
         t=7.408 | P c:1 | D - | kv 1/4",
    );
}

#[test]
fn requests_of_one_instant_fill_the_sequences_in_order() {
    let run = eut(16, 2)
        .arrive("a", at_us(0), prompt(2), output(2))
        .arrive("b", at_us(0), prompt(2), output(2))
        .arrive("c", at_us(0), prompt(2), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:2 b:2 | D - | kv 2/16
         t=1.004 | P - | D a b | kv 2/16
         t=2.004 | P c:2 | D - | kv 1/16
         t=3.006 | P - | D c | kv 1/16",
    );
}
