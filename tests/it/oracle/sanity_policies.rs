//! The oracle itself against values computed by hand: batches, reservations, routers, closed loop, bounds.

use windtunnel::engine::config::{Allocation, ReserveRule};
use windtunnel::metrics::record::{Cause, RequestRecord};
use windtunnel::policy::router::{LeastLoad, RouterConfig};
use windtunnel::policy::scheduler::{
    Chunked, Clairvoyant, Ideal, Iteration, PrefillFirst, SchedulerConfig, Static,
};
use windtunnel::units::{SimDuration, SimTime};
use windtunnel::workload::{Closed, NO_SESSION, Turns};

use super::sanity::{deployment, oracle, rows, spent, times, v1};

#[test]
fn static_batch_at_the_shortest_prompt() {
    let together = Static { max_batch: 2, ..Static::default() };
    let early = Static { return_early: true, ..together.clone() };
    let trace = rows(&[(0, 3, 2), (0, 5, 1)]);
    // k = 3: 100 + 60 to 160. Decode of q0 (4) and feed of q1 (4): 128 to 288, q0 has its two tokens. Feed of q1
    // (5) with q0 as padding: 100 + 20 + 5 to 413.
    let out = oracle(&deployment(SchedulerConfig::Static(together), 1, 100), &trace);
    assert_eq!(times(&out.records[0]), (0, 413, 413, 0));
    assert_eq!(times(&out.records[1]), (0, 413, 413, 0));
    let first = [(Cause::PrefillExecution, 160), (Cause::DecodeExecution, 128), (Cause::Bubble, 125)];
    assert_eq!(spent(&out.records[0]), first);
    assert_eq!(spent(&out.records[1]), [(Cause::PrefillExecution, 413)]);
    assert_eq!(out.counters.wasted_slots, 1);

    let out = oracle(&deployment(SchedulerConfig::Static(early), 1, 100), &trace);
    assert_eq!(times(&out.records[0]), (0, 160, 288, 128));
    assert_eq!(times(&out.records[1]), (0, 413, 413, 0));
}

#[test]
fn orca_stops_at_the_head_of_the_line() {
    let mut config = deployment(SchedulerConfig::Iteration(Iteration::default()), 1, 20);
    config.replica.kv.allocation = Allocation::Reserve(ReserveRule::MaxTokens);
    let mut trace = rows(&[(0, 4, 2), (0, 10, 1), (0, 1, 1)]);
    trace.requests[0].max_tokens = 6;
    trace.requests[1].max_tokens = 5;
    let out = oracle(&config, &trace);
    // 10 slots are reserved for q0; q1 asks for 15 and blocks q2, which would fit. q0: 140, then 115 (5).
    // At 255 both are admitted: 11 tokens, 210.
    assert_eq!(times(&out.records[0]), (0, 140, 255, 115));
    assert_eq!(times(&out.records[1]), (255, 465, 465, 0));
    assert_eq!(times(&out.records[2]), (255, 465, 465, 0));
}

#[test]
fn chunked_lets_decodes_go_first_and_prefill_first_does_not() {
    let trace = rows(&[(0, 4, 3), (10, 12, 1)]);
    let chunked = SchedulerConfig::Chunked(Chunked { token_budget: 8, max_sequences: 4, hybrid: true });
    let out = oracle(&deployment(chunked, 4, 100), &trace);
    // 140; then a decode (5) with 7 prompt tokens: 185; then a decode (6) with the other 5: 166; all done at 491.
    assert_eq!(times(&out.records[0]), (0, 140, 491, 185));
    assert_eq!(times(&out.records[1]), (140, 491, 491, 0));

    let first = SchedulerConfig::PrefillFirst(PrefillFirst::default());
    let out = oracle(&deployment(first, 4, 100), &trace);
    // 140; the prompt of 12 alone: 220 to 360; decodes 115 and 116. The first gap contains the prompt.
    assert_eq!(times(&out.records[0]), (0, 140, 591, 335));
    assert_eq!(times(&out.records[1]), (140, 360, 360, 0));
    assert_eq!(out.records[0].ledger.get(Cause::DecodeStalled).as_ps(), 220);
}

#[test]
fn clairvoyant_takes_the_shortest_first() {
    let one = SchedulerConfig::Clairvoyant(Clairvoyant { token_budget: 64, max_sequences: 1 });
    let out = oracle(&deployment(one, 4, 100), &rows(&[(0, 20, 1), (0, 2, 1), (0, 9, 1)]));
    let start: Vec<u64> = out.records.iter().map(|r| r.scheduled.as_ps()).collect();
    // q1 120, q2 190, then q0.
    assert_eq!(start, [310, 0, 120]);
}

#[test]
fn ideal_lets_nobody_wait() {
    let out = oracle(&deployment(SchedulerConfig::Ideal(Ideal {}), 4, 100), &rows(&[(0, 5, 3), (7, 5, 3)]));
    assert_eq!(times(&out.records[0]), (0, 150, 383, 117));
    assert_eq!(times(&out.records[1]), (7, 157, 390, 117));
}

#[test]
fn a_client_thinks_and_asks_again() {
    let mut trace = rows(&[(0, 5, 1), (0, 2000, 1), (0, 5, 1)]);
    trace.closed = Some(Closed { clients: 1, think: SimDuration::from_ps(50) });
    let out = oracle(&deployment(v1(), 4, 100), &trace);
    // Answered at 150; the too long one is issued and rejected at 200; the last one at 250.
    let arrivals: Vec<u64> = out.records.iter().map(|r| r.arrival.as_ps()).collect();
    assert_eq!(arrivals, [0, 200, 250]);
}

#[test]
fn stale_routers_herd_unless_they_count_their_own_dispatches() {
    let trace = rows(&[(1, 5, 9), (2, 5, 9), (3, 5, 9), (4, 5, 9)]);
    let replicas = |own_dispatches, staleness| {
        let mut config = deployment(v1(), 4, 100);
        config.replicas = 2;
        let staleness = SimDuration::from_ps(staleness);
        config.router =
            RouterConfig::LeastRequests(LeastLoad { staleness, own_dispatches, ..LeastLoad::default() });
        let out = oracle(&config, &trace);
        out.records.iter().map(|r| r.replica.0).collect::<Vec<u16>>()
    };
    assert_eq!(replicas(false, 1000), [0, 0, 0, 0]);
    assert_eq!(replicas(true, 1000), [0, 1, 0, 1]);
    assert_eq!(replicas(false, 0), [0, 1, 0, 1]);
    // At 2 and 4 the report is fresh; at 3 it is that of 2, after its arrival: 1 and 1.
    assert_eq!(replicas(false, 2), [0, 1, 0, 1]);
}

#[test]
fn a_turn_comes_its_pause_after_the_answer() {
    let mut trace = rows(&[(0, 5, 1), (40, 5, 1), (60, 5, 1), (500, 5, 1)]);
    trace.sessions = Some(vec![0, 0, NO_SESSION, 0]);
    trace.turns = Turns::AfterAnswer;
    let out = oracle(&deployment(v1(), 4, 100), &trace);
    let at =
        |f: fn(&RequestRecord) -> SimTime| out.records.iter().map(|r| f(r).as_ps()).collect::<Vec<u64>>();
    let (arrivals, ends) = (at(|r| r.arrival), at(|r| r.finish));
    assert_eq!(arrivals, [0, ends[0] + 40, 60, ends[1] + 460]);
}
