//! `chunked` schedules as Sarathi-Serve does. Logs were written by hand from docs/semantics.md section 8.
//!
//! A prefill step takes 1 ms + 1 us per prompt token, a decode step 1 ms. Blocks are of 4 tokens.

use windtunnel::policy::scheduler::{Chunked, SchedulerConfig};

use crate::eut::{Eut, at_us, output, prompt};

fn eut(token_budget: u32) -> Eut {
    Eut::new(SchedulerConfig::Chunked(Chunked { token_budget, ..Chunked::default() })).kv(4, 16)
}

#[test]
fn does_nothing_without_requests() {
    eut(8).run().assert_steps("");
}

#[test]
fn one_request_alone_prefills_then_decodes() {
    let run = eut(8).arrive("a", at_us(0), prompt(6), output(3)).run();
    run.assert_steps(
        "t=0.000 | P a:6 | D - | kv 2/16
         t=1.006 | P - | D a | kv 2/16
         t=2.006 | P - | D a | kv 2/16",
    );
    run.assert_tokens("a", 1_006, 3_006);
}

#[test]
fn decodes_never_stall_while_a_long_prompt_is_computed() {
    // a decodes in every step; b gets the other 7 tokens of the budget: 7 + 7 + 6 of 20, in blocks given at once.
    let run = eut(8)
        .arrive("a", at_us(0), prompt(4), output(4))
        .arrive("b", at_us(500), prompt(20), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 1/16
         t=1.004 | P b:7 | D a | kv 7/16
         t=2.011 | P b:7 | D a | kv 7/16
         t=3.018 | P b:6 | D a | kv 7/16
         t=4.024 | P - | D b | kv 6/16",
    );
    // a's longest gap is one hybrid step.
    run.assert_record("a", |r| r.gap_max == at_us(1_007).since(at_us(0)));
    run.assert_tokens("b", 4_024, 5_024);
}

#[test]
fn splits_a_long_prompt_at_the_budget_with_its_blocks_given_at_once() {
    // As for `unified`, but a holds all 5 blocks from the first chunk on, and b both of its own.
    let run =
        eut(8).arrive("a", at_us(0), prompt(20), output(2)).arrive("b", at_us(0), prompt(5), output(2)).run();
    run.assert_steps(
        "t=0.000 | P a:8 | D - | kv 5/16
         t=1.008 | P a:8 | D - | kv 5/16
         t=2.016 | P a:4 b:4 | D - | kv 7/16
         t=3.024 | P b:1 | D a | kv 8/16
         t=4.025 | P - | D b | kv 2/16",
    );
}

#[test]
fn preempts_while_no_block_is_free_even_if_none_is_needed() {
    // All 6 blocks are held after 1.012. At 2.012 a needs none (5 -> 6 tokens), yet none is free: c loses its two.
    // At 3.012 c's 6 tokens fit again, and at 4.018 the same happens. At 5.018 a and b take the two free blocks
    // (8 -> 9), so that c's 7 tokens must wait for them to finish.
    let run = eut(16)
        .kv(4, 6)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .arrive("c", at_us(0), prompt(4), output(6))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 c:4 | D - | kv 3/6
         t=1.012 | P - | D a b c | kv 6/6
         t=2.012 | P - | D a b | kv 4/6 | preempt c
         t=3.012 | P c:6 | D a b | kv 6/6
         t=4.018 | P - | D a b | kv 4/6 | preempt c
         t=5.018 | P - | D a b | kv 6/6
         t=6.018 | P c:7 | D - | kv 2/6
         t=7.025 | P - | D c | kv 2/6
         t=8.025 | P - | D c | kv 3/6",
    );
    // Dropped: 5 tokens at 2.012, 6 at 4.018.
    run.assert_record("c", |r| r.preemptions == 2 && r.recomputed == 11);
    run.assert_tokens("c", 1_012, 9_025);
}

#[test]
fn admission_leaves_the_watermark_free() {
    // b's 2 blocks fit into the 2 that a leaves, but one must stay free. a's own growth may take it.
    let run = eut(16)
        .kv(4, 4)
        .watermark(1)
        .arrive("a", at_us(0), prompt(8), output(2))
        .arrive("b", at_us(0), prompt(8), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:8 | D - | kv 2/4
         t=1.008 | P - | D a | kv 3/4
         t=2.008 | P b:8 | D - | kv 2/4",
    );
}

#[test]
fn an_arrival_at_the_end_of_a_step_is_in_the_next_plan() {
    let run = eut(8)
        .arrive("a", at_us(0), prompt(4), output(2))
        .arrive("b", at_us(1_004), prompt(4), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 1/16
         t=1.004 | P b:4 | D a | kv 3/16",
    );
    run.assert_tokens("b", 2_008, 2_008);
}

#[test]
fn a_request_alone_that_holds_every_block_starts_over() {
    // Without a watermark 2 blocks serve 8 tokens. From 1.004 on a holds both; V0's rule makes it its own victim, with
    // nothing else to do, so that it is admitted again in the same instant: each round yields one token.
    let run = eut(8).kv(4, 2).arrive("a", at_us(0), prompt(4), output(4)).run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 1/2
         t=1.004 | P - | D a | kv 2/2
         t=2.004 | P a:6 | D - | kv 2/2
         t=3.010 | P a:7 | D - | kv 2/2",
    );
    run.assert_record("a", |r| r.preemptions == 2);
}

#[test]
fn without_hybrid_batches_chunks_and_decodes_take_turns() {
    let chunked = Chunked { token_budget: 8, hybrid: false, ..Chunked::default() };
    let run = Eut::new(SchedulerConfig::Chunked(chunked))
        .kv(4, 16)
        .arrive("a", at_us(0), prompt(4), output(4))
        .arrive("b", at_us(500), prompt(20), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 1/16
         t=1.004 | P - | D a | kv 2/16
         t=2.004 | P b:8 | D - | kv 7/16
         t=3.012 | P - | D a | kv 7/16
         t=4.012 | P b:8 | D - | kv 7/16
         t=5.020 | P - | D a | kv 7/16
         t=6.020 | P b:4 | D - | kv 5/16
         t=7.024 | P - | D b | kv 6/16",
    );
    // Two steps a token instead of one hybrid step: a's last three tokens wait for b's chunks.
    run.assert_tokens("a", 1_004, 6_020);
    run.assert_tokens("b", 7_024, 8_024);
}
