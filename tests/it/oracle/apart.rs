//! Random scenarios with prefill and decode apart (§12, §13): engine = oracle, leap = step, coverage, faults.

use windtunnel::engine::config::{
    Attachment, ClusterConfig, FirstToken, HandOver, Messages, Network, Preemption, Sharing,
};
use windtunnel::policy::scheduler::SchedulerConfig;
use windtunnel::units::SimDuration;
use windtunnel::workload::Turns;

use super::compare::{Differences, difference};
use super::cost::TestCost;
use super::mutation::Mutation;
use super::outcome::{Coverage, Options};
use super::random::check_oracle;
use super::rng::Rng;
use super::scenario::{self, KINDS, MAX_STEPS, Others, Scenario};
use super::sim::run_with;
use super::traces;

/// Scenarios that are compared.
const SCENARIOS: u64 = 1500;

/// Scenarios on which faults are tried.
const TRIED: u64 = 600;

/// The scenario of this index; draws that never end are replaced (see `scenario`).
fn apart(index: u64) -> Scenario {
    for redrawn in 0.. {
        let candidate = draw(index, redrawn);
        let options = Options { max_steps: MAX_STEPS, ..Options::default() };
        let outcome = run_with(&candidate.deployment(), &candidate.trace, options);
        assert!(!outcome.stalled, "nothing more can happen\n{candidate}");
        if !outcome.stuck {
            return candidate;
        }
    }
    unreachable!("some draw ends")
}

/// Kinds of scheduler that may stand on either side: the first four.
pub fn draw(index: u64, redrawn: u64) -> Scenario {
    let mut rng = Rng::new((100 << 48) | (redrawn << 32) | index);
    let kind = rng.range(0, 3) as usize;
    let stages = if rng.chance(20) { 2 } else { 1 };
    let scheduler = scenario::scheduler(&mut rng, kind, stages);
    let config = ClusterConfig {
        replica: scenario::replica(&mut rng, kind, scheduler, stages),
        replicas: rng.small(1, 3) as u16,
        router: scenario::router(&mut rng),
        front_end: scenario::front_end(&mut rng),
    };
    let cost = TestCost::random(&mut rng, stages);
    let trace = traces::trace(&mut rng, config.replica.kv.block);
    let more = decoders(&mut rng, &config);
    let seed = rng.range(0, 9);
    let mut s = Scenario {
        kind,
        index,
        redrawn,
        config,
        cost,
        more,
        apart: None,
        moving: None,
        fetching: None,
        changes: None,
        headroom: Vec::new(),
        seed,
        trace,
    };
    let network = network(&mut rng, usize::from(s.replicas()), s.config.replica.kv.block);
    let hand_over = HandOver {
        router: scenario::router(&mut rng),
        first_token: rng.pick(&[FirstToken::Prefill, FirstToken::Decode]),
        same_server: rng.chance(40),
        queue_share: rng.pick(&[1, 50, 100, 200, 500, 1000, 1000]),
        mixed_above: 0,
        overlap: None,
    };
    s.apart = Some((hand_over, network));
    scenario::admission(&mut rng, &mut s.config.front_end.admission);
    if rng.chance(30) {
        scenario::urgency(&mut rng, &mut s);
    }
    if rng.chance(50) {
        s.trace.sessions = Some((0..s.trace.len()).map(|_| rng.range(0, 6) as u32).collect());
        if s.trace.closed.is_none() && rng.chance(30) {
            s.trace.turns = Turns::AfterAnswer;
        }
    }
    if s.trace.closed.is_none() && rng.chance(50) {
        traces::arrive_on_boundaries(&mut rng, &mut s);
    }
    s
}

/// One or two groups of decode replicas, three replicas at most, often with little memory.
fn decoders(rng: &mut Rng, config: &ClusterConfig) -> Vec<Others> {
    let mut groups = Vec::new();
    for _ in 0..rng.range(1, 2) {
        let kind = rng.range(0, 3) as usize;
        let stages = if rng.chance(20) { 2 } else { 1 };
        let mut replica = config.replica.clone();
        replica.scheduler = match scenario::scheduler(rng, kind, stages) {
            // Few sequences now and then, so that loaded requests wait for a place.
            SchedulerConfig::Iteration(mut p) if rng.chance(30) => {
                p.max_batch = rng.small(1, 3);
                SchedulerConfig::Iteration(p)
            }
            other => other,
        };
        let kv = &mut replica.kv;
        kv.blocks = rng.small(40, 160).div_ceil(kv.block).max(6);
        let swaps = matches!(KINDS[kind], "chunked" | "prefill-first") && kv.allocation.rule().is_none();
        kv.preemption = Preemption::Recompute;
        if swaps && rng.chance(60) {
            kv.preemption = Preemption::Swap { host_blocks: rng.small(0, kv.blocks) };
        }
        if kv.allocation.rule().is_none() {
            kv.prefix_cache = rng.chance(30);
        }
        replica.host_cache = 0;
        replica.late_stop = rng.chance(40);
        // A request that fills the whole memory alone is its own victim under the block rule.
        replica.max_model_len = replica.max_model_len.min((kv.blocks - 3) * kv.block);
        let most = 3 - groups.iter().map(|o: &Others| u32::from(o.replicas)).sum::<u32>();
        if most == 0 {
            break;
        }
        let replicas = rng.small(1, most) as u16;
        groups.push(Others { replica, replicas, cost: TestCost::random(rng, stages), mixed: false });
    }
    groups
}

/// One to four servers; each has ports that its replicas share, or each replica has its own.
pub fn network(rng: &mut Rng, replicas: usize, block: u32) -> Network {
    let rates =
        [20_000_000_000, 100_000_000_000, 333_333_333_331, 1_000_000_000_000, 1 << 43, 1_000_000_000_000_000];
    let usual = rng.pick(&rates);
    let servers = rng.range(1, 4);
    let shared = rng.chance(60);
    let mut network = Network {
        sharing: rng.pick(&[Sharing::Fair, Sharing::Fifo]),
        network_latency: SimDuration::from_ps(rng.pick(&[0, 1, 50, 400])),
        inside_latency: SimDuration::from_ps(rng.pick(&[0, 0, 10])),
        block_bytes: u64::from(block) * rng.pick(&[1, 10, 33]),
        messages: Messages { fixed: rng.range(0, 2), per_block: rng.range(0, 1) },
        ..Network::default()
    };
    let mut first_of: Vec<Option<Attachment>> = vec![None; servers as usize];
    for _ in 0..replicas {
        let server = rng.range(0, servers - 1) as u32;
        if let (true, Some(attachment)) = (shared, first_of[server as usize]) {
            network.attached.push(attachment);
            continue;
        }
        let base = network.ports.len() as u32;
        for at in 0..4 {
            let rate = if rng.chance(60) { usual } else { rng.pick(&rates) };
            network.ports.push(rate);
            network.names.push(format!("port {}", base + at));
        }
        // Inside a server the same ports now and then.
        let inside = if rng.chance(30) { base } else { base + 2 };
        let attachment = Attachment {
            server,
            network_out: base,
            network_in: base + 1,
            inside_out: inside,
            inside_in: inside + 1,
        };
        first_of[server as usize] = Some(attachment);
        network.attached.push(attachment);
    }
    network
}

/// A mechanism, in how many scenarios it must occur at least, and its count.
type Least = (&'static str, u64, fn(&Coverage) -> u64);

const LEAST: [Least; 18] = [
    ("hand-overs", 1000, |c| c.handed_over),
    ("ended-at-prefill", 50, |c| c.ended_at_prefill),
    ("offers-for-memory", 100, |c| c.offers_for_memory),
    ("offers-for-share", 100, |c| c.offers_for_share),
    ("offers-for-victims", 50, |c| c.offers_for_victims),
    ("resumes-held-back", 100, |c| c.resumes_held_back),
    ("shared-ports", 200, |c| c.shared_ports),
    ("fifo-waits", 100, |c| c.fifo_waits),
    ("unblocked", 50, |c| c.unblocked),
    ("gave-up-offered", 10, |c| c.gave_up_offered),
    ("gave-up-coming", 10, |c| c.gave_up_coming),
    ("gave-up-loaded", 10, |c| c.gave_up_loaded),
    ("decode-preemptions", 100, |c| c.decode_preemptions),
    ("decode-swaps", 30, |c| c.decode_swaps),
    ("kv-cuts", 200, |c| c.kv_cuts),
    ("prefix-hits", 100, |c| c.prefix_hits),
    ("stale-reads", 100, |c| c.stale_reads),
    ("overlapped", 50, |c| c.overlapped_batches),
];

#[test]
fn prefill_and_decode_apart_equal_the_oracle() {
    let mut differences = Differences::default();
    let mut covered = [0; LEAST.len()];
    for index in 0..SCENARIOS {
        let s = apart(index);
        let oracle = run_with(&s.deployment(), &s.trace, Options::default());
        check_oracle(&s, &oracle);
        differences.compare(&s, &oracle);
        for (n, (_, _, of)) in covered.iter_mut().zip(LEAST) {
            *n += u64::from(of(&oracle.coverage) > 0);
        }
    }
    let table: Vec<_> = LEAST.iter().zip(covered).map(|(l, n)| (l.0, n)).collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oracle-coverage-apart.txt");
    std::fs::write(path, format!("{table:?}\n")).expect("target is writable");
    differences.report("apart");
    for ((name, least, _), n) in LEAST.iter().zip(covered) {
        assert!(n >= *least, "only {n} scenarios with {name}: {table:?}");
    }
}

#[test]
fn faults_of_hand_overs_are_caught() {
    let mut alive: Vec<Mutation> = Mutation::APART.to_vec();
    for index in 0..TRIED {
        if alive.is_empty() {
            return;
        }
        let s = apart(index);
        let sound = run_with(&s.deployment(), &s.trace, Options::default());
        alive.retain(|&mutation| {
            let options = Options { mutation, max_steps: 2 * MAX_STEPS, ..Options::default() };
            let faulty = run_with(&s.deployment(), &s.trace, options);
            difference((&faulty.records, &faulty.counters), (&sound.records, &sound.counters)).is_none()
        });
    }
    assert!(alive.is_empty(), "no scenario notices {alive:?}");
}
