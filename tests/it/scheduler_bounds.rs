//! The bounds: `clairvoyant` and `ideal`. Logs were written by hand from docs/semantics.md section 8.
//!
//! A prefill step takes 1 ms + 1 us per prompt token, a decode step 1 ms. Blocks are of 4 tokens.

use windtunnel::policy::scheduler::{Clairvoyant, Ideal, SchedulerConfig};

use crate::eut::{Eut, at_us, output, prompt};

fn clairvoyant(token_budget: u32, max_sequences: u32) -> Eut {
    Eut::new(SchedulerConfig::Clairvoyant(Clairvoyant { token_budget, max_sequences })).kv(4, 16)
}

#[test]
fn clairvoyant_does_nothing_without_requests() {
    clairvoyant(8, 8).run().assert_steps("");
}

#[test]
fn clairvoyant_runs_one_request_alone_like_the_others() {
    let run = clairvoyant(8, 8).arrive("a", at_us(0), prompt(6), output(3)).run();
    run.assert_steps(
        "t=0.000 | P a:6 | D - | kv 2/16
         t=1.006 | P - | D a | kv 2/16
         t=2.006 | P - | D a | kv 2/16",
    );
}

#[test]
fn clairvoyant_takes_the_shortest_job_of_an_instant_first() {
    let run = clairvoyant(8, 1)
        .arrive("a", at_us(0), prompt(8), output(2))
        .arrive("b", at_us(0), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P b:2 | D - | kv 1/16
         t=1.002 | P a:8 | D - | kv 2/16
         t=2.010 | P - | D a | kv 3/16",
    );
}

#[test]
fn clairvoyant_decodes_all_and_splits_prompts_at_the_budget() {
    // b waits for the instant of its arrival only: 7 + 5 of 12 beside a's decodes, blocks of the prompt at once.
    let run = clairvoyant(8, 8)
        .arrive("a", at_us(0), prompt(4), output(3))
        .arrive("b", at_us(500), prompt(12), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 | D - | kv 1/16
         t=1.004 | P b:7 | D a | kv 5/16
         t=2.011 | P b:5 | D a | kv 5/16",
    );
}

#[test]
fn clairvoyant_lets_a_short_job_pass_one_that_does_not_fit() {
    // 4 blocks, 3 promised to a (8 + 4 tokens). b needs 2 and waits; c, which came later, needs 1 and goes.
    let run = clairvoyant(8, 8)
        .kv(4, 4)
        .arrive("a", at_us(0), prompt(8), output(4))
        .arrive("b", at_us(500), prompt(4), output(4))
        .arrive("c", at_us(500), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:8 | D - | kv 2/4
         t=1.008 | P c:2 | D a | kv 4/4
         t=2.010 | P - | D a | kv 3/4
         t=3.010 | P - | D a | kv 3/4
         t=4.010 | P b:4 | D - | kv 1/4
         t=5.014 | P - | D b | kv 2/4
         t=6.014 | P - | D b | kv 2/4
         t=7.014 | P - | D b | kv 2/4",
    );
}

#[test]
fn clairvoyant_never_preempts() {
    // Each needs 3 of 6 blocks in the end (10 tokens): two run, the third waits for both.
    let run = clairvoyant(16, 8)
        .kv(4, 6)
        .arrive("a", at_us(0), prompt(4), output(6))
        .arrive("b", at_us(0), prompt(4), output(6))
        .arrive("c", at_us(0), prompt(4), output(6))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 2/6
         t=1.008 | P - | D a b | kv 4/6
         t=2.008 | P - | D a b | kv 4/6
         t=3.008 | P - | D a b | kv 4/6
         t=4.008 | P - | D a b | kv 4/6
         t=5.008 | P - | D a b | kv 6/6
         t=6.008 | P c:4 | D - | kv 1/6
         t=7.012 | P - | D c | kv 2/6
         t=8.012 | P - | D c | kv 2/6
         t=9.012 | P - | D c | kv 2/6
         t=10.012 | P - | D c | kv 2/6
         t=11.012 | P - | D c | kv 3/6",
    );
}

#[test]
fn ideal_gives_every_request_the_accelerator_alone() {
    // No queue: both are served at once, each as if the other were not there.
    let run = Eut::new(SchedulerConfig::Ideal(Ideal {}))
        .arrive("a", at_us(0), prompt(8), output(2))
        .arrive("b", at_us(0), prompt(8), output(2))
        .arrive("c", at_us(100), prompt(1), output(1))
        .run();
    run.assert_tokens("a", 1_008, 2_008).assert_tokens("b", 1_008, 2_008).assert_tokens("c", 1_101, 1_101);
}
