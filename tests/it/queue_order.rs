//! Queue orders and clients that give up, step by step. A step takes 1 ms and 1 us per prompt token.

use windtunnel::metrics::record::{Cause, Fate, RequestRecord};
use windtunnel::policy::order::Order;
use windtunnel::policy::scheduler::{Chunked, Iteration, PrefillFirst, SchedulerConfig, Unified};
use windtunnel::units::SimDuration;

use crate::eut::{Eut, at_us, output, prompt};

fn one_at_a_time() -> SchedulerConfig {
    SchedulerConfig::Unified(Unified { max_sequences: 1, ..Unified::default() })
}

#[test]
fn the_urgent_go_first_and_the_others_in_order_of_arrival() {
    Eut::new(one_at_a_time())
        .order(Order::Priority)
        .arrive("a", at_us(0), prompt(16), output(1))
        .urgency(1, 0)
        .arrive("b", at_us(100), prompt(16), output(1))
        .urgency(1, 0)
        .arrive("c", at_us(200), prompt(16), output(2))
        .urgency(0, 0)
        .arrive("d", at_us(300), prompt(16), output(1))
        .urgency(1, 0)
        .run()
        .assert_steps(
            "t=0.000 | P a:16 | D - | kv 1/64
             t=1.016 | P c:16 | D - | kv 1/64
             t=2.032 | P - | D c | kv 2/64
             t=3.032 | P b:16 | D - | kv 1/64
             t=4.048 | P d:16 | D - | kv 1/64",
        );
}

/// An urgent arrival cuts a leap that a blocked queue would otherwise let run on.
#[test]
fn an_arrival_that_overtakes_a_blocked_head_is_admitted_at_once() {
    let run = |order| {
        Eut::new(SchedulerConfig::Unified(Unified::default()))
            .kv(16, 4)
            .order(order)
            .arrive("a", at_us(0), prompt(16), output(9))
            .urgency(1, 0)
            .arrive("big", at_us(100), prompt(48), output(1))
            .urgency(1, 0)
            .arrive("c", at_us(3_500), prompt(16), output(1))
            .urgency(0, 0)
            .run()
    };
    run(Order::Fcfs).assert_tokens("c", 10_080, 10_080);
    run(Order::Priority).assert_tokens("c", 5_032, 5_032).assert_tokens("big", 10_080, 10_080);
}

#[test]
fn the_victim_is_the_least_urgent_and_of_those_the_latest() {
    let run = |order| {
        Eut::new(SchedulerConfig::Unified(Unified { reserve_full_prompt: false, ..Unified::default() }))
            .kv(16, 4)
            .order(order)
            .arrive("a", at_us(0), prompt(16), output(4))
            .urgency(2, 0)
            .arrive("b", at_us(0), prompt(32), output(4))
            .urgency(1, 0)
            .run()
    };
    run(Order::Fcfs).assert_record("b", |r| r.preemptions == 1).assert_record("a", |r| r.preemptions == 0);
    run(Order::Priority).assert_steps(
        "t=0.000 | P b:32 a:16 | D - | kv 3/4
         t=1.048 | P - | D b | kv 3/4 | preempt a
         t=2.048 | P - | D b | kv 3/4
         t=3.048 | P - | D b | kv 3/4
         t=4.048 | P a:17 | D - | kv 2/4
         t=5.065 | P - | D a | kv 2/4
         t=6.065 | P - | D a | kv 2/4",
    );
}

#[test]
fn the_shortest_prompt_and_the_shortest_job() {
    let run = |order| {
        Eut::new(one_at_a_time())
            .order(order)
            .arrive("first", at_us(0), prompt(8), output(1))
            .arrive("long", at_us(1), prompt(200), output(1))
            .arrive("short", at_us(2), prompt(20), output(300))
            .arrive("middle", at_us(3), prompt(100), output(1))
            .run()
    };
    let starts = |r: &crate::eut::Run| {
        let mut names = ["long", "short", "middle"];
        names.sort_by_key(|name| r.record(name).scheduled);
        names
    };
    assert_eq!(starts(&run(Order::Fcfs)), ["long", "short", "middle"]);
    assert_eq!(starts(&run(Order::ShortestPrompt)), ["short", "middle", "long"]);
    assert_eq!(starts(&run(Order::ShortestJob)), ["middle", "long", "short"]);
}

#[test]
fn the_earliest_deadline_and_those_without_one_last() {
    let run = Eut::new(one_at_a_time())
        .order(Order::EarliestDeadline)
        .arrive("first", at_us(0), prompt(8), output(1))
        .urgency(0, 0)
        .arrive("never", at_us(1), prompt(16), output(1))
        .urgency(0, 0)
        .arrive("later", at_us(2), prompt(16), output(1))
        .urgency(0, 9_000)
        .arrive("sooner", at_us(500), prompt(16), output(1))
        .urgency(0, 5_000)
        .run();
    run.assert_tokens("sooner", 2_024, 2_024)
        .assert_tokens("later", 3_040, 3_040)
        .assert_tokens("never", 4_056, 4_056);
}

/// The order decides alike under every scheduler that allows one.
#[test]
fn every_scheduler_that_allows_an_order_admits_by_it() {
    let all = [
        one_at_a_time(),
        SchedulerConfig::Chunked(Chunked { max_sequences: 1, ..Chunked::default() }),
        SchedulerConfig::PrefillFirst(PrefillFirst { max_sequences: 1, ..PrefillFirst::default() }),
        SchedulerConfig::Iteration(Iteration { max_batch: 1 }),
    ];
    for scheduler in all {
        assert!(scheduler.allows_order());
        Eut::new(scheduler)
            .order(Order::Priority)
            .arrive("a", at_us(0), prompt(16), output(1))
            .urgency(1, 0)
            .arrive("b", at_us(1), prompt(16), output(1))
            .urgency(1, 0)
            .arrive("c", at_us(2), prompt(16), output(1))
            .urgency(0, 0)
            .run()
            .assert_tokens("c", 2_032, 2_032)
            .assert_tokens("b", 3_048, 3_048);
    }
}

/// `b` waits behind `a` until both give up at 4.5 ms: `b` leaves at once, `a` with the step on its way. `c`, which came
/// later, is admitted next.
#[test]
fn who_waits_too_long_leaves_the_queue() {
    let run = Eut::new(one_at_a_time())
        .timeout_us(4_500)
        .arrive("a", at_us(0), prompt(16), output(9))
        .arrive("b", at_us(0), prompt(16), output(200))
        .arrive("c", at_us(2_100), prompt(16), output(1))
        .run();
    run.assert_steps(
        "t=0.000 | P a:16 | D - | kv 1/64
         t=1.016 | P - | D a | kv 2/64
         t=2.016 | P - | D a | kv 2/64
         t=3.016 | P - | D a | kv 2/64
         t=4.016 | P - | D a | kv 2/64
         t=5.016 | P c:16 | D - | kv 1/64",
    );
    let timed_out = |tokens, at| {
        move |r: &RequestRecord| {
            (r.fate, r.output, r.finish) == (Fate::TimedOut, tokens, at_us(at)) && r.ledger.total() == r.e2e()
        }
    };
    run.assert_record("a", timed_out(5, 5_016)).assert_record("b", timed_out(0, 4_500));
    run.assert_record("b", |r| r.ledger.get(Cause::Queue) == SimDuration::from_us(4_500));
    run.assert_tokens("c", 6_032, 6_032);
}

/// A client gives up exactly at the end of a step, and in the middle of what would be one leap: both leave with the
/// tokens they have got by the end of that step.
#[test]
fn a_running_request_leaves_at_the_end_of_the_step() {
    let run = |timeout_us| {
        Eut::new(SchedulerConfig::Unified(Unified::default()))
            .timeout_us(timeout_us)
            .arrive("a", at_us(0), prompt(16), output(50))
            .run()
    };
    let left = |tokens, at| {
        move |r: &RequestRecord| {
            (r.fate, r.output, r.finish) == (Fate::TimedOut, tokens, at_us(at)) && r.ledger.total() == r.e2e()
        }
    };
    run(4_016).assert_record("a", left(4, 4_016));
    run(4_017).assert_record("a", left(5, 5_016));
    run(60_000).assert_tokens("a", 1_016, 50_016);
}
