//! `iteration` schedules as Orca does. Logs were written by hand from docs/semantics.md section 8.
//!
//! A prefill step takes 1 ms + 1 us per prompt token, a decode step 1 ms. KV slots of one token, reserved for prompt
//! and `max_tokens`, unless said otherwise.

use windtunnel::engine::config::ReserveRule;
use windtunnel::policy::scheduler::{Iteration, SchedulerConfig};

use crate::eut::{Eut, at_us, output, prompt};

fn paged(max_batch: u32) -> Eut {
    Eut::new(SchedulerConfig::Iteration(Iteration { max_batch }))
}

fn eut(max_batch: u32, slots: u32) -> Eut {
    paged(max_batch).kv(1, slots).reserve(ReserveRule::MaxTokens)
}

#[test]
fn does_nothing_without_requests() {
    eut(8, 64).run().assert_steps("");
}

#[test]
fn one_request_alone_holds_its_reservation() {
    let run = eut(8, 64).arrive("a", at_us(0), prompt(6), output(3)).run();
    run.assert_steps(
        "t=0.000 | P a:6 | D - | kv 9/64
         t=1.006 | P - | D a | kv 9/64
         t=2.006 | P - | D a | kv 9/64",
    );
    run.assert_tokens("a", 1_006, 3_006);
}

#[test]
fn requests_leave_and_join_between_iterations() {
    // The batch of 2 is full until a leaves at 2.008; c joins that very step, whole, beside b's decode.
    let run = eut(2, 64)
        .arrive("a", at_us(0), prompt(4), output(2))
        .arrive("b", at_us(0), prompt(4), output(4))
        .arrive("c", at_us(500), prompt(4), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 14/64
         t=1.008 | P - | D a b | kv 14/64
         t=2.008 | P c:4 | D b | kv 13/64
         t=3.012 | P - | D b | kv 8/64",
    );
    run.assert_tokens("a", 1_008, 2_008).assert_tokens("c", 3_012, 3_012).assert_tokens("b", 1_008, 4_012);
}

#[test]
fn a_long_prompt_is_computed_whole_while_decodes_wait_for_it() {
    let run = eut(8, 2_000)
        .arrive("a", at_us(0), prompt(4), output(2))
        .arrive("b", at_us(500), prompt(1_000), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 6/2000
         t=1.004 | P b:1000 | D a | kv 1007/2000",
    );
    run.assert_tokens("a", 1_004, 3_004);
}

#[test]
fn the_head_of_the_line_stops_those_behind_it() {
    // 20 slots: a reserves 8, b needs 16 and does not fit; c needs 3 and would, but is not let past b.
    let run = eut(8, 20)
        .arrive("a", at_us(0), prompt(4), output(4))
        .arrive("b", at_us(0), prompt(13), output(3))
        .arrive("c", at_us(0), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 8/20
         t=1.004 | P - | D a | kv 8/20
         t=2.004 | P - | D a | kv 8/20
         t=3.004 | P - | D a | kv 8/20
         t=4.004 | P b:13 c:2 | D - | kv 19/20
         t=5.019 | P - | D b | kv 16/20
         t=6.019 | P - | D b | kv 16/20",
    );
}

#[test]
fn reserves_what_the_client_may_ask_for_not_what_it_gets() {
    // Both answer 2 tokens and ask for at most 10: 14 slots each, of 20.
    let run = eut(8, 20)
        .arrive("a", at_us(0), prompt(4), output(2))
        .max_tokens(10)
        .arrive("b", at_us(0), prompt(4), output(2))
        .max_tokens(10)
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 14/20
         t=1.004 | P - | D a | kv 14/20
         t=2.004 | P b:4 | D - | kv 14/20
         t=3.008 | P - | D b | kv 14/20",
    );
}

#[test]
fn under_paged_allocation_the_latest_loses_its_place() {
    // Blocks of 4, four of them. At 2.008 none is free: b loses two. It is back at 3.008 (6 tokens), loses them again
    // at 4.014, and cannot return at 5.014, when a takes one of the two (8 -> 9 tokens) and 7 tokens need two.
    let run = paged(8)
        .kv(4, 4)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 2/4
         t=1.008 | P - | D a b | kv 4/4
         t=2.008 | P - | D a | kv 2/4 | preempt b
         t=3.008 | P b:6 | D a | kv 4/4
         t=4.014 | P - | D a | kv 2/4 | preempt b
         t=5.014 | P - | D a | kv 3/4
         t=6.014 | P b:7 | D - | kv 2/4
         t=7.021 | P - | D b | kv 2/4
         t=8.021 | P - | D b | kv 3/4",
    );
    run.assert_record("b", |r| r.preemptions == 2 && r.recomputed == 11);
}

#[test]
fn requests_of_one_instant_fill_the_batch_in_order() {
    let run = eut(2, 64)
        .arrive("a", at_us(0), prompt(2), output(1))
        .arrive("b", at_us(0), prompt(2), output(1))
        .arrive("c", at_us(0), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:2 b:2 | D - | kv 6/64
         t=1.004 | P c:2 | D - | kv 3/64",
    );
}
