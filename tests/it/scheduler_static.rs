//! `static` schedules as FasterTransformer does. Logs were written by hand from docs/semantics.md section 8.
//!
//! A prefill step takes 1 ms + 1 us per prompt token, a decode step 1 ms. KV slots of one token, reserved for prompt
//! and `max_tokens`. Finished requests do not show in the log, but their slots do.

use windtunnel::engine::config::ReserveRule;
use windtunnel::policy::scheduler::{RaggedPrompts, SchedulerConfig, Static};

use crate::eut::{Eut, at_us, output, prompt};

fn eut(parameters: Static) -> Eut {
    Eut::new(SchedulerConfig::Static(parameters)).kv(1, 64).reserve(ReserveRule::MaxTokens)
}

fn batch(max_batch: u32) -> Static {
    Static { max_batch, ..Static::default() }
}

#[test]
fn does_nothing_without_requests() {
    eut(batch(8)).run().assert_steps("");
}

#[test]
fn one_request_alone_is_answered_at_the_end() {
    let run = eut(batch(8)).arrive("a", at_us(0), prompt(6), output(3)).run();
    run.assert_steps(
        "t=0.000 | P a:6 | D - | kv 9/64
         t=1.006 | P - | D a | kv 9/64
         t=2.006 | P - | D a | kv 9/64",
    );
    run.assert_tokens("a", 3_006, 3_006);
}

/// a: 3 + 2, b: 5 + 2. The first step takes 3 tokens of each; b's fourth and fifth prompt token are fed with a's
/// decode and after it; the fifth samples b's first token. a is done at 2.006 and fills its slot until 4.006.
fn ragged(parameters: Static) -> crate::eut::Run {
    let run = eut(parameters)
        .arrive("a", at_us(0), prompt(3), output(2))
        .arrive("b", at_us(0), prompt(5), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:3 b:3 | D - | kv 12/64
         t=1.006 | P - | D a b | kv 12/64
         t=2.006 | P - | D b | kv 12/64
         t=3.006 | P - | D b | kv 12/64",
    );
    run
}

#[test]
fn the_shortest_prompt_sets_the_first_step_and_all_return_together() {
    let run = ragged(batch(2));
    run.assert_tokens("a", 4_006, 4_006).assert_tokens("b", 4_006, 4_006);
    run.assert_record("a", |r| r.gap_max.as_ps() == 0);
}

#[test]
fn early_return_delivers_tokens_as_they_are_computed() {
    let run = ragged(Static { return_early: true, ..batch(2) });
    run.assert_tokens("a", 1_006, 2_006).assert_tokens("b", 3_006, 4_006);
}

#[test]
fn padding_costs_the_longest_prompt_for_everyone() {
    // Two chunks that cost 5 tokens each: 1.010 ms.
    let run = eut(Static { ragged: RaggedPrompts::Padded, ..batch(2) })
        .arrive("a", at_us(0), prompt(3), output(1))
        .arrive("b", at_us(0), prompt(5), output(1))
        .arrive("c", at_us(500), prompt(1), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:3 b:5 | D - | kv 10/64
         t=1.010 | P c:1 | D - | kv 2/64",
    );
}

#[test]
fn nobody_joins_a_batch_in_progress() {
    let run = eut(batch(8))
        .arrive("a", at_us(0), prompt(2), output(3))
        .arrive("c", at_us(500), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:2 | D - | kv 5/64
         t=1.002 | P - | D a | kv 5/64
         t=2.002 | P - | D a | kv 5/64
         t=3.002 | P c:2 | D - | kv 3/64",
    );
}

#[test]
fn memory_for_the_longest_answers_limits_the_batch() {
    // 12 slots hold two reservations of 6.
    let run = eut(batch(8))
        .kv(1, 12)
        .arrive("a", at_us(0), prompt(4), output(2))
        .arrive("b", at_us(0), prompt(4), output(2))
        .arrive("c", at_us(0), prompt(4), output(2))
        .run();
    run.assert_steps(
        "t=0.000 | P a:4 b:4 | D - | kv 12/12
         t=1.008 | P - | D a b | kv 12/12
         t=2.008 | P c:4 | D - | kv 6/12
         t=3.012 | P - | D c | kv 6/12",
    );
}

#[test]
fn requests_of_one_instant_form_batches_in_order() {
    let run = eut(batch(2))
        .arrive("a", at_us(0), prompt(2), output(1))
        .arrive("b", at_us(0), prompt(2), output(1))
        .arrive("c", at_us(0), prompt(2), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:2 b:2 | D - | kv 6/64
         t=1.004 | P c:2 | D - | kv 3/64",
    );
}
