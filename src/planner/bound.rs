//! No deployment can serve more than its datasheet allows: the bound that prunes a search.
//!
//! A request of prompt `P` and answer `O` costs a deployment at least
//! `F = f_token·(P + O − 1) + f_logit·O + f_context·(P²/2 + C)` FLOPs and, by decoding alone,
//! `B = w·steps + k·C` bytes, with `C = Σ_{i=1}^{O−1} (P + i)` the context its decode steps read, and
//! `steps ≥ max((O − 1)/n, C/S)`: a step gives at most `n` (`max-sequences`) requests a token, and reads the contexts
//! of at most as many tokens as the KV memory of a replica holds, `S`. The constants are those of `UnitWork`, the rates
//! those of the datasheet. So the rate is at most `min(peak/mean F, bandwidth/mean B)`.
//!
//! With prefill and decode apart every request needs both pools, and the way between them: the bound is the smallest of
//! the prefill pool's (prompts and, where it samples them, first tokens), the decode pool's (all other tokens), and of
//! the ports' (`ports/mean bytes of KV`, over the ports that KV can leave by, and over those that it can come by).
//!
//! A trial is a window of a finite run: requests that are still under way at its end have had a part of their work
//! done outside. [`SLACK`] allows for that.

use std::collections::BTreeSet;

use crate::cost::{CostSpec, UnitWork};
use crate::engine::config::{Attachment, FirstToken, HandOver, Network, ReplicaConfig, Role};
use crate::metrics::slo::Slo;
use crate::policy::scheduler::SchedulerConfig;
use crate::scenario::{GroupPlan, SystemPlan};
use crate::workload::Trace;

/// A trial lasts at least 20 P99 end-to-end latencies, so at most a twentieth of its work lies outside; twice that.
pub const SLACK: f64 = 1.1;

/// Highest rate that the datasheet lets `system` serve requests like those of `trace`, requests per second; infinite
/// where nothing is known. 0: one decode step alone takes longer than the limits on tokens allow.
pub fn rate(system: &SystemPlan, trace: &Trace, slo: &Slo, attainment: f64) -> f64 {
    if let Some((network, hand_over)) =
        system.joint.as_ref().and_then(|j| Some((&j.network, j.hand_over.as_ref()?)))
    {
        return apart(system, (network, hand_over), trace, (slo, attainment));
    }
    let Some(unit) = system.unit_work() else { return f64::INFINITY };
    let replicas = f64::from(system.replicas().max(1));
    let pool = Pool {
        unit,
        spec: &system.spec,
        replica: &system.cluster.replica,
        replicas,
        stages: f64::from(system.stages()) / replicas,
        slots: system.kv_slots() as f64 / replicas,
    };
    if pool.too_slow(slo, trace, attainment) {
        return 0.0;
    }
    pool.rate(trace, Part::Whole)
}

/// The smallest bound of the two pools and the way between them.
fn apart(
    system: &SystemPlan,
    (network, hand_over): (&Network, &HandOver),
    trace: &Trace,
    (slo, attainment): (&Slo, f64),
) -> f64 {
    if system.groups.iter().any(|g| g.role == Role::Whole) {
        // Who takes requests from both pools sets neither's bound.
        return f64::INFINITY;
    }
    let first = hand_over.first_token;
    let tokens_of_a_block = f64::from(system.cluster.replica.kv.block);
    let token_bytes = network.block_bytes as f64 / tokens_of_a_block;
    let mut rate = ports(network, &roles(system), (trace, first), token_bytes);
    for group in &system.groups {
        let pool = Pool::of(group);
        if group.role == Role::Decode && pool.too_slow(slo, trace, attainment) {
            return 0.0;
        }
        rate = rate.min(pool.rate(trace, Part::of(group.role, first)));
    }
    rate
}

/// Highest rate of one phase that the datasheet lets the pool of this role serve; infinite where there is none.
pub fn phase(system: &SystemPlan, role: Role, trace: &Trace) -> f64 {
    let pools = system.groups.iter().filter(|g| g.role == role);
    let rates = pools.map(|g| Pool::of(g).rate(trace, Part::of(role, FirstToken::Prefill)));
    rates.fold(f64::INFINITY, f64::min)
}

/// The role of each replica.
fn roles(system: &SystemPlan) -> Vec<Role> {
    system.groups.iter().flat_map(|g| std::iter::repeat_n(g.role, usize::from(g.replicas))).collect()
}

/// Which part of a request a pool computes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Whole,
    Prefill(FirstToken),
    Decode(FirstToken),
}

impl Part {
    fn of(role: Role, first: FirstToken) -> Part {
        match role {
            Role::Whole => Part::Whole,
            Role::Prefill => Part::Prefill(first),
            Role::Decode => Part::Decode(first),
        }
    }

    /// Prompt tokens it computes, rows of the output projection, and decodes, for a prompt and an answer.
    fn work(self, prompt: f64, output: f64) -> (f64, f64, f64) {
        match self {
            Part::Whole => (prompt, output, output - 1.0),
            Part::Prefill(FirstToken::Prefill) => (prompt, 1.0, 0.0),
            Part::Prefill(FirstToken::Decode) => (prompt, 0.0, 0.0),
            Part::Decode(FirstToken::Prefill) => (0.0, output - 1.0, output - 1.0),
            Part::Decode(FirstToken::Decode) => (0.0, output, output),
        }
    }
}

/// Equal replicas as the bound sees them.
struct Pool<'a> {
    /// Its rates are those of all replicas.
    unit: UnitWork,
    spec: &'a CostSpec,
    replica: &'a ReplicaConfig,
    replicas: f64,
    /// Pipeline stages of each replica.
    stages: f64,
    /// Tokens that the KV memory of each holds.
    slots: f64,
}

impl Pool<'_> {
    /// The equal replicas of a group.
    fn of(group: &GroupPlan) -> Pool<'_> {
        let one = UnitWork::of(&group.spec);
        let replicas = f64::from(group.replicas);
        Pool {
            unit: UnitWork {
                peak_flops: one.peak_flops * replicas,
                bandwidth: one.bandwidth * replicas,
                ..one
            },
            spec: &group.spec,
            replica: &group.replica,
            replicas,
            stages: f64::from(group.stages),
            slots: f64::from(group.replica.kv.blocks) * f64::from(group.replica.kv.block),
        }
    }

    /// Most requests per second of which it computes this part.
    fn rate(&self, trace: &Trace, part: Part) -> f64 {
        let Pool { unit, spec, .. } = self;
        let formats = spec.weights.arithmetic().peak(&spec.accelerator.datasheet);
        let peak =
            formats.map_or(1.0, |p| (p.0 / spec.accelerator.datasheet.bf16.0).max(1.0)) * unit.peak_flops;
        // Prompt tokens and KV that requests share cost less than this counts.
        let shares = trace.prefixes.is_some();
        let batch = f64::from(batch(&self.replica.scheduler).unwrap_or(u32::MAX));
        let (mut flops, mut bytes) = (0.0, 0.0);
        for request in &trace.requests {
            let (prompt, output) = (f64::from(request.prompt), f64::from(request.output));
            let (prompts, logits, decodes) = part.work(prompt, output);
            // Who decodes the first token too reads the bare prompt for it.
            let (first, last) = (output - decodes, output - 1.0);
            let context = decodes * prompt + decodes * (first + last) / 2.0;
            let computed = if shares { decodes } else { prompts + decodes };
            let causal = if shares { context } else { prompts * prompts / 2.0 + context };
            let steps = (decodes / batch).max(if shares { 0.0 } else { context / self.slots });
            flops += unit.flops_per_token * computed
                + unit.flops_per_logit * logits
                + unit.flops_per_context * causal;
            bytes += unit.bytes_per_step * steps + unit.bytes_per_context * context;
        }
        let n = trace.requests.len() as f64;
        (peak * n / flops).min(unit.bandwidth * n / bytes)
    }

    /// Whether reading the weights once takes longer than a limit on tokens, for more requests than may miss it.
    fn too_slow(&self, slo: &Slo, trace: &Trace, attainment: f64) -> bool {
        // Tensor-parallel ranks read the weights together, stages one after the other.
        let alone_s = self.unit.bytes_per_step / (self.unit.bandwidth / self.replicas) * self.stages;
        let over =
            |limit: Option<crate::units::SimDuration>| limit.is_some_and(|l| alone_s > l.as_secs_f64());
        let decoding = trace.requests.iter().filter(|r| r.output > 1).count() as f64;
        let many = decoding > (1.0 - attainment) * trace.requests.len() as f64;
        over(slo.gap_p99) || (many && (over(slo.tpot) || over(slo.gap_max)))
    }
}

/// Most requests per second whose KV the ports carry.
fn ports(network: &Network, roles: &[Role], (trace, first): (&Trace, FirstToken), token_bytes: f64) -> f64 {
    let sent = |r: &crate::workload::Request| match first {
        FirstToken::Prefill if r.output > 1 => f64::from(r.prompt),
        FirstToken::Prefill => 0.0,
        FirstToken::Decode => f64::from(r.prompt - 1),
    };
    let tokens: f64 = trace.requests.iter().map(sent).sum();
    let of =
        |role: Role| network.attached.iter().zip(roles).filter(move |(_, r)| **r == role).map(|(a, _)| a);
    // A port can be used where the other side has a replica on this server, or on another one.
    let usable = |here: Role, there: Role, ports: fn(&Attachment) -> (u32, u32)| -> f64 {
        let mut used = BTreeSet::new();
        for a in of(here) {
            let (inside, network) = ports(a);
            used.extend(of(there).any(|b| b.server == a.server).then_some(inside));
            used.extend(of(there).any(|b| b.server != a.server).then_some(network));
        }
        used.iter().map(|&p| network.ports[p as usize] as f64).sum()
    };
    let out = usable(Role::Prefill, Role::Decode, |a| (a.inside_out, a.network_out));
    let back = usable(Role::Decode, Role::Prefill, |a| (a.inside_in, a.network_in));
    out.min(back) * trace.requests.len() as f64 / (tokens * token_bytes)
}

/// Most requests that one step gives a token.
pub fn batch(scheduler: &SchedulerConfig) -> Option<u32> {
    match scheduler {
        SchedulerConfig::Unified(s) => Some(s.max_sequences),
        SchedulerConfig::Chunked(s) => Some(s.max_sequences),
        SchedulerConfig::PrefillFirst(s) => Some(s.max_sequences),
        SchedulerConfig::Iteration(s) => Some(s.max_batch),
        _ => None,
    }
}
