//! `unified` schedules as vLLM V1 does. Logs were written by hand from docs/semantics.md section 8.
//!
//! A prefill step takes 1 ms + 1 us per prompt token, a decode step 1 ms. Blocks are of 4 tokens.

use windtunnel::policy::scheduler::{SchedulerConfig, Unified};

use crate::eut::{Eut, at_us, output, prompt};

fn unified(token_budget: u32) -> Unified {
    Unified { token_budget, ..Unified::default() }
}

fn eut(parameters: Unified) -> Eut {
    Eut::new(SchedulerConfig::Unified(parameters)).kv(4, 16)
}

#[test]
fn does_nothing_without_requests() {
    eut(unified(8)).run().assert_steps("");
}

#[test]
fn one_request_alone_prefills_then_decodes() {
    // 6 tokens are 2 blocks; the third token is sampled with KV for 8 tokens.
    let run = eut(unified(8)).arrive("a", at_us(0), prompt(6), output(3)).run();
    run.assert_steps(
        "t=0.000 | P a:6 | D - | kv 2/16
         t=1.006 | P - | D a | kv 2/16
         t=2.006 | P - | D a | kv 2/16",
    );
    run.assert_tokens("a", 1_006, 3_006);
}

#[test]
fn splits_a_long_prompt_at_the_budget_and_allocates_as_it_goes() {
    // a: 8 + 8 + 4 of 20. In the third step 4 tokens of budget are left for b's first chunk; blocks are taken for what
    // is computed only: a 2, 4, 5, 6; b 1, 2.
    let run = eut(unified(8))
        .arrive("a", at_us(0), prompt(20), output(2))
        .arrive("b", at_us(0), prompt(5), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:8 | D - | kv 2/16
         t=1.008 | P a:8 | D - | kv 4/16
         t=2.016 | P a:4 b:4 | D - | kv 6/16
         t=3.024 | P b:1 | D a | kv 8/16
         t=4.025 | P - | D b | kv 2/16",
    );
    run.assert_tokens("a", 3_024, 4_025).assert_tokens("b", 4_025, 5_025);
}

#[test]
fn a_threshold_lets_a_short_prompt_pass_a_long_one() {
    // a gets 4 a step of its 20, b the fifth token of the budget: b's 2 prompt tokens take two steps, then it decodes
    // between a's chunks.
    let parameters = Unified { long_prefill_threshold: 4, ..unified(5) };
    let run = eut(parameters)
        .arrive("a", at_us(0), prompt(20), output(1))
        .arrive("b", at_us(0), prompt(2), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:1 | D - | kv 2/16
         t=1.005 | P a:4 b:1 | D - | kv 3/16
         t=2.010 | P a:4 | D b | kv 4/16
         t=3.014 | P a:4 | D - | kv 4/16
         t=4.018 | P a:4 | D - | kv 5/16",
    );
    run.assert_tokens("b", 2_010, 3_014).assert_tokens("a", 5_022, 5_022);
}

#[test]
fn preempts_the_youngest_when_blocks_run_out_and_recomputes_its_tokens() {
    // 6 blocks, three requests: full at 5 tokens each. For the ninth token a needs a third block: c loses its two, of
    // which a and b take one each. c had computed 8 tokens and generated 5, so that its next prefill covers 9.
    let run = eut(unified(16))
        .kv(4, 6)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .arrive("c", at_us(0), prompt(4), output(6))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 c:4 | D - | kv 3/6
         t=1.012 | P - | D a b c | kv 6/6
         t=2.012 | P - | D a b c | kv 6/6
         t=3.012 | P - | D a b c | kv 6/6
         t=4.012 | P - | D a b c | kv 6/6
         t=5.012 | P - | D a b | kv 6/6 | preempt c
         t=6.012 | P c:9 | D - | kv 3/6",
    );
    run.assert_tokens("c", 1_012, 7_021);
    run.assert_record("c", |r| r.preemptions == 1 && r.recomputed == 8);
}

#[test]
fn a_step_that_preempts_admits_nobody_and_the_victim_goes_first() {
    // d waits since 3.5 ms because two sequences run. At 5.008 b loses its place: one sequence and one block are
    // free, enough for d, but the step admits nobody. Then b stands before d.
    let parameters = Unified { max_sequences: 2, ..unified(16) };
    let run = eut(parameters)
        .kv(4, 4)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .arrive("d", at_us(3_500), prompt(1), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 2/4
         t=1.008 | P - | D a b | kv 4/4
         t=2.008 | P - | D a b | kv 4/4
         t=3.008 | P - | D a b | kv 4/4
         t=4.008 | P - | D a b | kv 4/4
         t=5.008 | P - | D a | kv 3/4 | preempt b
         t=6.008 | P b:9 d:1 | D - | kv 4/4",
    );
    run.assert_tokens("d", 7_018, 7_018);
}

#[test]
fn the_last_request_is_its_own_victim() {
    // Without `reserve-full-prompt` b starts with the 4 tokens of budget that a leaves, in 1 of 4 blocks. Its next 8
    // tokens need 2 blocks; a's decode took the last one. The last running request is b itself.
    let parameters = Unified { reserve_full_prompt: false, ..unified(12) };
    let run = eut(parameters)
        .kv(4, 4)
        .arrive("a", at_us(0), prompt(8), output(2))
        .arrive("b", at_us(0), prompt(12), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:8 b:4 | D - | kv 3/4
         t=1.012 | P - | D a | kv 3/4 | preempt b
         t=2.012 | P b:12 | D - | kv 3/4",
    );
    run.assert_tokens("b", 3_024, 3_024);
}

#[test]
fn reserving_the_full_prompt_keeps_it_out_instead() {
    // The same requests: b's 3 blocks do not fit beside a's 2.
    let run = eut(unified(12))
        .kv(4, 4)
        .arrive("a", at_us(0), prompt(8), output(2))
        .arrive("b", at_us(0), prompt(12), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:8 | D - | kv 2/4
         t=1.008 | P - | D a | kv 3/4
         t=2.008 | P b:12 | D - | kv 3/4",
    );
    run.assert_record("b", |r| r.preemptions == 0);
}

#[test]
fn requests_of_one_instant_fill_the_sequences_in_order() {
    let parameters = Unified { max_sequences: 2, ..unified(8) };
    let run = eut(parameters)
        .arrive("a", at_us(0), prompt(2), output(1))
        .arrive("b", at_us(0), prompt(2), output(1))
        .arrive("c", at_us(0), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:2 b:2 | D - | kv 2/16
         t=1.004 | P c:2 | D - | kv 1/16",
    );
}
